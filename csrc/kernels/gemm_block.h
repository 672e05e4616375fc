/* gemm_block.h - the walk over one block: panels of b, and under each the tiles from top to bottom. */

#define PREFETCH_DEPTH 96 /* shorter tiles are over before it would help */

/* the rows of c that the next tile adds to, called up while this one runs */
FNN_INLINE void prefetch_rows(const real *c, size_t ldc, size_t rows, size_t cols)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j += 64 / sizeof(real))
            __builtin_prefetch(c + i * ldc + j, 1);
}

static void gemm_block(void *vc, size_t ldc, const void *va, size_t a_rs, size_t a_cs, const void *vb, size_t ldb,
                       size_t m, size_t n, size_t k, const fnn_finish *finish, int accumulate)
{
    real *c = vc;
    const real *a = va, *b = vb, *bias = finish ? finish->bias : NULL, *gate = finish ? finish->gate : NULL;
    real *sums = finish ? finish->sums : NULL;
    const int by_row = a_cs == 1;
    const size_t stride = by_row ? a_rs : a_cs, row_step = by_row ? stride : 1;
    tile_fn *const(*tiles)[9] = by_row ? tiles_by_row : tiles_by_column;
    const int shallow = k <= SHALLOW_K && m >= SHALLOW_ROWS; /* without tiles */
    const row_deal d = shallow ? (row_deal){0} : n <= VF_LANES ? deal_rows(m, FNN_MR_1) : deal_rows(m, FNN_MR);
    const int sums_along = sums && shallow && gate && !bias && !finish->relu && !accumulate;
    const size_t widest = panel_vectors(k), tallest = d.rows + (d.one_more > 0);

    for (size_t j = 0; j < n;) {
        size_t vectors = (n - j + VF_LANES - 1) / VF_LANES;
        size_t panel = ldb || vectors < widest ? vectors : widest; /* vectors in a row of the memory at hand */
        const real *bp = ldb ? b + j : b + j * k;
        size_t bp_ld = ldb ? ldb : panel * VF_LANES;
        for (size_t used = 0; used < panel;) {
            size_t width = shallow ? shallow_width(k, panel - used) : tile_width(tallest, panel - used);
            size_t cols = width * VF_LANES;
            size_t last = n - j < cols ? VF_LANES - (cols - (n - j)) : VF_LANES;
            real *ct = c + j;
            const real *at = a;
            tile_finish end = {bias ? bias + j : NULL, gate ? gate + j : NULL, finish && finish->relu,
                               sums_along ? sums + j : NULL, sums && finish->sums_go_on};
            if (shallow)
                shallows[k][width](ct, ldc, at, a_rs, a_cs, bp + used * VF_LANES, bp_ld, m, last, &end, accumulate);
            for (size_t t = 0; t < d.tiles; t++) {
                size_t r = d.rows + (t < d.one_more);
                if (k >= PREFETCH_DEPTH && t + 1 < d.tiles)
                    prefetch_rows(ct + r * ldc, ldc, r, cols);
                tiles[r][width](ct, ldc, at, stride, bp + used * VF_LANES, bp_ld, k, last, &end, accumulate);
                ct += r * ldc;
                end.gate = gate ? end.gate + r * ldc : NULL;
                at += r * row_step;
            }
            used += width;
            j += cols;
        }
    }
    if (sums && !sums_along)
        column_sums_in(sums, c, ldc, m, n, finish->sums_go_on);
}
