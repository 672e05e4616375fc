"""Optimizer steps on typed memoryviews. The mathematics of each is one lane function in csrc/kernels/optimizers.h."""
cimport numpy as cnp
from cpython.long cimport PyLong_AsLongLongAndOverflow
from cython cimport floating
from libc.stdint cimport uint64_t

from fastnn._core cimport (
    FNN_F32, FNN_F64, FNN_MOST_STATES, FNN_OPT_CONSTANTS, fnn_fp_enter, fnn_fp_leave, fnn_fp_state, fnn_kernels,
    opt_constants, opt_number, table, traits_of_opt,
)
from fastnn.kernels.plain cimport apart, like, plain, table_of, writeable
from fastnn._core import OPTIMIZER_PARAMETERS, OPTIMIZER_STATES, OPTIMIZERS

cnp.import_array()

cdef int MOST_PARAMETERS = 8
cdef size_t GIL_WORK = 4096  # parameters: a shorter step keeps the GIL, which costs as much to give up and take back


cdef struct Step:
    void *w
    void *states[FNN_MOST_STATES]
    const void *g
    size_t n
    const fnn_kernels *k

cdef void _steps(int which, const Step *s, int count, double learning_rate, const double *p, uint64_t t) noexcept nogil:
    """Step t of each of the arrays, on the calling thread."""
    cdef double h[FNN_OPT_CONSTANTS]
    cdef fnn_fp_state found = fnn_fp_enter()
    cdef int i
    opt_constants(which, h, learning_rate, p, t)
    for i in range(count):
        s[i].k.opt_step[which](s[i].w, s[i].states, s[i].g, s[i].n, h)
    fnn_fp_leave(found)


def optimizer_step(str optimizer, floating[::1] w, const floating[::1] g, floating[::1] state0, floating[::1] state1,
                   double learning_rate, parameters, uint64_t t, floating[::1] state2=None):
    """One update of w by its gradient g, in place; the states too (None where the optimizer has fewer).

    Shapes: (n,) each. parameters: floats in the order of csrc/kernels/optimizers.h. t: the number of the step, from 1.
    Raises ValueError where sizes differ or a state is missing.
    """
    cdef Step s
    cdef int which = OPTIMIZERS[optimizer], states = OPTIMIZER_STATES[optimizer], i
    cdef double p[8]
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
        s.states[0] = &state0[0]
    if states > 1:
        s.states[1] = &state1[0]
    if states > 2:
        s.states[2] = &state2[0]
    s.k, s.w, s.g, s.n = table(FNN_F32 if floating is float else FNN_F64), &w[0], &g[0], n
    with nogil:
        _steps(which, &s, 1, learning_rate, p, t)


cdef bint _ready(int which, w, g, tuple states, Step *s) except -1:
    """Fills in the step where all are plain arrays of one shape, as many as the optimizer has, that do not overlap."""
    cdef cnp.ndarray wa, state
    cdef Py_ssize_t i, j
    if not plain(w) or not like(g, w) or not writeable(w) or not apart(w, g):
        return False
    if len(states) != traits_of_opt(which).states:
        return False
    wa = w
    for i in range(len(states)):
        if not like(states[i], wa):
            return False
        state = states[i]
        if not writeable(state) or not apart(state, wa) or not apart(state, g):
            return False
        for j in range(i):
            if not apart(state, states[j]):
                return False
        s.states[i] = cnp.PyArray_DATA(state)
    s.w, s.g, s.n = cnp.PyArray_DATA(wa), cnp.PyArray_DATA(g), cnp.PyArray_SIZE(wa)
    s.k = table_of(wa)
    return True


cdef enum:
    MOST_ARRAYS = 2  # a layer's weights and biases


def quick_steps(optimizer, tuple arrays, double learning_rate, tuple parameters, t):
    """The same step of up to MOST_ARRAYS times (w, g, states), all plain arrays, those of one of one shape and apart:
    True where it is done, False where nothing is."""
    cdef Step steps[MOST_ARRAYS]
    cdef double p[8]
    cdef int which = opt_number(optimizer), count = 0, i, overflow = 0
    cdef long long number
    cdef size_t n = 0
    if type(t) is not int:
        return False
    number = PyLong_AsLongLongAndOverflow(t, &overflow)  # no exception for what is too large: the caller has the words
    if which < 0 or number < 1 or len(arrays) > MOST_ARRAYS or len(parameters) != traits_of_opt(which).parameters:
        return False
    for w, g, states in arrays:
        if not _ready(which, w, g, states, &steps[count]):
            return False
        n += steps[count].n
        count += 1
    for i in range(len(parameters)):
        p[i] = parameters[i]
    if n < GIL_WORK:
        _steps(which, steps, count, learning_rate, p, number)
    else:
        with nogil:
            _steps(which, steps, count, learning_rate, p, number)
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
    k = table_of(w)
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
    k = table_of(w)
    found = fnn_fp_enter()
    k.penalty_grad_acc(cnp.PyArray_DATA(<cnp.ndarray>dw), cnp.PyArray_DATA(<cnp.ndarray>w),
                       cnp.PyArray_SIZE(<cnp.ndarray>w), l1, l2)
    fnn_fp_leave(found)
    return True
