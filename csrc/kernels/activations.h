/* activations.h - one lane function for each activation and its derivative; registry.h lists them.
 * act_NAME(x) = f(x);  act_NAME_grad(s) = f'(x), from s = what the registry says is saved (X: x itself, Y: f(x)). */

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

/* f(x) = 1 / (1 + exp(-x));  f' = y (1 - y) */
FNN_INLINE vf act_sigmoid(vf x) { return vf_sigmoid(x); }
FNN_INLINE vf act_sigmoid_grad(vf y) { return vf_mul(y, vf_sub(vf_set1(1), y)); }

/* f(x) = tanh x;  f' = 1 - y^2 */
FNN_INLINE vf act_tanh(vf x) { return vf_tanh(x); }
FNN_INLINE vf act_tanh_grad(vf y) { return vf_fnma(y, y, vf_set1(1)); }

/* softmax over a row: exp(x - max) / sum. The shift by the maximum keeps exp in range (Goodfellow et al., Deep
 * Learning, 2016, section 4.1). */
static void softmax_row(real *y, const real *x, size_t cols)
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

    vf shift = vf_set1(largest);
    chains c = chains_zero();
    for (i = 0; i < cols; i += CHAINS)
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
    vf sum = vf_set1(chains_join(c));
    for (i = 0; i + VF_LANES <= cols; i += VF_LANES)
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

static void act_softmax_fwd(void *vy, const void *vx, size_t rows, size_t cols)
{
    real *y = vy;
    const real *x = vx;
    size_t i = 0;
    if (cols == 0)
        return;
    if (FEW_COLUMNS(cols)) {
        for (; i + VF_LANES <= rows; i += VF_LANES)
            softmax_lanes(y + i * cols, x + i * cols, VF_LANES, cols);
        if (rows - i >= FEW_ROWS) {
            softmax_lanes(y + i * cols, x + i * cols, rows - i, cols);
            return;
        }
    }
    for (; i < rows; i++)
        softmax_row(y + i * cols, x + i * cols, cols);
}

/* dx = y * (dy - sum(dy * y)) */
static void act_softmax_bwd(void *vdx, const void *vdy, const void *vy, size_t rows, size_t cols)
{
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

/* The elementwise entries of the table. act_NAME and act_NAME_grad are constants here, so the loops inline them. */
#define DEFINE_ACT_E(name)                                                                                             \
    FNN_INLINE vf act_##name##_chain(vf dy, vf s) { return vf_mul(dy, act_##name##_grad(s)); }                         \
    static void act_##name##_fwd(void *y, const void *x, size_t rows, size_t cols)                                     \
    {                                                                                                                  \
        map1(act_##name, y, x, rows * cols);                                                                           \
    }                                                                                                                  \
    static void act_##name##_bwd(void *dx, const void *dy, const void *s, size_t rows, size_t cols)                    \
    {                                                                                                                  \
        map2(act_##name##_chain, dx, dy, s, rows * cols);                                                              \
    }
#define DEFINE_ACT_R(name)
#define DEFINE_ACT(name, shape, saves) DEFINE_ACT_##shape(name)
FNN_ACTIVATIONS(DEFINE_ACT)
