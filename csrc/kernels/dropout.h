/* dropout.h - masks from Philox4x32-10 (philox.h). An element takes 16 bits. Eight blocks of four words make a group of 64
 * elements: element e % 64 = 16 w + 2 i + h of a group is half h (0 the low one) of word w of its block i, which is the
 * order of the words of eight blocks side by side in memory. */
#define PHILOX_GROUP 8
#define PHILOX_BLOCKS 32 /* worked on at once */
#define MASK_ELEMENTS (8 * PHILOX_BLOCKS)
#define PHILOX_VECTORS (FNN_REGISTERS / 8) /* of each of the four words: their chains fill half of the registers */

/* words[w][i] = word w of block `block` + i, in its low half; what the high halves hold, no product reads */
static void philox_words(uint64_t words[4][PHILOX_BLOCKS], uint64_t block, uint64_t key, uint32_t stream, uint64_t step)
{
    for (uint64_t i = 0; i < PHILOX_BLOCKS; i++) {
        words[0][i] = (uint32_t)(block + i);
        words[1][i] = fnn_philox_stream_word(stream, block + i);
    }
    for (size_t at = 0; at < PHILOX_BLOCKS; at += PHILOX_VECTORS * VW_LANES) {
        vw c[4][PHILOX_VECTORS];
        uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
        for (int v = 0; v < PHILOX_VECTORS; v++) {
            c[0][v] = vw_load(words[0] + at + (size_t)v * VW_LANES);
            c[1][v] = vw_load(words[1] + at + (size_t)v * VW_LANES);
            c[2][v] = vw_set1((uint32_t)step);
            c[3][v] = vw_set1(step >> 32);
        }
        for (int round = 0; round < 10; round++, k0 += FNN_PHILOX_KEY0, k1 += FNN_PHILOX_KEY1)
#pragma GCC unroll 4
            for (int v = 0; v < PHILOX_VECTORS; v++) { /* fnn_philox_round */
                vw p0 = vw_mul_low(c[0][v], vw_set1(FNN_PHILOX_MUL0)),
                   p1 = vw_mul_low(c[2][v], vw_set1(FNN_PHILOX_MUL1));
                c[0][v] = vw_xor(vw_xor(vw_high(p1), c[1][v]), vw_set1(k0));
                c[2][v] = vw_xor(vw_xor(vw_high(p0), c[3][v]), vw_set1(k1));
                c[1][v] = p1;
                c[3][v] = p0;
            }
        for (int w = 0; w < 4; w++)
            for (int v = 0; v < PHILOX_VECTORS; v++)
                vw_store(words[w] + at + (size_t)v * VW_LANES, c[w][v]);
    }
}

/* half[0 .. MASK_ELEMENTS): 16 random bits for each element from `first`, a multiple of the group's 64, on */
static void mask_bits(uint16_t *half, uint64_t first, uint64_t key, uint32_t stream, uint64_t step)
{
    uint64_t words[4][PHILOX_BLOCKS];
    uint32_t narrow[PHILOX_BLOCKS / PHILOX_GROUP][4][PHILOX_GROUP];
    philox_words(words, first / 8, key, stream, step);
    for (size_t g = 0; g < PHILOX_BLOCKS / PHILOX_GROUP; g++)
        for (size_t w = 0; w < 4; w++)
            for (size_t b = 0; b < PHILOX_GROUP; b++)
                narrow[g][w][b] = (uint32_t)words[w][g * PHILOX_GROUP + b];
    __builtin_memcpy(half, narrow, sizeof narrow);
}

static void dropout(void *vy, void *vmask, const void *vx, size_t n, uint64_t first, uint64_t key, uint32_t stream,
                    uint64_t step, uint32_t threshold, double keep)
{
    real *y = vy, *mask = vmask, kept = (real)keep;
    const real *x = vx;
    uint16_t half[MASK_ELEMENTS];
    const size_t skip = first % (8 * PHILOX_GROUP), end = skip + n; /* from the beginning of a group */
    for (size_t i = 0; i < end; i += MASK_ELEMENTS) {
        const size_t from = i ? 0 : skip, to = end - i < MASK_ELEMENTS ? end - i : MASK_ELEMENTS;
        mask_bits(half, first - skip + i, key, stream, step);
        for (size_t j = from; j < to; j++) {
            mask[i + j - skip] = half[j] < threshold ? (real)0 : kept;
            y[i + j - skip] = x[i + j - skip] * mask[i + j - skip];
        }
    }
}

/* Klambauer et al. 2017: y = x mask + shift, mask and shift one pair of numbers where kept and one where dropped */
static void alpha_dropout(void *vy, void *vmask, const void *vx, size_t n, uint64_t first, uint64_t key,
                          uint32_t stream, uint64_t step, uint32_t threshold, double keep, double shift_kept,
                          double shift_dropped)
{
    real *y = vy, *mask = vmask, kept = (real)keep, b = (real)shift_kept, c = (real)shift_dropped;
    const real *x = vx;
    uint16_t half[MASK_ELEMENTS];
    const size_t skip = first % (8 * PHILOX_GROUP), end = skip + n;
    for (size_t i = 0; i < end; i += MASK_ELEMENTS) {
        const size_t from = i ? 0 : skip, to = end - i < MASK_ELEMENTS ? end - i : MASK_ELEMENTS;
        mask_bits(half, first - skip + i, key, stream, step);
        for (size_t j = from; j < to; j++) {
            const real shift = half[j] < threshold ? c : b;
            mask[i + j - skip] = half[j] < threshold ? (real)0 : kept;
            y[i + j - skip] = x[i + j - skip] * mask[i + j - skip] + shift;
        }
    }
}
