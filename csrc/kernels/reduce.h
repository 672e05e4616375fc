/* reduce.h - sums within a row: 16 interleaved chains, element k to chain k mod 16, joined by a fixed tree
 * (chain i + chain i+8, then i+4, i+2, i+1), so that the number of lanes cannot show in the result. */
#define CHAINS 16
#define CHAIN_VECTORS (CHAINS / VF_LANES)

typedef struct {
    vf v[CHAIN_VECTORS];
} chains;

FNN_INLINE chains chains_zero(void)
{
    chains c;
    for (int i = 0; i < CHAIN_VECTORS; i++)
        c.v[i] = vf_zero();
    return c;
}

FNN_INLINE real chains_join(chains c)
{
#pragma GCC unroll 16
    for (int half = CHAIN_VECTORS / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            c.v[i] = vf_add(c.v[i], c.v[i + half]);
    return vf_sum_tree(c.v[0]);
}

/* lanes of vector i that are left when n elements remain of a block of CHAINS */
FNN_INLINE size_t chain_lanes(size_t n, int i)
{
    size_t start = (size_t)i * VF_LANES;
    return n <= start ? 0 : n - start < VF_LANES ? n - start : VF_LANES;
}
