"""Rows in, predictions and sums out: what training and inference have in common, and the loops of inference.

Data are gathered as they lie: any stride and number type, scaled on the way where the plan begins with that.
"""
import numpy as np

cimport numpy as cnp
from libc.math cimport NAN
from libc.stdint cimport int32_t, uint32_t
from libc.string cimport memcpy

from fastnn._core cimport fnn_fp_enter, fnn_fp_leave, fnn_fp_state, gather_shared, workspace
from fastnn.engine.buffers cimport Buffers
from fastnn.engine.ops cimport Step
from fastnn.engine.plan cimport Plan
from fastnn.engine.tally cimport Tally
from fastnn._core import LOSSES, METRICS, SOURCES
from fastnn.engine import link
from fastnn.kernels.losses import HEADS

cnp.import_array()


_KNOWN = {np.dtype(name): number for name, number in SOURCES.items()}  # of this machine's byte order


cdef Source _source(cnp.ndarray array, dtype):
    cdef Source s
    cdef object found = array.dtype
    if found not in _KNOWN:
        raise TypeError(f"cannot gather from {found}")
    s.data = <const char *>cnp.PyArray_DATA(array)
    s.type = _KNOWN[found]
    s.row_bytes, s.col_bytes, s.cols = array.strides[0], array.strides[1], array.shape[1]
    s.dense = found == dtype and cnp.PyArray_ISCARRAY_RO(array)
    return s


cdef class Data:
    """Rows to work on: X (n, n_in) of any gatherable type and strides, with targets (n, n_out) or int32 labels (n), or
    neither; weights (n, 1) of the rows, or None for 1. Keeps the arrays alive; checks nothing (the model does)."""

    def __init__(self, Plan plan, X, targets=None, labels=None, weights=None):
        self.arrays = (X, targets, labels, weights)
        self.weighted = weights is not None
        if self.weighted:
            self.w = _source(weights, plan.dtype)
        self.n = X.shape[0]
        self.x = _source(X, plan.dtype)
        if targets is not None:
            self.t = _source(targets, plan.dtype)
        if labels is not None:
            self.labels = <const int32_t *>cnp.PyArray_DATA(labels)

    @property
    def has_labels(self):
        """Whether the targets are class labels."""
        return self.labels != NULL

    @staticmethod
    def can_gather(dtype):
        """Whether arrays of this type are read as they are (others are converted first)."""
        return np.dtype(dtype) in _KNOWN


cdef class Head:
    """The loss and what is counted. head: the loss's gradient is merged with the last activation's.

    loss, metric: names of the registry (metric may be None); limit: of the metric, as fnn.h says; parameter: the
    loss's; keep, floor: the loss sees targets * keep + floor (label smoothing), the metric never does. part: a loss
    written in Python, in place of the name's kernel. tally: what metrics count beside.
    """

    def __init__(self, str loss, bint merged, metric=None, double limit=0.0, double parameter=0.0, double keep=1.0,
                 double floor=0.0, part=None, Tally tally=None):
        self.tally = tally
        self.python, self.part = part is not None, part
        self.loss = -1 if self.python else LOSSES[loss]
        self.merged, self.limit, self.parameter = merged, limit, parameter
        self.keep, self.floor, self.smoothed = keep, floor, keep != 1.0 or floor != 0.0
        self.metric = -1 if metric is None else METRICS[metric]
        self.mean_over_outputs = merged and HEADS[loss] == "mean"


cdef void add_up(Sums *s, Head head, Buffers b, const Step *step, Targets *of) noexcept nogil:
    """Losses and accuracy of the batch whose predictions lie in b. Leaves in `of` the targets that the gradient is of:
    they are smoothed only once the accuracy has seen them."""
    cdef const void *p = b.output()
    cdef size_t cols = b.plan.n_out
    if b.failed:
        return
    if head.metric >= 0:
        s.right += step.k.metric_count[head.metric](p, of.t, of.labels, step.rows, cols, head.limit)
    if head.tally is not None:
        head.tally.add(p, of.t, of.labels, step.rows)
    if head.smoothed:
        if of.t != NULL:
            step.k.affine(b.t, of.t, step.rows * cols, head.keep, head.floor)
        else:
            step.k.one_hot(b.t, of.labels, step.rows, cols, head.floor, head.keep + head.floor)
        of.t, of.labels = b.t, NULL
    if head.python:
        s.loss = python_losses(head, b, step, of, s.loss)
    else:
        step.k.loss_fwd[head.loss](b.losses, p, of.t, of.labels, step.rows, cols, head.parameter)
        if of.weights != NULL:
            step.k.multiply(b.losses, b.losses, of.weights, step.rows)
        s.loss = step.k.sum(s.loss, b.losses, step.rows)
    s.rows += step.rows
    s.elements += step.rows * (1 if head.metric == 0 else cols)


cdef double python_losses(Head head, Buffers b, const Step *step, const Targets *of, double so_far) noexcept with gil:
    """so_far and the weighted sum of a loss written in Python; what it raises waits in the buffers."""
    cdef cnp.ndarray weights
    try:
        p, targets = python_arrays(b, step, of)
        if of.weights == NULL:
            return link.losses(head.part, p, targets, None, so_far)
        weights = np.empty(step.rows, b.plan.dtype)
        memcpy(cnp.PyArray_DATA(weights), of.weights, cnp.PyArray_NBYTES(weights))
        return link.losses(head.part, p, targets, weights, so_far)
    except BaseException as error:
        error.add_note(f"in formula of the loss {type(head.part).__name__}")
        b.fail(error)
        return NAN
    finally:
        (<Step *>step).ws = workspace(b.ws_bytes)
        fnn_fp_enter()


cdef object python_arrays(Buffers b, const Step *step, const Targets *of):
    """(predictions, targets) of the batch in b, as arrays of their own; targets are labels where those are given."""
    cdef cnp.ndarray p = np.empty((step.rows, b.plan.n_out), b.plan.dtype)
    cdef cnp.ndarray targets
    memcpy(cnp.PyArray_DATA(p), b.output(), cnp.PyArray_NBYTES(p))
    if of.labels != NULL:
        targets = np.empty(step.rows, np.int32)
        memcpy(cnp.PyArray_DATA(targets), of.labels, cnp.PyArray_NBYTES(targets))
        return p.astype(np.float64), targets
    targets = np.empty((step.rows, b.plan.n_out), b.plan.dtype)
    memcpy(cnp.PyArray_DATA(targets), of.t, cnp.PyArray_NBYTES(targets))
    return p.astype(np.float64), targets.astype(np.float64)


cdef void seed_gradient(Head head, Buffers b, const Step *step, const Targets *of, double scale) noexcept nogil:
    """Where the backward pass begins: scale times the gradient of each row's loss, times its weight, by the predictions
    in b, or by what the last activation is of where the two are merged."""
    cdef char *dp = b.ops[b.count - 1].dy
    cdef size_t cols = b.plan.n_out
    if head.merged:
        if head.mean_over_outputs:
            scale /= <double>cols
        step.k.residual(dp, b.output(), of.t, of.labels, step.rows, cols, scale)
    elif head.python:
        python_gradient(head, b, step, of, scale)
    else:
        step.k.loss_bwd[head.loss](dp, b.output(), of.t, of.labels, step.rows, cols, scale, head.parameter)
    if of.weights != NULL:
        step.k.scale_rows(dp, dp, of.weights, step.rows, cols)


cdef void python_gradient(Head head, Buffers b, const Step *step, const Targets *of, double scale) noexcept with gil:
    """The gradient of a loss written in Python; what it raises waits in the buffers."""
    cdef cnp.ndarray dp
    try:
        p, targets = python_arrays(b, step, of)
        dp = link.loss_gradient(head.part, p, targets, scale).astype(b.plan.dtype)
        memcpy(b.ops[b.count - 1].dy, cnp.PyArray_DATA(dp), cnp.PyArray_NBYTES(dp))
    except BaseException as error:
        error.add_note(f"in derivative of the loss {type(head.part).__name__}")
        b.fail(error)
    finally:
        (<Step *>step).ws = workspace(b.ws_bytes)
        fnn_fp_enter()


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
        if b.input_readers > 1:
            b.spread_input(<char *>x)
    elif x != b.x:  # no operation: the rows themselves are the output
        memcpy(b.x, x, step.rows * <size_t>b.plan.n_in * step.k.itemsize)


cdef Targets load_targets(Data d, Buffers b, const Step *step, const uint32_t *index, size_t first) noexcept nogil:
    cdef Targets of
    cdef size_t i
    of.t, of.labels, of.weights = NULL, NULL, NULL
    if d.labels == NULL:
        load_rows(&d.t, b.t, step, index, first, &of.t)
    elif index == NULL:
        of.labels = d.labels + first
    else:
        for i in range(step.rows):
            b.labels[i] = d.labels[index[first + i]]
        of.labels = b.labels
    if d.weighted:
        load_rows(&d.w, b.weights, step, index, first, &of.weights)
    return of


cdef class Evaluator:
    """Loss and accuracy of a plan over data, in blocks of rows."""

    def __init__(self, Plan plan, Buffers buffers, Data data, Head head):
        self.plan, self.buffers, self.data, self.head = plan, buffers, data, head

    cdef void start(self) noexcept nogil:
        self.sums = Sums(0, 0, 0, 0)
        self.done = 0
        if self.head.tally is not None:
            self.head.tally.start()

    cdef bint go_on(self, void *ws, double until) noexcept nogil:
        """Work until all rows are done (True) or the clock says so."""
        cdef Step step
        cdef Targets of
        step.k, step.ws = self.plan.k, ws
        while self.done < <size_t>self.data.n and not self.buffers.failed:
            step.rows = min(<size_t>self.buffers.rows, <size_t>self.data.n - self.done)
            load_x(self.data, self.buffers, &step, NULL, self.done)
            self.buffers.forward(&step)
            of = load_targets(self.data, self.buffers, &step, NULL, self.done)
            add_up(&self.sums, self.head, self.buffers, &step, &of)
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
    cdef char *to = <char *>cnp.PyArray_DATA(out)
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
