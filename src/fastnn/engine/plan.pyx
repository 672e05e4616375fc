"""The plan: a network as a flat list of operations over a few arenas.

All parameters lie in one 64-byte-aligned arena, all gradients in a second, the optimizer's state in further ones of the
same layout, so that an optimizer step is one pass and saving is one write. ``Buffers`` adds the activations for a batch
of so many rows. The plan is the one place that knows the order of operations.
"""
import os

import numpy as np

cimport numpy as cnp
from libc.stdint cimport int32_t, uintptr_t
from libc.string cimport memcpy, memset

from fastnn._core cimport (
    FNN_ACT_linear, FNN_EPI_BACKWARD, FNN_EPI_NONE, FNN_F32, FNN_F64, table, workspace,
)
from fastnn.kernels cimport dense
from fastnn.kernels.arrays import dropout_threshold
from fastnn.kernels.twister import twister_limit
from fastnn._core import ACTIVATION_SAVES, ACTIVATIONS, threads
from fastnn.engine.link import LayerLink
from fastnn.engine.spec import (
    STREAM_DROPOUT, ActivationSpec, AffineSpec, DenseSpec, DropoutSpec, PythonSpec, fuse,
)

cnp.import_array()

ALIGNMENT = 64
# predictions run in blocks of rows whose widest activation fills about this much, so that they stay in cache
BLOCK_BYTES = 1 << 18
# a training batch goes in chunks of about this many bytes of activations, or as many as the weights have if that is
# more, since each chunk reads them again; in multiples of CHUNK_ROWS rows
CHUNK_ROWS = 64
CHUNK_BYTES = 1 << 18


def aligned_empty(Py_ssize_t nbytes):
    """Bytes at a 64-byte boundary, as a uint8 array."""
    raw = np.empty(nbytes + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start:start + nbytes]


def _round_up(n, to):
    return -(-n // to) * to


def physical_memory():
    """Bytes of memory that this machine has."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 1 << 62


def _need_memory(what, nbytes):
    """MemoryError at once for what no machine can give; nbytes is a Python integer: no size overflows unseen."""
    if nbytes > physical_memory():
        raise MemoryError(f"{what} {nbytes / 2**30:.1f} GiB, more than this machine has")


# --- operations ---
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


# --- operations in Python: a turn with the GIL. What they raise waits in the buffers for the next surfacing. ---
cdef copied(const char *data, size_t rows, size_t cols, dtype):
    """An array of its own: a part may keep it."""
    cdef cnp.ndarray a = np.empty((rows, cols), dtype)
    memcpy(cnp.PyArray_DATA(a), data, cnp.PyArray_NBYTES(a))
    return a


cdef void python_turn(Op *o, const Step *s, bint forward) noexcept with gil:
    cdef Buffers b = <Buffers>o.buffers
    cdef cnp.ndarray result
    link = b.links[o.number]
    try:
        if forward:
            result = link.forward(copied(o.x, s.rows, o.n_in, b.plan.dtype))
            memcpy(o.y, cnp.PyArray_DATA(result), cnp.PyArray_NBYTES(result))
        else:
            dx = link.backward(copied(o.dy, s.rows, o.n_out, b.plan.dtype), o.dx != NULL)
            if dx is not None:
                result = dx
                memcpy(o.dx, cnp.PyArray_DATA(result), cnp.PyArray_NBYTES(result))
    except BaseException as error:
        link.note(error, "forward" if forward else "backward")
        b.fail(error)
    # the part may have called kernels that made the workspace grow, and with it move
    (<Step *>s).ws = workspace(b.ws_bytes)


cdef void python_forward(Op *o, const Step *s) noexcept nogil:
    if not (<Buffers>o.buffers).failed:
        python_turn(o, s, True)


cdef void python_backward(Op *o, const Step *s) noexcept nogil:
    if not (<Buffers>o.buffers).failed:
        python_turn(o, s, False)


cdef class Plan:
    """Operations, shapes and arenas of one network. Parameters start at zero; gradients and state come with training.

    specs: list of records of ``fastnn.engine.spec``. tensors: {(layer, name): (offset, shape)} in elements of the
    arenas. admit: called with the tensors before anything is allocated for them; it may raise.
    """

    def __init__(self, specs, dtype="float32", fused=True, admit=None):
        self.dtype = np.dtype(dtype)
        self.k = table(FNN_F64 if self.dtype == np.float64 else FNN_F32)
        self.fused = fused
        self.n_in, self.n_out = specs[0].n_in, specs[len(specs) - 1].n_out
        specs = list(specs)
        self.input_affine = fused and isinstance(specs[0], AffineSpec)
        if self.input_affine:  # scaled where it is gathered
            self.input_scale, self.input_shift = specs[0].scale, specs[0].shift
            specs = specs[1:]
        self.specs = fuse(specs) if fused else specs
        self.widest = max([self.n_in] + [s.n_out for s in specs])

        self.tensors = {}
        offset, step = 0, ALIGNMENT // self.dtype.itemsize
        for s in specs:
            if isinstance(s, DenseSpec):
                for name, shape in (("weights", (s.n_in, s.n_out)), ("biases", (1, s.n_out))):
                    self.tensors[s.layer, name] = (offset, shape)
                    offset += _round_up(shape[0] * shape[1], step)
            elif isinstance(s, PythonSpec):
                for name, shape in s.tensors:
                    self.tensors[s.layer, name] = (offset, shape)
                    offset += _round_up(shape[0] * shape[1], step)
        if admit is not None:
            admit(self.tensors)
        _need_memory("the parameters need", offset * self.dtype.itemsize)
        self.size = offset
        self.params = self._arena()
        self.grads = None
        self.states = []

    def _arena(self):
        arena = aligned_empty(self.size * self.dtype.itemsize).view(self.dtype)
        arena[:] = 0
        return arena

    def need_training_arenas(self, int states):
        """Make the gradient arena and so many state arenas, zeroed, where they are not there yet."""
        if self.grads is None:
            self.grads = self._arena()
        self.need_states(states)

    def need_states(self, int states):
        """Make so many state arenas alone."""
        while len(self.states) < states:
            self.states.append(self._arena())

    def drop_states(self):
        """Forget the optimizer's state."""
        self.states = []

    def view(self, arena, Py_ssize_t layer, str name):
        """A live view of one tensor in an arena (params, grads or a state)."""
        offset, shape = self.tensors[layer, name]
        return arena[offset:offset + shape[0] * shape[1]].reshape(shape)

    def chunk_rows(self, Py_ssize_t batch):
        """Rows that go through forward and backward together while training: a large batch goes in chunks whose
        activations stay in cache. What a chunk adds to the gradients goes on where the one before stopped, so the bits
        are those of the whole batch. A part written in Python sees the whole batch: its gradients do not go on."""
        if any(isinstance(s, PythonSpec) for s in self.specs):
            return batch
        row = sum(2 * s.n_out for s in self.specs) * self.dtype.itemsize  # an output and a gradient each
        cache = max(CHUNK_BYTES, self.size * self.dtype.itemsize) * threads()
        chunks = -(-batch * row // max(cache, CHUNK_ROWS * row, 1))
        return min(batch, _round_up(-(-batch // max(chunks, 1)), CHUNK_ROWS))

    @property
    def isa(self):
        """The instruction set whose table the plan runs on."""
        return self.k.isa.decode()

    def block_rows(self):
        """Rows of a block of predictions."""
        return int(min(max(BLOCK_BYTES // (self.widest * self.dtype.itemsize), 16), 1024))

    cdef char *_tensor(self, array, Py_ssize_t layer, str name):
        if array is None:
            return NULL
        return <char *><uintptr_t>self.view(array, layer, name).ctypes.data


cdef class Buffers:
    """The activations of a plan for up to ``rows`` rows, with those of the gradients where ``training``, and its
    operations with every pointer in place.

    head: the name of the activation whose gradient the loss has merged with its own, or None.
    """

    def __init__(self, Plan plan, Py_ssize_t rows, bint training, bint labels=False, bint head=False):
        self.plan, self.rows, self.training = plan, rows, training
        specs = plan.specs if training else [s for s in plan.specs if not isinstance(s, DropoutSpec)]
        self.count = len(specs)
        self.layer_of = [s.layer for s in specs]
        self.links = {i: LayerLink(plan, s, training) for i, s in enumerate(specs) if isinstance(s, PythonSpec)}
        self.op_memory = aligned_empty(max(self.count, 1) * sizeof(Op))
        self.ops = <Op *><uintptr_t>self.op_memory.ctypes.data
        memset(self.ops, 0, max(self.count, 1) * sizeof(Op))
        layout = self._layout(specs, rows, training, labels)
        total = sum(size for _, size in layout.values())
        if total > physical_memory():
            raise MemoryError(f"a batch of {rows} rows needs {total / 2**30:.1f} GiB of activations, "
                              f"more than this machine has: use a smaller batch_size")
        self.memory = aligned_empty(total)
        base = self.memory.ctypes.data
        at = {name: base + offset for name, (offset, _) in layout.items()}
        self.x, self.t, self.losses = _ptr(at["x"]), _ptr(at["t"]), _ptr(at["losses"])
        self.labels, self.weights = <int32_t *>_ptr(at["labels"]), _ptr(at["weights"])
        self._bind(specs, at, training, head)

    def _layout(self, specs, rows, training, labels):
        """{name: (offset, bytes)} of every buffer; Python integers, so that no size can overflow unseen."""
        size = self.plan.dtype.itemsize
        wants = {"x": rows * self.plan.n_in * size, "t": rows * self.plan.n_out * size, "labels": rows * 4,
                 "losses": rows * size, "weights": rows * size}
        widest = max([1] + [s.n_out for s in specs])
        if training:
            for i, s in enumerate(specs):
                wants["y", i] = rows * s.n_out * size
                wants["extra", i] = rows * s.n_out * size if _wants_extra(s) else 0
            wants["d", 0] = wants["d", 1] = rows * widest * size
        else:
            wants["y", 0] = wants["y", 1] = rows * widest * size
        layout, offset = {}, 0
        for name, want in wants.items():
            layout[name] = (offset, _round_up(want, ALIGNMENT))
            offset += layout[name][1]
        return layout

    def _bind(self, specs, at, bint training, bint head):
        cdef Op *o
        cdef int i
        trained = [i for i, s in enumerate(specs)
                   if isinstance(s, DenseSpec) or (isinstance(s, PythonSpec) and s.tensors)]
        self.first_trained = trained[0] if trained else len(specs)
        x = at["x"]
        for i, s in enumerate(specs):
            o = &self.ops[i]
            y = at["y", i if training else i % 2]
            _fill(o, self.plan, s)
            o.buffers, o.number = <void *>self, i
            o.x, o.y, o.z = _ptr(x), _ptr(y), _ptr(y)
            if training and _wants_extra(s):
                if isinstance(s, DropoutSpec):
                    o.mask = _ptr(at["extra", i])
                else:
                    o.z = _ptr(at["extra", i])
            if isinstance(s, DenseSpec):
                o.saved = o.z
                self.ws_bytes = max(self.ws_bytes, dense.scratch(self.plan.k, self.rows, o.n_in, o.n_out))
            elif isinstance(s, ActivationSpec):
                o.saved = o.x if ACTIVATION_SAVES[s.activation] == "X" else o.y
            x = y
        if training:
            self._bind_gradients(specs, at, head)

    def _bind_gradients(self, specs, at, bint head):
        """dy and dx alternate between two buffers; an elementwise operation works in place."""
        cdef Op *o
        cdef Op *before
        cdef int i, side = 0
        last = len(specs) - 1
        for i in range(last, -1, -1):
            o = &self.ops[i]
            o.dy = _ptr(at["d", side])
            o.to_dx.kind = FNN_EPI_NONE
            if i == last and head:
                o.dy_is_dz = True
            if isinstance(specs[i], PythonSpec):  # it may change the width
                if i > self.first_trained:
                    side = 1 - side
                    o.dx = _ptr(at["d", side])
                continue
            if not isinstance(specs[i], DenseSpec):
                o.dx = o.dy
                continue
            if i > self.first_trained:
                side = 1 - side
                o.dx = _ptr(at["d", side])
                before = &self.ops[i - 1]
                if self.plan.fused and isinstance(specs[i - 1], DenseSpec) and before.act != FNN_ACT_linear:
                    o.to_dx.kind = FNN_EPI_BACKWARD
                    o.to_dx.act, o.to_dx.alpha = before.act, before.alpha
                    o.to_dx.saved = before.saved
                    before.dy_is_dz = True

    def first_not_finite(self, Py_ssize_t rows):
        """Index of the first layer whose output for the batch at hand has a NaN or infinity, None where all is
        finite."""
        for i in range(self.count):
            if not self.plan.k.all_finite(self.ops[i].y, rows * self.ops[i].n_out):
                return self.layer_of[i]
        return None

    cdef void fail(self, error) noexcept:
        self.failed, self.error = True, error

    def raise_error(self):
        """Raise what an operation in Python has raised, if one has."""
        if self.failed:
            error, self.error, self.failed = self.error, None, False
            raise error

    cdef char *output(self) noexcept nogil:
        return self.ops[self.count - 1].y if self.count else self.x

    cdef void forward(self, const Step *s) noexcept nogil:
        cdef int i
        for i in range(self.count):
            self.ops[i].forward(&self.ops[i], s)

    cdef void backward(self, const Step *s) noexcept nogil:
        cdef int i
        for i in range(self.count - 1, self.first_trained - 1, -1):
            self.ops[i].backward(&self.ops[i], s)


cdef char *_ptr(address):
    return <char *><uintptr_t>address


def _wants_extra(s):
    """Whether an operation keeps a second buffer: a dropout its mask, an activation merged into dense its input."""
    if isinstance(s, DropoutSpec):
        return True
    return isinstance(s, DenseSpec) and ACTIVATION_SAVES[s.activation] == "X"


cdef _fill(Op *o, Plan plan, s):
    o.n_in, o.n_out = s.n_in, s.n_out
    if isinstance(s, DenseSpec):
        o.forward, o.backward = dense_forward, dense_backward
        o.act, o.alpha, o.fuse = ACTIVATIONS[s.activation], s.alpha, plan.fused
        o.w = plan._tensor(plan.params, s.layer, "weights")
        o.b = plan._tensor(plan.params, s.layer, "biases")
        o.dw = plan._tensor(plan.grads, s.layer, "weights")
        o.db = plan._tensor(plan.grads, s.layer, "biases")
        o.l1_w, o.l2_w = s.weight_penalty
        o.l1_b, o.l2_b = s.bias_penalty
    elif isinstance(s, ActivationSpec):
        o.forward, o.backward = activation_forward, activation_backward
        o.act, o.alpha = ACTIVATIONS[s.activation], s.alpha
    elif isinstance(s, DropoutSpec):
        o.forward, o.backward = dropout_forward, dropout_backward
        o.threshold = dropout_threshold(s.rate)
        o.keep = 1.0 / (1.0 - s.rate)
        o.stream = STREAM_DROPOUT + s.layer
        o.limit, o.below, o.above = twister_limit(1.0 - s.rate)
    elif isinstance(s, AffineSpec):
        o.forward, o.backward = affine_forward, affine_backward
        o.scale, o.shift = s.scale, s.shift
    elif isinstance(s, PythonSpec):
        o.forward, o.backward = python_forward, python_backward
    else:
        raise TypeError(f"no operation for {type(s).__name__}")
