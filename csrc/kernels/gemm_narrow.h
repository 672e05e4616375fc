/* gemm_narrow.h - products with fewer columns than FNN_NARROW: 16 chains along k for each element of c, joined by the tree
 * of reduce.h. VF_LANES rows go together, so that the tree too runs in vectors. */

/* rows whose chains fill half of the registers at four columns */
#define NARROW_ROWS (FNN_REGISTERS / 2 / (4 * CHAIN_VECTORS) > 1 ? FNN_REGISTERS / 2 / (4 * CHAIN_VECTORS) : 1)

/* the chains of N elements of R rows of c, all over one reading of a and bt, each folded to one vector: element j of row r
 * in v[j * VF_LANES + r] */
FNN_INLINE void narrow_chains(vf *v, const real *a, size_t lda, const real *bt, size_t ldb, size_t k, const int R,
                              const int N)
{
    chains s[NARROW_ROWS][FNN_NARROW];
    size_t p = 0;
    for (int r = 0; r < R; r++)
        for (int j = 0; j < N; j++)
            s[r][j] = chains_zero();
    for (; p + CHAINS <= k; p += CHAINS)
        for (int i = 0; i < CHAIN_VECTORS; i++) {
            vf b[FNN_NARROW];
            for (int j = 0; j < N; j++) {
                b[j] = vf_load(bt + (size_t)j * ldb + p + i * VF_LANES);
                if (R > 1)
                    VF_HOLD(b[j]);
            }
            for (int r = 0; r < R; r++) {
                vf ar = vf_load(a + (size_t)r * lda + p + i * VF_LANES);
                VF_HOLD(ar);
                for (int j = 0; j < N; j++)
                    s[r][j].v[i] = vf_fma(ar, b[j], s[r][j].v[i]);
            }
        }
    for (int i = 0; i < CHAIN_VECTORS; i++) { /* dead lanes add 0 * 0 */
        size_t lanes = chain_lanes(k - p, i);
        vf b[FNN_NARROW];
        if (!lanes)
            break;
        for (int j = 0; j < N; j++)
            b[j] = vf_load_part(bt + (size_t)j * ldb + p + i * VF_LANES, lanes);
        for (int r = 0; r < R; r++) {
            vf ar = vf_load_part(a + (size_t)r * lda + p + i * VF_LANES, lanes);
            for (int j = 0; j < N; j++)
                s[r][j].v[i] = vf_fma(ar, b[j], s[r][j].v[i]);
        }
    }
    for (int r = 0; r < R; r++)
        for (int j = 0; j < N; j++)
            v[j * VF_LANES + r] = chains_fold(s[r][j]);
}

FNN_INLINE void narrow_rows(real *c, const real *a, size_t lda, const real *bt, size_t ldb, size_t m, size_t k,
                            const real *bias, const int N)
{
    const int at_once = N <= 4 || NARROW_ROWS == 1 ? NARROW_ROWS : NARROW_ROWS / 2;
    for (; m >= VF_LANES; m -= VF_LANES, c += VF_LANES * N, a += VF_LANES * lda) {
        vf v[FNN_NARROW * VF_LANES], y[VF_LANES > FNN_NARROW ? VF_LANES : FNN_NARROW];
        for (int r = 0; r < VF_LANES; r += at_once)
            narrow_chains(v + r, a + (size_t)r * lda, lda, bt, ldb, k, at_once, N);
        for (int j = 0; j < N; j++) {
            y[j] = vf_join(v + j * VF_LANES);
            if (bias)
                y[j] = vf_add(y[j], vf_set1(bias[j]));
        }
        if (N <= VF_LANES)
            store_columns(c, y, VF_LANES, (size_t)N);
        else /* fewer lanes than columns */
            for (int j = 0; j < N; j++) {
                real part[VF_LANES];
                vf_store(part, y[j]);
                for (int r = 0; r < VF_LANES; r++)
                    c[r * N + j] = part[r];
            }
    }
    for (; m > 0; m--, c += N, a += lda) {
        vf v[FNN_NARROW * VF_LANES];
        narrow_chains(v, a, lda, bt, ldb, k, 1, N);
        for (int j = 0; j < N; j++)
            c[j] = bias ? vf_sum_tree(v[j * VF_LANES]) + bias[j] : vf_sum_tree(v[j * VF_LANES]);
    }
}

/* --- k <= 16: every chain has at most one product, and the tree over them is all there is --- */

#if VF_LANES != 8
/* rows in lanes, the tree by join_columns */
FNN_INLINE void short_lanes(real *c, const real *a, size_t lda, const real *bt, size_t ldb, size_t n, const size_t k,
                            const real *bias)
{
    vf x[VF_LANES], s[CHAINS], y[VF_LANES];
    load_columns(x, a, lda, VF_LANES, k);
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
    store_columns(c, y, VF_LANES, n);
}
#else
/* a row of c is one vector: columns in lanes, b in registers, the tree unrolled */
#define SHORT_ROWS 4 /* fewer rows are not worth the columns of b */
FNN_INLINE void short_rows_of(real *c, const real *a, size_t lda, const vf *b, vf bias, int biased, size_t m, size_t n,
                              const int K)
{
    for (; m > 0; m--, c += n, a += lda) {
        vf s[CHAINS];
#pragma GCC unroll 16
        for (int p = 0; p < K; p++)
            s[p] = vf_fma(vf_set1(a[p]), b[p], vf_zero());
#pragma GCC unroll 4
        for (int half = CHAINS / 2; half > 0; half /= 2)
#pragma GCC unroll 8
            for (int p = 0; p < half; p++)
                if (p + half < K)
                    s[p] = vf_add(s[p], s[p + half]);
        if (K < CHAINS) /* an empty chain's +0 turns a sum of -0 */
            s[0] = vf_add(s[0], vf_zero());
        if (biased)
            s[0] = vf_add(s[0], bias);
        if (m > 1 && n * (m - 1) >= VF_LANES) /* the lanes beyond n are the next row's, written after */
            vf_store(c, s[0]);
        else
            vf_store_part(c, s[0], n);
    }
}
static void short_rows(real *c, const real *a, size_t lda, const real *bt, size_t ldb, size_t m, size_t n, size_t k,
                       const real *bias_at)
{
    vf b[CHAINS], bias = bias_at ? vf_load_part(bias_at, n) : vf_zero();
    const int biased = bias_at != NULL;
    for (size_t p = 0; p < k; p++) {
        real row[VF_LANES] = {0};
        for (size_t j = 0; j < n; j++)
            row[j] = bt[j * ldb + p];
        b[p] = vf_load(row);
    }
    switch (k) { /* a constant k unrolls */
    case 1: short_rows_of(c, a, lda, b, bias, biased, m, n, 1); break;
    case 2: short_rows_of(c, a, lda, b, bias, biased, m, n, 2); break;
    case 3: short_rows_of(c, a, lda, b, bias, biased, m, n, 3); break;
    case 4: short_rows_of(c, a, lda, b, bias, biased, m, n, 4); break;
    case 5: short_rows_of(c, a, lda, b, bias, biased, m, n, 5); break;
    case 6: short_rows_of(c, a, lda, b, bias, biased, m, n, 6); break;
    case 7: short_rows_of(c, a, lda, b, bias, biased, m, n, 7); break;
    case 8: short_rows_of(c, a, lda, b, bias, biased, m, n, 8); break;
    case 9: short_rows_of(c, a, lda, b, bias, biased, m, n, 9); break;
    case 10: short_rows_of(c, a, lda, b, bias, biased, m, n, 10); break;
    case 11: short_rows_of(c, a, lda, b, bias, biased, m, n, 11); break;
    case 12: short_rows_of(c, a, lda, b, bias, biased, m, n, 12); break;
    case 13: short_rows_of(c, a, lda, b, bias, biased, m, n, 13); break;
    case 14: short_rows_of(c, a, lda, b, bias, biased, m, n, 14); break;
    case 15: short_rows_of(c, a, lda, b, bias, biased, m, n, 15); break;
    case 16: short_rows_of(c, a, lda, b, bias, biased, m, n, 16); break;
    default: break;
    }
}
#endif

static void dot_rows(void *vc, const void *va, size_t lda, const void *vbt, size_t ldb, size_t m, size_t n, size_t k,
                     const void *vbias)
{
    real *c = vc;
    const real *a = va, *bt = vbt, *bias = vbias;
#if VF_LANES == 8
    if (k <= CHAINS && m >= SHORT_ROWS) {
        short_rows(c, a, lda, bt, ldb, m, n, k, bias);
        return;
    }
#else
    if (FEW_COLUMNS(k) && n <= VF_LANES)
        for (; m >= VF_LANES; m -= VF_LANES, c += VF_LANES * n, a += VF_LANES * lda)
            switch (k) { /* a constant k keeps the columns in registers */
            case 1: short_lanes(c, a, lda, bt, ldb, n, 1, bias); break;
#if VF_LANES >= 4
            case 2: short_lanes(c, a, lda, bt, ldb, n, 2, bias); break;
            case 3: short_lanes(c, a, lda, bt, ldb, n, 3, bias); break;
            case 4: short_lanes(c, a, lda, bt, ldb, n, 4, bias); break;
#endif
            default: short_lanes(c, a, lda, bt, ldb, n, k, bias); break;
            }
#endif
    switch (n) {
    case 1: narrow_rows(c, a, lda, bt, ldb, m, k, bias, 1); break;
    case 2: narrow_rows(c, a, lda, bt, ldb, m, k, bias, 2); break;
    case 3: narrow_rows(c, a, lda, bt, ldb, m, k, bias, 3); break;
    case 4: narrow_rows(c, a, lda, bt, ldb, m, k, bias, 4); break;
    case 5: narrow_rows(c, a, lda, bt, ldb, m, k, bias, 5); break;
    case 6: narrow_rows(c, a, lda, bt, ldb, m, k, bias, 6); break;
    case 7: narrow_rows(c, a, lda, bt, ldb, m, k, bias, 7); break;
    default: break;
    }
}
