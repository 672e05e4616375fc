"""The plain passes over arrays: dropout, noise, what is finite, products element by element."""
cimport numpy as cnp
from cython cimport floating
from libc.math cimport sqrt
from libc.stdint cimport uint32_t, uint64_t

from fastnn._core cimport FNN_F32, FNN_F64, fnn_fp_enter, fnn_fp_leave, fnn_fp_state, fnn_kernels, table
from fastnn.kernels.plain cimport fresh, like, plain, table_of

cnp.import_array()


def dropout_threshold(double rate):
    """The rate as the dropout kernel takes it, in 2^-16: at least one element in 65,536 is kept."""
    return min(round(rate * 65536), 65535)


def alpha_dropout_numbers(double rate):
    """(mask where kept, shift where kept, shift where dropped) with which dropout to -scale alpha keeps mean 0 and
    variance 1: a, b and a alpha' + b of Klambauer et al. 2017."""
    cdef double dropped = -1.0507009873554804934193349852946 * 1.6732632423543772848170429916717
    cdef double a = 1.0 / sqrt((1.0 - rate) * (1.0 + rate * dropped * dropped))
    cdef double b = -a * dropped * rate
    return a, b, a * dropped + b


def dropout_forward(floating[::1] y, floating[::1] mask, const floating[::1] x, double rate, uint64_t seed,
                    uint32_t stream, uint64_t step):
    """mask = 0 with probability rate, else 1 / (1 - rate), from the stream (seed, stream, step); y = x * mask.

    Shapes: (n,) each; y may be x. Raises ValueError where they differ or rate is not in [0, 1).
    """
    cdef const fnn_kernels *t = table(FNN_F32 if floating is float else FNN_F64)
    cdef size_t n = x.shape[0]
    cdef fnn_fp_state found
    if y.shape[0] != x.shape[0] or mask.shape[0] != x.shape[0]:
        raise ValueError(f"y, mask: expected shape ({n},), got ({y.shape[0]},) and ({mask.shape[0]},)")
    if not 0 <= rate < 1:
        raise ValueError(f"rate: expected at least 0 and below 1, got {rate}")
    cdef uint32_t threshold = dropout_threshold(rate)
    with nogil:
        found = fnn_fp_enter()
        t.dropout(&y[0], &mask[0], &x[0], n, 0, seed, stream, step, threshold, 1.0 / (1.0 - rate))
        fnn_fp_leave(found)


def gaussian_noise(floating[::1] y, const floating[::1] x, double stddev, uint64_t seed, uint32_t stream,
                   uint64_t step):
    """y = x + stddev * z with the normal numbers of the stream (seed, stream, step).

    Shapes: (n,) each; y may be x. ValueError where they differ.
    """
    cdef const fnn_kernels *t = table(FNN_F32 if floating is float else FNN_F64)
    cdef size_t n = x.shape[0]
    cdef fnn_fp_state found
    if y.shape[0] != x.shape[0]:
        raise ValueError(f"y: expected shape ({n},), got ({y.shape[0]},)")
    with nogil:
        found = fnn_fp_enter()
        t.gaussian(&y[0], NULL, &x[0], n, 0, seed, stream, step, stddev)
        fnn_fp_leave(found)


def all_finite(const floating[::1] x):
    """Whether there is no NaN and no infinity among the n values, in one pass that makes no array."""
    cdef const fnn_kernels *t = table(FNN_F32 if floating is float else FNN_F64)
    cdef size_t n = x.shape[0]
    cdef int finite = 1
    cdef fnn_fp_state found
    if n:
        with nogil:
            found = fnn_fp_enter()
            finite = t.all_finite(&x[0], n)
            fnn_fp_leave(found)
    return finite != 0


def multiply(x, y):
    """x * y where both are plain arrays of one type and shape; else NotImplemented."""
    cdef cnp.ndarray a, b, z
    cdef const fnn_kernels *t
    cdef void *zp
    cdef const void *ap
    cdef const void *bp
    cdef size_t n
    cdef fnn_fp_state found
    if not plain(x) or not like(y, x):
        return NotImplemented
    a, b = x, y
    z, n = fresh(a), cnp.PyArray_SIZE(a)
    t = table_of(a)
    zp, ap, bp = cnp.PyArray_DATA(z), cnp.PyArray_DATA(a), cnp.PyArray_DATA(b)
    with nogil:
        found = fnn_fp_enter()
        t.multiply(zp, ap, bp, n)
        fnn_fp_leave(found)
    return z
