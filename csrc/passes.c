/* passes.c - passes over arrays, shared out among threads where they are long enough to pay for it. Elements and rows are
 * independent, so the cut cannot show in the result. */
#include "fnn.h"

#include "sizes.h"

#define OPT_PIECE 16384    /* parameters: about 5 us */
#define GATHER_PIECE 32768 /* elements */

typedef struct {
    const fnn_kernels *t;
    fnn_opt_id opt;
    char *w, *s[FNN_MOST_STATES];
    const char *g;
    size_t n;
    const double *h;
} opt_pass;

static void opt_piece(void *context, size_t piece)
{
    const opt_pass *o = context;
    size_t first = piece * OPT_PIECE, at = first * o->t->itemsize;
    void *s[FNN_MOST_STATES];
    for (int i = 0; i < fnn_opt_states[o->opt]; i++)
        s[i] = o->s[i] + at;
    o->t->opt_step[o->opt](o->w + at, s, o->g + at, min(OPT_PIECE, o->n - first), o->h);
}

void fnn_opt_step_shared(const fnn_kernels *t, fnn_opt_id opt, void *w, void *const *s, const void *g, size_t n,
                         const double *h)
{
    opt_pass o = {t, opt, w, {NULL}, g, n, h};
    for (int i = 0; i < fnn_opt_states[opt]; i++)
        o.s[i] = s[i];
    if (n >= 2 * OPT_PIECE && fnn_threads() > 1)
        fnn_parallel((n + OPT_PIECE - 1) / OPT_PIECE, opt_piece, &o);
    else
        t->opt_step[opt](w, s, g, n, h);
}

typedef struct {
    const fnn_kernels *t;
    char *a;
    const char *w;
    size_t n;
    double momentum;
} average_pass;

static void average_piece(void *context, size_t piece)
{
    const average_pass *p = context;
    size_t first = piece * OPT_PIECE, at = first * p->t->itemsize;
    p->t->average(p->a + at, p->w + at, min(OPT_PIECE, p->n - first), p->momentum);
}

void fnn_average_shared(const fnn_kernels *t, void *a, const void *w, size_t n, double momentum)
{
    average_pass p = {t, a, w, n, momentum};
    if (n >= 2 * OPT_PIECE && fnn_threads() > 1)
        fnn_parallel((n + OPT_PIECE - 1) / OPT_PIECE, average_piece, &p);
    else
        t->average(a, w, n, momentum);
}

typedef struct {
    const fnn_kernels *t;
    char *y;
    const char *x;
    fnn_source_id source;
    const uint32_t *index;
    size_t rows, cols, piece;
    ptrdiff_t row_bytes, col_bytes;
} gather_pass;

static void gather_piece(void *context, size_t piece)
{
    const gather_pass *g = context;
    size_t first = piece * g->piece;
    g->t->gather(g->y + first * g->cols * g->t->itemsize, g->index ? g->x : g->x + (ptrdiff_t)first * g->row_bytes,
                 g->source, g->index ? g->index + first : NULL, min(g->piece, g->rows - first), g->cols, g->row_bytes,
                 g->col_bytes);
}

void fnn_gather_shared(const fnn_kernels *t, void *y, const void *x, fnn_source_id source, const uint32_t *index,
                       size_t rows, size_t cols, ptrdiff_t row_bytes, ptrdiff_t col_bytes)
{
    gather_pass g = {t, y, x, source, index, rows, cols, GATHER_PIECE / cols + 1, row_bytes, col_bytes};
    if (rows >= 2 * g.piece && fnn_threads() > 1)
        fnn_parallel((rows + g.piece - 1) / g.piece, gather_piece, &g);
    else
        t->gather(y, x, source, index, rows, cols, row_bytes, col_bytes);
}
