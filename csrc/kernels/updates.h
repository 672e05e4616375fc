/* updates.h - what goes with an optimizer's step: bounds of the norms of weights, running averages of them, and the
 * vectors of L-BFGS. */

/* a = momentum a + (1 - momentum) w, the two factors exactly 1 together; what sinks below the normal numbers becomes +0 */
FNN_INLINE vf averaged(vf a, vf w, vf momentum)
{
    return vf_flush(vf_fma(momentum, a, vf_mul(vf_sub(vf_set1(1), momentum), w)));
}
static void average(void *a, const void *w, size_t n, double momentum)
{
    map2_with(averaged, a, a, w, n, (real)momentum);
}

/* y = x + a d */
FNN_INLINE vf moved_along(vf x, vf d, vf a) { return vf_fma(a, d, x); }
static void add_scaled(void *y, const void *x, const void *d, size_t n, double a)
{
    map2_with(moved_along, y, x, d, n, (real)a);
}

static double inner_product(const void *a, const void *b, size_t n) { return (double)dot(a, b, n); }

static double largest(const void *vx, size_t n)
{
    const real *x = vx;
    vf most = vf_zero();
    for (size_t i = 0; i < n; i += VF_LANES) /* max(a, b) is b where a is NaN */
        most = vf_max(vf_abs(load_live(x + i, n - i < VF_LANES ? n - i : VF_LANES)), most);
    return (double)vf_max_tree(most);
}

/* what brings a norm into [low, high]: exactly 1 where it is there already, and where it is 0 or NaN */
FNN_INLINE vf into_bounds(vf norm, vf low, vf high)
{
    vf factor = vf_select(vf_gt(norm, high), vf_div(high, norm), vf_set1(1));
    return vf_select(vm_and(vf_lt(norm, low), vf_gt(norm, vf_zero())), vf_div(low, norm), factor);
}

/* V vectors of columns at once, each column one chain of fused multiply-adds over its rows, as in column_sums */
FNN_INLINE void bound_columns_of(real *w, size_t rows, size_t cols, size_t last, vf low, vf high, const int V)
{
    vf s[COLUMNS_AT_ONCE], off = vf_zero();
    for (int v = 0; v < V; v++)
        s[v] = vf_zero();
    for (size_t i = 0; i < rows; i++)
        for (int v = 0; v < V; v++) {
            vf x = load_live(w + i * cols + v * VF_LANES, v < V - 1 ? VF_LANES : last);
            s[v] = vf_fma(x, x, s[v]);
        }
    for (int v = 0; v < V; v++) {
        s[v] = into_bounds(vf_sqrt(s[v]), low, high);
        off = vf_max(vf_abs(vf_sub(s[v], vf_set1(1))), off);
    }
    if (vf_max_tree(off) == 0) /* the usual case: within bounds, nothing to write */
        return;
    for (size_t i = 0; i < rows; i++)
        for (int v = 0; v < V; v++) {
            size_t live = v < V - 1 ? VF_LANES : last;
            real *at = w + i * cols + v * VF_LANES;
            vf_store_part(at, vf_mul(load_live(at, live), s[v]), live);
        }
}

static void bound_columns(void *vw, size_t rows, size_t cols, double lowest, double highest)
{
    real *w = vw;
    vf low = vf_set1((real)lowest), high = vf_set1((real)highest);
    size_t j = 0;
    for (; j + COLUMNS_AT_ONCE * VF_LANES <= cols; j += COLUMNS_AT_ONCE * VF_LANES)
        bound_columns_of(w + j, rows, cols, VF_LANES, low, high, COLUMNS_AT_ONCE);
    for (; j < cols; j += VF_LANES)
        bound_columns_of(w + j, rows, cols, cols - j < VF_LANES ? cols - j : VF_LANES, low, high, 1);
}

/* each row's norm by the 16 chains of dot products */
static void bound_rows(void *vw, size_t rows, size_t cols, double lowest, double highest)
{
    real *w = vw;
    vf low = vf_set1((real)lowest), high = vf_set1((real)highest);
    for (size_t i = 0; i < rows; i++, w += cols) {
        vf factor = into_bounds(vf_sqrt(vf_set1(dot(w, w, cols))), low, high);
        for (size_t j = 0; j < cols; j += VF_LANES) {
            size_t live = cols - j < VF_LANES ? cols - j : VF_LANES;
            vf_store_part(w + j, vf_mul(load_live(w + j, live), factor), live);
        }
    }
}
