/* norm.h - batch normalization, by columns (Ioffe and Szegedy 2015), and layer normalization, by rows (Ba et al. 2016).
 *
 * Down the columns every sum is one chain, rows ascending, whatever the vector; along a row it is 16 chains and their
 * tree (reduce.h). */

#define NORM_COLUMNS 512 /* worked on together: their sums and factors stay in the first cache */
#define NORM_ROWS 8      /* added up together, in registers */

/* 1 / sqrt(variance + epsilon), and 1 where there is nothing to divide by. A variance that overflowed gives NaN, not the
 * 0 of IEEE's 1 / infinity: the loss then shows it, and the step is refused. */
FNN_INLINE vf inverse_deviation(vf variance, vf epsilon)
{
    vf one = vf_set1(1), square = vf_add(variance, epsilon);
    vf one_or_nan = vf_add(one, vf_sub(square, square));
    return vf_div(one_or_nan, vf_select(vf_eq(square, vf_zero()), one, vf_sqrt(square)));
}

/* a parameter of the columns at p, or what it is where there is none */
FNN_INLINE vf column_or(const real *p, size_t live, real otherwise)
{
    return p ? load_live(p, live) : vf_set1(otherwise);
}
FNN_INLINE const real *from(const real *p, size_t j) { return p ? p + j : p; }

FNN_INLINE size_t live_at(size_t j, size_t cols) { return cols - j < VF_LANES ? cols - j : VF_LANES; }

/* What a pass knows of its columns: arrays of its own, so that none is missing. */
typedef struct {
    real center[NORM_COLUMNS]; /* what is subtracted from x */
    real s[NORM_COLUMNS], t[NORM_COLUMNS];
    real scale[NORM_COLUMNS], shift[NORM_COLUMNS];
} norm_columns;

/* one vector of columns, R rows of it: s += x - center, or t += (x - center)^2 */
FNN_INLINE void add_distances(norm_columns *c, const real *x, size_t ld, size_t j, size_t live, const int squares,
                              const int R)
{
    real *sum = squares ? c->t : c->s;
    vf center = load_live(c->center + j, live), s = load_live(sum + j, live);
    for (int i = 0; i < R; i++) {
        vf d = vf_sub(load_live(x + (size_t)i * ld + j, live), center);
        s = squares ? vf_fma(d, d, s) : vf_add(s, d);
    }
    store_live(sum + j, s, live);
}

FNN_INLINE void distances_of(norm_columns *c, const real *x, size_t ld, size_t cols, const int squares, const int R)
{
    size_t j = 0;
    for (; j + VF_LANES <= cols; j += VF_LANES)
        add_distances(c, x, ld, j, VF_LANES, squares, R);
    if (j < cols)
        add_distances(c, x, ld, j, cols - j, squares, R);
}

FNN_INLINE void sum_distances(norm_columns *c, const real *x, size_t ld, size_t rows, size_t cols, const int squares)
{
    size_t i = 0;
    __builtin_memset(squares ? c->t : c->s, 0, cols * sizeof(real));
    for (; i + NORM_ROWS <= rows; i += NORM_ROWS)
        distances_of(c, x + i * ld, ld, cols, squares, NORM_ROWS);
    for (; i < rows; i++)
        distances_of(c, x + i * ld, ld, cols, squares, 1);
}

/* Distances from the first row are summed, not the values: a column far from zero keeps its digits, and that of a
 * constant column is 0. The second pass takes the distances from the mean (Chan, Golub, LeVeque 1983). */
static void column_moments(void *vmean, void *vvariance, const void *vx, size_t ld, size_t rows, size_t cols)
{
    norm_columns c;
    const vf count = vf_set1((real)rows);
    for (size_t first = 0; first < cols; first += NORM_COLUMNS) {
        const real *x = (const real *)vx + first;
        real *mean = (real *)vmean + first, *variance = (real *)vvariance + first;
        const size_t n = cols - first < NORM_COLUMNS ? cols - first : NORM_COLUMNS;
        __builtin_memcpy(c.center, x, n * sizeof(real));
        sum_distances(&c, x, ld, rows, n, 0);
        for (size_t j = 0; j < n; j += VF_LANES) {
            size_t live = live_at(j, n);
            vf m = vf_add(load_live(c.center + j, live), vf_div(load_live(c.s + j, live), count));
            store_live(mean + j, m, live);
            store_live(c.center + j, m, live);
        }
        sum_distances(&c, x, ld, rows, n, 1);
        for (size_t j = 0; j < n; j += VF_LANES)
            store_live(variance + j, vf_div(load_live(c.t + j, live_at(j, n)), count), live_at(j, n));
    }
}

FNN_INLINE void normalize_at(real *y, const norm_columns *c, const real *x, size_t j, size_t live)
{
    vf d = vf_sub(load_live(x + j, live), load_live(c->center + j, live));
    store_live(y + j, vf_fma(d, load_live(c->scale + j, live), load_live(c->shift + j, live)), live);
}

static void normalize_columns(void *vy, const void *vx, const void *mean, const void *variance, const void *gamma,
                              const void *beta, double epsilon, size_t ld, size_t rows, size_t cols)
{
    norm_columns c;
    for (size_t first = 0; first < cols; first += NORM_COLUMNS) {
        const real *x = (const real *)vx + first;
        real *y = (real *)vy + first;
        const size_t n = cols - first < NORM_COLUMNS ? cols - first : NORM_COLUMNS;
        for (size_t j = 0; j < n; j += VF_LANES) {
            size_t at = first + j, live = live_at(j, n);
            vf inverse = inverse_deviation(load_live((const real *)variance + at, live), vf_set1((real)epsilon));
            store_live(c.center + j, column_or(from(mean, at), live, 0), live);
            store_live(c.scale + j, vf_mul(column_or(from(gamma, at), live, 1), inverse), live);
            store_live(c.shift + j, column_or(from(beta, at), live, 0), live);
        }
        for (size_t i = 0; i < rows; i++, x += ld, y += ld) {
            size_t j = 0;
            for (; j + VF_LANES <= n; j += VF_LANES)
                normalize_at(y, &c, x, j, VF_LANES);
            if (j < n)
                normalize_at(y, &c, x, j, n - j);
        }
    }
}

/* one vector of columns, R rows of it: s += dy, t += dy (x - center) */
FNN_INLINE void add_products(norm_columns *c, const real *dy, const real *x, size_t ld, size_t j, size_t live,
                             const int R)
{
    vf center = load_live(c->center + j, live), s = load_live(c->s + j, live), t = load_live(c->t + j, live);
    for (int i = 0; i < R; i++) {
        vf g = load_live(dy + (size_t)i * ld + j, live);
        s = vf_add(s, g);
        t = vf_fma(g, vf_sub(load_live(x + (size_t)i * ld + j, live), center), t);
    }
    store_live(c->s + j, s, live);
    store_live(c->t + j, t, live);
}

FNN_INLINE void products_of(norm_columns *c, const real *dy, const real *x, size_t ld, size_t cols, const int R)
{
    size_t j = 0;
    for (; j + VF_LANES <= cols; j += VF_LANES)
        add_products(c, dy, x, ld, j, VF_LANES, R);
    if (j < cols)
        add_products(c, dy, x, ld, j, cols - j, R);
}

FNN_INLINE void batch_norm_dx(real *dx, const norm_columns *c, const real *dy, const real *x, size_t j, size_t live)
{
    vf d = vf_sub(load_live(x + j, live), load_live(c->center + j, live));
    vf g = vf_fnma(d, load_live(c->t + j, live), vf_sub(load_live(dy + j, live), load_live(c->s + j, live)));
    store_live(dx + j, vf_mul(load_live(c->scale + j, live), g), live);
}

/* with n = (x - mean) * inverse:  dbeta = sum dy,  dgamma = sum dy n,
 * dx = gamma inverse (dy - (dbeta + n dgamma) / rows) */
static void batch_norm_bwd(void *vdx, void *dgamma, void *dbeta, const void *vdy, const void *vx, const void *mean,
                           const void *variance, const void *gamma, double epsilon, size_t ld, size_t rows, size_t cols)
{
    norm_columns c;
    const vf count = vf_set1((real)rows);
    for (size_t first = 0; first < cols; first += NORM_COLUMNS) {
        const real *x = (const real *)vx + first, *dy = (const real *)vdy + first;
        const size_t n = cols - first < NORM_COLUMNS ? cols - first : NORM_COLUMNS;
        size_t i = 0;
        __builtin_memcpy(c.center, (const real *)mean + first, n * sizeof(real));
        __builtin_memset(c.s, 0, n * sizeof(real));
        __builtin_memset(c.t, 0, n * sizeof(real));
        for (; i + NORM_ROWS <= rows; i += NORM_ROWS)
            products_of(&c, dy + i * ld, x + i * ld, ld, n, NORM_ROWS);
        for (; i < rows; i++)
            products_of(&c, dy + i * ld, x + i * ld, ld, n, 1);
        for (size_t j = 0; j < n; j += VF_LANES) {
            size_t at = first + j, live = live_at(j, n);
            vf inverse = inverse_deviation(load_live((const real *)variance + at, live), vf_set1((real)epsilon));
            vf s = load_live(c.s + j, live), t = vf_mul(load_live(c.t + j, live), inverse);
            if (dbeta)
                store_live((real *)dbeta + at, s, live);
            if (dgamma)
                store_live((real *)dgamma + at, t, live);
            store_live(c.s + j, vf_div(s, count), live);
            store_live(c.t + j, vf_div(vf_mul(t, inverse), count), live);
            store_live(c.scale + j, vf_mul(column_or(from(gamma, at), live, 1), inverse), live);
        }
        if (!vdx)
            continue;
        real *dx = (real *)vdx + first;
        for (i = 0; i < rows; i++, dx += ld, dy += ld, x += ld) {
            size_t j = 0;
            for (; j + VF_LANES <= n; j += VF_LANES)
                batch_norm_dx(dx, &c, dy, x, j, VF_LANES);
            if (j < n)
                batch_norm_dx(dx, &c, dy, x, j, n - j);
        }
    }
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
    store_live(y + j, vf_fma(n, column_or(from(gamma, j), lanes, 1), column_or(from(beta, j), lanes, 0)), lanes);
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
