/* session.h - a network laid out for prediction: a flat list of layers whose weights stand as the kernels read them.
 *
 * Everything here is read only once it is made, so any number of threads may run one network at a time. The bits are those
 * of the plan's products (docs/numerics.md): the layout does not touch the order of a chain.
 */
#ifndef FNN_SESSION_H
#define FNN_SESSION_H

#include "fnn.h"

typedef enum {
    FNN_LAYER_DENSE,        /* y = f(x.w + b), w in panels */
    FNN_LAYER_NARROW,       /* the same, n_out < FNN_NARROW: w as n_out rows of ld */
    FNN_LAYER_MAP,          /* y = f(x) */
    FNN_LAYER_AFFINE,       /* y = x * scale + shift */
    FNN_LAYER_NORM_COLUMNS, /* as normalize_columns and layer_norm_fwd of the table: by the columns' moments, or */
    FNN_LAYER_NORM_ROWS     /* by each row's own */
} fnn_layer_kind;

typedef struct {
    fnn_layer_kind kind;
    fnn_act_id act;
    size_t n_in, n_out;
    const void *w, *b;           /* weights and biases; of a normalization gamma and beta, NULL for 1 and 0 */
    const void *mean, *variance; /* of the columns */
    size_t ld;
    int skips;    /* dense: products with 0 are left out, as fnn_may_skip allows */
    double alpha; /* f's parameter */
    double scale, shift, epsilon;
} fnn_layer;

typedef struct {
    const fnn_kernels *t;
    const fnn_layer *layers;
    size_t count, n_in, n_out;
    size_t widest;  /* output of a layer */
    size_t longest; /* n_in of a layer that skips; 0: none does */
    size_t work;    /* multiply-adds a row, an activation counted as some */
    int scaled;     /* rows are taken times scale plus shift */
    double scale, shift;
} fnn_net;

/* rows to predict: element (i, j) at data + i * row_bytes + j * col_bytes */
typedef struct {
    const void *data;
    fnn_source_id source;
    ptrdiff_t row_bytes, col_bytes;
    int dense; /* of the net's own type, without gaps, aligned: read where they lie */
} fnn_rows;

/* --- the layout, made once --- */
/* reals that a dense layer's weights take, and its biases: whole vectors, padded with zeros */
size_t fnn_layer_reals(const fnn_kernels *t, size_t n_in, size_t n_out);
size_t fnn_bias_reals(const fnn_kernels *t, size_t n_out);
/* to (fnn_layer_reals, 64-byte aligned) = w (n_in, n_out), dense: panels, or rows where n_out < FNN_NARROW; and back */
void fnn_lay_out(const fnn_kernels *t, void *to, const void *w, size_t n_in, size_t n_out);
void fnn_take_out(const fnn_kernels *t, void *w, const void *laid_out, size_t n_in, size_t n_out);
/* Whether a row's products with 0 can be left out of x.w + b without moving a bit: w (n_in, n_out) is finite, so that they
 * are 0, and no b is -0, for a chain without them may end with -0 (where its products sank below the smallest number) in
 * the place of +0, and only the sum with -0 tells. */
int fnn_may_skip(const fnn_kernels *t, const void *w, const void *b, size_t n_in, size_t n_out);
/* the leading dimension of those rows */
size_t fnn_narrow_ld(const fnn_kernels *t, size_t n_in);

/* --- the run --- */
/* y (n_out) = the outputs of one dense row x (n_in) of the net's type. The net is not scaled. 0, or 1 where memory is
 * short. */
int fnn_net_row(const fnn_net *net, void *y, const void *x);
/* y (rows, n_out), dense = the outputs of the rows, shared out among threads where there are many. y and the rows may not
 * overlap. 0, or 1 where memory is short. */
int fnn_net_run(const fnn_net *net, void *y, const fnn_rows *x, size_t rows);

#endif
