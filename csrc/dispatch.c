/* dispatch.c - what this processor can run, and the tables by name. */
#include "fnn.h"

#include <string.h>

#define NAME_A(name, shape, saves, alpha) #name,
#define SAVES_A(name, shape, saves, alpha) #saves[0],
#define SHAPE_A(name, shape, saves, alpha) #shape[0],
#define ALPHA_A(name, shape, saves, alpha) alpha,
#define NAME_L(name, targets, parameter) #name,
#define TARGETS_L(name, targets, parameter) #targets[0],
#define PARAMETER_L(name, targets, parameter) parameter,
#define NAME_O(name, states, parameters) #name,
#define STATES_O(name, states, parameters) states,
#define PARAMETERS_O(name, states, parameters) parameters,
#define NAME_R(name, parameters) #name,
#define PARAMETERS_R(name, parameters) parameters,
#define NAME_1(name) #name,
#define NAME_S(name, type) #name,
const char *const fnn_act_names[FNN_ACT_COUNT] = {FNN_ACTIVATIONS(NAME_A)};
const char fnn_act_saves[FNN_ACT_COUNT] = {FNN_ACTIVATIONS(SAVES_A)};
const char fnn_act_shape[FNN_ACT_COUNT] = {FNN_ACTIVATIONS(SHAPE_A)};
const double fnn_act_alpha[FNN_ACT_COUNT] = {FNN_ACTIVATIONS(ALPHA_A)};
const char *const fnn_loss_names[FNN_LOSS_COUNT] = {FNN_LOSSES(NAME_L)};
const char fnn_loss_targets[FNN_LOSS_COUNT] = {FNN_LOSSES(TARGETS_L)};
const double fnn_loss_parameter[FNN_LOSS_COUNT] = {FNN_LOSSES(PARAMETER_L)};
const char *const fnn_opt_names[FNN_OPT_COUNT] = {FNN_OPTIMIZERS(NAME_O)};
const int fnn_opt_states[FNN_OPT_COUNT] = {FNN_OPTIMIZERS(STATES_O)};
const int fnn_opt_parameters[FNN_OPT_COUNT] = {FNN_OPTIMIZERS(PARAMETERS_O)};
const char *const fnn_schedule_names[FNN_RATE_COUNT] = {FNN_SCHEDULES(NAME_R)};
const int fnn_schedule_parameters[FNN_RATE_COUNT] = {FNN_SCHEDULES(PARAMETERS_R)};
const char *const fnn_metric_names[FNN_METRIC_COUNT] = {FNN_METRICS(NAME_1)};
const char *const fnn_source_names[FNN_SRC_COUNT] = {FNN_SOURCES(NAME_S)};
const char *const fnn_isa_names[FNN_ISA_COUNT] = {FNN_ISAS(NAME_1)};

#define DECLARE_TABLES(isa) extern const fnn_kernels fnn_##isa##_f32, fnn_##isa##_f64;
FNN_ISAS(DECLARE_TABLES)
#define ADDRESS_TABLES(isa) {&fnn_##isa##_f32, &fnn_##isa##_f64},
static const fnn_kernels *const tables[FNN_ISA_COUNT][FNN_DTYPE_COUNT] = {FNN_ISAS(ADDRESS_TABLES)};

const fnn_kernels *fnn_table(fnn_isa_id isa, fnn_dtype dtype) { return tables[isa][dtype]; }

#if defined(__x86_64__)
#include <cpuid.h>

typedef struct {
    int fma, avx2, avx512;
} features;

/* The processor's word is not enough: the operating system must save the wide registers too (xgetbv). */
static features detect(void)
{
    features f = {0, 0, 0};
    unsigned a, b, c, d, state = 0, high;
    if (!__get_cpuid(1, &a, &b, &c, &d))
        return f;
    int osxsave = (c >> 27) & 1, avx = (c >> 28) & 1, fma = (c >> 12) & 1;
    if (osxsave)
        __asm__ volatile("xgetbv" : "=a"(state), "=d"(high) : "c"(0));
    int ymm_saved = (state & 0x6) == 0x6, zmm_saved = (state & 0xe6) == 0xe6;
#if defined(__APPLE__)
    zmm_saved = ymm_saved; /* macOS turns them on for a thread at its first use of them */
#endif
    f.fma = avx && fma && ymm_saved;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return f;
    f.avx2 = f.fma && ((b >> 5) & 1);
    /* F, DQ, BW, VL are bits 16, 17, 30, 31 */
    f.avx512 = f.avx2 && zmm_saved && (b & 0xc0030000u) == 0xc0030000u;
    return f;
}

int fnn_isa_supported(fnn_isa_id isa)
{
    features f = detect();
    switch (isa) {
    case FNN_ISA_sse2: return 1;
    case FNN_ISA_scalar: return f.fma;
    case FNN_ISA_avx2: return f.avx2;
    case FNN_ISA_avx512: return f.avx512;
    default: return 0;
    }
}

const char *fnn_isa_needs(fnn_isa_id isa)
{
    switch (isa) {
    case FNN_ISA_sse2: return "any x86-64";
    case FNN_ISA_scalar: return "FMA";
    case FNN_ISA_avx2: return "AVX2 and FMA";
    case FNN_ISA_avx512: return "AVX-512 F, DQ, BW and VL";
    default: return "";
    }
}

void fnn_cpu_name(char *name)
{
    unsigned r[12];
    strcpy(name, "x86-64");
    if (!__get_cpuid(0x80000004u, &r[0], &r[1], &r[2], &r[3]))
        return;
    for (unsigned i = 0; i < 3; i++)
        __get_cpuid(0x80000002u + i, &r[4 * i], &r[4 * i + 1], &r[4 * i + 2], &r[4 * i + 3]);
    memcpy(name, r, sizeof r);
    name[sizeof r] = '\0';
}
#else
int fnn_isa_supported(fnn_isa_id isa) { return isa < FNN_ISA_COUNT; }

const char *fnn_isa_needs(fnn_isa_id isa)
{
    (void)isa;
    return "any processor of this architecture";
}

void fnn_cpu_name(char *name)
{
#if defined(__aarch64__)
    strcpy(name, "arm64");
#else
    strcpy(name, "unknown");
#endif
}
#endif

/* On x86 sse2 stands first, scalar second: a processor with FMA but without AVX2 stays inside the contract. */
fnn_isa_id fnn_isa_best(void)
{
    fnn_isa_id best = (fnn_isa_id)0;
    for (int i = 0; i < FNN_ISA_COUNT; i++)
        if (fnn_isa_supported((fnn_isa_id)i))
            best = (fnn_isa_id)i;
    return best;
}
