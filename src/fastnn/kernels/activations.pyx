"""Activations on typed memoryviews. The mathematics of each is one lane function in csrc/kernels/activations.h."""
from cython cimport floating

from fastnn._core cimport FNN_F32, FNN_F64, fnn_fp_enter, fnn_fp_leave, fnn_fp_state, fnn_kernels, table
from fastnn._core import ACTIVATIONS


cdef _same_shape(name, a_shape, b_shape):
    if a_shape != b_shape:
        raise ValueError(f"{name}: expected shape {b_shape}, got {a_shape}")


def activation_forward(str activation, floating[:, ::1] y, const floating[:, ::1] x):
    """y = f(x), rows apart for softmax. Shapes: (rows, cols) both; y may be x. ValueError where they differ."""
    cdef const fnn_kernels *t = table(FNN_F32 if floating is float else FNN_F64)
    cdef int act = ACTIVATIONS[activation]
    cdef fnn_fp_state found
    _same_shape("y", (y.shape[0], y.shape[1]), (x.shape[0], x.shape[1]))
    with nogil:
        found = fnn_fp_enter()
        t.act_fwd[act](&y[0, 0], &x[0, 0], x.shape[0], x.shape[1])
        fnn_fp_leave(found)


def activation_backward(str activation, floating[:, ::1] dx, const floating[:, ::1] dy, const floating[:, ::1] saved):
    """dx = dy * f'(x), from saved = x or f(x), as ACTIVATION_SAVES says. Shapes: (rows, cols) each; dx may be dy."""
    cdef const fnn_kernels *t = table(FNN_F32 if floating is float else FNN_F64)
    cdef int act = ACTIVATIONS[activation]
    cdef fnn_fp_state found
    _same_shape("dx", (dx.shape[0], dx.shape[1]), (dy.shape[0], dy.shape[1]))
    _same_shape("saved", (saved.shape[0], saved.shape[1]), (dy.shape[0], dy.shape[1]))
    with nogil:
        found = fnn_fp_enter()
        t.act_bwd[act](&dx[0, 0], &dy[0, 0], &saved[0, 0], dy.shape[0], dy.shape[1])
        fnn_fp_leave(found)


def map_forward(str function, floating[::1] y, const floating[::1] x):
    """y = exp(x), log(x) or erf(x) element by element, at most 2 ulp from exact. Shapes: (n,) both; y may be x."""
    cdef const fnn_kernels *t = table(FNN_F32 if floating is float else FNN_F64)
    cdef fnn_fp_state found
    cdef void (*f)(void *, const void *, size_t) noexcept nogil
    if function == "exp":
        f = t.map_exp
    elif function == "log":
        f = t.map_log
    elif function == "erf":
        f = t.map_erf
    else:
        raise ValueError(f"function: expected exp, log or erf, got {function!r}")
    _same_shape("y", (y.shape[0],), (x.shape[0],))
    with nogil:
        found = fnn_fp_enter()
        f(&y[0], &x[0], x.shape[0])
        fnn_fp_leave(found)
