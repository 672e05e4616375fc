/* lanes.h - what every exported file stands on: one lane of csrc/simd/simd.h in plain C. */

/* a b + c with a single rounding */
static inline real fused(real a, real b, real c)
{
#if FNN_BITS == 64
    return fma(a, b, c);
#else
#ifndef NAME_SOFT_FMA
    return fmaf(a, b, c);
#else
    /* The product of two floats is exact in double. Its sum with c is rounded to odd (Boldo and Melquiond 2008): what was
     * lost, by Knuth's exact two-term sum, shows in the last bit, so that the second rounding, to float, is right. */
    double product = (double)a * b, sum = product + c, part = sum - product;
    double lost = (product - (sum - part)) + (c - part);
    union {
        double value;
        uint64_t bits;
    } odd = {sum};
    if (lost != 0 && sum - sum == 0 && !(odd.bits & 1))
        odd.bits += (lost > 0) == (sum > 0) ? 1 : (uint64_t)-1;
    return (float)odd.value;
#endif
#endif
}

static inline real root(real x)
{
#if FNN_BITS == 64
    return sqrt(x);
#else
    return sqrtf(x);
#endif
}

/* the bit pattern of a number, and the number of a bit pattern */
typedef union {
    real value;
    fnn_bits bits;
} pattern;
static inline fnn_bits to_bits(real value)
{
    pattern p;
    p.value = value;
    return p.bits;
}
static inline real from_bits(fnn_bits bits)
{
    pattern p;
    p.bits = bits;
    return p.value;
}

/* max(x, 0) where NaN and -0 stay what they are. Where clang knows that zero is one, it may take an instruction that makes -0
 * a 0 (LLVM issue 93414), so it is not let know. */
static inline real at_least_zero(real x)
{
    real zero = 0;
#if defined(__clang__) && !defined(__x86_64__)
    __asm__("" : "+m"(zero));
#endif
    return zero > x ? zero : x;
}

/* b where either is NaN */
static inline real larger(real a, real b) { return a > b ? a : b; }
static inline real smaller(real a, real b) { return a < b ? a : b; }
