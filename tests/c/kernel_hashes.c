/* kernel_hashes.c - every kernel over many shapes, and a hash of all it computed: equal on every table of the bit
 * contract, from every compiler, on every architecture. Run by tests/guarantees/g03_instruction_sets.py.
 *
 * usage: kernel_hashes ISA SHAPES      ISA: a table, run whether this processor can or not; or "contract": all of the
 *                                      contract that run here
 * A line for each: table, type, hash, sum of the finite magnitudes, kernel. All NaN count as one. The sum is for sse2,
 * which is outside the contract: near the others, not equal.
 */
#include "fnn.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 12
#define ROOM ((size_t)1 << 23)
#define MOST_NAMES 256
#define SHIFTS 16
#define CALLED 43 /* kernels of the table that the functions below reach, fma_peak aside: it computes nothing */

#define COUNT_KERNEL(result, name, arguments) +1
_Static_assert((0 FNN_KERNELS(COUNT_KERNEL)) == CALLED, "a kernel of the table is not called in kernel_hashes.c");

static const fnn_kernels *t;
static struct {
    char *room, *at;
    size_t count; /* elements to hash; 0: an input */
    int real;     /* of the table's type, or 32-bit words */
} slots[SLOTS];
static struct {
    const char *prefix, *name;
    uint64_t hash;
    double sum;
} results[MOST_NAMES], *now;
static size_t known, shape;

/* --- what comes out --- */
static void absorb(uint64_t word)
{
    now->hash = (now->hash ^ word) * 0x9e3779b97f4a7c15u;
    now->hash ^= now->hash >> 29;
}

static void absorb_real(double x)
{
    uint64_t word = 0x7ff8000000000000u;
    if (x == x)
        memcpy(&word, &x, 8);
    absorb(word);
    if (isfinite(x))
        now->sum += fabs(x);
}

static void begin(const char *prefix, const char *name)
{
    for (int i = 0; i < SLOTS; i++)
        slots[i].count = 0;
    for (now = results; now < results + known; now++)
        if (!strcmp(now->name, name) && !strcmp(now->prefix, prefix))
            return;
    if (known++ == MOST_NAMES)
        exit(4);
    now->prefix = prefix;
    now->name = name;
    now->hash = 1;
    now->sum = 0;
}

static double value(const char *at, size_t i)
{
    float f;
    double d;
    if (t->dtype == FNN_F64)
        return memcpy(&d, at + 8 * i, 8), d;
    return memcpy(&f, at + 4 * i, 4), (double)f;
}

static void finish(void)
{
    for (int s = 0; s < SLOTS; s++)
        for (size_t i = 0; i < slots[s].count; i++)
            if (slots[s].real)
                absorb_real(value(slots[s].at, i));
            else {
                uint32_t word;
                memcpy(&word, slots[s].at + 4 * i, 4);
                absorb(word);
            }
}

/* --- what goes in: by the number of the slot, for compilers evaluate arguments in the order they like --- */
static char *place(int slot, size_t bytes, size_t count, int real)
{
    const size_t shift = (shape + (size_t)slot) % SHIFTS * t->itemsize;
    if (bytes + shift > ROOM)
        exit(4);
    slots[slot].at = slots[slot].room + shift;
    slots[slot].count = count;
    slots[slot].real = real;
    memset(slots[slot].at, 0, bytes);
    return slots[slot].at;
}

static uint64_t mix(uint64_t z) /* Steele, Lea and Flood 2014 */
{
    z = (z + 0x9e3779b97f4a7c15u) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void *fill(int slot, size_t n, size_t count, double low, double high)
{
    char *x = place(slot, n * t->itemsize, count, 1);
    for (size_t i = 0; i < n; i++) {
        const uint64_t z = mix(((uint64_t)shape << 40) + ((uint64_t)slot << 32) + i);
        double v = low + (double)(z >> 11) / 9007199254740992.0 * (high - low);
        if (low < 0 && z % 32 == 0) /* zeros of both signs, subnormal and large numbers too */
            v = ((double[]){0.0, -0.0, 1e-40, -30.0})[z / 32 % 4];
        if (t->dtype == FNN_F64)
            memcpy(x + i * 8, &v, 8);
        else
            memcpy(x + i * 4, &(float){(float)v}, 4);
    }
    return x;
}

static void *in(int slot, size_t n) { return fill(slot, n, 0, -4, 4); }
static void *positive(int slot, size_t n) { return fill(slot, n, 0, 0.001, 1); }
static void *inout(int slot, size_t n) { return fill(slot, n, n, -4, 4); }
static void *state(int slot, size_t n) { return fill(slot, n, n, 0.001, 1); }
static void *out(int slot, size_t n) { return place(slot, n * t->itemsize, n, 1); }
static void *words(int slot, size_t n) { return place(slot, n * 4, n, 0); }
static void *scratch(int slot, size_t bytes) /* at a multiple of 64 bytes */
{
    return (void *)(((uintptr_t)place(slot, bytes + 64, 0, 0) + 63) / 64 * 64);
}

static int32_t *labels(int slot, size_t rows, size_t cols)
{
    char *l = place(slot, rows * 4, 0, 0);
    for (size_t i = 0; i < rows; i++)
        memcpy(l + i * 4, &(int32_t){(int32_t)(mix(shape + i) % cols)}, 4);
    return (int32_t *)l;
}

#define RUN(prefix, name, call) (begin(prefix, name), call, finish())
#define VALUE(prefix, name, call) (begin(prefix, name), absorb_real((double)(call)), finish())

static void losses(size_t rows, size_t cols)
{
    const size_t n = rows * cols;
    for (int l = 0; l < FNN_LOSS_COUNT; l++) {
        const char *name = fnn_loss_names[l];
        RUN("loss", name, t->loss_fwd[l](out(0, rows), positive(1, n), positive(2, n), NULL, rows, cols, 0.5));
        RUN("loss", name, t->loss_fwd[l](out(0, rows), in(1, n), in(2, n), NULL, rows, cols, 0.5));
        RUN("loss bwd", name, t->loss_bwd[l](out(0, n), positive(1, n), positive(2, n), NULL, rows, cols, 0.1, 0.5));
        RUN("loss bwd", name, t->loss_bwd[l](out(0, n), in(1, n), in(2, n), NULL, rows, cols, 0.1, 0.5));
        if (fnn_loss_targets[l] != 'C')
            continue;
        RUN("loss", name, t->loss_fwd[l](out(0, rows), positive(1, n), NULL, labels(2, rows, cols), rows, cols, 0.5));
        RUN("loss bwd", name,
            t->loss_bwd[l](out(0, n), positive(1, n), NULL, labels(2, rows, cols), rows, cols, 0.1, 0.5));
    }
}

static void normalizations(size_t rows, size_t cols)
{
    const size_t n = rows * cols;
    RUN("", "column_moments", t->column_moments(out(0, cols), out(1, cols), in(2, n), cols, rows, cols));
    RUN("", "normalize_columns",
        t->normalize_columns(out(0, n), in(1, n), in(2, cols), positive(3, cols), in(4, cols), in(5, cols), 1e-3, cols,
                             rows, cols));
    RUN("", "normalize_columns",
        t->normalize_columns(out(0, n), in(1, n), NULL, positive(3, cols), NULL, NULL, 1e-3, cols, rows, cols));
    RUN("", "batch_norm_bwd",
        t->batch_norm_bwd(out(0, n), out(1, cols), out(2, cols), in(3, n), in(4, n), in(5, cols), positive(6, cols),
                          in(7, cols), 1e-3, cols, rows, cols));
    RUN("", "layer_norm_fwd",
        t->layer_norm_fwd(out(0, n), out(1, 2 * rows), in(2, n), in(3, cols), in(4, cols), 1e-3, rows, cols));
    RUN("", "layer_norm_bwd",
        t->layer_norm_bwd(out(0, n), inout(1, cols), inout(2, cols), in(3, n), in(4, n), positive(5, 2 * rows),
                          in(6, cols), rows, cols, (int)(shape % 2)));
    RUN("", "bound_columns", t->bound_columns(inout(0, n), rows, cols, 0.5, 1));
    RUN("", "bound_rows", t->bound_rows(inout(0, n), rows, cols, 0.5, 1));
}

static void gathers(size_t rows, size_t cols)
{
    static const size_t width[FNN_SRC_COUNT] = {4, 8, 1, 1, 2, 2, 4, 4, 8, 8};
    for (int source = 0; source < FNN_SRC_COUNT; source++) {
        const size_t size = width[source];
        begin("gather", fnn_source_names[source]);
        char *x = place(1, rows * cols * size, 0, 0), *index = place(2, rows * 4, 0, 0), *y = out(0, rows * cols);
        for (size_t i = 0; i < rows * cols; i++) {
            const uint64_t z = mix(i + shape);
            const double d = (double)(int64_t)z * 0x1p-60;
            if (source == FNN_SRC_float32)
                memcpy(x + i * 4, &(float){(float)d}, 4);
            else if (source == FNN_SRC_float64)
                memcpy(x + i * 8, &d, 8);
            else
                memcpy(x + i * size, &z, size); /* little-endian, as all that are supported */
        }
        for (size_t i = 0; i < rows; i++)
            memcpy(index + i * 4, &(uint32_t){(uint32_t)(rows - 1 - i)}, 4);
        t->gather(y, x, (fnn_source_id)source, (uint32_t *)index, rows, cols, (ptrdiff_t)(cols * size),
                  (ptrdiff_t)size);
        finish();
        t->gather(y, x, (fnn_source_id)source, NULL, rows, cols, (ptrdiff_t)size, (ptrdiff_t)(rows * size));
        finish();
    }
}

static void rows_and_columns(size_t rows, size_t cols)
{
    const size_t n = rows * cols;
    for (int a = 0; a < FNN_ACT_COUNT; a++) {
        RUN("activation", fnn_act_names[a], t->act_fwd[a](out(0, n), in(1, n), rows, cols, 0.5));
        RUN("activation bwd", fnn_act_names[a], t->act_bwd[a](out(0, n), in(1, n), in(2, n), rows, cols, 0.5));
    }
    losses(rows, cols);
    normalizations(rows, cols);
    gathers(rows, cols);
    for (int m = 0; m < FNN_METRIC_COUNT; m++)
        VALUE("metric", fnn_metric_names[m], t->metric_count[m](in(0, n), in(1, n), NULL, rows, cols, 0.5));
    VALUE("metric", "labels",
          t->metric_count[FNN_METRIC_categorical](in(0, n), NULL, labels(1, rows, cols), rows, cols, 0));
    RUN("", "argmax_rows", t->argmax_rows(words(0, rows), in(1, n), rows, cols));
    VALUE("", "top_k_count", t->top_k_count(in(0, n), labels(1, rows, cols), rows, cols, 1 + rows % cols));
    RUN("", "yes_counts_acc", t->yes_counts_acc(words(0, 6 * cols), in(1, n), in(2, n), rows, cols, 0.5, 0.5));
    RUN("", "error_sums_acc",
        t->error_sums_acc(words(0, 8 * cols), scratch(3, 8 * cols), in(1, n), in(2, n), rows, cols));
    RUN("", "column_sums", t->column_sums(inout(0, cols), in(1, n), rows, cols, (int)(shape % 2)));
    RUN("", "residual", t->residual(out(0, n), in(1, n), in(2, n), NULL, rows, cols, 0.1));
    RUN("", "residual", t->residual(out(0, n), in(1, n), NULL, labels(2, rows, cols), rows, cols, 0.1));
    RUN("", "one_hot", t->one_hot(out(0, n), labels(1, rows, cols), rows, cols, 0.1, 0.9));
    RUN("", "scale_rows", t->scale_rows(out(0, n), in(1, n), in(2, rows), rows, cols));
    RUN("", "transpose", t->transpose(out(0, n), rows, in(1, n), cols, rows, cols));
}

static void arrays(size_t n)
{
    static const double p[8] = {0.3, 0.9, 0.99, 0.01};
    for (int o = 0; o < FNN_OPT_COUNT; o++) {
        begin("optimizer", fnn_opt_names[o]);
        void *s[FNN_MOST_STATES] = {state(2, n), state(3, n), state(4, n)};
        double h[FNN_OPT_CONSTANTS];
        fnn_opt_constants((fnn_opt_id)o, h, 0.1, p, 1 + shape);
        t->opt_step[o](inout(0, n), s, in(1, n), n, h);
        finish();
    }
    VALUE("", "penalty", t->penalty(in(0, n), n, 0.1, 0.2));
    RUN("", "penalty_grad_acc", t->penalty_grad_acc(inout(0, n), in(1, n), n, 0.1, 0.2));
    RUN("", "affine", t->affine(out(0, n), in(1, n), n, 2.1, 1.3));
    RUN("", "clip", t->clip(inout(0, n), n, 0.5));
    RUN("", "multiply", t->multiply(out(0, n), in(1, n), in(2, n), n));
    RUN("", "dropout", t->dropout(out(0, n), out(1, n), in(2, n), n, n % 70, 7, 3, 5, 0x4000, 1.25));
    RUN("", "alpha_dropout",
        t->alpha_dropout(out(0, n), out(1, n), in(2, n), n, n % 70, 7, 3, 5, 0x4000, 1.1, 0.1, -0.2));
    RUN("", "gaussian", t->gaussian(out(0, n), NULL, in(2, n), n, n % 70, 7, 3, 5, 0.1));
    RUN("", "gaussian", t->gaussian(out(0, n), out(1, n), in(2, n), n, n % 70, 7, 3, 5, 0.1));
    begin("", "twister_dropout");
    uint32_t *twister = words(2, 625);
    for (uint32_t i = 0; i < 625; i++)
        memcpy((char *)twister + i * 4, &(uint32_t){i < 624 ? (uint32_t)mix(i) : 624}, 4);
    t->twister_dropout(out(0, n), out(1, n), in(3, n), n, twister, (uint64_t)1 << 52, 2, 0);
    finish();
    RUN("", "add", t->add(out(0, n), in(1, n), in(2, n), n));
    RUN("", "average", t->average(inout(0, n), in(1, n), n, 0.9));
    RUN("", "add_scaled", t->add_scaled(out(0, n), in(1, n), in(2, n), n, 0.3));
    VALUE("", "inner_product", t->inner_product(in(0, n), in(1, n), n));
    VALUE("", "largest", t->largest(in(0, n), n));
    VALUE("", "sum", t->sum(0.1, in(0, n), n));
    VALUE("", "all_finite", t->all_finite(in(0, n), n));
    RUN("", "map_exp", t->map_exp(out(0, n), in(1, n), n));
    RUN("", "map_log", t->map_log(out(0, n), in(1, n), n));
    RUN("", "map_erf", t->map_erf(out(0, n), in(1, n), n));
    RUN("", "fnn_normal", fnn_normal(words(0, 2 * n), n, shape, 3, 5)); /* of no table, but of the contract */
}

/* b (k, n) as session.c lays it out for dense_row and fnn_gemm_panels */
static char *panels(int slot, const char *b, size_t k, size_t n)
{
    char *made = scratch(slot, k * (n + 2 * t->lanes * FNN_PANEL) * t->itemsize), *to = made;
    for (size_t at = 0, width; at < n; at += width) {
        width = fnn_panel_columns(t, n - at);
        for (size_t p = 0; p < k; p++, to += width * t->itemsize)
            memcpy(to, b + (p * n + at) * t->itemsize, (n - at < width ? n - at : width) * t->itemsize);
    }
    return made;
}

static void product_of(int form, size_t m, size_t n, size_t k, int with_bias)
{
    static const char *const forms[] = {"a.b", "a'.b", "a.b'"};
    void *ws = scratch(11, fnn_gemm_workspace(t, m, n, k));
    for (int kind = FNN_EPI_NONE; kind <= FNN_EPI_BACKWARD; kind++) {
        begin("product", forms[form]);
        void *c = inout(0, m * n);
        const fnn_act_id act = shape % 2 ? FNN_ACT_relu : FNN_ACT_tanh;
        const fnn_epilogue e = {.kind = (fnn_epilogue_kind)kind,
                                .act = act,
                                .y = c,
                                .saved = in(1, m * n),
                                .sums = k % 2 ? inout(5, n) : NULL,
                                .sums_go_on = (int)(n % 2)};
        const fnn_rule rule = form != 1 ? FNN_BY_WIDTH : m % 2 ? FNN_SEQUENTIAL : FNN_CONTINUED;
        fnn_gemm(t, c, in(2, m * k), form == 1 ? 1 : k, form == 1 ? m : 1, in(3, k * n), form == 2 ? 1 : n,
                 form == 2 ? k : 1, m, n, k, with_bias ? in(4, n) : NULL, rule, &e, ws);
        finish();
    }
}

/* what only large products do: they are turned around, strips of a are copied by rows, with k cut, and by columns, and
 * there is a second block of columns */
static void large_products(void)
{
    product_of(2, 16, 257, 33, 0);
    product_of(2, 64, 1024, 300, 0);
    product_of(0, 33, 200, 1200, 1);
    product_of(1, 1100, 200, 40, 0);
    product_of(0, 17, 2100, 20, 1);
    product_of(2, 17, 2100, 20, 1);
}

static void products(size_t m, size_t n, size_t k)
{
    for (int form = 0; form < 3; form++)
        product_of(form, m, n, k, form == 0 || (form == 2 && n % 2 == 0));
    begin("product", "a.b' of few, gated and summed");
    const size_t few_k = 1 + k % 16, bytes = n * t->itemsize;
    void *c = inout(0, m * n), *sums = inout(5, n), *apart = scratch(6, bytes);
    const fnn_epilogue gated = {.kind = FNN_EPI_BACKWARD,
                                .saved = in(1, m * n),
                                .act = FNN_ACT_relu,
                                .y = c,
                                .sums = sums,
                                .sums_go_on = (int)(n % 2)};
    memcpy(apart, sums, bytes);
    fnn_gemm(t, c, in(2, m * few_k), few_k, 1, in(3, few_k * n), 1, few_k, m, n, few_k, NULL, FNN_BY_WIDTH, &gated,
             scratch(11, fnn_gemm_workspace(t, m, n, few_k)));
    t->column_sums(apart, c, m, n, gated.sums_go_on);
    if (memcmp(apart, sums, bytes) != 0) {
        fprintf(stderr, "%s: the sums of a %zu x %zu x %zu product are not those of its columns\n", t->isa, m, n,
                few_k);
        exit(1);
    }
    finish();
    const size_t whole = (n + t->lanes - 1) / t->lanes * t->lanes;
    for (int columns = 0; columns < 2; columns++) {
        begin("gemm_block of", columns ? "pack_columns" : "pack_rows");
        const fnn_finish end = {.bias = in(5, n), .sums = inout(4, n), .sums_go_on = (int)(n % 2)};
        void *packed = scratch(3, k * whole * t->itemsize);
        (columns ? t->pack_columns : t->pack_rows)(packed, in(2, k * n), columns ? k : n, k, n);
        t->gemm_block(inout(0, m * n), n, in(1, m * k), k, 1, packed, 0, m, n, k, &end, (int)(shape % 2));
        finish();
    }
    const size_t few = 1 + n % (FNN_NARROW - 1);
    RUN("", "dot_rows", t->dot_rows(out(0, m * few), in(1, m * k), k, in(2, few * k), k, m, few, k, in(3, few)));
    if (n < FNN_NARROW)
        return;
    begin("", "dense_row");
    char *b = panels(3, in(2, k * n), k, n), *bias = scratch(4, whole * t->itemsize);
    memcpy(bias, in(5, n), n * t->itemsize);
    t->dense_row(out(0, n), in(1, k), b, bias, n, k, (int)(shape % 2), NULL, 0);
    finish();
    begin("", "dense_row of nonzeros");
    b = panels(3, in(2, k * n), k, n);
    char *x = in(1, k), *at = words(5, k + FNN_LIST_SLACK);
    for (size_t i = 0; i < k; i += 1 + i % 3)
        memset(x + i * t->itemsize, 0, t->itemsize);
    const size_t count = t->nonzeros((uint32_t *)(void *)at, x, k);
    slots[5].count = count;
    t->dense_row(out(0, n), x, b, bias, n, k, (int)(shape % 2), (uint32_t *)(void *)at, count);
    finish();
    begin("", "fnn_gemm_panels");
    b = panels(3, in(2, k * n), k, n);
    fnn_gemm_panels(t, out(0, m * n), in(1, m * k), b, m, n, k, bias, NULL, scratch(6, fnn_panels_workspace(t, m, k)));
    finish();
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    for (int i = 0; i < SLOTS; i++)
        if (!(slots[i].room = malloc(ROOM)))
            return 4;
    for (int isa = 0; isa < FNN_ISA_COUNT; isa++) {
        const char *name = fnn_isa_names[isa];
        const int in_contract = strcmp(name, "sse2") && fnn_isa_supported((fnn_isa_id)isa);
        if (strcmp(argv[1], "contract") ? strcmp(argv[1], name) : !in_contract)
            continue;
        for (int dtype = FNN_F32; dtype <= FNN_F64; dtype++) {
            t = fnn_table((fnn_isa_id)isa, (fnn_dtype)dtype);
            known = 0;
            for (shape = 0; shape < (size_t)atoi(argv[2]); shape++) {
                const size_t rows = 1 + shape * 37 % 23, cols = shape < 100 ? shape + 1 : 1 + shape * 61 % 300;
                arrays(shape < 150 ? shape + 1 : shape * 11);
                rows_and_columns(rows, cols);
                products(1 + shape * 7 % 37, 1 + shape * 13 % 83, 1 + shape * shape * 5 % 701);
            }
            large_products();
            for (now = results; now < results + known; now++)
                printf("%s %s %016llx %.17g %s%s%s\n", name, dtype ? "float64" : "float32",
                       (unsigned long long)now->hash, now->sum, now->prefix, *now->prefix ? " " : "", now->name);
        }
    }
    return 0;
}
