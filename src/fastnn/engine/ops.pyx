"""The native operations of a plan: what each does forward and backward with the pointers in its ``Op``."""
from libc.string cimport memcpy

from fastnn._core cimport FNN_ACT_linear, FNN_EPI_NONE, batch_norm_bwd, batch_norm_fwd, fnn_kernels
from fastnn.kernels cimport dense

cdef size_t STRIP_BYTES = 4096  # of each array: a strip of all of them stays in the first-level cache

cdef void dense_forward(Op *o, const Step *s) noexcept nogil:
    dense.forward(s.k, o.y, o.z, o.x, o.w, o.b, o.act, o.alpha, o.fuse, s.rows, o.n_in, o.n_out, s.ws)


cdef inline void to_dz(Op *o, const Step *s) noexcept nogil:
    """dy becomes the gradient before the activation, where it is not that yet."""
    if o.act != FNN_ACT_linear and not o.dy_is_dz:
        s.k.act_bwd[o.act](o.dy, o.dy, o.saved, s.rows, o.n_out, o.alpha)


cdef void dense_backward(Op *o, const Step *s) noexcept nogil:
    to_dz(o, s)
    o.to_dx.sums_go_on = s.first > 0
    dense.backward(s.k, o.dx, o.dw, NULL if o.db_is_there else o.db, o.dy, o.x, o.w, &o.to_dx, s.first > 0, s.rows,
                   o.n_in, o.n_out, s.ws)
    if s.first + s.rows < s.batch:
        return
    if o.l1_w != 0 or o.l2_w != 0:
        s.k.penalty_grad_acc(o.dw, o.w, o.n_in * o.n_out, o.l1_w, o.l2_w)
    if o.l1_b != 0 or o.l2_b != 0:
        s.k.penalty_grad_acc(o.db, o.b, o.n_out, o.l1_b, o.l2_b)


cdef void dense_to_input(Op *o, const Step *s) noexcept nogil:
    """Backward where no parameter's gradient is wanted."""
    to_dz(o, s)
    o.to_dx.sums_go_on = s.first > 0
    if o.dx != NULL:
        dense.backward_to_input(s.k, o.dx, o.dy, o.w, &o.to_dx, s.rows, o.n_in, o.n_out, s.ws)


cdef void activation_forward(Op *o, const Step *s) noexcept nogil:
    s.k.act_fwd[o.act](o.y, o.x, s.rows, o.n_out, o.alpha)


cdef void activation_backward(Op *o, const Step *s) noexcept nogil:
    if not o.dy_is_dz:
        s.k.act_bwd[o.act](o.dx, o.dy, o.saved, s.rows, o.n_out, o.alpha)


cdef void dropout_forward(Op *o, const Step *s) noexcept nogil:
    if s.twister != NULL:
        s.k.twister_dropout(o.y, o.mask, o.x, s.rows * o.n_out, s.twister, o.limit, o.below, o.above)
    else:
        s.k.dropout(o.y, o.mask, o.x, s.rows * o.n_out, s.first * o.n_out, s.seed, o.stream, s.number, o.threshold,
                    o.keep)


cdef void dropout_backward(Op *o, const Step *s) noexcept nogil:
    """dx = dy mask; then the epilogue, the gradient of the activation before, on each strip while that is in cache."""
    cdef size_t row = o.n_out * s.k.itemsize, strip = max(<size_t>1, STRIP_BYTES // max(row, <size_t>1)), i = 0, rows
    if o.to_dx.kind == FNN_EPI_NONE:
        s.k.multiply(o.dx, o.dy, o.mask, s.rows * o.n_out)
        return
    while i < s.rows:
        rows = min(strip, s.rows - i)
        s.k.multiply(o.dx + i * row, o.dy + i * row, o.mask + i * row, rows * o.n_out)
        s.k.act_bwd[o.to_dx.act](o.dx + i * row, o.dx + i * row, <const char *>o.to_dx.saved + i * row, rows, o.n_out,
                                 o.to_dx.alpha)
        i += rows


cdef void affine_forward(Op *o, const Step *s) noexcept nogil:
    s.k.affine(o.y, o.x, s.rows * o.n_out, o.scale, o.shift)


cdef void affine_backward(Op *o, const Step *s) noexcept nogil:
    s.k.affine(o.dx, o.dy, s.rows * o.n_out, o.scale, 0.0)


cdef void alpha_dropout_forward(Op *o, const Step *s) noexcept nogil:
    s.k.alpha_dropout(o.y, o.mask, o.x, s.rows * o.n_out, s.first * o.n_out, s.seed, o.stream, s.number, o.threshold,
                      o.keep, o.shift_kept, o.shift_dropped)


cdef void gaussian_forward(Op *o, const Step *s) noexcept nogil:
    s.k.gaussian(o.y, o.mask, o.x, s.rows * o.n_out, s.first * o.n_out, s.seed, o.stream, s.number, o.stddev)


cdef void gaussian_backward(Op *o, const Step *s) noexcept nogil:
    """Of what is added: nothing changes."""
    if o.dx != o.dy:
        memcpy(o.dx, o.dy, s.rows * o.n_out * s.k.itemsize)


cdef void batch_norm_forward(Op *o, const Step *s) noexcept nogil:
    """In training: by the moments of the batch, which is at hand as a whole (Plan.chunk_rows)."""
    batch_norm_fwd(s.k, o.y, o.batch_mean, o.batch_variance, o.x, o.gamma, o.beta, o.epsilon, s.rows, o.n_out)


cdef void batch_norm_backward(Op *o, const Step *s) noexcept nogil:
    batch_norm_bwd(s.k, o.dx, o.dgamma, o.dbeta, o.dy, o.x, o.batch_mean, o.batch_variance, o.gamma, o.epsilon, s.rows,
                   o.n_out)


cdef void batch_norm_settle(Op *o, const fnn_kernels *k) noexcept nogil:
    """moving = momentum * moving + (1 - momentum) * batch."""
    move(o.mean, o.batch_mean, o, k)
    move(o.variance, o.batch_variance, o, k)


cdef inline void move(char *moving, const char *batch, const Op *o, const fnn_kernels *k) noexcept nogil:
    k.affine(moving, moving, o.n_out, o.momentum, 0.0)
    k.penalty_grad_acc(moving, batch, o.n_out, 0.0, 0.5 * (1.0 - o.momentum))  # adds 2 l2 batch


cdef void normalize_forward(Op *o, const Step *s) noexcept nogil:
    """By moments that are there."""
    s.k.normalize_columns(o.y, o.x, o.mean, o.variance, o.gamma, o.beta, o.epsilon, o.n_out, s.rows, o.n_out)


cdef void normalize_backward(Op *o, const Step *s) noexcept nogil:
    if o.dx != NULL:
        s.k.normalize_columns(o.dx, o.dy, NULL, o.variance, o.gamma, NULL, o.epsilon, o.n_out, s.rows, o.n_out)


cdef void layer_norm_forward(Op *o, const Step *s) noexcept nogil:
    s.k.layer_norm_fwd(o.y, o.stats, o.x, o.gamma, o.beta, o.epsilon, s.rows, o.n_out)


cdef void layer_norm_backward(Op *o, const Step *s) noexcept nogil:
    s.k.layer_norm_bwd(o.dx, o.dgamma, o.dbeta, o.dy, o.x, o.stats, o.gamma, s.rows, o.n_out, s.first > 0)
