/* gemm.c - the driver of every matrix product: blocking, packing, and the epilogue on finished rows. No lane code here.
 *
 *   for each block of columns of b        COLUMN_BLOCK wide
 *     for each block of k                 so that a panel of b and a strip of a fit the second-level cache
 *       pack b, or use it where it lies
 *       for each strip of rows of c       so that the strip and its rows of a stay in the second level
 *         gemm_block: panels x register tiles
 *         after the last block of k: bias was added by the tile, the epilogue runs on the warm strip
 *
 * Four shapes go another way: few columns (narrow_product), few columns of a gradient (thin_product), a short k past b in
 * registers (gemm_shallow), and few rows against a b by columns, turned around (turned_piece).
 *
 * Work may be split over rows and columns in any way, and over k by spilling the partial sum to c, which is exact: none
 * of the sizes below can change a bit of the result.
 */
#include "gemm.h"

#include <string.h>

#define DEPTH_BYTES 4096 /* of a row of a in one block of k: a strip of a then fills a part of the second level */
#define COLUMN_BLOCK 2048
#define STRIP_TILES 12 /* register tiles in the height of a strip */
/* rows of a at least this far apart crowd into a few cache sets, and columns read across rows longer than a page touch
 * a page an element: where b is wide enough to pay for it, a strip of a is copied */
#define SPREAD_ROW_BYTES 1024
#define SPREAD_COLUMN_BYTES 4096
#define SPREAD_COLUMNS 192
#define SHORT_K 16 /* chains of one product each */
/* few rows against the columns of a large b are turned around: their own copy is the smaller one */
#define TURNED_FROM 16
#define TURNED_ROWS 512
#define TURNED_DEPTH 4096
#define TURNED_COLUMNS 256 /* at least */
#define TURNED_LESS 4      /* times as many columns as rows */

/* so many bytes in reals; each size is a constant */
static inline size_t reals_in(const fnn_kernels *t, size_t bytes)
{
    return t->itemsize == sizeof(float) ? bytes / sizeof(float) : bytes / sizeof(double);
}

static size_t most_k(const fnn_kernels *t) { return reals_in(t, DEPTH_BYTES); }

/* equal blocks rather than full ones and a rest */
static size_t k_block(const fnn_kernels *t, size_t k)
{
    const size_t most = most_k(t);
    if (k <= most)
        return k;
    const size_t blocks = (k + most - 1) / most;
    return (k + blocks - 1) / blocks;
}

static size_t strip_rows(const fnn_kernels *t) { return STRIP_TILES * t->mr; }

/* reals from row to row of a copied strip of a: an odd number of cache lines, so that rows do not crowd into a few sets */
static size_t strip_ld(const fnn_kernels *t, size_t depth)
{
    size_t line = reals_in(t, 64);
    return align_up(depth, line) | line;
}

/* grows with each size, unlike k_block: a plan asks once, for its largest batch */
size_t fnn_gemm_workspace(const fnn_kernels *t, size_t m, size_t n, size_t k)
{
    size_t depth = min(k, most_k(t)), columns = align_up(min(n, COLUMN_BLOCK), t->lanes);
    size_t wide = depth * columns + max(strip_ld(t, depth) * min(m, strip_rows(t)), strip_ld(t, strip_rows(t)) * depth);
    size_t narrow = FNN_NARROW * align_up(max(k, m), t->lanes) + k * t->lanes;
    size_t turned = (min(k, TURNED_DEPTH) + strip_rows(t)) * min(m, TURNED_ROWS);
    return max(max(wide, narrow), turned) * t->itemsize;
}

/* what of the epilogue the tiles do, and what run_epilogue; in place, for a struct by value would be read back in wider
 * pieces than it was written, and wait for that */
static void plan_finish(product *p)
{
    const fnn_epilogue *e = p->e;
    const int is_relu = e && e->act == FNN_ACT_relu;
    p->finish = (fnn_finish){.bias = p->bias};
    p->finished = 1;
    p->sums = e ? e->sums : NULL;
    if (e && e->kind == FNN_EPI_FORWARD)
        p->finished = p->finish.relu = is_relu && e->y == p->c;
    else if (e && e->kind == FNN_EPI_BACKWARD) {
        p->finish.gate = is_relu ? e->saved : NULL;
        p->finished = is_relu;
    }
    if (p->sums && p->finished) {
        p->finish.sums = p->sums;
        p->finish.sums_go_on = e->sums_go_on;
    }
}

static void sum_columns(const product *p, size_t row, size_t rows)
{
    if (p->sums)
        p->t->column_sums(p->sums, p->c + row * p->n * p->t->itemsize, rows, p->n, row > 0 || p->e->sums_go_on);
}

/* the epilogue of these rows, where the tiles do not do it; rows ascending from call to call */
static void run_epilogue(const product *p, size_t row, size_t rows)
{
    const fnn_epilogue *e = p->e;
    size_t at = row * p->n * p->t->itemsize;
    char *strip = p->c + at;
    if (e && e->kind == FNN_EPI_FORWARD)
        p->t->act_fwd[e->act]((char *)e->y + at, strip, rows, p->n, e->alpha);
    else if (e && e->kind == FNN_EPI_BACKWARD)
        p->t->act_bwd[e->act](strip, strip, (const char *)e->saved + at, rows, p->n, e->alpha);
    sum_columns(p, row, rows);
}

/* the finish from element (row, col) of c on */
static fnn_finish finish_at(const product *p, size_t row, size_t col)
{
    const size_t size = p->t->itemsize;
    fnn_finish f = p->finish;
    f.bias = f.bias ? (const char *)f.bias + col * size : NULL;
    f.gate = f.gate ? (const char *)f.gate + (row * p->n + col) * size : NULL;
    f.sums = f.sums ? (char *)f.sums + col * size : NULL;
    f.sums_go_on = f.sums_go_on || row > 0;
    return f;
}

/* n < FNN_NARROW: rows of a against the columns of b laid out as rows */
static void narrow_product(const product *p, void *ws)
{
    const char *bt = p->b;
    size_t ldb = p->b_cs;
    if (p->b_rs != 1) { /* b by rows: its few columns are gathered once */
        bt = ws;
        ldb = align_up(p->k, p->t->lanes); /* so that no load crosses a cache line */
        p->t->transpose(ws, ldb, p->b, p->b_rs, p->k, p->n);
    }
    /* a row of c fills no more than half of a wide vector */
    const fnn_kernels *t = p->t->half && p->k <= SHORT_K && p->n > 1 ? p->t->half : p->t;
    t->dot_rows(p->c, p->a, p->a_rs, bt, ldb, p->m, p->n, p->k, p->bias);
}

/* a sum over the batch with few columns fills vectors badly: c' = b'.a' has the same chains, and long rows */
static void thin_product(const product *p, void *ws)
{
    const fnn_kernels *t = p->t;
    char *ct = ws;
    size_t whole = align_down(p->m, t->lanes), rest = p->m - whole;
    if (p->accumulate)
        t->transpose(ct, p->m, p->c, p->n, p->m, p->n);
    if (whole)
        t->gemm_block(ct, p->m, p->b, 1, p->b_rs, p->a, p->a_cs, p->n, whole, p->k, NULL, p->accumulate);
    if (rest) { /* the last columns of a are packed, so that whole vectors may be read */
        char *panel = ct + p->n * p->m * t->itemsize;
        t->pack_rows(panel, p->a + whole * t->itemsize, p->a_cs, p->k, rest);
        t->gemm_block(ct + whole * t->itemsize, p->m, p->b, 1, p->b_rs, panel, 0, p->n, rest, p->k, NULL,
                      p->accumulate);
    }
    t->transpose(p->c, p->n, ct, p->m, p->n, p->m);
}

static void copy_rows(char *to, size_t to_bytes, const char *from, size_t from_bytes, size_t rows, size_t bytes)
{
    for (size_t i = 0; i < rows; i++)
        memcpy(to + i * to_bytes, from + i * from_bytes, bytes);
}

static void fill_rows(const product *p)
{
    const size_t bytes = p->n * p->t->itemsize;
    for (size_t i = 0; i < p->m; i++)
        if (p->bias)
            memcpy(p->c + i * bytes, p->bias, bytes);
        else
            memset(p->c + i * bytes, 0, bytes);
}

static void wide_piece(const product *p, const piece *part, char *ws) /* part by address: see plan_finish */
{
    const piece at = *part;
    const fnn_kernels *t = p->t;
    const size_t size = t->itemsize, n = p->n, kb = k_block(t, p->k), strip = strip_rows(t);
    const size_t end = at.row + at.rows, right = at.col + at.cols;
    const int whole_rows = n <= COLUMN_BLOCK;
    const int direct = reads_direct(p, at.rows);
    const int by_row = p->a_cs == 1;
    const int far = by_row ? p->a_rs * size >= SPREAD_ROW_BYTES : p->a_cs * size > SPREAD_COLUMN_BYTES;
    const int spread = far && n >= SPREAD_COLUMNS && at.rows > t->mr;
    char *strip_a = ws + kb * align_up(min(n, COLUMN_BLOCK), t->lanes) * size;
    const size_t a_ld = by_row ? strip_ld(t, kb) : strip_ld(t, strip);

    for (size_t j = at.col; j < right; j += COLUMN_BLOCK) {
        const size_t cols = min(right - j, COLUMN_BLOCK);
        const size_t in_place = direct ? align_down(cols, t->lanes) : 0, packed = cols - in_place;
        /* the last few columns would leave most lanes of a wide vector idle */
        const fnn_kernels *edge = t->half && packed <= t->half->lanes ? t->half : t;
        for (size_t k0 = 0; k0 < p->k; k0 += kb) {
            const size_t depth = min(p->k - k0, kb);
            const int last = k0 + depth == p->k, go_on = k0 > 0 || p->accumulate;
            const char *b = p->b + (k0 * p->b_rs + j * p->b_cs) * size, *tail = b + in_place * p->b_cs * size;
            /* where b is read in place and k is not cut, the last vector of columns may overlap the one before: what both
             * compute is the same, and nothing needs packing */
            const int overlap = direct && packed && depth == p->k && !go_on && cols >= edge->lanes && !p->finish.sums;
            if (overlap)
                tail = b + (cols - edge->lanes) * size;
            else if (packed && p->b_cs == 1)
                edge->pack_rows(ws, tail, p->b_rs, depth, packed);
            else if (packed)
                edge->pack_columns(ws, tail, p->b_cs, depth, packed);
            for (size_t row = at.row; row < end; row += strip) {
                const size_t rows = min(end - row, strip);
                const char *a = p->a + (row * p->a_rs + k0 * p->a_cs) * size;
                size_t a_rs = p->a_rs, a_cs = p->a_cs;
                char *c = p->c + (row * n + j) * size;
                if (spread && by_row) {
                    copy_rows(strip_a, a_ld * size, a, a_rs * size, rows, depth * size);
                    a = strip_a;
                    a_rs = a_ld;
                } else if (spread) {
                    copy_rows(strip_a, a_ld * size, a, a_cs * size, depth, rows * size);
                    a = strip_a;
                    a_cs = a_ld;
                }
                if (in_place) {
                    const fnn_finish f = finish_at(p, row, j);
                    t->gemm_block(c, n, a, a_rs, a_cs, b, p->b_rs, rows, in_place, depth, last ? &f : NULL, go_on);
                }
                if (packed) {
                    const size_t from = overlap ? cols - edge->lanes : in_place;
                    const fnn_finish f = finish_at(p, row, j + from);
                    edge->gemm_block(c + from * size, n, a, a_rs, a_cs, overlap ? tail : ws, overlap ? p->b_rs : 0,
                                     rows, cols - from, depth, last ? &f : NULL, go_on);
                }
                if (last && whole_rows && !p->finished)
                    run_epilogue(p, row, rows);
            }
        }
    }
    if (!whole_rows && !p->finished)
        run_epilogue(p, at.row, at.rows);
}

/* whether c' = b'.a' is the better way: its chains are the same, a is packed, and b, a gradient's W, read as it lies */
static int is_turned(const product *p)
{
    return p->b_rs == 1 && p->b_cs > 1 && p->a_cs == 1 && !p->bias && !p->accumulate &&
           p->m == align_down(p->m, p->t->lanes) && p->m >= TURNED_FROM && p->m <= TURNED_ROWS && p->k > SHORT_K &&
           p->k <= TURNED_DEPTH && p->n >= TURNED_COLUMNS && p->n >= TURNED_LESS * p->m;
}

/* some columns of c without the epilogue: strip by strip of c', which is turned back at once */
static void turned_piece(const product *p, const piece *part, char *ws)
{
    const fnn_kernels *t = p->t;
    const size_t size = t->itemsize, m = p->m, kb = k_block(t, p->k), end = part->col + part->cols;
    char *strip = ws + p->k * m * size;
    for (size_t k0 = 0; k0 < p->k; k0 += kb)
        t->pack_columns(ws + k0 * m * size, p->a + k0 * size, p->a_rs, min(p->k - k0, kb), m);
    for (size_t j = part->col, cols; j < end; j += cols) {
        cols = min(end - j, strip_rows(t));
        for (size_t k0 = 0; k0 < p->k; k0 += kb)
            t->gemm_block(strip, m, p->b + (j * p->b_cs + k0) * size, p->b_cs, 1, ws + k0 * m * size, 0, cols, m,
                          min(p->k - k0, kb), NULL, k0 > 0);
        t->transpose(p->c + j * size, p->n, strip, m, cols, m);
    }
}

void fnn_gemm_piece(const product *p, const piece *part, char *ws)
{
    if (p->turned)
        turned_piece(p, part, ws);
    else
        wide_piece(p, part, ws);
}

void fnn_gemm(const fnn_kernels *t, void *c, const void *a, size_t a_rs, size_t a_cs, const void *b, size_t b_rs,
              size_t b_cs, size_t m, size_t n, size_t k, const void *bias, fnn_rule rule, const fnn_epilogue *e,
              void *ws)
{
    product p = {t, c, a, a_rs, a_cs, b, b_rs, b_cs, m, n, k, bias, e, rule == FNN_CONTINUED, .finished = 0};
    plan_finish(&p);
    if (m == 0 || n == 0) {
        sum_columns(&p, 0, 0); /* of no rows: 0 */
        return;
    }
    if (k == 0) {
        if (!p.accumulate)
            fill_rows(&p);
    } else if (n < FNN_NARROW && rule == FNN_BY_WIDTH) {
        narrow_product(&p, ws);
    } else if (n < FNN_NARROW && m > n && a_rs == 1 && b_cs == 1 && !bias) {
        thin_product(&p, ws);
    } else {
        p.turned = is_turned(&p);
        const sharing how = fnn_threads() > 1 ? fnn_gemm_share(&p) : (sharing){m, n, 1};
        if (how.rows < m) { /* no piece has all rows of a column */
            product part = p;
            part.sums = part.finish.sums = NULL;
            fnn_gemm_shared(&part, &how, ws);
            sum_columns(&p, 0, m);
        } else if (how.pieces > 1)
            fnn_gemm_shared(&p, &how, ws);
        else
            fnn_gemm_piece(&p, &(const piece){0, m, 0, n}, ws);
        if (!p.turned)
            return;
    }
    run_epilogue(&p, 0, m);
}

/* --- b in panels that were made beforehand (fnn.h) --- */
size_t fnn_panels_workspace(const fnn_kernels *t, size_t m, size_t k)
{
    return strip_ld(t, min(k, most_k(t))) * min(m, strip_rows(t)) * t->itemsize;
}

void fnn_gemm_panels(const fnn_kernels *t, void *c, const void *a, const void *panels, size_t m, size_t n, size_t k,
                     const void *bias, const fnn_epilogue *e, void *ws)
{
    product p = {t, c, a, k, 1, panels, 0, 0, m, n, k, bias, e, 0, .finished = 0};
    plan_finish(&p);
    const size_t size = t->itemsize, kb = k_block(t, k), strip = strip_rows(t), a_ld = strip_ld(t, kb);
    const int spread = k * size >= SPREAD_ROW_BYTES && n >= SPREAD_COLUMNS && m > t->mr;
    for (size_t k0 = 0; k0 < k; k0 += kb) {
        const size_t depth = min(k - k0, kb);
        const int last = k0 + depth == k;
        for (size_t row = 0; row < m; row += strip) {
            const size_t rows = min(m - row, strip);
            const char *strip_a = p.a + (row * k + k0) * size;
            if (spread) {
                copy_rows(ws, a_ld * size, strip_a, k * size, rows, depth * size);
                strip_a = ws;
            }
            for (size_t at = 0, width; at < n; at += width) {
                width = fnn_panel_columns(t, n - at);
                const size_t cols = min(width, n - at);
                const fnn_kernels *edge = t->half && cols <= t->half->lanes ? t->half : t;
                const fnn_finish f = finish_at(&p, row, at);
                edge->gemm_block(p.c + (row * n + at) * size, n, strip_a, spread ? a_ld : k, 1,
                                 p.b + (at * k + k0 * width) * size, width, rows, cols, depth, last ? &f : NULL,
                                 k0 > 0);
            }
            if (last && !p.finished)
                run_epilogue(&p, row, rows);
        }
    }
}
