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

/* the part of the tree above a vector */
FNN_INLINE vf chains_fold(chains c)
{
#pragma GCC unroll 16
    for (int half = CHAIN_VECTORS / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            c.v[i] = vf_add(c.v[i], c.v[i + half]);
    return c.v[0];
}

FNN_INLINE real chains_join(chains c) { return vf_sum_tree(chains_fold(c)); }

/* Rows of few columns are worked on VF_LANES at a time, a row in each lane, a column in each vector. The sum over the
 * columns is then the tree of 16 chains with at most one element each: where a chain is empty its +0 would change
 * nothing, so the additions and the bits are the same as along a row. */
#define FEW_COLUMNS(cols) ((cols) > 0 && (cols) <= VF_LANES && (cols) <= CHAINS)
#define FEW_ROWS 3 /* from so many rows on a vector that is not full pays */

/* column[0 .. cols) of the first `rows` <= VF_LANES rows of x, ld apart; lanes without a row are 0 */
FNN_INLINE void load_columns(vf *column, const real *x, size_t ld, size_t rows, size_t cols)
{
    vf v[VF_ZIP + 1];
    if (cols == 1 && ld == 1) {
        column[0] = vf_load_part(x, rows);
        return;
    }
    if (VF_ZIP && ld == cols && rows == VF_LANES && cols >= 2 && cols <= VF_ZIP) {
        for (size_t i = 0; i < VF_ZIP; i++) /* a loop to cols becomes a memcpy, which the readers of v wait for */
            v[i] = i < cols ? vf_load(x + i * VF_LANES) : vf_zero();
        vf_unzip(column, v, cols);
        return;
    }
    for (size_t r = 0; r < VF_LANES; r++)
        column[r] = r < rows ? vf_load_part(x + r * ld, cols) : vf_zero();
    vf_transpose(column);
}

/* and back, to rows that lie dense; uses the columns up */
FNN_INLINE void store_columns(real *y, vf *column, size_t rows, size_t cols)
{
    vf v[VF_ZIP + 1];
    if (cols == 1) {
        vf_store_part(y, column[0], rows);
        return;
    }
    if (VF_ZIP && rows == VF_LANES && cols <= VF_ZIP) {
        for (size_t i = 0; i < VF_ZIP; i++)
            v[i] = vf_zero();
        vf_zip(v, column, cols);
        for (size_t i = 0; i < VF_ZIP; i++)
            if (i < cols)
                vf_store(y + i * VF_LANES, v[i]);
        return;
    }
    for (size_t j = cols; j < VF_LANES; j++)
        column[j] = vf_zero();
    vf_transpose(column);
    for (size_t r = 0; r < rows; r++)
        vf_store_part(y + r * cols, column[r], cols);
}

/* the tree over s[0 .. cols), which it uses up, without its empty branches */
FNN_INLINE vf join_columns(vf *s, size_t cols)
{
    for (size_t half = CHAINS / 2; half > 2; half /= 2)
        if (cols > half) {
            for (size_t j = half; j < cols; j++)
                s[j - half] = vf_add(s[j - half], s[j]);
            cols = half;
        }
    if (cols > 2)
        s[0] = vf_add(s[0], s[2]);
    if (cols > 3)
        s[1] = vf_add(s[1], s[3]);
    return cols > 1 ? vf_add(s[0], s[1]) : s[0];
}

/* lanes of vector i that are left when n elements remain of a block of CHAINS */
FNN_INLINE size_t chain_lanes(size_t n, int i)
{
    size_t start = (size_t)i * VF_LANES;
    return n <= start ? 0 : n - start < VF_LANES ? n - start : VF_LANES;
}
