from fastnn._core cimport fnn_epilogue, fnn_kernels

cdef void forward(const fnn_kernels *t, void *y, void *z, const void *x, const void *w, const void *b, int act,
                  double alpha, bint fuse, size_t rows, size_t n_in, size_t n_out, void *ws) noexcept nogil
cdef void backward(const fnn_kernels *t, void *dx, void *dw, void *db, const void *dz, const void *x, const void *w,
                   const fnn_epilogue *to_dx, bint go_on, size_t rows, size_t n_in, size_t n_out,
                   void *ws) noexcept nogil
cdef void backward_dx(const fnn_kernels *t, void *dx, const void *dz, const void *w, const fnn_epilogue *to_dx,
                      size_t rows, size_t n_in, size_t n_out, void *ws) noexcept nogil
cdef size_t scratch(const fnn_kernels *t, size_t rows, size_t n_in, size_t n_out) noexcept nogil
