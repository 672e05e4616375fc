cdef int activation_of(name, alpha, double *found) except -2
