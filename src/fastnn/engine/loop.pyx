"""The training loop: whole epochs in one native call that needs no GIL and allocates nothing.

``Trainer.run`` comes up for air about ten times a second, so that Ctrl-C and a progress bar work, and whenever its
caller has asked to see a step or an epoch.
"""
import numpy as np

cimport numpy as cnp
from libc.math cimport INFINITY, NAN, isfinite
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from fastnn._core cimport fnn_fp_enter, fnn_fp_leave, fnn_fp_state, permutation, workspace
from fastnn.engine.feed cimport (
    BREATHS, Data, Evaluator, Head, Sums, Targets, add_up, fnn_seconds, load_targets, load_x, mean, scratch,
    seed_gradient, share,
)
from fastnn.engine.lbfgs cimport LOOK, NO_LOSS, NO_STEP, Search
from fastnn.engine.buffers cimport Buffers
from fastnn.engine.ops cimport Step
from fastnn.engine.plan cimport Plan
from fastnn.engine.update cimport Updater
from fastnn.engine.spec import STREAM_SHUFFLE as PYTHON_STREAM_SHUFFLE
from fastnn.engine.spec import TRAINING_ONLY, PythonSpec, Update

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
    VALIDATED = 6  # behind those that the history has: 1 where the validation was made, whatever it gave
    FIELDS = 7
MOST_RECORDS = 1024

# why run() came back
cdef enum:
    ALL_DONE = 0
    AIR = 1
    RECORDS_FULL = 2
    STEP_DONE = 3
    NOT_FINITE = 4
    DATA_USED = 5  # of a stream: feed() more or close_epoch()
    NO_FURTHER = 6  # of L-BFGS: it has converged
DONE, PAUSED, FULL, STEP, NONFINITE, HUNGRY, CONVERGED = range(7)

cdef double CLOCK_EVERY = 1e-3  # seconds between two looks at the clock
cdef uint32_t STREAM_SHUFFLE = PYTHON_STREAM_SHUFFLE


cdef class Trainer:
    """Epochs of training over data, with every piece of state that the next call needs.

    optimizer, extras: as ``Updater`` takes them (engine/update.pyx); steps and epochs are counted from ``steps_done``
    and ``epochs_done``, which key the shuffles and masks, so that train(5) twice is train(10). validation: an Evaluator
    or None. accumulate: batches whose mean gradient makes one step. most_records: epochs after which ``run`` surfaces.
    streaming: the data are one batch, and an epoch lasts until ``close_epoch``.
    """
    cdef Plan plan
    cdef Buffers b
    cdef Data data
    cdef Head head
    cdef Evaluator validation
    cdef Updater updater
    cdef Search search        # of L-BFGS, else None
    cdef bint searching
    cdef object index_array, record_array
    cdef uint32_t *index
    cdef double[:, ::1] records
    cdef readonly int recorded
    cdef size_t batch, chunk
    cdef uint64_t seed
    cdef bint check_finite, begun, streaming, closing, sought
    cdef readonly bint validating
    cdef void *g
    cdef readonly uint64_t steps_done, epochs_done, epochs_left
    cdef readonly size_t row, step_in_epoch
    cdef Sums sums, last_batch
    cdef size_t step_every, epoch_every, epochs_run
    cdef size_t accumulate, waiting, row_done  # waiting: batches collected towards the next step
    cdef bint showing  # the step at hand
    cdef readonly double penalty_before
    cdef object twister_array
    cdef uint32_t *twister
    cdef int most_records
    cdef object collected_array
    cdef void *collected

    def __init__(self, Plan plan, Buffers b, Data data, Head head, optimizer, uint64_t steps_done, uint64_t epochs_done,
                 uint64_t epochs, Py_ssize_t batch, bint shuffle, uint64_t seed, validation=None, check_finite=True,
                 Py_ssize_t step_every=0, Py_ssize_t epoch_every=1, twister=None, Py_ssize_t accumulate=1,
                 int most_records=MOST_RECORDS, bint streaming=False, extras=Update()):
        self.plan, self.b, self.data, self.head, self.validation = plan, b, data, head, validation
        self.updater, self.g = Updater(plan, optimizer, steps_done, extras), _address(plan.grads)
        if optimizer[0] == "lbfgs":
            self.search = Search(plan, self.updater, optimizer[1],
                                 any(isinstance(s, (*TRAINING_ONLY, PythonSpec)) for s in plan.specs))
        self.steps_done, self.epochs_done, self.epochs_left = steps_done, epochs_done, epochs
        self.batch, self.seed, self.check_finite = batch, seed, check_finite
        self.step_every, self.epoch_every = step_every, epoch_every
        self.twister_array = twister  # of 625 uint32: fastnn.kernels.twister
        self.twister = NULL if twister is None else <uint32_t *>_address(twister)
        self.accumulate, self.streaming = accumulate, streaming
        self.most_records = most_records
        self.collected_array = np.zeros_like(plan.grads) if accumulate > 1 else None
        self.collected = _address(self.collected_array) if accumulate > 1 else NULL
        self.index_array = np.empty(data.n, np.uint32) if shuffle else None
        self.index = <uint32_t *>_address(self.index_array) if shuffle else NULL
        self.record_array = np.empty((most_records, FIELDS))
        self.records = self.record_array

    @property
    def learning_rate(self):
        """A number, or the name and the parameters of a schedule."""
        return self.updater.given_rate

    @learning_rate.setter
    def learning_rate(self, rate):
        self.updater.learning_rate = rate

    @property
    def decay(self):
        return self.updater.decay

    @decay.setter
    def decay(self, double value):
        self.updater.decay = value

    @property
    def converged(self):
        """Why L-BFGS sees no further step, None where it does, and for every other optimizer."""
        return None if self.search is None else self.search.reason

    @property
    def steps_per_epoch(self):
        return -(-self.data.n // (self.batch * self.accumulate))

    def peek_records(self):
        """Of the epochs up to ``epochs_done`` that are not dropped yet, the records, as rows of RECORD, and whether
        each was validated."""
        taken = self.record_array[:self.recorded]
        return taken[:, :VALIDATED], taken[:, VALIDATED] > 0

    def drop_records(self):
        """Make room: the caller has taken in what ``peek_records`` gave."""
        self.recorded = 0

    def running(self):
        """(loss, accuracy) over the epoch so far."""
        return mean(&self.sums), share(&self.sums, self.head)

    def last_step(self):
        """(loss, accuracy, learning rate) of the last batch."""
        return mean(&self.last_batch), share(&self.last_batch, self.head), self.updater.rate_now

    def first_not_finite(self):
        """Index of the first layer whose output for the last rows is not finite, or None."""
        return self.b.first_not_finite(self.chunk)

    def position(self):
        """Where in its epoch the training is, after the last full step: (row, step, rate, and the epoch's sums)."""
        return (self.row_done, self.step_in_epoch, self.updater.rate_now, self.sums.loss, self.sums.right,
                self.sums.rows, self.sums.elements)

    def seek(self, position):
        """Go on from a ``position`` of an earlier Trainer over the same data."""
        (self.row_done, self.step_in_epoch, self.updater.rate_now, self.sums.loss, self.sums.right, self.sums.rows,
         self.sums.elements) = position
        self.row, self.sought = self.row_done, True

    def feed(self, Data data, Buffers b):
        """Give a stream its next batch."""
        self.data, self.b, self.batch, self.row, self.row_done = data, b, data.n, 0, 0
        if self.head.tally is not None:
            self.head.tally.need_room(data.n)

    def close_epoch(self):
        """Let the epoch of a stream end with what it was fed."""
        self.closing = True

    def regularization_loss(self):
        """The penalties at the present weights."""
        cdef fnn_fp_state found = fnn_fp_enter()
        cdef double penalty = self._penalty()
        fnn_fp_leave(found)
        return penalty

    def gradients(self):
        """Fill plan.grads with the gradient of the mean loss and the penalties over all rows; return the loss (a
        float). Nothing else changes."""
        cdef Step step
        cdef fnn_fp_state found
        cdef double loss
        if self.batch < <size_t>self.data.n:
            raise ValueError("gradients need the whole of the data in one batch")
        scratch(self.b)
        self._begin(&step)
        self.last_batch = Sums(0, 0, 0, 0)
        with nogil:
            found = fnn_fp_enter()
            self._gradients(&step, False)
            loss = mean(&self.last_batch) + self._penalty()
            fnn_fp_leave(found)
        self.b.raise_error()
        return loss

    def run(self, double seconds=INFINITY):
        """Train until all epochs are done or there is a reason to come up, such as that so many seconds have passed;
        returns the reason (DONE, PAUSED, ...)."""
        cdef int why
        cdef fnn_fp_state found
        scratch(self.b)  # raises where there is no memory: from here on it is there for the asking
        if self.validation is not None:
            scratch(self.validation.buffers)
        self.updater.rest()
        if self.search is not None:
            self.search.forget()
        with nogil:
            found = fnn_fp_enter()
            why = self._run(seconds)
            fnn_fp_leave(found)
        self.b.raise_error()
        if self.validation is not None:
            self.validation.buffers.raise_error()
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

    cdef void _begin(self, Step *step) noexcept nogil:
        # Python may have had turns since ``ws`` was asked for, and have made the workspace move
        step.k, step.ws, step.seed = self.plan.k, workspace(self.b.ws_bytes), self.seed
        step.number = self.steps_done + 1 + (<uint64_t>self.waiting << 40)  # each batch of a step has its own masks
        step.twister = self.twister
        step.batch = min(self.batch, <size_t>self.data.n - self.row)
        step.first = 0

    cdef bint _gradients(self, Step *step, bint check) noexcept nogil:
        """The gradients of one batch; its losses are added to last_batch. False at the first chunk of rows in which a
        part written in Python raises or, where check, whose loss is not finite."""
        cdef Targets of
        while step.first < step.batch:
            step.rows = self.chunk = min(<size_t>self.b.rows, step.batch - step.first)
            of = self._forward(step)
            add_up(&self.last_batch, self.head, self.b, step, &of)
            if self.b.failed:
                return False
            if check and not isfinite(self.last_batch.loss):
                return False
            self._backward(step, &of)
            if self.b.failed:
                return False
            step.first += step.rows
        return True

    cdef Targets _forward(self, const Step *step) noexcept nogil:
        load_x(self.data, self.b, step, self.index, self.row + step.first)
        self.b.forward(step)
        return load_targets(self.data, self.b, step, self.index, self.row + step.first)

    cdef void _backward(self, const Step *step, const Targets *of) noexcept nogil:
        if self.b.count == 0:
            return
        seed_gradient(self.head, self.b, step, of, 1.0 / <double>step.batch)
        self.b.backward(step)

    cdef bint _shown(self) noexcept nogil:
        """Whether the caller has asked to see the step at hand: every step_every-th and the last, of every
        epoch_every-th epoch."""
        return (self.step_every > 0 and (self.epochs_run + 1) % self.epoch_every == 0
                and (self.step_in_epoch % self.step_every == 0 or self.row + self.batch >= <size_t>self.data.n))

    cdef bint _step(self) noexcept nogil:
        """One batch, and the step that it completes. False, and nothing changed, where its loss is not finite and that
        is checked."""
        cdef Step step
        if self.search is not None:
            return self._look()
        self._begin(&step)
        if not self.waiting:
            self.last_batch = Sums(0, 0, 0, 0)
        if not self._gradients(&step, self.check_finite):
            return False
        self.row += step.batch
        if self.accumulate > 1 and not self._collect(step.batch):
            return True
        self._update()
        return not self.b.failed

    cdef bint _collect(self, size_t rows) noexcept nogil:
        """Add the batch's gradient to those that wait, by its rows; whether the step is due. The penalties' gradient is
        part of each and comes out of the mean as it went in. What lies behind the gradients, moments of the batch, is
        averaged in the same way."""
        if not self.waiting:
            memset(self.collected, 0, self.plan.size * self.plan.k.itemsize)
        # the kernel adds 2 l2 w: here the gradient times the rows it is a mean over
        self.plan.k.penalty_grad_acc(self.collected, self.g, self.plan.size, 0.0, 0.5 * <double>rows)
        self.waiting += 1
        return self.waiting == self.accumulate or (self.row >= <size_t>self.data.n and not self.streaming)

    cdef bint _look(self) noexcept nogil:
        """Of L-BFGS: loss and gradient at one place, and the step that this completes. False where there is none."""
        cdef Step step
        cdef double rate = self.updater.rate_at(self.b, self.steps_done)
        cdef int what = LOOK
        if self.plan.ended or self.b.failed:  # the first: and was resumed
            return False
        if self.search.known and not self.searching:
            what = self.search.go(rate)
        if what == LOOK:
            self._begin(&step)
            self.last_batch = Sums(0, 0, 0, 0)
            if self.head.tally is not None:
                self.head.tally.rollback()  # of the look before: only the step's end counts
            self._gradients(&step, False)
            if self.b.failed:
                return False
            what = self.search.take(mean(&self.last_batch) + self._penalty(), rate)
        self.searching = what == LOOK
        if what == LOOK:
            return True
        if what == NO_STEP or what == NO_LOSS:
            return False
        if not self.updater.follow(self.b, self.steps_done):
            return False
        if self.updater.follows:
            self.search.forget()  # where the average took the parameters' place
        if self.b.settles:
            self.b.settle()
        self.row = self.data.n
        self._count()
        return True

    cdef void _update(self) noexcept nogil:
        """Move the weights by the gradient at hand."""
        if self.waiting:
            self.plan.k.affine(self.g, self.collected, self.plan.size, 1.0 / <double>self.last_batch.rows, 0.0)
        if self.showing:
            self.penalty_before = self._penalty()
        if self.updater.step(self.b, self.steps_done):
            if self.b.settles:
                self.b.settle()
            self._count()

    cdef void _count(self) noexcept nogil:
        """The step is done."""
        self.waiting = 0
        self.steps_done += 1
        self.row_done = self.row
        self.step_in_epoch += 1
        self.sums.loss += self.last_batch.loss
        self.sums.right += self.last_batch.right
        self.sums.rows += self.last_batch.rows
        self.sums.elements += self.last_batch.elements
        if self.head.tally is not None:
            self.head.tally.commit()

    def settle(self):
        """After a break: back from within a step to where it began."""
        if self.search is not None:
            self.search.give_up()
            self.searching = False

    def finish_epoch(self):
        """After a break: record an epoch whose steps are all done, without its validation if that was not reached."""
        cdef fnn_fp_state found
        if self.epochs_left and not self.waiting and (
                self.closing if self.streaming else self.row_done >= <size_t>self.data.n):
            found = fnn_fp_enter()
            self._record(False)
            fnn_fp_leave(found)

    cdef void _record(self, bint validated) noexcept nogil:
        cdef double *r = &self.records[self.recorded, 0]
        r[DATA_LOSS] = mean(&self.sums)
        r[REGULARIZATION_LOSS] = self._penalty()
        r[ACCURACY] = share(&self.sums, self.head)
        r[LEARNING_RATE] = self.updater.rate_now
        r[VAL_LOSS] = r[VAL_ACCURACY] = NAN
        r[VALIDATED] = validated
        if validated:
            r[VAL_LOSS] = mean(&self.validation.sums)
            r[VAL_ACCURACY] = share(&self.validation.sums, self.validation.head)
        self.recorded += 1
        self.epochs_done += 1
        self.epochs_run += 1
        self.epochs_left -= 1
        self.row = self.row_done = self.step_in_epoch = 0
        self.validating = self.begun = self.closing = False

    cdef void _start_epoch(self) noexcept nogil:
        self.begun = True
        if self.sought:  # seek() has set the sums
            self.sought = False
        else:
            self.sums = Sums(0, 0, 0, 0)
            if self.head.tally is not None:
                self.head.tally.start()
        if self.index != NULL:
            permutation(self.index, self.data.n, self.seed, STREAM_SHUFFLE, self.epochs_done)

    cdef int _run(self, double seconds) noexcept nogil:
        cdef double now = fnn_seconds(), until = now + min(1.0 / BREATHS, seconds), looked = now
        cdef size_t stride = 1, since = 0, n = self.data.n
        while self.epochs_left:
            if not self.begun:
                self._start_epoch()
            while self.row < n:
                self.showing = self._shown()
                if not self._step():
                    return NO_FURTHER if self.search is not None and self.plan.ended else NOT_FINITE
                if self.showing and not self.waiting and not self.searching:
                    return STEP_DONE
                since += 1
                if since >= stride:  # the clock costs 20 ns: look at it about every millisecond
                    since = 0
                    now = fnn_seconds()
                    if now > until:
                        return AIR
                    stride = stride * 2 if now - looked < CLOCK_EVERY else (stride + 1) // 2
                    looked = now
            if self.streaming and not self.closing:
                return DATA_USED
            if self.waiting:  # a stream that ended within a step
                self._update()
                if self.b.failed:
                    return NOT_FINITE  # run() raises
                if self.step_every:
                    return STEP_DONE
            if self.validation is not None:
                if not self.validating:
                    self.validation.start()
                self.validating = not self.validation.go_on(workspace(self.validation.buffers.ws_bytes), until)
                if self.validation.buffers.failed:
                    return NOT_FINITE  # run() raises
                if self.validating:
                    return AIR
            self._record(self.validation is not None)
            if self.search is not None and self.plan.ended:
                return NO_FURTHER
            if self.recorded == self.most_records:
                return RECORDS_FULL
        return ALL_DONE


cdef void *_address(cnp.ndarray array):
    return cnp.PyArray_DATA(array)
