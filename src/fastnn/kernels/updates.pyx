"""What goes with an optimizer's step, on typed memoryviews: averages, bounds of norms, the vectors of L-BFGS. The
mathematics is in csrc/kernels/updates.h."""
from cython cimport floating

from fastnn._core cimport FNN_F32, FNN_F64, fnn_fp_enter, fnn_fp_leave, fnn_fp_state, fnn_kernels, table


cdef _same(str name, Py_ssize_t got, Py_ssize_t wanted):
    if got != wanted:
        raise ValueError(f"{name}: expected shape ({wanted},), got ({got},)")


def average(floating[::1] a, const floating[::1] w, double momentum):
    """a = momentum a + (1 - momentum) w, in place. Shapes: (n,) both."""
    cdef const fnn_kernels *k = table(FNN_F32 if floating is float else FNN_F64)
    cdef fnn_fp_state found
    _same("w", w.shape[0], a.shape[0])
    found = fnn_fp_enter()
    k.average(&a[0], &w[0], a.shape[0], momentum)
    fnn_fp_leave(found)


def add_scaled(floating[::1] y, const floating[::1] x, const floating[::1] d, double a):
    """y = x + a d; y may be x or d. Shapes: (n,) all."""
    cdef const fnn_kernels *k = table(FNN_F32 if floating is float else FNN_F64)
    cdef fnn_fp_state found
    _same("x", x.shape[0], y.shape[0])
    _same("d", d.shape[0], y.shape[0])
    found = fnn_fp_enter()
    k.add_scaled(&y[0], &x[0], &d[0], y.shape[0], a)
    fnn_fp_leave(found)


def inner_product(const floating[::1] a, const floating[::1] b):
    """a.b by 16 chains, as a float. Shapes: (n,) both."""
    cdef const fnn_kernels *k = table(FNN_F32 if floating is float else FNN_F64)
    cdef fnn_fp_state found
    cdef double value
    _same("b", b.shape[0], a.shape[0])
    found = fnn_fp_enter()
    value = k.inner_product(&a[0], &b[0], a.shape[0])
    fnn_fp_leave(found)
    return value


def largest(const floating[::1] x):
    """The largest |x[i]|, NaN aside; 0 where there is none."""
    cdef const fnn_kernels *k = table(FNN_F32 if floating is float else FNN_F64)
    cdef fnn_fp_state found = fnn_fp_enter()
    cdef double value = k.largest(&x[0], x.shape[0])
    fnn_fp_leave(found)
    return value


def bound_norms(floating[:, ::1] w, double low, double high, bint of_rows=False):
    """Scale the columns of w, or its rows, so that each norm lies in [low, high], in place; a norm of 0 stays."""
    cdef const fnn_kernels *k = table(FNN_F32 if floating is float else FNN_F64)
    cdef fnn_fp_state found = fnn_fp_enter()
    if of_rows:
        k.bound_rows(&w[0, 0], w.shape[0], w.shape[1], low, high)
    else:
        k.bound_columns(&w[0, 0], w.shape[0], w.shape[1], low, high)
    fnn_fp_leave(found)
