from fastnn.engine.ops cimport Op, Step

cdef void add_forward(Op *o, const Step *s) noexcept nogil
cdef void add_backward(Op *o, const Step *s) noexcept nogil
cdef void multiply_forward(Op *o, const Step *s) noexcept nogil
cdef void multiply_backward(Op *o, const Step *s) noexcept nogil
cdef void concatenate_forward(Op *o, const Step *s) noexcept nogil
cdef void concatenate_backward(Op *o, const Step *s) noexcept nogil
cdef void columns_forward(Op *o, const Step *s) noexcept nogil
cdef void summed_backward(Op *o, const Step *s) noexcept nogil
cdef void no_backward(Op *o, const Step *s) noexcept nogil
