/* twister.h - dropout masks from the generator behind numpy.random's own functions, so that a run seeded there comes
 * out again: MT19937 (Matsumoto and Nishimura 1998), a block of 624 words at a time, as plain integer C that the
 * compiler turns into vectors. */
#define TWISTER_WORDS 624
#define TWISTER_MIDDLE 397

FNN_INLINE uint32_t twister_mix(uint32_t a, uint32_t b)
{
    uint32_t y = (a & 0x80000000U) | (b & 0x7fffffffU);
    return (y >> 1) ^ ((0U - (b & 1U)) & 0x9908b0dfU);
}

/* the next 624 words of state, in place; no word depends on one fewer than 227 places before it */
static void twister_refill(uint32_t *s)
{
    const int first = TWISTER_WORDS - TWISTER_MIDDLE;
    for (int i = 0; i < first; i++)
        s[i] = s[i + TWISTER_MIDDLE] ^ twister_mix(s[i], s[i + 1]);
    for (int i = first; i < TWISTER_WORDS - 1; i++)
        s[i] = s[i - first] ^ twister_mix(s[i], s[i + 1]);
    s[TWISTER_WORDS - 1] = s[TWISTER_MIDDLE - 1] ^ twister_mix(s[TWISTER_WORDS - 1], s[0]);
    s[TWISTER_WORDS] = 0;
}

static void twister_temper(uint32_t *word, const uint32_t *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t y = s[i];
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c5680U;
        y ^= (y << 15) & 0xefc60000U;
        word[i] = y ^ (y >> 18);
    }
}

/* A uniform number is 27 bits of one word over 26 of the next, in 2^-53; each element takes one. */
static void twister_mask(void *vmask, size_t n, uint32_t *state, uint64_t limit, double below, double above)
{
    real *mask = vmask, low = (real)below, high = (real)above;
    uint32_t word[TWISTER_WORDS + 1], limit_top = (uint32_t)(limit >> 26), limit_rest = (uint32_t)limit & 0x3ffffffU;
    size_t done = 0, kept = 0; /* kept: a word of the block before whose partner is in the next */
    while (done < n) {
        if (state[TWISTER_WORDS] >= TWISTER_WORDS)
            twister_refill(state);
        size_t place = state[TWISTER_WORDS], left = TWISTER_WORDS - place, want = 2 * (n - done) - kept;
        size_t taken = want < left ? want : left, pairs = (kept + taken) / 2;
        twister_temper(word + kept, state + place, taken);
        state[TWISTER_WORDS] = (uint32_t)(place + taken);
        for (size_t j = 0; j < pairs; j++) {
            uint32_t top = word[2 * j] >> 5, rest = word[2 * j + 1] >> 6;
            uint32_t is_above = (uint32_t)(top > limit_top) | ((uint32_t)(top == limit_top) & (rest > limit_rest));
            mask[done + j] = is_above ? high : low;
        }
        done += pairs;
        kept = (kept + taken) % 2;
        if (kept)
            word[0] = word[2 * pairs];
    }
}
