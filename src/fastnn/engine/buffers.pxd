from libc.stdint cimport int32_t, uintptr_t

from fastnn.engine.ops cimport Op, Step
from fastnn.engine.plan cimport Plan

cdef class Buffers:
    cdef readonly Plan plan
    cdef readonly Py_ssize_t rows
    cdef readonly bint training, to_input
    cdef object memory, op_memory, part_memory, reader_memory, layer_of
    cdef char *input_gradient  # with to_input: where backward leaves the gradient of the rows that came in
    cdef Op *ops
    cdef int count, first_trained, gradient_buffers
    cdef int input_readers    # how many read the rows that come in; where more than one, reader_at says from where
    cdef uintptr_t *reader_at
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
    cdef void spread_input(self, char *x) noexcept nogil
    cdef char *output(self) noexcept nogil
    cdef void forward(self, const Step *s) noexcept nogil
    cdef void backward(self, const Step *s) noexcept nogil
    cdef void settle(self) noexcept nogil
    cdef void backward_to_input(self, const Step *s) noexcept nogil
