/* predict.h - one row of a dense layer, from panels that were laid out for it (session.c): a tile of one row and up to
 * FNN_PANEL vectors, whose chains side by side hide the latency of a fused multiply-add, over weights in one straight line.
 * (Calling them up ahead gains nothing in the second-level cache and loses a quarter beyond it.) */
typedef void row_fn(real *y, const real *x, const real *panel, const real *bias, size_t k, size_t last, int relu);

/* R(V): vectors in a panel; last: live lanes of the last vector */
#define ROW_PANELS(R) R(1) R(2) R(3) R(4) R(5) R(6) R(7) R(8)
#define DEFINE_ROW(V)                                                                                                  \
    static void row_##V(real *y, const real *x, const real *panel, const real *bias, size_t k, size_t last, int relu)  \
    {                                                                                                                  \
        const tile_finish end = {bias, NULL, relu};                                                                    \
        tile_product(y, 0, x, 0, 1, panel, V * VF_LANES, k, last, &end, 0, 1, V);                                      \
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
