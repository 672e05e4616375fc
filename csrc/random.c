/* random.c - streams of random numbers for initial weights, shuffles and datasets. Plain integer C and float64 without
 * fused operations: the same bits on every machine. */
#include "fnn.h"
#include "math64.h"
#include "philox.h"

static void philox(uint32_t out[4], uint64_t block, uint64_t key, uint32_t stream, uint64_t step)
{
    uint32_t c0 = (uint32_t)block, c1 = fnn_philox_stream_word(stream, block);
    uint32_t c2 = (uint32_t)step, c3 = (uint32_t)(step >> 32);
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        fnn_philox_round(&c0, &c1, &c2, &c3, k0, k1);
        k0 += FNN_PHILOX_KEY0;
        k1 += FNN_PHILOX_KEY1;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* 53 of 64 random bits as a multiple of 2^-53 in [0, 1) */
static double unit(uint32_t low, uint32_t high) { return (double)(((uint64_t)high << 32 | low) >> 11) * 0x1p-53; }

void fnn_uniform(double *u, size_t n, uint64_t first, uint64_t seed, uint32_t stream, uint64_t step)
{
    uint32_t w[4];
    for (size_t i = 0; i < n; i++) {
        uint64_t at = first + i;
        if (i == 0 || at % 2 == 0)
            philox(w, at / 2, seed, stream, step);
        u[i] = at % 2 ? unit(w[2], w[3]) : unit(w[0], w[1]);
    }
}

/* Box and Muller (1958): two uniforms give two normals */
void fnn_normal(double *z, size_t n, uint64_t seed, uint32_t stream, uint64_t step)
{
    uint32_t w[4];
    for (size_t i = 0; i < n; i += 2) {
        philox(w, i / 2, seed, stream, step);
        double radius = fnn_sqrt(-2.0 * fnn_log(1.0 - unit(w[0], w[1])));
        double angle = 6.283185307179586 * unit(w[2], w[3]);
        z[i] = radius * fnn_cos(angle);
        if (i + 1 < n)
            z[i + 1] = radius * fnn_sin(angle);
    }
}

/* a 64-bit random number times n, divided by 2^64: in 0 .. n-1, off from uniform by less than n / 2^64 */
static uint64_t below(uint64_t random, uint64_t n)
{
#ifdef __SIZEOF_INT128__
    return (uint64_t)((unsigned __int128)random * n >> 64);
#else
    uint64_t lo = (random & 0xffffffffu) * n, hi = (random >> 32) * n; /* n < 2^32 */
    return (hi + (lo >> 32)) >> 32;
#endif
}

void fnn_permutation(uint32_t *index, size_t n, uint64_t seed, uint32_t stream, uint64_t step)
{
    uint32_t w[4];
    for (size_t i = 0; i < n; i++)
        index[i] = (uint32_t)i;
    for (size_t i = 0; i + 1 < n; i++) { /* place i gets one of the elements i .. n-1 */
        if (i % 2 == 0)
            philox(w, i / 2, seed, stream, step);
        uint64_t random = (uint64_t)w[2 * (i % 2) + 1] << 32 | w[2 * (i % 2)];
        size_t j = i + (size_t)below(random, n - i);
        uint32_t t = index[i];
        index[i] = index[j];
        index[j] = t;
    }
}
