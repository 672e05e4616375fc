"""The native core: the kernel tables and which one is in force, the workspace, the random streams.

Everything in csrc/ is linked here and nowhere else, so that there is one dispatch state and one scratch block a thread.
"""
import os
from sys import intern

import numpy as np

from cpython.ref cimport PyObject
from libc.stdint cimport uint32_t, uint64_t

cdef extern from "fnn.h" nogil:
    enum: FNN_ACT_COUNT
    enum: FNN_LOSS_COUNT
    enum: FNN_OPT_COUNT
    enum: FNN_RATE_COUNT
    enum: FNN_METRIC_COUNT
    enum: FNN_SRC_COUNT
    enum: FNN_ISA_COUNT
    const char **fnn_act_names
    const char *fnn_act_saves
    const char *fnn_act_shape
    const double *fnn_act_alpha
    const char **fnn_loss_names
    const char *fnn_loss_targets
    const double *fnn_loss_parameter
    const char **fnn_opt_names
    const int *fnn_opt_states
    const int *fnn_opt_parameters
    const char **fnn_schedule_names
    const int *fnn_schedule_parameters
    const char **fnn_metric_names
    const char **fnn_source_names
    const char **fnn_isa_names
    int fnn_isa_supported(int isa) noexcept
    const char *fnn_isa_needs(int isa) noexcept
    int fnn_isa_best() noexcept
    const fnn_kernels *fnn_table(int isa, int dtype) noexcept
    void fnn_cpu_name(char *name) noexcept
    void *fnn_workspace(size_t nbytes) noexcept
    size_t fnn_gemm_workspace(const fnn_kernels *t, size_t m, size_t n, size_t k) noexcept
    void fnn_gemm(const fnn_kernels *t, void *c, const void *a, size_t a_rs, size_t a_cs, const void *b, size_t b_rs,
                  size_t b_cs, size_t m, size_t n, size_t k, const void *bias, fnn_rule rule,
                  const fnn_epilogue *epilogue, void *ws) noexcept
    void fnn_uniform(double *u, size_t n, uint64_t first, uint64_t seed, uint32_t stream, uint64_t step) noexcept
    void fnn_normal(double *z, size_t n, uint64_t seed, uint32_t stream, uint64_t step) noexcept
    void fnn_permutation(uint32_t *index, size_t n, uint64_t seed, uint32_t stream, uint64_t step) noexcept

    int fnn_threads() noexcept
    void fnn_set_threads(int count) noexcept
    int fnn_threads_started() noexcept
    void fnn_stay_serial(int on) noexcept
    void fnn_opt_constants(int opt, double *h, double lr, const double *p, uint64_t t) noexcept
    void fnn_opt_step_shared(const fnn_kernels *t, int opt, void *w, void *const *s, const void *g, size_t n,
                             const double *h) noexcept
    void fnn_average_shared(const fnn_kernels *t, void *a, const void *w, size_t n, double momentum) noexcept
    void fnn_gather_shared(const fnn_kernels *t, void *y, const void *x, fnn_source_id source, const uint32_t *index,
                           size_t rows, size_t cols, Py_ssize_t row_bytes, Py_ssize_t col_bytes) noexcept
    void fnn_batch_norm_fwd(const fnn_kernels *t, void *y, void *mean, void *variance, const void *x,
                            const void *gamma, const void *beta, double epsilon, size_t rows, size_t cols) noexcept
    void fnn_batch_norm_bwd(const fnn_kernels *t, void *dx, void *dgamma, void *dbeta, const void *dy, const void *x,
                            void *mean, void *variance, const void *gamma, double epsilon, size_t rows,
                            size_t cols) noexcept
    double fnn_schedule_rate(int schedule, const double *p, uint64_t t) noexcept

cdef extern from "session.h" nogil:
    size_t fnn_layer_reals(const fnn_kernels *t, size_t n_in, size_t n_out) noexcept
    size_t fnn_bias_reals(const fnn_kernels *t, size_t n_out) noexcept
    size_t fnn_narrow_ld(const fnn_kernels *t, size_t n_in) noexcept
    int fnn_may_skip(const fnn_kernels *t, const void *w, const void *b, size_t n_in, size_t n_out) noexcept
    void fnn_lay_out(const fnn_kernels *t, void *to, const void *w, size_t n_in, size_t n_out) noexcept
    void fnn_take_out(const fnn_kernels *t, void *w, const void *laid_out, size_t n_in, size_t n_out) noexcept
    int fnn_net_row(const fnn_net *net, void *y, const void *x) noexcept
    int fnn_net_run(const fnn_net *net, void *y, const fnn_rows *x, size_t rows) noexcept

cdef extern from "math64.h" nogil:
    double fnn_sin(double x) noexcept
    double fnn_cos(double x) noexcept

# --- the registry, by name ---
ACTIVATIONS = {intern(fnn_act_names[i].decode()): i for i in range(FNN_ACT_COUNT)}
ACTIVATION_SAVES = {fnn_act_names[i].decode(): chr(fnn_act_saves[i]) for i in range(FNN_ACT_COUNT)}
ACTIVATION_SHAPE = {fnn_act_names[i].decode(): chr(fnn_act_shape[i]) for i in range(FNN_ACT_COUNT)}
# of those that have one
ACTIVATION_ALPHA = {fnn_act_names[i].decode(): fnn_act_alpha[i] for i in range(FNN_ACT_COUNT)
                    if fnn_act_shape[i] == b"P"}
LOSSES = {intern(fnn_loss_names[i].decode()): i for i in range(FNN_LOSS_COUNT)}
LOSS_TARGETS = {fnn_loss_names[i].decode(): chr(fnn_loss_targets[i]) for i in range(FNN_LOSS_COUNT)}
LOSS_PARAMETER = {fnn_loss_names[i].decode(): fnn_loss_parameter[i] for i in range(FNN_LOSS_COUNT)
                  if fnn_loss_parameter[i] != 0}
OPTIMIZERS = {intern(fnn_opt_names[i].decode()): i for i in range(FNN_OPT_COUNT)}
OPTIMIZER_STATES = {fnn_opt_names[i].decode(): fnn_opt_states[i] for i in range(FNN_OPT_COUNT)}
OPTIMIZER_PARAMETERS = {fnn_opt_names[i].decode(): fnn_opt_parameters[i] for i in range(FNN_OPT_COUNT)}
SCHEDULES = {fnn_schedule_names[i].decode(): i for i in range(FNN_RATE_COUNT)}
SCHEDULE_PARAMETERS = {fnn_schedule_names[i].decode(): fnn_schedule_parameters[i] for i in range(FNN_RATE_COUNT)}
METRICS = {fnn_metric_names[i].decode(): i for i in range(FNN_METRIC_COUNT)}
SOURCES = {fnn_source_names[i].decode(): i for i in range(FNN_SRC_COUNT)}
ISAS = {fnn_isa_names[i].decode(): i for i in range(FNN_ISA_COUNT)}

# --- the tables in force ---
cdef const fnn_kernels *tables[2]
cdef int isa_in_force = -1
_chosen_by = "detected"


def _take(int isa):
    global isa_in_force
    tables[FNN_F32] = fnn_table(isa, FNN_F32)
    tables[FNN_F64] = fnn_table(isa, FNN_F64)
    isa_in_force = isa


def use_isa(name):
    """Put the tables of the instruction set ``name`` in force, for plans and calls made from now on.

    Raises ValueError where this build does not know the name or this processor cannot run it.
    """
    if name not in ISAS:
        raise ValueError(f"unknown instruction set {name!r}: this build has {', '.join(ISAS)}")
    if not fnn_isa_supported(ISAS[name]):
        needs = fnn_isa_needs(ISAS[name]).decode()
        raise ValueError(f"instruction set {name!r} needs {needs}, which this processor or its operating system "
                         f"does not offer; supported here: {', '.join(available_isas())}")
    _take(ISAS[name])


def available_isas():
    """The names of the instruction sets that this build has and this processor runs, the preferred one last."""
    return [name for name, i in ISAS.items() if fnn_isa_supported(i)]


def active_isa():
    """The name of the instruction set in force."""
    return fnn_isa_names[isa_in_force].decode()


def isa_report():
    """For each compiled instruction set: (name, what it needs, runs here, in force)."""
    return [(name, fnn_isa_needs(i).decode(), bool(fnn_isa_supported(i)), i == isa_in_force)
            for name, i in ISAS.items()]


def chosen_by():
    """Why the instruction set is in force: "detected", or the environment variable that forced it."""
    return _chosen_by


def table_info(dtype):
    """Lanes and register tile of the table in force for "float32" or "float64"."""
    cdef const fnn_kernels *t = tables[FNN_F64 if np.dtype(dtype) == np.float64 else FNN_F32]
    return {"isa": t.isa.decode(), "lanes": t.lanes, "tile": (t.mr, t.nr), "itemsize": t.itemsize}


def cpu_name():
    """The processor's name for itself."""
    cdef char name[64]
    fnn_cpu_name(name)
    return name.decode("ascii", "replace").strip()


def _choose_at_import():
    global _chosen_by
    _take(fnn_isa_best())
    forced = os.environ.get("FASTNN_ISA", "")
    if forced:
        try:
            use_isa(forced)
        except ValueError as error:
            raise ImportError(f"FASTNN_ISA={forced}: {error}") from None
        _chosen_by = f"FASTNN_ISA={forced}"


_choose_at_import()


# --- for the other Cython modules ---
# A name in a program is nearly always the very object that is a key here: looking for its address takes a fifth of the
# time of a dict's hash and comparison, of which a short call would make three or four.
cdef enum:
    MOST_NAMES = 64  # more are found by the dict

cdef struct Names:
    PyObject *at[MOST_NAMES]
    int count

cdef Names act_names, loss_names, opt_names


cdef void _list_names(Names *to, dict numbers) noexcept:
    for name in list(numbers)[:MOST_NAMES]:  # in the order of their numbers
        to.at[to.count] = <PyObject *>name
        to.count += 1


_list_names(&act_names, ACTIVATIONS)
_list_names(&loss_names, LOSSES)
_list_names(&opt_names, OPTIMIZERS)


cdef int _number(const Names *known, dict numbers, name) noexcept:
    cdef int i
    for i in range(known.count):
        if known.at[i] == <PyObject *>name:
            return i
    return numbers.get(name, -1) if isinstance(name, str) else -1  # a list, say, has no hash


cdef int act_number(name) noexcept:
    return _number(&act_names, ACTIVATIONS, name)


cdef int loss_number(name) noexcept:
    return _number(&loss_names, LOSSES, name)


cdef int opt_number(name) noexcept:
    return _number(&opt_names, OPTIMIZERS, name)


cdef act_traits traits_of_act(int act) noexcept:
    return act_traits(fnn_act_saves[act], fnn_act_shape[act], fnn_act_alpha[act])


cdef loss_traits traits_of_loss(int loss) noexcept:
    return loss_traits(fnn_loss_targets[loss], fnn_loss_parameter[loss])


cdef opt_traits traits_of_opt(int opt) noexcept:
    return opt_traits(fnn_opt_states[opt], fnn_opt_parameters[opt])


cdef const fnn_kernels *table(int dtype) noexcept nogil:
    return tables[dtype]


cdef void *workspace(size_t nbytes) noexcept nogil:
    return fnn_workspace(nbytes)


cdef size_t gemm_workspace(const fnn_kernels *t, size_t m, size_t n, size_t k) noexcept nogil:
    return fnn_gemm_workspace(t, m, n, k)


cdef void gemm(const fnn_kernels *t, void *c, const void *a, size_t a_rs, size_t a_cs, const void *b, size_t b_rs,
               size_t b_cs, size_t m, size_t n, size_t k, const void *bias, fnn_rule rule, const fnn_epilogue *epilogue,
               void *ws) noexcept nogil:
    fnn_gemm(t, c, a, a_rs, a_cs, b, b_rs, b_cs, m, n, k, bias, rule, epilogue, ws)


cdef void permutation(uint32_t *index, size_t n, uint64_t seed, uint32_t stream, uint64_t step) noexcept nogil:
    fnn_permutation(index, n, seed, stream, step)


cdef void opt_constants(int opt, double *h, double lr, const double *p, uint64_t t) noexcept nogil:
    fnn_opt_constants(opt, h, lr, p, t)


cdef void opt_step_shared(const fnn_kernels *t, int opt, void *w, void *const *s, const void *g, size_t n,
                          const double *h) noexcept nogil:
    fnn_opt_step_shared(t, opt, w, s, g, n, h)


cdef double schedule_rate(int schedule, const double *p, uint64_t t) noexcept nogil:
    return fnn_schedule_rate(schedule, p, t)


cdef void average_shared(const fnn_kernels *t, void *a, const void *w, size_t n, double momentum) noexcept nogil:
    fnn_average_shared(t, a, w, n, momentum)


cdef void gather_shared(const fnn_kernels *t, void *y, const void *x, fnn_source_id source, const uint32_t *index,
                        size_t rows, size_t cols, Py_ssize_t row_bytes, Py_ssize_t col_bytes) noexcept nogil:
    fnn_gather_shared(t, y, x, source, index, rows, cols, row_bytes, col_bytes)


cdef void batch_norm_fwd(const fnn_kernels *t, void *y, void *mean, void *variance, const void *x, const void *gamma,
                         const void *beta, double epsilon, size_t rows, size_t cols) noexcept nogil:
    fnn_batch_norm_fwd(t, y, mean, variance, x, gamma, beta, epsilon, rows, cols)


cdef void batch_norm_bwd(const fnn_kernels *t, void *dx, void *dgamma, void *dbeta, const void *dy, const void *x,
                         void *mean, void *variance, const void *gamma, double epsilon, size_t rows,
                         size_t cols) noexcept nogil:
    fnn_batch_norm_bwd(t, dx, dgamma, dbeta, dy, x, mean, variance, gamma, epsilon, rows, cols)


cdef size_t layer_reals(const fnn_kernels *t, size_t n_in, size_t n_out) noexcept nogil:
    return fnn_layer_reals(t, n_in, n_out)


cdef size_t bias_reals(const fnn_kernels *t, size_t n_out) noexcept nogil:
    return fnn_bias_reals(t, n_out)


cdef size_t narrow_ld(const fnn_kernels *t, size_t n_in) noexcept nogil:
    return fnn_narrow_ld(t, n_in)


cdef int may_skip(const fnn_kernels *t, const void *w, const void *b, size_t n_in, size_t n_out) noexcept nogil:
    return fnn_may_skip(t, w, b, n_in, n_out)


cdef void lay_out(const fnn_kernels *t, void *to, const void *w, size_t n_in, size_t n_out) noexcept nogil:
    fnn_lay_out(t, to, w, n_in, n_out)


cdef void take_out(const fnn_kernels *t, void *w, const void *laid_out, size_t n_in, size_t n_out) noexcept nogil:
    fnn_take_out(t, w, laid_out, n_in, n_out)


cdef int net_row(const fnn_net *net, void *y, const void *x) noexcept nogil:
    return fnn_net_row(net, y, x)


cdef int net_run(const fnn_net *net, void *y, const fnn_rows *x, size_t rows) noexcept nogil:
    return fnn_net_run(net, y, x, rows)


# --- threads ---
def threads():
    """How many threads a call may use, itself included."""
    return fnn_threads()


def set_threads(int count):
    """Let calls use up to ``count`` threads. Waits for a call that is using the pool."""
    with nogil:
        fnn_set_threads(count)


def stay_serial(bint on):
    """Whether calls of the calling thread stay on it: for threads that share out whole models."""
    fnn_stay_serial(on)


def threads_started():
    """Threads of the pool that run now; 0 before the first long call."""
    return fnn_threads_started()


# --- random streams and the float64 functions of the datasets ---
cdef _check_stream(uint32_t stream):
    """A counter has 16 bits for the stream: those above would give another stream's numbers."""
    if stream >> 16:
        raise ValueError(f"stream: expected at least 0 and at most 65535, got {stream}")


def random_uniform(Py_ssize_t n, uint64_t seed, uint32_t stream=0, uint64_t step=0):
    """``n`` float64 values, uniform in [0, 1), of the counter-based stream (seed, stream, step).

    Philox4x32-10 (Salmon et al. 2011): the same values on every machine. ValueError for a stream of 65536 or more.
    """
    _check_stream(stream)
    cdef double[::1] u = np.empty(n, np.float64)
    cdef fnn_fp_state found
    if n:
        with nogil:
            found = fnn_fp_enter()
            fnn_uniform(&u[0], <size_t>n, 0, seed, stream, step)
            fnn_fp_leave(found)
    return np.asarray(u)


def random_normal(Py_ssize_t n, uint64_t seed, uint32_t stream=0, uint64_t step=0):
    """``n`` float64 values, standard normal, of the stream (seed, stream, step) (Box and Muller 1958)."""
    _check_stream(stream)
    cdef double[::1] z = np.empty(n, np.float64)
    cdef fnn_fp_state found
    if n:
        with nogil:
            found = fnn_fp_enter()
            fnn_normal(&z[0], <size_t>n, seed, stream, step)
            fnn_fp_leave(found)
    return np.asarray(z)


def random_permutation(Py_ssize_t n, uint64_t seed, uint32_t stream=0, uint64_t step=0):
    """A random permutation of 0 .. n-1 as uint32, of the stream (seed, stream, step)."""
    _check_stream(stream)
    if n >= 2**32:
        raise ValueError(f"n must be below 2**32, got {n}")
    cdef uint32_t[::1] index = np.empty(n, np.uint32)
    if n:
        with nogil:
            fnn_permutation(&index[0], <size_t>n, seed, stream, step)
    return np.asarray(index)


def sin(x):
    """Sine of each float64 of ``x`` (|x| <= 1e5), the same bits on every machine."""
    cdef double[::1] a = np.array(x, np.float64).ravel()
    cdef Py_ssize_t i
    cdef fnn_fp_state found = fnn_fp_enter()
    for i in range(a.shape[0]):
        a[i] = fnn_sin(a[i])
    fnn_fp_leave(found)
    return np.asarray(a).reshape(np.shape(x))


def cos(x):
    """Cosine of each float64 of ``x`` (|x| <= 1e5), the same bits on every machine."""
    cdef double[::1] a = np.array(x, np.float64).ravel()
    cdef Py_ssize_t i
    cdef fnn_fp_state found = fnn_fp_enter()
    for i in range(a.shape[0]):
        a[i] = fnn_cos(a[i])
    fnn_fp_leave(found)
    return np.asarray(a).reshape(np.shape(x))


def learning_rate_at(str schedule, parameters, uint64_t t):
    """The learning rate that the schedule of that name gives for step t = 0, 1, ...; parameters: floats in the order of
    csrc/schedules.c."""
    cdef double p[8]
    cdef double rate
    cdef fnn_fp_state found
    if len(parameters) != SCHEDULE_PARAMETERS[schedule]:
        raise ValueError(f"parameters: {schedule} expected {SCHEDULE_PARAMETERS[schedule]}, got {len(parameters)}")
    for i, value in enumerate(parameters):
        p[i] = value
    found = fnn_fp_enter()
    rate = fnn_schedule_rate(SCHEDULES[schedule], p, t)
    fnn_fp_leave(found)
    return rate


def fma_peak(dtype="float32", Py_ssize_t repeats=100_000):
    """Run a loop of register-only fused multiply-adds; return the floating-point operations done."""
    cdef const fnn_kernels *t = tables[FNN_F64 if np.dtype(dtype) == np.float64 else FNN_F32]
    cdef double operations
    cdef fnn_fp_state found
    with nogil:
        found = fnn_fp_enter()
        operations = t.fma_peak(<size_t>repeats)
        fnn_fp_leave(found)
    return operations
