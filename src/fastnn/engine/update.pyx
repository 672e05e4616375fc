"""One update of the parameters: bounds of the gradient, the optimizer's step, constraints, the running average.

The optimizer's pass goes over segments of the arenas, one for all that has the same learning rate and was trained as
often: just one where no layer has its own, or was frozen. What is not in a segment, a frozen layer, is not touched.
"""
cimport numpy as cnp
from cpython.bytearray cimport PyByteArray_AS_STRING
from libc.math cimport INFINITY, ldexp, sqrt
from libc.stdint cimport uint64_t
from libc.string cimport memcpy

from fastnn._core cimport (
    FNN_ACT_relu, FNN_MOST_STATES, FNN_OPT_CONSTANTS, average_shared, fnn_fp_enter, opt_constants, opt_step_shared,
    schedule_rate,
)
from fastnn.engine.buffers cimport Buffers
from fastnn.engine.plan cimport Plan
from fastnn._core import OPTIMIZER_STATES, OPTIMIZERS, SCHEDULES
from fastnn.engine import link
from fastnn.engine.plan import ALIGNMENT, round_up
from fastnn.engine.spec import Update

cnp.import_array()

cdef enum:  # in the place of a schedule's number
    CONSTANT_RATE = -1
    PYTHON_RATE = -2

cdef enum:  # kinds of constraints
    COLUMNS = 0
    ROWS = 1
    NOT_NEGATIVE = 2
    PYTHON = 3
KINDS = {"columns": COLUMNS, "rows": ROWS, "not_negative": NOT_NEGATIVE, "python": PYTHON}


cdef class Updater:
    """The optimizer of a training, with all that its steps need.

    optimizer: (name, parameters, learning_rate, decay), where learning_rate is a number or, for a schedule of
    csrc/schedules.c, (name, parameters), which leaves decay out; and a fifth, the object, where it is a part written in
    Python and the name says nothing. steps_done: before its first. extras: what goes with a step.
    """

    def __init__(self, Plan plan, optimizer, steps_done, extras=Update()):
        name, parameters, self.learning_rate, self.decay = optimizer[:4]
        self.plan, self.k, self.n = plan, plan.k, plan.trained
        self.part = optimizer[4] if len(optimizer) > 4 else None
        self.optimizer = OPTIMIZERS.get(name, -1) if self.part is None else -1  # lbfgs is no pass: engine/lbfgs.pyx
        for i, value in enumerate(parameters):
            self.parameters[i] = value
        # a callback may make the plan forget its states
        n = self.n
        self.arenas = (plan.params[:n], plan.grads[:n], [s[:n] for s in plan.states],
                       None if plan.average is None else plan.average[:n])
        self.w, self.g = _at(plan.params), _at(plan.grads)
        self.state_count = 0 if self.optimizer < 0 else OPTIMIZER_STATES[name]
        for i in range(self.state_count):
            self.states[i] = _at(plan.states[i])
        self.clip_value, self.clip_tensor_norm = extras.clip_value, extras.clip_tensor_norm
        self.clip_norm = extras.clip_norm
        self.clipped = self.clip_value > 0 or self.clip_tensor_norm > 0 or self.clip_norm > 0
        spans = _spans(plan, n)
        plan.count_missed({layer for layer, _, _ in spans if not extras.rates.get(layer, 1.0)}, steps_done)
        self._lay_out(extras, spans)
        self.average = NULL
        if extras.average is not None:
            self.average, self.momentum = _at(plan.average), extras.average
            self.overwrite_every = extras.overwrite_every
        self.frozen = [(first, end) for layer, first, end in spans if not extras.rates.get(layer, 1.0)]
        if self.optimizer < 0:  # those look at all of the arena: what an epsilon of 0 left between tensors, 0 / 0, goes
            for offset, (rows, cols) in plan.tensors.values():
                plan.params[offset + rows * cols:round_up(offset + rows * cols, ALIGNMENT // self.k.itemsize)] = 0
        self.rest()
        self.follows = self.average != NULL or self.held_count > 0

    def _lay_out(self, extras, spans):
        """Segments, tensors and constraints as the C structures that a step goes over."""
        plan, segments, tensors = self.plan, [], []
        for layer, first, end in spans:
            rate = extras.rates.get(layer, 1.0)
            if rate == 0:
                continue
            missed = plan.missed.get(layer, 0)
            last = segments.pop() if segments else (0, 0, 0.0, 0)
            if last[1:] == (first, rate, missed):
                first = last[0]
            elif last[1]:
                segments.append(last)
            segments.append((first, end, rate, missed))
        if self.clip_tensor_norm > 0:
            tensors = [(offset, rows * cols) for (layer, _), (offset, (rows, cols)) in plan.tensors.items()
                       if <size_t>offset < self.n and extras.rates.get(layer, 1.0)]
        held = [c for c in extras.constraints if extras.rates.get(c.layer, 1.0)]
        self.memory = [bytearray(len(segments) * sizeof(Segment)), bytearray(len(tensors) * sizeof(Segment)),
                       bytearray(len(held) * sizeof(Held))]
        self.segments = <Segment *>PyByteArray_AS_STRING(self.memory[0])
        self.tensors = <Segment *>PyByteArray_AS_STRING(self.memory[1])
        self.held = <Held *>PyByteArray_AS_STRING(self.memory[2])
        self.segment_count, self.tensor_count, self.held_count = len(segments), len(tensors), len(held)
        for i, (first, end, rate, missed) in enumerate(segments):
            self.segments[i] = Segment(first, end - first, rate, missed)
        for i, (offset, count) in enumerate(tensors):
            self.tensors[i] = Segment(offset, count, 1.0, 0)
        self.held_views, self.backed_up = [], any(c.kind == "python" for c in held)
        for i, c in enumerate(held):
            offset, (rows, cols) = plan.tensors[c.layer, c.name]
            self.held[i] = Held(KINDS[c.kind], offset, rows, cols, c.low, c.high, i)
            self.held_views.append((c.part, plan.view(plan.params, c.layer, c.name)))

    def rest(self):
        """Of what is frozen, no gradient that somebody else worked out counts in a norm, and the average is the weights
        themselves."""
        params, grads, _, average = self.arenas
        for first, end in self.frozen:
            grads[first:end] = 0
            if self.average != NULL:
                average[first:end] = params[first:end]

    @property
    def learning_rate(self):
        """A number, or the name and the parameters of a schedule."""
        return self.given_rate

    @learning_rate.setter
    def learning_rate(self, rate):
        if isinstance(rate, tuple) and rate[0] == "python":
            self.schedule, self.rate_part = PYTHON_RATE, rate[1]
        elif isinstance(rate, tuple):
            name, parameters = rate
            for i, value in enumerate(parameters):
                self.schedule_parameters[i] = value
            self.schedule = SCHEDULES[name]
        else:
            self.constant_rate, self.schedule = rate, CONSTANT_RATE
        self.given_rate = rate

    cdef double rate_at(self, Buffers b, uint64_t done) noexcept nogil:
        """The learning rate of the step after so many, kept as ``rate_now``. What a part written in Python raises waits
        in the buffers."""
        if self.schedule == PYTHON_RATE:
            self.rate_now = self._python_rate(b, done)
        elif self.schedule == CONSTANT_RATE:
            self.rate_now = self.constant_rate / (1.0 + self.decay * <double>done)
        else:
            self.rate_now = schedule_rate(self.schedule, self.schedule_parameters, done)
        return self.rate_now

    cdef bint step(self, Buffers b, uint64_t done) noexcept nogil:
        """Move the parameters by the gradient in its arena: the step after so many. False where a part written in
        Python has raised, or there is no memory to put back what it would spoil: then nothing has moved, and the error
        waits in the buffers."""
        cdef void *states[FNN_MOST_STATES]
        cdef double h[FNN_OPT_CONSTANTS]
        cdef double rate = self.rate_at(b, done)
        cdef size_t at
        cdef int i, j
        if b.failed:
            return False
        if self.clipped:
            self._clip()
        if self.backed_up:
            self._back_up(b)
            if b.failed:
                return False
        if self.optimizer < 0:
            self._python_step(b, done)
            if b.failed:
                return False
        else:
            for i in range(self.segment_count):
                at = self.segments[i].first * self.k.itemsize
                for j in range(self.state_count):
                    states[j] = self.states[j] + at
                opt_constants(self.optimizer, h, rate * self.segments[i].rate, self.parameters,
                              done + 1 - self.segments[i].missed)
                opt_step_shared(self.k, self.optimizer, self.w + at, states, self.g + at, self.segments[i].n, h)
        return self.follow(b, done) if self.follows else True

    cdef bint follow(self, Buffers b, uint64_t done) noexcept nogil:
        """What comes after the parameters have moved: constraints, then the average, and the constraints once more
        where that took the parameters' place."""
        if not self._constrain(b):
            return False
        if self.average == NULL or not self._average(done):
            return True
        if self._constrain(b):
            return True
        self.plan.averaged -= 1
        return False

    cdef bint _constrain(self, Buffers b) noexcept nogil:
        cdef Held *c
        cdef char *at
        cdef int i
        for i in range(self.held_count):
            c = &self.held[i]
            at = self.w + c.first * self.k.itemsize
            if c.kind == COLUMNS:
                self.k.bound_columns(at, c.rows, c.cols, c.low, c.high)
            elif c.kind == ROWS:
                self.k.bound_rows(at, c.rows, c.cols, c.low, c.high)
            elif c.kind == NOT_NEGATIVE:
                self.k.act_fwd[FNN_ACT_relu](at, at, c.rows, c.cols, 0.0)
            else:
                self._python_constraint(b, c.number)
                if b.failed:
                    return False
        return True

    cdef bint _average(self, uint64_t done) noexcept nogil:
        """The first time a copy; then a running average. Whether it has taken the place of the parameters."""
        cdef bint overwrites = self.overwrite_every > 0 and (done + 1) % self.overwrite_every == 0
        cdef size_t at, n
        cdef int i
        for i in range(self.segment_count):
            at, n = self.segments[i].first * self.k.itemsize, self.segments[i].n
            if self.plan.averaged == 0:
                memcpy(self.average + at, self.w + at, n * self.k.itemsize)
            else:
                average_shared(self.k, self.average + at, self.w + at, n, self.momentum)
            if overwrites:
                memcpy(self.w + at, self.average + at, n * self.k.itemsize)
        self.plan.averaged += 1
        return overwrites

    cdef void _clip(self) noexcept nogil:
        """Bound the gradient: each element, then the norm of each tensor, then the norm over all parameters; by the 16
        chains of dot products."""
        cdef int i
        if self.clip_value > 0:
            self.k.clip(self.g, self.n, self.clip_value)
        if self.clip_tensor_norm > 0:
            for i in range(self.tensor_count):
                self._bound(self.g + self.tensors[i].first * self.k.itemsize, self.tensors[i].n, self.clip_tensor_norm)
        if self.clip_norm > 0:
            self._bound(self.g, self.n, self.clip_norm)

    cdef void _bound(self, char *g, size_t n, double limit) noexcept nogil:
        cdef double norm = sqrt(self.k.penalty(g, n, 0.0, 1.0)), small = 1.0
        if norm == INFINITY:  # of squares: the norm itself may have room in the type
            small = ldexp(1.0, -80 if self.k.itemsize == 4 else -600)
            self.k.affine(g, g, n, small, 0.0)
            norm = sqrt(self.k.penalty(g, n, 0.0, 1.0))
        if norm > limit * small:
            self.k.affine(g, g, n, limit / norm, 0.0)
        elif small < 1.0:
            self.k.affine(g, g, n, 1.0 / small, 0.0)

    # --- parts written in Python: a turn with the GIL ---
    cdef double _python_rate(self, Buffers b, uint64_t done) noexcept with gil:
        cdef double rate = 0.0
        try:
            rate = self.rate_part(done)
        except BaseException as error:
            error.add_note(f"in formula of the schedule {type(self.rate_part).__name__}")
            b.fail(error)
        fnn_fp_enter()  # the part may have set another rounding mode
        return rate

    cdef void _python_step(self, Buffers b, uint64_t done) noexcept with gil:
        cdef int i
        try:
            params, grads, states, _ = self.arenas
            pieces = [(slice(self.segments[i].first, self.segments[i].first + self.segments[i].n),
                       done + 1 - self.segments[i].missed, self.segments[i].rate * self.rate_now)
                      for i in range(self.segment_count)]
            link.optimizer_step(self.part, params, grads, states, pieces)
        except BaseException as error:
            error.add_note(f"in formula of the optimizer {type(self.part).__name__}")
            b.fail(error)
        fnn_fp_enter()  # the part may have set another rounding mode

    cdef void _back_up(self, Buffers b) noexcept with gil:
        """A constraint in Python may raise after the step: then all is put back."""
        try:
            self.memory[3:] = [a.copy() for a in self._moved()]
        except BaseException as error:  # no memory: no step, as there would be no way back
            b.fail(error)

    cdef list _moved(self):
        """The arenas that a step changes."""
        params, _, states, average = self.arenas
        return [params, *states] if average is None else [params, *states, average]

    cdef void _python_constraint(self, Buffers b, int number) noexcept with gil:
        part, view = self.held_views[number]
        try:
            link.constrain(part, view)
        except BaseException as error:
            for arena, before in zip(self._moved(), self.memory[3:]):
                arena[...] = before
            error.add_note(f"in formula of the constraint {type(part).__name__}")
            b.fail(error)
        fnn_fp_enter()


def _spans(Plan plan, size_t n):
    """(layer, first, end) of every tensor below n, each up to where the next begins."""
    found = [(layer, offset) for (layer, _), (offset, _) in plan.tensors.items() if offset < n]
    return [(layer, first, found[i + 1][1] if i + 1 < len(found) else n) for i, (layer, first) in enumerate(found)]


cdef char *_at(cnp.ndarray array):
    return <char *>cnp.PyArray_DATA(array)
