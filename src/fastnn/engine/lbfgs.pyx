"""L-BFGS: a quasi-Newton step along a line on which a search finds a place that meets the strong Wolfe conditions.

Source: Nocedal and Wright, Numerical Optimization, 2nd edition, 2006: the two-loop recursion is algorithm 7.4, the
method 7.5, the line search 3.5 and 3.6 with the cubic interpolation (3.59). How far the search goes beyond and how it
keeps away from the ends of its bracket is that of minFunc (Schmidt 2005) and so of PyTorch; the first length too.

``Search`` asks and is answered: it moves the parameters and says LOOK; whoever has the data comes back with the loss,
its gradient in its arena. So the training loop can breathe between two looks. Vectors are summed by the 16 chains of
dot products; frozen layers have no gradient, and so no part in it.
"""
cimport numpy as cnp
from libc.math cimport INFINITY, fabs, fmax, fmin, isfinite, sqrt
from libc.string cimport memcmp, memcpy

from fastnn._core cimport fnn_fp_enter, fnn_fp_leave, fnn_fp_state
from fastnn.engine.plan cimport Plan
from fastnn.engine.update cimport Updater
from fastnn.engine.plan import aligned_empty

cnp.import_array()

cdef double ENOUGH = 1e-4      # c1: of the decrease that the slope promises, so much is wanted
cdef double FLAT_ENOUGH = 0.9  # c2: of the slope, no more may be left
cdef double NO_CURVATURE = 2.0 ** -52  # s.y less than so much of y.y says nothing that can be trusted

cdef enum:  # what the loss that is waited for is of
    START = 0    # the beginning of a step
    BRACKET = 1  # algorithm 3.5
    ZOOM = 2     # algorithm 3.6
    RETURN = 3   # a place seen before, the best one

cdef enum:  # why there is no further step
    NOT_ENDED = 0
    BY_GRADIENT = 1
    BY_CHANGE = 2
    BY_SEARCH = 3
REASONS = {
    NOT_ENDED: None,
    BY_GRADIENT: "no element of the gradient is larger than tolerance_grad",
    BY_CHANGE: "loss and parameters change by less than tolerance_change",
    BY_SEARCH: "no step along the line makes the loss smaller, to the precision of the type",
}


cdef class Search:
    """The state of a minimization between two looks at the loss.

    parameters: (history_size, tolerance_grad, tolerance_change, whether there is a line search, looks a line search may
    take). The plan's states are the corrections (s, y), oldest overwritten first; ``plan.pairs`` counts them all.
    noisy: the loss of the next step is another function (dropout draws new masks), so each begins with its own look.
    """

    def __init__(self, Plan plan, Updater updater, parameters, bint noisy):
        cdef fnn_fp_state found
        self.plan, self.updater, self.k, self.n = plan, updater, plan.k, updater.n
        self.nbytes = self.n * self.k.itemsize
        self.most, self.tolerance_grad, self.tolerance_change = parameters[:3]
        self.strong_wolfe, self.most_tries, self.noisy = parameters[3], parameters[4], noisy
        self.arenas = [plan._arena(self.n) for _ in range(3)] + list(plan.states)
        self.w0, self.g0, self.d = _at(self.arenas[0]), _at(self.arenas[1]), _at(self.arenas[2])
        self.w, self.g = updater.w, updater.g
        self.memory = [aligned_empty(2 * self.most * sizeof(void *))] + [aligned_empty(8 * self.most) for _ in range(2)]
        self.pairs = <char **>_at(self.memory[0])
        self.rho, self.alpha = <double *>_at(self.memory[1]), <double *>_at(self.memory[2])
        for i in range(2 * self.most):
            self.pairs[i] = _at(plan.states[i])
        found = fnn_fp_enter()
        for i in range(min(<size_t>self.most, plan.pairs)):
            self.rho[i] = 1.0 / self.k.inner_product(self.pairs[2 * i], self.pairs[2 * i + 1], self.n)
        fnn_fp_leave(found)

    @property
    def reason(self):
        """Why there is no further step, None where there may be one."""
        return REASONS.get(self.plan.ended)

    cdef void forget(self) noexcept nogil:
        """Somebody may have moved the parameters between two steps: then what is known of them is not so any more."""
        if self.phase == START and self.known and memcmp(self.w, self.w0, self.nbytes) != 0:
            self.known = False

    cdef void give_up(self) noexcept nogil:
        """Back to where the step began."""
        if self.phase != START:
            memcpy(self.w, self.w0, self.nbytes)
            self.phase, self.known = START, False

    cdef int take(self, double loss, double rate) noexcept nogil:
        """Take in the loss at the parameters that were asked for; its gradient lies in its arena."""
        if self.phase == START:
            if not isfinite(loss) or not self.k.all_finite(self.g, self.n):
                return NO_LOSS
            memcpy(self.w0, self.w, self.nbytes)
            memcpy(self.g0, self.g, self.nbytes)
            self.loss, self.known = loss, True
            return self.go(rate)
        self.here.f = loss if isfinite(loss) else INFINITY
        self.here.slope = self.k.inner_product(self.g, self.d, self.n)
        if not isfinite(self.here.slope):  # nothing to go on from
            self.here.f = INFINITY
        if self.phase == RETURN:
            return self._finish()
        self.tries += 1
        return self._bracket() if self.phase == BRACKET else self._zoom()

    cdef int go(self, double rate) noexcept nogil:
        """Begin a step where loss and gradient are known."""
        cdef double t = rate
        self.plan.ended, self.rate = NOT_ENDED, rate
        if self.k.largest(self.g0, self.n) <= self.tolerance_grad:
            self.plan.ended = BY_GRADIENT
            return NO_STEP
        self.start = Place(0.0, self.loss, self._direction())
        if not self.start.slope < 0 and self.plan.pairs:  # rounding has spoilt the corrections
            self.plan.pairs = 0
            self.start.slope = self._direction()
        if self.start.slope > -self.tolerance_change:
            self.plan.ended = BY_CHANGE
            return NO_STEP
        if not self.plan.pairs:  # the gradient alone knows no length
            t = rate * fmin(1.0, 1.0 / self.k.penalty(self.g0, self.n, 1.0, 0.0))
        self.low, self.tries = self.start, 0
        self.phase = BRACKET if self.strong_wolfe else RETURN
        return self._move(t)

    cdef double _direction(self) noexcept nogil:
        """d = -H g by the two-loop recursion; returns the slope d.g."""
        cdef size_t taken = self.plan.pairs, most = self.most, at, oldest = taken - min(taken, most)
        cdef char *s
        cdef char *y
        cdef int i
        memcpy(self.d, self.g0, self.nbytes)
        at = taken
        while at > oldest:
            at -= 1
            i = at % self.most
            self.alpha[i] = self.rho[i] * self.k.inner_product(self.pairs[2 * i], self.d, self.n)
            self.k.add_scaled(self.d, self.d, self.pairs[2 * i + 1], self.n, -self.alpha[i])
        if taken:
            y = self.pairs[2 * <int>((taken - 1) % self.most) + 1]
            self.k.affine(self.d, self.d, self.n,
                          1.0 / (self.rho[(taken - 1) % self.most] * self.k.inner_product(y, y, self.n)), 0.0)
        for at in range(oldest, taken):
            i = at % self.most
            s, y = self.pairs[2 * i], self.pairs[2 * i + 1]
            self.k.add_scaled(self.d, self.d, s, self.n,
                              self.alpha[i] - self.rho[i] * self.k.inner_product(y, self.d, self.n))
        self.k.affine(self.d, self.d, self.n, -1.0, 0.0)
        return self.k.inner_product(self.d, self.g0, self.n)

    cdef int _move(self, double t) noexcept nogil:
        cdef size_t at
        cdef int i
        self.here.t = t
        for i in range(self.updater.segment_count):
            at = self.updater.segments[i].first * self.k.itemsize
            self.k.add_scaled(self.w + at, self.w0 + at, self.d + at, self.updater.segments[i].n, t)
        return LOOK

    # --- the line search: low is the best place so far; high, the other end of the bracket once there is one ---
    cdef bint _armijo(self) noexcept nogil:
        """Whether the loss at hand is low enough for how far it is."""
        return self.here.f <= self.start.f + ENOUGH * self.here.t * self.start.slope

    cdef bint _flat(self) noexcept nogil:
        """Whether the slope at hand is."""
        return fabs(self.here.slope) <= -FLAT_ENOUGH * self.start.slope

    cdef int _bracket(self) noexcept nogil:
        """Algorithm 3.5: go further until a good place lies at hand or between this place and the one before."""
        cdef Place before = self.low
        cdef double t
        if not self._armijo() or (self.tries > 1 and self.here.f >= before.f):
            self.high = self.here
        elif self._flat():
            return self._finish()
        elif self.here.slope >= 0:
            self.low, self.high = self.here, before
        elif self.tries >= self.most_tries:
            self.low = self.here
            return self._settle()
        else:
            t = _least(&before, &self.here, self.here.t + 0.01 * (self.here.t - before.t), self.here.t * 10)
            self.low = self.here
            return self._move(t)
        if self.high.f < self.low.f:
            self.low, self.high = self.high, self.low
        self.phase, self.slow = ZOOM, False
        return self._next_in_bracket()

    cdef int _zoom(self) noexcept nogil:
        """Algorithm 3.6: make the bracket smaller by the place at hand."""
        if not self._armijo() or self.here.f >= self.low.f:
            self.high = self.here
            if self.high.f < self.low.f:
                self.low, self.high = self.high, self.low
        else:
            if self._flat():
                return self._finish()
            if self.here.slope * (self.high.t - self.low.t) >= 0:
                self.high = self.low
            self.low = self.here
        return self._next_in_bracket()

    cdef int _next_in_bracket(self) noexcept nogil:
        cdef double first = fmin(self.low.t, self.high.t), last = fmax(self.low.t, self.high.t), t, margin
        if self.tries >= self.most_tries or (last - first) * self.k.largest(self.d, self.n) < self.tolerance_change:
            return self._settle()
        if not isfinite(self.high.f):  # nothing to interpolate: far too far
            return self._move(self.low.t + 0.1 * (self.high.t - self.low.t))
        t, margin = _least(&self.low, &self.high, first, last), 0.1 * (last - first)
        if fmin(last - t, t - first) < margin:
            if self.slow or t >= last or t <= first:  # a second time near an end: into the bracket
                t = last - margin if last - t < t - first else first + margin
                self.slow = False
            else:
                self.slow = True
        else:
            self.slow = False
        return self._move(t)

    cdef int _settle(self) noexcept nogil:
        """The search ends without a place that meets both conditions: the best one it is, if it is better at all."""
        if self.low.t == self.here.t:
            return self._finish()
        if self.low.t > 0:
            self.phase = RETURN
            return self._move(self.low.t)
        self.give_up()
        self.known = not self.noisy
        if self.plan.pairs:  # once more, along the gradient itself
            self.plan.pairs = 0
            return self.go(self.rate) if self.known else LOOK
        self.plan.ended = BY_SEARCH
        return NO_STEP

    cdef int _finish(self) noexcept nogil:
        """The place at hand is the step's end: take in what it says of the curvature."""
        cdef double change = self.here.t * self.k.largest(self.d, self.n), sy, yy
        cdef double gain = fabs(self.here.f - self.start.f)
        cdef int i = self.plan.pairs % <size_t>self.most
        self.phase = START
        self.k.add_scaled(self.d, self.w, self.w0, self.n, -1.0)    # s
        self.k.add_scaled(self.g0, self.g, self.g0, self.n, -1.0)   # y
        sy, yy = self.k.inner_product(self.d, self.g0, self.n), self.k.inner_product(self.g0, self.g0, self.n)
        if sy > NO_CURVATURE * yy and isfinite(1.0 / sy):
            memcpy(self.pairs[2 * i], self.d, self.nbytes)
            memcpy(self.pairs[2 * i + 1], self.g0, self.nbytes)
            self.rho[i] = 1.0 / sy
            self.plan.pairs += 1
        memcpy(self.w0, self.w, self.nbytes)
        memcpy(self.g0, self.g, self.nbytes)
        self.loss, self.known = self.here.f, not self.noisy and isfinite(self.here.f)
        if self.k.largest(self.g0, self.n) <= self.tolerance_grad:
            self.plan.ended = BY_GRADIENT
        elif change <= self.tolerance_change or gain < self.tolerance_change:
            self.plan.ended = BY_CHANGE
        return STEPPED if self.plan.ended == NOT_ENDED else LAST_STEP


cdef double _least(const Place *a, const Place *b, double first, double last) noexcept nogil:
    """Where the cubic through two places, with their slopes, is least within [first, last]; its middle if nowhere."""
    cdef double d1 = a.slope + b.slope - 3 * (a.f - b.f) / (a.t - b.t), d2 = d1 * d1 - a.slope * b.slope, t
    if d2 >= 0:
        d2 = sqrt(d2) if b.t >= a.t else -sqrt(d2)
        t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2))
        if isfinite(t):
            return fmin(fmax(t, first), last)
    return 0.5 * (first + last)


cdef char *_at(cnp.ndarray array):
    return <char *>cnp.PyArray_DATA(array)
