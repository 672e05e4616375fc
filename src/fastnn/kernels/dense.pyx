"""The dot product and the dense layer.

Shapes: x (rows, n_in), w (n_in, n_out), b (n_out), y and dz (rows, n_out).
Source: Kinsley and Kukiela, Neural Networks from Scratch, 2020, chapters 2, 3 and 9.
"""
import numpy as np

cimport numpy as cnp
from cython cimport floating

from fastnn._core cimport (
    FNN_ACT_linear, FNN_BY_WIDTH, FNN_CONTINUED, FNN_EPI_FORWARD, FNN_EPI_NONE, FNN_F32, FNN_F64, FNN_SEQUENTIAL,
    fnn_epilogue, fnn_fp_enter, fnn_fp_leave, fnn_fp_state, fnn_kernels, gemm, gemm_workspace, table, traits_of_act,
    workspace,
)
from fastnn.kernels.activations cimport activation_of
from fastnn.kernels.plain cimport GIL_ELEMENTS, apart, fresh, like, plain, table_of, writeable
from fastnn._core import ACTIVATION_SAVES, ACTIVATIONS

cnp.import_array()

# products of fewer multiply-adds than this keep the GIL: giving it up and taking it back costs as much
cdef size_t GIL_WORK = 400_000


# --- on pointers: what the engine runs ---
cdef void forward(const fnn_kernels *t, void *y, void *z, const void *x, const void *w, const void *b, int act,
                  double alpha, bint fuse, size_t rows, size_t n_in, size_t n_out, void *ws) noexcept nogil:
    """y = f(z) with z = x.w + b. z may be y, unless backward needs z. fuse: f runs on each strip while it is in
    cache."""
    cdef fnn_epilogue e
    cdef bint f_is_linear = act == FNN_ACT_linear
    e.kind = FNN_EPI_FORWARD if fuse and not f_is_linear else FNN_EPI_NONE
    e.act, e.alpha = act, alpha
    e.y, e.sums = y, NULL
    gemm(t, z, x, n_in, 1, w, n_out, 1, rows, n_out, n_in, b, FNN_BY_WIDTH, &e, ws)
    if not fuse and not f_is_linear:
        t.act_fwd[act](y, z, rows, n_out, alpha)


cdef void backward(const fnn_kernels *t, void *dx, void *dw, void *db, const void *dz, const void *x, const void *w,
                   const fnn_epilogue *to_dx, bint go_on, size_t rows, size_t n_in, size_t n_out,
                   void *ws) noexcept nogil:
    """dw = x'.dz; where they are wanted (not NULL) db = sum of the rows of dz, and dx = dz.w', then the epilogue to_dx.
    go_on: these are further rows of a batch, dw and db hold the sums so far."""
    gemm(t, dw, x, 1, n_in, dz, n_out, 1, n_in, n_out, rows, NULL, FNN_CONTINUED if go_on else FNN_SEQUENTIAL, NULL, ws)
    if db != NULL:
        t.column_sums(db, dz, rows, n_out, go_on)
    if dx != NULL:
        backward_to_input(t, dx, dz, w, to_dx, rows, n_in, n_out, ws)


cdef void backward_to_input(const fnn_kernels *t, void *dx, const void *dz, const void *w, const fnn_epilogue *to_dx,
                            size_t rows, size_t n_in, size_t n_out, void *ws) noexcept nogil:
    """dx = dz.w', then the epilogue to_dx."""
    gemm(t, dx, dz, n_out, 1, w, 1, n_out, rows, n_in, n_out, NULL, FNN_BY_WIDTH, to_dx, ws)


cdef size_t scratch(const fnn_kernels *t, size_t rows, size_t n_in, size_t n_out) noexcept nogil:
    """Workspace bytes that forward and backward need."""
    return max(gemm_workspace(t, rows, n_out, n_in), gemm_workspace(t, n_in, n_out, rows),
               gemm_workspace(t, rows, n_in, n_out))


# --- on typed memoryviews ---
cdef void *_need_workspace(size_t nbytes) except NULL:
    cdef void *ws = workspace(nbytes)
    if ws == NULL:
        raise MemoryError(f"no memory for {nbytes} bytes of scratch")
    return ws


cdef _check_dense(Py_ssize_t rows, Py_ssize_t n_in, Py_ssize_t n_out, x_shape, b_shape):
    if x_shape != (rows, n_in):
        raise ValueError(f"x: expected shape ({rows}, {n_in}) to go with y and w, got {x_shape}")
    if b_shape != (n_out,):
        raise ValueError(f"b: expected shape ({n_out},) to go with w, got {b_shape}")


cdef void _forward(const fnn_kernels *t, void *y, void *z, const void *x, const void *w, const void *b, int act,
                   double alpha, size_t rows, size_t n_in, size_t n_out, void *ws) noexcept nogil:
    cdef fnn_fp_state found = fnn_fp_enter()
    forward(t, y, z, x, w, b, act, alpha, True, rows, n_in, n_out, ws)
    fnn_fp_leave(found)


def dense_forward(floating[:, ::1] y, floating[:, ::1] z, const floating[:, ::1] x, const floating[:, ::1] w,
                  const floating[::1] b, str activation="linear", double alpha=0.0):
    """y = f(z), z = x.w + b. Pass the same array for y and z where backward needs only y (see ACTIVATION_SAVES).

    Shapes: y, z (rows, n_out); x (rows, n_in); w (n_in, n_out); b (n_out). Raises ValueError where they disagree.
    """
    cdef Py_ssize_t rows = y.shape[0], n_in = w.shape[0], n_out = w.shape[1]
    cdef int act = ACTIVATIONS[activation]
    cdef const fnn_kernels *t = table(FNN_F32 if floating is float else FNN_F64)
    if (y.shape[1], z.shape[0], z.shape[1]) != (n_out, rows, n_out):
        raise ValueError(f"y, z: expected shape ({rows}, {n_out}), "
                         f"got {(rows, y.shape[1])} and {(z.shape[0], z.shape[1])}")
    _check_dense(rows, n_in, n_out, (x.shape[0], x.shape[1]), (b.shape[0],))
    if &y[0, 0] == &z[0, 0] and ACTIVATION_SAVES[activation] == "X":
        raise ValueError(f"z: {activation} needs its input for backward, so z must be an array of its own")
    cdef void *ws = _need_workspace(scratch(t, rows, n_in, n_out))
    with nogil:
        _forward(t, &y[0, 0], &z[0, 0], &x[0, 0], &w[0, 0], &b[0], act, alpha, rows, n_in, n_out, ws)


def dense_backward(floating[:, ::1] dx, floating[:, ::1] dw, floating[::1] db, const floating[:, ::1] dz,
                   const floating[:, ::1] x, const floating[:, ::1] w):
    """dw = x'.dz, db = column sums of dz, dx = dz.w' (dx may be None). dz is the gradient before the activation.

    Shapes: dx, x (rows, n_in); dw, w (n_in, n_out); db (n_out); dz (rows, n_out). Raises ValueError where they
    disagree.
    """
    cdef Py_ssize_t rows = dz.shape[0], n_in = w.shape[0], n_out = w.shape[1]
    cdef const fnn_kernels *t = table(FNN_F32 if floating is float else FNN_F64)
    cdef fnn_fp_state found
    cdef void *dx_at = NULL
    if dz.shape[1] != n_out:
        raise ValueError(f"dz: expected {n_out} columns, got {dz.shape[1]}")
    _check_dense(rows, n_in, n_out, (x.shape[0], x.shape[1]), (db.shape[0],))
    if (dw.shape[0], dw.shape[1]) != (n_in, n_out):
        raise ValueError(f"dw: expected shape ({n_in}, {n_out}), got {(dw.shape[0], dw.shape[1])}")
    if dx is not None:
        if (dx.shape[0], dx.shape[1]) != (rows, n_in):
            raise ValueError(f"dx: expected shape ({rows}, {n_in}), got {(dx.shape[0], dx.shape[1])}")
        dx_at = &dx[0, 0]
    cdef void *ws = _need_workspace(scratch(t, rows, n_in, n_out))
    with nogil:
        found = fnn_fp_enter()
        backward(t, dx_at, &dw[0, 0], &db[0], &dz[0, 0], &x[0, 0], &w[0, 0], NULL, False, rows, n_in, n_out, ws)
        fnn_fp_leave(found)


# --- the quick way of fastnn.functional ---
cdef bint _layer_shapes(cnp.ndarray x, w) noexcept:
    """x (rows, n_in) and w (n_in, n_out), plain and of one type."""
    cdef cnp.ndarray v
    if not plain(w) or x.ndim != 2 or (<cnp.ndarray>w).ndim != 2:
        return False
    v = w
    return v.descr.type_num == x.descr.type_num and x.shape[1] == v.shape[0]


cdef bint _is_short(size_t rows, size_t n_in, size_t n_out) noexcept:
    """The product, and the activation with it."""
    return rows * n_in * n_out < GIL_WORK and rows * n_out < GIL_ELEMENTS


cdef void _backward(const fnn_kernels *t, void *dx, void *dw, void *db, void *dz, const void *dy, const void *saved,
                    int act, double alpha, const void *x, const void *w, size_t rows, size_t n_in, size_t n_out,
                    void *ws) noexcept nogil:
    """dz is dy where saved is NULL."""
    cdef fnn_fp_state found = fnn_fp_enter()
    if saved != NULL:
        t.act_bwd[act](dz, dy, saved, rows, n_out, alpha)
    backward(t, dx, dw, db, dz, x, w, NULL, False, rows, n_in, n_out, ws)
    fnn_fp_leave(found)


def quick_forward(x, w, b, activation, alpha, out=None):
    """f(x.w + b) where all are plain arrays whose shapes meet and f needs only its output for backward; else
    NotImplemented."""
    cdef cnp.ndarray xa, wa, ba, y
    cdef cnp.npy_intp shape[2]
    cdef const fnn_kernels *t
    cdef int act
    cdef double number
    cdef void *ws
    cdef void *yp
    cdef const void *xp
    cdef const void *wp
    cdef const void *bp
    act = activation_of(activation, alpha, &number)
    if act < 0 or traits_of_act(act).saves != b"Y" or not plain(x) or not _layer_shapes(x, w) or not plain(b):
        return NotImplemented
    xa, wa, ba = x, w, b
    shape[0], shape[1] = xa.shape[0], wa.shape[1]
    if (ba.descr.type_num != xa.descr.type_num or cnp.PyArray_SIZE(ba) != shape[1] or ba.ndim > 2
            or ba.shape[ba.ndim - 1] != shape[1]):
        return NotImplemented
    if out is None:
        y = cnp.PyArray_EMPTY(2, shape, xa.descr.type_num, 0)
    else:
        if not plain(out):
            return NotImplemented
        y = out
        if (y.descr.type_num != xa.descr.type_num or y.ndim != 2 or y.shape[0] != shape[0] or y.shape[1] != shape[1]
                or not writeable(y) or not apart(y, xa) or not apart(y, wa) or not apart(y, ba)):
            return NotImplemented
    t = table_of(xa)
    ws, yp = _need_workspace(gemm_workspace(t, xa.shape[0], shape[1], xa.shape[1])), cnp.PyArray_DATA(y)
    xp, wp, bp = cnp.PyArray_DATA(xa), cnp.PyArray_DATA(wa), cnp.PyArray_DATA(ba)
    if _is_short(xa.shape[0], xa.shape[1], shape[1]):
        _forward(t, yp, yp, xp, wp, bp, act, number, xa.shape[0], xa.shape[1], shape[1], ws)
    else:
        with nogil:
            _forward(t, yp, yp, xp, wp, bp, act, number, xa.shape[0], xa.shape[1], shape[1], ws)
    return y


def quick_backward(dy, x, w, saved, activation, alpha):
    """(dx, dw, db (1, n_out)) where all are plain arrays whose shapes meet; else NotImplemented."""
    cdef cnp.ndarray g, xa, wa, dz, dx, dw, db
    cdef cnp.npy_intp shape[2]
    cdef const fnn_kernels *t
    cdef int act
    cdef double number
    cdef void *ws
    cdef void *dxp
    cdef void *dwp
    cdef void *dbp
    cdef void *dzp
    cdef const void *gp
    cdef const void *xp
    cdef const void *wp
    cdef const void *sp = NULL
    act = activation_of(activation, alpha, &number)
    if act < 0 or not plain(x) or not _layer_shapes(x, w) or not plain(dy):
        return NotImplemented
    g, xa, wa = dy, x, w
    if (g.descr.type_num != xa.descr.type_num or g.ndim != 2 or g.shape[0] != xa.shape[0]
            or g.shape[1] != wa.shape[1]):
        return NotImplemented
    if act != FNN_ACT_linear:
        if not like(saved, g):
            return NotImplemented
        sp = cnp.PyArray_DATA(saved)
    shape[0], shape[1] = 1, wa.shape[1]
    dx, dw, db = fresh(xa), fresh(wa), cnp.PyArray_EMPTY(2, shape, xa.descr.type_num, 0)
    dz = g if sp == NULL else fresh(g)
    t = table_of(xa)
    ws = _need_workspace(scratch(t, xa.shape[0], xa.shape[1], wa.shape[1]))
    dxp, dwp, dbp, dzp = cnp.PyArray_DATA(dx), cnp.PyArray_DATA(dw), cnp.PyArray_DATA(db), cnp.PyArray_DATA(dz)
    gp, xp, wp = cnp.PyArray_DATA(g), cnp.PyArray_DATA(xa), cnp.PyArray_DATA(wa)
    if _is_short(xa.shape[0], xa.shape[1], wa.shape[1]):
        _backward(t, dxp, dwp, dbp, dzp, gp, sp, act, number, xp, wp, xa.shape[0], xa.shape[1], wa.shape[1], ws)
    else:
        with nogil:
            _backward(t, dxp, dwp, dbp, dzp, gp, sp, act, number, xp, wp, xa.shape[0], xa.shape[1], wa.shape[1], ws)
    return dx, dw, db


# --- dot ---
# A memoryview costs 160 ns, as much as a product of 8 x 8: dot reads the array headers themselves.
cdef struct Matrix:
    void *data
    size_t rows, cols, row_step, col_step  # steps in elements


cdef bint _as_matrix(cnp.ndarray a, bint column, Matrix *m) noexcept:
    """a seen as a matrix (a vector as one row, or one column). False where its strides need a copy first."""
    cdef Py_ssize_t size = a.itemsize, rows, cols, rs, cs
    if a.ndim == 2:
        rows, cols, rs, cs = a.shape[0], a.shape[1], a.strides[0], a.strides[1]
    elif column:
        rows, cols, rs, cs = a.shape[0], 1, a.strides[0], size
    else:
        rows, cols, rs, cs = 1, a.shape[0], size, a.strides[0]
    if cols <= 1 or rows == 0:  # a stride that is never taken may be anything
        cs = size
    if rows <= 1 or cols == 0:
        rs = max(cols, 1) * size if cs == size else size
    if not cnp.PyArray_ISALIGNED(a) or rs < size or cs < size or rs % size or cs % size or (rs != size and cs != size):
        return False
    m.data = cnp.PyArray_DATA(a)
    m.rows, m.cols, m.row_step, m.col_step = rows, cols, rs // size, cs // size
    return True


cdef void _product(const fnn_kernels *t, void *y, const Matrix *x, const Matrix *w, void *ws) noexcept nogil:
    gemm(t, y, x.data, x.row_step, x.col_step, w.data, w.row_step, w.col_step, x.rows, w.cols, x.cols, NULL,
         FNN_BY_WIDTH, NULL, ws)


cdef bint _overlap(cnp.ndarray a, cnp.ndarray b) noexcept:
    """Whether the spans of memory between first and last element meet (strides are positive here)."""
    cdef char *a0 = <char *>cnp.PyArray_DATA(a)
    cdef char *b0 = <char *>cnp.PyArray_DATA(b)
    cdef Py_ssize_t a_span = a.itemsize, b_span = b.itemsize
    cdef int i
    for i in range(a.ndim):
        a_span += (a.shape[i] - 1) * a.strides[i]
    for i in range(b.ndim):
        b_span += (b.shape[i] - 1) * b.strides[i]
    return a0 < b0 + b_span and b0 < a0 + a_span


cdef _dot_operand(name, given, x, dtype):
    a = np.asarray(x)
    if np.ma.isMaskedArray(given):
        raise TypeError(f"{name}: masked arrays are not supported: fill the masked values first")
    if a.ndim not in (1, 2):
        raise ValueError(f"{name}: expected a vector or a matrix, got {a.ndim} dimensions (shape {a.shape})")
    if a.dtype.kind not in "fiub":
        raise TypeError(f"{name}: expected real numbers, got dtype {a.dtype}")
    return np.require(a, dtype, ("C", "A"))


cdef _dot_any(a, b, out):
    """Whatever the quick way does not take: other types and strides are converted, errors are named."""
    x, y = np.asarray(a), np.asarray(b)
    short = x.dtype.newbyteorder("=") == np.float32 == y.dtype.newbyteorder("=")
    dtype = np.float32 if short else np.float64
    x, y = _dot_operand("a", a, x, dtype), _dot_operand("b", b, y, dtype)
    if x.shape[x.ndim - 1] != y.shape[0]:
        raise ValueError(f"dot: a has {x.shape[x.ndim - 1]} columns, b has {y.shape[0]} rows "
                         f"(shapes {x.shape} and {y.shape})")
    shape = x.shape[:x.ndim - 1] + y.shape[1:]
    if out is None:
        return dot(x, y)
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out: expected an array, got {type(out).__name__}")
    if out.shape != shape:
        raise ValueError(f"out: expected shape {shape}, got {out.shape}")
    if not out.flags.writeable:
        raise ValueError("out: the array is read-only")
    if out.dtype != dtype:
        raise TypeError(f"out: expected dtype {np.dtype(dtype)}, got {out.dtype}")
    out[...] = dot(x, y)
    return out


def dot(a, b, out=None):
    """The dot product, as ``numpy.dot`` for vectors and matrices: element (i, j) is the sum over k of a[i, k] * b[k,
    j].

    a: (k,) or (m, k); b: (k,) or (k, n); float32 or float64 (other numbers are converted to float64); a transposed
    view is taken without a copy. Result: a scalar, (m,), (n,) or (m, n), written to ``out`` where it is given (of the
    result's shape and type). Every element is one chain of fused multiply-adds, k ascending, or 16 interleaved chains
    where the result has fewer than 8 columns, so its bits depend on nothing but the two operands (docs/numerics.md).

    Raises ValueError for other ranks or sizes that do not meet, TypeError for complex or object arrays.
    """
    if type(a) is not cnp.ndarray or type(b) is not cnp.ndarray or not (out is None or type(out) is cnp.ndarray):
        return _dot_any(a, b, out)
    cdef cnp.ndarray x = a, w = b, y
    cdef int kind = x.descr.type_num
    cdef Matrix xm, wm
    cdef bint ok = ((kind == cnp.NPY_FLOAT32 or kind == cnp.NPY_FLOAT64) and w.descr.type_num == kind
                    and cnp.PyArray_ISNOTSWAPPED(x) and cnp.PyArray_ISNOTSWAPPED(w)
                    and 1 <= x.ndim <= 2 and 1 <= w.ndim <= 2)
    if not ok or not _as_matrix(x, False, &xm) or not _as_matrix(w, True, &wm) or xm.cols != wm.rows:
        return _dot_any(a, b, out)
    if wm.cols < 8 and xm.col_step != 1:
        return _dot_any(a, b, out)  # chains along rows want rows

    cdef cnp.npy_intp shape[2]
    cdef int ndim = 0
    if x.ndim == 2:
        shape[ndim] = xm.rows
        ndim += 1
    if w.ndim == 2:
        shape[ndim] = wm.cols
        ndim += 1
    if out is None:
        y = cnp.PyArray_EMPTY(ndim, shape, kind, 0)
    else:
        y = out
        if (y.descr.type_num != kind or y.ndim != ndim or not cnp.PyArray_ISCARRAY(y)
                or (ndim > 0 and y.shape[0] != shape[0]) or (ndim > 1 and y.shape[1] != shape[1])
                or _overlap(x, y) or _overlap(w, y)):
            return _dot_any(a, b, out)

    cdef const fnn_kernels *t = table(FNN_F32 if kind == cnp.NPY_FLOAT32 else FNN_F64)
    cdef void *ws = _need_workspace(gemm_workspace(t, xm.rows, wm.cols, xm.cols))
    cdef void *yp = cnp.PyArray_DATA(y)
    cdef fnn_fp_state found
    if xm.rows * wm.cols * xm.cols < GIL_WORK:
        found = fnn_fp_enter()
        _product(t, yp, &xm, &wm, ws)
        fnn_fp_leave(found)
    else:
        with nogil:
            found = fnn_fp_enter()
            _product(t, yp, &xm, &wm, ws)
            fnn_fp_leave(found)
    return y[()] if ndim == 0 and out is None else y
