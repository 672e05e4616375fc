"""Losses, the fused heads and the accuracies on typed memoryviews. The mathematics stands in csrc/kernels/losses.h.

Targets are either class labels (int32, one a row) or a dense array of the predictions' shape; pass None for the other.
"""
from cython cimport floating
from libc.stdint cimport int32_t, uint64_t

from fastnn._core cimport FNN_F32, FNN_F64, fnn_fp_enter, fnn_fp_leave, fnn_fp_state, fnn_kernels, table
from fastnn._core import LOSS_TARGETS, LOSSES, METRICS

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
