cdef bint alpha_of(str activation, alpha, double *found) except -1
