/* pack.h - b copied into panels of a few vectors, so that a tile reads it in one straight line.
 *
 *      b (k x n)              panels: each k rows of panel_vectors(k) vectors, the last one narrower, zeros to the whole vector
 *      |p0 p0|p1 p1|p2|       [p0 row 0][p0 row 1] ... [p1 row 0][p1 row 1] ... [p2 row 0] ...
 */

static void pack_rows(void *vpanels, const void *vb, size_t ld, size_t k, size_t n)
{
    real *panels = vpanels;
    const real *b = vb;
    const size_t widest = panel_vectors(k) * VF_LANES;
    for (size_t j = 0; j < n; j += widest) {
        size_t cols = n - j < widest ? n - j : widest;
        size_t whole = cols / VF_LANES, rest = cols % VF_LANES;
        for (size_t p = 0; p < k; p++) {
            const real *row = b + p * ld + j;
            for (size_t v = 0; v < whole; v++, panels += VF_LANES)
                vf_store(panels, vf_load(row + v * VF_LANES));
            if (rest) {
                vf_store(panels, vf_load_part(row + whole * VF_LANES, rest));
                panels += VF_LANES;
            }
        }
    }
}

/* out[p][0 .. VF_LANES) = the n <= VF_LANES columns col[0], col[1], ... (stride ld), at row p < k; zeros beyond n */
FNN_INLINE void pack_vector_columns(real *out, size_t out_ld, const real *col, size_t ld, size_t k, size_t n)
{
    vf block[VF_LANES];
    for (size_t p = 0; p < k; p += VF_LANES) {
        size_t rows = k - p < VF_LANES ? k - p : VF_LANES;
        if (rows == VF_LANES && n >= VF_LANES) {
            vf_transpose_block(out + p * out_ld, out_ld, col + p, ld);
            continue;
        }
        for (size_t j = 0; j < VF_LANES; j++)
            block[j] = j >= n             ? vf_zero()
                       : rows == VF_LANES ? vf_load(col + j * ld + p)
                                          : vf_load_part(col + j * ld + p, rows);
        vf_transpose(block);
        for (size_t i = 0; i < rows; i++)
            vf_store(out + (p + i) * out_ld, block[i]);
    }
}

static void pack_columns(void *vpanels, const void *vb, size_t ld, size_t k, size_t n)
{
    real *panels = vpanels;
    const real *b = vb;
    const size_t widest = panel_vectors(k) * VF_LANES;
    for (size_t j = 0; j < n; j += widest) {
        size_t cols = n - j < widest ? n - j : widest;
        size_t vectors = (cols + VF_LANES - 1) / VF_LANES, width = vectors * VF_LANES;
        for (size_t v = 0; v < vectors; v++) {
            size_t live = cols - v * VF_LANES < VF_LANES ? cols - v * VF_LANES : VF_LANES;
            pack_vector_columns(panels + v * VF_LANES, width, b + (j + v * VF_LANES) * ld, ld, k, live);
        }
        panels += width * k;
    }
}

static void transpose(void *vb, size_t ldb, const void *va, size_t lda, size_t m, size_t n)
{
    real *b = vb;
    const real *a = va;
    if (m < VF_LANES && ldb == m) { /* a few long rows become short ones */
        for (size_t j = 0; j < n; j += VF_LANES) {
            vf v[VF_LANES];
            const size_t live = n - j < VF_LANES ? n - j : VF_LANES;
            for (size_t i = 0; i < m; i++)
                v[i] = live == VF_LANES ? vf_load(a + i * lda + j) : vf_load_part(a + i * lda + j, live);
            store_columns(b + j * ldb, v, live, m);
        }
        return;
    }
    for (size_t j = 0; j < n; j += VF_LANES) {
        size_t cols = n - j < VF_LANES ? n - j : VF_LANES, i = 0;
        for (vf v[VF_LANES]; i + VF_LANES <= m; i += VF_LANES) {
            if (cols == VF_LANES) {
                vf_transpose_block(b + j * ldb + i, ldb, a + i * lda + j, lda);
                continue;
            }
            load_columns(v, a + i * lda + j, lda, VF_LANES, cols);
            for (size_t c = 0; c < cols; c++)
                vf_store(b + (j + c) * ldb + i, v[c]);
        }
        for (; i < m; i++)
            for (size_t c = 0; c < cols; c++)
                b[(j + c) * ldb + i] = a[i * lda + j + c];
    }
}
