from libc.stdint cimport int32_t

from fastnn._core cimport fnn_kernels
from fastnn.engine.ops cimport Op, Step

cdef class Plan:
    cdef readonly object specs, dtype, tensors, params, grads, states
    cdef readonly bint fused
    cdef readonly Py_ssize_t n_in, n_out, size, trained, widest
    cdef const fnn_kernels *k
    cdef double input_scale, input_shift
    cdef bint input_affine
    cdef char *_tensor(self, array, Py_ssize_t layer, str name)

cdef class Buffers:
    cdef readonly Plan plan
    cdef readonly Py_ssize_t rows
    cdef readonly bint training
    cdef object memory, op_memory, layer_of
    cdef Op *ops
    cdef int count, first_trained
    cdef bint settles    # there is an operation that has something to do once a step is taken
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
    cdef void settle(self) noexcept nogil
