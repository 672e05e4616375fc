"""Optimizer steps on typed memoryviews. The mathematics of each is one lane function in csrc/kernels/optimizers.h."""
cimport numpy as cnp
from cython cimport floating
from libc.stdint cimport uint64_t

from fastnn._core cimport (
    FNN_F32, FNN_F64, FNN_MOST_STATES, FNN_OPT_CONSTANTS, fnn_fp_enter, fnn_fp_leave, fnn_fp_state, fnn_kernels,
    opt_constants, table,
)
from fastnn.kernels.plain cimport apart, like, plain, writeable
from fastnn._core import OPTIMIZER_PARAMETERS, OPTIMIZER_STATES, OPTIMIZERS

cnp.import_array()

cdef int MOST_PARAMETERS = 8
cdef size_t GIL_WORK = 4096  # parameters: a shorter step keeps the GIL, which costs as much to give up and take back


cdef void _step(const fnn_kernels *k, int which, void *w, void *const *states, const void *g, size_t n,
                double learning_rate, const double *p, uint64_t t) noexcept nogil:
    """Step t of n parameters on the calling thread."""
    cdef double h[FNN_OPT_CONSTANTS]
    cdef fnn_fp_state found = fnn_fp_enter()
    opt_constants(which, h, learning_rate, p, t)
    k.opt_step[which](w, states, g, n, h)
    fnn_fp_leave(found)


def optimizer_step(str optimizer, floating[::1] w, const floating[::1] g, floating[::1] state0, floating[::1] state1,
                   double learning_rate, parameters, uint64_t t, floating[::1] state2=None):
    """One update of w by its gradient g, in place; the states too (None where the optimizer has fewer).

    Shapes: (n,) each. parameters: floats in the order of csrc/kernels/optimizers.h. t: the number of the step, from 1.
    Raises ValueError where sizes differ or a state is missing.
    """
    cdef const fnn_kernels *k = table(FNN_F32 if floating is float else FNN_F64)
    cdef int which = OPTIMIZERS[optimizer], states = OPTIMIZER_STATES[optimizer], i
    cdef double p[8]
    cdef void *states_at[FNN_MOST_STATES]
    cdef size_t n = w.shape[0]
    if len(parameters) != OPTIMIZER_PARAMETERS[optimizer] or len(parameters) > MOST_PARAMETERS:
        raise ValueError(f"parameters: {optimizer} expected {OPTIMIZER_PARAMETERS[optimizer]}, got {len(parameters)}")
    if t < 1:
        raise ValueError("t: expected the number of the step, from 1, got 0")
    for i in range(len(parameters)):
        p[i] = parameters[i]
    for name, array, wanted in (("g", g, True), ("state0", state0, states > 0), ("state1", state1, states > 1),
                                ("state2", state2, states > 2)):
        if wanted and (array is None or array.shape[0] != w.shape[0]):
            raise ValueError(f"{name}: {optimizer} expected shape ({n},), "
                             f"got {None if array is None else (array.shape[0],)}")
    if states > 0:
        states_at[0] = &state0[0]
    if states > 1:
        states_at[1] = &state1[0]
    if states > 2:
        states_at[2] = &state2[0]
    with nogil:
        _step(k, which, &w[0], states_at, &g[0], n, learning_rate, p, t)


def quick_step(str optimizer, w, g, tuple states, double learning_rate, tuple parameters, uint64_t t):
    """The same where all are plain arrays of one shape that do not overlap: True where it is done."""
    cdef const fnn_kernels *k
    cdef cnp.ndarray wa, s
    cdef int which, i, j
    cdef double p[8]
    cdef void *state[FNN_MOST_STATES]
    cdef void *wp
    cdef const void *gp
    cdef size_t n
    if not plain(w) or not like(g, w) or not writeable(w) or optimizer not in OPTIMIZERS or not apart(w, g) or t < 1:
        return False
    if len(states) != OPTIMIZER_STATES[optimizer] or len(parameters) != OPTIMIZER_PARAMETERS[optimizer]:
        return False
    wa, which = w, OPTIMIZERS[optimizer]
    for i in range(len(states)):
        if not like(states[i], wa):
            return False
        s = states[i]
        if not writeable(s) or not apart(s, wa) or not apart(s, g):
            return False
        for j in range(i):
            if not apart(s, states[j]):
                return False
        state[i] = cnp.PyArray_DATA(s)
    for i in range(len(parameters)):
        p[i] = parameters[i]
    k = table(FNN_F32 if wa.descr.type_num == cnp.NPY_FLOAT32 else FNN_F64)
    wp, gp, n = cnp.PyArray_DATA(wa), cnp.PyArray_DATA(g), cnp.PyArray_SIZE(wa)
    if n < GIL_WORK:
        _step(k, which, wp, state, gp, n, learning_rate, p, t)
    else:
        with nogil:
            _step(k, which, wp, state, gp, n, learning_rate, p, t)
    return True


def penalty(const floating[::1] w, double l1, double l2):
    """l1 * sum |w| + l2 * sum w^2, as a float."""
    cdef const fnn_kernels *k = table(FNN_F32 if floating is float else FNN_F64)
    cdef double value
    cdef fnn_fp_state found = fnn_fp_enter()
    value = k.penalty(&w[0], w.shape[0], l1, l2)
    fnn_fp_leave(found)
    return value


def penalty_backward(floating[::1] dw, const floating[::1] w, double l1, double l2):
    """dw += l1 * (w < 0 ? -1 : 1) + 2 * l2 * w, in place. Shapes: (n,) both."""
    cdef const fnn_kernels *k = table(FNN_F32 if floating is float else FNN_F64)
    cdef fnn_fp_state found
    if dw.shape[0] != w.shape[0]:
        raise ValueError(f"dw: expected shape ({w.shape[0]},), got ({dw.shape[0]},)")
    found = fnn_fp_enter()
    k.penalty_grad_acc(&dw[0], &w[0], w.shape[0], l1, l2)
    fnn_fp_leave(found)


def quick_penalty(w, double l1, double l2):
    """``penalty`` of a plain array of any shape; else NotImplemented."""
    cdef const fnn_kernels *k
    cdef fnn_fp_state found
    cdef double value
    if not plain(w):
        return NotImplemented
    k = table(FNN_F32 if (<cnp.ndarray>w).descr.type_num == cnp.NPY_FLOAT32 else FNN_F64)
    found = fnn_fp_enter()
    value = k.penalty(cnp.PyArray_DATA(<cnp.ndarray>w), cnp.PyArray_SIZE(<cnp.ndarray>w), l1, l2)
    fnn_fp_leave(found)
    return value


def quick_penalty_backward(dw, w, double l1, double l2):
    """``penalty_backward`` of plain arrays of one shape that do not overlap: True where it is done."""
    cdef const fnn_kernels *k
    cdef fnn_fp_state found
    if not plain(w) or not like(dw, w) or not writeable(dw) or not apart(dw, w):
        return False
    k = table(FNN_F32 if (<cnp.ndarray>w).descr.type_num == cnp.NPY_FLOAT32 else FNN_F64)
    found = fnn_fp_enter()
    k.penalty_grad_acc(cnp.PyArray_DATA(<cnp.ndarray>dw), cnp.PyArray_DATA(<cnp.ndarray>w),
                       cnp.PyArray_SIZE(<cnp.ndarray>w), l1, l2)
    fnn_fp_leave(found)
    return True
