/* fnn.h - the one header Cython sees: ids, the kernel table, the drivers and their contracts.
 *
 * Dimensions   rows = batch rows; cols = features of a row; m, n, k = rows, columns and inner size of a product.
 * Arguments    outputs, inputs, sizes, scalars. dx is the gradient of the loss by x. Outputs are overwritten unless a
 *              name ends in _acc. Sizes and strides are in elements unless a name says bytes.
 * Arrays       void * to float or double as the table's dtype says; row-major; any alignment; outputs may not overlap
 *              inputs unless "in place" is said.
 * Status       kernels cannot fail. Nothing here prints, aborts or calls Python; only workspace.c allocates, only threads.c
 *              locks.
 * Rounding     kernels expect round-to-nearest with gradual underflow: callers bracket them with fnn_fp_enter/leave.
 */
#ifndef FNN_H
#define FNN_H

#include <stddef.h>
#include <stdint.h>

#include "registry.h"

/* what the results, the files and the sizes rest on; here rather than in wrong numbers */
#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__)
#error "fastnn promises its bits, and NaN: build it without -ffast-math and -ffinite-math-only"
#endif
#if defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ != 0 && __FLT_EVAL_METHOD__ != 16
#error "fastnn needs float and double computed as such (on x86: -msse2 -mfpmath=sse)"
#endif
#if SIZE_MAX < UINT64_MAX
#error "fastnn needs a 64-bit processor; models run on smaller ones as C (Model.export_c)"
#endif
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "fastnn needs a little-endian processor: files and random streams are laid out for one"
#endif

#define FNN_EXPORT __attribute__((visibility("default")))

typedef enum { FNN_F32, FNN_F64, FNN_DTYPE_COUNT } fnn_dtype;

#define FNN_ENUM_A(name, shape, saves, alpha) FNN_ACT_##name,
#define FNN_ENUM_L(name, targets, parameter) FNN_LOSS_##name,
#define FNN_ENUM_O(name, states, parameters) FNN_OPT_##name,
#define FNN_ENUM_R(name, parameters) FNN_RATE_##name,
#define FNN_ENUM_M(name) FNN_METRIC_##name,
#define FNN_ENUM_S(name, type) FNN_SRC_##name,
#define FNN_ENUM_I(name) FNN_ISA_##name,
typedef enum { FNN_ACTIVATIONS(FNN_ENUM_A) FNN_ACT_COUNT } fnn_act_id;
typedef enum { FNN_LOSSES(FNN_ENUM_L) FNN_LOSS_COUNT } fnn_loss_id;
typedef enum { FNN_OPTIMIZERS(FNN_ENUM_O) FNN_OPT_COUNT } fnn_opt_id;
typedef enum { FNN_SCHEDULES(FNN_ENUM_R) FNN_RATE_COUNT } fnn_schedule_id;
typedef enum { FNN_METRICS(FNN_ENUM_M) FNN_METRIC_COUNT } fnn_metric_id;
typedef enum { FNN_SOURCES(FNN_ENUM_S) FNN_SRC_COUNT } fnn_source_id;
typedef enum { FNN_ISAS(FNN_ENUM_I) FNN_ISA_COUNT } fnn_isa_id;

/* y = f(x), (rows, cols) each; in place allowed (y == x). alpha: the parameter, of those that have one. */
typedef void fnn_act_fwd(void *y, const void *x, size_t rows, size_t cols, double alpha);
/* dx = dy * f'(x), from what the registry says is saved: the input x or the output y. In place allowed (dx == dy). */
typedef void fnn_act_bwd(void *dx, const void *dy, const void *saved, size_t rows, size_t cols, double alpha);

/* losses[i] = the loss of row i. p: (rows, cols) predictions. The target is labels[rows] (C losses) or, where labels is
 * NULL, the dense t: (rows, cols). Labels are trusted to lie in 0 .. cols-1. parameter: of those that have one. */
typedef void fnn_loss_fwd(void *losses, const void *p, const void *t, const int32_t *labels, size_t rows, size_t cols,
                          double parameter);
/* dp = scale * d(losses[i]) / d(p[i]) for every row i; scale is 1/rows for a mean over the batch. */
typedef void fnn_loss_bwd(void *dp, const void *p, const void *t, const int32_t *labels, size_t rows, size_t cols,
                          double scale, double parameter);

/* one update of n parameters w by their gradients g. s: the arrays of state, as many as the registry says; h: the
 * constants of the step, from fnn_opt_constants. State below the smallest normal number becomes +0. */
#define FNN_MOST_STATES 3
#define FNN_OPT_CONSTANTS 8
typedef void fnn_opt_step(void *w, void *const *s, const void *g, size_t n, const double *h);

/* what gemm_block does to its elements once their chains are whole, in this order; all but the sums in the tile */
typedef struct {
    const void *bias; /* n values added, or NULL */
    int relu;         /* c = max(c, 0), as act_fwd of relu */
    const void *gate; /* c = c * (gate > 0), as act_bwd of relu; where c lies, rows of ldc too; or NULL */
    void *sums;       /* n values: the column_sums of what c is now; or NULL */
    int sums_go_on;   /* from what sums holds, not from 0 */
} fnn_finish;

/* how many of the rows (categorical) or of the rows * cols elements are right. limit: the threshold of yes for p (binary; t's
 * is 0.5), or how near p must be to t (regression) */
typedef uint64_t fnn_metric_count(const void *p, const void *t, const int32_t *labels, size_t rows, size_t cols,
                                  double limit);

/* K(result, name, arguments): gives the table member and its entry.
 *
 * gemm_block: c (+)= a.b over one block of k, each element one chain of FMAs, k ascending. a: element (i, p) at
 * i*a_rs + p*a_cs, one of the strides 1. b, where ldb > 0: rows of ldb; the last vector of a row may be read whole
 * (up to lanes - 1 elements past n), so n % lanes == 0 or the memory is there. ldb == 0: panels from pack_rows or
 * pack_columns.
 * accumulate: chains start from c, else from 0. finish: NULL where the chain goes on in a later call. */
#define FNN_KERNELS(K)                                                                                                   \
    K(void, gemm_block,                                                                                                  \
      (void *c, size_t ldc, const void *a, size_t a_rs, size_t a_cs, const void *b, size_t ldb, size_t m, size_t n,      \
       size_t k, const fnn_finish *finish, int accumulate))                                                              \
    /* panels of b for gemm_block, zero-padded to whole vectors, from rows: element (p, j) at p*ld + j */                \
    K(void, pack_rows, (void *panels, const void *b, size_t ld, size_t k, size_t n))                                     \
    /* the same from columns: element (p, j) at j*ld + p */                                                              \
    K(void, pack_columns, (void *panels, const void *b, size_t ld, size_t k, size_t n))                                  \
    /* c = a.bt' (+ bias), n < FNN_NARROW, by 16 chains along k. a: (m, k), rows lda; bt: (n, k), rows ldb; c dense */   \
    K(void, dot_rows,                                                                                                    \
      (void *c, const void *a, size_t lda, const void *bt, size_t ldb, size_t m, size_t n, size_t k,                     \
       const void *bias))                                                                                                \
    /* y = x.w + bias, then ReLU where asked: one row, w in panels (below), n >= FNN_NARROW; bias: whole vectors */      \
    /* at: those of the k products, ascending, that are added up, count of them; NULL: all */                            \
    K(void, dense_row,                                                                                                   \
      (void *y, const void *x, const void *panels, const void *bias, size_t n, size_t k, int relu, const uint32_t *at,   \
       size_t count))                                                                                                    \
    /* at = the places where x is not 0 (NaN is not), ascending; how many. Room for n + FNN_LIST_SLACK of them */        \
    K(size_t, nonzeros, (uint32_t *at, const void *x, size_t n))                                                         \
    /* b = a': (m, n) with rows of lda to (n, m) with rows of ldb */                                                     \
    K(void, transpose, (void *b, size_t ldb, const void *a, size_t lda, size_t m, size_t n))                             \
    /* sums[j] = x[0][j] + x[1][j] + ..., rows ascending, from 0 or, to go on, from what sums holds */                   \
    K(void, column_sums, (void *sums, const void *x, size_t rows, size_t cols, int go_on))                               \
    /* dz = (p - target) * scale, the gradient of softmax + cross-entropy (and sigmoid + binary) by its logits */        \
    K(void, residual,                                                                                                    \
      (void *dz, const void *p, const void *t, const int32_t *labels, size_t rows, size_t cols, double scale))           \
    /* t: (rows, cols) = high at each row's label, low elsewhere */                                                      \
    K(void, one_hot, (void *t, const int32_t *labels, size_t rows, size_t cols, double low, double high))                \
    /* y = x with each row times its weight w[row]; in place allowed */                                                  \
    K(void, scale_rows, (void *y, const void *x, const void *w, size_t rows, size_t cols))                               \
    /* l1 * sum |w| + l2 * sum w^2 */                                                                                    \
    K(double, penalty, (const void *w, size_t n, double l1, double l2))                                                  \
    /* dw += l1 * (w < 0 ? -1 : 1) + 2 * l2 * w */                                                                       \
    K(void, penalty_grad_acc, (void *dw, const void *w, size_t n, double l1, double l2))                                 \
    /* y = x * scale + shift, one FMA; in place allowed */                                                               \
    K(void, affine, (void *y, const void *x, size_t n, double scale, double shift))                                      \
    /* x = x where |x| <= limit, else limit with its sign; NaN stays; in place */                                        \
    K(void, clip, (void *x, size_t n, double limit))                                                                     \
    /* y = a + b; in place allowed */                                                                                    \
    K(void, add, (void *y, const void *a, const void *b, size_t n))                                                      \
    /* y = a * b; in place allowed */                                                                                    \
    K(void, multiply, (void *y, const void *a, const void *b, size_t n))                                                 \
    /* y = x * mask, in place allowed; mask[i] = 0 with probability threshold / 2^16, else keep: */                      \
    /* elements first .. first + n - 1 of the stream (key, stream, step) */                                              \
    K(void, dropout,                                                                                                     \
      (void *y, void *mask, const void *x, size_t n, uint64_t first, uint64_t key, uint32_t stream, uint64_t step,       \
       uint32_t threshold, double keep))                                                                                 \
    /* y = x mask + shift, in place allowed; masks as dropout's; one shift where kept, another where dropped */          \
    K(void, alpha_dropout,                                                                                               \
      (void *y, void *mask, const void *x, size_t n, uint64_t first, uint64_t key, uint32_t stream, uint64_t step,       \
       uint32_t threshold, double keep, double shift_kept, double shift_dropped))                                        \
    /* y = x + stddev z with normal numbers z or, where mask is not NULL, mask = 1 + stddev z and y = x * mask; */       \
    /* in place allowed; elements first .. first + n - 1 of the stream (key, stream, step) */                            \
    K(void, gaussian,                                                                                                    \
      (void *y, void *mask, const void *x, size_t n, uint64_t first, uint64_t key, uint32_t stream, uint64_t step,       \
       double stddev))                                                                                                   \
    /* mean and biased variance of each column of at least one row; rows of ld */                                        \
    K(void, column_moments, (void *mean, void *variance, const void *x, size_t ld, size_t rows, size_t cols))            \
    /* y = (x - mean) gamma / sqrt(variance + epsilon) + beta by columns, rows of ld; in place allowed; divides */       \
    /* by 1 where variance + epsilon is 0; mean, gamma, beta may be NULL for 0, 1, 0 */                                  \
    K(void, normalize_columns,                                                                                           \
      (void *y, const void *x, const void *mean, const void *variance, const void *gamma, const void *beta,              \
       double epsilon, size_t ld, size_t rows, size_t cols))                                                             \
    /* the gradients where mean and variance are those of x itself, rows of ld; in place allowed (dx == dy); */          \
    /* dx, dgamma, dbeta may be NULL where not wanted, gamma for 1 */                                                    \
    K(void, batch_norm_bwd,                                                                                              \
      (void *dx, void *dgamma, void *dbeta, const void *dy, const void *x, const void *mean, const void *variance,       \
       const void *gamma, double epsilon, size_t ld, size_t rows, size_t cols))                                          \
    /* normalize_columns by rows, each by its own mean and biased variance; in place allowed; */                         \
    /* stats: (rows, 2), each row's mean and 1 / sqrt(variance + epsilon), or NULL */                                    \
    K(void, layer_norm_fwd,                                                                                              \
      (void *y, void *stats, const void *x, const void *gamma, const void *beta, double epsilon, size_t rows,            \
       size_t cols))                                                                                                     \
    /* its gradients, as batch_norm_bwd's; dgamma and dbeta go on from what they hold, or start from 0 */                \
    K(void, layer_norm_bwd,                                                                                              \
      (void *dx, void *dgamma, void *dbeta, const void *dy, const void *x, const void *stats, const void *gamma,         \
       size_t rows, size_t cols, int go_on))                                                                             \
    /* mask[i] = above where a uniform number exceeds limit / 2^53, else below; y = x * mask, x and y apart. state: */   \
    /* MT19937 as NumPy keeps it, 624 words and the place among them; it moves on by two words an element */             \
    K(void, twister_dropout,                                                                                             \
      (void *y, void *mask, const void *x, size_t n, uint32_t *state, uint64_t limit, double below, double above))       \
    /* y[i][j] = (real)x[index[i]][j]: row r of x at r*row_bytes, element j at j*col_bytes; index NULL: all */           \
    K(void, gather,                                                                                                      \
      (void *y, const void *x, fnn_source_id source, const uint32_t *index, size_t rows, size_t cols,                    \
       ptrdiff_t row_bytes, ptrdiff_t col_bytes))                                                                        \
    /* start + x[0] + x[1] + ... in double, ascending */                                                                 \
    K(double, sum, (double start, const void *x, size_t n))                                                              \
    /* 1 where every one of n values is finite */                                                                        \
    K(int, all_finite, (const void *x, size_t n))                                                                        \
    /* best[i] = the number of the first largest of row i; NaN is never larger */                                        \
    K(void, argmax_rows, (int32_t *best, const void *x, size_t rows, size_t cols))                                       \
    /* in how many rows the label is among the k first by falling score, equals by rising number */                      \
    K(uint64_t, top_k_count, (const void *p, const int32_t *labels, size_t rows, size_t cols, size_t k))                 \
    /* counts[3 j ..] += of column j: rows where p and t are above their limits, where p is, where t is */               \
    K(void, yes_counts_acc,                                                                                              \
      (int64_t *counts, const void *p, const void *t, size_t rows, size_t cols, double p_above, double t_above))         \
    /* sums (4, cols) += of each column, with d = p - t, s = t - its shift: d^2, |d|, s, s^2; rows ascending */          \
    K(void, error_sums_acc,                                                                                              \
      (double *sums, const double *shift, const void *p, const void *t, size_t rows, size_t cols))                       \
    /* e^x, ln x, erf x: the vector functions by themselves, in place allowed */                                         \
    K(void, map_exp, (void *y, const void *x, size_t n))                                                                 \
    K(void, map_log, (void *y, const void *x, size_t n))                                                                 \
    K(void, map_erf, (void *y, const void *x, size_t n))                                                                 \
    /* a = momentum a + (1 - momentum) w, a running average; what sinks below the smallest normal number becomes +0 */   \
    K(void, average, (void *a, const void *w, size_t n, double momentum))                                                \
    /* y = x + a d, one FMA; y may be x or d */                                                                          \
    K(void, add_scaled, (void *y, const void *x, const void *d, size_t n, double a))                                     \
    /* a.b by 16 chains */                                                                                               \
    K(double, inner_product, (const void *a, const void *b, size_t n))                                                   \
    /* the largest |x[i]|, NaN aside; 0 where there is none */                                                           \
    K(double, largest, (const void *x, size_t n))                                                                        \
    /* columns (rows) of w: (rows, cols) scaled so that each norm lies in [low, high]; where it does, or is 0, no bit */ \
    /* changes. Columns are summed rows ascending, rows by 16 chains. In place */                                        \
    K(void, bound_columns, (void *w, size_t rows, size_t cols, double low, double high))                                 \
    K(void, bound_rows, (void *w, size_t rows, size_t cols, double low, double high))                                    \
    /* repeat x repeats of register-only FMAs; returns the floating-point operations done (the measured peak) */         \
    K(double, fma_peak, (size_t repeats))

typedef struct fnn_kernels {
    const char *isa;
    fnn_dtype dtype;
    size_t itemsize;                /* bytes of a real */
    size_t lanes;                   /* reals in a vector */
    const struct fnn_kernels *half; /* a table of half the lanes and the same bits, for a few columns; or NULL */
    size_t mr, nr;                  /* rows and columns of the full register tile */
    fnn_act_fwd *act_fwd[FNN_ACT_COUNT];
    fnn_act_bwd *act_bwd[FNN_ACT_COUNT];
    fnn_loss_fwd *loss_fwd[FNN_LOSS_COUNT];
    fnn_loss_bwd *loss_bwd[FNN_LOSS_COUNT];
    fnn_opt_step *opt_step[FNN_OPT_COUNT];
    fnn_metric_count *metric_count[FNN_METRIC_COUNT];
#define FNN_MEMBER(result, name, arguments) result(*name) arguments;
    FNN_KERNELS(FNN_MEMBER)
#undef FNN_MEMBER
} fnn_kernels;

/* --- names and properties of what is registered (dispatch.c) --- */
extern const char *const fnn_act_names[FNN_ACT_COUNT];
extern const char fnn_act_saves[FNN_ACT_COUNT];   /* 'X' or 'Y' */
extern const char fnn_act_shape[FNN_ACT_COUNT];   /* 'E', 'P' or 'R' */
extern const double fnn_act_alpha[FNN_ACT_COUNT]; /* of 'P' */
extern const char *const fnn_loss_names[FNN_LOSS_COUNT];
extern const char fnn_loss_targets[FNN_LOSS_COUNT]; /* 'C' or 'D' */
extern const double fnn_loss_parameter[FNN_LOSS_COUNT];
extern const char *const fnn_opt_names[FNN_OPT_COUNT];
extern const int fnn_opt_states[FNN_OPT_COUNT];
extern const int fnn_opt_parameters[FNN_OPT_COUNT];
extern const char *const fnn_schedule_names[FNN_RATE_COUNT];
extern const int fnn_schedule_parameters[FNN_RATE_COUNT];
extern const char *const fnn_metric_names[FNN_METRIC_COUNT];
extern const char *const fnn_source_names[FNN_SRC_COUNT];
extern const char *const fnn_isa_names[FNN_ISA_COUNT];

/* --- dispatch.c --- */
/* 1 where this processor and its operating system run the instruction set */
int fnn_isa_supported(fnn_isa_id isa);
/* the features the instruction set needs, and those of them that are missing here, as words for a person */
const char *fnn_isa_needs(fnn_isa_id isa);
/* the best supported instruction set: the last in the list that is */
fnn_isa_id fnn_isa_best(void);
/* the table of an instruction set, whether supported or not: calling an unsupported one is the caller's crash */
const fnn_kernels *fnn_table(fnn_isa_id isa, fnn_dtype dtype);
/* the brand string of the processor; at least 64 bytes */
void fnn_cpu_name(char *name);

/* --- workspace.c: the only file that allocates --- */
/* this thread's scratch of at least the given bytes, 64-byte aligned; contents undefined; valid until the next call
 * from this thread; freed when the thread ends. NULL where memory is short. */
void *fnn_workspace(size_t bytes);

/* --- threads.c: the only file that knows threads --- */
typedef void fnn_task(void *context, size_t task);
/* run(context, i) for i in 0 .. tasks-1, side by side where threads are free, and return when all are done. Each task
 * owns its part of the output. */
void fnn_parallel(size_t tasks, fnn_task *run, void *context);
/* multiply-adds from which a region pays, about 20 us, and of its pieces at least */
#define FNN_SHARED_WORK 1000000
#define FNN_PIECE_WORK (FNN_SHARED_WORK / 4)
/* how many threads a call may use, itself included (1 at the start); setting it waits for a region that runs. Visible
 * outside the library, for threadpoolctl. */
FNN_EXPORT int fnn_threads(void);
FNN_EXPORT void fnn_set_threads(int count);
/* whether calls of the calling thread stay on it, whatever fnn_threads says: for threads that share out whole models */
void fnn_stay_serial(int on);
/* threads of the pool that run now: 0 before the first region and in a forked child */
int fnn_threads_started(void);
/* whether all threads of the pool would take part in a region at once, without being woken; a guess, for cutting work */
int fnn_helpers_awake(void);

/* --- optimizers.c --- */
/* h: FNN_OPT_CONSTANTS numbers, the same for every parameter of a step. lr: its learning rate; p: the optimizer's
 * parameters, in the order kernels/optimizers.h gives; t: the step's number, from 1 */
void fnn_opt_constants(fnn_opt_id opt, double *h, double lr, const double *p, uint64_t t);

/* --- passes.c: passes over arrays, shared out where they are long --- */
/* an optimizer's step of n parameters */
void fnn_opt_step_shared(const fnn_kernels *t, fnn_opt_id opt, void *w, void *const *s, const void *g, size_t n,
                         const double *h);
void fnn_average_shared(const fnn_kernels *t, void *a, const void *w, size_t n, double momentum);
void fnn_gather_shared(const fnn_kernels *t, void *y, const void *x, fnn_source_id source, const uint32_t *index,
                       size_t rows, size_t cols, ptrdiff_t row_bytes, ptrdiff_t col_bytes);

/* --- norm.c: batch normalization in training --- */
/* mean and variance = column_moments of x, y = normalize_columns by them; all dense */
void fnn_batch_norm_fwd(const fnn_kernels *t, void *y, void *mean, void *variance, const void *x, const void *gamma,
                        const void *beta, double epsilon, size_t rows, size_t cols);
/* batch_norm_bwd, dense */
void fnn_batch_norm_bwd(const fnn_kernels *t, void *dx, void *dgamma, void *dbeta, const void *dy, const void *x,
                        void *mean, void *variance, const void *gamma, double epsilon, size_t rows, size_t cols);

/* --- schedules.c --- */
/* the learning rate of step t = 0, 1, ...; p: the schedule's parameters, in the order schedules.c gives */
double fnn_schedule_rate(fnn_schedule_id schedule, const double *p, uint64_t t);

/* --- gemm.c --- */
/* how the chains of a product run (docs/numerics.md, rules 1 to 3) */
typedef enum {
    FNN_BY_WIDTH,   /* n < FNN_NARROW: 16 interleaved chains; else one chain, k ascending */
    FNN_SEQUENTIAL, /* one chain, k ascending, whatever the width: sums over the batch */
    FNN_CONTINUED   /* the same, and the chain goes on from c: further rows of the batch */
} fnn_rule;
#define FNN_NARROW 8

/* what is done to each strip of finished rows while it is in cache */
typedef enum { FNN_EPI_NONE, FNN_EPI_FORWARD, FNN_EPI_BACKWARD } fnn_epilogue_kind;
typedef struct {
    fnn_epilogue_kind kind;
    fnn_act_id act;
    double alpha;      /* the activation's parameter */
    void *y;           /* FORWARD: y = f(c), rows of n; may be c itself. BACKWARD: not used */
    const void *saved; /* BACKWARD: c = c * f'(saved), rows of n */
    void *sums;        /* n values: the column_sums of what c is then, all rows ascending; or NULL */
    int sums_go_on;    /* from what sums holds, not from 0 */
} fnn_epilogue;

/* c = a.b (+ bias), then the epilogue. c: (m, n) dense; a: (m, k) with strides (a_rs, a_cs), b: (k, n) with strides
 * (b_rs, b_cs), one stride of each 1; bias NULL or n values; epilogue NULL or as above. k == 0 gives bias or 0.
 * ws: scratch of fnn_gemm_workspace bytes. */
void fnn_gemm(const fnn_kernels *t, void *c, const void *a, size_t a_rs, size_t a_cs, const void *b, size_t b_rs,
              size_t b_cs, size_t m, size_t n, size_t k, const void *bias, fnn_rule rule, const fnn_epilogue *epilogue,
              void *ws);
/* scratch bytes that any product with sizes up to these needs */
size_t fnn_gemm_workspace(const fnn_kernels *t, size_t m, size_t n, size_t k);

/* Panels that are made once for many products (session.c): b's columns, FNN_PANEL vectors at most to a panel, each panel k
 * rows long, the last padded with zeros to whole vectors. The first of so many vectors that are left has: */
#define FNN_PANEL 8
#define FNN_LIST_SLACK 16 /* places beyond the last that nonzeros may write */
static inline size_t fnn_panel_vectors(size_t left)
{
    return left >= 2 * FNN_PANEL ? FNN_PANEL : left > FNN_PANEL ? (left + 3) / 4 * 2 : left; /* 8 + 1 go as 6 + 3 */
}
static inline size_t fnn_panel_columns(const fnn_kernels *t, size_t left)
{
    return fnn_panel_vectors((left + t->lanes - 1) / t->lanes) * t->lanes;
}
/* fnn_gemm for a dense a (m, k) and b in such panels, n >= FNN_NARROW, on the calling thread alone. ws: scratch of
 * fnn_panels_workspace bytes. */
void fnn_gemm_panels(const fnn_kernels *t, void *c, const void *a, const void *panels, size_t m, size_t n, size_t k,
                     const void *bias, const fnn_epilogue *epilogue, void *ws);
size_t fnn_panels_workspace(const fnn_kernels *t, size_t m, size_t k);

/* --- random.c: Philox4x32-10 (Salmon et al. 2011), one stream for each (seed, stream, step) --- */
/* u[i] = uniform in [0, 1) with 53 bits, element first + i of the stream */
void fnn_uniform(double *u, size_t n, uint64_t first, uint64_t seed, uint32_t stream, uint64_t step);
/* z[i] = standard normal (Box and Muller 1958), elements 0 .. n-1 of the stream */
void fnn_normal(double *z, size_t n, uint64_t seed, uint32_t stream, uint64_t step);
/* index = a random permutation of 0 .. n-1 (Fisher and Yates); n < 2^32 */
void fnn_permutation(uint32_t *index, size_t n, uint64_t seed, uint32_t stream, uint64_t step);

#endif
