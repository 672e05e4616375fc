from fastnn._core cimport fnn_kernels
from fastnn.engine.plan cimport Plan
from fastnn.engine.update cimport Updater

# what Search has to say to a loss and gradient
cdef enum:
    LOOK = 0        # the parameters have moved: what are loss and gradient there?
    STEPPED = 1     # a step is done: the parameters are at its end
    LAST_STEP = 2   # the same, and no further one is worth it
    NO_STEP = 3     # none is: the parameters are where they were
    NO_LOSS = 4     # the loss is not finite where the step begins

# a place on the line at hand: how far along, the loss, and its slope by that
cdef struct Place:
    double t, f, slope

cdef class Search:
    cdef Plan plan
    cdef const fnn_kernels *k
    cdef Updater updater
    cdef size_t n, nbytes
    cdef int most, most_tries, phase, tries
    cdef bint strong_wolfe, noisy, known, slow
    cdef double tolerance_grad, tolerance_change, loss, rate
    cdef object memory, arenas
    cdef char *w
    cdef char *g
    cdef char *w0
    cdef char *g0
    cdef char *d
    cdef char **pairs
    cdef double *rho
    cdef double *alpha
    cdef Place start, low, high, here
    cdef int go(self, double rate) noexcept nogil
    cdef int take(self, double loss, double rate) noexcept nogil
    cdef void forget(self) noexcept nogil
    cdef void give_up(self) noexcept nogil
    cdef double _direction(self) noexcept nogil
    cdef int _move(self, double t) noexcept nogil
    cdef int _bracket(self) noexcept nogil
    cdef int _zoom(self) noexcept nogil
    cdef int _next_in_bracket(self) noexcept nogil
    cdef int _settle(self) noexcept nogil
    cdef int _finish(self) noexcept nogil
    cdef bint _armijo(self) noexcept nogil
    cdef bint _flat(self) noexcept nogil
