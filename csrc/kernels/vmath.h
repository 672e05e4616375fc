/* vmath.h - exp, log, tanh, logistic, erf, expm1 and log1p on whole vectors, float and double from one text.
 *
 * Include simd/simd.h first. Every function is a straight line of additions, multiplications, divisions, fused
 * multiply-adds and bit operations, the same for every lane: no table, no branch, no call. That makes the bits
 * independent of the number of lanes (docs/numerics.md). Two ideas return throughout:
 *
 *   Range reduction. A polynomial is good on a short interval only, so an identity brings x there first. Most
 *   identities are about powers of two, because a power of two is nothing but an exponent field.
 *   Minimax polynomials. The coefficients are not Taylor's: they spread the error evenly over the interval, which
 *   is worth two or three degrees. tools/vmath_coefficients.py computes them and prints them as they stand here.
 *
 * Special values go where NumPy sends them: NaN to NaN, exp(-inf) = 0, log(0) = -inf, log(-1) = NaN, f(-0) = -0 for
 * the odd functions. vf_min and vf_max return their second argument when it is NaN, so a clamp written
 * vf_min(bound, x) lets NaN through. Results below the smallest normal number underflow gradually.
 *
 * "Error" is the largest distance from the exact value in units in the last place (ulp) of the correctly rounded
 * result: for float over all 2^32 inputs, for double over dense samples (tests/c/vmath_check.c). Reading: J.-M.
 * Muller, "Elementary Functions" (Birkhaeuser, 3rd ed. 2016); W. Cody and W. Waite, "Software Manual for the
 * Elementary Functions" (Prentice-Hall, 1980).
 */
#ifndef FNN_VMATH_H
#define FNN_VMATH_H

#if FNN_BITS == 32
#define FNN_LOG2E 0x1.715476p+0F
#define FNN_LN2_HI 0x1.62e4p-1F    /* 15 bits, so that n * LN2_HI is exact for every exponent n */
#define FNN_LN2_LO 0x1.7f7d1cp-20F /* ln 2 - LN2_HI */
#define FNN_SQRT_HALF 0x1.6a09e6p-1F
#define FNN_ROUND 0x1.8p+23F    /* x + ROUND - ROUND is x rounded to an integer, for |x| < 2^22 */
#define FNN_TWO_P 0x1p+23F      /* 2^MANTISSA_BITS: from here on floats are integers */
#define FNN_EXP_LOW -104.0F     /* exp of this rounds to 0 ... */
#define FNN_EXP_HIGH 89.0F      /* ... and of this overflows */
#define FNN_TANH_CUT 0x1.2p-1F  /* the two formulas of tanh meet here */
#define FNN_TANH_HIGH 20.0F     /* 1 - 2 / (exp of this + 1) rounds to 1 */
#define FNN_LOG1P_TINY 0x1p-25F /* below, log1p(x) rounds to x */
#define FNN_ERF_CUT 1.0F        /* the two formulas of erf meet here */
#define FNN_ERF_MIDDLE 1.25F
#define FNN_ERF_TOP 0x1.f7p+1F /* erf rounds to 1 from before here on */

static const float exp_c[] = {0x1.6ab124p-10F, 0x1.122c8cp-7F, 0x1.55579ep-5F, 0x1.5554aap-3F, 0x1.fffffep-2F};
static const float tanh_c[] = {0x1.09eb8cp-6F, -0x1.ae9a18p-5F, 0x1.10c636p-3F, -0x1.555422p-2F};
static const float log_c[] = {0x1.31e08p-2F, 0x1.995ed6p-2F, 0x1.55557ap-1F};
static const float erf_inner_c[] = {-0x1.270266p-11F, 0x1.42321ap-8F, -0x1.b59e5ap-6F,
                                    0x1.ce08cp-4F,    -0x1.81267p-2F, 0x1.06eba2p-3F};
static const float erf_outer_c[] = {-0x1.a00ea2p-16F, -0x1.11859ep-15F, 0x1.5f861ap-10F,
                                    -0x1.cd9886p-9F,  -0x1.31a76p-7F,   0x1.68fb4p-5F,
                                    0x1.49be6p-5F,    -0x1.9dd3fap-2F,  0x1.0dcb7p-1F};
#else
#define FNN_LOG2E 0x1.71547652b82fep+0
#define FNN_LN2_HI 0x1.62e42fefa38p-1 /* 42 bits */
#define FNN_LN2_LO 0x1.ef35793c7673p-45
#define FNN_SQRT_HALF 0x1.6a09e667f3bcdp-1
#define FNN_ROUND 0x1.8p+52
#define FNN_TWO_P 0x1p+52
#define FNN_EXP_LOW -746.0
#define FNN_EXP_HIGH 710.0
#define FNN_TANH_CUT 0x1.2p-1
#define FNN_TANH_HIGH 40.0
#define FNN_LOG1P_TINY 0x1p-54
#define FNN_ERF_CUT 1.0
#define FNN_ERF_MIDDLE 1.5
#define FNN_ERF_TOP 0x1.7ep+2 /* beyond the fit (5.93), where the error of Q^4 no longer shows in 1 - Q^4 */

static const double exp_c[] = {
    0x1.ae7dafaada34ep-26, 0x1.28a46d3723d83p-22, 0x1.71de807b4db64p-19, 0x1.a019a4f9d096dp-16, 0x1.a01a0176e3957p-13,
    0x1.6c16c17fa252ep-10, 0x1.1111111118e52p-7,  0x1.5555555551fe3p-5,  0x1.5555555555539p-3,  0x1.0000000000005p-1};
static const double tanh_c[] = {0x1.a01ec4dceac5cp-15,  -0x1.b4b1deebe4907p-13, 0x1.2ef68680330a6p-11,
                                -0x1.7cd66b5fe837dp-10, 0x1.d6c31d4c62172p-9,   -0x1.226dc524a063fp-7,
                                0x1.664f44d96040ap-6,   -0x1.ba1ba1a87a3dfp-5,  0x1.11111110fc008p-3,
                                -0x1.555555555543ep-2};
static const double log_c[] = {0x1.2f03ed34334a4p-3, 0x1.39a1e3f612befp-3, 0x1.74663d1a3300fp-3, 0x1.c71c52138a799p-3,
                               0x1.24924941e228ap-2, 0x1.999999997ff0ep-2, 0x1.5555555555592p-1};
static const double erf_inner_c[] = {-0x1.a2121eb42a5d1p-31, 0x1.d3d32d0d0f561p-27,  -0x1.5b8b68a80aa0fp-23,
                                     0x1.b96b3d427cd79p-20,  -0x1.f4c82d8e7ee25p-17, 0x1.f9a296a980dadp-14,
                                     -0x1.c02daeb6dfbc9p-11, 0x1.565bcceeda33bp-8,   -0x1.b82ce311a97e8p-6,
                                     0x1.ce2f21a03f8b9p-4,   -0x1.812746b03799dp-2,  0x1.06eba8214db68p-3};
static const double erf_outer_c[] = {-0x1.a5d2bc2efec35p-46, 0x1.a677ca52ce487p-41,  -0x1.50733752055a8p-37,
                                     0x1.e1ae2dbee0286p-35,  -0x1.83a924dba80a3p-35, -0x1.19134d21d9991p-30,
                                     0x1.4d0d410fce5bbp-29,  0x1.8ec369354f31ap-26,  -0x1.6d2ed5e7d2334p-24,
                                     -0x1.1583bb0fcbf21p-21, 0x1.751bdd0cfebfbp-19,  0x1.184a585412961p-17,
                                     -0x1.37d33d760a297p-14, -0x1.c054a4325b68cp-16, 0x1.4767193f07c17p-10,
                                     -0x1.a4b7eb868d481p-10, -0x1.9976857bc1018p-7,  0x1.0df534be4b268p-5,
                                     0x1.1bf9c0fed9e9ap-4,   -0x1.816b095d576bep-2,  0x1.b75f7f049192cp-2};
#endif

/* c[0] x^degree + ... + c[degree] by Horner's rule: the fewest operations. It is one long chain, but the processor
 * works on the chains of several vectors at once. */
FNN_INLINE vf vf_poly(vf x, const real *c, int degree)
{
    vf p = vf_set1(c[0]);
#pragma GCC unroll 32
    for (int i = 1; i <= degree; i++)
        p = vf_fma(p, x, vf_set1(c[i]));
    return p;
}
#define FNN_POLY(x, c) vf_poly(x, c, (int)(sizeof(c) / sizeof((c)[0])) - 1)

/* the magnitude, which is not negative, with the sign of x */
FNN_INLINE vf with_sign(vf magnitude, vf x)
{
    return vf_from_bits(vi_or(vf_bits(magnitude), vi_and(vf_bits(x), vi_set1(FNN_SIGN_BIT))));
}

/* --- the exponential and its family ---
 *
 * x = n ln 2 + r with n an integer and |r| <= ln 2 / 2, so exp(x) = 2^n exp(r). Adding ROUND pushes the fraction of
 * x / ln 2 out of the significand: what remains holds n in its lowest bits. 2 BIAS is added on top, so that these
 * bits are positive and half of them is an exponent field.
 */
FNN_INLINE vf exp_reduce(vf x, vi *k)
{
    vf round = vf_set1(FNN_ROUND + 2 * FNN_EXPONENT_BIAS);
    vf t = vf_fma(x, vf_set1(FNN_LOG2E), round);
    vf n = vf_sub(t, round);
    *k = vf_bits(t);
    return vf_fnma(n, vf_set1(FNN_LN2_LO), vf_fnma(n, vf_set1(FNN_LN2_HI), x));
}

/* 2^n as a product of two powers near its square root: 2^n itself may be too large or too small for a normal number */
FNN_INLINE void exp_halves(vi k, vf *a, vf *b)
{
    vi half = vi_srl(k, 1);
    *a = vf_from_bits(vi_sll(half, FNN_MANTISSA_BITS));
    *b = vf_from_bits(vi_sll(vi_sub(k, half), FNN_MANTISSA_BITS));
}

/* 1 / b for a power of two: the exponent changes sign */
FNN_INLINE vf exp_reciprocal(vf b)
{
    return vf_from_bits(vi_sub(vi_set1((fnn_bits)(2 * FNN_EXPONENT_BIAS) << FNN_MANTISSA_BITS), vf_bits(b)));
}

/* exp(r) - 1 = r + r^2 q(r) for |r| <= ln 2 / 2 */
FNN_INLINE vf expm1_core(vf r) { return vf_fma(vf_mul(r, FNN_POLY(r, exp_c)), r, r); }

/* the interval outside which exp is 0 or infinite, with room for both to come about by themselves */
FNN_INLINE vf exp_clamp(vf x) { return vf_min(vf_set1(FNN_EXP_HIGH), vf_max(vf_set1(FNN_EXP_LOW), x)); }

/* exp(x) = a b (1 + r + r^2 q(r)). Error: float 0.92, double 0.91. */
FNN_INLINE vf vf_exp(vf x)
{
    vf a, b, one = vf_set1(1);
    vi k;
    vf r = exp_reduce(exp_clamp(x), &k);
    vf p = vf_fma(vf_fma(FNN_POLY(r, exp_c), r, one), r, one);
    exp_halves(k, &a, &b);
    return vf_mul(vf_mul(p, a), b); /* only the last product rounds */
}

/* exp(x) - 1 = 2^n (exp(r) - 1) + (2^n - 1); with 2^n = a b, that is ((exp(r) - 1) a + (a - 1/b)) b. The linear term
 * of exp(r) - 1 joins the constant first: one rounding fewer where the two nearly cancel. Error: float 1.33, double
 * 1.67. */
FNN_INLINE vf vf_expm1(vf x)
{
    vf a, b;
    vi k;
    vf r = exp_reduce(exp_clamp(x), &k);
    exp_halves(k, &a, &b);
    vf inverse = exp_reciprocal(b);
    vf square = vf_mul(vf_mul(r, FNN_POLY(r, exp_c)), r); /* exp(r) - 1 - r */
    vf linear = vf_fma(r, a, vf_sub(a, inverse));
    return vf_copysign(vf_mul(vf_fma(square, a, linear), b), x);
}

/* The logistic function 1 / (1 + exp(-x)). With exp(-x) = a b (1 + m) the denominator is b (1/b + a + a m). The bracket
 * cannot overflow; it is summed with the rounding error of 1/b + a carried along (Dekker's two-term sum, exact for
 * a >= 1/b, and where a is smaller the error is too small to matter); and multiplying by 1/b last lets small results
 * underflow gradually. Error: float 1.75, double 1.68. */
FNN_INLINE vf over_one_plus_exp(vf numerator, vf m, vi k) /* numerator / (1 + exp(-x)); m and n in k as above */
{
    vf a, b;
    exp_halves(k, &a, &b);
    vf inverse = exp_reciprocal(b);
    vf sum = vf_add(a, inverse), lost = vf_add(vf_sub(a, sum), inverse);
    vf bracket = vf_add(sum, vf_fma(m, a, lost));
    return vf_mul(vf_div(numerator, bracket), inverse);
}
FNN_INLINE vf vf_sigmoid(vf x)
{
    vf low = vf_set1(FNN_EXP_LOW);
    vi k;
    vf r = exp_reduce(vf_min(vf_neg(low), vf_max(low, vf_neg(x))), &k);
    return over_one_plus_exp(vf_set1(1), expm1_core(r), k);
}

/* Near zero x + x^3 P(x^2); from CUT on 1 - 2 / (exp(2x) + 1), where the second term is small and so is its error (Cody
 * and Waite, chapter 13). The denominator is 2^n m + (2^n + 1) with m = exp(r) - 1, and rounds once. Error: float 1.44,
 * double 1.31. */
FNN_INLINE vf vf_tanh(vf x)
{
    vf a = vf_abs(x), one = vf_set1(1), two = vf_set1(2);
    vf z = vf_mul(a, a);
    vf inner = vf_fma(vf_mul(a, z), FNN_POLY(z, tanh_c), a);
    vi k;
    vf r = exp_reduce(vf_min(vf_set1(FNN_TANH_HIGH), vf_add(a, a)), &k);
    vf power = vf_from_bits(vi_sll(vi_sub(k, vi_set1(FNN_EXPONENT_BIAS)), FNN_MANTISSA_BITS));
    vf outer = vf_sub(one, vf_div(two, vf_fma(expm1_core(r), power, vf_add(power, one))));
    return with_sign(vf_select(vf_lt(a, vf_set1(FNN_TANH_CUT)), inner, outer), x);
}

/* --- the logarithm ---
 *
 * x = 2^e m with sqrt(1/2) <= m < sqrt(2), so log(x) = e ln 2 + log(m): for x near 1, e is 0 and nothing cancels.
 * Bit patterns are in the order of the numbers: adding the distance from the pattern of sqrt(1/2) to that of 1 makes
 * the exponent field carry just where m would pass sqrt(2).
 */
FNN_INLINE vi log_split(vf x, vf *m)
{
    vi low = vf_bits(vf_set1(FNN_SQRT_HALF));
    vi i = vi_add(vf_bits(x), vi_sub(vf_bits(vf_set1(1)), low));
    *m = vf_from_bits(vi_add(vi_and(i, vi_set1(((fnn_bits)1 << FNN_MANTISSA_BITS) - 1)), low));
    return vi_srl(i, FNN_MANTISSA_BITS); /* e + BIAS */
}

/* a small non-negative integer as a real: put it into the lowest bits of 2^p, where the unit in the last place is 1 */
FNN_INLINE vf log_to_real(vi i, vf offset)
{
    return vf_sub(vf_from_bits(vi_or(i, vf_bits(vf_set1(FNN_TWO_P)))), vf_add(vf_set1(FNN_TWO_P), offset));
}

/* e ln 2 + log(1 + f). With s = f / (2 + f), log(1 + f) = 2 artanh(s) = 2 s + s z P(z), z = s^2; and
 * 2 s = f - s f = f - f^2/2 + s f^2/2, which leads with f itself and so loses nothing to the division (an idea of K. Ng
 * in FDLIBM, 1993). */
FNN_INLINE vf log_sum(vf e, vf f)
{
    vf s = vf_div(f, vf_add(vf_set1(2), f));
    vf z = vf_mul(s, s);
    vf half = vf_mul(vf_mul(vf_set1((real)0.5), f), f);
    vf tail = vf_sub(vf_mul(s, vf_fma(z, FNN_POLY(z, log_c), half)), half);
    return vf_fma(e, vf_set1(FNN_LN2_HI), vf_add(f, vf_fma(e, vf_set1(FNN_LN2_LO), tail)));
}

/* y for 0 < x < inf; the rest: inf at inf, -inf at 0, NaN below; x is the argument of the logarithm */
FNN_INLINE vf log_special(vf x, vf y)
{
    vf inf = vf_set1((real)__builtin_inf()), nan = vf_set1((real)__builtin_nan(""));
    y = vf_select(vf_eq(x, inf), inf, y);
    return vf_select(vf_gt(x, vf_zero()), y, vf_select(vf_eq(x, vf_zero()), vf_neg(inf), nan));
}

/* Subnormal x are multiplied by 2^p first. Error: float 0.91, double 0.89. */
FNN_INLINE vf vf_log(vf x)
{
    vm subnormal = vf_lt(x, vf_set1(FNN_REAL_MIN));
    vf m, y = vf_select(subnormal, vf_mul(x, vf_set1(FNN_TWO_P)), x);
    vf offset = vf_select(subnormal, vf_set1(FNN_EXPONENT_BIAS + FNN_MANTISSA_BITS), vf_set1(FNN_EXPONENT_BIAS));
    vf e = log_to_real(log_split(y, &m), offset);
    return log_special(x, log_sum(e, vf_sub(m, vf_set1(1))));
}

/* log(1 + x). 1 + x = 2^e m up to its rounding; then f = x / 2^e + (1 / 2^e - 1), from x itself, is free of it. The
 * quarter keeps 4 / 2^e a normal number for every e. Error: float 1.43, double 1.36. */
FNN_INLINE vf vf_log1p(vf x)
{
    vf m, quarter = vf_set1((real)0.25), one = vf_set1(1);
    vf u = vf_add(one, x);
    vi k = log_split(u, &m);
    vi field = vi_sub(vi_set1(2 * FNN_EXPONENT_BIAS + 2), k);
    vf scale = vf_from_bits(vi_sll(field, FNN_MANTISSA_BITS));
    vf f = vf_fma(vf_mul(x, quarter), scale, vf_fma(scale, quarter, vf_neg(one)));
    vf y = log_special(u, log_sum(log_to_real(k, vf_set1(FNN_EXPONENT_BIAS)), f));
    return vf_select(vf_lt(vf_abs(x), vf_set1(FNN_LOG1P_TINY)), x, y);
}

/* --- the error function ---
 *
 * Near zero x + x P(x^2). Further out 1 - Q(x)^4: erfc falls like exp(-x^2), over eight orders of magnitude (sixteen
 * in double), too steep for one polynomial; its fourth root is gentle, and two squarings undo the root (compare 7.1.28
 * in Abramowitz and Stegun, "Handbook of Mathematical Functions", 1964: 1 - 1 / polynomial^16). The outer polynomial is
 * centred near the cut, where its value counts most and so must be evaluated best. Error: float 1.47, double 1.27.
 */
FNN_INLINE vf vf_erf(vf x)
{
    vf a = vf_min(vf_set1(FNN_ERF_TOP), vf_abs(x));
    vf inner = vf_fma(a, FNN_POLY(vf_mul(a, a), erf_inner_c), a);
    vf q = FNN_POLY(vf_sub(a, vf_set1(FNN_ERF_MIDDLE)), erf_outer_c);
    vf q2 = vf_mul(q, q);
    vf outer = vf_fnma(q2, q2, vf_set1(1));
    return with_sign(vf_select(vf_lt(a, vf_set1(FNN_ERF_CUT)), inner, outer), x);
}

#endif
