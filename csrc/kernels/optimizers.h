/* optimizers.h - one update of w by its gradient g, in one pass.
 * lr is the learning rate of this step, t its number (1, 2, ...), p the optimizer's own parameters in the order each
 * function names. What is the same for all of w is worked out once, in float64. */

/* w -= lr g */
static void opt_sgd(void *vw, void *const *s, const void *vg, size_t n, double learning_rate, const double *p,
                    uint64_t t)
{
    real *w = vw;
    const real *g = vg;
    vf lr = vf_set1((real)learning_rate);
    size_t i = 0;
    (void)s, (void)p, (void)t;
    for (; i + VF_LANES <= n; i += VF_LANES)
        vf_store(w + i, vf_fnma(lr, vf_load(g + i), vf_load(w + i)));
    if (i < n)
        vf_store_part(w + i, vf_fnma(lr, vf_load_part(g + i, n - i), vf_load_part(w + i, n - i)), n - i);
}

/* An optimizer with state is a function from (w, a, b, d, g) to (w, a, b, d) in place, of which it uses as many as it has
 * states; the loop is written once. */
typedef struct {
    vf w, a, b, d;
} opt_lane;
typedef struct {
    vf h[8];
} opt_constants;

FNN_INLINE void opt_loop(opt_lane (*f)(opt_lane, vf, const opt_constants *), void *vw, void *const *s, int states,
                         const void *vg, size_t n, const double *h, int constants)
{
    real *w = vw, *a = s[0], *b = states > 1 ? s[1] : NULL, *d = states > 2 ? s[2] : NULL;
    const real *g = vg;
    opt_constants c;
    for (int j = 0; j < constants; j++)
        c.h[j] = vf_set1((real)h[j]);
    size_t i = 0;
    for (; i + VF_LANES <= n; i += VF_LANES) {
        opt_lane x = {vf_load(w + i), vf_load(a + i), states > 1 ? vf_load(b + i) : vf_zero(),
                      states > 2 ? vf_load(d + i) : vf_zero()};
        x = f(x, vf_load(g + i), &c);
        vf_store(w + i, x.w);
        vf_store(a + i, vf_flush(x.a));
        if (states > 1)
            vf_store(b + i, vf_flush(x.b));
        if (states > 2)
            vf_store(d + i, vf_flush(x.d));
    }
    if (i < n) {
        size_t m = n - i;
        opt_lane x = {vf_load_part(w + i, m), vf_load_part(a + i, m), states > 1 ? vf_load_part(b + i, m) : vf_zero(),
                      states > 2 ? vf_load_part(d + i, m) : vf_zero()};
        x = f(x, vf_load_part(g + i, m), &c);
        vf_store_part(w + i, x.w, m);
        vf_store_part(a + i, vf_flush(x.a), m);
        if (states > 1)
            vf_store_part(b + i, vf_flush(x.b), m);
        if (states > 2)
            vf_store_part(d + i, vf_flush(x.d), m);
    }
}

/* v = momentum v - lr g;  w += v  (Polyak 1964; the book, chapter 10).   p = {momentum} */
FNN_INLINE opt_lane lane_momentum(opt_lane x, vf g, const opt_constants *c)
{
    x.a = vf_fnma(c->h[0], g, vf_mul(c->h[1], x.a));
    x.w = vf_add(x.w, x.a);
    return x;
}
static void opt_momentum(void *w, void *const *s, const void *g, size_t n, double lr, const double *p, uint64_t t)
{
    const double h[] = {lr, p[0]};
    (void)t;
    opt_loop(lane_momentum, w, s, 1, g, n, h, 2);
}

/* v = momentum v - lr g;  w += momentum v - lr g  (Nesterov 1983, as Sutskever et al. 2013 put it).   p = {momentum} */
FNN_INLINE opt_lane lane_nesterov(opt_lane x, vf g, const opt_constants *c)
{
    x.a = vf_fnma(c->h[0], g, vf_mul(c->h[1], x.a));
    x.w = vf_fnma(c->h[0], g, vf_fma(c->h[1], x.a, x.w));
    return x;
}
static void opt_nesterov(void *w, void *const *s, const void *g, size_t n, double lr, const double *p, uint64_t t)
{
    const double h[] = {lr, p[0]};
    (void)t;
    opt_loop(lane_nesterov, w, s, 1, g, n, h, 2);
}

/* c += g^2;  w -= lr g / (sqrt(c) + epsilon)  (Duchi et al. 2011).   p = {epsilon} */
FNN_INLINE opt_lane lane_adagrad(opt_lane x, vf g, const opt_constants *c)
{
    x.a = vf_fma(g, g, x.a);
    x.w = vf_sub(x.w, vf_div(vf_mul(c->h[0], g), vf_add(vf_sqrt(x.a), c->h[1])));
    return x;
}
static void opt_adagrad(void *w, void *const *s, const void *g, size_t n, double lr, const double *p, uint64_t t)
{
    const double h[] = {lr, p[0]};
    (void)t;
    opt_loop(lane_adagrad, w, s, 1, g, n, h, 2);
}

/* c = rho c + (1 - rho) g^2;  w -= lr g / (sqrt(c) + epsilon)  (Tieleman and Hinton 2012).
 * p = {rho, epsilon} */
FNN_INLINE opt_lane lane_rmsprop(opt_lane x, vf g, const opt_constants *c)
{
    x.a = vf_fma(vf_mul(c->h[2], g), g, vf_mul(c->h[1], x.a));
    x.w = vf_sub(x.w, vf_div(vf_mul(c->h[0], g), vf_add(vf_sqrt(x.a), c->h[3])));
    return x;
}
static void opt_rmsprop(void *w, void *const *s, const void *g, size_t n, double lr, const double *p, uint64_t t)
{
    const double h[] = {lr, p[0], 1 - p[0], p[1]};
    (void)t;
    opt_loop(lane_rmsprop, w, s, 1, g, n, h, 4);
}

/* m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  w -= lr m' / (sqrt(v') + epsilon) with m' = m / (1 - b1^t) and
 * v' = v / (1 - b2^t)  (Kingma and Ba 2015). With r = sqrt(1 - b2^t) the corrections move out of the loop, as the paper
 * does before its section 2.1:   w -= (lr r / (1 - b1^t)) m / (sqrt(v) + epsilon r).
 * p = {b1, b2, epsilon} */
FNN_INLINE opt_lane adam_moments(opt_lane x, vf g, const opt_constants *c)
{
    x.a = vf_fma(c->h[1], x.a, vf_mul(c->h[2], g));
    x.b = vf_fma(c->h[3], x.b, vf_mul(vf_mul(c->h[4], g), g));
    return x;
}
/* w less the first moment times h[0] over the root of v */
FNN_INLINE vf adam_moved(vf w, opt_lane x, vf v, const opt_constants *c)
{
    return vf_sub(w, vf_div(vf_mul(c->h[0], x.a), vf_add(vf_sqrt(v), c->h[5])));
}
/* h[0 .. 6) of Adam and its kin; returns lr r */
static double adam_constants(double *h, double lr, const double *p, uint64_t t)
{
    const double r = fnn_sqrt(1 - fnn_powi(p[1], t));
    h[0] = lr * r / (1 - fnn_powi(p[0], t));
    h[1] = p[0], h[2] = 1 - p[0], h[3] = p[1], h[4] = 1 - p[1], h[5] = p[2] * r;
    return lr * r;
}
FNN_INLINE opt_lane lane_adam(opt_lane x, vf g, const opt_constants *c)
{
    x = adam_moments(x, g, c);
    x.w = adam_moved(x.w, x, x.b, c);
    return x;
}
static void opt_adam(void *w, void *const *s, const void *g, size_t n, double lr, const double *p, uint64_t t)
{
    double h[6];
    adam_constants(h, lr, p, t);
    opt_loop(lane_adam, w, s, 2, g, n, h, 6);
}

/* m and v as Adam's;  u = max(u, v), and u in the place of v in w's step (Reddi et al. 2018).   p = {b1, b2, epsilon} */
FNN_INLINE opt_lane lane_amsgrad(opt_lane x, vf g, const opt_constants *c)
{
    x = adam_moments(x, g, c);
    x.d = vf_max(x.d, x.b);
    x.w = adam_moved(x.w, x, x.d, c);
    return x;
}
static void opt_amsgrad(void *w, void *const *s, const void *g, size_t n, double lr, const double *p, uint64_t t)
{
    double h[6];
    adam_constants(h, lr, p, t);
    opt_loop(lane_amsgrad, w, s, 3, g, n, h, 6);
}

/* Adam's step, and w shrinks by lr decay w beside it (Loshchilov and Hutter 2019).   p = {b1, b2, epsilon, decay} */
FNN_INLINE opt_lane lane_adamw(opt_lane x, vf g, const opt_constants *c)
{
    x = adam_moments(x, g, c);
    x.w = adam_moved(vf_fnma(c->h[6], x.w, x.w), x, x.b, c);
    return x;
}
static void opt_adamw(void *w, void *const *s, const void *g, size_t n, double lr, const double *p, uint64_t t)
{
    double h[7];
    adam_constants(h, lr, p, t);
    h[6] = lr * p[3];
    opt_loop(lane_adamw, w, s, 2, g, n, h, 7);
}

/* m and v as Adam's;  w -= lr m' / (sqrt(v') + epsilon) with m' = b1 m / (1 - b1^(t+1)) + (1 - b1) g / (1 - b1^t)
 * (Dozat 2016, algorithm 2, with one b1 for all steps).   p = {b1, b2, epsilon} */
FNN_INLINE opt_lane lane_nadam(opt_lane x, vf g, const opt_constants *c)
{
    x = adam_moments(x, g, c);
    x.w = vf_sub(x.w, vf_div(vf_fma(c->h[0], x.a, vf_mul(c->h[6], g)), vf_add(vf_sqrt(x.b), c->h[5])));
    return x;
}
static void opt_nadam(void *w, void *const *s, const void *g, size_t n, double lr, const double *p, uint64_t t)
{
    double h[7];
    const double rate = adam_constants(h, lr, p, t);
    h[0] = rate * p[0] / (1 - fnn_powi(p[0], t + 1));
    h[6] = rate * (1 - p[0]) / (1 - fnn_powi(p[0], t));
    opt_loop(lane_nadam, w, s, 2, g, n, h, 7);
}

/* w -= lr (sign(b1 m + (1 - b1) g) + decay w);  m = b2 m + (1 - b2) g  (Chen et al. 2023). The sign of 0 is 0, that of
 * NaN is NaN.   p = {b1, b2, decay} */
FNN_INLINE opt_lane lane_lion(opt_lane x, vf g, const opt_constants *c)
{
    vf u = vf_fma(c->h[1], x.a, vf_mul(c->h[2], g)), one = vf_set1(1);
    u = vf_select(vf_gt(u, vf_zero()), one, vf_select(vf_lt(u, vf_zero()), vf_neg(one), u));
    x.a = vf_fma(c->h[3], x.a, vf_mul(c->h[4], g));
    x.w = vf_fnma(c->h[0], u, vf_fnma(c->h[5], x.w, x.w));
    return x;
}
static void opt_lion(void *w, void *const *s, const void *g, size_t n, double lr, const double *p, uint64_t t)
{
    const double h[] = {lr, p[0], 1 - p[0], p[1], 1 - p[1], lr * p[2]};
    (void)t;
    opt_loop(lane_lion, w, s, 1, g, n, h, 6);
}
