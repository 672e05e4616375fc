# plain.pxd - the quick way into a kernel: an array's header is read for nothing, a memoryview costs 160 ns. Each module
# that cimports this calls cnp.import_array().
cimport numpy as cnp

from fastnn._core cimport FNN_F32, FNN_F64, fnn_kernels, table

cdef enum:
    GIL_ELEMENTS = 20_000  # a pass over fewer keeps the GIL, which costs 60 ns to give up and take back


cdef inline bint plain(object x) noexcept:
    """An ndarray of the machine's float32 or float64, C-contiguous, aligned and not empty."""
    cdef int kind
    if type(x) is not cnp.ndarray:
        return False
    kind = (<cnp.ndarray>x).descr.type_num
    return ((kind == cnp.NPY_FLOAT32 or kind == cnp.NPY_FLOAT64) and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>x)
            and cnp.PyArray_SIZE(<cnp.ndarray>x) > 0)


cdef inline bint like(object x, cnp.ndarray a) noexcept:
    """Plain, and of a's type and shape."""
    return plain(x) and (<cnp.ndarray>x).descr.type_num == a.descr.type_num and cnp.PyArray_SAMESHAPE(<cnp.ndarray>x, a)


cdef inline bint writeable(cnp.ndarray x) noexcept:
    return cnp.PyArray_ISWRITEABLE(x)


cdef inline bint apart(cnp.ndarray a, cnp.ndarray b) noexcept:
    """Whether two contiguous arrays share no byte."""
    cdef const char *p = <const char *>cnp.PyArray_DATA(a)
    cdef const char *q = <const char *>cnp.PyArray_DATA(b)
    return p + cnp.PyArray_NBYTES(a) <= q or q + cnp.PyArray_NBYTES(b) <= p


cdef inline bint in_place(cnp.ndarray a, cnp.ndarray b) noexcept:
    """Whether b may be written while a is read element by element: the same memory, or none shared."""
    return cnp.PyArray_DATA(a) == cnp.PyArray_DATA(b) or apart(a, b)


cdef inline cnp.ndarray fresh(cnp.ndarray a):
    """A new array of a's type and shape."""
    return cnp.PyArray_EMPTY(a.ndim, a.shape, a.descr.type_num, 0)


cdef inline const fnn_kernels *table_of(cnp.ndarray a) noexcept:
    """The kernels in force for a plain array."""
    return table(FNN_F32 if a.descr.type_num == cnp.NPY_FLOAT32 else FNN_F64)
