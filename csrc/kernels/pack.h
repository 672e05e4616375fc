/* pack.h - b copied into panels of FNN_NV vectors, so that a tile reads it in one straight line, and the small products
 * whose chains run along rows.
 *
 *      b (k x n)              panels: each k rows of FNN_NV vectors, the last one narrower, zeros to the whole vector
 *      |p0 p0|p1 p1|p2|       [p0 row 0][p0 row 1] ... [p1 row 0][p1 row 1] ... [p2 row 0] ...
 */

static void pack_rows(void *vpanels, const void *vb, size_t ld, size_t k, size_t n)
{
    real *panels = vpanels;
    const real *b = vb;
    for (size_t j = 0; j < n; j += FNN_NV * VF_LANES) {
        size_t cols = n - j < FNN_NV * VF_LANES ? n - j : FNN_NV * VF_LANES;
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
    for (size_t j = 0; j < n; j += FNN_NV * VF_LANES) {
        size_t cols = n - j < FNN_NV * VF_LANES ? n - j : FNN_NV * VF_LANES;
        size_t vectors = (cols + VF_LANES - 1) / VF_LANES, width = vectors * VF_LANES;
        for (size_t v = 0; v < vectors; v++) {
            size_t live = cols - v * VF_LANES < VF_LANES ? cols - v * VF_LANES : VF_LANES;
            pack_vector_columns(panels + v * VF_LANES, width, b + (j + v * VF_LANES) * ld, ld, k, live);
        }
        panels += width * k;
    }
}

static void transpose(void *vb, const void *va, size_t lda, size_t m, size_t n)
{
    real *b = vb;
    const real *a = va;
    for (size_t j = 0; j < n; j += VF_LANES) {
        size_t cols = n - j < VF_LANES ? n - j : VF_LANES, i = 0;
        for (vf v[VF_LANES]; i + VF_LANES <= m; i += VF_LANES) {
            for (size_t r = 0; r < VF_LANES; r++)
                v[r] = cols == VF_LANES ? vf_load(a + (i + r) * lda + j) : vf_load_part(a + (i + r) * lda + j, cols);
            vf_transpose(v);
            for (size_t c = 0; c < cols; c++)
                vf_store(b + (j + c) * m + i, v[c]);
        }
        for (; i < m; i++)
            for (size_t c = 0; c < cols; c++)
                b[(j + c) * m + i] = a[i * lda + j + c];
    }
}

/* N columns of one row of c: the chains of all N run together over one reading of a */
FNN_INLINE void dot_columns(real *c, const real *a, const real *bt, size_t ldb, size_t k, const real *bias, const int N)
{
    chains s[4];
    for (int j = 0; j < N; j++)
        s[j] = chains_zero();
    size_t p = 0;
    for (; p + CHAINS <= k; p += CHAINS)
        for (int v = 0; v < CHAIN_VECTORS; v++) {
            vf av = vf_load(a + p + v * VF_LANES);
            for (int j = 0; j < N; j++)
                s[j].v[v] = vf_fma(av, vf_load(bt + (size_t)j * ldb + p + v * VF_LANES), s[j].v[v]);
        }
    for (int v = 0; v < CHAIN_VECTORS; v++) {
        size_t lanes = chain_lanes(k - p, v);
        if (!lanes)
            break;
        vf av = vf_load_part(a + p + v * VF_LANES, lanes);
        for (int j = 0; j < N; j++)
            s[j].v[v] = vf_fma(av, vf_load_part(bt + (size_t)j * ldb + p + v * VF_LANES, lanes), s[j].v[v]);
    }
    for (int j = 0; j < N; j++) {
        real y = chains_join(s[j]);
        c[j] = bias ? y + bias[j] : y;
    }
}

static void dot_rows(void *vc, size_t ldc, const void *va, size_t lda, const void *vbt, size_t ldb, size_t m, size_t n,
                     size_t k, const void *vbias)
{
    for (size_t i = 0; i < m; i++) {
        real *c = (real *)vc + i * ldc;
        const real *a = (const real *)va + i * lda, *bt = vbt, *bias = vbias;
        size_t j = 0;
        for (; j + 4 <= n; j += 4)
            dot_columns(c + j, a, bt + j * ldb, ldb, k, bias ? bias + j : NULL, 4);
        const real *rest = bias ? bias + j : NULL;
        switch (n - j) {
        case 3: dot_columns(c + j, a, bt + j * ldb, ldb, k, rest, 3); break;
        case 2: dot_columns(c + j, a, bt + j * ldb, ldb, k, rest, 2); break;
        case 1: dot_columns(c + j, a, bt + j * ldb, ldb, k, rest, 1); break;
        default: break;
        }
    }
}
