/* gates.h - the smooth activations that are x times a gate between 0 and 1 (silu, mish, gelu), and softplus.
 *
 * Naively written, x * gate(x), they lose in the left tail: the gate sinks below the smallest normal number before x
 * brings the product back up, and the rounding of the gate's argument is magnified by the exponential. So the tail is
 * kept as an unevaluated product that one last multiplication by a power of two makes small, and arguments that are
 * rounded carry what they lost (by fused multiply-adds: sse2, which has none, is some hundred ulp off in the far tails of
 * the two GELUs). At -inf, where x * gate(x) would be -inf * 0, all three take their limit, 0; NaN stays
 * NaN. Errors as in vmath.h.
 */
#ifndef FNN_GATES_H
#define FNN_GATES_H

#if FNN_BITS == 32
#define FNN_GATE_LOW (FNN_EXP_LOW - 16) /* x exp(x) rounds to 0 from here down, also with the factor x */
#define FNN_GELU_LOW -15.0F             /* x Phi(x) likewise */
#define FNN_CUBIC_LOW -12.0F            /* the cubic of gelu_tanh is -142 there, and exp of that 0 */
#define FNN_LINEAR_HI 0x1.988454p+0F    /* 2 sqrt(2 / pi) */
#define FNN_LINEAR_LO -0x1.857936p-25F
#define FNN_CUBE_HI 0x1.2444f2p-4F /* 0.044715 of that */
#define FNN_CUBE_LO 0x1.49b16ap-29F
static const float normal_tail_c[] = {-0x1.e6cb16p-16F, -0x1.579e9ep-13F, 0x1.ba1f9ep-13F, 0x1.a3c366p-10F,
                                      -0x1.ce998p-9F,   -0x1.ede488p-8F,  0x1.eeddcap-5F,  -0x1.7dff48p-3F,
                                      0x1.8c6d7cp-2F,   -0x1.373e3ap-1F};
#define NORMAL_TAIL_0 0x1.82b4bcp-1F /* the coefficient of t^0, added last */
#else
#define FNN_GATE_LOW (FNN_EXP_LOW - 16)
#define FNN_GELU_LOW -40.0
#define FNN_CUBIC_LOW -22.0
#define FNN_LINEAR_HI 0x1.9884533d43651p+0
#define FNN_LINEAR_LO -0x1.cbc0d30ebfd15p-54
#define FNN_CUBE_HI 0x1.2444f2a4d8b4bp-4
#define FNN_CUBE_LO -0x1.6c843a29d1c7p-61
static const double normal_tail_c[] = {
    0x1.fb6a4312afd22p-36, -0x1.b0e8a8ba7d805p-30, -0x1.1cf13383cdd52p-28, 0x1.46e09b500d603p-28,
    0x1.b92fca56d0d04p-26, 0x1.40e5e275e6ab5p-27,  -0x1.9a2b8d954a2d5p-24, -0x1.468d2604a530bp-23,
    0x1.2e300269f47d2p-22, 0x1.11e77ac3331cap-20,  -0x1.552928ffd183cp-21, -0x1.8d47c9a730771p-18,
    0x1.81f5604d72e6fp-21, 0x1.26d0a2133a95cp-15,  -0x1.0032954d0a6bcp-19, -0x1.e4a4271d66af3p-13,
    0x1.17a4baf249447p-13, 0x1.ab825fc971a68p-10,  -0x1.c81719e8230d3p-9,  -0x1.ee2761049fa8cp-8,
    0x1.eec4cc3e5b7fcp-5,  -0x1.7dff2bff68359p-3,  0x1.8c6dbf2cfc22cp-2,   -0x1.373e3a893c28ap-1};
#define NORMAL_TAIL_0 0x1.82b4bb8c94dcep-1
#endif

/* ln(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|)): nothing overflows, and the left tail is exp(x) itself. */
FNN_INLINE vf vf_softplus(vf x) { return vf_add(vf_max(vf_zero(), x), vf_log1p(vf_exp(vf_neg(vf_abs(x))))); }

/* exp(r + low) - 1 for a small low, with the roundings of expm1_core: what the sum loses counts as itself */
FNN_INLINE vf expm1_with_low(vf r, vf low)
{
    vf s = vf_add(r, low), lost = vf_sub(low, vf_sub(s, r));
    return vf_add(s, vf_fma(vf_mul(s, FNN_POLY(s, exp_c)), s, lost));
}

/* x / (1 + exp(-x)): the sum and the scaling of the logistic function, with x for its 1 */
FNN_INLINE vf vf_silu(vf x)
{
    vf low = vf_set1(FNN_GATE_LOW), c = vf_max(low, x);
    vi k;
    vf r = exp_reduce(vf_max(low, vf_neg(c)), &k);
    return over_one_plus_exp(c, expm1_core(r), k);
}

/* tanh(softplus(x)) = 1 - q with q = 2 u^2 / (1 + 2 u + 2 u^2), u = exp(-x), for x >= 0; for x < 0, where that is small,
 * it is u (1 - q) with q = u (1 + u) / (2 + 2 u + u^2), u = exp(x). q is at most 2/5, so its errors count less than half.
 * u = (1 + m) a b. */
typedef struct {
    vm right;
    vf q, m, a, b;
} mish_parts;

FNN_INLINE mish_parts mish_gate(vf x)
{
    mish_parts g;
    vf one = vf_set1(1), two = vf_set1(2);
    vi k;
    vf r = exp_reduce(vf_max(vf_set1(FNN_GATE_LOW), vf_neg(vf_abs(x))), &k);
    exp_halves(k, &g.a, &g.b);
    g.m = expm1_core(r);
    vf u = vf_mul(vf_mul(vf_add(one, g.m), g.a), g.b), twice = vf_add(u, u);
    g.right = vf_ge(x, vf_zero());
    vf num = vf_select(g.right, vf_mul(twice, u), vf_fma(u, u, u));
    vf den = vf_select(g.right, vf_fma(twice, u, vf_add(one, twice)), vf_fma(u, u, vf_add(two, twice)));
    g.q = vf_div(num, den);
    return g;
}

/* x tanh(softplus(x)) */
FNN_INLINE vf vf_mish(vf x)
{
    vf low = vf_set1(FNN_GATE_LOW), c = vf_max(low, x);
    mish_parts g = mish_gate(c);
    vf y = vf_fnma(vf_min(vf_neg(low), c), g.q, c); /* q is 0 out there, and 0 * inf NaN */
    y = vf_select(g.right, y, vf_mul(vf_mul(vf_fma(y, g.m, y), g.a), g.b));
    return vf_copysign(y, x); /* c - c q is +0 at -0 */
}

/* The lower tail of the normal distribution, Phi(-c) = exp(-c^2 / 2) Q(t) / (c + 4) for c >= 0: c + 4 takes out most of
 * the fall of Mills' ratio, and t = (c - 4) / (c + 4) = 2 h - 1, with h = c / (c + 4), brings c to an interval (the
 * substitution of M. M. Shepherd and J. G. Laframboise, Mathematics of Computation 36, 1981). c Phi(-c) is then h Q exp.
 * What the square, the quotient and the last step of Q lose is kept: five roundings would be 3.6 ulp. */
typedef struct {
    vf h, h_low, q, q_low, m, a, b; /* exp(-c^2 / 2) = (1 + m) a b */
} normal_parts;

FNN_INLINE normal_parts normal_tail(vf c)
{
    normal_parts n;
    vi k;
    vf four = vf_set1(4), half = vf_set1((real)0.5), last = vf_set1(NORMAL_TAIL_0), two = vf_set1(2);
    vf square = vf_mul(c, c), lost = vf_fma(c, c, vf_neg(square));
    vf r = exp_reduce(vf_neg(vf_mul(half, square)), &k);
    exp_halves(k, &n.a, &n.b);
    n.m = expm1_with_low(r, vf_neg(vf_mul(half, lost)));

    vf d = vf_add(c, four), d_low = vf_sub(c, vf_sub(d, four));
    n.h = vf_div(c, d);
    vf left = vf_fnma(n.h, d_low, vf_fnma(n.h, d, c));                            /* c - h (d + d_low) */
    n.h_low = vf_mul(vf_mul(left, vf_set1((real)0.25)), vf_sub(vf_set1(1), n.h)); /* 1 / d = (1 - h) / 4 */
    vf t = vf_fma(two, n.h_low, vf_fma(two, n.h, vf_set1(-1)));
    vf p = FNN_POLY(t, normal_tail_c);
    n.q = vf_fma(t, p, last);
    n.q_low = vf_fma(t, p, vf_sub(last, n.q));
    return n;
}

/* x Phi(x); for x > 0 that is x - x Phi(-x) */
FNN_INLINE vf vf_gelu(vf x)
{
    vf low = vf_set1(FNN_GELU_LOW), c = vf_max(low, x);
    normal_parts n = normal_tail(vf_min(vf_neg(low), vf_abs(c)));
    vf hq = vf_mul(n.h, n.q);
    vf rest = vf_fma(n.h, n.q_low, vf_fma(n.h, n.q, vf_neg(hq)));
    rest = vf_fma(n.q, vf_fma(n.h, n.m, n.h_low), rest);
    vf tail = vf_mul(vf_mul(vf_add(hq, rest), n.a), n.b);
    return vf_copysign(vf_sub(vf_max(vf_zero(), c), tail), x); /* 0 - 0 is +0 far on the left */
}

/* Phi(x) + x phi(x), phi the normal density exp(-x^2 / 2) / sqrt(2 pi) */
FNN_INLINE vf vf_gelu_slope(vf x)
{
    vf high = vf_set1(-FNN_GELU_LOW), a = vf_min(high, vf_abs(x));
    normal_parts n = normal_tail(a);
    vf density = vf_set1((real)0.3989422804014327);
    vf left = vf_fnma(density, a, vf_div(n.q, vf_add(a, vf_set1(4))));
    left = vf_mul(vf_mul(vf_fma(left, n.m, left), n.a), n.b);
    return vf_select(vf_gt(x, vf_zero()), vf_sub(vf_set1(1), left), left);
}

/* v = 2 sqrt(2 / pi) (x + 0.044715 x^3) as a sum of two: exp(-v) magnifies what is lost of a large v. The product's
 * rounding error comes from a fused multiply-add, the sum's from Knuth's exact two-term sum. */
FNN_INLINE vf gelu_cubic(vf x, vf *low)
{
    vf linear = vf_set1(FNN_LINEAR_HI), cube = vf_set1(FNN_CUBE_HI);
    vf square = vf_mul(x, x), square_low = vf_fma(x, x, vf_neg(square));
    vf term = vf_mul(cube, square), term_low = vf_fma(cube, square, vf_neg(term));
    vf w = vf_add(linear, term), part = vf_sub(w, linear);
    vf w_low = vf_add(vf_sub(linear, vf_sub(w, part)), vf_sub(term, part));
    term_low = vf_fma(cube, square_low, vf_fma(vf_set1(FNN_CUBE_LO), square, term_low));
    w_low = vf_add(w_low, vf_add(term_low, vf_set1(FNN_LINEAR_LO)));
    vf v = vf_mul(x, w);
    *low = vf_fma(x, w_low, vf_fma(x, w, vf_neg(v)));
    return v;
}

/* x (1 + tanh(v / 2)) / 2 = x / (1 + exp(-v)) */
FNN_INLINE vf vf_gelu_tanh(vf x)
{
    vf low = vf_set1(FNN_CUBIC_LOW), c = vf_max(low, x), v_low;
    vi k;
    vf v = gelu_cubic(vf_min(vf_neg(low), c), &v_low);
    vf r = exp_reduce(vf_neg(v), &k);
    return over_one_plus_exp(c, expm1_with_low(r, vf_neg(v_low)), k);
}

/* --- slopes, for the gradients: s the logistic function --- */
/* s (1 + x (1 - s)) */
FNN_INLINE vf vf_silu_slope(vf x)
{
    vf low = vf_set1(FNN_GATE_LOW), one = vf_set1(1), c = vf_min(vf_neg(low), vf_max(low, x));
    vf s = vf_sigmoid(c);
    return vf_mul(s, vf_fma(c, vf_sub(one, s), one));
}

/* w + x s (1 - w^2), w the gate: its slope by softplus is 1 - w^2, and softplus's by x is s */
FNN_INLINE vf vf_mish_slope(vf x)
{
    vf low = vf_set1(FNN_GATE_LOW), one = vf_set1(1), c = vf_min(vf_neg(low), vf_max(low, x));
    mish_parts g = mish_gate(c);
    vf w = vf_sub(one, g.q);
    w = vf_select(g.right, w, vf_mul(vf_mul(vf_fma(w, g.m, w), g.a), g.b));
    return vf_fma(vf_mul(c, vf_sigmoid(c)), vf_fnma(w, w, one), w);
}

/* s + x v' s (1 - s), s at v */
FNN_INLINE vf vf_gelu_tanh_slope(vf x)
{
    vf low = vf_set1(FNN_CUBIC_LOW), one = vf_set1(1), c = vf_min(vf_neg(low), vf_max(low, x)), v_low;
    vf s = vf_sigmoid(gelu_cubic(c, &v_low));
    vf slope = vf_fma(vf_mul(vf_set1(3 * FNN_CUBE_HI), c), c, vf_set1(FNN_LINEAR_HI));
    return vf_fma(vf_mul(c, slope), vf_mul(s, vf_sub(one, s)), s);
}

#endif
