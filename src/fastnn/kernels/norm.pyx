"""Normalization on typed memoryviews (csrc/kernels/norm.h): by columns, as BatchNorm, and by rows, as LayerNorm.

Shapes: x, y, dx, dy (rows, cols) with at least one row and one column; mean, variance, gamma, beta and their gradients
(cols,); stats (rows, 2). y may be x and dx may be dy. ValueError where shapes do not go together, TypeError for a None
where an array is needed.
"""
from cython cimport floating

from fastnn._core cimport (
    FNN_F32, FNN_F64, batch_norm_bwd, batch_norm_fwd, fnn_fp_enter, fnn_fp_leave, fnn_fp_state, fnn_kernels, table,
)


cdef _check(x, dict like, dict rows, dict perhaps):
    """like: of the shape of x; rows: of the width of x; perhaps: the same, or None."""
    if x is None or 0 in x.shape[:2]:
        raise ValueError(f"x: expected at least one row and one column, got {None if x is None else x.shape[:2]}")
    for name, a in like.items():
        _need(name, a, x.shape[:2])
    for name, a in rows.items():
        _need(name, a, x.shape[1:2])
    for name, a in perhaps.items():
        if a is not None:
            _need(name, a, x.shape[1:2])


cdef _need(str name, a, tuple wanted):
    if a is None:
        raise TypeError(f"{name}: expected an array, got None")
    if a.shape[:len(wanted)] != wanted:
        raise ValueError(f"{name}: expected shape {wanted}, got {a.shape[:len(wanted)]}")


cdef inline void *_row(const floating[::1] a) noexcept:
    return NULL if a is None else <void *>&a[0]


def column_moments(floating[::1] mean, floating[::1] variance, const floating[:, ::1] x):
    """mean and biased variance of each column of x, rows ascending."""
    cdef const fnn_kernels *t = table(FNN_F32 if floating is float else FNN_F64)
    cdef fnn_fp_state found
    _check(x, {}, {"mean": mean, "variance": variance}, {})
    with nogil:
        found = fnn_fp_enter()
        t.column_moments(&mean[0], &variance[0], &x[0, 0], x.shape[1], x.shape[0], x.shape[1])
        fnn_fp_leave(found)


def normalize_columns(floating[:, ::1] y, const floating[:, ::1] x, const floating[::1] mean,
                      const floating[::1] variance, const floating[::1] gamma, const floating[::1] beta,
                      double epsilon):
    """y = (x - mean) * gamma / sqrt(variance + epsilon) + beta; mean, gamma and beta may be None, for 0, 1 and 0.
    Divides by 1 where variance + epsilon is 0."""
    cdef const fnn_kernels *t = table(FNN_F32 if floating is float else FNN_F64)
    cdef fnn_fp_state found
    cdef void *m = _row(mean)
    cdef void *g = _row(gamma)
    cdef void *b = _row(beta)
    _check(x, {"y": y}, {"variance": variance}, {"mean": mean, "gamma": gamma, "beta": beta})
    with nogil:
        found = fnn_fp_enter()
        t.normalize_columns(&y[0, 0], &x[0, 0], m, &variance[0], g, b, epsilon, x.shape[1], x.shape[0], x.shape[1])
        fnn_fp_leave(found)


def batch_norm_forward(floating[:, ::1] y, floating[::1] mean, floating[::1] variance, const floating[:, ::1] x,
                       const floating[::1] gamma, const floating[::1] beta, double epsilon):
    """mean and variance = the moments of x, y = x normalized by them; gamma and beta may be None."""
    cdef const fnn_kernels *t = table(FNN_F32 if floating is float else FNN_F64)
    cdef fnn_fp_state found
    cdef void *g = _row(gamma)
    cdef void *b = _row(beta)
    _check(x, {"y": y}, {"mean": mean, "variance": variance}, {"gamma": gamma, "beta": beta})
    with nogil:
        found = fnn_fp_enter()
        batch_norm_fwd(t, &y[0, 0], &mean[0], &variance[0], &x[0, 0], g, b, epsilon, x.shape[0], x.shape[1])
        fnn_fp_leave(found)


def batch_norm_backward(floating[:, ::1] dx, floating[::1] dgamma, floating[::1] dbeta, const floating[:, ::1] dy,
                        const floating[:, ::1] x, const floating[::1] mean, const floating[::1] variance,
                        const floating[::1] gamma, double epsilon):
    """The gradients of ``batch_norm_forward``; gamma, dgamma and dbeta may be None."""
    cdef const fnn_kernels *t = table(FNN_F32 if floating is float else FNN_F64)
    cdef fnn_fp_state found
    cdef void *m = _row(mean)
    cdef void *v = _row(variance)
    cdef void *g = _row(gamma)
    cdef void *dg = _row(dgamma)
    cdef void *db = _row(dbeta)
    _check(x, {"dx": dx, "dy": dy}, {"mean": mean, "variance": variance},
           {"gamma": gamma, "dgamma": dgamma, "dbeta": dbeta})
    with nogil:
        found = fnn_fp_enter()
        batch_norm_bwd(t, &dx[0, 0], dg, db, &dy[0, 0], &x[0, 0], m, v, g, epsilon, x.shape[0], x.shape[1])
        fnn_fp_leave(found)


def layer_norm_forward(floating[:, ::1] y, floating[:, ::1] stats, const floating[:, ::1] x,
                       const floating[::1] gamma, const floating[::1] beta, double epsilon):
    """Each row normalized by its own moments; stats gets its mean and 1 / sqrt(variance + epsilon)."""
    cdef const fnn_kernels *t = table(FNN_F32 if floating is float else FNN_F64)
    cdef fnn_fp_state found
    cdef void *g = _row(gamma)
    cdef void *b = _row(beta)
    _check(x, {"y": y}, {}, {"gamma": gamma, "beta": beta})
    _need("stats", stats, (x.shape[0], 2))
    with nogil:
        found = fnn_fp_enter()
        t.layer_norm_fwd(&y[0, 0], &stats[0, 0], &x[0, 0], g, b, epsilon, x.shape[0], x.shape[1])
        fnn_fp_leave(found)


def layer_norm_backward(floating[:, ::1] dx, floating[::1] dgamma, floating[::1] dbeta, const floating[:, ::1] dy,
                        const floating[:, ::1] x, const floating[:, ::1] stats, const floating[::1] gamma,
                        bint go_on=False):
    """The gradients of ``layer_norm_forward``; where go_on, those of gamma and beta are added to what is there."""
    cdef const fnn_kernels *t = table(FNN_F32 if floating is float else FNN_F64)
    cdef fnn_fp_state found
    cdef void *g = _row(gamma)
    cdef void *dg = _row(dgamma)
    cdef void *db = _row(dbeta)
    _check(x, {"dx": dx, "dy": dy}, {}, {"gamma": gamma, "dgamma": dgamma, "dbeta": dbeta})
    _need("stats", stats, (x.shape[0], 2))
    with nogil:
        found = fnn_fp_enter()
        t.layer_norm_bwd(&dx[0, 0], dg, db, &dy[0, 0], &x[0, 0], &stats[0, 0], g, x.shape[0], x.shape[1], go_on)
        fnn_fp_leave(found)
