"""Rows in, predictions and sums out: what training and inference have in common, and the loops of inference.

Data are gathered as they lie: any stride and number type, scaled on the way where the plan begins with that.
"""
import numpy as np

cimport numpy as cnp
from libc.math cimport NAN
from libc.stdint cimport int32_t, uint32_t, uintptr_t
from libc.string cimport memcpy

from fastnn._core cimport fnn_fp_enter, fnn_fp_leave, fnn_fp_state, gather_shared, workspace
from fastnn.engine.plan cimport Buffers, Plan, Step
from fastnn._core import LOSSES, METRICS, SOURCES
from fastnn.engine import link

cnp.import_array()


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

    loss, metric: names of the registry (metric may be None); precision: of the regression accuracy. part: a loss
    written in Python, in place of the name's kernel.
    """

    def __init__(self, str loss, bint merged, metric=None, double precision=0.0, part=None):
        self.python, self.part = part is not None, part
        self.loss, self.merged, self.precision = -1 if self.python else LOSSES[loss], merged, precision
        self.metric = -1 if metric is None else METRICS[metric]
        self.mean_over_outputs = merged and loss == "binary_crossentropy"


cdef void add_up(Sums *s, Head head, Buffers b, const Step *step, const void *t, const int32_t *labels) noexcept nogil:
    """Losses and accuracy of the batch whose predictions lie in b."""
    cdef const void *p = b.output()
    cdef size_t cols = b.plan.n_out
    if b.failed:
        return
    if head.python:
        s.loss += python_losses(head, b, step, <const char *>t, labels)
    else:
        step.k.loss_fwd[head.loss](b.losses, p, t, labels, step.rows, cols)
        s.loss += step.k.sum(b.losses, step.rows)
    if head.metric >= 0:
        s.right += step.k.metric_count[head.metric](p, t, labels, step.rows, cols, head.precision)
    s.rows += step.rows
    s.elements += step.rows * (1 if head.metric == 0 else cols)


cdef double python_losses(Head head, Buffers b, const Step *step, const char *t,
                          const int32_t *labels) noexcept with gil:
    """The sum of a loss written in Python; what it raises waits in the buffers."""
    try:
        p, targets = python_arrays(head, b, step, t, labels)
        return link.losses(head.part, p, targets)
    except BaseException as error:
        error.add_note(f"in formula of the loss {type(head.part).__name__}")
        b.fail(error)
        return NAN
    finally:
        (<Step *>step).ws = workspace(b.ws_bytes)


cdef object python_arrays(Head head, Buffers b, const Step *step, const char *t, const int32_t *labels):
    """(predictions, targets) of the batch in b, as arrays of their own; targets are labels where those are given."""
    cdef cnp.ndarray p = np.empty((step.rows, b.plan.n_out), b.plan.dtype)
    cdef cnp.ndarray targets
    memcpy(cnp.PyArray_DATA(p), b.output(), cnp.PyArray_NBYTES(p))
    if labels != NULL:
        targets = np.empty(step.rows, np.int32)
        memcpy(cnp.PyArray_DATA(targets), labels, cnp.PyArray_NBYTES(targets))
        return p.astype(np.float64), targets
    targets = np.empty((step.rows, b.plan.n_out), b.plan.dtype)
    memcpy(cnp.PyArray_DATA(targets), t, cnp.PyArray_NBYTES(targets))
    return p.astype(np.float64), targets.astype(np.float64)


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
        while self.done < <size_t>self.data.n and not self.buffers.failed:
            step.rows = min(<size_t>self.buffers.rows, <size_t>self.data.n - self.done)
            load_x(self.data, self.buffers, &step, NULL, self.done)
            self.buffers.forward(&step)
            load_targets(self.data, self.buffers, &step, NULL, self.done, &t, &labels)
            add_up(&self.sums, self.head, self.buffers, &step, t, labels)
            self.done += step.rows
            if fnn_seconds() > until:
                return self.done == <size_t>self.data.n
        return True  # also where an operation in Python has raised: the caller sees that

    def run(self, air):
        """(mean loss, accuracy): accuracy is NaN where nothing is counted. ``air()`` is called about ten times a
        second."""
        cdef void *ws
        cdef bint done = False
        cdef fnn_fp_state found
        self.start()
        while not done:
            ws = scratch(self.buffers)
            with nogil:
                found = fnn_fp_enter()
                done = self.go_on(ws, fnn_seconds() + 1.0 / BREATHS)
                fnn_fp_leave(found)
            self.buffers.raise_error()
            air()
        return mean(&self.sums), share(&self.sums, self.head)


cdef void *scratch(Buffers b) except? NULL:
    cdef void *ws = workspace(b.ws_bytes)
    if ws == NULL:
        raise MemoryError(f"no memory for {b.ws_bytes} bytes of scratch")
    return ws


cdef double mean(const Sums *s) noexcept nogil:
    return s.loss / <double>s.rows if s.rows else NAN


cdef double share(const Sums *s, Head head) noexcept nogil:
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
        step.k, step.ws = plan.k, scratch(buffers)
        with nogil:
            found = fnn_fp_enter()
            until = fnn_seconds() + 1.0 / BREATHS
            while done < n and not buffers.failed:
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
        buffers.raise_error()
        air()
    return out


cdef void load_only(Data d, Plan plan, const Step *step, char *to, size_t first) noexcept nogil:
    """A plan of nothing but scaling."""
    step.k.gather(to, d.x.data + <Py_ssize_t>first * d.x.row_bytes, d.x.type, NULL, step.rows, d.x.cols, d.x.row_bytes,
                  d.x.col_bytes)
    if plan.input_affine:
        step.k.affine(to, to, step.rows * <size_t>plan.n_in, plan.input_scale, plan.input_shift)
