/* philox.h - one round of Philox4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3",
 * SC 2011. A counter goes in, random bits come out: element i is the same whatever the order of work. */
#ifndef FNN_PHILOX_H
#define FNN_PHILOX_H

#include <stdint.h>

#define FNN_PHILOX_MUL0 0xD2511F53u
#define FNN_PHILOX_MUL1 0xCD9E8D57u
#define FNN_PHILOX_KEY0 0x9E3779B9u
#define FNN_PHILOX_KEY1 0xBB67AE85u

static inline __attribute__((always_inline, unused)) void fnn_philox_round(uint32_t *c0, uint32_t *c1, uint32_t *c2,
                                                                           uint32_t *c3, uint32_t k0, uint32_t k1)
{
    uint64_t p0 = (uint64_t)FNN_PHILOX_MUL0 * *c0, p1 = (uint64_t)FNN_PHILOX_MUL1 * *c2;
    uint32_t n0 = (uint32_t)(p1 >> 32) ^ *c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ *c3 ^ k1;
    *c1 = (uint32_t)p1;
    *c3 = (uint32_t)p0;
    *c0 = n0;
    *c2 = n2;
}

/* second word of the counter: 16 bits of stream above 16 high bits of the block (2^48 blocks a stream and step) */
static inline __attribute__((always_inline, unused)) uint32_t fnn_philox_stream_word(uint32_t stream, uint64_t block)
{
    return stream << 16 | (uint32_t)((block >> 32) & 0xffffu);
}

#endif
