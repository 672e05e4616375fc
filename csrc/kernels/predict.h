/* predict.h - one row of a dense layer, from panels that were laid out for it (session.c): up to FNN_PANEL chains side by
 * side hide the latency of a fused multiply-add, and the weights are read in one straight line. The chains are those of
 * gemm_tile.h. The biases are whole vectors; no more than n values of y are written. */
#define RESIDENT_BYTES 16384 /* a panel beyond it is called up from the second-level cache, */
#define AHEAD_BYTES 1024     /* so far ahead of where it is read */

FNN_INLINE void row_product(vf *acc, const real *x, const real *panel, size_t k, const int V, const int ahead)
{
    for (int j = 0; j < V; j++)
        acc[j] = vf_zero();
#pragma GCC unroll 4
    for (size_t p = 0; p < k; p++, panel += V * VF_LANES) {
        const vf xp = vf_set1(x[p]);
        if (ahead)
            for (size_t i = 0; i < V * sizeof(vf); i += 64)
                __builtin_prefetch((const char *)panel + AHEAD_BYTES + i);
#pragma GCC unroll 8
        for (int j = 0; j < V; j++)
            acc[j] = vf_fma(xp, vf_load(panel + j * VF_LANES), acc[j]);
    }
}

/* y = x.panel + bias; last: live lanes of the last vector */
FNN_INLINE void row_panel(real *y, const real *x, const real *panel, const real *bias, size_t k, size_t last, int relu,
                          const int V)
{
    vf acc[FNN_PANEL];
    if (k * V * sizeof(vf) > RESIDENT_BYTES)
        row_product(acc, x, panel, k, V, 1);
    else
        row_product(acc, x, panel, k, V, 0);
    for (int j = 0; j < V; j++)
        acc[j] = vf_add(acc[j], vf_load(bias + j * VF_LANES));
    if (relu)
        for (int j = 0; j < V; j++)
            acc[j] = act_relu(acc[j]);
    for (int j = 0; j < V - 1; j++)
        vf_store(y + j * VF_LANES, acc[j]);
    if (last == VF_LANES)
        vf_store(y + (V - 1) * VF_LANES, acc[V - 1]);
    else
        vf_store_part(y + (V - 1) * VF_LANES, acc[V - 1], last);
}

typedef void row_fn(real *y, const real *x, const real *panel, const real *bias, size_t k, size_t last, int relu);

/* R(V): vectors in a panel */
#define ROW_PANELS(R) R(1) R(2) R(3) R(4) R(5) R(6) R(7) R(8)
#define DEFINE_ROW(V)                                                                                                  \
    static void row_##V(real *y, const real *x, const real *panel, const real *bias, size_t k, size_t last, int relu)  \
    {                                                                                                                  \
        row_panel(y, x, panel, bias, k, last, relu, V);                                                                \
    }
ROW_PANELS(DEFINE_ROW)
#define ROW_ENTRY(V) [V] = row_##V,
static row_fn *const rows_of[FNN_PANEL + 1] = {ROW_PANELS(ROW_ENTRY)};

static void dense_row(void *vy, const void *vx, const void *vpanels, const void *vbias, size_t n, size_t k, int relu)
{
    real *y = vy;
    const real *panel = vpanels, *bias = vbias;
    while (n > 0) {
        const size_t width = fnn_panel_vectors((n + VF_LANES - 1) / VF_LANES), cols = width * VF_LANES;
        const size_t live = n < cols ? n : cols;
        rows_of[width](y, vx, panel, bias, k, live - (width - 1) * VF_LANES, relu);
        y += cols;
        bias += cols;
        panel += cols * k;
        n -= live;
    }
}
