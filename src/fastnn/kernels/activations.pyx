"""Activations on typed memoryviews. The mathematics of each is one lane function in csrc/kernels/activations.h."""
cimport numpy as cnp
from cython cimport floating
from libc.math cimport INFINITY

from fastnn._core cimport (
    FNN_F32, FNN_F64, act_number, act_traits, fnn_fp_enter, fnn_fp_leave, fnn_fp_state, fnn_kernels, table,
    traits_of_act,
)
from fastnn.kernels.plain cimport GIL_ELEMENTS, fresh, in_place, like, plain, table_of, writeable
from fastnn._core import ACTIVATIONS

cnp.import_array()

ctypedef void (*map_function)(void *, const void *, size_t) noexcept nogil
cdef enum:
    MAP_EXP = 0
    MAP_LOG = 1
    MAP_ERF = 2
MAPS = {"exp": MAP_EXP, "log": MAP_LOG, "erf": MAP_ERF}


cdef map_function _map_of(const fnn_kernels *t, int which) noexcept:
    return t.map_exp if which == MAP_EXP else t.map_log if which == MAP_LOG else t.map_erf


cdef int activation_of(name, alpha, double *found) except -2:
    """The activation's number, and the parameter to call it with: alpha, or what the registry says where that is None.
    -1 where the name is unknown, or alpha is not one: the caller has the words for it."""
    cdef int act = act_number(name)
    cdef act_traits it
    if act < 0:
        return -1
    it = traits_of_act(act)
    found[0] = it.alpha
    if alpha is not None:
        if it.shape != b"P" or not isinstance(alpha, (int, float)) or not 0 <= alpha < INFINITY:
            return -1
        found[0] = alpha
    return act


cdef _same_shape(name, a_shape, b_shape):
    if a_shape != b_shape:
        raise ValueError(f"{name}: expected shape {b_shape}, got {a_shape}")


# the one way in of the memoryviews and of plain arrays; f, an element at a time, or NULL for the activation by rows
cdef void _map(const fnn_kernels *t, map_function f, int act, void *y, const void *x, size_t rows, size_t cols,
               double alpha) noexcept nogil:
    cdef fnn_fp_state found = fnn_fp_enter()
    if f != NULL:
        f(y, x, rows * cols)
    else:
        t.act_fwd[act](y, x, rows, cols, alpha)
    fnn_fp_leave(found)


cdef void _map_back(const fnn_kernels *t, int act, void *dx, const void *dy, const void *saved, size_t rows,
                    size_t cols, double alpha) noexcept nogil:
    cdef fnn_fp_state found = fnn_fp_enter()
    t.act_bwd[act](dx, dy, saved, rows, cols, alpha)
    fnn_fp_leave(found)


def activation_forward(str activation, floating[:, ::1] y, const floating[:, ::1] x, double alpha=0.0):
    """y = f(x), rows apart for softmax; alpha: the parameter of those that have one. Shapes: (rows, cols) both; y may
    be x. ValueError where they differ."""
    cdef const fnn_kernels *t = table(FNN_F32 if floating is float else FNN_F64)
    cdef int act = ACTIVATIONS[activation]
    _same_shape("y", (y.shape[0], y.shape[1]), (x.shape[0], x.shape[1]))
    with nogil:
        _map(t, NULL, act, &y[0, 0], &x[0, 0], x.shape[0], x.shape[1], alpha)


def activation_backward(str activation, floating[:, ::1] dx, const floating[:, ::1] dy, const floating[:, ::1] saved,
                        double alpha=0.0):
    """dx = dy * f'(x), from saved = x or f(x), as ACTIVATION_SAVES says. Shapes: (rows, cols) each; dx may be dy."""
    cdef const fnn_kernels *t = table(FNN_F32 if floating is float else FNN_F64)
    cdef int act = ACTIVATIONS[activation]
    _same_shape("dx", (dx.shape[0], dx.shape[1]), (dy.shape[0], dy.shape[1]))
    _same_shape("saved", (saved.shape[0], saved.shape[1]), (dy.shape[0], dy.shape[1]))
    with nogil:
        _map_back(t, act, &dx[0, 0], &dy[0, 0], &saved[0, 0], dy.shape[0], dy.shape[1], alpha)


def map_forward(str function, floating[::1] y, const floating[::1] x):
    """y = exp(x), log(x) or erf(x) element by element, at most 2 ulp from exact. Shapes: (n,) both; y may be x."""
    cdef const fnn_kernels *t = table(FNN_F32 if floating is float else FNN_F64)
    cdef map_function f = _map_of(t, MAPS[function])
    _same_shape("y", (y.shape[0],), (x.shape[0],))
    with nogil:
        _map(t, f, 0, &y[0], &x[0], x.shape[0], 1, 0)


# --- the quick way of fastnn.functional ---
cdef inline _quick(map_function f, int act, double alpha, const fnn_kernels *t, cnp.ndarray a, out):
    """f(a), or the activation where that is NULL; NotImplemented where out is no plain array to go with it."""
    cdef cnp.ndarray y
    cdef size_t n = cnp.PyArray_SIZE(a), cols = a.shape[a.ndim - 1]
    cdef void *yp
    cdef const void *xp = cnp.PyArray_DATA(a)
    if out is None:
        y = fresh(a)
    elif like(out, a) and writeable(out) and in_place(a, out):
        y = out
    else:
        return NotImplemented
    yp = cnp.PyArray_DATA(y)
    if n < GIL_ELEMENTS:
        _map(t, f, act, yp, xp, n // cols, cols, alpha)
    else:
        with nogil:
            _map(t, f, act, yp, xp, n // cols, cols, alpha)
    return y


def quick(activation, x, out=None, alpha=None):
    """f(x) for an activation where x and out are plain arrays of one shape; else NotImplemented."""
    cdef double number
    cdef int act
    if not plain(x) or (<cnp.ndarray>x).ndim == 0:
        return NotImplemented
    act = activation_of(activation, alpha, &number)
    return NotImplemented if act < 0 else _quick(NULL, act, number, table_of(x), x, out)


def quick_map(str function, x, out=None):
    """The same for one of MAPS."""
    if not plain(x) or (<cnp.ndarray>x).ndim == 0:
        return NotImplemented
    return _quick(_map_of(table_of(x), MAPS[function]), 0, 0, table_of(x), x, out)


def quick_backward(activation, dy, saved, out=None, alpha=None):
    """dy * f'(x) where all are plain arrays of one shape; else NotImplemented."""
    cdef cnp.ndarray g, s, dx
    cdef const fnn_kernels *t
    cdef size_t n, cols
    cdef int act
    cdef double number = 0
    cdef void *dxp
    cdef const void *gp
    cdef const void *sp
    act = activation_of(activation, alpha, &number)
    if act < 0 or not plain(dy) or (<cnp.ndarray>dy).ndim == 0 or not like(saved, dy):
        return NotImplemented
    g, s = dy, saved
    if out is None:
        dx = fresh(g)
    elif like(out, g) and writeable(out) and in_place(g, out) and in_place(s, out):
        dx = out
    else:
        return NotImplemented
    t = table_of(g)
    n, cols = cnp.PyArray_SIZE(g), g.shape[g.ndim - 1]
    dxp, gp, sp = cnp.PyArray_DATA(dx), cnp.PyArray_DATA(g), cnp.PyArray_DATA(s)
    if n < GIL_ELEMENTS:
        _map_back(t, act, dxp, gp, sp, n // cols, cols, number)
    else:
        with nogil:
            _map_back(t, act, dxp, gp, sp, n // cols, cols, number)
    return dx
