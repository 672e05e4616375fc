/* gemm_share.c - how a product is dealt out among threads. Each piece is a product of its own, of some rows or columns, so
 * the cut cannot show in the result. */
#include "gemm.h"

#define SHARED_AWAKE 500000 /* multiply-adds from which a product is shared where nobody has to be woken for it */
#define MOST_PIECES 16

sharing fnn_gemm_share(const product *p)
{
    const sharing whole = {p->m, p->n, 1};
    const double work = (double)p->m * (double)p->n * (double)p->k;
    if (work < FNN_SHARED_WORK && (work < SHARED_AWAKE || !fnn_helpers_awake()))
        return whole;
    const int direct = reads_direct(p, p->m);
    const int wide = !(direct && b_is_small(p)) && p->n >= p->m / 2;
    const int by_columns = p->turned || (wide && p->finished);
    const size_t threads = (size_t)fnn_threads();
    const int packs_all = p->turned || (!by_columns && !direct);
    const size_t most = packs_all    ? min(MOST_PIECES, threads)
                        : by_columns ? min(MOST_PIECES, 2 * threads)
                                     : MOST_PIECES;
    size_t pieces = min(work < FNN_SHARED_WORK * MOST_PIECES ? (size_t)(work / FNN_PIECE_WORK) : MOST_PIECES, most);
    pieces = min(pieces, by_columns ? p->n / (2 * p->t->nr) : p->m / (2 * p->t->mr));
    if (pieces < 2)
        return whole;
    sharing s = whole;
    if (by_columns)
        s.cols = round_up((p->n + pieces - 1) / pieces, p->t->nr);
    else
        s.rows = round_up((p->m + pieces - 1) / pieces, p->t->mr);
    s.pieces = by_columns ? (p->n + s.cols - 1) / s.cols : (p->m + s.rows - 1) / s.rows;
    return s;
}

static piece piece_at(const product *p, const sharing *s, size_t i)
{
    piece at = {0, p->m, 0, p->n};
    if (s->cols < p->n) {
        at.col = i * s->cols;
        at.cols = min(s->cols, p->n - at.col);
    } else {
        at.row = i * s->rows;
        at.rows = min(s->rows, p->m - at.row);
    }
    return at;
}

typedef struct {
    const product *p;
    const sharing *s;
    char left[MOST_PIECES]; /* a piece for which its thread had no memory */
} shared_product;

static void run_piece(void *context, size_t i)
{
    shared_product *s = context;
    const product *p = s->p;
    const piece at = piece_at(p, s->s, i);
    char *ws = fnn_workspace(fnn_gemm_workspace(p->t, p->m, p->n, p->k));
    if (ws)
        fnn_gemm_piece(p, &at, ws);
    else
        s->left[i] = 1;
}

void fnn_gemm_shared(const product *p, const sharing *how, void *ws)
{
    shared_product s = {p, how, {0}};
    fnn_parallel(how->pieces, run_piece, &s);
    for (size_t i = 0; i < how->pieces; i++)
        if (s.left[i]) {
            const piece at = piece_at(p, how, i);
            fnn_gemm_piece(p, &at, ws);
        }
}
