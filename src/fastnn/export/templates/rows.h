/* rows.h - what an exported file does to a row: the loops of csrc/gemm.c and csrc/kernels/ with their order of operations,
 * which is what makes the bits (docs/numerics.md). */

/* The end of a sum by 16 chains: they are joined by a fixed tree. */
static inline real join_chains(real *s)
{
    for (size_t half = 8; half > 0; half /= 2)
        for (size_t i = 0; i < half; i++)
            s[i] += s[i + half];
    return s[0];
}

/* y = x.w + b. An output is one chain of fused multiply-adds over the inputs, ascending, and its bias last. w holds eight
 * columns side by side at a time: a number that is read from x serves eight chains, which stay in registers and may become
 * one vector. The remaining columns follow apiece. */
static void dense(real *y, const real *x, const real *w, const real *b, size_t n_in, size_t n_out)
{
    for (; n_out >= 8; n_out -= 8, y += 8, b += 8) {
        real s0 = 0, s1 = 0, s2 = 0, s3 = 0, s4 = 0, s5 = 0, s6 = 0, s7 = 0;
        for (size_t k = 0; k < n_in; k++, w += 8) {
            s0 = vf_fma(x[k], w[0], s0);
            s1 = vf_fma(x[k], w[1], s1);
            s2 = vf_fma(x[k], w[2], s2);
            s3 = vf_fma(x[k], w[3], s3);
            s4 = vf_fma(x[k], w[4], s4);
            s5 = vf_fma(x[k], w[5], s5);
            s6 = vf_fma(x[k], w[6], s6);
            s7 = vf_fma(x[k], w[7], s7);
        }
        y[0] = s0 + b[0];
        y[1] = s1 + b[1];
        y[2] = s2 + b[2];
        y[3] = s3 + b[3];
        y[4] = s4 + b[4];
        y[5] = s5 + b[5];
        y[6] = s6 + b[6];
        y[7] = s7 + b[7];
    }
    for (; n_out > 0; n_out--, y++, b++) {
        real s = 0;
        for (size_t k = 0; k < n_in; k++)
            s = vf_fma(x[k], *w++, s);
        *y = s + *b;
    }
}

/* y = x.w + b with fewer than eight outputs, w by columns: input k goes to chain k mod 16. */
static void dense_narrow(real *y, const real *x, const real *w, const real *b, size_t n_in, size_t n_out)
{
    for (; n_out > 0; n_out--, y++, b++, w += n_in) {
        real s[16] = {0};
        size_t k = 0;
        for (; k + 16 <= n_in; k += 16)
            for (size_t i = 0; i < 16; i++)
                s[i] = vf_fma(x[k + i], w[k + i], s[i]);
        for (size_t i = 0; k + i < n_in; i++)
            s[i] = vf_fma(x[k + i], w[k + i], s[i]);
        *y = join_chains(s) + *b;
    }
}

/* y = x * scale + shift */
static void affine(real *y, const real *x, size_t n, real scale, real shift)
{
    for (size_t i = 0; i < n; i++)
        y[i] = vf_fma(x[i], scale, shift);
}

static inline real largest_of(const real *x, size_t n)
{
    real largest = x[0];
    for (size_t i = 1; i < n; i++)
        largest = vf_max(x[i], largest);
    return largest;
}

/* exp(x - max) / sum of them, the sum by chains; y may be x. The shift by the maximum keeps exp in range. */
static void softmax(real *y, const real *x, size_t n)
{
    real s[16] = {0}, sum, largest = largest_of(x, n);
    for (size_t i = 0; i < n; i++) {
        y[i] = vf_exp(x[i] - largest);
        s[i % 16] += y[i];
    }
    sum = join_chains(s);
    for (size_t i = 0; i < n; i++)
        y[i] /= sum;
}

/* (x - max) - ln(sum of exp(x - max)); y may be x. The largest themselves, each exp(0) = 1, are counted apart: where one
 * alone leads, the logarithm is log1p of the others, exact however small they are. */
static void log_softmax(real *y, const real *x, size_t n)
{
    real s[16] = {0}, count = 0, rest, largest = largest_of(x, n);
    for (size_t i = 0; i < n; i++)
        if (x[i] - largest == 0)
            count += 1;
        else
            s[i % 16] += vf_exp(x[i] - largest);
    rest = vf_log1p(join_chains(s) + (count - 1));
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] - largest - rest;
}

/* (x - mean) / sqrt(variance + epsilon) * gamma + beta by the moments of the row itself, sums by chains; y may be x. gamma and
 * beta may be missing. Ba, Kiros and Hinton 2016. */
static void layer_norm(real *y, const real *x, const real *gamma, const real *beta, size_t n, real epsilon)
{
    real sums[16] = {0}, squares[16] = {0}, mean, inverse;
    for (size_t i = 0; i < n; i++)
        sums[i % 16] += x[i];
    mean = join_chains(sums) / (real)n;
    for (size_t i = 0; i < n; i++)
        squares[i % 16] = vf_fma(x[i] - mean, x[i] - mean, squares[i % 16]);
    inverse = inverse_deviation(join_chains(squares) / (real)n, epsilon);
    for (size_t i = 0; i < n; i++)
        y[i] = vf_fma((x[i] - mean) * inverse, gamma ? gamma[i] : 1, beta ? beta[i] : 0);
}
