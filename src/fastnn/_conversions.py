"""What a model is exchanged as with other libraries: the methods. The work is in ``export/`` and ``interop/``, loaded
when asked for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Self, cast

from fastnn import _state_dict

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from fastnn.export._c import CExport
    from fastnn.model import Model


class Conversions:
    """Base of ``Model``: out to C, ONNX, PyTorch and plain arrays, in from ONNX."""

    def export_c(
        self, path: str | os.PathLike[str], *, name: str | None = None, self_test: bool | ArrayLike = False
    ) -> CExport:
        """Write the model as one C99 file and its header, whose outputs are those of ``predict`` to the bit.

        path: ends in ``.c``; the header goes beside it. name: what the C names begin with, the file's by default:
        ``void NAME_predict(const float *x, float *y)``, NAME_N_IN, NAME_N_OUT. self_test: with True,
        ``-DNAME_SELF_TEST`` makes a program that compares bits with stored ones; rows (rows, features) of your own are
        taken in place of made-up ones. The C allocates nothing and calls nothing but ``fmaf`` (for float64 ``fma``).
        Returns what it takes: bytes of constants and of scratch memory, multiply-adds. docs/export_c.md says more.

        ValueError where a layer has no C form or a parameter is not finite, for a name that is no C identifier, and
        before the sizes are known; OSError where the files cannot be written.
        """
        from fastnn.export._c import export_c

        model = cast("Model", self)
        with model._lock:
            _finalized(model)
            return export_c(model, path, name, self_test)

    def export_onnx(self, path: str | os.PathLike[str]) -> None:
        """Write the model for predictions as an ONNX file, without the ``onnx`` package; whole or not at all.

        Input ``x`` (rows, features) and output ``y`` (rows, outputs) are of the model's dtype, ``rows`` is dynamic.
        Operator set 13, IR version 7: ONNX Runtime 1.6 or later; with a LayerNorm 17 and 8: 1.12 or later. Loss,
        optimizer and history are not in it.
        ValueError for a layer written in Python, before the sizes are known, for NaN or infinity among the parameters,
        and beyond 2 GiB; OSError where the file cannot be written.
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

        What PyTorch has no module for (Rescale, Normalization, GaussianNoise, GaussianDropout, Exponential, Step) comes
        as a small module of ``fastnn.interop``. ImportError where there is no PyTorch; ValueError for a graph, a
        Residual, a layer written in Python, and before the sizes are known.
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
            views = _state_dict.by_layer(model)
            return {f"layer{i}.{name}": view.copy() for i, tensors in views.items() for name, view in tensors.items()}


def _finalized(model: Model) -> None:
    """Work out the sizes where the layers state them; else the plan says what is missing when it is asked for.
    ValueError where the list of layers was changed since."""
    model.need_listed()
    if model._plan is None and model.layers and model._network().input_width() is not None:
        model.finalize()
