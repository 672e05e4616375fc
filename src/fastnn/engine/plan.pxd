from libc.stdint cimport int32_t, uint32_t, uint64_t

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

# one operation: two functions and what they work on. Which fields are used is up to the functions.
cdef struct Op:
    void (*forward)(Op *o, const Step *s) noexcept nogil
    void (*backward)(Op *o, const Step *s) noexcept nogil
    size_t n_in, n_out
    int act
    double alpha         # the activation's parameter
    bint fuse            # the activation runs as an epilogue of the product
    bint dy_is_dz        # dy arrives multiplied by the activation's gradient already
    fnn_epilogue to_dx   # what finishes dx: the gradient of the activation before
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
    uint32_t stream
    void *buffers        # of an operation in Python: its Buffers, where its part and its failure are kept
    int number           # and its place there

cdef class Plan:
    cdef readonly object specs, dtype, tensors, params, grads, states
    cdef readonly bint fused
    cdef readonly Py_ssize_t n_in, n_out, size, widest
    cdef const fnn_kernels *k
    cdef readonly double input_scale, input_shift
    cdef readonly bint input_affine
    cdef char *_tensor(self, array, Py_ssize_t layer, str name)

cdef class Buffers:
    cdef readonly Plan plan
    cdef readonly Py_ssize_t rows
    cdef readonly bint training
    cdef object memory, op_memory, layer_of
    cdef Op *ops
    cdef int count, first_trained
    cdef bint failed     # an operation in Python has raised; what follows works on nothing
    cdef object links, error
    cdef size_t ws_bytes
    cdef char *x
    cdef char *t
    cdef int32_t *labels
    cdef char *losses
    cdef char *weights
    cdef void fail(self, error) noexcept
    cdef char *output(self) noexcept nogil
    cdef void forward(self, const Step *s) noexcept nogil
    cdef void backward(self, const Step *s) noexcept nogil
