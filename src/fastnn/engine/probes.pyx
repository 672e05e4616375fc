"""What can be asked of a network beside its predictions: gradients by the input, and predictions with dropout at work.

All of it goes in blocks of rows, as ``feed.predict`` does, and a row's bits do not depend on the block it falls into.
"""
cimport numpy as cnp
from libc.stdint cimport int32_t, uint64_t
from libc.string cimport memcpy

from fastnn._core cimport fnn_fp_enter, fnn_fp_leave, fnn_fp_state
from fastnn.engine.feed cimport (
    BREATHS, Data, Head, Sums, Targets, add_up, fnn_seconds, load_targets, load_x, scratch, seed_gradient,
)
from fastnn.engine.ops cimport Step
from fastnn.engine.buffers cimport Buffers
from fastnn.engine.plan cimport Plan
from fastnn.engine.spec import TRAINING_ONLY

cnp.import_array()

# masks of predictions are keyed by step numbers that no training comes to
cdef uint64_t SAMPLES = <uint64_t>1 << 63


cdef class Probe:
    """Gradients by the input, block by block. buffers: made with to_input.

    head: of the loss, where its gradient is wanted, with targets in ``data``; else outputs: (rows,) int32, of which
    output in each row, or None for each output in turn.
    """
    cdef Plan plan
    cdef Buffers b
    cdef Data data
    cdef Head head
    cdef object arrays
    cdef const int32_t *outputs
    cdef char *to
    cdef size_t done, each

    def __init__(self, Plan plan, Buffers buffers, Data data, out, Head head=None, outputs=None):
        self.plan, self.b, self.data, self.head, self.arrays = plan, buffers, data, head, (out, outputs)
        self.to = <char *>cnp.PyArray_DATA(out)
        if outputs is not None:
            self.outputs = <const int32_t *>cnp.PyArray_DATA(outputs)
        self.each = plan.n_out if head is None and outputs is None else 1

    def run(self, air):
        """Fill ``out``: (rows, n_in), or (rows, n_out, n_in) for each output. ``air()`` is called about ten times a
        second."""
        cdef Step step
        cdef double until
        cdef fnn_fp_state found
        while self.done < <size_t>self.data.n:
            step.k, step.ws = self.plan.k, scratch(self.b)
            with nogil:
                found = fnn_fp_enter()
                until = fnn_seconds() + 1.0 / BREATHS
                while self.done < <size_t>self.data.n and not self.b.failed:
                    step.rows = step.batch = min(<size_t>self.b.rows, <size_t>self.data.n - self.done)
                    step.first = 0
                    self._block(&step)
                    self.done += step.rows
                    if fnn_seconds() > until:
                        break
                fnn_fp_leave(found)
            self.b.raise_error()
            air()

    cdef void _block(self, Step *step) noexcept nogil:
        cdef Targets of
        cdef Sums unused = Sums(0, 0, 0, 0)
        cdef size_t j, i
        cdef char *dy = self.b.ops[self.b.count - 1].dy
        load_x(self.data, self.b, step, NULL, self.done)
        self.b.forward(step)
        if self.head is not None:
            of = load_targets(self.data, self.b, step, NULL, self.done)
            add_up(&unused, self.head, self.b, step, &of)  # leaves the smoothed targets
            if not self.b.failed:
                seed_gradient(self.head, self.b, step, &of, 1.0)
                self._back(step, 0)
            return
        for j in range(self.each):
            if self.outputs == NULL:
                for i in range(step.rows):
                    self.b.labels[i] = <int32_t>j
                step.k.one_hot(dy, self.b.labels, step.rows, self.plan.n_out, 0.0, 1.0)
            else:
                step.k.one_hot(dy, self.outputs + self.done, step.rows, self.plan.n_out, 0.0, 1.0)
            self._back(step, j)

    cdef void _back(self, Step *step, size_t j) noexcept nogil:
        """From the output's gradient to the input's, as it lies in the caller's data: before the scaling of a plan that
        begins with that."""
        cdef size_t i, row = <size_t>self.plan.n_in * step.k.itemsize
        cdef char *dx
        self.b.backward_to_input(step)
        dx = self.b.input_gradient
        if self.plan.input_affine:
            step.k.affine(dx, dx, step.rows * <size_t>self.plan.n_in, self.plan.input_scale, 0.0)
        for i in range(step.rows):
            memcpy(self.to + ((self.done + i) * self.each + j) * row, dx + i * row, row)


def predict_samples(Plan plan, Buffers buffers, Data data, out, uint64_t seed, air):
    """out (samples, rows, n_out) = predictions with dropout at work; buffers: of training, but moving. The mask of an
    element is that of its sample, row and column alone. ``air()`` is called about ten times a second."""
    cdef Step step
    cdef size_t done = 0, n = data.n, s, samples = out.shape[0], row = <size_t>plan.n_out * plan.k.itemsize
    cdef char *to = <char *>cnp.PyArray_DATA(out)
    cdef int i, same = 0  # operations before the first that drops or may do anything: once for all samples
    cdef double until
    cdef fnn_fp_state found
    while same < buffers.count and not isinstance(plan.specs[same], TRAINING_ONLY) and same not in buffers.links:
        same += 1
    while done < n:
        step.k, step.ws, step.seed, step.twister = plan.k, scratch(buffers), seed, NULL
        step.rows = min(<size_t>buffers.rows, n - done)
        step.first, step.batch, s = done, n, 0
        while s < samples:
            step.ws = scratch(buffers)
            with nogil:
                found = fnn_fp_enter()
                until = fnn_seconds() + 1.0 / BREATHS
                if s == 0:
                    load_x(data, buffers, &step, NULL, done)
                while s < samples and not buffers.failed:
                    step.number = SAMPLES + s
                    for i in range(0 if s == 0 else same, buffers.count):
                        buffers.ops[i].forward(&buffers.ops[i], &step)
                    memcpy(to + (s * n + done) * row, buffers.output(), step.rows * row)
                    s += 1
                    if fnn_seconds() > until:
                        break
                fnn_fp_leave(found)
            buffers.raise_error()
            air()
        done += step.rows
    return out
