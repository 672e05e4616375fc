"""What ``Model`` is asked beside its predictions: gradients by the input, and predictions with dropout at work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks, _runs
from fastnn._training import nothing
from fastnn.engine import feed
from fastnn.engine.buffers import Buffers
from fastnn.engine.plan import Plan, physical_memory
from fastnn.engine.spec import TRAINING_ONLY, AffineSpec, PythonSpec

if TYPE_CHECKING:
    import threading

    from numpy.typing import ArrayLike, NDArray


class Probes:
    """The part of ``Model`` that answers these."""

    _lock: threading.RLock

    def input_gradient(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        output: int | ArrayLike | None = None,
        batch_size: int | None = None,
    ) -> NDArray[Any]:
        """The gradient (rows, features) of an output, or with y of the loss, by the input, row by row, without dropout.

        output: the number of an output, or one for each row (rows,), such as the predicted classes. Where neither y nor
        it is given and the model has several outputs, this is ``jacobian``: (rows, outputs, features). y: targets as in
        ``train``; then it is the gradient of each row's own loss, without penalties and not divided by the number of
        rows. A ``Rescale`` counts: the gradient is by X as it is given. batch_size bounds memory, never changes bits.

        Raises ValueError for data that do not fit, and where both of y and output are given.
        """
        model: Any = self
        with self._lock, model._readied(X) as X:
            X = _rows(model, X)
            outputs = head = None
            if y is None and output is None and model.plan.n_out > 1:
                return self.jacobian(X, batch_size=batch_size)
            if y is None:
                outputs = _outputs(output, len(X), model.plan.n_out)
                data = feed.Data(model.plan, X)
            elif output is not None:
                raise ValueError("output: expected None where y is given: the gradient is then that of the loss")
            else:
                data, _, _ = _runs.make_data(model, X, y, _runs.NAMES, False)
                head = _runs.make_loss_head(model)
            return _gradients(model, data, (data.n, model.plan.n_in), batch_size, head, outputs)

    def jacobian(self, X: ArrayLike, *, batch_size: int | None = None) -> NDArray[Any]:
        """The derivatives (rows, outputs, features) of every output by every input, row by row, without dropout.

        All else as in ``input_gradient``; it takes as many passes backward as the model has outputs.
        """
        model: Any = self
        with self._lock, model._readied(X) as X:
            X = _rows(model, X)
            data = feed.Data(model.plan, X)
            return _gradients(model, data, (data.n, model.plan.n_out, model.plan.n_in), batch_size)

    def predict_samples(
        self, X: ArrayLike, samples: int = 100, *, seed: int | None = None, batch_size: int | None = None
    ) -> NDArray[Any]:
        """Predictions (samples, rows, outputs) with dropout at work, as it is in training: Monte-Carlo dropout (Gal and
        Ghahramani 2016); so is noise, and normalizations go by their moving averages. Their mean over the samples is a
        prediction, their spread says how sure it is.

        The masks are drawn by seed (None for the model's), anew for each sample and each row by its place in X: the
        same call gives the same bits, for any batch_size. Parts written in Python see ``training`` as in training.

        Raises ValueError for a model without Dropout or noise, whose samples would all be the same, MemoryError for
        more than this machine has.
        """
        model: Any = self
        samples = _checks.whole("samples", samples, 1)
        with self._lock, model._readied(X) as X:
            X = _rows(model, X)
            seed = model.seed if seed is None else _checks.whole("seed", seed, 0, 2**64 - 1)
            if not any(isinstance(spec, (*TRAINING_ONLY, PythonSpec)) for spec in model.plan.specs):
                raise ValueError("the model has no Dropout and no noise: all samples would be the same; use predict")
            out = _empty((samples, len(X), model.plan.n_out), model.dtype)
            rows = _block(model, batch_size, len(X))
            data = feed.Data(model.plan, X)
            buffers = model._cached(("samples", rows), lambda: Buffers(model.plan, rows, True, moving=True))
            from fastnn.engine import probes

            return probes.predict_samples(model.plan, buffers, data, out, seed, nothing)


def _rows(model: Any, X: Any) -> _checks.Array:
    return _checks.as_rows("X", X, model.plan.n_in, "layer 0: ")


def _gradients(
    model: Any,
    data: feed.Data,
    shape: tuple[int, ...],
    batch_size: int | None,
    head: feed.Head | None = None,
    outputs: NDArray[np.int32] | None = None,
) -> NDArray[Any]:
    out = _empty(shape, model.dtype)
    rows, merged = _block(model, batch_size, data.n), head is not None and head.merged
    works = any(not isinstance(spec, TRAINING_ONLY) for spec in model.plan.specs)
    plan = model.plan if works else _layer_by_layer(model)
    buffers = model._cached(
        ("gradients", rows, merged), lambda: Buffers(plan, rows, True, labels=True, head=merged, to_input=True)
    )
    from fastnn.engine import probes

    probes.Probe(buffers.plan, buffers, data, out, head, outputs).run(nothing)
    return out


def _layer_by_layer(model: Any) -> Plan:
    """The plan of a model that has nothing but scaling in it, and what works in training alone, with the scaling as an
    operation."""
    specs = [spec for i, layer in enumerate(model.layers) for spec in layer.lower(i, model.plan.n_in)]
    specs = [spec for spec in specs if not isinstance(spec, TRAINING_ONLY)]
    return Plan(specs or [AffineSpec(0, model.plan.n_in, 1.0, 0.0)], model.dtype, fused=False)


def _outputs(output: Any, rows: int, count: int) -> NDArray[np.int32]:
    """Of which output of each row the gradient is wanted."""
    if output is None:
        output = 0
    if isinstance(output, (bool, int, np.integer)):
        return np.full(rows, _checks.whole("output", output, 0, count - 1), np.int32)
    given = _checks.as_array("output", output)
    if given.shape != (rows,):
        raise ValueError(f"output: expected a number, or one for each of {rows} rows, got shape {given.shape}")
    return _checks.as_labels("output", given, count)


def _block(model: Any, batch_size: int | None, rows: int) -> int:
    wanted = model.plan.block_rows() if batch_size is None else _checks.whole("batch_size", batch_size, 1)
    return min(wanted, max(rows, 1))


def _empty(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """MemoryError at once for what no machine can give."""
    need = np.dtype(dtype).itemsize
    for size in shape:
        need *= size
    if need > physical_memory():
        raise MemoryError(f"a result of shape {shape} needs {need / 2**30:.1f} GiB, more than this machine has")
    return np.empty(shape, dtype)
