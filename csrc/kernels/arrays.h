/* arrays.h - the plain passes over arrays: sums over the batch, penalties, scaling, masks, gathering. */

#define COLUMNS_AT_ONCE 4

/* V vectors of columns at once: each is one chain of additions, and a single one would wait for itself */
FNN_INLINE void column_sums_of(real *sums, const real *x, size_t ld, size_t rows, size_t last, int go_on, const int V)
{
    vf s[COLUMNS_AT_ONCE];
    for (int v = 0; v < V; v++)
        s[v] = go_on ? load_live(sums + v * VF_LANES, v < V - 1 ? VF_LANES : last) : vf_zero();
    for (size_t i = 0; i < rows; i++, x += ld)
        for (int v = 0; v < V; v++)
            s[v] = vf_add(s[v], load_live(x + v * VF_LANES, v < V - 1 ? VF_LANES : last));
    for (int v = 0; v < V; v++)
        vf_store_part(sums + v * VF_LANES, s[v], v < V - 1 ? VF_LANES : last);
}

/* of a part of a matrix: rows of ld */
FNN_INLINE void column_sums_in(real *sums, const real *x, size_t ld, size_t rows, size_t cols, int go_on)
{
    size_t j = 0;
    for (; j + COLUMNS_AT_ONCE * VF_LANES <= cols; j += COLUMNS_AT_ONCE * VF_LANES)
        column_sums_of(sums + j, x + j, ld, rows, VF_LANES, go_on, COLUMNS_AT_ONCE);
    for (; j < cols; j += VF_LANES)
        column_sums_of(sums + j, x + j, ld, rows, cols - j < VF_LANES ? cols - j : VF_LANES, go_on, 1);
}

static void column_sums(void *sums, const void *x, size_t rows, size_t cols, int go_on)
{
    column_sums_in(sums, x, cols, rows, cols, go_on);
}

FNN_INLINE vf absolute(vf a, vf b)
{
    (void)b;
    return vf_abs(a);
}

static double penalty(const void *w, size_t n, double l1, double l2)
{
    double s = 0;
    if (l1 != 0)
        s += l1 * (double)reduce1_with(absolute, w, n, 0);
    if (l2 != 0)
        s += l2 * (double)dot(w, w, n);
    return s;
}

/* the book's subgradient of |w|: 1 at 0 */
static void penalty_grad_acc(void *vdw, const void *vw, size_t n, double l1, double l2)
{
    real *dw = vdw;
    const real *w = vw;
    vf a = vf_set1((real)l1), minus_a = vf_neg(a), b = vf_set1((real)(2 * l2));
    for (size_t i = 0; i < n; i += VF_LANES) {
        size_t lanes = n - i < VF_LANES ? n - i : VF_LANES;
        vf x = lanes == VF_LANES ? vf_load(w + i) : vf_load_part(w + i, lanes);
        vf g = lanes == VF_LANES ? vf_load(dw + i) : vf_load_part(dw + i, lanes);
        g = vf_add(g, vf_select(vf_lt(x, vf_zero()), minus_a, a));
        g = vf_fma(b, x, g);
        if (lanes == VF_LANES)
            vf_store(dw + i, g);
        else
            vf_store_part(dw + i, g, lanes);
    }
}

static void affine(void *vy, const void *vx, size_t n, double scale, double shift)
{
    real *y = vy;
    const real *x = vx;
    vf s = vf_set1((real)scale), t = vf_set1((real)shift);
    size_t i = 0;
    for (; i + VF_LANES <= n; i += VF_LANES)
        vf_store(y + i, vf_fma(vf_load(x + i), s, t));
    if (i < n)
        vf_store_part(y + i, vf_fma(vf_load_part(x + i, n - i), s, t), n - i);
}

FNN_INLINE vf clipped(vf x, vf limit) { return vf_max(vf_neg(limit), vf_min(limit, x)); }
static void clip(void *x, size_t n, double limit) { map1_with(clipped, x, x, n, (real)limit); }

FNN_INLINE vf sum_of(vf a, vf b) { return vf_add(a, b); }
static void add(void *y, const void *a, const void *b, size_t n) { map2(sum_of, y, a, b, n); }

FNN_INLINE vf product_of(vf a, vf b) { return vf_mul(a, b); }
static void multiply(void *y, const void *a, const void *b, size_t n) { map2(product_of, y, a, b, n); }

/* --- gather: one loop for each source type, dense rows apart so that they become vectors --- */
#define DEFINE_GATHER(name, type)                                                                                      \
    FNN_INLINE void gather_row_##name(real *y, const char *x, size_t cols, ptrdiff_t col_bytes)                        \
    {                                                                                                                  \
        type v;                                                                                                        \
        if (col_bytes == (ptrdiff_t)sizeof v)                                                                          \
            for (size_t j = 0; j < cols; j++) {                                                                        \
                __builtin_memcpy(&v, x + j * sizeof v, sizeof v);                                                      \
                y[j] = (real)v;                                                                                        \
            }                                                                                                          \
        else                                                                                                           \
            for (size_t j = 0; j < cols; j++) {                                                                        \
                __builtin_memcpy(&v, x + (ptrdiff_t)j * col_bytes, sizeof v);                                          \
                y[j] = (real)v;                                                                                        \
            }                                                                                                          \
    }
FNN_SOURCES(DEFINE_GATHER)

static void gather(void *vy, const void *x, fnn_source_id source, const uint32_t *index, size_t rows, size_t cols,
                   ptrdiff_t row_bytes, ptrdiff_t col_bytes)
{
    real *y = vy;
    for (size_t i = 0; i < rows; i++) {
        const char *row = (const char *)x + (ptrdiff_t)(index ? index[i] : i) * row_bytes;
        switch (source) {
#define GATHER_CASE(name, type)                                                                                        \
    case FNN_SRC_##name: gather_row_##name(y + i * cols, row, cols, col_bytes); break;
            FNN_SOURCES(GATHER_CASE)
        default: break;
        }
    }
}

static double sum(double s, const void *vx, size_t n)
{
    const real *x = vx;
    for (size_t i = 0; i < n; i++)
        s += (double)x[i];
    return s;
}

static int all_finite(const void *vx, size_t n)
{
    const real *x = vx;
    fnn_bits exponent = (((fnn_bits)1 << (FNN_BITS - 1 - FNN_MANTISSA_BITS)) - 1) << FNN_MANTISSA_BITS, bad = 0;
    for (size_t i = 0; i < n; i++) {
        fnn_bits b;
        __builtin_memcpy(&b, x + i, sizeof b);
        bad |= (fnn_bits)((b & exponent) == exponent);
    }
    return !bad;
}

static void map_exp(void *y, const void *x, size_t n) { map1(vf_exp, y, x, n); }
static void map_log(void *y, const void *x, size_t n) { map1(vf_log, y, x, n); }
static void map_erf(void *y, const void *x, size_t n) { map1(vf_erf, y, x, n); }

/* 12 independent chains: enough for two FMA units of latency 4 to 6. The result is used, so nothing is dropped. */
static double fma_peak(size_t repeats)
{
    vf a[12], x = vf_set1((real)0.999), y = vf_set1((real)1e-3);
    for (int i = 0; i < 12; i++)
        a[i] = vf_set1((real)i);
    for (size_t r = 0; r < repeats; r++)
#pragma GCC unroll 12
        for (int i = 0; i < 12; i++)
            a[i] = vf_fma(a[i], x, y);
    real used = 0;
    for (int i = 0; i < 12; i++)
        used += vf_max_tree(a[i]);
    return (double)repeats * 24.0 * VF_LANES + (used > (real)1e30 ? 1.0 : 0.0);
}
