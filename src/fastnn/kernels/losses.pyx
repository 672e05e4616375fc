"""Losses, the fused heads and the accuracies on typed memoryviews. The mathematics stands in csrc/kernels/losses.h.

Targets are either class labels (int32, one a row) or a dense array of the predictions' shape; pass None for the other.
"""
cimport numpy as cnp
from cython cimport floating
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

from fastnn._core cimport FNN_F32, FNN_F64, fnn_fp_enter, fnn_fp_leave, fnn_fp_state, fnn_kernels, table
from fastnn.kernels.plain cimport fresh, plain
from fastnn._core import LOSS_PARAMETER, LOSS_TARGETS, LOSSES, METRICS

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
cdef cnp.ndarray _quick_targets(str loss, p, targets, const void **dense, const int32_t **labels):
    """The targets of p, and where they lie: int32 labels or a plain array like p, the other NULL. None for what is not
    clear at once."""
    cdef cnp.ndarray t
    if not plain(p) or (<cnp.ndarray>p).ndim != 2 or loss not in LOSSES:
        return None
    t = _plain_targets(p, targets, LOSS_TARGETS[loss] == "C")
    dense[0], labels[0] = NULL, NULL
    if t is None:
        return None
    if t.ndim == 1:
        labels[0] = <const int32_t *>cnp.PyArray_DATA(t)
    else:
        dense[0] = cnp.PyArray_DATA(t)
    return t


cdef cnp.ndarray _plain_targets(cnp.ndarray p, targets, bint takes_labels):
    """The targets of p (rows, cols) as int32 labels or as a plain array like p; None for what is not clear at once."""
    cdef cnp.ndarray t, labels
    cdef cnp.npy_intp rows = p.shape[0], cols = p.shape[1], i
    cdef const int64_t *given
    cdef const uint8_t *bytes_given
    cdef int32_t *to
    cdef int highest = 0
    if type(targets) is not cnp.ndarray:
        return None
    t = targets
    if t.ndim == 2:
        if t.shape[0] != rows or t.shape[1] != cols or not (cnp.PyArray_ISFLOAT(t) or cnp.PyArray_ISINTEGER(t)):
            return None
        return cnp.PyArray_FROM_OTF(t, p.descr.type_num, cnp.NPY_ARRAY_CARRAY_RO | cnp.NPY_ARRAY_FORCECAST)
    if t.ndim != 1 or t.shape[0] != rows or not takes_labels or not cnp.PyArray_ISINTEGER(t) or cols == 1:
        return None
    labels = cnp.PyArray_EMPTY(1, &rows, cnp.NPY_INT32, 0)
    to = <int32_t *>cnp.PyArray_DATA(labels)
    if t.descr.type_num == cnp.NPY_UINT8 and cnp.PyArray_ISCARRAY_RO(t):  # the book's labels
        bytes_given = <const uint8_t *>cnp.PyArray_DATA(t)
        for i in range(rows):
            to[i] = bytes_given[i]
            highest = max(highest, to[i])
        return labels if highest < cols else None
    t = cnp.PyArray_FROM_OTF(t, cnp.NPY_INT64, cnp.NPY_ARRAY_CARRAY_RO | cnp.NPY_ARRAY_FORCECAST)
    given = <const int64_t *>cnp.PyArray_DATA(t)
    for i in range(rows):
        if not 0 <= given[i] < cols:
            return None
        to[i] = <int32_t>given[i]
    return labels


def quick_forward(str loss, p, targets):
    """(rows,) the loss of each row where p (rows, cols) is a plain array and the targets are clear; else
    NotImplemented."""
    cdef cnp.ndarray a, t, losses
    cdef cnp.npy_intp rows
    cdef const fnn_kernels *k
    cdef const void *tp
    cdef const int32_t *lp
    cdef fnn_fp_state found
    t = _quick_targets(loss, p, targets, &tp, &lp)
    if t is None:
        return NotImplemented
    a = p
    rows = a.shape[0]
    losses = cnp.PyArray_EMPTY(1, &rows, a.descr.type_num, 0)
    k = table(FNN_F32 if a.descr.type_num == cnp.NPY_FLOAT32 else FNN_F64)
    found = fnn_fp_enter()
    k.loss_fwd[<int>LOSSES[loss]](cnp.PyArray_DATA(losses), cnp.PyArray_DATA(a), tp, lp, rows,
                                  a.shape[1], LOSS_PARAMETER.get(loss, 0.0))
    fnn_fp_leave(found)
    return losses


def quick_backward(str loss, p, targets, bint merged):
    """The gradient of the mean of the rows' losses by p, or where merged by the input of the activation that goes with
    the loss; NotImplemented as above."""
    cdef cnp.ndarray a, t, dp
    cdef const fnn_kernels *k
    cdef const void *tp
    cdef const int32_t *lp
    cdef double scale
    cdef fnn_fp_state found
    t = _quick_targets(loss, p, targets, &tp, &lp)
    if t is None:
        return NotImplemented
    a = p
    dp, scale = fresh(a), 1.0 / <double>a.shape[0]
    k = table(FNN_F32 if a.descr.type_num == cnp.NPY_FLOAT32 else FNN_F64)
    if merged and loss not in HEADS:
        return NotImplemented
    found = fnn_fp_enter()
    if merged:
        if HEADS[loss] == "mean":
            scale /= <double>a.shape[1]
        k.residual(cnp.PyArray_DATA(dp), cnp.PyArray_DATA(a), tp, lp, a.shape[0], a.shape[1], scale)
    else:
        k.loss_bwd[<int>LOSSES[loss]](cnp.PyArray_DATA(dp), cnp.PyArray_DATA(a), tp, lp, a.shape[0], a.shape[1], scale,
                                      LOSS_PARAMETER.get(loss, 0.0))
    fnn_fp_leave(found)
    return dp


def quick_sum(str loss, p, targets):
    """The sum of the rows' losses, each rounded to p's type, in float64 and ascending, as a float; else
    NotImplemented."""
    cdef cnp.ndarray losses
    cdef const fnn_kernels *k
    found = quick_forward(loss, p, targets)
    if found is NotImplemented:
        return NotImplemented
    losses = found
    k = table(FNN_F32 if losses.descr.type_num == cnp.NPY_FLOAT32 else FNN_F64)
    return k.sum(0, cnp.PyArray_DATA(losses), cnp.PyArray_SIZE(losses))


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
