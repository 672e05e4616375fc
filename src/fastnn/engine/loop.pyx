"""The training loop: whole epochs in one native call that needs no GIL and allocates nothing.

``Trainer.run`` comes up for air about ten times a second, so that Ctrl-C and a progress bar work, and whenever its
caller has asked to see a step or an epoch.
"""
import numpy as np

cimport numpy as cnp
from libc.math cimport NAN, isfinite
from libc.stdint cimport uint32_t, uint64_t, uintptr_t

from fastnn._core cimport fnn_fp_enter, fnn_fp_leave, fnn_fp_state, opt_step_shared, permutation
from fastnn.engine.feed cimport (
    BREATHS, Data, Evaluator, Head, Sums, Targets, add_up, fnn_seconds, load_targets, load_x, mean, scratch, share,
)
from fastnn.engine.plan cimport Buffers, Plan, Step
from fastnn._core import OPTIMIZERS
from fastnn.engine.spec import STREAM_SHUFFLE as PYTHON_STREAM_SHUFFLE

cnp.import_array()

# the epoch record: one row of doubles for each finished epoch
RECORD = ("data_loss", "regularization_loss", "accuracy", "learning_rate", "val_loss", "val_accuracy")
cdef enum:
    DATA_LOSS = 0
    REGULARIZATION_LOSS = 1
    ACCURACY = 2
    LEARNING_RATE = 3
    VAL_LOSS = 4
    VAL_ACCURACY = 5
    FIELDS = 6
cdef int MOST_RECORDS = 1024

# why run() came back
cdef enum:
    ALL_DONE = 0
    AIR = 1
    RECORDS_FULL = 2
    STEP_DONE = 3
    NOT_FINITE = 4
DONE, PAUSED, FULL, STEP, NONFINITE = range(5)

cdef double CLOCK_EVERY = 1e-3  # seconds between two looks at the clock
cdef uint32_t STREAM_SHUFFLE = PYTHON_STREAM_SHUFFLE


cdef class Trainer:
    """Epochs of training over data, with every piece of state that the next call needs.

    optimizer: (name, parameters, learning_rate, decay); steps and epochs are counted from ``steps_done`` and
    ``epochs_done``, which key the shuffles and masks, so that train(5) twice is train(10). validation: an Evaluator or
    None.
    """
    cdef Plan plan
    cdef Buffers b
    cdef Data data
    cdef Head head
    cdef Evaluator validation
    cdef object index_array, record_array, arenas
    cdef uint32_t *index
    cdef double[:, ::1] records
    cdef readonly int recorded
    cdef size_t batch, chunk
    cdef uint64_t seed
    cdef bint check_finite, validating
    cdef int optimizer
    cdef double parameters[8]
    cdef double learning_rate, decay, rate_now
    cdef void *w
    cdef void *g
    cdef void *s0
    cdef void *s1
    cdef readonly uint64_t steps_done, epochs_done, epochs_left
    cdef readonly size_t row, step_in_epoch
    cdef Sums sums, last_batch
    cdef size_t step_every

    def __init__(self, Plan plan, Buffers b, Data data, Head head, optimizer, uint64_t steps_done, uint64_t epochs_done,
                 uint64_t epochs, Py_ssize_t batch, bint shuffle, uint64_t seed, validation=None, check_finite=True,
                 Py_ssize_t step_every=0):
        name, parameters, self.learning_rate, self.decay = optimizer
        self.plan, self.b, self.data, self.head, self.validation = plan, b, data, head, validation
        self.optimizer = OPTIMIZERS[name]
        for i, value in enumerate(parameters):
            self.parameters[i] = value
        self.steps_done, self.epochs_done, self.epochs_left = steps_done, epochs_done, epochs
        self.batch, self.seed, self.check_finite = batch, seed, check_finite
        self.step_every = step_every
        self.arenas = (plan.params, plan.grads, list(plan.states))  # a callback may make the plan forget its states
        self.w, self.g = _address(plan.params), _address(plan.grads)
        self.s0 = _address(plan.states[0]) if len(plan.states) > 0 else NULL
        self.s1 = _address(plan.states[1]) if len(plan.states) > 1 else NULL
        self.index_array = np.empty(data.n, np.uint32) if shuffle else None
        self.index = <uint32_t *>_address(self.index_array) if shuffle else NULL
        self.record_array = np.empty((MOST_RECORDS, FIELDS))
        self.records = self.record_array

    @property
    def steps_per_epoch(self):
        return -(-self.data.n // self.batch)

    def peek_records(self):
        """The records of the epochs up to ``epochs_done`` that are not dropped yet, as rows of RECORD."""
        return self.record_array[:self.recorded]

    def drop_records(self):
        """Make room: the caller has taken in what ``peek_records`` gave."""
        self.recorded = 0

    def running(self):
        """(loss, accuracy) over the epoch so far."""
        return mean(&self.sums), share(&self.sums, self.head)

    def last_step(self):
        """(loss, accuracy, learning rate) of the last batch."""
        return mean(&self.last_batch), share(&self.last_batch, self.head), self.rate_now

    def first_not_finite(self):
        """Index of the first layer whose output for the last rows is not finite, or None."""
        return self.b.first_not_finite(self.chunk)

    def regularization_loss(self):
        """The penalties at the present weights."""
        return self._penalty()

    def gradients(self):
        """Fill plan.grads with the gradient of the mean loss and the penalties over all rows; return the loss (a
        float). Nothing else changes."""
        cdef Step step
        cdef fnn_fp_state found
        if self.batch < <size_t>self.data.n:
            raise ValueError("gradients need the whole of the data in one batch")
        self._begin(&step, scratch(self.b))
        with nogil:
            found = fnn_fp_enter()
            self._gradients(&step, False)
            fnn_fp_leave(found)
        return mean(&self.last_batch) + self._penalty()

    def run(self):
        """Train until all epochs are done or there is a reason to come up; returns the reason (DONE, PAUSED, ...)."""
        cdef int why
        cdef fnn_fp_state found
        cdef void *ws = scratch(self.b)
        if self.validation is not None and self.validation.buffers.ws_bytes > self.b.ws_bytes:
            ws = scratch(self.validation.buffers)
        with nogil:
            found = fnn_fp_enter()
            why = self._run(ws)
            fnn_fp_leave(found)
        return why

    cdef double _penalty(self) noexcept nogil:
        cdef double total = 0
        cdef int i
        for i in range(self.b.first_trained, self.b.count):
            if self.b.ops[i].w != NULL:
                total += self.plan.k.penalty(self.b.ops[i].w, self.b.ops[i].n_in * self.b.ops[i].n_out,
                                             self.b.ops[i].l1_w, self.b.ops[i].l2_w)
                total += self.plan.k.penalty(self.b.ops[i].b, self.b.ops[i].n_out, self.b.ops[i].l1_b,
                                             self.b.ops[i].l2_b)
        return total

    cdef void _begin(self, Step *step, void *ws) noexcept nogil:
        step.k, step.ws, step.seed = self.plan.k, ws, self.seed
        step.number = self.steps_done + 1
        step.batch = min(self.batch, <size_t>self.data.n - self.row)
        step.first = 0

    cdef bint _gradients(self, Step *step, bint check) noexcept nogil:
        """The gradients of one batch, and its losses in last_batch. False, where check, at the first chunk of rows whose
        loss is not finite."""
        cdef Targets of
        self.last_batch = Sums(0, 0, 0, 0)
        while step.first < step.batch:
            step.rows = self.chunk = min(<size_t>self.b.rows, step.batch - step.first)
            of = self._forward(step)
            add_up(&self.last_batch, self.head, self.b, step, &of)
            if check and not isfinite(self.last_batch.loss):
                return False
            self._backward(step, &of)
            step.first += step.rows
        return True

    cdef Targets _forward(self, const Step *step) noexcept nogil:
        load_x(self.data, self.b, step, self.index, self.row + step.first)
        self.b.forward(step)
        return load_targets(self.data, self.b, step, self.index, self.row + step.first)

    cdef void _backward(self, const Step *step, const Targets *of) noexcept nogil:
        cdef double scale = 1.0 / <double>step.batch
        cdef char *dp
        cdef size_t cols = self.plan.n_out
        if self.b.count == 0:
            return
        dp = self.b.ops[self.b.count - 1].dy
        if self.head.merged:
            if self.head.mean_over_outputs:
                scale /= <double>cols
            step.k.residual(dp, self.b.output(), of.t, of.labels, step.rows, cols, scale)
        else:
            step.k.loss_bwd[self.head.loss](dp, self.b.output(), of.t, of.labels, step.rows, cols, scale,
                                            self.head.parameter)
        if of.weights != NULL:
            step.k.scale_rows(dp, dp, of.weights, step.rows, cols)
        self.b.backward(step)

    cdef bint _step(self, void *ws) noexcept nogil:
        """One batch. False, and nothing changed, where its loss is not finite and that is checked."""
        cdef Step step
        self._begin(&step, ws)
        if not self._gradients(&step, self.check_finite):
            return False
        self.rate_now = self.learning_rate / (1.0 + self.decay * <double>self.steps_done)
        opt_step_shared(step.k, self.optimizer, self.w, self.s0, self.s1, self.g, self.plan.size, self.rate_now,
                        self.parameters, step.number)
        self.steps_done += 1
        self.row += step.batch
        self.step_in_epoch += 1
        self.sums.loss += self.last_batch.loss
        self.sums.right += self.last_batch.right
        self.sums.rows += self.last_batch.rows
        self.sums.elements += self.last_batch.elements
        return True

    def finish_epoch(self):
        """After a break: record an epoch whose steps are all done, without its validation if that was not reached."""
        if self.epochs_left and self.row >= <size_t>self.data.n:
            self._record(False)

    cdef void _record(self, bint validated) noexcept nogil:
        cdef double *r = &self.records[self.recorded, 0]
        r[DATA_LOSS] = mean(&self.sums)
        r[REGULARIZATION_LOSS] = self._penalty()
        r[ACCURACY] = share(&self.sums, self.head)
        r[LEARNING_RATE] = self.rate_now
        r[VAL_LOSS] = r[VAL_ACCURACY] = NAN
        if validated:
            r[VAL_LOSS] = mean(&self.validation.sums)
            r[VAL_ACCURACY] = share(&self.validation.sums, self.validation.head)
        self.recorded += 1
        self.epochs_done += 1
        self.epochs_left -= 1
        self.row = self.step_in_epoch = 0
        self.validating = False

    cdef int _run(self, void *ws) noexcept nogil:
        cdef double now = fnn_seconds(), until = now + 1.0 / BREATHS, looked = now
        cdef size_t stride = 1, since = 0, n = self.data.n
        while self.epochs_left:
            if self.row == 0 and not self.validating:
                self.sums = Sums(0, 0, 0, 0)
                if self.index != NULL:
                    permutation(self.index, n, self.seed, STREAM_SHUFFLE, self.epochs_done)
            while self.row < n:
                if not self._step(ws):
                    return NOT_FINITE
                if self.step_every and (self.row >= n or (self.step_in_epoch - 1) % self.step_every == 0):
                    return STEP_DONE
                since += 1
                if since >= stride:  # the clock costs 20 ns: look at it about every millisecond
                    since = 0
                    now = fnn_seconds()
                    if now > until:
                        return AIR
                    stride = stride * 2 if now - looked < CLOCK_EVERY else (stride + 1) // 2
                    looked = now
            if self.validation is not None:
                if not self.validating:
                    self.validation.start()
                self.validating = not self.validation.go_on(ws, until)
                if self.validating:
                    return AIR
            self._record(self.validation is not None)
            if self.recorded == MOST_RECORDS:
                return RECORDS_FULL
        return ALL_DONE


cdef void *_address(array):
    return <void *><uintptr_t>array.ctypes.data
