"""The native part of a session: weights laid out for prediction, and a way in from Python that costs little.

``Weights`` never change once they are made. A ``Runner`` points to one and can be pointed to another while it runs:
each call takes hold of the weights it finds and answers with these alone.
"""
import numpy as np

cimport cython
cimport numpy as cnp
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport uintptr_t
from libc.string cimport memset

from fastnn._core cimport (
    FNN_LAYER_AFFINE, FNN_LAYER_DENSE, FNN_LAYER_MAP, FNN_LAYER_NARROW, FNN_LAYER_NORM_COLUMNS, FNN_LAYER_NORM_ROWS,
    FNN_NARROW, bias_reals, fnn_layer, fnn_net, fnn_rows, lay_out, layer_reals, may_skip,
    narrow_ld, net_row, net_run, take_out,
)
from fastnn.engine.plan cimport Plan
from fastnn._core import ACTIVATIONS, SOURCES
from fastnn.engine.plan import ALIGNMENT, aligned_empty, physical_memory
from fastnn.engine.spec import (
    TRAINING_ONLY, ActivationSpec, AffineSpec, BatchNormSpec, DenseSpec, LayerNormSpec, NormalizationSpec, in_a_row,
    kept_tensors, trained_tensors, without,
)

cnp.import_array()

cdef extern from "gate.h" nogil:
    ctypedef struct fnn_gate:
        pass
    unsigned fnn_gate_enter(fnn_gate *g) noexcept
    void fnn_gate_leave(fnn_gate *g, unsigned side) noexcept
    void fnn_gate_drain(fnn_gate *g) noexcept

NORMS = (BatchNormSpec, NormalizationSpec, LayerNormSpec)
KNOWN = (DenseSpec, ActivationSpec, AffineSpec, *NORMS)
ACTIVATION_WORK = 8  # multiply-adds that an element of an activation, or of a normalization, counts as
# calls of less work (multiply-adds) keep the GIL, for giving it up and taking it back costs as much; about 10 us
GIL_WORK = 400_000
# a row's products with 0 are left out after a ReLU, and of the input, which may hold no 0 at all, where the look for
# them is little beside the product
SKIP_INPUTS, SKIP_OUTPUTS = 32, 64
SLICE_WORK = 4_000_000_000  # between two looks for Ctrl-C: about a tenth of a second

cdef size_t gil_work = GIL_WORK
cdef size_t slice_work = SLICE_WORK

# the gatherable types by NumPy's number of the type; -1: not gatherable
cdef enum:
    TYPE_COUNT = 24
cdef int _source_of[TYPE_COUNT]
cdef int _number
for _number in range(TYPE_COUNT):
    _source_of[_number] = -1
for _name, _source in SOURCES.items():
    for _number in range(TYPE_COUNT):
        if np.dtype(_name) == cnp.PyArray_DescrFromType(_number):
            _source_of[_number] = _source
_source_of[<int>cnp.NPY_BOOL] = SOURCES["uint8"]


cdef class Weights:
    """The operations of a plan with their weights, copied and laid out for prediction; nothing here ever changes.

    ``native``: whether the plan is a row of operations that are known here; where not, ``portable`` answers in their
    place: a callable (rows, out) that fills out. source: whatever goes along with the weights.
    """
    cdef fnn_net net
    cdef object memory, matrices, vectors, __weakref__
    cdef readonly object dtype, isa, source, portable
    cdef readonly Py_ssize_t n_in, n_out, nbytes
    cdef readonly bint native

    def __init__(self, Plan plan, source=None, portable=None):
        self.dtype, self.isa, self.n_in, self.n_out = plan.dtype, plan.isa, plan.n_in, plan.n_out
        self.source, self.portable, self.native = source, portable, portable is None
        self.matrices, self.vectors, self.nbytes = {}, {}, plan.params.nbytes
        if self.native:
            self._lay_out(plan, without(TRAINING_ONLY, plan.specs, plan.sources)[0])

    @staticmethod
    def can_lay_out(Plan plan):
        """Whether predictions of the plan are a row of operations that are known here."""
        specs, sources = without(TRAINING_ONLY, plan.specs, plan.sources)
        return sources == in_a_row(len(specs)) and all(type(s) in KNOWN for s in specs)

    cdef _lay_out(self, Plan plan, specs):
        cdef fnn_net *net = &self.net
        cdef size_t itemsize = plan.k.itemsize
        cdef fnn_layer *layers
        cdef char *at
        net.t, net.count, net.n_in, net.n_out = plan.k, len(specs), plan.n_in, plan.n_out
        net.scaled, net.scale, net.shift = plan.input_affine, plan.input_scale, plan.input_shift
        net.widest = max([1] + [s.n_out for s in specs])
        net.work = max(1, sum(_work(s) for s in specs))
        head = _round_up(max(len(specs), 1) * sizeof(fnn_layer))
        sizes = [_reals(plan, s) * itemsize for s in specs]
        self.nbytes = head + sum(map(_round_up, sizes))
        self.memory = aligned_empty(self.nbytes)
        at = <char *><uintptr_t>self.memory.ctypes.data
        memset(at, 0, self.nbytes)
        layers = <fnn_layer *>at
        net.layers = layers
        at += <size_t>head
        for i, s in enumerate(specs):
            self._fill(&layers[i], plan, s, at, i == 0, i > 0 and getattr(specs[i - 1], "activation", "") == "relu")
            at += <size_t>_round_up(sizes[i])

    cdef _fill(self, fnn_layer *layer, Plan plan, s, char *at, bint first, bint after_relu):
        cdef size_t n_in = s.n_in, n_out = s.n_out
        cdef cnp.ndarray w
        layer.n_in, layer.n_out = n_in, n_out
        if isinstance(s, AffineSpec):
            layer.kind, layer.scale, layer.shift = FNN_LAYER_AFFINE, s.scale, s.shift
            return
        if isinstance(s, NORMS):
            self._fill_norm(layer, plan, s, at)
            return
        layer.act, layer.alpha = ACTIVATIONS[s.activation], s.alpha
        if isinstance(s, ActivationSpec):
            layer.kind = FNN_LAYER_MAP
            return
        w = plan.view(plan.params, s.layer, "weights")
        layer.kind = FNN_LAYER_NARROW if n_out < FNN_NARROW else FNN_LAYER_DENSE
        layer.ld = narrow_ld(plan.k, n_in) if n_out < FNN_NARROW else 0
        lay_out(plan.k, at, cnp.PyArray_DATA(w), n_in, n_out)
        layer.w = at
        self.matrices[s.layer, "weights"] = (n_in, n_out, <uintptr_t>layer.w)
        layer.b = self._vector(plan, s, "biases", at + layer_reals(plan.k, n_in, n_out) * plan.k.itemsize)
        if (layer.kind == FNN_LAYER_DENSE and n_in >= SKIP_INPUTS
                and (after_relu or first and n_out >= SKIP_OUTPUTS)
                and may_skip(plan.k, cnp.PyArray_DATA(w), layer.b, n_in, n_out)):
            layer.skips, self.net.longest = True, max(self.net.longest, n_in)

    cdef _fill_norm(self, fnn_layer *layer, Plan plan, s, char *at):
        cdef const void *vector
        layer.kind = FNN_LAYER_NORM_ROWS if isinstance(s, LayerNormSpec) else FNN_LAYER_NORM_COLUMNS
        layer.epsilon = getattr(s, "epsilon", 0.0)
        for name in _names(s):
            vector = self._vector(plan, s, name, at)
            at += bias_reals(plan.k, s.n_out) * plan.k.itemsize
            if name == "gamma":
                layer.w = vector
            elif name == "beta":
                layer.b = vector
            elif name.endswith("mean"):
                layer.mean = vector
            else:
                layer.variance = vector

    cdef const void *_vector(self, Plan plan, s, name, char *at) except NULL:
        """A tensor of one row, copied to where it is given back."""
        to = np.frombuffer(self.memory, plan.dtype, s.n_out, <uintptr_t>at - self.memory.ctypes.data)
        to[:] = plan.view(plan.params, s.layer, name).reshape(-1)
        self.vectors[s.layer, name] = to
        return at

    @property
    def skips(self):
        """Of each operation, whether a row's products with 0 are left out."""
        return [bool(self.net.layers[i].skips) for i in range(self.net.count)]

    def take_out(self):
        """{(layer, name): array} of all tensors, as the plan has them."""
        cdef cnp.ndarray w
        found = {key: vector.reshape(1, -1).copy() for key, vector in self.vectors.items()}
        for key, (n_in, n_out, where) in self.matrices.items():
            w = np.empty((n_in, n_out), self.dtype)
            take_out(self.net.t, cnp.PyArray_DATA(w), <const void *><uintptr_t>where, n_in, n_out)
            found[key] = w
        return found


def _round_up(n):
    return -(-n // ALIGNMENT) * ALIGNMENT


def _names(s):
    return [name for name, _ in trained_tensors(s) + kept_tensors(s)]


cdef _reals(Plan plan, s):
    if isinstance(s, DenseSpec):
        return layer_reals(plan.k, s.n_in, s.n_out) + bias_reals(plan.k, s.n_out)
    return len(_names(s)) * bias_reals(plan.k, s.n_out)


def _work(s):
    """Of a row."""
    product = s.n_in * s.n_out if isinstance(s, DenseSpec) else 0
    return product + (0 if getattr(s, "activation", "relu") in ("linear", "relu") else ACTIVATION_WORK * s.n_out)


cdef inline bint _apart(cnp.ndarray a, cnp.ndarray dense) noexcept:
    """Whether an array of any strides and a dense one share no byte."""
    cdef const char *low = <const char *>cnp.PyArray_DATA(a)
    cdef const char *high = low + cnp.PyArray_ITEMSIZE(a)
    cdef const char *other = <const char *>cnp.PyArray_DATA(dense)
    cdef Py_ssize_t nbytes = cnp.PyArray_ITEMSIZE(dense)
    cdef int i
    for i in range(a.ndim):
        if a.shape[i] == 0:
            return True
        if a.strides[i] > 0:
            high += (a.shape[i] - 1) * a.strides[i]
        else:
            low += (a.shape[i] - 1) * a.strides[i]
    for i in range(dense.ndim):
        nbytes *= dense.shape[i]
    return high <= other or other + nbytes <= low


@cython.no_gc_clear  # a call that a finalizer makes finds its weights
cdef class Runner:
    """Runs the weights of the moment. Calls of any number of threads go on side by side; ``point_to`` is for one."""
    cdef Weights weights
    cdef fnn_gate gate
    cdef int type_number
    cdef Py_ssize_t most_rows
    cdef readonly Py_ssize_t n_in, n_out
    cdef readonly object dtype

    def __cinit__(self, *args, **kwargs):
        memset(&self.gate, 0, sizeof(fnn_gate))
        self.n_in = self.n_out = self.type_number = -1  # nothing fits until there are weights

    cdef inline Weights hold(self):
        """The weights of the moment, held: who swaps them cannot free them."""
        cdef unsigned side = fnn_gate_enter(&self.gate)
        cdef Weights weights = self.weights
        fnn_gate_leave(&self.gate, side)
        return weights

    @property
    def _weights(self):
        return self.hold()

    def point_to(self, Weights weights not None):
        """From now on calls answer with these weights; those under way finish with theirs. Of one thread at a time."""
        cdef Weights old = self.weights
        if old is None:
            self.n_in, self.n_out, self.dtype = weights.n_in, weights.n_out, weights.dtype
            self.most_rows = physical_memory() // (self.n_out * self.dtype.itemsize)
            self.type_number = cnp.NPY_FLOAT64 if weights.dtype == np.float64 else cnp.NPY_FLOAT32
        elif (weights.n_in, weights.n_out, weights.dtype) != (self.n_in, self.n_out, self.dtype):
            raise ValueError(f"weights: expected {self.n_in} inputs, {self.n_out} outputs, {self.dtype}, "
                             f"got {weights.n_in}, {weights.n_out}, {weights.dtype}")
        self.weights = weights
        fnn_gate_drain(&self.gate)
        # old is let go here, and freed where no call holds it

    @cython.binding(False)  # a plain method: called without a function object in between
    def run(self, x, out=None):
        """The outputs of x: a row (n_in,) gives (n_out,), rows (rows, n_in) give (rows, n_out).

        x: numbers of any type and strides, a list too; what is not of the session's dtype is converted as ``predict``
        does. out: a C-contiguous array of the outputs' shape and the session's dtype to write to, which is returned; it
        may overlap x, which is then copied first. Without it an array is made. Raises TypeError for what are no
        numbers, or not the dtype of out; ValueError for a shape that does not fit.
        """
        cdef cnp.ndarray a
        cdef Weights w
        cdef int ndim
        if type(x) is cnp.ndarray:
            a = x
            ndim = a.ndim
            if (a.descr.type_num == self.type_number and 0 < ndim <= 2 and cnp.PyArray_ISCARRAY_RO(a)
                    and a.shape[ndim - 1] == self.n_in):
                if out is None:
                    out = self._empty(a)
                elif not self._takes(out, a) or not _apart(a, out):
                    return self._anything(x, out)
                w = self.hold()
                if w.native and not w.net.scaled and w.net.work < gil_work and (ndim == 1 or a.shape[0] == 1):
                    if w.net.count == 0 or net_row(&w.net, cnp.PyArray_DATA(out), cnp.PyArray_DATA(a)):
                        return self._rows(w, a, out)
                    return out
                return self._rows(w, a, out)
        return self._anything(x, out)

    def __call__(self, x, out=None):
        """As ``run``."""
        return self.run(x, out)

    cdef _empty(self, cnp.ndarray a):
        """The array for the outputs of a."""
        cdef cnp.npy_intp shape[2]
        shape[0] = a.shape[0] if a.ndim == 2 else self.n_out
        shape[1] = self.n_out
        if a.ndim == 2 and shape[0] > self.most_rows:  # a broadcast row has as many as you like
            raise MemoryError(f"x: predictions for {shape[0]} rows need more memory than this machine has")
        return cnp.PyArray_EMPTY(a.ndim, shape, self.type_number, 0)

    cdef inline bint _takes(self, out, cnp.ndarray a) noexcept:
        """Whether out is the array that the outputs of a fit into."""
        cdef cnp.ndarray y
        if type(out) is not cnp.ndarray:
            return False
        y = out
        return (y.descr.type_num == self.type_number and cnp.PyArray_ISCARRAY(y) and y.ndim == a.ndim
                and y.shape[y.ndim - 1] == self.n_out and (y.ndim == 1 or y.shape[0] == a.shape[0]))

    cdef _anything(self, x, out):
        """What the quickest way does not take: other types and strides where they are gatherable, else ``_convert``."""
        cdef cnp.ndarray a
        if type(x) is cnp.ndarray:
            a = x
            if (0 < a.ndim <= 2 and a.descr.type_num < TYPE_COUNT and _source_of[a.descr.type_num] >= 0
                    and cnp.PyArray_ISNOTSWAPPED(a) and a.shape[a.ndim - 1] == self.n_in
                    and (out is None or (self._takes(out, a) and _apart(a, out)))):
                return self._rows(self.hold(), a, self._empty(a) if out is None else out)
        return self._convert(x, out)

    def _convert(self, x, out):
        """For what native code does not read: the subclass makes it readable, or raises."""
        raise TypeError(f"x: expected an array, got {type(x).__name__}")

    def run_checked(self, cnp.ndarray a, cnp.ndarray out):
        """For ``_convert``: both are as ``_rows`` wants them."""
        return self._rows(self.hold(), a, out)

    cdef _rows(self, Weights w, cnp.ndarray a, cnp.ndarray out):
        """out = the outputs of a gatherable a (n_in) or (rows, n_in); both checked."""
        cdef fnn_rows x
        cdef size_t done = 0, count, rows = 1 if a.ndim == 1 else <size_t>a.shape[0]
        cdef char *y = <char *>cnp.PyArray_DATA(out)
        cdef int failed = 0
        if not w.native:
            w.portable(np.asarray(a).reshape(rows, a.shape[a.ndim - 1]),
                       np.asarray(out).reshape(rows, out.shape[out.ndim - 1]))
            return out
        x.data = cnp.PyArray_DATA(a)
        x.source = _source_of[a.descr.type_num]
        x.col_bytes = a.strides[a.ndim - 1]
        x.row_bytes = a.strides[0] if a.ndim == 2 else 0
        x.dense = a.descr.type_num == self.type_number and cnp.PyArray_ISCARRAY_RO(a)
        while done < rows and not failed:
            count = min(rows - done, slice_work // w.net.work + 1024)
            if count * w.net.work < gil_work:
                failed = net_run(&w.net, y, &x, count)
            else:
                with nogil:
                    failed = net_run(&w.net, y, &x, count)
            done += count
            x.data = <const char *>x.data + <Py_ssize_t>count * x.row_bytes
            y += count * w.net.n_out * w.net.t.itemsize
            if done < rows:
                PyErr_CheckSignals()
        if failed:
            raise MemoryError("no memory for the activations of a block of rows")
        return out
