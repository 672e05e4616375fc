"""The plan: a network as a flat list of operations over a few arenas.

All parameters lie in one 64-byte-aligned arena, all gradients in a second, the optimizer's state in further ones of the
same layout, so that an optimizer step is one pass and saving is one write. The plan is the one place that knows the
order of operations, and what each reads; ``engine/buffers.pyx`` lays out what they work on.
"""
import os

import numpy as np

from libc.stdint cimport uintptr_t

from fastnn._core cimport FNN_F32, FNN_F64, table
from fastnn._core import threads
from fastnn.engine.spec import (
    INPUT, WHOLE_BATCH, AffineSpec, fuse, in_a_row, kept_tensors, source_widths, trained_tensors, without,
)

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


def round_up(n, to):
    """The least multiple of ``to`` that is not below n."""
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
                    offset += round_up(shape[0] * shape[1], step)
            if tensors_of is trained_tensors:
                moved = offset
        if admit is not None:
            admit(self.tensors, moved)
        _need_memory("the parameters need", offset * self.dtype.itemsize)
        self.size, self.trained = offset, moved
        self.params = self._arena(offset)
        self.grads = None
        self.drop_states()

    def _arena(self, Py_ssize_t elements):
        return aligned(elements * self.dtype.itemsize, np.zeros).view(self.dtype)

    def need_training_arenas(self, int states):
        """Make the gradient arena and so many state arenas, zeroed, where they are not there yet."""
        if self.grads is None:
            self.grads = self._arena(self.size)
        self.need_states(states)

    def need_states(self, int states):
        """Make so many state arenas alone: of what is trained, for the rest has none."""
        while len(self.states) < states:
            self.states.append(self._arena(self.trained))

    def need_average(self):
        """The arena of the parameters' running average, made where it is not there yet."""
        if self.average is None:
            self.average = self.params.copy()
        return self.average

    def drop_states(self):
        """Forget the optimizer's state."""
        self.states, self.average = [], None
        self.averaged = self.pairs = self.ended = 0
        self.missed, self.frozen = {}, {}

    def count_missed(self, frozen, steps_done):
        """Count the steps that layers sit out: an optimizer's correction of its averages goes by those that a layer
        took part in. frozen: the layers that do so from here on. A count that was set back takes those back with it."""
        if not (frozen or self.frozen or self.missed):
            return
        self.frozen = {layer: min(since, steps_done) for layer, since in self.frozen.items()}
        for layer in [i for i in self.frozen if i not in frozen]:
            self.missed[layer] = self.missed.get(layer, 0) + steps_done - self.frozen.pop(layer)
        self.missed = {layer: min(missed, steps_done) for layer, missed in self.missed.items()}
        for layer in frozen:
            self.frozen.setdefault(layer, steps_done)

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
        return min(batch, round_up(-(-batch // max(chunks, 1)), CHUNK_ROWS))

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


def _check_wiring(specs, sources, n_in):
    """Whatever is bound to pointers reads earlier operations, of the width it expects."""
    if len(specs) != len(sources):
        raise ValueError(f"sources: expected {len(specs)}, one for each operation, got {len(sources)}")
    for i, (s, js) in enumerate(zip(specs, sources, strict=True)):
        found = tuple(n_in if j == INPUT else specs[j].n_out if 0 <= j < i else None for j in js)
        if found != tuple(source_widths(s)):
            raise ValueError(f"sources: operation {i} ({type(s).__name__}) expects widths {source_widths(s)}, "
                             f"and {js} have {found}")
