/* norm.h - batch normalization, by columns (Ioffe and Szegedy 2015), and layer normalization, by rows (Ba et al. 2016).
 *
 * Down the columns every sum is one chain, rows ascending, whatever the vector; along a row it is 16 chains and their
 * tree (reduce.h). */

#define NORM_AT_ONCE 4 /* vectors of columns: each is one chain of additions, and a single one would wait for itself */

FNN_INLINE size_t live_of(int v, int V, size_t last) { return v < V - 1 ? VF_LANES : last; }

/* 1 / sqrt(variance + epsilon), and 1 where there is nothing to divide by */
FNN_INLINE vf inverse_deviation(vf variance, vf epsilon)
{
    vf one = vf_set1(1), square = vf_add(variance, epsilon);
    return vf_div(one, vf_select(vf_eq(square, vf_zero()), one, vf_sqrt(square)));
}

/* Distances from the first row are summed, not the values: a column far from zero keeps its digits, and that of a
 * constant column is 0. The second pass takes the distances from the mean (Chan, Golub, LeVeque 1983). */
FNN_INLINE void moments_of(real *mean, real *variance, const real *x, size_t ld, size_t rows, size_t last, const int V)
{
    vf first[NORM_AT_ONCE], m[NORM_AT_ONCE], s[NORM_AT_ONCE], count = vf_set1((real)rows);
    for (int v = 0; v < V; v++) {
        first[v] = load_live(x + v * VF_LANES, live_of(v, V, last));
        s[v] = vf_zero();
    }
    for (size_t i = 0; i < rows; i++)
        for (int v = 0; v < V; v++)
            s[v] = vf_add(s[v], vf_sub(load_live(x + i * ld + v * VF_LANES, live_of(v, V, last)), first[v]));
    for (int v = 0; v < V; v++) {
        m[v] = vf_add(first[v], vf_div(s[v], count));
        s[v] = vf_zero();
    }
    for (size_t i = 0; i < rows; i++)
        for (int v = 0; v < V; v++) {
            vf d = vf_sub(load_live(x + i * ld + v * VF_LANES, live_of(v, V, last)), m[v]);
            s[v] = vf_fma(d, d, s[v]);
        }
    for (int v = 0; v < V; v++) {
        vf_store_part(mean + v * VF_LANES, m[v], live_of(v, V, last));
        vf_store_part(variance + v * VF_LANES, vf_div(s[v], count), live_of(v, V, last));
    }
}

static void column_moments(void *vmean, void *vvariance, const void *vx, size_t ld, size_t rows, size_t cols)
{
    real *mean = vmean, *variance = vvariance;
    const real *x = vx;
    size_t j = 0;
    for (; j + NORM_AT_ONCE * VF_LANES <= cols; j += NORM_AT_ONCE * VF_LANES)
        moments_of(mean + j, variance + j, x + j, ld, rows, VF_LANES, NORM_AT_ONCE);
    for (; j < cols; j += VF_LANES)
        moments_of(mean + j, variance + j, x + j, ld, rows, cols - j < VF_LANES ? cols - j : VF_LANES, 1);
}

/* a parameter of the columns at j, or what it is where there is none */
FNN_INLINE vf column_or(const real *p, size_t j, size_t live, real otherwise)
{
    return p ? load_live(p + j, live) : vf_set1(otherwise);
}

FNN_INLINE void normalize_of(real *y, const real *x, const real *mean, const real *variance, const real *gamma,
                             const real *beta, real epsilon, size_t ld, size_t rows, size_t j, size_t last, const int V)
{
    vf m[NORM_AT_ONCE], scale[NORM_AT_ONCE], b[NORM_AT_ONCE];
    for (int v = 0; v < V; v++) {
        size_t at = j + (size_t)v * VF_LANES, live = live_of(v, V, last);
        m[v] = column_or(mean, at, live, 0);
        b[v] = column_or(beta, at, live, 0);
        scale[v] = inverse_deviation(load_live(variance + at, live), vf_set1(epsilon));
        if (gamma)
            scale[v] = vf_mul(load_live(gamma + at, live), scale[v]);
    }
    for (size_t i = 0; i < rows; i++)
        for (int v = 0; v < V; v++) {
            size_t at = i * ld + j + (size_t)v * VF_LANES, live = live_of(v, V, last);
            store_live(y + at, vf_fma(vf_sub(load_live(x + at, live), m[v]), scale[v], b[v]), live);
        }
}

static void normalize_columns(void *y, const void *x, const void *mean, const void *variance, const void *gamma,
                              const void *beta, double epsilon, size_t ld, size_t rows, size_t cols)
{
    real e = (real)epsilon;
    size_t j = 0;
    for (; j + NORM_AT_ONCE * VF_LANES <= cols; j += NORM_AT_ONCE * VF_LANES)
        normalize_of(y, x, mean, variance, gamma, beta, e, ld, rows, j, VF_LANES, NORM_AT_ONCE);
    for (; j < cols; j += VF_LANES)
        normalize_of(y, x, mean, variance, gamma, beta, e, ld, rows, j, cols - j < VF_LANES ? cols - j : VF_LANES, 1);
}

/* with n = (x - mean) * inverse:  dbeta = sum dy,  dgamma = sum dy n,  dx = gamma inverse (dy - (dbeta + n dgamma) / rows)
 */
typedef struct {
    real *dx, *dgamma, *dbeta;
    const real *dy, *x, *mean, *variance, *gamma;
    real epsilon;
} batch_norm_arrays;

FNN_INLINE void batch_norm_bwd_of(const batch_norm_arrays *a, size_t ld, size_t rows, size_t j, size_t last,
                                  const int V)
{
    vf m[NORM_AT_ONCE], inverse[NORM_AT_ONCE], s[NORM_AT_ONCE], t[NORM_AT_ONCE], scale[NORM_AT_ONCE];
    const vf count = vf_set1((real)rows);
    for (int v = 0; v < V; v++) {
        size_t at = j + (size_t)v * VF_LANES, live = live_of(v, V, last);
        m[v] = load_live(a->mean + at, live);
        inverse[v] = inverse_deviation(load_live(a->variance + at, live), vf_set1(a->epsilon));
        s[v] = t[v] = vf_zero();
    }
    for (size_t i = 0; i < rows; i++)
        for (int v = 0; v < V; v++) {
            size_t at = i * ld + j + (size_t)v * VF_LANES, live = live_of(v, V, last);
            vf dy = load_live(a->dy + at, live), d = vf_sub(load_live(a->x + at, live), m[v]);
            s[v] = vf_add(s[v], dy);
            t[v] = vf_fma(dy, d, t[v]);
        }
    for (int v = 0; v < V; v++) {
        size_t at = j + (size_t)v * VF_LANES, live = live_of(v, V, last);
        vf dgamma = vf_mul(t[v], inverse[v]);
        if (a->dbeta)
            vf_store_part(a->dbeta + at, s[v], live);
        if (a->dgamma)
            vf_store_part(a->dgamma + at, dgamma, live);
        scale[v] = vf_mul(column_or(a->gamma, at, live, 1), inverse[v]);
        s[v] = vf_div(s[v], count);
        t[v] = vf_div(vf_mul(dgamma, inverse[v]), count);
    }
    if (!a->dx)
        return;
    for (size_t i = 0; i < rows; i++)
        for (int v = 0; v < V; v++) {
            size_t at = i * ld + j + (size_t)v * VF_LANES, live = live_of(v, V, last);
            vf d = vf_sub(load_live(a->x + at, live), m[v]);
            store_live(a->dx + at, vf_mul(scale[v], vf_fnma(d, t[v], vf_sub(load_live(a->dy + at, live), s[v]))), live);
        }
}

static void batch_norm_bwd(void *dx, void *dgamma, void *dbeta, const void *dy, const void *x, const void *mean,
                           const void *variance, const void *gamma, double epsilon, size_t ld, size_t rows, size_t cols)
{
    const batch_norm_arrays a = {dx, dgamma, dbeta, dy, x, mean, variance, gamma, (real)epsilon};
    size_t j = 0;
    for (; j + NORM_AT_ONCE * VF_LANES <= cols; j += NORM_AT_ONCE * VF_LANES)
        batch_norm_bwd_of(&a, ld, rows, j, VF_LANES, NORM_AT_ONCE);
    for (; j < cols; j += VF_LANES)
        batch_norm_bwd_of(&a, ld, rows, j, cols - j < VF_LANES ? cols - j : VF_LANES, 1);
}

/* --- along a row --- */

/* sum x[k], by chains; dead lanes add +0 */
FNN_INLINE real row_sum(const real *x, size_t n)
{
    chains c = chains_zero();
    size_t i = 0;
    for (; i + CHAINS <= n; i += CHAINS)
        for (int v = 0; v < CHAIN_VECTORS; v++)
            c.v[v] = vf_add(c.v[v], vf_load(x + i + v * VF_LANES));
    for (int v = 0; v < CHAIN_VECTORS; v++) {
        size_t lanes = chain_lanes(n - i, v);
        if (lanes)
            c.v[v] = vf_add(c.v[v], vf_load_part(x + i + v * VF_LANES, lanes));
    }
    return chains_join(c);
}

/* sum (x[k] - mean)^2, by chains of fused multiply-adds */
FNN_INLINE real row_squares(const real *x, size_t n, real mean)
{
    chains c = chains_zero();
    vf m = vf_set1(mean);
    real means[VF_LANES]; /* read as partly as x is: dead lanes are 0 - 0 */
    size_t i = 0;
    vf_store(means, m);
    for (; i + CHAINS <= n; i += CHAINS)
        for (int v = 0; v < CHAIN_VECTORS; v++) {
            vf d = vf_sub(vf_load(x + i + v * VF_LANES), m);
            c.v[v] = vf_fma(d, d, c.v[v]);
        }
    for (int v = 0; v < CHAIN_VECTORS; v++) {
        size_t lanes = chain_lanes(n - i, v);
        if (lanes) {
            vf d = vf_sub(vf_load_part(x + i + v * VF_LANES, lanes), vf_load_part(means, lanes));
            c.v[v] = vf_fma(d, d, c.v[v]);
        }
    }
    return chains_join(c);
}

/* what the functions below know of a row; means: `mean` in memory, read as partly as x is */
typedef struct {
    vf mean, inverse;
    real means[VF_LANES];
} row_moments;

FNN_INLINE vf normalized(const row_moments *m, const real *x, size_t lanes)
{
    vf mean = lanes == VF_LANES ? m->mean : vf_load_part(m->means, lanes); /* dead lanes stay 0 */
    return vf_mul(vf_sub(load_live(x, lanes), mean), m->inverse);
}

FNN_INLINE void layer_norm_apply(real *y, const row_moments *m, const real *x, const real *gamma, const real *beta,
                                 size_t j, size_t lanes)
{
    vf n = normalized(m, x + j, lanes);
    store_live(y + j, vf_fma(n, column_or(gamma, j, lanes, 1), column_or(beta, j, lanes, 0)), lanes);
}

static void layer_norm_fwd(void *vy, void *vstats, const void *vx, const void *gamma, const void *beta, double epsilon,
                           size_t rows, size_t cols)
{
    real *stats = vstats;
    for (size_t r = 0; r < rows; r++) {
        const real *x = (const real *)vx + r * cols;
        real *y = (real *)vy + r * cols;
        const real mean = row_sum(x, cols) / (real)cols, variance = row_squares(x, cols, mean) / (real)cols;
        row_moments m = {vf_set1(mean), inverse_deviation(vf_set1(variance), vf_set1((real)epsilon)), {0}};
        vf_store(m.means, m.mean);
        size_t j = 0;
        for (; j + VF_LANES <= cols; j += VF_LANES)
            layer_norm_apply(y, &m, x, gamma, beta, j, VF_LANES);
        if (j < cols)
            layer_norm_apply(y, &m, x, gamma, beta, j, cols - j);
        if (stats) {
            stats[2 * r] = mean;
            vf_store_part(stats + 2 * r + 1, m.inverse, 1);
        }
    }
}

/* with n = (x - mean) * inverse and g = dy gamma:  dx = inverse (g - (sum g + n sum g n) / cols) along each row;
 * dgamma = sum dy n and dbeta = sum dy down the columns, going on from what they hold */
typedef struct {
    real *dgamma, *dbeta;
    const real *gamma;
    chains s, t; /* of the row: g, g n */
} layer_norm_sums;

FNN_INLINE void layer_norm_add(layer_norm_sums *a, const row_moments *m, const real *dy, const real *x, size_t j,
                               size_t lanes, int v)
{
    vf d = load_live(dy + j, lanes), n = normalized(m, x + j, lanes);
    vf g = a->gamma ? vf_mul(d, load_live(a->gamma + j, lanes)) : d;
    a->s.v[v] = vf_add(a->s.v[v], g);
    a->t.v[v] = vf_fma(g, n, a->t.v[v]);
    if (a->dgamma)
        store_live(a->dgamma + j, vf_fma(d, n, load_live(a->dgamma + j, lanes)), lanes);
    if (a->dbeta)
        store_live(a->dbeta + j, vf_add(load_live(a->dbeta + j, lanes), d), lanes);
}

FNN_INLINE void layer_norm_input(real *dx, const row_moments *m, vf s, vf t, const real *dy, const real *x,
                                 const real *gamma, size_t j, size_t lanes)
{
    vf g = load_live(dy + j, lanes);
    if (gamma)
        g = vf_mul(g, load_live(gamma + j, lanes));
    store_live(dx + j, vf_mul(m->inverse, vf_fnma(normalized(m, x + j, lanes), t, vf_sub(g, s))), lanes);
}

static void layer_norm_bwd(void *vdx, void *dgamma, void *dbeta, const void *vdy, const void *vx, const void *vstats,
                           const void *gamma, size_t rows, size_t cols, int go_on)
{
    const real *stats = vstats;
    if (!go_on && dgamma)
        __builtin_memset(dgamma, 0, cols * sizeof(real));
    if (!go_on && dbeta)
        __builtin_memset(dbeta, 0, cols * sizeof(real));
    for (size_t r = 0; r < rows; r++) {
        const real *dy = (const real *)vdy + r * cols, *x = (const real *)vx + r * cols;
        layer_norm_sums a = {dgamma, dbeta, gamma, chains_zero(), chains_zero()};
        row_moments m = {vf_set1(stats[2 * r]), vf_set1(stats[2 * r + 1]), {0}};
        vf_store(m.means, m.mean);
        size_t i = 0;
        for (; i + CHAINS <= cols; i += CHAINS)
            for (int v = 0; v < CHAIN_VECTORS; v++)
                layer_norm_add(&a, &m, dy, x, i + (size_t)v * VF_LANES, VF_LANES, v);
        for (int v = 0; v < CHAIN_VECTORS; v++)
            if (chain_lanes(cols - i, v))
                layer_norm_add(&a, &m, dy, x, i + (size_t)v * VF_LANES, chain_lanes(cols - i, v), v);
        if (!vdx)
            continue;
        const vf s = vf_set1(chains_join(a.s) / (real)cols), t = vf_set1(chains_join(a.t) / (real)cols);
        real *dx = (real *)vdx + r * cols;
        size_t j = 0;
        for (; j + VF_LANES <= cols; j += VF_LANES)
            layer_norm_input(dx, &m, s, t, dy, x, gamma, j, VF_LANES);
        if (j < cols)
            layer_norm_input(dx, &m, s, t, dy, x, gamma, j, cols - j);
    }
}
