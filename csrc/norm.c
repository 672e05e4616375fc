/* norm.c - batch normalization in training, its columns shared out among threads where there are many elements. Columns do
 * not know of each other, so the cut cannot show in the result. */
#include "fnn.h"

#include "sizes.h"

#define LEAST_PIECE 64      /* columns */
#define SHARED_ABOVE 131072 /* elements: about 40 us */

typedef struct {
    const fnn_kernels *t;
    char *y, *mean, *variance, *dgamma, *dbeta; /* y: dx in backward */
    const char *x, *dy, *gamma, *beta;
    double epsilon;
    size_t rows, cols, piece;
} norm_pass;

static char *at(const char *p, size_t bytes) { return p ? (char *)p + bytes : NULL; }

static void forward_piece(void *context, size_t piece)
{
    const norm_pass *n = context;
    size_t first = piece * n->piece, cols = min(n->piece, n->cols - first), b = first * n->t->itemsize;
    n->t->column_moments(n->mean + b, n->variance + b, n->x + b, n->cols, n->rows, cols);
    n->t->normalize_columns(n->y + b, n->x + b, n->mean + b, n->variance + b, at(n->gamma, b), at(n->beta, b),
                            n->epsilon, n->cols, n->rows, cols);
}

static void backward_piece(void *context, size_t piece)
{
    const norm_pass *n = context;
    size_t first = piece * n->piece, cols = min(n->piece, n->cols - first), b = first * n->t->itemsize;
    n->t->batch_norm_bwd(at(n->y, b), at(n->dgamma, b), at(n->dbeta, b), n->dy + b, n->x + b, n->mean + b,
                         n->variance + b, at(n->gamma, b), n->epsilon, n->cols, n->rows, cols);
}

static void run(fnn_task *piece, norm_pass *n)
{
    size_t threads = n->rows * n->cols < SHARED_ABOVE ? 1 : (size_t)fnn_threads();
    size_t share = (n->cols + threads - 1) / threads;
    n->piece = (share + LEAST_PIECE - 1) / LEAST_PIECE * LEAST_PIECE;
    if (n->piece < n->cols)
        fnn_parallel((n->cols + n->piece - 1) / n->piece, piece, n);
    else
        piece(n, 0);
}

void fnn_batch_norm_fwd(const fnn_kernels *t, void *y, void *mean, void *variance, const void *x, const void *gamma,
                        const void *beta, double epsilon, size_t rows, size_t cols)
{
    norm_pass n = {t, y, mean, variance, NULL, NULL, x, NULL, gamma, beta, epsilon, rows, cols, 0};
    run(forward_piece, &n);
}

void fnn_batch_norm_bwd(const fnn_kernels *t, void *dx, void *dgamma, void *dbeta, const void *dy, const void *x,
                        void *mean, void *variance, const void *gamma, double epsilon, size_t rows, size_t cols)
{
    norm_pass n = {t, dx, mean, variance, dgamma, dbeta, x, dy, gamma, NULL, epsilon, rows, cols, 0};
    run(backward_piece, &n);
}
