"""The loops: training, evaluation and prediction, each one native call that needs no GIL and allocates nothing.

``Trainer.run`` comes up for air about ten times a second, so that Ctrl-C and a progress bar work, and whenever its
caller has asked to see a step or an epoch.
"""
import numpy as np

cimport numpy as cnp
from libc.math cimport NAN, isfinite
from libc.stdint cimport int32_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memcpy

from fastnn._core cimport (
    fnn_fp_enter, fnn_fp_leave, fnn_fp_state, gather_shared, opt_step_shared, permutation, workspace,
)
from fastnn.engine.plan cimport Buffers, Plan, Step
from fastnn._core import LOSSES, METRICS, OPTIMIZERS, SOURCES
from fastnn.engine.spec import STREAM_SHUFFLE as PYTHON_STREAM_SHUFFLE

cdef extern from "clock.h" nogil:
    double fnn_seconds() noexcept

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

cdef double BREATH = 0.1        # seconds between two surfacings
cdef double CLOCK_EVERY = 1e-3  # seconds between two looks at the clock
cdef uint32_t STREAM_SHUFFLE = PYTHON_STREAM_SHUFFLE

cdef struct Source:
    const char *data
    int type
    Py_ssize_t row_bytes, col_bytes
    size_t cols
    bint dense  # rows of the engine's own type, side by side: may be read where they lie


cdef Source _source(array, dtype):
    cdef Source s
    if array.dtype.name not in SOURCES or not array.dtype.isnative:
        raise TypeError(f"cannot gather from {array.dtype}")
    s.data = <const char *><uintptr_t>array.ctypes.data
    s.type = SOURCES[array.dtype.name]
    s.row_bytes, s.col_bytes, s.cols = array.strides[0], array.strides[1], array.shape[1]
    s.dense = (array.dtype == dtype and array.flags.c_contiguous
               and array.ctypes.data % array.dtype.itemsize == 0)
    return s


cdef class Data:
    """Rows to work on: X (n, n_in) of any gatherable type and strides, with targets (n, n_out) or int32 labels (n), or
    neither. Keeps the arrays alive; checks nothing (the model does)."""
    cdef object arrays
    cdef Source x, t
    cdef const int32_t *labels
    cdef readonly Py_ssize_t n

    def __init__(self, Plan plan, X, targets=None, labels=None):
        self.arrays = (X, targets, labels)
        self.n = X.shape[0]
        self.x = _source(X, plan.dtype)
        if targets is not None:
            self.t = _source(targets, plan.dtype)
        if labels is not None:
            self.labels = <const int32_t *><uintptr_t>labels.ctypes.data

    @staticmethod
    def can_gather(dtype):
        """Whether arrays of this type are read as they are (others are converted first)."""
        dtype = np.dtype(dtype)
        return dtype.isnative and dtype.name in SOURCES


cdef class Head:
    """The loss and what is counted. head: the loss's gradient is merged with the last activation's.

    loss, metric: names of the registry (metric may be None); precision: of the regression accuracy.
    """
    cdef readonly bint merged
    cdef int loss, metric
    cdef double precision
    cdef bint mean_over_outputs

    def __init__(self, str loss, bint merged, metric=None, double precision=0.0):
        self.loss, self.merged, self.precision = LOSSES[loss], merged, precision
        self.metric = -1 if metric is None else METRICS[metric]
        self.mean_over_outputs = merged and loss == "binary_crossentropy"


# what a pass over some rows adds up, in float64
cdef struct Sums:
    double loss
    uint64_t right, rows, elements


cdef void add_up(Sums *s, Head head, Buffers b, const Step *step, const void *t, const int32_t *labels) noexcept nogil:
    """Losses and accuracy of the batch whose predictions lie in b."""
    cdef const void *p = b.output()
    cdef size_t cols = b.plan.n_out
    step.k.loss_fwd[head.loss](b.losses, p, t, labels, step.rows, cols)
    s.loss += step.k.sum(b.losses, step.rows)
    if head.metric >= 0:
        s.right += step.k.metric_count[head.metric](p, t, labels, step.rows, cols, head.precision)
    s.rows += step.rows
    s.elements += step.rows * (1 if head.metric == 0 else cols)


cdef void load_rows(Source *source, char *to, const Step *step, const uint32_t *index, size_t first,
                    const char **where) noexcept nogil:
    """Rows [first, first + step.rows), or those that index names there, in `to`; where they lie dense, only a
    pointer."""
    cdef const char *data = source.data
    if index != NULL:
        index += first
    else:
        data += <Py_ssize_t>first * source.row_bytes
        if source.dense:
            where[0] = data
            return
    gather_shared(step.k, to, data, source.type, index, step.rows, source.cols, source.row_bytes, source.col_bytes)
    where[0] = to


cdef void load_x(Data d, Buffers b, const Step *step, const uint32_t *index, size_t first) noexcept nogil:
    cdef const char *x
    load_rows(&d.x, b.x, step, index, first, &x)
    if b.plan.input_affine:
        step.k.affine(b.x, x, step.rows * <size_t>b.plan.n_in, b.plan.input_scale, b.plan.input_shift)
        x = b.x
    if b.count:
        b.ops[0].x = <char *>x
    elif x != b.x:  # no operation: the rows themselves are the output
        memcpy(b.x, x, step.rows * <size_t>b.plan.n_in * step.k.itemsize)


cdef void load_targets(Data d, Buffers b, const Step *step, const uint32_t *index, size_t first, const char **t,
                       const int32_t **labels) noexcept nogil:
    cdef size_t i
    t[0] = NULL
    labels[0] = NULL
    if d.labels == NULL:
        load_rows(&d.t, b.t, step, index, first, t)
    elif index == NULL:
        labels[0] = d.labels + first
    else:
        for i in range(step.rows):
            b.labels[i] = d.labels[index[first + i]]
        labels[0] = b.labels


cdef class Evaluator:
    """Loss and accuracy of a plan over data, in blocks of rows."""
    cdef Plan plan
    cdef Buffers buffers
    cdef Data data
    cdef Head head
    cdef Sums sums
    cdef size_t done

    def __init__(self, Plan plan, Buffers buffers, Data data, Head head):
        self.plan, self.buffers, self.data, self.head = plan, buffers, data, head

    cdef void start(self) noexcept nogil:
        self.sums = Sums(0, 0, 0, 0)
        self.done = 0

    cdef bint go_on(self, void *ws, double until) noexcept nogil:
        """Work until all rows are done (True) or the clock says so."""
        cdef Step step
        cdef const char *t
        cdef const int32_t *labels
        step.k, step.ws = self.plan.k, ws
        while self.done < <size_t>self.data.n:
            step.rows = min(<size_t>self.buffers.rows, <size_t>self.data.n - self.done)
            load_x(self.data, self.buffers, &step, NULL, self.done)
            self.buffers.forward(&step)
            load_targets(self.data, self.buffers, &step, NULL, self.done, &t, &labels)
            add_up(&self.sums, self.head, self.buffers, &step, t, labels)
            self.done += step.rows
            if fnn_seconds() > until:
                return self.done == <size_t>self.data.n
        return True

    def run(self, air):
        """(mean loss, accuracy): accuracy is NaN where nothing is counted. ``air()`` is called about ten times a
        second."""
        cdef void *ws
        cdef bint done = False
        cdef fnn_fp_state found
        self.start()
        while not done:
            ws = _scratch(self.buffers)
            with nogil:
                found = fnn_fp_enter()
                done = self.go_on(ws, fnn_seconds() + BREATH)
                fnn_fp_leave(found)
            air()
        return _mean(&self.sums), _share(&self.sums, self.head)


cdef void *_scratch(Buffers b) except? NULL:
    cdef void *ws = workspace(b.ws_bytes)
    if ws == NULL:
        raise MemoryError(f"no memory for {b.ws_bytes} bytes of scratch")
    return ws


cdef double _mean(const Sums *s) noexcept nogil:
    return s.loss / <double>s.rows if s.rows else NAN


cdef double _share(const Sums *s, Head head) noexcept nogil:
    return <double>s.right / <double>s.elements if head.metric >= 0 and s.elements else NAN


def predict(Plan plan, Buffers buffers, Data data, out, air):
    """out (n, n_out), of the plan's type and contiguous, = the predictions. ``air()`` is called about ten times a
    second."""
    cdef Step step
    cdef size_t done = 0, n = data.n
    cdef char *to = <char *><uintptr_t>out.ctypes.data
    cdef size_t row_bytes = <size_t>plan.n_out * plan.k.itemsize
    cdef char *kept_y = NULL
    cdef char *kept_z = NULL
    cdef double until
    cdef fnn_fp_state found
    cdef int last = buffers.count - 1
    if last >= 0:
        kept_y, kept_z = buffers.ops[last].y, buffers.ops[last].z
    while done < n:
        step.k, step.ws = plan.k, _scratch(buffers)
        with nogil:
            found = fnn_fp_enter()
            until = fnn_seconds() + BREATH
            while done < n:
                step.rows = min(<size_t>buffers.rows, n - done)
                if last >= 0:  # the last operation writes where the caller wants it
                    buffers.ops[last].y = buffers.ops[last].z = to + done * row_bytes
                    load_x(data, buffers, &step, NULL, done)
                    buffers.forward(&step)
                else:
                    load_only(data, plan, &step, to + done * row_bytes, done)
                done += step.rows
                if fnn_seconds() > until:
                    break
            fnn_fp_leave(found)
        if last >= 0:
            buffers.ops[last].y, buffers.ops[last].z = kept_y, kept_z
        air()
    return out


cdef void load_only(Data d, Plan plan, const Step *step, char *to, size_t first) noexcept nogil:
    """A plan of nothing but scaling."""
    step.k.gather(to, d.x.data + <Py_ssize_t>first * d.x.row_bytes, d.x.type, NULL, step.rows, d.x.cols, d.x.row_bytes,
                  d.x.col_bytes)
    if plan.input_affine:
        step.k.affine(to, to, step.rows * <size_t>plan.n_in, plan.input_scale, plan.input_shift)


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
    cdef size_t batch
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
        return _mean(&self.sums), _share(&self.sums, self.head)

    def last_step(self):
        """(loss, accuracy, learning rate) of the last batch."""
        return _mean(&self.last_batch), _share(&self.last_batch, self.head), self.rate_now

    def first_not_finite(self):
        """Index of the first layer whose output for the last batch is not finite, or None."""
        return self.b.first_not_finite(min(self.batch, <size_t>self.data.n - self.row))

    def regularization_loss(self):
        """The penalties at the present weights."""
        return self._penalty()

    def gradients(self):
        """Fill plan.grads with the gradient of the mean loss and the penalties over all rows; return the loss (a
        float). Nothing else changes."""
        cdef Step step
        cdef Sums sums
        cdef const char *t
        cdef const int32_t *labels
        cdef fnn_fp_state found
        if self.batch < <size_t>self.data.n:
            raise ValueError("gradients need the whole of the data in one batch")
        self._begin(&step, _scratch(self.b))
        sums = Sums(0, 0, 0, 0)
        with nogil:
            found = fnn_fp_enter()
            self._forward(&step, &t, &labels)
            add_up(&sums, self.head, self.b, &step, t, labels)
            self._backward(&step, t, labels)
            fnn_fp_leave(found)
        return _mean(&sums) + self._penalty()

    def run(self):
        """Train until all epochs are done or there is a reason to come up; returns the reason (DONE, PAUSED, ...)."""
        cdef int why
        cdef fnn_fp_state found
        cdef void *ws = _scratch(self.b)
        if self.validation is not None and self.validation.buffers.ws_bytes > self.b.ws_bytes:
            ws = _scratch(self.validation.buffers)
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
        step.rows = min(self.batch, <size_t>self.data.n - self.row)

    cdef void _forward(self, const Step *step, const char **t, const int32_t **labels) noexcept nogil:
        load_x(self.data, self.b, step, self.index, self.row)
        self.b.forward(step)
        load_targets(self.data, self.b, step, self.index, self.row, t, labels)

    cdef void _backward(self, const Step *step, const char *t, const int32_t *labels) noexcept nogil:
        cdef double scale = 1.0 / <double>step.rows
        cdef char *dp
        cdef size_t cols = self.plan.n_out
        if self.b.count == 0:
            return
        dp = self.b.ops[self.b.count - 1].dy
        if self.head.merged:
            if self.head.mean_over_outputs:
                scale /= <double>cols
            step.k.residual(dp, self.b.output(), t, labels, step.rows, cols, scale)
        else:
            step.k.loss_bwd[self.head.loss](dp, self.b.output(), t, labels, step.rows, cols, scale)
        self.b.backward(step)

    cdef bint _step(self, void *ws) noexcept nogil:
        """One batch. False, and nothing changed, where its loss is not finite and that is checked."""
        cdef Step step
        cdef const char *t
        cdef const int32_t *labels
        self._begin(&step, ws)
        self._forward(&step, &t, &labels)
        self.last_batch = Sums(0, 0, 0, 0)
        add_up(&self.last_batch, self.head, self.b, &step, t, labels)
        if self.check_finite and not isfinite(self.last_batch.loss):
            return False
        self._backward(&step, t, labels)
        self.rate_now = self.learning_rate / (1.0 + self.decay * <double>self.steps_done)
        opt_step_shared(step.k, self.optimizer, self.w, self.s0, self.s1, self.g, self.plan.size, self.rate_now,
                        self.parameters, step.number)
        self.steps_done += 1
        self.row += step.rows
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
        r[DATA_LOSS] = _mean(&self.sums)
        r[REGULARIZATION_LOSS] = self._penalty()
        r[ACCURACY] = _share(&self.sums, self.head)
        r[LEARNING_RATE] = self.rate_now
        r[VAL_LOSS] = r[VAL_ACCURACY] = NAN
        if validated:
            r[VAL_LOSS] = _mean(&self.validation.sums)
            r[VAL_ACCURACY] = _share(&self.validation.sums, self.validation.head)
        self.recorded += 1
        self.epochs_done += 1
        self.epochs_left -= 1
        self.row = self.step_in_epoch = 0
        self.validating = False

    cdef int _run(self, void *ws) noexcept nogil:
        cdef double now = fnn_seconds(), until = now + BREATH, looked = now
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
