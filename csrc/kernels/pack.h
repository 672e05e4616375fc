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

/* --- products with fewer columns than FNN_NARROW: 16 chains along k for each element of c --- */

/* the chains of N elements of a row of c, all over one reading of a, each folded to one vector: v[0 .. N) */
FNN_INLINE void narrow_chains(vf *v, const real *a, const real *bt, size_t ldb, size_t k, const int N)
{
    chains s[FNN_NARROW];
    size_t p = 0;
    for (int j = 0; j < N; j++)
        s[j] = chains_zero();
    for (; p + CHAINS <= k; p += CHAINS)
        for (int i = 0; i < CHAIN_VECTORS; i++) {
            vf ai = vf_load(a + p + i * VF_LANES);
            for (int j = 0; j < N; j++)
                s[j].v[i] = vf_fma(ai, vf_load(bt + (size_t)j * ldb + p + i * VF_LANES), s[j].v[i]);
        }
    for (int i = 0; i < CHAIN_VECTORS; i++) { /* dead lanes add 0 * 0 */
        size_t lanes = chain_lanes(k - p, i);
        if (!lanes)
            break;
        vf ai = vf_load_part(a + p + i * VF_LANES, lanes);
        for (int j = 0; j < N; j++)
            s[j].v[i] = vf_fma(ai, vf_load_part(bt + (size_t)j * ldb + p + i * VF_LANES, lanes), s[j].v[i]);
    }
    for (int j = 0; j < N; j++)
        v[j] = chains_fold(s[j]);
}

/* up to four columns: the tree within each vector costs less than a queue */
FNN_INLINE void narrowest_rows(real *c, const real *a, size_t lda, const real *bt, size_t ldb, size_t m, size_t k,
                               const real *bias, const int N)
{
    for (size_t i = 0; i < m; i++, c += N) {
        vf v[FNN_NARROW];
        narrow_chains(v, a + i * lda, bt, ldb, k, N);
        for (int j = 0; j < N; j++)
            c[j] = bias ? vf_sum_tree(v[j]) + bias[j] : vf_sum_tree(v[j]);
    }
}

/* VF_LANES elements at once: their vectors of chains are transposed, so that the rest of the tree runs down vectors */
FNN_INLINE vf narrow_join(vf *v)
{
    vf_transpose(v);
    for (size_t half = VF_LANES / 2; half > 0; half /= 2)
        for (size_t i = 0; i < half; i++)
            v[i] = vf_add(v[i], v[i + half]);
    return v[0];
}

/* c is dense, so its elements are worked on as one row: vectors of chains queue up, and leave VF_LANES at a time */
FNN_INLINE void narrow_rows(real *c, const real *a, size_t lda, const real *bt, size_t ldb, size_t m, size_t k,
                            const real *bias, const int N)
{
    vf queue[VF_LANES + FNN_NARROW];
    real repeated[VF_LANES + FNN_NARROW]; /* the bias, ready to be loaded from any column on */
    size_t waiting = 0, done = 0, n = (size_t)N;
    for (size_t j = 0; j < VF_LANES + FNN_NARROW; j++)
        repeated[j] = bias ? bias[j % n] : 0;
    for (size_t i = 0; i < m; i++) {
        narrow_chains(queue + waiting, a + i * lda, bt, ldb, k, N);
        waiting += n;
        if (waiting < VF_LANES && i + 1 < m)
            continue;
        while (waiting >= VF_LANES || (waiting && i + 1 == m)) {
            size_t live = waiting < VF_LANES ? waiting : VF_LANES;
            vf rest[FNN_NARROW];
            for (size_t j = 0; j < waiting - live; j++)
                rest[j] = queue[VF_LANES + j];
            for (size_t j = live; j < VF_LANES; j++)
                queue[j] = vf_zero();
            vf y = narrow_join(queue);
            if (bias)
                y = vf_add(y, vf_load(repeated + done % n));
            vf_store_part(c + done, y, live);
            done += live;
            waiting -= live;
            for (size_t j = 0; j < waiting; j++)
                queue[j] = rest[j];
        }
    }
}

/* k <= 16: every chain has at most one product. Rows go in lanes; the tree is join_columns. */
FNN_INLINE void shallow_rows(real *c, const real *a, size_t lda, const real *bt, size_t ldb, size_t n, size_t k,
                             const real *bias)
{
    vf x[VF_LANES], s[CHAINS], y[VF_LANES];
    for (size_t r = 0; r < VF_LANES; r++)
        x[r] = vf_load_part(a + r * lda, k);
    vf_transpose(x);
    for (size_t j = 0; j < n; j++) {
        s[0] = vf_fma(x[0], vf_set1(bt[j * ldb]), vf_zero());
        for (size_t p = 1; p < k; p++)
            s[p] = vf_fma(x[p], vf_set1(bt[j * ldb + p]), vf_zero());
        y[j] = join_columns(s, k);
        if (k < CHAINS) /* an empty chain's +0 turns a sum of -0 */
            y[j] = vf_add(y[j], vf_zero());
        if (bias)
            y[j] = vf_add(y[j], vf_set1(bias[j]));
    }
    for (size_t j = n; j < VF_LANES; j++)
        y[j] = vf_zero();
    store_columns(c, y, n);
}

static void dot_rows(void *vc, const void *va, size_t lda, const void *vbt, size_t ldb, size_t m, size_t n, size_t k,
                     const void *vbias)
{
    real *c = vc;
    const real *a = va, *bt = vbt, *bias = vbias;
    if (FEW_COLUMNS(k) && n <= VF_LANES)
        for (; m >= VF_LANES; m -= VF_LANES, c += VF_LANES * n, a += VF_LANES * lda)
            shallow_rows(c, a, lda, bt, ldb, n, k, bias);
    switch (n) {
    case 1: narrowest_rows(c, a, lda, bt, ldb, m, k, bias, 1); break;
    case 2: narrowest_rows(c, a, lda, bt, ldb, m, k, bias, 2); break;
    case 3: narrowest_rows(c, a, lda, bt, ldb, m, k, bias, 3); break;
    case 4: narrowest_rows(c, a, lda, bt, ldb, m, k, bias, 4); break;
    case 5: narrow_rows(c, a, lda, bt, ldb, m, k, bias, 5); break;
    case 6: narrow_rows(c, a, lda, bt, ldb, m, k, bias, 6); break;
    case 7: narrow_rows(c, a, lda, bt, ldb, m, k, bias, 7); break;
    default: break;
    }
}
