"""Models that come from elsewhere: ONNX files, PyTorch, Keras, scikit-learn. The other libraries are not imported here:
what is handed in brings its own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastnn.model import Model

__all__ = ["from_keras", "from_sklearn", "from_torch", "import_onnx"]


def import_onnx(path: str | os.PathLike[str], *, output: str | None = None) -> Model:
    """The model in an ONNX file of layers in a row, or of a graph of them; docs/interop.md lists the operators.

    output: the name of the output to have, needed where the file has several. The model is finalized, of the file's
    type, float32 or float64, and without loss and optimizer: ``set`` them to go on training. Needs no other package.

    Raises ValueError for what is not supported, naming the node and its operator; FormatError, which is one, for a
    damaged file; OSError where it cannot be read.
    """
    from fastnn.interop import _onnx
    from fastnn.model import Model

    return _onnx.load(Model, path, output)


def from_torch(module: Any) -> Model:
    """The model that a ``torch.nn.Sequential`` (or a single module) of layers is in evaluation mode, with copies of its
    weights; docs/interop.md lists the modules. ValueError for others, by their place and name."""
    from fastnn.interop import _torch

    return _torch.from_torch(module)


def from_keras(model: Any) -> Model:
    """The model that a Keras 3 ``Sequential`` is in inference, with copies of its weights; docs/interop.md lists the
    layers. ValueError for others, by their place and name."""
    from fastnn.interop import _keras

    return _keras.from_keras(model)


def from_sklearn(estimator: Any) -> Model:
    """The model that a fitted ``MLPClassifier`` or ``MLPRegressor`` of scikit-learn is, with copies of its weights.

    ``predict`` gives what ``predict_proba`` does there (of two classes, the probability of the second), or the values
    of a regression. ``model.class_labels`` has the classes, which ``predict_labels`` gives;
    ``metadata["class_names"]`` has them as text. ValueError where it is not fitted.
    """
    from fastnn.interop import _sklearn

    return _sklearn.from_sklearn(estimator)
