/* vmath_check.c - how far kernels/vmath.h and math64.c are from the truth, and whether their bits are alike everywhere.
 *
 * Built once per instruction set and real type by run_vmath_check.py, with -DFNN_SIMD_HEADER and -DFNN_BITS.
 *
 *     vmath_check error <function> <step> <limit>    largest error in ulp; exit 1 above the limit or at a wrong NaN,
 *                                                    infinity or sign of zero
 *     vmath_check hash <function> <count>            a hash of the result bits over a fixed sample
 *     vmath_check time <function>                    nanoseconds an element
 *
 * float: every step-th of all 2^32 bit patterns, against the C library in double. double: 2^30 / step inputs from a
 * fixed pseudo-random sequence, against the C library in long double. The functions m64_... are those of math64.h.
 * Exit 77: this processor lacks the instruction set.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "simd/simd.h"
#include VMATH_HEADER /* kernels/vmath.h, or a copy with a fault in it */
#include "kernels/gates.h"
#include "kernels/reduce.h"
#include "kernels/loops.h"
#define FNN_ACTIVATIONS(A) /* their functions of a vector, not the entries of a table */
#pragma GCC diagnostic ignored "-Wunused-function"
#include "kernels/activations.h"
#include "math64.h"

#if FNN_BITS == 32
typedef double wide;
#define W(f) f
#define REAL_DIG 24
#define REAL_EMIN (-149)
#define REAL_TOP 0x1p128
#else
typedef long double wide;
#define W(f) f##l
#define REAL_DIG 53
#define REAL_EMIN (-1074)
#define REAL_TOP 0x1p1024L
#endif

enum { BLOCK = 1024 };

/* --- the functions under test, over a block --- */

#define EACH(F)                                                                                                        \
    F(exp) F(log) F(tanh) F(sigmoid) F(erf) F(expm1) F(log1p) F(softplus) F(silu) F(mish) F(gelu) F(gelu_tanh)
#define EACH_ACT(F) F(relu) F(relu6) F(leaky_relu) F(elu) F(selu) F(hard_sigmoid) F(hard_swish)
/* those that stand in activations.h alone; alpha as it is unless said otherwise, in registry.h */
static inline vf vf_relu(vf x) { return act_relu(x); }
static inline vf vf_relu6(vf x) { return act_relu6(x); }
static inline vf vf_leaky_relu(vf x) { return act_leaky_relu(x, vf_set1((real)0.01)); }
static inline vf vf_elu(vf x) { return act_elu(x, vf_set1(1)); }
static inline vf vf_selu(vf x) { return act_selu(x); }
static inline vf vf_hard_sigmoid(vf x) { return act_hard_sigmoid(x); }
static inline vf vf_hard_swish(vf x) { return act_hard_swish(x); }
#define DEFINE(name)                                                                                                   \
    static void run_##name(const real *x, real *y, size_t n)                                                           \
    {                                                                                                                  \
        for (size_t i = 0; i < n; i += VF_LANES)                                                                       \
            vf_store(y + i, vf_##name(vf_load(x + i)));                                                                \
    }
EACH(DEFINE)
EACH_ACT(DEFINE)

static wide exact_sigmoid(wide x) { return x < 0 ? W(exp)(x) / (1 + W(exp)(x)) : 1 / (1 + W(exp)(-x)); }
static wide exact_softplus(wide x) { return (x > 0 ? x : 0) + W(log1p)(W(exp)(-W(fabs)(x))); }
/* x times a gate; the limit at -inf is 0, like x negative */
static wide gated(wide x, wide gate) { return isinf(x) && x < 0 ? (wide)-0.0 : x * gate; }
static wide exact_silu(wide x) { return gated(x, exact_sigmoid(x)); }
static wide exact_mish(wide x) { return gated(x, W(tanh)(exact_softplus(x))); }
static wide exact_gelu(wide x) { return gated(x, W(erfc)(-x / W(sqrt)((wide)2)) / 2); }
static wide exact_gelu_tanh(wide x)
{
    wide two_over_pi = 1 / W(acos)((wide)0);
    return gated(x, exact_sigmoid(2 * W(sqrt)(two_over_pi) * (x + (wide)44715 / 1000000 * x * x * x)));
}
static wide exact_relu(wide x) { return x < 0 ? 0 : x; } /* -0 and NaN stay what they are */
static wide exact_relu6(wide x) { return x > 6 ? 6 : exact_relu(x); }
static wide exact_leaky_relu(wide x) { return x > 0 ? x : (wide)(real)0.01 * x; }
static wide exact_elu(wide x) { return x > 0 ? x : W(expm1)(x); }
static wide exact_selu(wide x)
{
    const wide scale = (wide)1.0507009873554804934193349852946L, alpha = (wide)1.6732632423543772848170429916717L;
    return x > 0 ? scale * x : scale * alpha * W(expm1)(x);
}
static wide exact_hard_sigmoid(wide x) { return x < -3 ? 0 : x > 3 ? 1 : (x + 3) / 6; }
static wide exact_hard_swish(wide x) { return x <= -3 ? (wide)-0.0 : x * exact_hard_sigmoid(x); }

#if FNN_BITS == 64
#define EACH_M64(F) F(exp) F(log) F(sin) F(cos)
#define DEFINE_M64(name)                                                                                               \
    static void run_m64_##name(const real *x, real *y, size_t n)                                                       \
    {                                                                                                                  \
        for (size_t i = 0; i < n; i++)                                                                                 \
            y[i] = fnn_##name(x[i]);                                                                                   \
    }
EACH_M64(DEFINE_M64)
#endif

typedef struct {
    const char *name;
    void (*run)(const real *, real *, size_t);
    wide (*exact)(wide);
    double low, high; /* the interesting interval */
    int bounded;      /* sample only there */
} function;

static const function functions[] = {
    {"exp", run_exp, W(exp), -746, 710, 0},
    {"log", run_log, W(log), 0.3, 3, 0},
    {"tanh", run_tanh, W(tanh), -20, 20, 0},
    {"sigmoid", run_sigmoid, exact_sigmoid, -746, 746, 0},
    {"erf", run_erf, W(erf), -6, 6, 0},
    {"expm1", run_expm1, W(expm1), -40, 40, 0},
    {"log1p", run_log1p, W(log1p), -1, 3, 0},
    {"softplus", run_softplus, exact_softplus, -746, 40, 0},
    {"silu", run_silu, exact_silu, -754, 40, 0},
    {"mish", run_mish, exact_mish, -754, 40, 0},
    {"gelu", run_gelu, exact_gelu, -40, 10, 0},
    {"gelu_tanh", run_gelu_tanh, exact_gelu_tanh, -22, 10, 0},
    {"relu", run_relu, exact_relu, -4, 4, 0},
    {"relu6", run_relu6, exact_relu6, -4, 10, 0},
    {"leaky_relu", run_leaky_relu, exact_leaky_relu, -4, 4, 0},
    {"elu", run_elu, exact_elu, -40, 4, 0},
    {"selu", run_selu, exact_selu, -40, 4, 0},
    {"hard_sigmoid", run_hard_sigmoid, exact_hard_sigmoid, -4, 4, 0},
    {"hard_swish", run_hard_swish, exact_hard_swish, -4, 4, 0},
#if FNN_BITS == 64
    {"m64_exp", run_m64_exp, W(exp), -746, 709.78, 1},
    {"m64_log", run_m64_log, W(log), 0.3, 3, 1},
    {"m64_sin", run_m64_sin, W(sin), -1e5, 1e5, 1},
    {"m64_cos", run_m64_cos, W(cos), -1e5, 1e5, 1},
#endif
};

/* --- inputs --- */

static uint64_t mix(uint64_t x) /* a well-stirred function of the index: splitmix64 */
{
    x += 0x9e3779b97f4a7c15U;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31);
}

static real from_bits(fnn_bits b)
{
    real x;
    memcpy(&x, &b, sizeof x);
    return x;
}

static fnn_bits bits_of(real x)
{
    fnn_bits b;
    memcpy(&b, &x, sizeof b);
    return b;
}

/* In turn: uniform over the interval; over its middle tenth, or thousandth; any bit pattern; around +-2^k */
static real sample(const function *f, uint64_t index)
{
    uint64_t h = mix(index);
    double u = (double)(h >> 11) * 0x1p-53;
    double middle = (f->low + f->high) / 2, width = (f->high - f->low) * (u - 0.5);
    switch (index % (f->bounded ? 3 : 5)) {
    case 0: return (real)(middle + width);
    case 1: return (real)(middle + width / 10);
    case 2: return (real)(middle + width / 1000);
    case 3: return from_bits((fnn_bits)h);
    default: return (real)ldexp(h & 1 ? 1 + u : -1 - u, (int)((h >> 1) & 127) - 100);
    }
}

static real input(const function *f, uint64_t i, uint64_t step)
{
#if FNN_BITS == 32
    (void)f;
    return from_bits((fnn_bits)(i * step));
#else
    (void)step;
    return sample(f, i);
#endif
}

/* --- the distance --- */

/* |y - exact| in units in the last place of exact rounded to real */
static double ulps(real y, wide exact)
{
    int e;
    wide got = isinf(y) ? (wide)copysign(1, y) * REAL_TOP : (wide)y; /* where the next number would be */
    W(frexp)(exact, &e);
    e = e - REAL_DIG < REAL_EMIN ? REAL_EMIN : e - REAL_DIG;
    return (double)W(fabs)(W(ldexp)(got - exact, -e));
}

/* NaN, infinities and zeros for themselves; -1 where y is a number to be measured */
static int special(real y, wide exact)
{
    real nearest = (real)exact;
    if (isnan(exact) || isnan(y))
        return isnan(exact) && isnan(y);
    if (isinf(exact) || exact == 0 || (isinf(y) && isinf(nearest)))
        return y == nearest && signbit(y) == signbit(nearest);
    return -1;
}

static int check_error(const function *f, uint64_t step, double limit)
{
    real x[BLOCK], y[BLOCK], at = 0;
    double worst = 0;
    uint64_t total = ((uint64_t)1 << (FNN_BITS == 32 ? 32 : 30)) / step / BLOCK * BLOCK, wrong = 0;
    for (uint64_t i = 0; i < total; i += BLOCK) {
        for (int j = 0; j < BLOCK; j++)
            x[j] = input(f, i + (uint64_t)j, step);
        f->run(x, y, BLOCK);
        for (int j = 0; j < BLOCK; j++) {
            wide exact = f->exact((wide)x[j]);
            int verdict = special(y[j], exact);
            double u = verdict < 0 ? ulps(y[j], exact) : 0;
            if (verdict == 0 && !wrong++)
                printf("%s(%a) = %a is wrong\n", f->name, (double)x[j], (double)y[j]);
            if (u > worst) {
                worst = u;
                at = x[j];
            }
        }
    }
    printf("%-8s %d bits: %.4f ulp at %a (%.9g), ", f->name, FNN_BITS, worst, (double)at, (double)at);
    printf("%" PRIu64 " inputs\n", total);
    return wrong || !(worst <= limit);
}

static int print_hash(const function *f, uint64_t count)
{
    real x[BLOCK], y[BLOCK];
    uint64_t h = 0;
    for (uint64_t i = 0; i < count; i += BLOCK) {
        for (int j = 0; j < BLOCK; j++)
            x[j] = sample(f, i + (uint64_t)j);
        f->run(x, y, BLOCK);
        for (int j = 0; j < BLOCK; j++)
            h = mix(h ^ (isnan(y[j]) ? 1 : (uint64_t)bits_of(y[j]))); /* the payload of a NaN is free */
    }
    printf("%s %d %016" PRIx64 "\n", f->name, FNN_BITS, h);
    return 0;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int print_time(const function *f)
{
    static real x[BLOCK], y[BLOCK];
    double best = 1;
    for (int j = 0; j < BLOCK; j++)
        x[j] = (real)(8 * ((double)(mix((uint64_t)j) >> 11) * 0x1p-53) - (f->low < 0 ? 4 : 0));
    for (int rep = 0; rep < 200; rep++) {
        double start = seconds();
        for (int k = 0; k < 50; k++)
            f->run(x, y, BLOCK);
        double t = (seconds() - start) / (50.0 * BLOCK);
        best = t < best ? t : best;
    }
    printf("%-8s %d bits: %.3f ns an element\n", f->name, FNN_BITS, best * 1e9);
    return 0;
}

int main(int argc, char **argv)
{
    const function *f = NULL;
#ifdef CPU_NEEDS
    if (!__builtin_cpu_supports(CPU_NEEDS))
        return 77;
#endif
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (argc >= 3 && !strcmp(argv[2], functions[i].name))
            f = functions + i;
    if (f && argc == 5 && !strcmp(argv[1], "error"))
        return check_error(f, strtoull(argv[3], NULL, 10), atof(argv[4]));
    if (f && argc == 4 && !strcmp(argv[1], "hash"))
        return print_hash(f, strtoull(argv[3], NULL, 10));
    if (f && argc == 3 && !strcmp(argv[1], "time"))
        return print_time(f);
    fprintf(stderr, "usage: vmath_check error|hash|time function [step limit | count]\n");
    return 2;
}
