/* twister.h - dropout masks from the generator behind numpy.random's own functions, so that a run seeded there comes
 * out again: MT19937 (Matsumoto and Nishimura 1998), some blocks of 624 words at a time, as plain integer C that the
 * compiler turns into vectors. */
#define TWISTER_WORDS 624
#define TWISTER_MIDDLE 397
#define TWISTER_AHEAD 5 /* blocks made at a time; with the one before they take 15 KB */

FNN_INLINE uint32_t twister_mix(uint32_t a, uint32_t b)
{
    uint32_t y = (a & 0x80000000U) | (b & 0x7fffffffU);
    return (y >> 1) ^ ((0U - (b & 1U)) & 0x9908b0dfU);
}

/* The 624 words after x[0 .. 624). The sequence lies in one line, so that one rule makes all of it: word k + 624 comes
 * from words k, k + 1 and k + 397, none nearer than 227 places. */
static void twister_go_on(uint32_t *x)
{
    for (size_t i = 0; i < TWISTER_WORDS; i++)
        x[i + TWISTER_WORDS] = x[i + TWISTER_MIDDLE] ^ twister_mix(x[i], x[i + 1]);
}

FNN_INLINE uint32_t twister_temper(uint32_t y)
{
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680U;
    y ^= (y << 15) & 0xefc60000U;
    return y ^ (y >> 18);
}

/* all of it but the last step, which changes no bit above the lowest 14 */
#define TWISTER_LOWEST 0x3fffU
FNN_INLINE uint32_t twister_nearly(uint32_t y)
{
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680U;
    return y ^ ((y << 15) & 0xefc60000U);
}

/* before a loop over arrays that are the same or apart: what one turn writes, no other reads */
#ifdef __clang__
#define TWISTER_TURNS_APART _Pragma("clang loop vectorize(assume_safety)")
#else
#define TWISTER_TURNS_APART _Pragma("GCC ivdep")
#endif

/* which of two numbers goes with each pair of words */
typedef struct {
    uint64_t limit; /* in 2^-53 */
    real low, high; /* where the uniform number is at most the limit, and above it */
} twister_choice;

/* A uniform number is 27 bits of one word over 26 of the next, in 2^-53, and each element takes one. */
FNN_INLINE real twister_choose(const uint32_t *pair, const twister_choice *of)
{
    const uint64_t number = ((uint64_t)(twister_temper(pair[0]) >> 5) << 26) | (twister_temper(pair[1]) >> 6);
    return number > of->limit ? of->high : of->low;
}

/* mask[0 .. n) of the words from s on, and y = x mask. The highest 18 bits of a first word decide but for one element in
 * 2^18: then the few hundred are looked at again. */
static void twister_elements(real *y, real *mask, const real *x, size_t n, const uint32_t *s, const twister_choice *of)
{
    const uint32_t least = (uint32_t)(of->limit >> 21) & ~TWISTER_LOWEST, most = least | TWISTER_LOWEST;
    const real low = of->low, high = of->high;
    uint32_t nearest = UINT32_MAX;
    TWISTER_TURNS_APART
    for (size_t j = 0; j < n; j++) {
        const uint32_t a = twister_nearly(s[2 * j]);
        nearest = a - least < nearest ? a - least : nearest;
        mask[j] = a > most ? high : low;
        y[j] = x[j] * (a > most ? high : low);
    }
    if (nearest > TWISTER_LOWEST)
        return;
    for (size_t j = 0; j < n; j++)
        mask[j] = twister_choose(s + 2 * j, of);
    multiply(y, x, mask, n);
}

static void twister_dropout(void *vy, void *vmask, const void *vx, size_t n, uint32_t *state, uint64_t limit,
                            double below, double above)
{
    real *y = vy, *mask = vmask;
    const real *x = vx;
    const uint64_t most = ((uint64_t)1 << 53) - 1;
    const twister_choice of = {limit < most ? limit : most, (real)below, (real)above};
    uint32_t words[(1 + TWISTER_AHEAD) * TWISTER_WORDS]; /* the block that the state holds, and what follows it */
    size_t have = TWISTER_WORDS, at = state[TWISTER_WORDS];
    __builtin_memcpy(words, state, TWISTER_WORDS * sizeof *words);
    for (size_t done = 0, count; done < n; done += count, at += 2 * count) {
        if (have - at < 2) {
            __builtin_memmove(words, words + have - TWISTER_WORDS, TWISTER_WORDS * sizeof *words);
            at -= have - TWISTER_WORDS;
            for (have = TWISTER_WORDS; have < sizeof words / sizeof *words && have - at < 2 * (n - done);
                 have += TWISTER_WORDS)
                twister_go_on(words + have - TWISTER_WORDS);
        }
        count = n - done < (have - at) / 2 ? n - done : (have - at) / 2;
        twister_elements(y + done, mask + done, x + done, count, words + at, &of);
    }
    const size_t block = at ? (at - 1) / TWISTER_WORDS : 0; /* a block that is used up stays until more is wanted */
    __builtin_memcpy(state, words + block * TWISTER_WORDS, TWISTER_WORDS * sizeof *words);
    state[TWISTER_WORDS] = (uint32_t)(at - block * TWISTER_WORDS);
}
