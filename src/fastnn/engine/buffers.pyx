"""The buffers: the activations of a plan for a batch of so many rows, and its operations, every pointer in place."""
import numpy as np

cimport numpy as cnp
from libc.stdint cimport int32_t, uintptr_t
from libc.string cimport memcpy, memset

from fastnn._core cimport FNN_EPI_BACKWARD, FNN_EPI_NONE, fnn_fp_enter, fnn_fp_leave, fnn_fp_state, workspace
from fastnn.engine cimport merge, ops
from fastnn.engine.ops cimport Op, Part, Step
from fastnn.engine.plan cimport Plan
from fastnn.kernels cimport dense
from fastnn.kernels.arrays import alpha_dropout_numbers, dropout_threshold
from fastnn.kernels.twister import twister_limit
from fastnn._core import ACTIVATION_SAVES, ACTIVATIONS
from fastnn.engine.link import LayerLink
from fastnn.engine.plan import ALIGNMENT, aligned_empty, physical_memory, round_up
from fastnn.engine.spec import (
    INPUT, STREAM_DROPOUT, TRAINING_ONLY, ActivationSpec, AffineSpec, AlphaDropoutSpec, BatchNormSpec, ColumnsSpec,
    DenseSpec, DropoutSpec, GaussianSpec, LayerNormSpec, MergeSpec, NormalizationSpec, PythonSpec, without,
)
from fastnn.engine.wiring import gradient_buffers, trained, value_buffers

cnp.import_array()


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
    # the part may have called kernels that made the workspace grow, and with it move; or have set another rounding mode
    (<Step *>s).ws = workspace(b.ws_bytes)
    fnn_fp_enter()


cdef void python_forward(Op *o, const Step *s) noexcept nogil:
    if not (<Buffers>o.buffers).failed:
        python_turn(o, s, True)


cdef void python_backward(Op *o, const Step *s) noexcept nogil:
    if not (<Buffers>o.buffers).failed:
        python_turn(o, s, False)


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
            layout[name] = (offset, round_up(want, ALIGNMENT))
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
                    if isinstance(s, ActivationSpec) and o.saved == o.x:  # its gradient is by what comes in
                        readers.append(<uintptr_t>&o.saved)
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
        """By the plan of ``fastnn.engine.wiring``. Where a dense operation or a dropout alone reads a dense one,
        the gradient of the activation between them is an epilogue of its dx, and so are, for a dense one, the sums
        that are the gradient by the biases of one that is trained."""
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
                if isinstance(specs[i], DenseSpec) and before.backward == ops.dense_backward:
                    o.to_dx.sums, before.db_is_there = before.db, True

    def first_not_finite(self, Py_ssize_t rows):
        """Index of the first layer whose output for the batch at hand has a NaN or infinity, None where all is
        finite."""
        cdef int i = 0
        cdef fnn_fp_state found = fnn_fp_enter()
        while i < self.count and self.plan.k.all_finite(self.ops[i].y, rows * self.ops[i].n_out):
            i += 1
        fnn_fp_leave(found)
        return None if i == self.count else self.layer_of[i]

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
