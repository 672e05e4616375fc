/* gemm.h - what gemm.c, which multiplies, and gemm_share.c, which deals out among threads, both know of a product. */
#ifndef FNN_GEMM_H
#define FNN_GEMM_H

#include "fnn.h"
#include "sizes.h"

#define DIRECT_ROW_BYTES 512 /* rows of b up to this long are read where they lie */
#define DIRECT_BYTES 40960   /* and so is the whole of b up to this size */
#define DIRECT_ROWS 128      /* and any b for so many rows of a, as a copy is not read often enough */
#define CROWDED_BYTES 2048   /* but for rows that lie a multiple of this apart: they share a few cache sets */

/* everything about one product; fnn.h: fnn_gemm says what the fields are */
typedef struct {
    const fnn_kernels *t;
    char *c;
    const char *a;
    size_t a_rs, a_cs;
    const char *b;
    size_t b_rs, b_cs;
    size_t m, n, k;
    const char *bias;
    const fnn_epilogue *e;
    int accumulate;
    void *sums;        /* of the epilogue */
    fnn_finish finish; /* what the tiles do in registers, of all of c */
    int finished;      /* nothing of the epilogue is left after that */
    int turned;        /* goes by turned_piece, which leaves all of the epilogue */
} product;

/* whether b, by rows, fits the first level in part or whole as it lies */
static inline int b_is_small(const product *p)
{
    const size_t row = p->b_rs * p->t->itemsize;
    return row <= DIRECT_ROW_BYTES || p->k * row <= DIRECT_BYTES;
}

/* where b lies by rows, a small one is read as it lies, and so is any where too few rows of a would pay for a copy. Whole
 * lines of crowded rows (64-byte vectors) come from further away in time. */
static inline int reads_direct(const product *p, size_t rows)
{
    const size_t row = p->b_rs * p->t->itemsize;
    const int crowded = row % CROWDED_BYTES == 0 && p->t->lanes * p->t->itemsize < 64;
    return p->b_cs == 1 && (b_is_small(p) || rows <= (crowded ? 2 * p->t->mr : DIRECT_ROWS));
}

/* A piece of a product, with its epilogue: some rows of all columns, or some columns of all rows where the tiles do all
 * of the epilogue. Pieces run side by side: each packs for itself, which costs less than waiting for another. */
typedef struct {
    size_t row, rows, col, cols;
} piece;

/* the piece, with its epilogue but for what a turned product leaves; ws: fnn_gemm_workspace of the whole product */
void fnn_gemm_piece(const product *p, const piece *part, char *ws);

/* How a product is shared out: pieces of so many rows or, where it is turned, or b is large and the tiles do all of the
 * epilogue, of so many columns, as each then reads, and packs, its own part of b alone. A few pieces a thread even out
 * what else the threads have to do; where each packs all of the other operand (b for rows, a where it is turned), one a
 * thread is enough. */
typedef struct {
    size_t rows, cols, pieces;
} sharing;

/* how the threads that there are should share it; one piece where that does not pay */
sharing fnn_gemm_share(const product *p);
/* all pieces, side by side; ws: the caller's, for pieces whose threads find no memory for their own */
void fnn_gemm_shared(const product *p, const sharing *how, void *ws);

#endif
