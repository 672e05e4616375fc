from libc.stdint cimport int32_t, uint32_t, uint64_t

from fastnn.engine.buffers cimport Buffers
from fastnn.engine.ops cimport Step
from fastnn.engine.plan cimport Plan
from fastnn.engine.tally cimport Tally

cdef extern from "clock.h" nogil:
    double fnn_seconds() noexcept

cdef enum:
    BREATHS = 10  # surfacings a second

cdef struct Source:
    const char *data
    int type
    Py_ssize_t row_bytes, col_bytes
    size_t cols
    bint dense  # rows of the engine's own type, side by side: may be read where they lie

# what a pass over some rows adds up, in float64
cdef struct Sums:
    double loss
    uint64_t right, rows, elements

# what a batch is compared with: rows t or labels, the other NULL, and the rows' weights or NULL for 1
cdef struct Targets:
    const char *t
    const int32_t *labels
    const char *weights

cdef class Data:
    cdef object arrays
    cdef Source x, t, w
    cdef bint weighted
    cdef const int32_t *labels
    cdef readonly Py_ssize_t n

cdef class Head:
    cdef readonly bint merged
    cdef bint python     # the loss is a part written in Python
    cdef object part
    cdef int loss, metric
    cdef double limit, parameter, keep, floor
    cdef bint mean_over_outputs, smoothed
    cdef readonly Tally tally  # of the metrics, None where there are none

cdef class Evaluator:
    cdef Plan plan
    cdef Buffers buffers
    cdef Data data
    cdef Head head
    cdef Sums sums
    cdef size_t done
    cdef void start(self) noexcept nogil
    cdef bint go_on(self, void *ws, double until) noexcept nogil

cdef void load_x(Data d, Buffers b, const Step *step, const uint32_t *index, size_t first) noexcept nogil
cdef Targets load_targets(Data d, Buffers b, const Step *step, const uint32_t *index, size_t first) noexcept nogil
cdef void add_up(Sums *s, Head head, Buffers b, const Step *step, Targets *of) noexcept nogil
cdef void seed_gradient(Head head, Buffers b, const Step *step, const Targets *of, double scale) noexcept nogil
cdef double mean(const Sums *s) noexcept nogil
cdef double share(const Sums *s, Head head) noexcept nogil
cdef void *scratch(Buffers b) except? NULL
