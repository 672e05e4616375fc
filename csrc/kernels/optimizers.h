/* optimizers.h - one update of w by its gradient g, in one pass. Each optimizer is a function of one vector; lr is the
 * learning rate of the step, t its number (1, 2, ...), p the optimizer's own parameters in the order each names. What is
 * the same for all of w comes as constants h, worked out once a step by csrc/optimizers.c. */

/* a function takes (w, a, b, d, g) to (w, a, b, d), of which it uses as many as it has states */
typedef struct {
    vf w, a, b, d;
} opt_lane;
typedef struct {
    vf h[FNN_OPT_CONSTANTS];
} opt_constants;
typedef struct {
    real *w, *a, *b, *d;
} opt_arrays;

/* at element i, so many lanes */
FNN_INLINE void opt_vector(opt_lane (*f)(opt_lane, vf, const opt_constants *), opt_arrays to, const real *g,
                           const opt_constants *c, size_t i, size_t live, const int states)
{
    opt_lane x = {load_live(to.w + i, live), states > 0 ? load_live(to.a + i, live) : vf_zero(),
                  states > 1 ? load_live(to.b + i, live) : vf_zero(),
                  states > 2 ? load_live(to.d + i, live) : vf_zero()};
    x = f(x, load_live(g + i, live), c);
    store_live(to.w + i, x.w, live);
    if (states > 0)
        store_live(to.a + i, vf_flush(x.a), live);
    if (states > 1)
        store_live(to.b + i, vf_flush(x.b), live);
    if (states > 2)
        store_live(to.d + i, vf_flush(x.d), live);
}

FNN_INLINE void opt_loop(opt_lane (*f)(opt_lane, vf, const opt_constants *), void *w, void *const *s, const void *g,
                         size_t n, const double *h, const int states)
{
    const opt_arrays to = {w, states > 0 ? s[0] : NULL, states > 1 ? s[1] : NULL, states > 2 ? s[2] : NULL};
    opt_constants c;
    for (int j = 0; j < FNN_OPT_CONSTANTS; j++) /* those that f does not use cost nothing */
        c.h[j] = vf_set1((real)h[j]);
    size_t i = 0;
    for (; i + VF_LANES <= n; i += VF_LANES)
        opt_vector(f, to, g, &c, i, VF_LANES, states);
    if (i < n)
        opt_vector(f, to, g, &c, i, n - i, states);
}

/* w -= lr g */
FNN_INLINE opt_lane lane_sgd(opt_lane x, vf g, const opt_constants *c)
{
    x.w = vf_fnma(c->h[0], g, x.w);
    return x;
}

/* v = momentum v - lr g;  w += v  (Polyak 1964; the book, chapter 10).   p = {momentum} */
FNN_INLINE opt_lane lane_momentum(opt_lane x, vf g, const opt_constants *c)
{
    x.a = vf_fnma(c->h[0], g, vf_mul(c->h[1], x.a));
    x.w = vf_add(x.w, x.a);
    return x;
}

/* v = momentum v - lr g;  w += momentum v - lr g  (Nesterov 1983, as Sutskever et al. 2013 put it).   p = {momentum} */
FNN_INLINE opt_lane lane_nesterov(opt_lane x, vf g, const opt_constants *c)
{
    x.a = vf_fnma(c->h[0], g, vf_mul(c->h[1], x.a));
    x.w = vf_fnma(c->h[0], g, vf_fma(c->h[1], x.a, x.w));
    return x;
}

/* c += g^2;  w -= lr g / (sqrt(c) + epsilon)  (Duchi et al. 2011).   p = {epsilon} */
FNN_INLINE opt_lane lane_adagrad(opt_lane x, vf g, const opt_constants *c)
{
    x.a = vf_fma(g, g, x.a);
    x.w = vf_sub(x.w, vf_div(vf_mul(c->h[0], g), vf_add(vf_sqrt(x.a), c->h[1])));
    return x;
}

/* c = rho c + (1 - rho) g^2;  w -= lr g / (sqrt(c) + epsilon)  (Tieleman and Hinton 2012).
 * p = {rho, epsilon} */
FNN_INLINE opt_lane lane_rmsprop(opt_lane x, vf g, const opt_constants *c)
{
    x.a = vf_fma(vf_mul(c->h[2], g), g, vf_mul(c->h[1], x.a));
    x.w = vf_sub(x.w, vf_div(vf_mul(c->h[0], g), vf_add(vf_sqrt(x.a), c->h[3])));
    return x;
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
FNN_INLINE opt_lane lane_adam(opt_lane x, vf g, const opt_constants *c)
{
    x = adam_moments(x, g, c);
    x.w = adam_moved(x.w, x, x.b, c);
    return x;
}

/* m and v as Adam's;  u = max(u, v), and u in the place of v in w's step (Reddi et al. 2018).   p = {b1, b2, epsilon} */
FNN_INLINE opt_lane lane_amsgrad(opt_lane x, vf g, const opt_constants *c)
{
    x = adam_moments(x, g, c);
    x.d = vf_max(x.d, x.b);
    x.w = adam_moved(x.w, x, x.d, c);
    return x;
}

/* Adam's step, and w shrinks by lr decay w beside it (Loshchilov and Hutter 2019).   p = {b1, b2, epsilon, decay} */
FNN_INLINE opt_lane lane_adamw(opt_lane x, vf g, const opt_constants *c)
{
    x = adam_moments(x, g, c);
    x.w = adam_moved(vf_fnma(c->h[6], x.w, x.w), x, x.b, c);
    return x;
}

/* m and v as Adam's;  w -= lr m' / (sqrt(v') + epsilon) with m' = b1 m / (1 - b1^(t+1)) + (1 - b1) g / (1 - b1^t)
 * (Dozat 2016, algorithm 2, with one b1 for all steps).   p = {b1, b2, epsilon} */
FNN_INLINE opt_lane lane_nadam(opt_lane x, vf g, const opt_constants *c)
{
    x = adam_moments(x, g, c);
    x.w = vf_sub(x.w, vf_div(vf_fma(c->h[0], x.a, vf_mul(c->h[6], g)), vf_add(vf_sqrt(x.b), c->h[5])));
    return x;
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

#define OPT_DRIVER(name, states, parameters)                                                                           \
    static void opt_##name(void *w, void *const *s, const void *g, size_t n, const double *h)                          \
    {                                                                                                                  \
        opt_loop(lane_##name, w, s, g, n, h, states);                                                                  \
    }
FNN_OPTIMIZERS(OPT_DRIVER)
