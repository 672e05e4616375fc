/* noise.h - normal noise from Philox4x32-10 (dropout.h), by Box and Muller (1958): of two uniform numbers u in (0, 1] and
 * w in [0, 1) come sqrt(-2 ln u) cos(2 pi w) and sqrt(-2 ln u) sin(2 pi w).
 *
 * A uniform number is the upper FNN_MANTISSA_BITS of one random word (float) or of two (double), so noise reaches to
 * 5.6 deviations in float and to 8.4 in double. 32 blocks make a group of NOISE_ELEMENTS: the first half are the
 * cosines, the second the sines of its pairs. Pair k of a group has its radius from words k / 32 and its angle from
 * words 2 + k / 32 of block k % 32 (float), from words 0, 1 (low, high) and 2, 3 of block k (double). */
#define NOISE_PAIRS (FNN_BITS == 32 ? 2 * PHILOX_BLOCKS : PHILOX_BLOCKS)
#define NOISE_ELEMENTS (2 * NOISE_PAIRS)

/* sin and cos of angles up to pi / 4, by their series: 1/3!, 1/5!, ... and 1/2!, 1/4!, ...; the first term left out is
 * below half a unit in the last place */
#if FNN_BITS == 32
static const float sin_c[] = {0x1.71de3ap-19F, -0x1.a01a02p-13F, 0x1.111112p-7F, -0x1.555556p-3F};
static const float cos_c[] = {0x1.a01a02p-16F, -0x1.6c16c2p-10F, 0x1.555556p-5F, -0x1p-1F};
#else
static const double sin_c[] = {0x1.952c77030ad4ap-49,  -0x1.ae7f3e733b81fp-41, 0x1.6124613a86d09p-33,
                               -0x1.ae64567f544e4p-26, 0x1.71de3a556c734p-19,  -0x1.a01a01a01a01ap-13,
                               0x1.1111111111111p-7,   -0x1.5555555555555p-3};
static const double cos_c[] = {-0x1.6827863b97d97p-53, 0x1.ae7f3e733b81fp-45,  -0x1.93974a8c07c9dp-37,
                               0x1.1eed8eff8d898p-29,  -0x1.27e4fb7789f5cp-22, 0x1.a01a01a01a01ap-16,
                               -0x1.6c16c16c16c17p-10, 0x1.5555555555555p-5,   -0x1p-1};
#endif

/* (cos, sin)(2 pi w), w in [0, 1): q quarters and a rest in [-1/8, 1/8] turns, which is exact */
FNN_INLINE void turn(vf w, vf *cosine, vf *sine)
{
    vf round = vf_set1(FNN_ROUND), one = vf_set1(1), two = vf_set1(2), four = vf_set1(4);
    vf q = vf_sub(vf_add(vf_mul(w, four), round), round);
    vf r = vf_mul(vf_fnma(q, vf_set1((real)0.25), w), vf_set1((real)6.283185307179586476925));
    vf z = vf_mul(r, r);
    vf s = vf_fma(vf_mul(r, z), FNN_POLY(z, sin_c), r), c = vf_fma(z, FNN_POLY(z, cos_c), one);
    vm odd = vm_or(vf_eq(q, one), vf_eq(q, vf_set1(3))); /* q is 0 .. 4 */
    vf a = vf_select(odd, s, c), b = vf_select(odd, c, s);
    *cosine = vf_select(vm_or(vf_eq(q, one), vf_eq(q, two)), vf_neg(a), a);
    *sine = vf_select(vm_or(vf_eq(q, two), vf_eq(q, vf_set1(3))), vf_neg(b), b);
}

/* z[0 .. NOISE_ELEMENTS): normal numbers of the group that begins with element `first` */
static void normal_group(real *z, uint64_t first, uint64_t key, uint32_t stream, uint64_t step)
{
    uint64_t words[4][PHILOX_BLOCKS];
    fnn_bits radius[NOISE_PAIRS], angle[NOISE_PAIRS]; /* numbers in [1, 2) */
    const fnn_bits exponent = (fnn_bits)FNN_EXPONENT_BIAS << FNN_MANTISSA_BITS;
    const int spare = FNN_BITS - FNN_MANTISSA_BITS;
    philox_words(words, first / NOISE_ELEMENTS * PHILOX_BLOCKS, key, stream, step);
    for (size_t k = 0; k < PHILOX_BLOCKS; k++) {
#if FNN_BITS == 32
        radius[k] = (fnn_bits)words[0][k] >> spare | exponent;
        radius[k + PHILOX_BLOCKS] = (fnn_bits)words[1][k] >> spare | exponent;
        angle[k] = (fnn_bits)words[2][k] >> spare | exponent;
        angle[k + PHILOX_BLOCKS] = (fnn_bits)words[3][k] >> spare | exponent;
#else
        radius[k] = (words[1][k] << 32 | (uint32_t)words[0][k]) >> spare | exponent;
        angle[k] = (words[3][k] << 32 | (uint32_t)words[2][k]) >> spare | exponent;
#endif
    }
    for (size_t k = 0; k < NOISE_PAIRS; k += VF_LANES) {
        real u[VF_LANES], w[VF_LANES];
        vf c, s;
        __builtin_memcpy(u, radius + k, sizeof u);
        __builtin_memcpy(w, angle + k, sizeof w);
        vf r = vf_sqrt(vf_mul(vf_set1(-2), vf_log(vf_sub(vf_set1(2), vf_load(u)))));
        turn(vf_sub(vf_load(w), vf_set1(1)), &c, &s);
        vf_store(z + k, vf_mul(r, c));
        vf_store(z + NOISE_PAIRS + k, vf_mul(r, s));
    }
}

static void gaussian(void *vy, void *vmask, const void *vx, size_t n, uint64_t first, uint64_t key, uint32_t stream,
                     uint64_t step, double stddev)
{
    real *y = vy, *mask = vmask, z[NOISE_ELEMENTS], deviation = (real)stddev;
    const real *x = vx;
    const size_t skip = first % NOISE_ELEMENTS, end = skip + n;
    for (size_t i = 0; i < end; i += NOISE_ELEMENTS) {
        const size_t from = i ? 0 : skip, to = end - i < NOISE_ELEMENTS ? end - i : NOISE_ELEMENTS;
        normal_group(z, first - skip + i, key, stream, step);
        if (mask)
            for (size_t j = from; j < to; j++) {
                mask[i + j - skip] = (real)1 + deviation * z[j];
                y[i + j - skip] = x[i + j - skip] * mask[i + j - skip];
            }
        else
            for (size_t j = from; j < to; j++)
                y[i + j - skip] = x[i + j - skip] + deviation * z[j];
    }
}
