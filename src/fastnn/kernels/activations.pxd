cdef int activation_of(str name, alpha, double *found) except -2
