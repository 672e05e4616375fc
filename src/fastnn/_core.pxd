# _core.pxd - what _core hands to the other Cython modules by cimport. csrc/ is linked into _core alone: types come from
# fnn.h, functions only from here.
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

cdef extern from "fpstate.h" nogil:
    ctypedef unsigned long fnn_fp_state
    fnn_fp_state fnn_fp_enter() noexcept
    void fnn_fp_leave(fnn_fp_state found) noexcept

cdef extern from "fnn.h" nogil:
    enum: FNN_MOST_STATES
    enum: FNN_OPT_CONSTANTS
    enum: FNN_F32
    enum: FNN_F64
    enum: FNN_ACT_linear
    enum: FNN_ACT_relu
    enum: FNN_BY_WIDTH
    enum: FNN_SEQUENTIAL
    enum: FNN_CONTINUED
    enum: FNN_EPI_NONE
    enum: FNN_EPI_FORWARD
    enum: FNN_EPI_BACKWARD
    ctypedef int fnn_act_id
    ctypedef int fnn_source_id
    ctypedef int fnn_rule
    ctypedef struct fnn_epilogue:
        int kind
        int act
        double alpha
        void *y
        const void *saved
        void *sums
        bint sums_go_on

    ctypedef struct fnn_kernels:
        const char *isa
        int dtype
        size_t itemsize
        size_t lanes
        size_t mr
        size_t nr
        void (**act_fwd)(void *y, const void *x, size_t rows, size_t cols, double alpha) noexcept nogil
        void (**act_bwd)(void *dx, const void *dy, const void *saved, size_t rows, size_t cols,
                         double alpha) noexcept nogil
        void (**loss_fwd)(void *losses, const void *p, const void *t, const int32_t *labels, size_t rows,
                          size_t cols, double parameter) noexcept nogil
        void (**loss_bwd)(void *dp, const void *p, const void *t, const int32_t *labels, size_t rows, size_t cols,
                          double scale, double parameter) noexcept nogil
        void (**opt_step)(void *w, void *const *s, const void *g, size_t n, const double *h) noexcept nogil
        uint64_t (**metric_count)(const void *p, const void *t, const int32_t *labels, size_t rows, size_t cols,
                                  double limit) noexcept nogil
        void (*column_sums)(void *sums, const void *x, size_t rows, size_t cols, int go_on) noexcept nogil
        void (*residual)(void *dz, const void *p, const void *t, const int32_t *labels, size_t rows, size_t cols,
                         double scale) noexcept nogil
        void (*one_hot)(void *t, const int32_t *labels, size_t rows, size_t cols, double low,
                        double high) noexcept nogil
        void (*scale_rows)(void *y, const void *x, const void *w, size_t rows, size_t cols) noexcept nogil
        double (*penalty)(const void *w, size_t n, double l1, double l2) noexcept nogil
        void (*penalty_grad_acc)(void *dw, const void *w, size_t n, double l1, double l2) noexcept nogil
        void (*affine)(void *y, const void *x, size_t n, double scale, double shift) noexcept nogil
        void (*clip)(void *x, size_t n, double limit) noexcept nogil
        void (*add)(void *y, const void *a, const void *b, size_t n) noexcept nogil
        void (*multiply)(void *y, const void *a, const void *b, size_t n) noexcept nogil
        void (*dropout)(void *y, void *mask, const void *x, size_t n, uint64_t first, uint64_t key, uint32_t stream,
                        uint64_t step, uint32_t threshold, double keep) noexcept nogil
        void (*alpha_dropout)(void *y, void *mask, const void *x, size_t n, uint64_t first, uint64_t key,
                              uint32_t stream, uint64_t step, uint32_t threshold, double keep, double shift_kept,
                              double shift_dropped) noexcept nogil
        void (*gaussian)(void *y, void *mask, const void *x, size_t n, uint64_t first, uint64_t key, uint32_t stream,
                         uint64_t step, double stddev) noexcept nogil
        void (*column_moments)(void *mean, void *variance, const void *x, size_t ld, size_t rows,
                               size_t cols) noexcept nogil
        void (*normalize_columns)(void *y, const void *x, const void *mean, const void *variance, const void *gamma,
                                  const void *beta, double epsilon, size_t ld, size_t rows, size_t cols) noexcept nogil
        void (*layer_norm_fwd)(void *y, void *stats, const void *x, const void *gamma, const void *beta,
                               double epsilon, size_t rows, size_t cols) noexcept nogil
        void (*layer_norm_bwd)(void *dx, void *dgamma, void *dbeta, const void *dy, const void *x, const void *stats,
                               const void *gamma, size_t rows, size_t cols, int go_on) noexcept nogil
        void (*twister_dropout)(void *y, void *mask, const void *x, size_t n, uint32_t *state, uint64_t limit,
                                double below, double above) noexcept nogil
        void (*gather)(void *y, const void *x, fnn_source_id source, const uint32_t *index, size_t rows, size_t cols,
                       Py_ssize_t row_bytes, Py_ssize_t col_bytes) noexcept nogil
        double (*sum)(double start, const void *x, size_t n) noexcept nogil
        int (*all_finite)(const void *x, size_t n) noexcept nogil
        void (*argmax_rows)(int32_t *best, const void *x, size_t rows, size_t cols) noexcept nogil
        uint64_t (*top_k_count)(const void *p, const int32_t *labels, size_t rows, size_t cols,
                                size_t k) noexcept nogil
        void (*yes_counts_acc)(int64_t *counts, const void *p, const void *t, size_t rows, size_t cols,
                               double p_above, double t_above) noexcept nogil
        void (*error_sums_acc)(double *sums, const double *shift, const void *p, const void *t, size_t rows,
                               size_t cols) noexcept nogil
        void (*map_exp)(void *y, const void *x, size_t n) noexcept nogil
        void (*map_log)(void *y, const void *x, size_t n) noexcept nogil
        void (*map_erf)(void *y, const void *x, size_t n) noexcept nogil
        void (*average)(void *a, const void *w, size_t n, double momentum) noexcept nogil
        void (*add_scaled)(void *y, const void *x, const void *d, size_t n, double a) noexcept nogil
        double (*inner_product)(const void *a, const void *b, size_t n) noexcept nogil
        double (*largest)(const void *x, size_t n) noexcept nogil
        void (*bound_columns)(void *w, size_t rows, size_t cols, double low, double high) noexcept nogil
        void (*bound_rows)(void *w, size_t rows, size_t cols, double low, double high) noexcept nogil
        double (*fma_peak)(size_t repeats) noexcept nogil

cdef extern from "session.h" nogil:
    enum: FNN_NARROW
    enum: FNN_LAYER_DENSE
    enum: FNN_LAYER_NARROW
    enum: FNN_LAYER_MAP
    enum: FNN_LAYER_AFFINE
    enum: FNN_LAYER_NORM_COLUMNS
    enum: FNN_LAYER_NORM_ROWS
    ctypedef int fnn_layer_kind
    ctypedef struct fnn_layer:
        fnn_layer_kind kind
        fnn_act_id act
        size_t n_in
        size_t n_out
        const void *w
        const void *b
        const void *mean
        const void *variance
        size_t ld
        int skips
        double alpha
        double scale
        double shift
        double epsilon
    ctypedef struct fnn_net:
        const fnn_kernels *t
        const fnn_layer *layers
        size_t count
        size_t n_in
        size_t n_out
        size_t widest
        size_t longest
        size_t work
        bint scaled
        double scale
        double shift
    ctypedef struct fnn_rows:
        const void *data
        fnn_source_id source
        Py_ssize_t row_bytes
        Py_ssize_t col_bytes
        bint dense

# the numbers of csrc/registry.h by name, -1 for an unknown one, and what the registry says of each
ctypedef struct act_traits:
    char saves
    char shape
    double alpha
ctypedef struct loss_traits:
    char targets
    double parameter
ctypedef struct opt_traits:
    int states
    int parameters
cdef int act_number(name) noexcept
cdef int loss_number(name) noexcept
cdef int opt_number(name) noexcept
cdef act_traits traits_of_act(int act) noexcept
cdef loss_traits traits_of_loss(int loss) noexcept
cdef opt_traits traits_of_opt(int opt) noexcept
# the table in force for FNN_F32 or FNN_F64
cdef const fnn_kernels *table(int dtype) noexcept nogil
# this thread's scratch, or NULL; see fnn.h
cdef void *workspace(size_t nbytes) noexcept nogil
cdef size_t gemm_workspace(const fnn_kernels *t, size_t m, size_t n, size_t k) noexcept nogil
cdef void gemm(const fnn_kernels *t, void *c, const void *a, size_t a_rs, size_t a_cs, const void *b, size_t b_rs,
               size_t b_cs, size_t m, size_t n, size_t k, const void *bias, fnn_rule rule, const fnn_epilogue *epilogue,
               void *ws) noexcept nogil
cdef void permutation(uint32_t *index, size_t n, uint64_t seed, uint32_t stream, uint64_t step) noexcept nogil
# the learning rate of step t = 0, 1, ... by a schedule of csrc/schedules.c
cdef double schedule_rate(int schedule, const double *p, uint64_t t) noexcept nogil
# the constants of an optimizer's step: FNN_OPT_CONSTANTS numbers h
cdef void opt_constants(int opt, double *h, double lr, const double *p, uint64_t t) noexcept nogil
# passes shared out among threads where they are long
cdef void opt_step_shared(const fnn_kernels *t, int opt, void *w, void *const *s, const void *g, size_t n,
                          const double *h) noexcept nogil
cdef void average_shared(const fnn_kernels *t, void *a, const void *w, size_t n, double momentum) noexcept nogil
cdef void gather_shared(const fnn_kernels *t, void *y, const void *x, fnn_source_id source, const uint32_t *index,
                        size_t rows, size_t cols, Py_ssize_t row_bytes, Py_ssize_t col_bytes) noexcept nogil
# batch normalization in training, shared out among threads where it is long
cdef void batch_norm_fwd(const fnn_kernels *t, void *y, void *mean, void *variance, const void *x, const void *gamma,
                         const void *beta, double epsilon, size_t rows, size_t cols) noexcept nogil
cdef void batch_norm_bwd(const fnn_kernels *t, void *dx, void *dgamma, void *dbeta, const void *dy, const void *x,
                         void *mean, void *variance, const void *gamma, double epsilon, size_t rows,
                         size_t cols) noexcept nogil
# a network laid out for prediction, and its run: see session.h
cdef size_t layer_reals(const fnn_kernels *t, size_t n_in, size_t n_out) noexcept nogil
cdef size_t bias_reals(const fnn_kernels *t, size_t n_out) noexcept nogil
cdef size_t narrow_ld(const fnn_kernels *t, size_t n_in) noexcept nogil
cdef int may_skip(const fnn_kernels *t, const void *w, const void *b, size_t n_in, size_t n_out) noexcept nogil
cdef void lay_out(const fnn_kernels *t, void *to, const void *w, size_t n_in, size_t n_out) noexcept nogil
cdef void take_out(const fnn_kernels *t, void *w, const void *laid_out, size_t n_in, size_t n_out) noexcept nogil
cdef int net_row(const fnn_net *net, void *y, const void *x) noexcept nogil
cdef int net_run(const fnn_net *net, void *y, const fnn_rows *x, size_t rows) noexcept nogil
