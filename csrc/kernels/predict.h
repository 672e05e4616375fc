/* predict.h - one row of a dense layer, from panels that were laid out for it (session.c): a tile of one row and up to
 * FNN_PANEL vectors, whose chains side by side hide the latency of a fused multiply-add, over weights in one straight line.
 * (Calling them up ahead gains nothing in the second-level cache and loses a quarter beyond it.) Or over those weights
 * alone whose x is not 0: reading the others is most of what a product with blank pixels costs. */
typedef void listed_fn(real *y, const real *x, const real *panel, const uint32_t *at, size_t count, size_t last,
                       const tile_finish *end);

/* A product with 0 that is left out changes no bit where session.c allows it. */
FNN_INLINE void listed_product(real *y, const real *x, const real *panel, const uint32_t *at, size_t count, size_t last,
                               const tile_finish *end, const int V)
{
    vf acc[1][8];
    for (int j = 0; j < V; j++)
        acc[0][j] = vf_zero();
#pragma GCC unroll 4
    for (size_t i = 0; i < count; i++) {
        const size_t p = at[i];
        const vf xp = vf_set1(x[p]);
#pragma GCC unroll 8
        for (int j = 0; j < V; j++)
            acc[0][j] = vf_fma(xp, vf_load(panel + (p * V + (size_t)j) * VF_LANES), acc[0][j]);
    }
    tile_end(y, 0, acc, last, end, 1, V);
}

/* R(V): vectors in a panel; last: live lanes of the last vector */
#define LISTED(R) R(1) R(2) R(3) R(4) R(5) R(6) R(7) R(8)
#define DEFINE_LISTED(V)                                                                                               \
    static void listed_##V(real *y, const real *x, const real *panel, const uint32_t *at, size_t count, size_t last,   \
                           const tile_finish *end)                                                                     \
    {                                                                                                                  \
        listed_product(y, x, panel, at, count, last, end, V);                                                          \
    }
LISTED(DEFINE_LISTED)
#define LISTED_ENTRY(V) [V] = listed_##V,
static listed_fn *const listed_of[FNN_PANEL + 1] = {LISTED(LISTED_ENTRY)};

static void dense_row(void *vy, const void *vx, const void *vpanels, const void *vbias, size_t n, size_t k, int relu,
                      const uint32_t *at, size_t count)
{
    real *y = vy;
    const real *panel = vpanels, *bias = vbias;
    while (n > 0) {
        const size_t width = fnn_panel_vectors((n + VF_LANES - 1) / VF_LANES), cols = width * VF_LANES;
        const size_t live = n < cols ? n : cols, last = live - (width - 1) * VF_LANES;
        const tile_finish end = {.bias = bias, .relu = relu};
        if (at)
            listed_of[width](y, vx, panel, at, count, last, &end);
        else
            tiles_by_row[1][width](y, 0, vx, 0, panel, cols, k, last, &end, 0);
        y += cols;
        bias += cols;
        panel += cols * k;
        n -= live;
    }
}

static size_t nonzeros(uint32_t *at, const void *vx, size_t n)
{
    const real *x = vx;
    size_t count = 0, i = 0;
#ifdef VF_HAS_LIST
    for (; i < n; i += VF_LANES) {
        const size_t lanes = n - i < VF_LANES ? n - i : VF_LANES;
        count +=
            vf_list_nonzeros(at + count, lanes == VF_LANES ? vf_load(x + i) : vf_load_part(x + i, lanes), (uint32_t)i);
    }
#endif
    for (; i < n; i++) { /* without a branch: what it would do cannot be foreseen */
        at[count] = (uint32_t)i;
        count += x[i] != 0;
    }
    return count;
}
