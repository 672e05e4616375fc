"""Losses, the fused heads and the accuracies on typed memoryviews. The mathematics stands in csrc/kernels/losses.h.

Targets are either class labels (int32, one a row) or a dense array of the predictions' shape; pass None for the other.
"""
cimport numpy as cnp
from cython cimport floating
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

from fastnn._core cimport (
    FNN_F32, FNN_F64, fnn_fp_enter, fnn_fp_leave, fnn_fp_state, fnn_kernels, loss_number, table, traits_of_loss,
    workspace,
)
from fastnn.kernels.activations cimport activation_of
from fastnn.kernels.plain cimport fresh, plain, table_of
from fastnn._core import LOSS_TARGETS, LOSSES, METRICS

cnp.import_array()

# the losses whose gradient merges with the activation before into p - t, and whether they are a mean over the outputs
HEADS = {"categorical_crossentropy": "sum", "kl_divergence": "sum", "binary_crossentropy": "mean"}


cdef _check_targets(bint takes_labels, Py_ssize_t rows, Py_ssize_t cols, t_shape, const int32_t[::1] labels):
    """Exactly one kind of target, of the right size, every label a class: the kernels trust them."""
    cdef Py_ssize_t i
    if (t_shape is None) == (labels is None):
        raise ValueError("targets: expected either dense targets or labels, got both or neither")
    if t_shape is not None:
        if t_shape != (rows, cols):
            raise ValueError(f"targets: expected shape ({rows}, {cols}), got {t_shape}")
        return
    if not takes_labels:
        raise ValueError("targets: this loss takes dense targets, not class labels")
    if labels.shape[0] != rows:
        raise ValueError(f"labels: expected {rows}, one a row, got {labels.shape[0]}")
    for i in range(rows):
        if not 0 <= labels[i] < cols:
            raise ValueError(f"labels: expected classes 0 to {cols - 1}, got {labels[i]} at row {i}")


def loss_forward(str loss, floating[::1] losses, const floating[:, ::1] p, const floating[:, ::1] t=None,
                 const int32_t[::1] labels=None, double parameter=0.0):
    """losses[i] = the loss of row i. Shapes: losses (rows,), p and t (rows, cols), labels (rows,)."""
    cdef const fnn_kernels *k = table(FNN_F32 if floating is float else FNN_F64)
    cdef int which = LOSSES[loss]
    cdef size_t rows = p.shape[0], cols = p.shape[1]
    cdef const void *tp = NULL
    cdef const int32_t *lp = NULL
    cdef fnn_fp_state found
    if losses.shape[0] != p.shape[0]:
        raise ValueError(f"losses: expected shape ({rows},), got ({losses.shape[0]},)")
    _check_targets(LOSS_TARGETS[loss] == "C", rows, cols, None if t is None else (t.shape[0], t.shape[1]), labels)
    if t is not None:
        tp = &t[0, 0]
    else:
        lp = &labels[0]
    with nogil:
        found = fnn_fp_enter()
        k.loss_fwd[which](&losses[0], &p[0, 0], tp, lp, rows, cols, parameter)
        fnn_fp_leave(found)


def loss_backward(str loss, floating[:, ::1] dp, const floating[:, ::1] p, const floating[:, ::1] t=None,
                  const int32_t[::1] labels=None, double scale=1.0, bint head=False,
                  double parameter=0.0):
    """dp = scale * gradient of each row's loss by p; scale = 1/rows for the mean over a batch.

    head: p are the outputs of softmax (categorical cross-entropy, divergence) or sigmoid (binary cross-entropy) and dp
    is the gradient by that activation's input, scale * (p - t) (for the binary loss also divided by the number of
    outputs).
    """
    cdef const fnn_kernels *k = table(FNN_F32 if floating is float else FNN_F64)
    cdef int which = LOSSES[loss]
    cdef size_t rows = p.shape[0], cols = p.shape[1]
    cdef const void *tp = NULL
    cdef const int32_t *lp = NULL
    cdef fnn_fp_state found
    if (dp.shape[0], dp.shape[1]) != (p.shape[0], p.shape[1]):
        raise ValueError(f"dp: expected shape ({rows}, {cols}), got {(dp.shape[0], dp.shape[1])}")
    if head and loss not in HEADS:
        raise ValueError(f"head: there is no fused head for {loss}")
    _check_targets(LOSS_TARGETS[loss] == "C", rows, cols, None if t is None else (t.shape[0], t.shape[1]), labels)
    if t is not None:
        tp = &t[0, 0]
    else:
        lp = &labels[0]
    if head and HEADS[loss] == "mean" and cols:
        scale /= cols
    with nogil:
        found = fnn_fp_enter()
        if head:
            k.residual(&dp[0, 0], &p[0, 0], tp, lp, rows, cols, scale)
        else:
            k.loss_bwd[which](&dp[0, 0], &p[0, 0], tp, lp, rows, cols, scale, parameter)
        fnn_fp_leave(found)


def count_right(str metric, const floating[:, ::1] p, const floating[:, ::1] t=None, const int32_t[::1] labels=None,
                double precision=0.0, double threshold=0.5):
    """How many rows (categorical) or elements of p are right: above the threshold where t is (binary), or within
    precision of t (regression)."""
    cdef const fnn_kernels *k = table(FNN_F32 if floating is float else FNN_F64)
    cdef int which = METRICS[metric]
    cdef size_t rows = p.shape[0], cols = p.shape[1]
    cdef const void *tp = NULL
    cdef const int32_t *lp = NULL
    cdef uint64_t right
    cdef double limit = threshold if metric == "binary" else precision
    cdef fnn_fp_state found
    _check_targets(metric == "categorical", rows, cols, None if t is None else (t.shape[0], t.shape[1]), labels)
    if t is not None:
        tp = &t[0, 0]
    else:
        lp = &labels[0]
    with nogil:
        found = fnn_fp_enter()
        right = k.metric_count[which](&p[0, 0], tp, lp, rows, cols, limit)
        fnn_fp_leave(found)
    return right


# --- the quick way of hand-written loops ---
cdef struct Call:
    int loss
    const fnn_kernels *k
    const void *p
    size_t rows
    size_t cols
    const void *dense      # targets like p, or NULL
    const int32_t *labels  # a class a row, or NULL
    void *losses           # room for a loss a row

cdef _ready(loss, p, targets, Call *c):
    """Fills in what is called where p (rows, cols) is a plain array and the targets are clear at once, and gives what
    holds them; else None. Labels and room are this thread's scratch: good until its next kernel."""
    cdef cnp.ndarray a, t
    cdef size_t label_bytes
    cdef char *ws
    c.loss = loss_number(loss)
    if c.loss < 0 or not plain(p) or (<cnp.ndarray>p).ndim != 2 or type(targets) is not cnp.ndarray:
        return None
    a, t = p, targets
    if t.ndim not in (1, 2) or t.shape[0] != a.shape[0]:
        return None
    c.k = table_of(a)
    c.p, c.rows, c.cols = cnp.PyArray_DATA(a), a.shape[0], a.shape[1]
    label_bytes = (c.rows * sizeof(int32_t) + 63) // 64 * 64
    ws = <char *>workspace(label_bytes + c.rows * a.itemsize)
    if ws == NULL:
        return None
    c.dense, c.labels, c.losses = NULL, NULL, ws + label_bytes
    if t.ndim == 1:
        if traits_of_loss(c.loss).targets != b"C" or c.cols == 1 or not _take_labels(<int32_t *>ws, t, c.cols):
            return None
        c.labels = <int32_t *>ws
        return t
    if t.shape[1] != a.shape[1] or not (cnp.PyArray_ISFLOAT(t) or cnp.PyArray_ISINTEGER(t)):
        return None
    t = cnp.PyArray_FROM_OTF(t, a.descr.type_num, cnp.NPY_ARRAY_CARRAY_RO | cnp.NPY_ARRAY_FORCECAST)
    c.dense = cnp.PyArray_DATA(t)
    return t


cdef bint _take_labels(int32_t *to, cnp.ndarray t, Py_ssize_t classes) except -1:
    """Whether all of t (rows,) are classes; copied out where they are."""
    cdef Py_ssize_t i, rows = t.shape[0]
    cdef const int64_t *given
    cdef int64_t label
    cdef const uint8_t *bytes_given
    cdef int highest = 0
    if not cnp.PyArray_ISINTEGER(t):
        return False
    if t.descr.type_num == cnp.NPY_UINT8 and cnp.PyArray_ISCARRAY_RO(t):  # the book's labels
        bytes_given = <const uint8_t *>cnp.PyArray_DATA(t)
        for i in range(rows):
            to[i] = bytes_given[i]
            highest = max(highest, to[i])
        return highest < classes
    t = cnp.PyArray_FROM_OTF(t, cnp.NPY_INT64, cnp.NPY_ARRAY_CARRAY_RO | cnp.NPY_ARRAY_FORCECAST)
    given = <const int64_t *>cnp.PyArray_DATA(t)
    for i in range(rows):
        label = given[i]  # read once: they are the caller's, who may have other threads
        if not 0 <= label < classes:
            return False
        to[i] = <int32_t>label
    return True


def labels_of(cnp.ndarray labels, Py_ssize_t classes):
    """An int32 copy of integers (rows,) where all of them are 0 .. classes - 1, None where they are not: one pass."""
    cdef cnp.ndarray to
    if labels.ndim != 1:
        return None
    to = cnp.PyArray_EMPTY(1, labels.shape, cnp.NPY_INT32, 0)
    return to if _take_labels(<int32_t *>cnp.PyArray_DATA(to), labels, classes) else None


cdef void _losses(const Call *c, void *losses) noexcept:
    cdef fnn_fp_state found = fnn_fp_enter()
    c.k.loss_fwd[c.loss](losses, c.p, c.dense, c.labels, c.rows, c.cols, traits_of_loss(c.loss).parameter)
    fnn_fp_leave(found)


def quick_forward(loss, p, targets):
    """(rows,) the loss of each row where p (rows, cols) is a plain array and the targets are clear; else
    NotImplemented."""
    cdef Call c
    cdef cnp.ndarray losses
    holder = _ready(loss, p, targets, &c)
    if holder is None:
        return NotImplemented
    losses = cnp.PyArray_EMPTY(1, (<cnp.ndarray>p).shape, (<cnp.ndarray>p).descr.type_num, 0)
    _losses(&c, cnp.PyArray_DATA(losses))
    return losses


cdef _sum_and_mean(const Call *c, cnp.ndarray p):
    cdef double total, mean
    cdef float short_mean
    cdef fnn_fp_state found
    _losses(c, c.losses)
    found = fnn_fp_enter()
    total = c.k.sum(0, c.losses, c.rows)
    mean = total / <double>c.rows
    short_mean = <float>mean
    fnn_fp_leave(found)
    return total, cnp.PyArray_ToScalar(<void *>&short_mean if p.itemsize == sizeof(float) else <void *>&mean, p)


def quick_mean(loss, p, targets):
    """(sum, mean) of the rows' losses, each rounded to p's type: the sum in float64 and ascending, as a float, the mean
    of p's type; else NotImplemented."""
    cdef Call c
    holder = _ready(loss, p, targets, &c)
    return NotImplemented if holder is None else _sum_and_mean(&c, p)


def quick_head(activation, loss, z, targets):
    """(p, sum, mean): p = f(z) for an activation without parameter, and what quick_mean gives of p; else
    NotImplemented."""
    cdef Call c
    cdef cnp.ndarray p
    cdef double alpha
    cdef int act = activation_of(activation, None, &alpha)
    cdef fnn_fp_state found
    if act < 0 or not plain(z) or (<cnp.ndarray>z).ndim != 2:
        return NotImplemented
    p = fresh(z)
    holder = _ready(loss, p, targets, &c)
    if holder is None:
        return NotImplemented
    found = fnn_fp_enter()
    c.k.act_fwd[act](cnp.PyArray_DATA(p), cnp.PyArray_DATA(z), c.rows, c.cols, alpha)
    fnn_fp_leave(found)
    total, mean = _sum_and_mean(&c, p)
    return p, total, mean


def quick_backward(loss, p, targets, bint merged):
    """The gradient of the mean of the rows' losses by p, or where merged by the input of the activation that goes with
    the loss; NotImplemented as above."""
    cdef Call c
    cdef cnp.ndarray dp
    cdef double scale
    cdef fnn_fp_state found
    if merged and loss not in HEADS:
        return NotImplemented
    holder = _ready(loss, p, targets, &c)
    if holder is None:
        return NotImplemented
    dp, scale = fresh(p), 1.0 / <double>c.rows
    found = fnn_fp_enter()
    if merged:
        if HEADS[loss] == "mean":
            scale /= <double>c.cols
        c.k.residual(cnp.PyArray_DATA(dp), c.p, c.dense, c.labels, c.rows, c.cols, scale)
    else:
        c.k.loss_bwd[c.loss](cnp.PyArray_DATA(dp), c.p, c.dense, c.labels, c.rows, c.cols, scale,
                             traits_of_loss(c.loss).parameter)
    fnn_fp_leave(found)
    return dp


def smooth_targets(floating[:, ::1] y, const floating[:, ::1] t=None, const int32_t[::1] labels=None,
                   double keep=1.0, double floor=0.0):
    """y = t * keep + floor, or the same of the one-hot rows of labels. Shapes: y, t (rows, cols), labels (rows,)."""
    cdef const fnn_kernels *k = table(FNN_F32 if floating is float else FNN_F64)
    cdef size_t rows = y.shape[0], cols = y.shape[1]
    cdef fnn_fp_state found
    _check_targets(True, rows, cols, None if t is None else (t.shape[0], t.shape[1]), labels)
    found = fnn_fp_enter()
    if t is not None:
        k.affine(&y[0, 0], &t[0, 0], rows * cols, keep, floor)
    else:
        k.one_hot(&y[0, 0], &labels[0], rows, cols, floor, keep + floor)
    fnn_fp_leave(found)
