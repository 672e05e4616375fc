"""Normalization on typed memoryviews (csrc/kernels/norm.h): by columns, as BatchNorm, and by rows, as LayerNorm.

Shapes: x, y, dx, dy (rows, cols) with at least one row and one column; mean, variance, gamma, beta and their gradients
(cols,); stats (rows, 2). y may be x and dx may be dy. ValueError where shapes do not go together.
"""
from cython cimport floating

from fastnn._core cimport (
    FNN_F32, FNN_F64, batch_norm_bwd, batch_norm_fwd, fnn_fp_enter, fnn_fp_leave, fnn_fp_state, fnn_kernels, table,
)


cdef _need(str name, tuple got, tuple wanted):
    if got != wanted:
        raise ValueError(f"{name}: expected shape {wanted}, got {got}")


cdef _need_columns(floating[:, ::1] x, dict rows):
    if x.shape[0] == 0 or x.shape[1] == 0:
        raise ValueError(f"x: expected at least one row and one column, got shape {(x.shape[0], x.shape[1])}")
    for name, row in rows.items():
        if row is not None:
            _need(name, row.shape, (x.shape[1],))


cdef _need_like(floating[:, ::1] x, dict others):
    for name, other in others.items():
        if other is not None:
            _need(name, other.shape, (x.shape[0], x.shape[1]))


cdef inline floating *_row(floating[::1] a) noexcept:
    return NULL if a is None else &a[0]


def column_moments(floating[::1] mean, floating[::1] variance, floating[:, ::1] x):
    """mean and biased variance of each column of x, rows ascending."""
    cdef const fnn_kernels *t = table(FNN_F32 if floating is float else FNN_F64)
    cdef fnn_fp_state found
    _need_columns(x, {"mean": mean, "variance": variance})
    with nogil:
        found = fnn_fp_enter()
        t.column_moments(&mean[0], &variance[0], &x[0, 0], x.shape[1], x.shape[0], x.shape[1])
        fnn_fp_leave(found)


def normalize_columns(floating[:, ::1] y, floating[:, ::1] x, floating[::1] mean, floating[::1] variance,
                      floating[::1] gamma, floating[::1] beta, double epsilon):
    """y = (x - mean) * gamma / sqrt(variance + epsilon) + beta; mean, gamma and beta may be None, for 0, 1 and 0. Divides
    by 1 where variance + epsilon is 0."""
    cdef const fnn_kernels *t = table(FNN_F32 if floating is float else FNN_F64)
    cdef fnn_fp_state found
    cdef floating *m = _row(mean)
    cdef floating *g = _row(gamma)
    cdef floating *b = _row(beta)
    _need_columns(x, {"mean": mean, "variance": variance, "gamma": gamma, "beta": beta})
    _need_like(x, {"y": y})
    with nogil:
        found = fnn_fp_enter()
        t.normalize_columns(&y[0, 0], &x[0, 0], m, &variance[0], g, b, epsilon, x.shape[1], x.shape[0], x.shape[1])
        fnn_fp_leave(found)


def batch_norm_forward(floating[:, ::1] y, floating[::1] mean, floating[::1] variance, floating[:, ::1] x,
                       floating[::1] gamma, floating[::1] beta, double epsilon):
    """mean and variance = the moments of x, y = x normalized by them; gamma and beta may be None."""
    cdef const fnn_kernels *t = table(FNN_F32 if floating is float else FNN_F64)
    cdef fnn_fp_state found
    cdef floating *g = _row(gamma)
    cdef floating *b = _row(beta)
    _need_columns(x, {"mean": mean, "variance": variance, "gamma": gamma, "beta": beta})
    _need_like(x, {"y": y})
    with nogil:
        found = fnn_fp_enter()
        batch_norm_fwd(t, &y[0, 0], &mean[0], &variance[0], &x[0, 0], g, b, epsilon, x.shape[0], x.shape[1])
        fnn_fp_leave(found)


def batch_norm_backward(floating[:, ::1] dx, floating[::1] dgamma, floating[::1] dbeta, floating[:, ::1] dy,
                        floating[:, ::1] x, floating[::1] mean, floating[::1] variance, floating[::1] gamma,
                        double epsilon):
    """The gradients of ``batch_norm_forward``; gamma, dgamma and dbeta may be None."""
    cdef const fnn_kernels *t = table(FNN_F32 if floating is float else FNN_F64)
    cdef fnn_fp_state found
    cdef floating *g = _row(gamma)
    cdef floating *dg = _row(dgamma)
    cdef floating *db = _row(dbeta)
    _need_columns(x, {"mean": mean, "variance": variance, "gamma": gamma, "dgamma": dgamma, "dbeta": dbeta})
    _need_like(x, {"dx": dx, "dy": dy})
    with nogil:
        found = fnn_fp_enter()
        batch_norm_bwd(t, &dx[0, 0], dg, db, &dy[0, 0], &x[0, 0], &mean[0], &variance[0], g, epsilon, x.shape[0],
                       x.shape[1])
        fnn_fp_leave(found)


def layer_norm_forward(floating[:, ::1] y, floating[:, ::1] stats, floating[:, ::1] x, floating[::1] gamma,
                       floating[::1] beta, double epsilon):
    """Each row normalized by its own moments; stats gets its mean and 1 / sqrt(variance + epsilon)."""
    cdef const fnn_kernels *t = table(FNN_F32 if floating is float else FNN_F64)
    cdef fnn_fp_state found
    cdef floating *g = _row(gamma)
    cdef floating *b = _row(beta)
    _need_columns(x, {"gamma": gamma, "beta": beta})
    _need_like(x, {"y": y})
    _need("stats", (stats.shape[0], stats.shape[1]), (x.shape[0], 2))
    with nogil:
        found = fnn_fp_enter()
        t.layer_norm_fwd(&y[0, 0], &stats[0, 0], &x[0, 0], g, b, epsilon, x.shape[0], x.shape[1])
        fnn_fp_leave(found)


def layer_norm_backward(floating[:, ::1] dx, floating[::1] dgamma, floating[::1] dbeta, floating[:, ::1] dy,
                        floating[:, ::1] x, floating[:, ::1] stats, floating[::1] gamma, bint go_on=False):
    """The gradients of ``layer_norm_forward``; where go_on, those of gamma and beta are added to what is there."""
    cdef const fnn_kernels *t = table(FNN_F32 if floating is float else FNN_F64)
    cdef fnn_fp_state found
    cdef floating *g = _row(gamma)
    cdef floating *dg = _row(dgamma)
    cdef floating *db = _row(dbeta)
    _need_columns(x, {"gamma": gamma, "dgamma": dgamma, "dbeta": dbeta})
    _need_like(x, {"dx": dx, "dy": dy})
    _need("stats", (stats.shape[0], stats.shape[1]), (x.shape[0], 2))
    with nogil:
        found = fnn_fp_enter()
        t.layer_norm_bwd(&dx[0, 0], dg, db, &dy[0, 0], &x[0, 0], &stats[0, 0], g, x.shape[0], x.shape[1], go_on)
        fnn_fp_leave(found)
