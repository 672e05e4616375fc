/* losses.h - losses by rows, their gradients, and what the accuracies count.
 * p = prediction, t = target. Probabilities are clipped to [1e-7, 1 - 1e-7] before a logarithm or a division, as in the
 * book (Kinsley and Kukiela, Neural Networks from Scratch, 2020, chapters 5 and 16). */

FNN_INLINE vf clip_probability(vf p)
{
    vf q = vf_min(vf_max(p, vf_set1((real)1e-7)), vf_set1((real)(1 - 1e-7)));
    return vf_select(vf_eq(p, p), q, p); /* NaN is never hidden */
}

/* --- elementwise terms of a loss and their derivative by p; a = the loss's parameter, where it has one --- */
FNN_INLINE vf mse_term(vf p, vf t, vf a)
{
    vf d = vf_sub(p, t);
    (void)a;
    return vf_mul(d, d);
}
FNN_INLINE vf mse_grad(vf p, vf t, vf a)
{
    (void)a;
    return vf_mul(vf_set1(2), vf_sub(p, t));
}

FNN_INLINE vf mae_term(vf p, vf t, vf a)
{
    (void)a;
    return vf_abs(vf_sub(p, t));
}
FNN_INLINE vf mae_grad(vf p, vf t, vf a)
{
    vf d = vf_sub(p, t);
    (void)a;
    return vf_select(vf_eq(d, vf_zero()), vf_zero(), vf_select(vf_eq(d, d), vf_copysign(vf_set1(1), d), d));
}

/* d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2) */
FNN_INLINE vf huber_term(vf p, vf t, vf delta)
{
    vf d = vf_abs(vf_sub(p, t)), half = vf_set1((real)0.5);
    vf far = vf_mul(delta, vf_fnma(half, delta, d));
    return vf_select(vf_le(d, delta), vf_mul(vf_mul(half, d), d), far);
}
FNN_INLINE vf huber_grad(vf p, vf t, vf delta) /* NaN, the second operand of both, stays */
{
    return vf_min(delta, vf_max(vf_neg(delta), vf_sub(p, t)));
}

/* ln cosh d = |d| + ln(1 + exp(-2 |d|)) - ln 2, and near 0, where these cancel, log1p(cosh d - 1). Both are a log1p:
 * with e = exp(-|d|) - 1, exp(-2 |d|) is (1 + e)^2 and cosh d - 1 is e^2 / (2 (1 + e)). The derivative is tanh d. */
FNN_INLINE vf log_cosh_term(vf p, vf t, vf a)
{
    vf d = vf_abs(vf_sub(p, t)), one = vf_set1(1);
    vf e = vf_expm1(vf_neg(d)), u = vf_add(one, e);
    vm near = vf_lt(d, one);
    (void)a;
    vf inner = vf_select(near, vf_div(vf_mul(e, e), vf_add(u, u)), vf_mul(u, u));
    return vf_add(vf_log1p(inner), vf_select(near, vf_zero(), vf_sub(d, vf_set1((real)0.6931471805599453))));
}
FNN_INLINE vf log_cosh_grad(vf p, vf t, vf a)
{
    (void)a;
    return vf_tanh(vf_sub(p, t));
}

/* q (t - p) where t > p, else (1 - q) (p - t): the mean is least where a share q of the targets lies below p. The
 * derivative is 0 where they meet. */
FNN_INLINE vf quantile_term(vf p, vf t, vf q)
{
    vf d = vf_sub(p, t);
    return vf_mul(d, vf_select(vf_lt(d, vf_zero()), vf_neg(q), vf_sub(vf_set1(1), q)));
}
FNN_INLINE vf quantile_grad(vf p, vf t, vf q)
{
    vf d = vf_sub(p, t), zero = vf_zero();
    vf slope = vf_select(vf_lt(d, zero), vf_neg(q), vf_select(vf_gt(d, zero), vf_sub(vf_set1(1), q), zero));
    return vf_select(vf_eq(d, d), slope, d);
}

/* p - t ln p, p a rate, clipped from below only */
FNN_INLINE vf clip_rate(vf p) { return vf_max(vf_set1((real)1e-7), p); }
FNN_INLINE vf poisson_term(vf p, vf t, vf a)
{
    (void)a;
    return vf_fnma(t, vf_log(clip_rate(p)), p);
}
FNN_INLINE vf poisson_grad(vf p, vf t, vf a)
{
    (void)a;
    return vf_sub(vf_set1(1), vf_div(t, clip_rate(p)));
}

/* max(1 - t p, 0) for targets -1 and 1; the derivative at the corner is 0 */
FNN_INLINE vf hinge_term(vf p, vf t, vf a)
{
    (void)a;
    return vf_max(vf_zero(), vf_fnma(t, p, vf_set1(1)));
}
FNN_INLINE vf hinge_grad(vf p, vf t, vf a)
{
    vf margin = hinge_term(p, t, a);
    return vf_select(vf_eq(margin, vf_zero()), vf_zero(), vf_select(vf_eq(margin, margin), vf_neg(t), margin));
}
FNN_INLINE vf squared_hinge_term(vf p, vf t, vf a)
{
    vf margin = hinge_term(p, t, a);
    return vf_mul(margin, margin);
}
FNN_INLINE vf squared_hinge_grad(vf p, vf t, vf a) { return vf_mul(vf_mul(vf_set1(-2), t), hinge_term(p, t, a)); }

/* -(t ln p + (1 - t) ln(1 - p)) */
FNN_INLINE vf bce_term(vf p, vf t, vf a)
{
    vf one = vf_set1(1), q = clip_probability(p);
    vf s = vf_mul(vf_sub(one, t), vf_log(vf_sub(one, q)));
    (void)a;
    return vf_neg(vf_fma(t, vf_log(q), s));
}
FNN_INLINE vf bce_grad(vf p, vf t, vf a)
{
    vf one = vf_set1(1), q = clip_probability(p);
    (void)a;
    return vf_sub(vf_div(vf_sub(one, t), vf_sub(one, q)), vf_div(t, q));
}

/* the same of p = sigmoid(z): ln(1 + exp(z)) - t z, with the large parts of the two taken together first */
FNN_INLINE vf bce_logits_term(vf z, vf t, vf a)
{
    (void)a;
    return vf_add(vf_fnma(t, z, vf_max(vf_zero(), z)), vf_log1p(vf_exp(vf_neg(vf_abs(z)))));
}
FNN_INLINE vf bce_logits_grad(vf z, vf t, vf a)
{
    (void)a;
    return vf_sub(vf_sigmoid(z), t);
}

/* -t ln p */
FNN_INLINE vf cce_term(vf p, vf t, vf a)
{
    (void)a;
    return vf_neg(vf_mul(t, vf_log(clip_probability(p))));
}
FNN_INLINE vf cce_grad(vf p, vf t, vf a)
{
    (void)a;
    return vf_neg(vf_div(t, clip_probability(p)));
}

/* t ln(t / p), both clipped alike in the logarithm, so that equals give 0; the derivative is that of -t ln p */
FNN_INLINE vf kl_term(vf p, vf t, vf a)
{
    (void)a;
    return vf_mul(t, vf_log(vf_div(clip_probability(t), clip_probability(p))));
}

/* --- the loops --- */
/* VF_LANES rows of few columns at once (reduce.h) */
FNN_INLINE vf few_columns_loss(vf (*term)(vf, vf, vf), const real *p, const real *t, size_t cols, vf a)
{
    vf x[VF_LANES], y[VF_LANES], s[CHAINS];
    load_columns(x, p, cols, VF_LANES, cols);
    load_columns(y, t, cols, VF_LANES, cols);
    for (size_t j = 0; j < CHAINS; j++)
        s[j] = vf_zero();
    for (size_t j = 0; j < cols; j++)
        s[j] = vf_add(s[j], term(x[j], y[j], a));
    return join_columns(s, cols);
}

/* losses[i] = the sum over row i of term(p, t, a), over divisor; one column is one vector down the rows */
FNN_INLINE void row_losses(vf (*term)(vf, vf, vf), real *losses, const real *p, const real *t, size_t rows, size_t cols,
                           real divisor, real a)
{
    size_t i = 0;
    if (cols == 1) {
        map2_with(term, losses, p, t, rows, a);
        return;
    }
    if (FEW_COLUMNS(cols))
        for (; i + VF_LANES <= rows; i += VF_LANES) {
            vf sum = few_columns_loss(term, p + i * cols, t + i * cols, cols, vf_set1(a));
            vf_store(losses + i, vf_div(sum, vf_set1(divisor)));
        }
    for (; i < rows; i++)
        losses[i] = reduce2(term, p + i * cols, t + i * cols, cols, a) / divisor;
}

/* a loss that adds up TERM(p, t) over a row, or takes their mean: outputs is 1 or cols */
#define DEFINE_LOSS(name, term, grad, outputs)                                                                         \
    static void loss_##name##_fwd(void *losses, const void *p, const void *t, const int32_t *labels, size_t rows,      \
                                  size_t cols, double parameter)                                                       \
    {                                                                                                                  \
        (void)labels;                                                                                                  \
        row_losses(term, losses, p, t, rows, cols, (real)(outputs), (real)parameter);                                  \
    }                                                                                                                  \
    static void loss_##name##_bwd(void *dp, const void *p, const void *t, const int32_t *labels, size_t rows,          \
                                  size_t cols, double scale, double parameter)                                         \
    {                                                                                                                  \
        (void)labels;                                                                                                  \
        map2_scaled(grad, dp, p, t, rows * cols, (real)parameter, (real)(scale / (double)(outputs)));                  \
    }
DEFINE_LOSS(mean_squared_error, mse_term, mse_grad, cols)
DEFINE_LOSS(mean_absolute_error, mae_term, mae_grad, cols)
DEFINE_LOSS(huber, huber_term, huber_grad, cols)
DEFINE_LOSS(log_cosh, log_cosh_term, log_cosh_grad, cols)
DEFINE_LOSS(quantile, quantile_term, quantile_grad, cols)
DEFINE_LOSS(poisson, poisson_term, poisson_grad, cols)
DEFINE_LOSS(hinge, hinge_term, hinge_grad, cols)
DEFINE_LOSS(squared_hinge, squared_hinge_term, squared_hinge_grad, cols)
DEFINE_LOSS(binary_crossentropy, bce_term, bce_grad, cols)
DEFINE_LOSS(binary_crossentropy_logits, bce_logits_term, bce_logits_grad, cols)
DEFINE_LOSS(kl_divergence, kl_term, cce_grad, 1)

static void loss_categorical_crossentropy_fwd(void *vlosses, const void *vp, const void *t, const int32_t *labels,
                                              size_t rows, size_t cols, double parameter)
{
    real *losses = vlosses;
    (void)parameter;
    const real *p = vp;
    if (!labels) {
        row_losses(cce_term, losses, p, t, rows, cols, 1, 0);
        return;
    }
    for (size_t i = 0; i < rows; i++)
        losses[i] = p[i * cols + (size_t)labels[i]];
    size_t i = 0;
    for (; i + VF_LANES <= rows; i += VF_LANES)
        vf_store(losses + i, cce_term(vf_load(losses + i), vf_set1(1), vf_zero()));
    if (i < rows)
        vf_store_part(losses + i, cce_term(vf_load_part(losses + i, rows - i), vf_set1(1), vf_zero()), rows - i);
}

static void loss_categorical_crossentropy_bwd(void *vdp, const void *vp, const void *t, const int32_t *labels,
                                              size_t rows, size_t cols, double scale, double parameter)
{
    real *dp = vdp;
    (void)parameter;
    const real *p = vp;
    if (!labels) {
        map2_scaled(cce_grad, dp, p, t, rows * cols, 0, (real)scale);
        return;
    }
    for (size_t i = 0; i < rows * cols; i++)
        dp[i] = -0.0F;                            /* what -(0 / p) * scale gives */
    for (size_t i = 0; i < rows; i += VF_LANES) { /* one element a row: VF_LANES rows make a vector */
        size_t count = rows - i < VF_LANES ? rows - i : VF_LANES;
        real picked[VF_LANES] = {0};
        for (size_t r = 0; r < count; r++)
            picked[r] = p[(i + r) * cols + (size_t)labels[i + r]];
        vf_store(picked, vf_mul(cce_grad(vf_load(picked), vf_set1(1), vf_zero()), vf_set1((real)scale)));
        for (size_t r = 0; r < count; r++)
            dp[(i + r) * cols + (size_t)labels[i + r]] = picked[r];
    }
}

/* -sum of t ln p of p = softmax(z), that is (sum of t) ln(sum of exp(z)) - sum of t z, both shifted by the largest z, so
 * that neither part is large; a target of 0 counts nothing, even where z is -inf */
FNN_INLINE vf shifted_share(vf z, vf t, vf largest)
{
    return vf_select(vf_eq(t, vf_zero()), vf_zero(), vf_mul(t, vf_sub(z, largest)));
}

static void loss_categorical_crossentropy_logits_fwd(void *vlosses, const void *vz, const void *vt,
                                                     const int32_t *labels, size_t rows, size_t cols, double parameter)
{
    real *losses = vlosses;
    (void)parameter;
    for (size_t i = 0; i < rows; i++) {
        const real *z = (const real *)vz + i * cols, *t = vt;
        real largest = row_max(z, cols), log_sum = row_log_sum_exp(z, cols, largest);
        if (labels) {
            losses[i] = log_sum - (z[labels[i]] - largest);
        } else {
            t += i * cols;
            losses[i] = reduce1_with(itself, t, cols, 0) * log_sum - reduce2(shifted_share, z, t, cols, largest);
        }
    }
}

/* dz = (softmax(z) * (sum of t) - t) * scale: the bits of the merged softmax and cross-entropy where the sum is 1 */
static void loss_categorical_crossentropy_logits_bwd(void *vdz, const void *z, const void *vt, const int32_t *labels,
                                                     size_t rows, size_t cols, double scale, double parameter)
{
    real *dz = vdz;
    (void)parameter;
    act_softmax_fwd(dz, z, rows, cols, 0);
    for (size_t i = 0; i < rows; i++, dz += cols) {
        vf s = vf_set1((real)scale), total = vf_set1(1);
        const real *t = vt;
        if (labels) {
            dz[labels[i]] -= (real)1;
        } else {
            t += i * cols;
            total = vf_set1(reduce1_with(itself, t, cols, 0));
        }
        for (size_t j = 0; j < cols; j += VF_LANES) {
            size_t lanes = cols - j < VF_LANES ? cols - j : VF_LANES;
            vf p = vf_load_part(dz + j, lanes);
            vf d = labels ? p : vf_sub(vf_mul(p, total), vf_load_part(t + j, lanes));
            vf_store_part(dz + j, vf_mul(d, s), lanes);
        }
    }
}

/* max(1 + (largest p of the wrong) - (p of the right), 0), as Keras has it: right = sum of t p, wrong = max of (1 - t) p.
 * For a label, (1 - t) p is +0 or -0 at the right one. The derivative goes to the first of equals. */
typedef struct {
    real margin;
    size_t worst;
} hinge_row;

static hinge_row categorical_hinge_row(const real *p, const real *t, int32_t label, size_t cols)
{
    hinge_row h = {0, 0};
    real largest = 0, right = t ? dot(t, p, cols) : p[label], doubt = 0;
    for (size_t j = 0; j < cols; j++) {
        real wrong = t ? ((real)1 - t[j]) * p[j] : (size_t)label == j ? (real)0 : p[j];
        if (j == 0 || wrong > largest) {
            largest = wrong;
            h.worst = j;
        }
        doubt = wrong == wrong ? doubt : wrong; /* a NaN, which no comparison shows */
    }
    h.margin = ((real)1 + largest - right) + doubt;
    h.margin = h.margin <= 0 ? 0 : h.margin;
    return h;
}

static void loss_categorical_hinge_fwd(void *vlosses, const void *vp, const void *vt, const int32_t *labels,
                                       size_t rows, size_t cols, double parameter)
{
    real *losses = vlosses;
    const real *p = vp, *t = vt;
    (void)parameter;
    for (size_t i = 0; i < rows; i++)
        losses[i] = categorical_hinge_row(p + i * cols, t ? t + i * cols : NULL, labels ? labels[i] : 0, cols).margin;
}

static void loss_categorical_hinge_bwd(void *vdp, const void *vp, const void *vt, const int32_t *labels, size_t rows,
                                       size_t cols, double scale, double parameter)
{
    real *dp = vdp, s = (real)scale;
    const real *p = vp, *t = vt;
    (void)parameter;
    for (size_t i = 0; i < rows; i++, dp += cols) {
        hinge_row h = categorical_hinge_row(p + i * cols, t ? t + i * cols : NULL, labels ? labels[i] : 0, cols);
        for (size_t j = 0; j < cols; j++) {
            real right = t ? t[i * cols + j] : (real)((size_t)labels[i] == j);
            real slope = (j == h.worst ? (real)1 - right : (real)0) - right;
            dp[j] = h.margin == 0 ? (real)0 : h.margin == h.margin ? slope * s : h.margin;
        }
    }
}

FNN_INLINE vf difference(vf p, vf t, vf unused)
{
    (void)unused;
    return vf_sub(p, t);
}

static void residual(void *vdz, const void *vp, const void *t, const int32_t *labels, size_t rows, size_t cols,
                     double scale)
{
    real *dz = vdz, s = (real)scale;
    const real *p = vp;
    if (!labels) {
        map2_scaled(difference, dz, p, t, rows * cols, 0, s);
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
/* the first of the largest columns; NaN is never larger, and where nothing is larger than -inf it is the first column */
static size_t argmax(const real *p, size_t cols)
{
    size_t best = 0;
    real largest = -(real)__builtin_inf();
    for (size_t j = 0; j < cols; j++) {
        best = p[j] > largest ? j : best;
        largest = p[j] > largest ? p[j] : largest;
    }
    return best;
}

/* in each lane the number of the first of its largest columns, as argmax has it */
FNN_INLINE vf first_largest(const vf *column, size_t cols)
{
    vf best = vf_zero(), largest = vf_set1(-(real)__builtin_inf());
    for (size_t j = 0; j < cols; j++) {
        vm larger = vf_gt(column[j], largest);
        best = vf_select(larger, vf_set1((real)j), best);
        largest = vf_select(larger, column[j], largest);
    }
    return best;
}

/* how many of `rows` rows of few columns are right: the first largest of p, a number, against the label or the first
 * largest of t */
FNN_INLINE uint64_t count_in_lanes(const real *p, const real *t, const int32_t *labels, size_t rows, size_t cols)
{
    vf column[VF_LANES], target[VF_LANES];
    real best[VF_LANES], wanted[VF_LANES];
    uint64_t right = 0;
    load_columns(column, p, cols, rows, cols);
    vf_store(best, first_largest(column, cols));
    if (!labels) {
        load_columns(target, t, cols, rows, cols);
        vf_store(wanted, first_largest(target, cols));
    }
    for (size_t r = 0; r < rows; r++) {
        const real said = p[r * cols + (size_t)best[r]];
        right += best[r] == (labels ? (real)labels[r] : wanted[r]) && said == said;
    }
    return right;
}

static uint64_t metric_categorical(const void *vp, const void *vt, const int32_t *labels, size_t rows, size_t cols,
                                   double limit)
{
    const real *p = vp, *t = vt;
    uint64_t right = 0;
    size_t i = 0;
    (void)limit;
    if (FEW_COLUMNS(cols))
        for (; i + FEW_ROWS <= rows; i += VF_LANES)
            right += count_in_lanes(p + i * cols, t ? t + i * cols : NULL, labels ? labels + i : NULL,
                                    rows - i < VF_LANES ? rows - i : VF_LANES, cols);
    for (; i < rows; i++) {
        const size_t best = argmax(p + i * cols, cols);
        const real said = p[i * cols + best];
        right += best == (labels ? (size_t)labels[i] : argmax(t + i * cols, cols)) && said == said;
    }
    return right;
}

static uint64_t metric_binary(const void *vp, const void *vt, const int32_t *labels, size_t rows, size_t cols,
                              double limit)
{
    const real *p = vp, *t = vt, threshold = (real)limit, half = (real)0.5;
    uint64_t right = 0;
    (void)labels;
    for (size_t i = 0; i < rows * cols; i++)
        right += (p[i] > threshold) == (t[i] > half);
    return right;
}

static uint64_t metric_regression(const void *vp, const void *vt, const int32_t *labels, size_t rows, size_t cols,
                                  double limit)
{
    const real *p = vp, *t = vt, within = (real)limit;
    uint64_t right = 0;
    (void)labels;
    for (size_t i = 0; i < rows * cols; i++) {
        real d = p[i] - t[i];
        right += (d < 0 ? -d : d) < within;
    }
    return right;
}

/* --- targets --- */
/* labels as rows: high at the label, low elsewhere */
static void one_hot(void *vt, const int32_t *labels, size_t rows, size_t cols, double low, double high)
{
    real *t = vt;
    for (size_t i = 0; i < rows * cols; i++)
        t[i] = (real)low;
    for (size_t r = 0; r < rows; r++)
        t[r * cols + (size_t)labels[r]] = (real)high;
}

/* y = x with each row times its weight; in place allowed */
static void scale_rows(void *vy, const void *vx, const void *vw, size_t rows, size_t cols)
{
    real *y = vy;
    const real *x = vx, *w = vw;
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < cols; j++)
            y[r * cols + j] = x[r * cols + j] * w[r];
}
