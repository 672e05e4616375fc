from libc.stdint cimport uint32_t, uint64_t

from fastnn._core cimport fnn_epilogue, fnn_kernels

# what one pass over a batch needs to know
cdef struct Step:
    const fnn_kernels *k
    void *ws
    size_t rows          # at hand: the chunk of the batch that begins at its row `first`
    size_t first
    size_t batch         # rows of the whole batch
    uint64_t seed
    uint64_t number      # of the training step, from 1: keys the dropout masks
    uint32_t *twister    # MT19937's state where the masks shall come from it, else NULL

# one source of an operation that reads several
cdef struct Part:
    char *x
    size_t n             # its columns
    char *dx             # NULL where nothing before needs it; may be dy
    const char *also     # what its other readers have given already, to be added; NULL where there is none

# one operation: its functions and what they work on. Which fields are used is up to the functions.
cdef struct Op:
    void (*forward)(Op *o, const Step *s) noexcept nogil
    void (*backward)(Op *o, const Step *s) noexcept nogil
    void (*settle)(Op *o, const fnn_kernels *k) noexcept nogil  # once a step is taken; NULL where nothing is to do
    size_t n_in, n_out
    int act
    double alpha         # the activation's parameter
    bint fuse            # the activation runs as an epilogue of the product
    bint dy_is_dz        # dy arrives multiplied by the activation's gradient already
    bint db_is_there     # summed by what gave dy
    fnn_epilogue to_dx   # what finishes dx: the gradient of the activation before, and its sums
    char *x
    char *z              # before the activation; may be y
    char *y
    char *saved          # what the activation's gradient is computed from: y or z
    char *mask
    char *dy
    char *dx             # NULL where nothing before needs it; may be dy
    char *w
    char *b
    char *dw
    char *db
    double l1_w, l2_w, l1_b, l2_b
    double scale, shift
    double keep
    uint32_t threshold   # of dropping, in 2^-16
    uint64_t limit       # the same for the twister: (below, above) it in 2^-53
    double below, above
    uint32_t stream      # of what is drawn while training
    double shift_kept, shift_dropped  # of AlphaDropout
    double stddev        # of Gaussian noise
    char *gamma          # of a normalization, NULL where there is none; then their gradients
    char *beta
    char *dgamma
    char *dbeta
    char *mean           # what inference normalizes by
    char *variance
    char *batch_mean     # the moments of the batch at hand, which lie in the arena of gradients
    char *batch_variance
    char *stats          # of each row: mean and inverse deviation
    double epsilon, momentum
    void *buffers        # of an operation in Python: its Buffers, where its part and its failure are kept
    int number           # and its place there
    Part *parts          # of an operation with several sources, which then has no x and dx of its own
    size_t part_count
    size_t first_column  # of those that are read of x
    const char *also     # what the source's other readers have given already: added to dx by summed_backward
    void (*own_backward)(Op *o, const Step *s) noexcept nogil

cdef void dense_forward(Op *o, const Step *s) noexcept nogil
cdef void dense_backward(Op *o, const Step *s) noexcept nogil
cdef void dense_to_input(Op *o, const Step *s) noexcept nogil
cdef void activation_forward(Op *o, const Step *s) noexcept nogil
cdef void activation_backward(Op *o, const Step *s) noexcept nogil
cdef void dropout_forward(Op *o, const Step *s) noexcept nogil
cdef void dropout_backward(Op *o, const Step *s) noexcept nogil
cdef void affine_forward(Op *o, const Step *s) noexcept nogil
cdef void affine_backward(Op *o, const Step *s) noexcept nogil
cdef void alpha_dropout_forward(Op *o, const Step *s) noexcept nogil
cdef void gaussian_forward(Op *o, const Step *s) noexcept nogil
cdef void gaussian_backward(Op *o, const Step *s) noexcept nogil
cdef void batch_norm_forward(Op *o, const Step *s) noexcept nogil
cdef void batch_norm_backward(Op *o, const Step *s) noexcept nogil
cdef void normalize_forward(Op *o, const Step *s) noexcept nogil
cdef void normalize_backward(Op *o, const Step *s) noexcept nogil
cdef void layer_norm_forward(Op *o, const Step *s) noexcept nogil
cdef void layer_norm_backward(Op *o, const Step *s) noexcept nogil
cdef void batch_norm_settle(Op *o, const fnn_kernels *k) noexcept nogil
