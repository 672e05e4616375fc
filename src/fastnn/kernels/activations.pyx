"""Activations on typed memoryviews. The mathematics of each is one lane function in csrc/kernels/activations.h."""
cimport numpy as cnp
from cython cimport floating

from fastnn._core cimport FNN_F32, FNN_F64, fnn_fp_enter, fnn_fp_leave, fnn_fp_state, fnn_kernels, table
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
    cdef map_function f = _map_of(t, MAPS[function])
    cdef fnn_fp_state found
    _same_shape("y", (y.shape[0],), (x.shape[0],))
    with nogil:
        found = fnn_fp_enter()
        f(&y[0], &x[0], x.shape[0])
        fnn_fp_leave(found)


# --- the quick way of fastnn.functional: a memoryview costs 160 ns, an array's header nothing ---
cdef bint _plain(x, bint writeable) noexcept:
    """An ndarray of the machine's float32 or float64, C-contiguous and aligned."""
    cdef int kind
    if type(x) is not cnp.ndarray:
        return False
    kind = (<cnp.ndarray>x).descr.type_num
    if kind != cnp.NPY_FLOAT32 and kind != cnp.NPY_FLOAT64:
        return False
    if not cnp.PyArray_ISNOTSWAPPED(<cnp.ndarray>x):
        return False
    return cnp.PyArray_ISCARRAY(<cnp.ndarray>x) if writeable else cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>x)


def quick(str function, x, out=None):
    """f(x) for an activation or one of MAPS where x and out are plain arrays of one shape; else NotImplemented."""
    cdef cnp.ndarray a, y
    cdef const fnn_kernels *t
    cdef size_t n, cols
    cdef int act = -1
    cdef fnn_fp_state found
    cdef map_function f = NULL
    cdef char *yp
    cdef const char *xp
    if not _plain(x, False):
        return NotImplemented
    a = x
    if a.ndim == 0 or cnp.PyArray_SIZE(a) == 0:
        return NotImplemented
    if out is None:
        y = cnp.PyArray_EMPTY(a.ndim, a.shape, a.descr.type_num, 0)
    elif _plain(out, True) and (<cnp.ndarray>out).descr.type_num == a.descr.type_num and cnp.PyArray_SAMESHAPE(a, out):
        y = out
    else:
        return NotImplemented
    t = table(FNN_F32 if a.descr.type_num == cnp.NPY_FLOAT32 else FNN_F64)
    if function in ACTIVATIONS:
        act = ACTIVATIONS[function]
    elif function in MAPS:
        f = _map_of(t, MAPS[function])
    else:
        return NotImplemented
    n, cols = cnp.PyArray_SIZE(a), a.shape[a.ndim - 1]
    yp, xp = <char *>cnp.PyArray_DATA(y), <const char *>cnp.PyArray_DATA(a)
    if yp != xp and yp < xp + cnp.PyArray_NBYTES(a) and xp < yp + cnp.PyArray_NBYTES(a):
        return NotImplemented  # shifted over itself: the input needs a copy
    with nogil:
        found = fnn_fp_enter()
        if f != NULL:
            f(yp, xp, n)
        else:
            t.act_fwd[act](yp, xp, n // cols, cols)
        fnn_fp_leave(found)
    return y
