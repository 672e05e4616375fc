from libc.stdint cimport uint64_t

from fastnn._core cimport FNN_MOST_STATES, fnn_kernels
from fastnn.engine.buffers cimport Buffers
from fastnn.engine.plan cimport Plan

# parameters that lie together and have one learning rate
cdef struct Segment:
    size_t first, n
    double rate          # multiplies that of the step
    uint64_t missed      # steps that they sat out

# a tensor that is held to a constraint
cdef struct Held:
    int kind
    size_t first, rows, cols
    double low, high
    int number           # of a constraint in Python

cdef class Updater:
    cdef Plan plan
    cdef const fnn_kernels *k
    cdef size_t n        # elements that the optimizer works on: the first of each arena
    cdef char *w
    cdef char *g
    cdef char *states[FNN_MOST_STATES]
    cdef char *average
    cdef object arenas, memory, held_views, frozen
    cdef int optimizer
    cdef object part
    cdef double parameters[8]
    cdef double decay, constant_rate, rate_now
    cdef object given_rate, rate_part
    cdef int schedule
    cdef double schedule_parameters[8]
    cdef bint clipped, follows, backed_up
    cdef double clip_value, clip_tensor_norm, clip_norm, momentum
    cdef uint64_t overwrite_every
    cdef Segment *segments
    cdef Segment *tensors
    cdef Held *held
    cdef int state_count, segment_count, tensor_count, held_count
    cdef double rate_at(self, Buffers b, uint64_t done) noexcept nogil
    cdef double _python_rate(self, Buffers b, uint64_t done) noexcept with gil
    cdef bint step(self, Buffers b, uint64_t done) noexcept nogil
    cdef bint follow(self, Buffers b, uint64_t done) noexcept nogil
    cdef void _clip(self) noexcept nogil
    cdef void _bound(self, char *g, size_t n, double limit) noexcept nogil
    cdef void _python_step(self, Buffers b, uint64_t done) noexcept with gil
    cdef void _back_up(self, Buffers b) noexcept with gil
    cdef void _python_constraint(self, Buffers b, int number) noexcept with gil
    cdef bint _average(self, uint64_t done) noexcept nogil
    cdef bint _constrain(self, Buffers b) noexcept nogil
    cdef list _moved(self)
