"""The plan: a network as a flat list of operations over a few arenas.

All parameters lie in one 64-byte-aligned arena, all gradients in a second, the optimizer's state in further ones of the
same layout, so that an optimizer step is one pass and saving is one write. ``Buffers`` adds the activations for a batch
of so many rows. The plan is the one place that knows the order of operations, and what each reads.
"""
import os

import numpy as np

cimport numpy as cnp
from libc.stdint cimport int32_t, uintptr_t
from libc.string cimport memcpy, memset

from fastnn._core cimport FNN_EPI_BACKWARD, FNN_EPI_NONE, FNN_F32, FNN_F64, table, workspace
from fastnn.engine cimport merge, ops
from fastnn.engine.ops cimport Op, Part, Step
from fastnn.kernels cimport dense
from fastnn.kernels.arrays import alpha_dropout_numbers, dropout_threshold
from fastnn.kernels.twister import twister_limit
from fastnn._core import ACTIVATION_SAVES, ACTIVATIONS, threads
from fastnn.engine.link import LayerLink
from fastnn.engine.spec import (
    INPUT, STREAM_DROPOUT, TRAINING_ONLY, WHOLE_BATCH, ActivationSpec, AffineSpec, AlphaDropoutSpec, BatchNormSpec,
    ColumnsSpec, DenseSpec, DropoutSpec, GaussianSpec, LayerNormSpec, MergeSpec, NormalizationSpec, PythonSpec, fuse,
    in_a_row, kept_tensors, source_widths, trained_tensors, without,
)
from fastnn.engine.wiring import gradient_buffers, trained, value_buffers

cnp.import_array()

ALIGNMENT = 64
# predictions run in blocks of rows whose widest activation fills about this much, so that they stay in cache
BLOCK_BYTES = 1 << 18
# a training batch goes in chunks of about this many bytes of activations, or as many as the weights have if that is
# more, since each chunk reads them again; in multiples of CHUNK_ROWS rows
CHUNK_ROWS = 64
CHUNK_BYTES = 1 << 18


def aligned(Py_ssize_t nbytes, make):
    """Bytes at a 64-byte boundary, as a uint8 array. make: np.empty, or np.zeros, which takes memory where it is
    written to: optimizers leave alone what is not trained."""
    raw = make(nbytes + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start:start + nbytes]


def aligned_empty(Py_ssize_t nbytes):
    """The same with anything in them."""
    return aligned(nbytes, np.empty)


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

    specs: list of records of ``fastnn.engine.spec``. sources: what each reads, as there; in a row where left out.
    tensors: {(layer, name): (offset, shape)} in elements of the arenas. What is kept without being trained lies behind
    all that is: ``trained`` elements are what gradients, optimizers and clipping work on, of ``size`` in all; beyond
    them the gradient arena holds the moments of the batch. admit: called with ``tensors`` and ``trained`` before
    anything is allocated for them; it may raise.
    """

    def __init__(self, specs, dtype="float32", fused=True, sources=None, admit=None):
        self.dtype = np.dtype(dtype)
        self.k = table(FNN_F64 if self.dtype == np.float64 else FNN_F32)
        self.fused = fused
        self.n_in, self.n_out = source_widths(specs[0])[0], specs[len(specs) - 1].n_out
        specs = list(specs)
        sources = in_a_row(len(specs)) if sources is None else [tuple(js) for js in sources]
        _check_wiring(specs, sources, self.n_in)
        self.input_affine = fused and isinstance(specs[0], AffineSpec) and sum(js.count(INPUT) for js in sources) == 1
        if self.input_affine:  # scaled where it is gathered
            self.input_scale, self.input_shift = specs[0].scale, specs[0].shift
            specs, sources = without(AffineSpec, specs, sources, most=1)
        self.specs, self.sources = fuse(specs, sources) if fused else (specs, sources)
        self.widest = max([self.n_in] + [s.n_out for s in specs])

        self.tensors = {}
        offset, step = 0, ALIGNMENT // self.dtype.itemsize
        moved = 0
        for tensors_of in (trained_tensors, kept_tensors):
            for s in specs:
                for name, shape in tensors_of(s):
                    self.tensors[s.layer, name] = (offset, shape)
                    offset += _round_up(shape[0] * shape[1], step)
            if tensors_of is trained_tensors:
                moved = offset
        if admit is not None:
            admit(self.tensors, moved)
        _need_memory("the parameters need", offset * self.dtype.itemsize)
        self.size, self.trained = offset, moved
        self.params = self._arena()
        self.grads = self.average = None
        self.states = []

    def _arena(self):
        return aligned(self.size * self.dtype.itemsize, np.zeros).view(self.dtype)

    def need_training_arenas(self, int states):
        """Make the gradient arena and so many state arenas, zeroed, where they are not there yet."""
        if self.grads is None:
            self.grads = self._arena()
        self.need_states(states)

    def need_states(self, int states):
        """Make so many state arenas alone."""
        while len(self.states) < states:
            self.states.append(self._arena())

    def need_average(self):
        """The arena of the parameters' running average, made where it is not there yet."""
        if self.average is None:
            self.average = self.params.copy()
        return self.average

    def drop_states(self):
        """Forget the optimizer's state."""
        self.states, self.average = [], None
        self.averaged = self.pairs = self.ended = 0

    def view(self, arena, Py_ssize_t layer, str name):
        """A live view of one tensor in an arena (params, grads or a state)."""
        offset, shape = self.tensors[layer, name]
        return arena[offset:offset + shape[0] * shape[1]].reshape(shape)

    def is_trained(self, Py_ssize_t layer, str name):
        """Whether a tensor is moved by its gradient, not only kept."""
        return self.tensors[layer, name][0] < self.trained

    @property
    def whole_batch(self):
        """Whether a training batch cannot go through in chunks of rows."""
        return any(isinstance(s, WHOLE_BATCH) for s in self.specs)

    def chunk_rows(self, Py_ssize_t batch):
        """Rows that go through forward and backward together while training: a large batch goes in chunks whose
        activations stay in cache. What a chunk adds to the gradients goes on where the one before stopped, so the bits
        are those of the whole batch. A part written in Python sees the whole batch: its gradients do not go on; so does
        a batch normalization, which is by the moments of all rows."""
        if self.whole_batch:
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

    head: the name of the activation whose gradient the loss has merged with its own, or None. to_input: forward is that
    of a prediction, and backward goes through to the input, whose gradient is then ``input_gradient``, and gives none
    of the parameters'. moving: normalizations go by their moving averages, as in predictions, where all else trains.
    frozen: layers that are not trained: their gradients are not worked out, nor any that lead to nothing else.
    """

    def __init__(self, Plan plan, Py_ssize_t rows, bint training, bint labels=False, bint head=False,
                 bint to_input=False, bint moving=False, frozen=frozenset()):
        cdef bint draws = training and not to_input
        self.plan, self.rows, self.training, self.to_input = plan, rows, training, to_input
        specs, sources = plan.specs, plan.sources
        if not draws:
            specs, sources = without(TRAINING_ONLY, specs, sources)
        learns = [draws and s.layer not in frozen for s in specs]
        wanted = [yes and trained(s) for yes, s in zip(learns, specs)]
        turns, self.gradient_buffers, into = [], 1, None
        if training and specs:
            turns, self.gradient_buffers, into = gradient_buffers(specs, sources, wanted, to_input)
        place, values = (list(range(len(specs))), 0) if training else value_buffers(sources)
        self.count = len(specs)
        self.layer_of = [s.layer for s in specs]
        self.links = {i: LayerLink(plan, s, draws, to_input, frozen) for i, s in enumerate(specs)
                      if isinstance(s, PythonSpec)}
        self.op_memory = aligned_empty(max(self.count, 1) * sizeof(Op))
        self.ops = <Op *><uintptr_t>self.op_memory.ctypes.data
        memset(self.ops, 0, max(self.count, 1) * sizeof(Op))
        layout = self._layout(specs, rows, training, labels, values)
        total = sum(size for _, size in layout.values())
        if total > physical_memory():
            raise MemoryError(f"a batch of {rows} rows needs {total / 2**30:.1f} GiB of activations, "
                              f"more than this machine has: use a smaller batch_size")
        self.memory = aligned_empty(total)
        base = self.memory.ctypes.data
        at = {name: base + offset for name, (offset, _) in layout.items()}
        self.x, self.t, self.losses = _ptr(at["x"]), _ptr(at["t"]), _ptr(at["losses"])
        self.labels, self.weights = <int32_t *>_ptr(at["labels"]), _ptr(at["weights"])
        self.input_gradient = NULL if into is None else _ptr(at["d", into])
        self.first_trained = wanted.index(True) if True in wanted else len(specs)
        self._bind(specs, sources, place, at, training, [] if moving else learns)
        self._bind_sources(specs, sources, place, at)
        if training:
            self._bind_gradients(specs, sources, turns, at, head)

    def _layout(self, specs, rows, training, labels, values):
        """{name: (offset, bytes)} of every buffer; Python integers, so that no size can overflow unseen."""
        size = self.plan.dtype.itemsize
        wants = {"x": rows * self.plan.n_in * size, "t": rows * self.plan.n_out * size, "labels": rows * 4,
                 "losses": rows * size, "weights": rows * size}
        widest = max([self.plan.n_in if self.to_input else 1] + [s.n_out for s in specs])
        if training:
            for i, s in enumerate(specs):
                wants["y", i] = rows * s.n_out * size
                wants["extra", i] = rows * _extra(s) * size
            for i in range(self.gradient_buffers):
                wants["d", i] = rows * widest * size
        else:
            for i in range(values):
                wants["y", i] = rows * widest * size
        layout, offset = {}, 0
        for name, want in wants.items():
            layout[name] = (offset, _round_up(want, ALIGNMENT))
            offset += layout[name][1]
        return layout

    def _bind(self, specs, sources, place, at, bint training, learns):
        cdef Op *o
        cdef int i
        for i, s in enumerate(specs):
            o = &self.ops[i]
            x, y = _value(at, place, sources[i][0]), at["y", place[i]]
            _fill(o, self.plan, s, bool(learns) and learns[i])
            o.buffers, o.number = <void *>self, i
            o.x, o.y, o.z = _ptr(x), _ptr(y), _ptr(y)
            if training and _extra(s):
                if isinstance(s, DenseSpec):
                    o.z = _ptr(at["extra", i])
                elif isinstance(s, LayerNormSpec):
                    o.stats = _ptr(at["extra", i])
                else:
                    o.mask = _ptr(at["extra", i])
            self.settles = self.settles or o.settle != NULL
            if isinstance(s, DenseSpec):
                o.saved = o.z
                self.ws_bytes = max(self.ws_bytes, dense.scratch(self.plan.k, self.rows, o.n_in, o.n_out))
            elif isinstance(s, ActivationSpec):
                o.saved = o.x if ACTIVATION_SAVES[s.activation] == "X" else o.y

    def _bind_sources(self, specs, sources, place, at):
        """The parts of the operations that read several, and who else than the first operation reads what comes in."""
        cdef Op *o
        cdef Part *parts
        cdef int i, j
        cdef size_t used = 0
        several = [js for s, js in zip(specs, sources, strict=True) if isinstance(s, MergeSpec)]
        self.part_memory = aligned_empty(max(sum(len(js) for js in several), 1) * sizeof(Part))
        parts = <Part *><uintptr_t>self.part_memory.ctypes.data
        memset(parts, 0, self.part_memory.nbytes)
        readers = []
        for i, s in enumerate(specs):
            o = &self.ops[i]
            if not isinstance(s, MergeSpec):
                if sources[i][0] == INPUT:
                    readers.append(<uintptr_t>&o.x)
                continue
            o.parts, o.part_count = parts + used, len(s.widths)
            used += o.part_count
            for j in range(len(s.widths)):
                o.parts[j].n = s.widths[j]
                o.parts[j].x = _ptr(_value(at, place, sources[i][j]))
                if sources[i][j] == INPUT:
                    readers.append(<uintptr_t>&o.parts[j].x)
        self.input_readers = len(readers)
        self.reader_memory = np.array(readers, np.uintp)
        self.reader_at = <uintptr_t *><uintptr_t>self.reader_memory.ctypes.data

    def _bind_gradients(self, specs, sources, turns, at, bint head):
        """By the plan of ``fastnn.engine.wiring``. Where one dense operation alone reads another, the gradient of the
        activation between them is an epilogue of its dx."""
        cdef Op *o
        cdef Op *before
        cdef int i, j
        last = len(specs) - 1
        for i in range(last, -1, -1):
            o = &self.ops[i]
            o.to_dx.kind = FNN_EPI_NONE
            turn = turns[i]
            o.dy = _ptr(at["d", 0 if turn is None else turn.dy])
            if turn is None:
                o.backward = merge.no_backward
                continue
            if i == last and head:
                o.dy_is_dz = True
            if isinstance(specs[i], MergeSpec):
                for j, slot in enumerate(turn.slots):
                    o.parts[j].dx = NULL if slot.to is None else _ptr(at["d", slot.to])
                    o.parts[j].also = NULL if slot.also is None else _ptr(at["d", slot.also])
                continue
            slot = turn.slots[0]
            o.dx = NULL if slot.to is None else _ptr(at["d", slot.to])
            if slot.also is not None:
                o.also, o.own_backward, o.backward = _ptr(at["d", slot.also]), o.backward, merge.summed_backward
            if self.plan.fused and turn.gates:
                before = &self.ops[<int>sources[i][0]]
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

    cdef void spread_input(self, char *x) noexcept nogil:
        """Where several operations read the rows that come in: they lie at x."""
        cdef int i
        for i in range(self.input_readers):
            (<char **>self.reader_at[i])[0] = x

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

    cdef void settle(self) noexcept nogil:
        """A step is taken: what moves with it besides the parameters."""
        cdef int i
        for i in range(self.count):
            if self.ops[i].settle != NULL:
                self.ops[i].settle(&self.ops[i], self.plan.k)

    cdef void backward_to_input(self, const Step *s) noexcept nogil:
        """From the gradient of the output to ``input_gradient``."""
        cdef int i
        for i in range(self.count - 1, -1, -1):
            self.ops[i].backward(&self.ops[i], s)


cdef char *_ptr(address):
    return <char *><uintptr_t>address


def _extra(s):
    """Numbers a row that an operation keeps beside its output: a mask, the input of an activation merged into dense,
    the moments of the row."""
    if isinstance(s, LayerNormSpec):
        return 2
    merged = isinstance(s, DenseSpec) and ACTIVATION_SAVES[s.activation] == "X"
    masked = isinstance(s, (DropoutSpec, AlphaDropoutSpec)) or (isinstance(s, GaussianSpec) and s.multiplies)
    return s.n_out if merged or masked else 0


cdef _value(at, place, j):
    """The address of a value: the rows that come in, or an operation's output."""
    return at["x"] if j == INPUT else at["y", place[j]]


def _check_wiring(specs, sources, n_in):
    """Whatever is bound to pointers reads earlier operations, of the width it expects."""
    if len(specs) != len(sources):
        raise ValueError(f"sources: expected {len(specs)}, one for each operation, got {len(sources)}")
    for i, (s, js) in enumerate(zip(specs, sources, strict=True)):
        found = tuple(n_in if j == INPUT else specs[j].n_out if 0 <= j < i else None for j in js)
        if found != tuple(source_widths(s)):
            raise ValueError(f"sources: operation {i} ({type(s).__name__}) expects widths {source_widths(s)}, "
                             f"and {js} have {found}")


cdef _fill(Op *o, Plan plan, s, bint learns):
    """learns: whether it takes part in training; only then do normalizations go by the batch at hand."""
    o.n_in, o.n_out = s.n_in, s.n_out
    if isinstance(s, DenseSpec):
        o.forward, o.backward = ops.dense_forward, ops.dense_backward
        o.act, o.alpha, o.fuse = ACTIVATIONS[s.activation], s.alpha, plan.fused
        o.w = plan._tensor(plan.params, s.layer, "weights")
        o.b = plan._tensor(plan.params, s.layer, "biases")
        o.dw = plan._tensor(plan.grads, s.layer, "weights")
        o.db = plan._tensor(plan.grads, s.layer, "biases")
        o.l1_w, o.l2_w = s.weight_penalty
        o.l1_b, o.l2_b = s.bias_penalty
        if not learns:  # its penalties are constants, and do not count
            o.backward = ops.dense_to_input
            o.l1_w = o.l2_w = o.l1_b = o.l2_b = 0.0
    elif isinstance(s, ActivationSpec):
        o.forward, o.backward = ops.activation_forward, ops.activation_backward
        o.act, o.alpha = ACTIVATIONS[s.activation], s.alpha
    elif isinstance(s, DropoutSpec):
        o.forward, o.backward = ops.dropout_forward, ops.dropout_backward
        o.threshold = dropout_threshold(s.rate)
        o.keep = 1.0 / (1.0 - s.rate)
        o.stream = STREAM_DROPOUT + s.layer
        o.limit, o.below, o.above = twister_limit(1.0 - s.rate)
    elif isinstance(s, AffineSpec):
        o.forward, o.backward = ops.affine_forward, ops.affine_backward
        o.scale, o.shift = s.scale, s.shift
    elif isinstance(s, AlphaDropoutSpec):
        o.forward, o.backward = ops.alpha_dropout_forward, ops.dropout_backward
        o.threshold, o.stream = dropout_threshold(s.rate), STREAM_DROPOUT + s.layer
        o.keep, o.shift_kept, o.shift_dropped = alpha_dropout_numbers(s.rate)
    elif isinstance(s, GaussianSpec):
        o.forward = ops.gaussian_forward
        o.backward = ops.dropout_backward if s.multiplies else ops.gaussian_backward
        o.stddev, o.stream = s.stddev, STREAM_DROPOUT + s.layer
    elif isinstance(s, (BatchNormSpec, LayerNormSpec)):
        o.epsilon = s.epsilon
        if s.scale:
            o.gamma = plan._tensor(plan.params, s.layer, "gamma")
            o.dgamma = plan._tensor(plan.grads if learns else None, s.layer, "gamma")
        if s.center:
            o.beta = plan._tensor(plan.params, s.layer, "beta")
            o.dbeta = plan._tensor(plan.grads if learns else None, s.layer, "beta")
        o.forward, o.backward = ops.layer_norm_forward, ops.layer_norm_backward
        if isinstance(s, BatchNormSpec):
            o.forward, o.backward = ops.normalize_forward, ops.normalize_backward
            o.momentum = s.momentum
            o.mean = plan._tensor(plan.params, s.layer, "moving_mean")
            o.batch_mean = plan._tensor(plan.grads, s.layer, "moving_mean")
            o.variance = plan._tensor(plan.params, s.layer, "moving_variance")
            o.batch_variance = plan._tensor(plan.grads, s.layer, "moving_variance")
            if learns:
                o.forward, o.backward, o.settle = ops.batch_norm_forward, ops.batch_norm_backward, ops.batch_norm_settle
    elif isinstance(s, NormalizationSpec):
        o.forward, o.backward = ops.normalize_forward, ops.normalize_backward
        o.mean = plan._tensor(plan.params, s.layer, "mean")
        o.variance = plan._tensor(plan.params, s.layer, "variance")
    elif isinstance(s, PythonSpec):
        o.forward, o.backward = python_forward, python_backward
    elif isinstance(s, MergeSpec) and s.kind == "add":
        o.forward, o.backward = merge.add_forward, merge.add_backward
    elif isinstance(s, MergeSpec) and s.kind == "multiply":
        o.forward, o.backward = merge.multiply_forward, merge.multiply_backward
    elif isinstance(s, MergeSpec) and s.kind == "concatenate":
        o.forward, o.backward = merge.concatenate_forward, merge.concatenate_backward
    elif isinstance(s, ColumnsSpec):
        o.forward, o.backward = merge.columns_forward, merge.columns_backward
        o.first_column = s.start
    else:
        raise TypeError(f"no operation for {type(s).__name__}")
