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

FNN_INLINE uint32_t twister_temper(uint32_t y)
{
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680U;
    y ^= (y << 15) & 0xefc60000U;
    return y ^ (y >> 18);
}

/* A uniform number is 27 bits of one word over 26 of the next, in 2^-53, and each element takes one. The second word
 * decides only where the first is equal to its part of the limit. */
static void twister_dropout(void *vy, void *vmask, const void *vx, size_t n, uint32_t *state, uint64_t limit,
                            double below, double above)
{
    real *y = vy, *mask = vmask, low = (real)below, high = (real)above;
    const real *x = vx;
    limit = limit < ((uint64_t)1 << 53) ? limit : ((uint64_t)1 << 53) - 1;
    const uint32_t top = (uint32_t)(limit >> 26), rest = (uint32_t)limit & 0x3ffffffU;
    const uint32_t least = top << 5, most = least | 31; /* the words whose 27 bits are those of the limit */
    for (size_t done = 0, count; done < n; done += count) {
        size_t left = TWISTER_WORDS - state[TWISTER_WORDS];
        if (left < 2) { /* none, or one whose partner is in the next block */
            uint32_t a = left ? twister_temper(state[TWISTER_WORDS - 1]) >> 5 : 0;
            twister_refill(state);
            count = left;
            if (left) {
                uint32_t b = twister_temper(state[0]) >> 6;
                mask[done] = a > top || (a == top && b > rest) ? high : low;
                state[TWISTER_WORDS] = 1;
            }
        } else {
            const uint32_t *s = state + state[TWISTER_WORDS];
            count = n - done < left / 2 ? n - done : left / 2;
            uint32_t nearest = UINT32_MAX;
            for (size_t j = 0; j < count; j++) {
                uint32_t a = twister_temper(s[2 * j]);
                nearest = a - least < nearest ? a - least : nearest;
                mask[done + j] = a > most ? high : low;
            }
            if (nearest <= most - least)
                for (size_t j = 0; j < count; j++)
                    if (twister_temper(s[2 * j]) >> 5 == top)
                        mask[done + j] = twister_temper(s[2 * j + 1]) >> 6 > rest ? high : low;
            state[TWISTER_WORDS] += (uint32_t)(2 * count);
        }
        if (y)
            multiply(y + done, x + done, mask + done, count);
    }
}
