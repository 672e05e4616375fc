"""The native operations of a plan: what each does forward and backward with the pointers in its ``Op``."""
from fastnn._core cimport FNN_ACT_linear
from fastnn.kernels cimport dense


cdef void dense_forward(Op *o, const Step *s) noexcept nogil:
    dense.forward(s.k, o.y, o.z, o.x, o.w, o.b, o.act, o.alpha, o.fuse, s.rows, o.n_in, o.n_out, s.ws)


cdef void dense_backward(Op *o, const Step *s) noexcept nogil:
    if o.act != FNN_ACT_linear and not o.dy_is_dz:
        s.k.act_bwd[o.act](o.dy, o.dy, o.saved, s.rows, o.n_out, o.alpha)
    dense.backward(s.k, o.dx, o.dw, o.db, o.dy, o.x, o.w, &o.to_dx, s.first > 0, s.rows, o.n_in, o.n_out, s.ws)
    if s.first + s.rows < s.batch:
        return
    if o.l1_w != 0 or o.l2_w != 0:
        s.k.penalty_grad_acc(o.dw, o.w, o.n_in * o.n_out, o.l1_w, o.l2_w)
    if o.l1_b != 0 or o.l2_b != 0:
        s.k.penalty_grad_acc(o.db, o.b, o.n_out, o.l1_b, o.l2_b)


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
    s.k.multiply(o.dx, o.dy, o.mask, s.rows * o.n_out)


cdef void affine_forward(Op *o, const Step *s) noexcept nogil:
    s.k.affine(o.y, o.x, s.rows * o.n_out, o.scale, o.shift)


cdef void affine_backward(Op *o, const Step *s) noexcept nogil:
    s.k.affine(o.dx, o.dy, s.rows * o.n_out, o.scale, 0.0)
