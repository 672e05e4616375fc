"""What a model is exchanged as with other libraries: the methods. The work is in ``export/`` and ``interop/``, loaded
when asked for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Self, cast

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.model import Model


class Conversions:
    """Base of ``Model``: out to ONNX, PyTorch and plain arrays, in from ONNX."""

    def export_onnx(self, path: str | os.PathLike[str]) -> None:
        """Write the model for predictions as an ONNX file, without the ``onnx`` package; whole or not at all.

        Input ``x`` (rows, features) and output ``y`` (rows, outputs) are of the model's dtype, ``rows`` is dynamic.
        Operator set 13, IR version 7: ONNX Runtime 1.6 or later. Loss, optimizer and history are not in it.
        ValueError for a layer written in Python, before the sizes are known, and beyond 2 GiB; OSError where the file
        cannot be written.
        """
        from fastnn.export import _onnx

        model = cast("Model", self)
        with model._lock:
            _finalized(model)
            _onnx.save(model, path)

    @classmethod
    def from_onnx(cls, path: str | os.PathLike[str], *, output: str | None = None) -> Self:
        """``fastnn.import_onnx``, as a method."""
        from fastnn.interop import _onnx

        return cast("Self", _onnx.load(cast("Any", cls), path, output))

    def to_torch(self) -> Any:
        """A ``torch.nn.Sequential`` on the CPU, in evaluation mode, with copies of the weights. Needs PyTorch.

        What PyTorch has no module for (Rescale, Exponential, Step) comes as a small module of ``fastnn``. ImportError
        where there is no PyTorch, ValueError for a layer written in Python and before the sizes are known.
        """
        from fastnn.interop import _torch

        model = cast("Model", self)
        with model._lock:
            _finalized(model)
            return _torch.to_torch(model)

    def to_numpy(self) -> dict[str, NDArray[Any]]:
        """Copies of all parameters by name, ``layer0.weights`` (n_inputs, n_neurons), ``layer0.biases`` (1, n_neurons)
        and so on, the names of a saved file, as plain arrays: for ``numpy.savez`` or another library. ValueError before
        the sizes are known."""
        model = cast("Model", self)
        with model._lock:
            _finalized(model)
            views = model._parameter_views()
            return {f"layer{i}.{name}": view.copy() for i, tensors in views.items() for name, view in tensors.items()}


def _finalized(model: Model) -> None:
    """Work out the sizes where the layers state them; else the plan says what is missing when it is asked for."""
    if model._plan is None and model._knows_its_input():
        model.finalize()
