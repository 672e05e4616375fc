/* avx512_zip.h - two to four columns between the order of memory and a vector each, by two-source permutes: element q of
 * VF_LANES rows of c columns is row q / c of column q % c. Transposing whole blocks would move mostly zeros. */
#define VF_ZIP 4

#define FNN_ZIP_ROW(q, c) ((q) / (c) + ((q) % (c) % 2) * VF_LANES)
#define FNN_EACH_8(f, q, c)                                                                                            \
    f(q, c), f(q + 1, c), f(q + 2, c), f(q + 3, c), f(q + 4, c), f(q + 5, c), f(q + 6, c), f(q + 7, c)
#if VF_LANES == 16
#define FNN_EACH(f, q, c) {FNN_EACH_8(f, q, c), FNN_EACH_8(f, (q) + 8, c)}
#else
#define FNN_EACH(f, q, c) {FNN_EACH_8(f, q, c)}
#endif
#define FNN_EACH_VECTOR(f, c)                                                                                          \
    {FNN_EACH(f, 0, c), FNN_EACH(f, VF_LANES, c), FNN_EACH(f, 2 * VF_LANES, c), FNN_EACH(f, 3 * VF_LANES, c)}
#define FNN_ZIP_COL(q, c) ((q) % (c))
static const fnn_bits fnn_zip_row[3][4][VF_LANES] = {FNN_EACH_VECTOR(FNN_ZIP_ROW, 2), FNN_EACH_VECTOR(FNN_ZIP_ROW, 3),
                                                     FNN_EACH_VECTOR(FNN_ZIP_ROW, 4)};
static const fnn_bits fnn_zip_col[3][4][VF_LANES] = {FNN_EACH_VECTOR(FNN_ZIP_COL, 2), FNN_EACH_VECTOR(FNN_ZIP_COL, 3),
                                                     FNN_EACH_VECTOR(FNN_ZIP_COL, 4)};
FNN_INLINE vm fnn_bits_ge(vi a, fnn_bits b)
{
#if VF_LANES == 16
    return _mm512_cmpge_epu32_mask(a, vi_set1(b));
#else
    return _mm512_cmpge_epu64_mask(a, vi_set1(b));
#endif
}
/* x[0 .. c) = the vectors of memory in order, from the columns col[0 .. c); 2 <= c <= 4 */
FNN_INLINE void vf_zip(vf *x, const vf *col, size_t c)
{
    for (size_t k = 0; k < c; k++) {
        vi row = _mm512_loadu_si512(fnn_zip_row[c - 2][k]);
        x[k] = fnn_pick(col[0], row, col[1]);
        if (c > 2) {
            vm late = fnn_bits_ge(_mm512_loadu_si512(fnn_zip_col[c - 2][k]), 2);
            x[k] = vf_select(late, fnn_pick(col[2], row, col[c - 1]), x[k]);
        }
    }
}
/* and back */
FNN_INLINE void vf_unzip(vf *col, const vf *x, size_t c)
{
    static const fnn_bits iota[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    vi at = vi_set1(0), lane = _mm512_loadu_si512(iota);
    for (size_t j = 0; j < c; j++)
        at = vi_add(at, lane);
    for (size_t j = 0; j < c; j++, at = vi_add(at, vi_set1(1))) {
        col[j] = fnn_pick(x[0], at, x[1]);
        if (c > 2)
            col[j] = vf_select(fnn_bits_ge(at, 2 * VF_LANES), fnn_pick(x[2], at, x[c - 1]), col[j]);
    }
}
