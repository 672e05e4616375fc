/* metrics.h - what metrics count and add up, row by row. Counts are whole numbers; sums are in double, one chain over the
 * rows for each column, ascending, without fused additions: neither the table nor where a pass is cut can show. */

/* the number of the first largest of each row, as the accuracy has it: NaN is never larger; 0 in a row of NaN alone */
static void argmax_rows(int32_t *best, const void *vx, size_t rows, size_t cols)
{
    const real *x = vx;
    size_t i = 0;
    if (FEW_COLUMNS(cols))
        for (; i + FEW_ROWS <= rows; i += VF_LANES) {
            vf column[VF_LANES];
            real found[VF_LANES];
            size_t here = rows - i < VF_LANES ? rows - i : VF_LANES;
            load_columns(column, x + i * cols, cols, here, cols);
            vf_store(found, first_largest(column, cols));
            for (size_t r = 0; r < here; r++)
                best[i + r] = (int32_t)found[r];
        }
    for (; i < rows; i++)
        best[i] = (int32_t)argmax(x + i * cols, cols);
}

/* in how many rows fewer than k classes come before the label's: those with a larger score, and those as large that have
 * a smaller number, so that k = 1 is the accuracy. A label whose score is NaN is not found. */
static uint64_t top_k_count(const void *vp, const int32_t *labels, size_t rows, size_t cols, size_t k)
{
    const real *p = vp;
    uint64_t found = 0;
    for (size_t i = 0; i < rows; i++, p += cols) {
        size_t label = (size_t)labels[i], before = 0;
        real mine = p[label];
        for (size_t j = 0; j < label; j++)
            before += p[j] >= mine;
        for (size_t j = label + 1; j < cols; j++)
            before += p[j] > mine;
        found += before < k && mine == mine;
    }
    return found;
}

/* counts[3 j ..] += of column j: rows where p and t are a yes, where p is, where t is */
static void yes_counts_acc(int64_t *counts, const void *vp, const void *vt, size_t rows, size_t cols, double p_above,
                           double t_above)
{
    const real *p = vp, *t = vt, p_limit = (real)p_above, t_limit = (real)t_above;
    for (size_t j = 0; j < cols; j++) {
        int64_t both = 0, predicted = 0, actual = 0;
        for (size_t i = j; i < rows * cols; i += cols) {
            int yes = p[i] > p_limit, is = t[i] > t_limit;
            both += yes & is;
            predicted += yes;
            actual += is;
        }
        counts[3 * j] += both;
        counts[3 * j + 1] += predicted;
        counts[3 * j + 2] += actual;
    }
}

#define ERROR_SUMS 4
#define ERROR_COLUMNS 8 /* side by side: one chain alone waits four cycles for each sum */

/* error_sums_acc for `width` columns, a constant where it is called. Each line is a loop of its own, which the compiler
 * makes vectors of. */
FNN_INLINE void error_sums_of(double *restrict to, const double *restrict shift, const real *restrict p,
                              const real *restrict t, size_t rows, size_t cols, const size_t width)
{
    double sums[ERROR_SUMS][ERROR_COLUMNS], d[ERROR_COLUMNS], s[ERROR_COLUMNS];
    for (size_t q = 0; q < ERROR_SUMS; q++)
        for (size_t j = 0; j < width; j++)
            sums[q][j] = to[q * cols + j];
    for (size_t i = 0; i < rows; i++, p += cols, t += cols) {
        for (size_t j = 0; j < width; j++)
            d[j] = (double)p[j] - (double)t[j];
        for (size_t j = 0; j < width; j++)
            s[j] = (double)t[j] - shift[j];
        for (size_t j = 0; j < width; j++)
            sums[0][j] += d[j] * d[j];
        for (size_t j = 0; j < width; j++)
            sums[1][j] += __builtin_fabs(d[j]);
        for (size_t j = 0; j < width; j++)
            sums[2][j] += s[j];
        for (size_t j = 0; j < width; j++)
            sums[3][j] += s[j] * s[j];
    }
    for (size_t q = 0; q < ERROR_SUMS; q++)
        for (size_t j = 0; j < width; j++)
            to[q * cols + j] = sums[q][j];
}

/* of column j, with d = p - t and s = t - shift[j]: sums[j] += d^2, sums[cols + j] += |d|, sums[2 cols + j] += s,
 * sums[3 cols + j] += s^2 */
static void error_sums_acc(double *restrict sums, const double *restrict shift, const void *vp, const void *vt,
                           size_t rows, size_t cols)
{
    const real *p = vp, *t = vt;
    size_t j = 0;
    for (; j + ERROR_COLUMNS <= cols; j += ERROR_COLUMNS)
        error_sums_of(sums + j, shift + j, p + j, t + j, rows, cols, ERROR_COLUMNS);
    for (; j + 2 <= cols; j += 2)
        error_sums_of(sums + j, shift + j, p + j, t + j, rows, cols, 2);
    if (j < cols)
        error_sums_of(sums + j, shift + j, p + j, t + j, rows, cols, 1);
}
