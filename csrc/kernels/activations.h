/* activations.h - one lane function for each activation and its derivative; registry.h lists them.
 * act_NAME(x) = f(x);  act_NAME_grad(s) = f'(x), from s = what the registry says is saved (X: x itself, Y: f(x)).
 * Those of shape P get their parameter alpha, at least 0, as a second argument: y then has the sign of x, and Y does. */

/* f(x) = x */
FNN_INLINE vf act_linear(vf x) { return x; }
FNN_INLINE vf act_linear_grad(vf y)
{
    (void)y;
    return vf_set1(1);
}

/* f(x) = 1 where x > 0, else 0: the book's first activation. Its gradient is 0 everywhere. NaN stays NaN. */
FNN_INLINE vf act_step(vf x)
{
    vf y = vf_select(vf_gt(x, vf_zero()), vf_set1(1), vf_zero());
    return vf_select(vf_eq(x, x), y, x);
}
FNN_INLINE vf act_step_grad(vf y)
{
    (void)y;
    return vf_zero();
}

/* f(x) = max(x, 0). NaN stays NaN (the second operand of vf_max wins), its gradient is 0; f'(0) = 0. */
FNN_INLINE vf act_relu(vf x) { return vf_max(vf_zero(), x); }
FNN_INLINE vf act_relu_grad(vf y) { return vf_select(vf_gt(y, vf_zero()), vf_set1(1), vf_zero()); }

/* f(x) = min(max(x, 0), 6), with f'(0) = f'(6) = 0. NaN stays NaN. */
FNN_INLINE vf act_relu6(vf x) { return vf_min(vf_set1(6), vf_max(vf_zero(), x)); }
FNN_INLINE vf act_relu6_grad(vf y)
{
    return vf_select(vm_and(vf_gt(y, vf_zero()), vf_lt(y, vf_set1(6))), vf_set1(1), vf_zero());
}

/* f(x) = x where x > 0, else alpha x;  f'(0) = alpha */
FNN_INLINE vf act_leaky_relu(vf x, vf alpha) { return vf_select(vf_gt(x, vf_zero()), x, vf_mul(alpha, x)); }
FNN_INLINE vf act_leaky_relu_grad(vf y, vf alpha) { return vf_select(vf_gt(y, vf_zero()), vf_set1(1), alpha); }

/* f(x) = x where x > 0, else alpha (exp(x) - 1);  f' = 1 or y + alpha */
FNN_INLINE vf act_elu(vf x, vf alpha) { return vf_select(vf_gt(x, vf_zero()), x, vf_mul(alpha, vf_expm1(x))); }
FNN_INLINE vf act_elu_grad(vf y, vf alpha) { return vf_select(vf_gt(y, vf_zero()), vf_set1(1), vf_add(y, alpha)); }

/* f(x) = scale x where x > 0, else scale alpha (exp(x) - 1), with the two numbers for which layers of LeCun-normal
 * weights keep mean 0 and variance 1;  f' = scale or y + scale alpha */
#define SELU_SCALE ((real)1.0507009873554804934193349852946)
#if FNN_BITS == 32
#define SELU_BOTH 0x1.c212ccp+0F /* scale alpha */
#define SELU_BOTH_LOW 0x1.903c0cp-26F
#else
#define SELU_BOTH 0x1.c212cc640f031p+0
#define SELU_BOTH_LOW 0x1.05161b045a1fep-56
#endif
FNN_INLINE vf act_selu(vf x)
{
    vf e = vf_expm1(x), left = vf_fma(vf_set1(SELU_BOTH), e, vf_mul(vf_set1(SELU_BOTH_LOW), e));
    return vf_select(vf_gt(x, vf_zero()), vf_mul(vf_set1(SELU_SCALE), x), left);
}
FNN_INLINE vf act_selu_grad(vf y)
{
    return vf_select(vf_gt(y, vf_zero()), vf_set1(SELU_SCALE), vf_add(y, vf_set1(SELU_BOTH)));
}

/* x times a smooth gate (gates.h) */
FNN_INLINE vf act_gelu(vf x) { return vf_gelu(x); }
FNN_INLINE vf act_gelu_grad(vf x) { return vf_gelu_slope(x); }
FNN_INLINE vf act_gelu_tanh(vf x) { return vf_gelu_tanh(x); }
FNN_INLINE vf act_gelu_tanh_grad(vf x) { return vf_gelu_tanh_slope(x); }
FNN_INLINE vf act_silu(vf x) { return vf_silu(x); }
FNN_INLINE vf act_silu_grad(vf x) { return vf_silu_slope(x); }
FNN_INLINE vf act_mish(vf x) { return vf_mish(x); }
FNN_INLINE vf act_mish_grad(vf x) { return vf_mish_slope(x); }

/* f(x) = ln(1 + exp(x));  f' = sigmoid(x) = 1 - exp(-y) */
FNN_INLINE vf act_softplus(vf x) { return vf_softplus(x); }
FNN_INLINE vf act_softplus_grad(vf y) { return vf_neg(vf_expm1(vf_neg(y))); }

/* f(x) = exp(x) */
FNN_INLINE vf act_exponential(vf x) { return vf_exp(x); }
FNN_INLINE vf act_exponential_grad(vf y) { return y; }

/* f(x) = 1 / (1 + exp(-x));  f' = y (1 - y) */
FNN_INLINE vf act_sigmoid(vf x) { return vf_sigmoid(x); }
FNN_INLINE vf act_sigmoid_grad(vf y) { return vf_mul(y, vf_sub(vf_set1(1), y)); }

/* f(x) = (x + 3) / 6, at least 0 and at most 1: this order keeps the small values next to -3 exact. f'(-3) = f'(3) = 0 */
FNN_INLINE vf act_hard_sigmoid(vf x)
{
    vf y = vf_div(vf_add(x, vf_set1(3)), vf_set1(6));
    return vf_min(vf_set1(1), vf_max(vf_zero(), y));
}
FNN_INLINE vf act_hard_sigmoid_grad(vf y)
{
    return vf_select(vm_and(vf_gt(y, vf_zero()), vf_lt(y, vf_set1(1))), vf_set1((real)(1.0 / 6)), vf_zero());
}

/* f(x) = x hard_sigmoid(x), 0 at -inf too;  f' = 0, x / 3 + 1/2 or 1, f'(-3) = 0, f'(3) = 1 */
FNN_INLINE vf act_hard_swish(vf x)
{
    vf low = vf_set1(-3), c = vf_max(low, x);
    return vf_mul(c, act_hard_sigmoid(c));
}
FNN_INLINE vf act_hard_swish_grad(vf x)
{
    vf inner = vf_fma(x, vf_set1((real)(1.0 / 3)), vf_set1((real)0.5));
    vf right = vf_select(vf_ge(x, vf_set1(3)), vf_set1(1), inner);
    return vf_select(vf_le(x, vf_set1(-3)), vf_zero(), right);
}

/* f(x) = tanh x;  f' = 1 - y^2 */
FNN_INLINE vf act_tanh(vf x) { return vf_tanh(x); }
FNN_INLINE vf act_tanh_grad(vf y) { return vf_fnma(y, y, vf_set1(1)); }

/* The largest of a row; what comes of a NaN is left to the sum. */
FNN_INLINE real row_max(const real *x, size_t cols)
{
    size_t i = 0;
    real largest = x[0];
    if (cols >= VF_LANES) {
        vf m = vf_load(x);
        for (i = VF_LANES; i + VF_LANES <= cols; i += VF_LANES)
            m = vf_max(m, vf_load(x + i));
        largest = vf_max_tree(m);
    }
    for (; i < cols; i++)
        largest = x[i] > largest ? x[i] : largest;
    return largest;
}

/* y = exp(x - largest) over a row; returns the sum, by chains */
FNN_INLINE real row_exp(real *y, const real *x, size_t cols, real largest)
{
    vf shift = vf_set1(largest);
    chains c = chains_zero();
    for (size_t i = 0; i < cols; i += CHAINS)
        for (int v = 0; v < CHAIN_VECTORS; v++) {
            size_t j = i + (size_t)v * VF_LANES, lanes = chain_lanes(cols - i, v);
            if (lanes == VF_LANES) {
                vf e = vf_exp(vf_sub(vf_load(x + j), shift));
                vf_store(y + j, e);
                c.v[v] = vf_add(c.v[v], e);
            } else if (lanes) { /* through memory: dead lanes must add 0, not exp(-max) */
                real part[VF_LANES] = {0};
                vf_store_part(part, vf_exp(vf_sub(vf_load_part(x + j, lanes), shift)), lanes);
                vf e = vf_load(part);
                vf_store_part(y + j, e, lanes);
                c.v[v] = vf_add(c.v[v], e);
            }
        }
    return chains_join(c);
}

/* softmax over a row: exp(x - max) / sum. The shift by the maximum keeps exp in range (Goodfellow et al., Deep
 * Learning, 2016, section 4.1). */
static void softmax_row(real *y, const real *x, size_t cols)
{
    size_t i = 0;
    vf sum = vf_set1(row_exp(y, x, cols, row_max(x, cols)));
    for (; i + VF_LANES <= cols; i += VF_LANES)
        vf_store(y + i, vf_div(vf_load(y + i), sum));
    if (i < cols)
        vf_store_part(y + i, vf_div(vf_load_part(y + i, cols - i), sum), cols - i);
}

/* up to VF_LANES rows of few columns at once (reduce.h) */
FNN_INLINE void softmax_lanes(real *y, const real *x, size_t rows, size_t cols)
{
    vf e[VF_LANES], s[CHAINS];
    load_columns(e, x, cols, rows, cols);
    vf largest = e[0];
    for (size_t j = 1; j < cols; j++)
        largest = vf_max(e[j], largest);
    for (size_t j = 0; j < cols; j++)
        s[j] = e[j] = vf_exp(vf_sub(e[j], largest));
    vf sum = join_columns(s, cols);
    for (size_t j = 0; j < cols; j++)
        e[j] = vf_div(e[j], sum);
    store_columns(y, e, rows, cols);
}

static void act_softmax_fwd(void *vy, const void *vx, size_t rows, size_t cols, double alpha)
{
    real *y = vy;
    const real *x = vx;
    size_t i = 0;
    (void)alpha;
    if (cols == 0)
        return;
    if (FEW_COLUMNS(cols)) {
        for (; i + VF_LANES <= rows; i += VF_LANES)
            switch (cols) { /* a constant keeps the columns in registers */
#if VF_LANES >= 4           /* few columns are no more than lanes */
            case 2: softmax_lanes(y + i * cols, x + i * cols, VF_LANES, 2); break;
            case 3: softmax_lanes(y + i * cols, x + i * cols, VF_LANES, 3); break;
#endif
            default: softmax_lanes(y + i * cols, x + i * cols, VF_LANES, cols); break;
            }
        if (rows - i >= FEW_ROWS) {
            softmax_lanes(y + i * cols, x + i * cols, rows - i, cols);
            return;
        }
    }
    for (; i < rows; i++)
        softmax_row(y + i * cols, x + i * cols, cols);
}

/* dx = y * (dy - sum(dy * y)) */
static void act_softmax_bwd(void *vdx, const void *vdy, const void *vy, size_t rows, size_t cols, double alpha)
{
    (void)alpha;
    for (size_t r = 0; r < rows; r++) {
        real *dx = (real *)vdx + r * cols;
        const real *dy = (const real *)vdy + r * cols, *y = (const real *)vy + r * cols;
        vf s = vf_set1(dot(dy, y, cols));
        size_t i = 0;
        for (; i + VF_LANES <= cols; i += VF_LANES)
            vf_store(dx + i, vf_mul(vf_load(y + i), vf_sub(vf_load(dy + i), s)));
        if (i < cols) {
            vf g = vf_mul(vf_load_part(y + i, cols - i), vf_sub(vf_load_part(dy + i, cols - i), s));
            vf_store_part(dx + i, g, cols - i);
        }
    }
}

/* ln(sum of exp(x - largest)) over a row. The largest themselves, each exp(0) = 1, are counted apart: where one alone
 * leads, the logarithm is log1p of the others, exact however small they are. */
FNN_INLINE vf below_the_largest(vf x, vf largest)
{
    vf d = vf_sub(x, largest);
    return vf_select(vf_eq(d, vf_zero()), vf_zero(), vf_exp(d));
}
FNN_INLINE vf is_the_largest(vf x, vf largest)
{
    return vf_select(vf_eq(vf_sub(x, largest), vf_zero()), vf_set1(1), vf_zero());
}
static real row_log_sum_exp(const real *x, size_t cols, real largest)
{
    real log_sum[1];
    real others = reduce1_with(below_the_largest, x, cols, largest);
    real count = reduce1_with(is_the_largest, x, cols, largest);
    vf_store_part(log_sum, vf_log1p(vf_set1(others + (count - 1))), 1);
    return log_sum[0];
}

/* log softmax over a row: (x - max) - ln(sum of exp(x - max)); two differences, for the logarithm may be small beside a
 * large maximum */
static void act_log_softmax_fwd(void *vy, const void *vx, size_t rows, size_t cols, double alpha)
{
    (void)alpha;
    for (size_t r = 0; cols && r < rows; r++) {
        real *y = (real *)vy + r * cols;
        const real *x = (const real *)vx + r * cols;
        real largest = row_max(x, cols);
        vf log_sum = vf_set1(row_log_sum_exp(x, cols, largest)), shift = vf_set1(largest);
        size_t i = 0;
        for (; i + VF_LANES <= cols; i += VF_LANES)
            vf_store(y + i, vf_sub(vf_sub(vf_load(x + i), shift), log_sum));
        if (i < cols)
            vf_store_part(y + i, vf_sub(vf_sub(vf_load_part(x + i, cols - i), shift), log_sum), cols - i);
    }
}

/* dx = dy - exp(y) * sum(dy) */
FNN_INLINE vf itself(vf x, vf unused)
{
    (void)unused;
    return x;
}
static void act_log_softmax_bwd(void *vdx, const void *vdy, const void *vy, size_t rows, size_t cols, double alpha)
{
    (void)alpha;
    for (size_t r = 0; r < rows; r++) {
        real *dx = (real *)vdx + r * cols;
        const real *dy = (const real *)vdy + r * cols, *y = (const real *)vy + r * cols;
        vf s = vf_set1(reduce1_with(itself, dy, cols, 0));
        size_t i = 0;
        for (; i + VF_LANES <= cols; i += VF_LANES)
            vf_store(dx + i, vf_fnma(vf_exp(vf_load(y + i)), s, vf_load(dy + i)));
        if (i < cols) {
            vf g = vf_fnma(vf_exp(vf_load_part(y + i, cols - i)), s, vf_load_part(dy + i, cols - i));
            vf_store_part(dx + i, g, cols - i);
        }
    }
}

/* The elementwise entries of the table. act_NAME and act_NAME_grad are constants here, so the loops inline them. */
#define DEFINE_ACT_E(name)                                                                                             \
    FNN_INLINE vf act_##name##_chain(vf dy, vf s) { return vf_mul(dy, act_##name##_grad(s)); }                         \
    static void act_##name##_fwd(void *y, const void *x, size_t rows, size_t cols, double alpha)                       \
    {                                                                                                                  \
        (void)alpha;                                                                                                   \
        map1(act_##name, y, x, rows * cols);                                                                           \
    }                                                                                                                  \
    static void act_##name##_bwd(void *dx, const void *dy, const void *s, size_t rows, size_t cols, double alpha)      \
    {                                                                                                                  \
        (void)alpha;                                                                                                   \
        map2(act_##name##_chain, dx, dy, s, rows * cols);                                                              \
    }
#define DEFINE_ACT_P(name)                                                                                             \
    FNN_INLINE vf act_##name##_chain(vf dy, vf s, vf alpha) { return vf_mul(dy, act_##name##_grad(s, alpha)); }        \
    static void act_##name##_fwd(void *y, const void *x, size_t rows, size_t cols, double alpha)                       \
    {                                                                                                                  \
        map1_with(act_##name, y, x, rows * cols, (real)alpha);                                                         \
    }                                                                                                                  \
    static void act_##name##_bwd(void *dx, const void *dy, const void *s, size_t rows, size_t cols, double alpha)      \
    {                                                                                                                  \
        map2_with(act_##name##_chain, dx, dy, s, rows * cols, (real)alpha);                                            \
    }
#define DEFINE_ACT_R(name)
#define DEFINE_ACT(name, shape, saves, alpha) DEFINE_ACT_##shape(name)
FNN_ACTIVATIONS(DEFINE_ACT)
