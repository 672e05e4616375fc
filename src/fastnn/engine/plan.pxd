from fastnn._core cimport fnn_kernels

cdef class Plan:
    cdef readonly object specs, sources, dtype, tensors, params, grads, states
    cdef readonly object average           # the running average of params; None where there is none
    cdef public unsigned long long averaged, pairs  # steps in it; corrections that L-BFGS has taken in
    cdef public dict missed, frozen        # by layer: steps it sat out; the step count since which it sits out
    cdef public int ended                  # why that sees no further step: engine/lbfgs.pyx
    cdef readonly bint fused
    cdef readonly Py_ssize_t n_in, n_out, size, trained, widest
    cdef const fnn_kernels *k
    cdef readonly double input_scale, input_shift
    cdef readonly bint input_affine
    cdef char *_tensor(self, array, Py_ssize_t layer, str name)
