/* session.c - a network laid out for prediction, and its run: one row by itself, or many in blocks that stay in cache. */
#include "session.h"

#include "fpstate.h"
#include "sizes.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#define SHORT_K 16            /* chains of one product each: dot_rows in half a vector, as in gemm.c */
#define STACK_BYTES 8192      /* the activations of one row of a small net, and the places of those that are not 0 */
#define SKIP_SHARE 16         /* of a layer's inputs must be 0 for the others to be gone through by a list */
#define BLOCK_BYTES (1 << 17) /* of the widest activations of a block of rows */
#define LEAST_ROWS 16         /* of a block */

/* --- the layout --- */
size_t fnn_narrow_ld(const fnn_kernels *t, size_t n_in) { return align_up(n_in, t->lanes); }

size_t fnn_layer_reals(const fnn_kernels *t, size_t n_in, size_t n_out)
{
    return n_out < FNN_NARROW ? n_out * fnn_narrow_ld(t, n_in) : n_in * align_up(n_out, t->lanes);
}

size_t fnn_bias_reals(const fnn_kernels *t, size_t n_out) { return align_up(n_out, t->lanes); }

void fnn_lay_out(const fnn_kernels *t, void *to, const void *w, size_t n_in, size_t n_out)
{
    memset(to, 0, fnn_layer_reals(t, n_in, n_out) * t->itemsize);
    if (n_out < FNN_NARROW) {
        t->transpose(to, fnn_narrow_ld(t, n_in), w, n_out, n_in, n_out);
        return;
    }
    char *panel = to;
    for (size_t at = 0, width; at < n_out; at += width) {
        width = fnn_panel_columns(t, n_out - at);
        const size_t bytes = min(width, n_out - at) * t->itemsize;
        for (size_t p = 0; p < n_in; p++, panel += width * t->itemsize)
            memcpy(panel, (const char *)w + (p * n_out + at) * t->itemsize, bytes);
    }
}

void fnn_take_out(const fnn_kernels *t, void *w, const void *laid_out, size_t n_in, size_t n_out)
{
    if (n_out < FNN_NARROW) {
        t->transpose(w, n_out, laid_out, fnn_narrow_ld(t, n_in), n_out, n_in);
        return;
    }
    const char *panel = laid_out;
    for (size_t at = 0, width; at < n_out; at += width) {
        width = fnn_panel_columns(t, n_out - at);
        const size_t bytes = min(width, n_out - at) * t->itemsize;
        for (size_t p = 0; p < n_in; p++, panel += width * t->itemsize)
            memcpy((char *)w + (p * n_out + at) * t->itemsize, panel, bytes);
    }
}

int fnn_may_skip(const fnn_kernels *t, const void *w, const void *b, size_t n_in, size_t n_out)
{
    if (n_in > UINT32_MAX || !t->all_finite(w, n_in * n_out))
        return 0;
    for (size_t j = 0; j < n_out; j++) {
        const double bias = t->dtype == FNN_F32 ? ((const float *)b)[j] : ((const double *)b)[j];
        if (bias == 0 && signbit(bias))
            return 0;
    }
    return 1;
}

/* --- the run --- */
static void narrow_layer(const fnn_kernels *t, const fnn_layer *l, void *y, const void *x, size_t rows)
{
    if (t->half && l->n_in <= SHORT_K && l->n_out > 1) /* a row fills no more than half of a wide vector */
        t = t->half;
    t->dot_rows(y, x, l->n_in, l->w, l->ld, rows, l->n_out, l->n_in, l->b);
}

static void norm_layer(const fnn_kernels *t, const fnn_layer *l, void *y, const void *x, size_t rows)
{
    const size_t n = l->n_out;
    if (l->kind == FNN_LAYER_NORM_ROWS)
        t->layer_norm_fwd(y, NULL, x, l->w, l->b, l->epsilon, rows, n);
    else
        t->normalize_columns(y, x, l->mean, l->variance, l->w, l->b, l->epsilon, n, rows, n);
}

static void one_row(const fnn_kernels *t, const fnn_layer *l, void *y, const void *x, uint32_t *places)
{
    size_t count = l->n_in;
    switch (l->kind) {
    case FNN_LAYER_DENSE:
        if (l->skips)
            count = t->nonzeros(places, x, l->n_in);
        if (count + l->n_in / SKIP_SHARE >= l->n_in)
            places = NULL;
        t->dense_row(y, x, l->w, l->b, l->n_out, l->n_in, l->act == FNN_ACT_relu, places, count);
        if (l->act != FNN_ACT_relu && l->act != FNN_ACT_linear)
            t->act_fwd[l->act](y, y, 1, l->n_out, l->alpha);
        break;
    case FNN_LAYER_NARROW:
        narrow_layer(t, l, y, x, 1);
        if (l->act != FNN_ACT_linear)
            t->act_fwd[l->act](y, y, 1, l->n_out, l->alpha);
        break;
    case FNN_LAYER_MAP: t->act_fwd[l->act](y, x, 1, l->n_out, l->alpha); break;
    case FNN_LAYER_AFFINE: t->affine(y, x, l->n_out, l->scale, l->shift); break;
    case FNN_LAYER_NORM_COLUMNS:
    case FNN_LAYER_NORM_ROWS: norm_layer(t, l, y, x, 1); break;
    }
}

static void some_rows(const fnn_kernels *t, const fnn_layer *l, void *y, const void *x, size_t rows, void *ws)
{
    const fnn_epilogue then = {FNN_EPI_FORWARD, l->act, l->alpha, y, NULL, NULL, 0};
    switch (l->kind) {
    case FNN_LAYER_DENSE:
        fnn_gemm_panels(t, y, x, l->w, rows, l->n_out, l->n_in, l->b, l->act == FNN_ACT_linear ? NULL : &then, ws);
        break;
    case FNN_LAYER_NARROW:
        narrow_layer(t, l, y, x, rows);
        if (l->act != FNN_ACT_linear)
            t->act_fwd[l->act](y, y, rows, l->n_out, l->alpha);
        break;
    case FNN_LAYER_MAP: t->act_fwd[l->act](y, x, rows, l->n_out, l->alpha); break;
    case FNN_LAYER_AFFINE: t->affine(y, x, rows * l->n_out, l->scale, l->shift); break;
    case FNN_LAYER_NORM_COLUMNS:
    case FNN_LAYER_NORM_ROWS: norm_layer(t, l, y, x, rows); break;
    }
}

/* the scratch of a block of rows: two activations in turn, a copy of the rows where they are not read as they lie, and
 * what the products need, of one row the places of what is not 0; bytes, from multiples of a cache line on */
typedef struct {
    size_t side, rows_at, ws_at, bytes;
} scratch;

static scratch scratch_of(const fnn_net *net, size_t rows, int copied)
{
    const size_t size = net->t->itemsize;
    scratch s;
    size_t deepest = net->n_in > net->widest ? net->n_in : net->widest;
    s.side = round_up(rows * net->widest * size, 64);
    s.rows_at = 2 * s.side;
    s.ws_at = s.rows_at + (copied ? round_up(rows * net->n_in * size, 64) : 0);
    if (rows > 1)
        s.bytes = s.ws_at + fnn_panels_workspace(net->t, rows, deepest);
    else
        s.bytes = s.ws_at + (net->longest ? (net->longest + FNN_LIST_SLACK) * sizeof(uint32_t) : 0);
    return s;
}

/* y = all layers of the dense rows x */
static void run_layers(const fnn_net *net, void *y, const void *x, size_t rows, char *room, const scratch *s)
{
    const fnn_kernels *t = net->t;
    for (size_t i = 0; i < net->count; i++) {
        void *to = i + 1 == net->count ? y : room + (i & 1) * s->side;
        if (rows == 1)
            one_row(t, &net->layers[i], to, x, (uint32_t *)(void *)(room + s->ws_at));
        else
            some_rows(t, &net->layers[i], to, x, rows, room + s->ws_at);
        x = to;
    }
}

int fnn_net_row(const fnn_net *net, void *y, const void *x)
{
    _Alignas(64) char local[STACK_BYTES];
    const scratch s = scratch_of(net, 1, 0);
    char *room = s.bytes <= STACK_BYTES ? local : fnn_workspace(s.bytes);
    if (!room)
        return 1;
    fnn_fp_state found = fnn_fp_enter();
    run_layers(net, y, x, 1, room, &s);
    fnn_fp_leave(found);
    return 0;
}

/* rows [first, first + rows): brought in, then through the layers */
static int run_block(const fnn_net *net, char *y, const fnn_rows *x, size_t first, size_t rows)
{
    const fnn_kernels *t = net->t;
    const int copied = !x->dense || net->scaled;
    const scratch s = scratch_of(net, rows, copied);
    const char *at = (const char *)x->data + (ptrdiff_t)first * x->row_bytes;
    char *room = fnn_workspace(s.bytes), *loaded;
    if (!room)
        return 1;
    y += first * net->n_out * t->itemsize;
    loaded = net->count ? room + s.rows_at : y; /* no layers: the rows themselves are the output */
    if (!x->dense) {
        t->gather(loaded, at, x->source, NULL, rows, net->n_in, x->row_bytes, x->col_bytes);
        at = loaded;
    }
    if (net->scaled) {
        t->affine(loaded, at, rows * net->n_in, net->scale, net->shift);
        at = loaded;
    }
    if (net->count)
        run_layers(net, y, at, rows, room, &s);
    else if (!copied)
        memcpy(y, at, rows * net->n_in * t->itemsize);
    return 0;
}

typedef struct {
    const fnn_net *net;
    char *y;
    const fnn_rows *x;
    size_t rows, block;
    atomic_int failed;
} shared_run;

static void run_piece(void *context, size_t piece)
{
    shared_run *r = context;
    const size_t first = piece * r->block;
    if (run_block(r->net, r->y, r->x, first, min(r->block, r->rows - first)))
        atomic_store(&r->failed, 1);
}

/* equal blocks, as many rows as stay in cache */
static size_t block_rows(const fnn_net *net, size_t rows)
{
    const size_t widest = max(net->widest, net->scaled ? net->n_in : 1);
    size_t most = max(BLOCK_BYTES / (widest * net->t->itemsize), LEAST_ROWS);
    if (fnn_threads() > 1 && (double)rows * (double)net->work >= FNN_SHARED_WORK) {
        const size_t piece = round_up(FNN_PIECE_WORK / net->work + 1, net->t->mr);
        const size_t share = (rows + (size_t)fnn_threads() - 1) / (size_t)fnn_threads();
        most = min(most, max(piece, share));
    }
    const size_t blocks = (rows + most - 1) / most;
    return round_up((rows + blocks - 1) / blocks, net->t->mr);
}

int fnn_net_run(const fnn_net *net, void *y, const fnn_rows *x, size_t rows)
{
    shared_run r = {net, y, x, rows, rows ? block_rows(net, rows) : 1, 0};
    const size_t blocks = (rows + r.block - 1) / r.block;
    fnn_fp_state found = fnn_fp_enter();
    if (fnn_threads() > 1 && (double)rows * (double)net->work >= FNN_SHARED_WORK)
        fnn_parallel(blocks, run_piece, &r);
    else
        for (size_t i = 0; i < blocks; i++)
            run_piece(&r, i);
    fnn_fp_leave(found);
    return atomic_load(&r.failed);
}
