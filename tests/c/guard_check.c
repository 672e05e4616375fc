/* guard_check.c - every kernel with each of its buffers between two pages that nobody may touch: a read or a write one byte
 * out of bounds ends the program at once, and says in which kernel. Built and run by run_guard.py.
 *
 *      [guard page][canary][buffer ......][canary][guard page]     offset 0: the buffer touches the page behind it (or,
 *                                                                  every other time, the one before it)
 * usage: guard_check ISA SIZES STEP     sizes 1, 1 + STEP, ... up to SIZES
 *
 * Broken on purpose: with -DBREAK one call is given a size too much, and reads past its buffer; with -DSCRIBBLE one is given a
 * place an element too early, and writes where only the canary tells, as the page begins further on.
 *
 * With -DHEAP the buffers are blocks of malloc, no byte larger than they have to be, for valgrind to watch (run_memcheck.py):
 * it also sees what is used without ever having been written.
 */
#define _GNU_SOURCE
#include "fnn.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SLOTS 12
#define ROOM ((size_t)1 << 24)
#if defined(BREAK) || defined(SCRIBBLE)
#define LARGE_OFFSETS 0
#elif defined(HEAP)
#define LARGE_OFFSETS 1 /* of large products, which take the watcher of a block half a minute each */
#else
#define LARGE_OFFSETS 2 /* both sides */
#endif
#define CANARY 0x5a
#define OFFSETS 16
#define CALLED 43 /* kernels of the table that the functions below reach; and fma_peak, which has no buffers */

/* as many as FNN_KERNELS has: whoever adds one adds its call below */
#define COUNT_KERNEL(result, name, arguments) +1
_Static_assert((0 FNN_KERNELS(COUNT_KERNEL)) == CALLED, "a kernel of the table is not called in guard_check.c");

static char *slot[SLOTS];
static struct {
    char *at;
    size_t bytes;
} taken[SLOTS];
static int used, from_start;
static size_t shift; /* bytes between the buffer and the guard page */
static const char *now = "nothing";
static unsigned long calls, seed = 1;

static void out_of_bounds(int signal_number)
{
    fprintf(stderr, "out of bounds in %s, offset %zu, at the %s, %s\n", now, shift, from_start ? "start" : "end",
            signal_number ? "on a page" : "on a canary");
    _exit(3);
}

static void begin(const char *name)
{
#ifdef HEAP
    while (used > 0)
        free(taken[--used].at);
#endif
    used = 0;
    now = name;
    calls++;
}

#ifdef HEAP
static void *take(size_t bytes)
{
    char *place = used == SLOTS ? NULL : malloc(bytes + shift);
    if (!place)
        exit(4);
    taken[used++].at = place;
    return place + shift;
}
#else
static void *take(size_t bytes)
{
    if (used == SLOTS || bytes + shift + 64 > ROOM) {
        fprintf(stderr, "guard_check.c: no room for %zu bytes in %s\n", bytes, now);
        exit(4);
    }
    char *place = from_start ? slot[used] + shift : slot[used] + ROOM - bytes - shift;
    memset(place - (from_start ? shift : 64), CANARY, from_start ? shift : 64);
    memset(place + bytes, CANARY, from_start ? 64 : shift);
    taken[used].at = place;
    taken[used++].bytes = bytes;
    return place;
}
#endif

static void *numbers(const fnn_kernels *t, size_t n)
{
    char *x = take(n * t->itemsize);
    for (size_t i = 0; i < n; i++) {
        seed = seed * 6364136223846793005UL + 1442695040888963407UL;
        double v = (double)(seed >> 40) / (1 << 24);
        if (t->dtype == FNN_F64)
            memcpy(x + i * 8, &v, 8);
        else
            memcpy(x + i * 4, &(float){(float)v}, 4);
    }
    return x;
}

static int32_t *labels(size_t rows, size_t cols)
{
    int32_t *l = take(rows * 4);
    for (size_t i = 0; i < rows; i++)
        memcpy((char *)l + i * 4, &(int32_t){(int32_t)(i * 7 % cols)}, 4);
    return l;
}

static void check(void)
{
#ifndef HEAP
    for (int i = 0; i < used; i++) {
        const char *before = taken[i].at - (from_start ? shift : 64), *after = taken[i].at + taken[i].bytes;
        size_t left = from_start ? shift : 64, right = from_start ? 64 : shift;
        for (size_t k = 0; k < left; k++)
            if (before[k] != CANARY)
                out_of_bounds(0);
        for (size_t k = 0; k < right; k++)
            if (after[k] != CANARY)
                out_of_bounds(0);
    }
#endif
}

#define RUN(name, call)                                                                                                \
    do {                                                                                                               \
        begin(name);                                                                                                   \
        call;                                                                                                          \
        check();                                                                                                       \
    } while (0)
#define X(n) numbers(t, n)

static void rows_and_columns(const fnn_kernels *t, size_t rows, size_t cols)
{
    const size_t n = rows * cols;
    for (int a = 0; a < FNN_ACT_COUNT; a++) {
        RUN(fnn_act_names[a], t->act_fwd[a](X(n), X(n), rows, cols, 0.5));
        RUN(fnn_act_names[a], t->act_bwd[a](X(n), X(n), X(n), rows, cols, 0.5));
    }
    for (int l = 0; l < FNN_LOSS_COUNT; l++) {
        RUN(fnn_loss_names[l], t->loss_fwd[l](X(rows), X(n), X(n), NULL, rows, cols, 0.5));
        RUN(fnn_loss_names[l], t->loss_bwd[l](X(n), X(n), X(n), NULL, rows, cols, 0.1, 0.5));
        if (fnn_loss_targets[l] == 'C') {
            RUN(fnn_loss_names[l], t->loss_fwd[l](X(rows), X(n), NULL, labels(rows, cols), rows, cols, 0.5));
            RUN(fnn_loss_names[l], t->loss_bwd[l](X(n), X(n), NULL, labels(rows, cols), rows, cols, 0.1, 0.5));
        }
    }
    for (int m = 0; m < FNN_METRIC_COUNT; m++)
        RUN("metric", t->metric_count[m](X(n), X(n), NULL, rows, cols, 0.5));
    RUN("metric by labels", t->metric_count[FNN_METRIC_categorical](X(n), NULL, labels(rows, cols), rows, cols, 0.5));
    RUN("argmax_rows", t->argmax_rows(take(rows * 4), X(n), rows, cols));
    RUN("top_k_count", t->top_k_count(X(n), labels(rows, cols), rows, cols, 1 + rows % cols));
    begin("yes_counts_acc");
    int64_t *counts = take(3 * cols * 8);
    memset(counts, 0, 3 * cols * 8);
    t->yes_counts_acc(counts, X(n), X(n), rows, cols, 0.5, 0.5);
    check();
    begin("error_sums_acc");
    double *sums = take(4 * cols * 8), *shift_of = take(cols * 8);
    memset(sums, 0, 4 * cols * 8);
    memset(shift_of, 0, cols * 8);
    t->error_sums_acc(sums, shift_of, X(n), X(n), rows, cols);
    check();
    RUN("column_moments", t->column_moments(X(cols), X(cols), X(n), cols, rows, cols));
    RUN("normalize_columns",
        t->normalize_columns(X(n), X(n), X(cols), X(cols), X(cols), X(cols), 1e-3, cols, rows, cols));
    RUN("normalize_columns, bare", t->normalize_columns(X(n), X(n), NULL, X(cols), NULL, NULL, 1e-3, cols, rows, cols));
    RUN("batch_norm_bwd",
        t->batch_norm_bwd(X(n), X(cols), X(cols), X(n), X(n), X(cols), X(cols), X(cols), 1e-3, cols, rows, cols));
    RUN("layer_norm_fwd", t->layer_norm_fwd(X(n), X(2 * rows), X(n), X(cols), X(cols), 1e-3, rows, cols));
    RUN("layer_norm_bwd",
        t->layer_norm_bwd(X(n), X(cols), X(cols), X(n), X(n), X(2 * rows), X(cols), rows, cols, rows % 2));
    RUN("bound_columns", t->bound_columns(X(n), rows, cols, 0.5, 1));
    RUN("bound_rows", t->bound_rows(X(n), rows, cols, 0.5, 1));
    RUN("column_sums", t->column_sums(X(cols), X(n), rows, cols, rows % 2));
    RUN("residual", t->residual(X(n), X(n), X(n), NULL, rows, cols, 0.1));
    RUN("residual by labels", t->residual(X(n), X(n), NULL, labels(rows, cols), rows, cols, 0.1));
    RUN("one_hot", t->one_hot(X(n), labels(rows, cols), rows, cols, 0, 1));
    RUN("scale_rows", t->scale_rows(X(n), X(n), X(rows), rows, cols));
    RUN("transpose", t->transpose(X(n), rows, X(n), cols, rows, cols));
    for (int source = 0; source < FNN_SRC_COUNT; source++) {
        static const size_t width[] = {4, 8, 1, 1, 2, 2, 4, 4, 8, 8};
        const size_t size = source < (int)(sizeof width / sizeof *width) ? width[source] : 1;
        begin("gather");
        char *x = take(n * size), *y = take(n * t->itemsize);
        memset(x, 1, n * size);
        uint32_t *index = take(rows * 4);
        for (size_t i = 0; i < rows; i++)
            memcpy((char *)index + i * 4, &(uint32_t){(uint32_t)(rows - 1 - i)}, 4);
        t->gather(y, x, (fnn_source_id)source, index, rows, cols, (ptrdiff_t)(cols * size), (ptrdiff_t)size);
        t->gather(y, x, (fnn_source_id)source, NULL, rows, cols, (ptrdiff_t)size, (ptrdiff_t)(rows * size));
        check();
    }
}

static void arrays(const fnn_kernels *t, size_t n)
{
    static const double p[8] = {1e-7, 0.9, 0.999, 0.01};
    for (int o = 0; o < FNN_OPT_COUNT; o++) {
        begin(fnn_opt_names[o]);
        void *s[FNN_MOST_STATES] = {X(n), X(n), X(n)};
        double h[FNN_OPT_CONSTANTS];
        fnn_opt_constants((fnn_opt_id)o, h, 0.1, p, 3);
        t->opt_step[o](X(n), s, X(n), n, h);
        check();
    }
    RUN("penalty", t->penalty(X(n), n, 0.1, 0.2));
    RUN("penalty_grad_acc", t->penalty_grad_acc(X(n), X(n), n, 0.1, 0.2));
    RUN("affine", t->affine(X(n), X(n), n, 2, 1));
    RUN("clip", t->clip(X(n), n, 0.5));
    RUN("multiply", t->multiply(X(n), X(n), X(n), n));
    RUN("dropout", t->dropout(X(n), X(n), X(n), n, n % 70, 7, 3, 5, 0x4000, 1.25));
    RUN("alpha_dropout", t->alpha_dropout(X(n), X(n), X(n), n, n % 70, 7, 3, 5, 0x4000, 1.1, 0.1, -0.2));
    RUN("gaussian", t->gaussian(X(n), NULL, X(n), n, n % 70, 7, 3, 5, 0.1));
    RUN("gaussian, a mask", t->gaussian(X(n), X(n), X(n), n, n % 70, 7, 3, 5, 0.1));
    RUN("add", t->add(X(n), X(n), X(n), n));
    RUN("average", t->average(X(n), X(n), n, 0.9));
    RUN("add_scaled", t->add_scaled(X(n), X(n), X(n), n, 0.5));
    RUN("inner_product", t->inner_product(X(n), X(n), n));
    RUN("largest", t->largest(X(n), n));
    begin("twister_dropout");
    uint32_t *state = take(625 * 4);
    memset(state, 7, 624 * 4);
    memcpy((char *)state + 624 * 4, &(uint32_t){624}, 4);
    t->twister_dropout(X(n), X(n), X(n), n, state, (uint64_t)1 << 52, 2, 0);
    check();
    RUN("sum", t->sum(0, X(n), n));
#ifdef BREAK
    RUN("all_finite, broken on purpose", t->all_finite(X(n), n + 1));
#else
    RUN("all_finite", t->all_finite(X(n), n));
#endif
#ifdef SCRIBBLE
    begin("map_exp, broken on purpose");
    char *early = X(n);
    t->map_exp(early - t->itemsize, X(n), n);
    check();
#else
    RUN("map_exp", t->map_exp(X(n), X(n), n));
#endif
    RUN("map_log", t->map_log(X(n), X(n), n));
    RUN("map_erf", t->map_erf(X(n), X(n), n));
}

/* the driver with every kernel of the products below it: three transpositions, rules, epilogues */
static void product_of(const fnn_kernels *t, int form, size_t m, size_t n, size_t k, int with_bias)
{
    static const char *const names[] = {"product, a.b", "product, a'.b", "product, a.b'"};
    for (int epilogue = FNN_EPI_NONE; epilogue <= FNN_EPI_BACKWARD; epilogue++) {
        begin(names[form]);
        const fnn_act_id act = (m + n + k) % 2 ? FNN_ACT_relu : FNN_ACT_tanh;
        char *c = X(m * n), *a = X(m * k), *b = X(k * n), *bias = X(n), *saved = X(m * n), *sums = X(n);
        void *ws = take(fnn_gemm_workspace(t, m, n, k) / 64 * 64 + 64);
        ws = (void *)(((uintptr_t)ws + 63) / 64 * 64);
        const fnn_epilogue e = {.kind = (fnn_epilogue_kind)epilogue,
                                .act = act,
                                .y = c,
                                .saved = saved,
                                .sums = (m + k) % 2 ? sums : NULL,
                                .sums_go_on = (int)(n % 2)};
        const fnn_rule rule = form != 1 ? FNN_BY_WIDTH : m % 2 ? FNN_SEQUENTIAL : FNN_CONTINUED;
        fnn_gemm(t, c, a, form == 1 ? 1 : k, form == 1 ? m : 1, b, form == 2 ? 1 : n, form == 2 ? k : 1, m, n, k,
                 with_bias ? bias : NULL, rule, &e, ws);
        check();
    }
}

static void product(const fnn_kernels *t, size_t m, size_t n, size_t k)
{
    for (int form = 0; form < 3; form++)
        product_of(t, form, m, n, k, form == 0 || (form == 2 && n % 2 == 0));
}

/* What only large products do: they are turned around (the last of those, in float64, asks for more room than any other way),
 * strips of a are copied by rows and by columns, with b in place and packed, k is cut, and there is a second block of columns;
 * then what few columns take of the room. */
static void large_products(const fnn_kernels *t)
{
    const size_t whole_depth = 4096 / t->itemsize;
    product_of(t, 2, 16, 257, 33, 0);
    product_of(t, 2, 64, 1024, 300, 0);
    if (t->dtype == FNN_F64)
        product_of(t, 2, 64, 256, 4096, 0);
    product_of(t, 0, 33, 200, 1200, 1);
    product_of(t, 2, 200, 208, whole_depth, 1);
    product_of(t, 1, 1100, 200, 40, 0);
    product_of(t, 1, 1100, 208, 64, 0);
    product_of(t, 0, 17, 2100, 20, 1);
    product_of(t, 2, 17, 2100, 20, 1);
    product_of(t, 1, 3001, 7, 9, 0);
    product_of(t, 0, 3, 7, 30001, 1);
}

static void packing(const fnn_kernels *t, size_t k, size_t n)
{
    const size_t whole = (n + t->lanes - 1) / t->lanes * t->lanes;
    RUN("pack_rows", t->pack_rows(X(k * whole), X(k * n), n, k, n));
    RUN("nonzeros", t->nonzeros(take((k + FNN_LIST_SLACK) * 4), X(k), k));
    if (n >= FNN_NARROW) {
        RUN("dense_row", t->dense_row(X(n), X(k), X(k * whole), X(whole), n, k, (int)(k % 2), NULL, 0));
        begin("dense_row of a list");
        const size_t count = (k + 1) / 2;
        char *at = take(count * 4);
        for (size_t i = 0; i < count; i++) /* every other, the last among them */
            memcpy(at + i * 4, &(uint32_t){(uint32_t)(k - 1 - 2 * (count - 1 - i))}, 4);
        t->dense_row(X(n), X(k), X(k * whole), X(whole), n, k, (int)(k % 2), (const uint32_t *)(void *)at, count);
        check();
    }
    RUN("pack_columns", t->pack_columns(X(k * whole), X(k * n), k, k, n));
}

int main(int argc, char **argv)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), most = argc > 2 ? (size_t)atoi(argv[2]) : 300;
    const size_t stride = argc > 3 ? (size_t)atoi(argv[3]) : 1;
    signal(SIGSEGV, out_of_bounds);
    signal(SIGBUS, out_of_bounds);
    for (int i = 0; i < SLOTS; i++) {
        char *pages =
            mmap(NULL, ROOM + 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (pages == MAP_FAILED || mprotect(pages, page, PROT_NONE) || mprotect(pages + page + ROOM, page, PROT_NONE))
            return 4;
        slot[i] = pages + page;
    }
    for (int isa = 0; isa < FNN_ISA_COUNT; isa++) {
        if (argc > 1 && strcmp(argv[1], fnn_isa_names[isa]) && strcmp(argv[1], "all"))
            continue;
        if (!fnn_isa_supported((fnn_isa_id)isa))
            continue;
        const unsigned long before = calls;
        for (int dtype = FNN_F32; dtype <= FNN_F64; dtype++)
            for (size_t n = 1; n <= most; n += stride)
                for (size_t offset = 0; offset < 2 * OFFSETS; offset++) {
                    const fnn_kernels *t = fnn_table((fnn_isa_id)isa, (fnn_dtype)dtype);
                    shift = offset / 2 * t->itemsize;
                    from_start = (int)(offset % 2);
                    arrays(t, n);
                    rows_and_columns(t, 1, n);
                    rows_and_columns(t, 2 + n % 5, n % 23 + 1);
                    /* products place many buffers: right at the page, and at one further offset, which goes on with n */
                    if (offset / 2 == 0 || offset / 2 == 1 + n / 3 % (OFFSETS - 1)) {
                        product(t, n % 37 + 1, n, n % 61 + 1);
                        product(t, n % 19 + 1, n % 9 + 1, n);
                        product(t, n, n % 13 + 1, n % 29 + 1);
                        packing(t, n % 17 + 1, n);
                    }
                    if (offset < LARGE_OFFSETS && n == 1)
                        large_products(t);
                }
        printf("%s: %lu calls\n", fnn_isa_names[isa], calls - before);
    }
    return calls == 0;
}
