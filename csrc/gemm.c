/* gemm.c - the driver of every matrix product: blocking, packing, and the epilogue on finished rows. No lane code here.
 *
 *   for each block of columns of b        COLUMN_BLOCK wide
 *     for each block of k                 so that a panel of b stays in the first-level cache
 *       pack b, or use it where it lies
 *       for each strip of rows of c       so that the strip and its rows of a stay in the second level
 *         gemm_block: panels x register tiles
 *         after the last block of k: bias was added by the tile, the epilogue runs on the warm strip
 *
 * Work may be split over rows and columns in any way, and over k by spilling the partial sum to c, which is exact: none
 * of the sizes below can change a bit of the result.
 */
#include "fnn.h"

#define PANEL_BYTES 24576 /* of b, in the first-level cache */
#define COLUMN_BLOCK 2048
#define STRIP_TILES 16       /* register tiles in the height of a strip */
#define DIRECT_ROW_BYTES 512 /* rows of b up to this long are read where they lie */

static size_t min(size_t a, size_t b) { return a < b ? a : b; }
static size_t round_up(size_t a, size_t b) { return (a + b - 1) / b * b; }

/* equal blocks rather than full ones and a rest */
static size_t k_block(const fnn_kernels *t, size_t k)
{
    size_t most = PANEL_BYTES / (t->nr * t->itemsize);
    size_t blocks = (k + most - 1) / most;
    return blocks ? (k + blocks - 1) / blocks : 0;
}

size_t fnn_gemm_workspace(const fnn_kernels *t, size_t m, size_t n, size_t k)
{
    size_t panels = k_block(t, k) * round_up(min(n, COLUMN_BLOCK), t->lanes);
    size_t narrow = FNN_NARROW * (k > m ? k : m) + k * t->lanes;
    return (panels + narrow) * t->itemsize;
}

static void run_epilogue(const fnn_kernels *t, const fnn_epilogue *e, void *c, size_t row, size_t rows, size_t n)
{
    size_t at = row * n * t->itemsize;
    char *strip = (char *)c + at;
    if (!e || e->kind == FNN_EPI_NONE)
        return;
    if (e->kind == FNN_EPI_FORWARD)
        t->act_fwd[e->act]((char *)e->y + at, strip, rows, n);
    else
        t->act_bwd[e->act](strip, strip, (const char *)e->saved + at, rows, n);
}

/* n < FNN_NARROW: rows of a against the columns of b laid out as rows */
static void narrow_product(const fnn_kernels *t, void *c, const void *a, size_t a_rs, const void *b, size_t b_rs,
                           size_t b_cs, size_t m, size_t n, size_t k, const void *bias, void *ws)
{
    if (b_rs != 1) { /* b by rows: its few columns are gathered once */
        t->transpose(ws, b, b_rs, k, n);
        b = ws;
        b_cs = k;
    }
    t->dot_rows(c, n, a, a_rs, b, b_cs, m, n, k, bias);
}

/* a sum over the batch with few columns fills vectors badly: c' = b'.a' has the same chains, and long rows */
static void thin_product(const fnn_kernels *t, void *c, const void *a, size_t a_cs, const void *b, size_t b_rs,
                         size_t m, size_t n, size_t k, void *ws)
{
    char *ct = ws;
    size_t whole = m - m % t->lanes;
    if (whole)
        t->gemm_block(ct, m, b, 1, b_rs, a, a_cs, n, whole, k, NULL, 0);
    if (whole < m) { /* the last columns of a are packed, so that whole vectors may be read */
        char *panel = ct + n * m * t->itemsize;
        t->pack_rows(panel, (const char *)a + whole * t->itemsize, a_cs, k, m - whole);
        t->gemm_block(ct + whole * t->itemsize, m, b, 1, b_rs, panel, 0, n, m - whole, k, NULL, 0);
    }
    t->transpose(c, ct, m, n, m);
}

/* one block of b: k rows from row p, n columns from column j, to rows [row, row + rows) of c */
typedef struct {
    const fnn_kernels *t;
    const char *a, *b;
    size_t a_rs, a_cs, ldb; /* ldb == 0: packed */
    size_t k;
    int accumulate;
} block;

static void strip_product(const block *s, char *c, size_t ldc, size_t row, size_t rows, size_t n, const void *bias)
{
    const fnn_kernels *t = s->t;
    t->gemm_block(c + row * ldc * t->itemsize, ldc, s->a + row * s->a_rs * t->itemsize, s->a_rs, s->a_cs, s->b, s->ldb,
                  rows, n, s->k, bias, s->accumulate);
}

static void fill_rows(const fnn_kernels *t, char *c, size_t m, size_t n, const void *bias)
{
    for (size_t i = 0; i < m; i++) {
        char *row = c + i * n * t->itemsize;
        for (size_t b = 0; b < n * t->itemsize; b++)
            row[b] = bias ? ((const char *)bias)[b] : 0;
    }
}

static void wide_product(const fnn_kernels *t, void *vc, const void *va, size_t a_rs, size_t a_cs, const void *vb,
                         size_t b_rs, size_t b_cs, size_t m, size_t n, size_t k, const void *vbias,
                         const fnn_epilogue *e, void *ws)
{
    const size_t size = t->itemsize, kb = k_block(t, k), strip = STRIP_TILES * t->mr;
    const char *a = va, *b = vb, *bias = vbias;
    char *c = vc;
    const int whole_rows = n <= COLUMN_BLOCK;
    /* where b lies by rows, short ones are read directly, and so are those too few rows of a to pay for a copy */
    const int direct = b_cs == 1 && (b_rs * size <= DIRECT_ROW_BYTES || m <= 2 * t->mr);

    for (size_t j = 0; j < n; j += COLUMN_BLOCK) {
        size_t cols = min(n - j, COLUMN_BLOCK);
        size_t in_place = direct ? cols - cols % t->lanes : 0, packed = cols - in_place;
        for (size_t p = 0; p < k; p += kb) {
            size_t depth = min(k - p, kb);
            const int last = p + depth == k;
            const char *bp = b + (p * b_rs + j * b_cs) * size, *tail = bp + in_place * b_cs * size;
            block s = {t, a + p * a_cs * size, bp, a_rs, a_cs, b_rs, depth, p > 0};
            block s_packed = {t, s.a, ws, a_rs, a_cs, 0, depth, p > 0};
            const char *bias_j = last && bias ? bias + j * size : NULL;
            if (packed && b_cs == 1)
                t->pack_rows(ws, tail, b_rs, depth, packed);
            else if (packed)
                t->pack_columns(ws, tail, b_cs, depth, packed);
            for (size_t row = 0; row < m; row += strip) {
                size_t rows = min(m - row, strip);
                if (in_place)
                    strip_product(&s, c + j * size, n, row, rows, in_place, bias_j);
                if (packed)
                    strip_product(&s_packed, c + (j + in_place) * size, n, row, rows, packed,
                                  bias_j ? bias_j + in_place * size : NULL);
                if (last && whole_rows)
                    run_epilogue(t, e, c, row, rows, n);
            }
        }
    }
    if (!whole_rows)
        run_epilogue(t, e, c, 0, m, n);
}

void fnn_gemm(const fnn_kernels *t, void *c, const void *a, size_t a_rs, size_t a_cs, const void *b, size_t b_rs,
              size_t b_cs, size_t m, size_t n, size_t k, const void *bias, fnn_rule rule, const fnn_epilogue *e,
              void *ws)
{
    if (m == 0 || n == 0)
        return;
    if (k == 0)
        fill_rows(t, c, m, n, bias);
    else if (n < FNN_NARROW && rule == FNN_BY_WIDTH) {
        narrow_product(t, c, a, a_rs, b, b_rs, b_cs, m, n, k, bias, ws);
    } else if (n < FNN_NARROW && m > n && a_rs == 1 && b_cs == 1 && !bias) {
        thin_product(t, c, a, a_cs, b, b_rs, m, n, k, ws);
    } else {
        wide_product(t, c, a, a_rs, a_cs, b, b_rs, b_cs, m, n, k, bias, e, ws);
        return;
    }
    run_epilogue(t, e, c, 0, m, n);
}
