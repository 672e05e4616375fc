/* losses.h - losses by rows, their gradients, and what the accuracies count.
 * p = prediction, t = target. Probabilities are clipped to [1e-7, 1 - 1e-7] before a logarithm or a division, as in the
 * book (Kinsley and Kukiela, Neural Networks from Scratch, 2020, chapters 5 and 16). */

FNN_INLINE vf clip_probability(vf p)
{
    vf q = vf_min(vf_max(p, vf_set1((real)1e-7)), vf_set1((real)(1 - 1e-7)));
    return vf_select(vf_eq(p, p), q, p); /* NaN is never hidden */
}

/* --- elementwise terms of a loss and their derivative by p --- */
FNN_INLINE vf mse_term(vf p, vf t)
{
    vf d = vf_sub(p, t);
    return vf_mul(d, d);
}
FNN_INLINE vf mse_grad(vf p, vf t) { return vf_mul(vf_set1(2), vf_sub(p, t)); }

FNN_INLINE vf mae_term(vf p, vf t) { return vf_abs(vf_sub(p, t)); }
FNN_INLINE vf mae_grad(vf p, vf t)
{
    vf d = vf_sub(p, t);
    return vf_select(vf_eq(d, vf_zero()), vf_zero(), vf_select(vf_eq(d, d), vf_copysign(vf_set1(1), d), d));
}

/* -(t ln p + (1 - t) ln(1 - p)) */
FNN_INLINE vf bce_term(vf p, vf t)
{
    vf one = vf_set1(1), q = clip_probability(p);
    vf s = vf_mul(vf_sub(one, t), vf_log(vf_sub(one, q)));
    return vf_neg(vf_fma(t, vf_log(q), s));
}
FNN_INLINE vf bce_grad(vf p, vf t)
{
    vf one = vf_set1(1), q = clip_probability(p);
    return vf_sub(vf_div(vf_sub(one, t), vf_sub(one, q)), vf_div(t, q));
}

/* -t ln p */
FNN_INLINE vf cce_term(vf p, vf t) { return vf_neg(vf_mul(t, vf_log(clip_probability(p)))); }
FNN_INLINE vf cce_grad(vf p, vf t) { return vf_neg(vf_div(t, clip_probability(p))); }

/* --- the loops --- */
/* VF_LANES rows of few columns at once (reduce.h) */
FNN_INLINE vf few_columns_loss(vf (*term)(vf, vf), const real *p, const real *t, size_t cols)
{
    vf a[VF_LANES], b[VF_LANES], s[CHAINS];
    load_columns(a, p, cols);
    load_columns(b, t, cols);
    for (size_t j = 0; j < CHAINS; j++)
        s[j] = vf_zero();
    for (size_t j = 0; j < cols; j++)
        s[j] = vf_add(s[j], term(a[j], b[j]));
    return join_columns(s, cols);
}

/* losses[i] = the sum over row i of term(p, t), over divisor; one column is one vector down the rows */
FNN_INLINE void row_losses(vf (*term)(vf, vf), real *losses, const real *p, const real *t, size_t rows, size_t cols,
                           real divisor)
{
    size_t i = 0;
    if (cols == 1) {
        map2(term, losses, p, t, rows);
        return;
    }
    if (FEW_COLUMNS(cols))
        for (; i + VF_LANES <= rows; i += VF_LANES) {
            vf sum = few_columns_loss(term, p + i * cols, t + i * cols, cols);
            vf_store(losses + i, vf_div(sum, vf_set1(divisor)));
        }
    for (; i < rows; i++)
        losses[i] = reduce2(term, p + i * cols, t + i * cols, cols) / divisor;
}

#define DEFINE_MEAN_LOSS(name, short)                                                                                  \
    static void loss_##name##_fwd(void *losses, const void *p, const void *t, const int32_t *labels, size_t rows,      \
                                  size_t cols, double parameter)                                                       \
    {                                                                                                                  \
        (void)labels, (void)parameter;                                                                                 \
        row_losses(short##_term, losses, p, t, rows, cols, (real)cols);                                                \
    }                                                                                                                  \
    static void loss_##name##_bwd(void *dp, const void *p, const void *t, const int32_t *labels, size_t rows,          \
                                  size_t cols, double scale, double parameter)                                         \
    {                                                                                                                  \
        (void)labels, (void)parameter;                                                                                 \
        map2_scaled(short##_grad, dp, p, t, rows *cols, (real)(scale / (double)cols));                                 \
    }
DEFINE_MEAN_LOSS(mean_squared_error, mse)
DEFINE_MEAN_LOSS(mean_absolute_error, mae)
DEFINE_MEAN_LOSS(binary_crossentropy, bce)

static void loss_categorical_crossentropy_fwd(void *vlosses, const void *vp, const void *t, const int32_t *labels,
                                              size_t rows, size_t cols, double parameter)
{
    real *losses = vlosses;
    (void)parameter;
    const real *p = vp;
    if (!labels) {
        row_losses(cce_term, losses, p, t, rows, cols, 1);
        return;
    }
    for (size_t i = 0; i < rows; i++)
        losses[i] = p[i * cols + (size_t)labels[i]];
    size_t i = 0;
    for (; i + VF_LANES <= rows; i += VF_LANES)
        vf_store(losses + i, cce_term(vf_load(losses + i), vf_set1(1)));
    if (i < rows)
        vf_store_part(losses + i, cce_term(vf_load_part(losses + i, rows - i), vf_set1(1)), rows - i);
}

static void loss_categorical_crossentropy_bwd(void *vdp, const void *vp, const void *t, const int32_t *labels,
                                              size_t rows, size_t cols, double scale, double parameter)
{
    real *dp = vdp;
    (void)parameter;
    const real *p = vp;
    if (!labels) {
        map2_scaled(cce_grad, dp, p, t, rows * cols, (real)scale);
        return;
    }
    for (size_t i = 0; i < rows * cols; i++)
        dp[i] = -0.0F;                            /* what -(0 / p) * scale gives */
    for (size_t i = 0; i < rows; i += VF_LANES) { /* one element a row: VF_LANES rows make a vector */
        size_t count = rows - i < VF_LANES ? rows - i : VF_LANES;
        real picked[VF_LANES] = {0};
        for (size_t r = 0; r < count; r++)
            picked[r] = p[(i + r) * cols + (size_t)labels[i + r]];
        vf_store(picked, vf_mul(cce_grad(vf_load(picked), vf_set1(1)), vf_set1((real)scale)));
        for (size_t r = 0; r < count; r++)
            dp[(i + r) * cols + (size_t)labels[i + r]] = picked[r];
    }
}

FNN_INLINE vf difference(vf p, vf t) { return vf_sub(p, t); }

static void residual(void *vdz, const void *vp, const void *t, const int32_t *labels, size_t rows, size_t cols,
                     double scale)
{
    real *dz = vdz, s = (real)scale;
    const real *p = vp;
    if (!labels) {
        map2_scaled(difference, dz, p, t, rows * cols, s);
        return;
    }
    size_t i = 0, n = rows * cols;
    vf vs = vf_set1(s);
    for (; i + VF_LANES <= n; i += VF_LANES)
        vf_store(dz + i, vf_mul(vf_load(p + i), vs));
    if (i < n)
        vf_store_part(dz + i, vf_mul(vf_load_part(p + i, n - i), vs), n - i);
    for (size_t r = 0; r < rows; r++) {
        size_t at = r * cols + (size_t)labels[r];
        dz[at] = (p[at] - (real)1) * s;
    }
}

/* --- accuracies --- */
static size_t argmax(const real *p, size_t cols)
{
    size_t best = 0;
    for (size_t j = 1; j < cols; j++)
        best = p[j] > p[best] ? j : best;
    return best;
}

static uint64_t metric_categorical(const void *vp, const void *vt, const int32_t *labels, size_t rows, size_t cols,
                                   double precision)
{
    const real *p = vp, *t = vt;
    uint64_t right = 0;
    (void)precision;
    for (size_t i = 0; i < rows; i++)
        right += argmax(p + i * cols, cols) == (labels ? (size_t)labels[i] : argmax(t + i * cols, cols));
    return right;
}

static uint64_t metric_binary(const void *vp, const void *vt, const int32_t *labels, size_t rows, size_t cols,
                              double precision)
{
    const real *p = vp, *t = vt;
    uint64_t right = 0;
    (void)labels, (void)precision;
    for (size_t i = 0; i < rows * cols; i++)
        right += (real)(p[i] > (real)0.5) == t[i];
    return right;
}

static uint64_t metric_regression(const void *vp, const void *vt, const int32_t *labels, size_t rows, size_t cols,
                                  double precision)
{
    const real *p = vp, *t = vt, limit = (real)precision;
    uint64_t right = 0;
    (void)labels;
    for (size_t i = 0; i < rows * cols; i++) {
        real d = p[i] - t[i];
        right += (d < 0 ? -d : d) < limit;
    }
    return right;
}
