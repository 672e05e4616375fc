/* math64.c - see math64.h. The reductions and polynomials are those of kernels/vmath.h, which explains them; the
 * coefficients come from tools/vmath_coefficients.py. Every line is written so that no product needs to be fused: the
 * high parts of ln 2 and pi / 2 are short, so that their multiples are exact. */
#include "math64.h"

#include <string.h>

#define FNN_LOG2E 0x1.71547652b82fep+0
#define FNN_LN2_HI 0x1.62e42fefa38p-1 /* 42 bits */
#define FNN_LN2_LO 0x1.ef35793c7673p-45
#define FNN_SQRT_HALF_BITS 0x3fe6a09e667f3bcdU
#define FNN_ONE_BITS 0x3ff0000000000000U
#define FNN_MANTISSA_MASK 0x000fffffffffffffU
#define FNN_ROUND 0x1.8p+52 /* x + ROUND - ROUND is x rounded to an integer */
#define FNN_TWO_OVER_PI 0x1.45f306dc9c883p-1
#define FNN_PI_2_A 0x1.921fb544p+0 /* pi / 2 = A + B + C, 33 + 33 + 53 bits */
#define FNN_PI_2_B 0x1.0b4611a6p-34
#define FNN_PI_2_C 0x1.3198a2e037073p-69

static const double exp_c[] = {
    0x1.ae7dafaada34ep-26, 0x1.28a46d3723d83p-22, 0x1.71de807b4db64p-19, 0x1.a019a4f9d096dp-16, 0x1.a01a0176e3957p-13,
    0x1.6c16c17fa252ep-10, 0x1.1111111118e52p-7,  0x1.5555555551fe3p-5,  0x1.5555555555539p-3,  0x1.0000000000005p-1};
static const double log_c[] = {0x1.2f03ed34334a4p-3, 0x1.39a1e3f612befp-3, 0x1.74663d1a3300fp-3, 0x1.c71c52138a799p-3,
                               0x1.24924941e228ap-2, 0x1.999999997ff0ep-2, 0x1.5555555555592p-1};
static const double sin_c[] = {0x1.5d9391445911bp-33,  -0x1.ae5e6863d9b2bp-26, 0x1.71de357adbc46p-19,
                               -0x1.a01a019c15e17p-13, 0x1.111111110f8a5p-7,   -0x1.5555555555549p-3};
static const double cos_c[] = {-0x1.8fb123872a795p-37, 0x1.1ee9f13a10e22p-29,  -0x1.27e4f812957cdp-22,
                               0x1.a01a019cbf3c3p-16,  -0x1.6c16c16c1521ep-10, 0x1.555555555554cp-5};

/* c[0] x^degree + ... + c[degree] */
static double poly(double x, const double *c, int degree)
{
    double p = c[0];
    for (int i = 1; i <= degree; i++)
        p = p * x + c[i];
    return p;
}
#define FNN_POLY(x, c) poly(x, c, (int)(sizeof(c) / sizeof((c)[0])) - 1)

static uint64_t bits_of(double x)
{
    uint64_t b;
    memcpy(&b, &x, sizeof b);
    return b;
}

static double from_bits(uint64_t b)
{
    double x;
    memcpy(&x, &b, sizeof x);
    return x;
}

/* 2^n for a normal result */
static double power_of_two(int64_t n) { return from_bits((uint64_t)(n + 1023) << 52); }

double fnn_exp(double x)
{
    if (x != x)
        return x;
    x = x < -746 ? -746 : x > 710 ? 710 : x;
    double n = x * FNN_LOG2E + FNN_ROUND - FNN_ROUND;
    double r = (x - n * FNN_LN2_HI) - n * FNN_LN2_LO;
    double p = 1 + (r + r * (r * FNN_POLY(r, exp_c)));
    int64_t k = (int64_t)n, half = k / 2;
    return p * power_of_two(half) * power_of_two(k - half);
}

double fnn_log(double x)
{
    uint64_t i = bits_of(x) + (FNN_ONE_BITS - FNN_SQRT_HALF_BITS);
    double e = (double)((int64_t)(i >> 52) - 1023);
    double f = from_bits((i & FNN_MANTISSA_MASK) + FNN_SQRT_HALF_BITS) - 1; /* sqrt(1/2) <= 1 + f < sqrt(2) */
    double s = f / (2 + f), z = s * s, half = 0.5 * f * f;
    double tail = s * (half + z * FNN_POLY(z, log_c)) - half;
    return e * FNN_LN2_HI + (f + (tail + e * FNN_LN2_LO));
}

/* x = quarter * pi / 2 + hi + lo with |hi| <= pi / 4. The multiples of A and B are exact for |x| <= 1e5, and so is the
 * first difference; lo is what the second loses, and the multiple of C. Returns quarter modulo 4. */
static unsigned reduce(double x, double *hi, double *lo)
{
    double t = x * FNN_TWO_OVER_PI + FNN_ROUND, n = t - FNN_ROUND;
    double a = x - n * FNN_PI_2_A, b = n * FNN_PI_2_B, c = n * FNN_PI_2_C;
    double w = a - b;
    double lost = (a - w) - b; /* exact: |b| is much smaller than |a|, or the difference itself is */
    *hi = w - c;
    *lo = ((w - *hi) - c) + lost;
    return (unsigned)bits_of(t) & 3;
}

/* sin(hi + lo) = sin(hi) + lo cos(hi), and cos(hi) = 1 - hi^2 / 2 is near enough for so small a term */
static double sin_core(double hi, double lo)
{
    double z = hi * hi;
    return hi + (z * hi * FNN_POLY(z, sin_c) + lo * (1 - 0.5 * z));
}

/* cos(hi + lo) = cos(hi) - lo sin(hi); w is 1 - z / 2 rounded, and what it lost goes into the small terms */
static double cos_core(double hi, double lo)
{
    double z = hi * hi, half = 0.5 * z, w = 1 - half;
    return w + (((1 - w) - half) + (z * z * FNN_POLY(z, cos_c) - hi * lo));
}

double fnn_sin(double x)
{
    double hi, lo;
    if (x == 0)
        return x; /* keeps the sign of -0 */
    unsigned quarter = reduce(x, &hi, &lo);
    double y = quarter & 1 ? cos_core(hi, lo) : sin_core(hi, lo);
    return quarter & 2 ? -y : y;
}

double fnn_cos(double x)
{
    double hi, lo;
    unsigned quarter = reduce(x, &hi, &lo) + 1;
    double y = quarter & 1 ? cos_core(hi, lo) : sin_core(hi, lo);
    return quarter & 2 ? -y : y;
}

double fnn_powi(double base, uint64_t n)
{
    double result = 1;
    /* times 1 is exact, and a branch on the bits of a step's number, which gcc makes of ?: as well, a coin toss */
    for (; n; n >>= 1) {
        const double factor[2] = {1, base};
        result *= factor[n & 1];
        base *= base;
    }
    return result;
}

double fnn_sqrt(double x) { return __builtin_sqrt(x); }
