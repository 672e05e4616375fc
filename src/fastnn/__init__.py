"""fastnn: the fastest way to train and serve small and medium neural networks on a CPU from Python.

from fastnn import Model, Dense, data
X, y = data.spiral(samples=1000, classes=3, seed=0)
model = Model([Dense(64, activation="relu"), Dense(3, activation="softmax")], seed=0)
model.set(loss="categorical_crossentropy", optimizer="adam")
model.train(X, y, epochs=100, batch_size=32, shuffle=True)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fastnn._collector import no_collection

with no_collection():
    from fastnn._core import active_isa, available_isas
    from fastnn._threads import get_num_threads, num_threads, set_default, set_num_threads
    from fastnn.activations import (
        ELU,
        GELU,
        SELU,
        Activation,
        Exponential,
        GELUTanh,
        HardSigmoid,
        HardSwish,
        LeakyReLU,
        Linear,
        LogSoftmax,
        Mish,
        ReLU,
        ReLU6,
        Sigmoid,
        SiLU,
        Softmax,
        Softplus,
        Step,
        Tanh,
    )
    from fastnn.checkpoint import FormatError
    from fastnn.history import History
    from fastnn.layers import (
        Add,
        AlphaDropout,
        BatchNorm,
        Concatenate,
        Dense,
        Dropout,
        GaussianDropout,
        GaussianNoise,
        Input,
        Layer,
        LayerNorm,
        Multiply,
        Normalization,
        Rescale,
        Residual,
    )
    from fastnn.model import Model

if TYPE_CHECKING:  # what _LAZY below names, for type checkers and editors
    from fastnn import callbacks, constraints, custom, data, functional, nnfs
    from fastnn._gradcheck import check_gradients
    from fastnn._threadpools import register_threadpoolctl
    from fastnn.ensemble import Ensemble
    from fastnn.interop import from_keras, from_sklearn, from_torch, import_onnx
    from fastnn.many import fit_many
    from fastnn.session import Session

__version__ = "0.1.0"

__all__ = [
    "ELU",
    "GELU",
    "SELU",
    "Activation",
    "Add",
    "AlphaDropout",
    "BatchNorm",
    "Concatenate",
    "Dense",
    "Dropout",
    "Ensemble",
    "Exponential",
    "FormatError",
    "GELUTanh",
    "GaussianDropout",
    "GaussianNoise",
    "HardSigmoid",
    "HardSwish",
    "History",
    "Input",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "Mish",
    "Model",
    "Multiply",
    "Normalization",
    "ReLU",
    "ReLU6",
    "Rescale",
    "Residual",
    "Session",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Step",
    "Tanh",
    "__version__",
    "active_isa",
    "available_isas",
    "callbacks",
    "check_gradients",
    "constraints",
    "custom",
    "data",
    "doctor",
    "fit_many",
    "from_keras",
    "from_sklearn",
    "from_torch",
    "functional",
    "get_num_threads",
    "import_onnx",
    "initializers",
    "losses",
    "metrics",
    "nnfs",
    "num_threads",
    "optimizers",
    "register_threadpoolctl",
    "schedules",
    "set_num_threads",
]

set_default()

# loaded when first asked for, to keep the import short: name -> module, and what of it
_LAZY = {
    "Ensemble": ("fastnn.ensemble", "Ensemble"),
    "check_gradients": ("fastnn._gradcheck", "check_gradients"),
    "callbacks": ("fastnn.callbacks", None),
    "constraints": ("fastnn.constraints", None),
    "custom": ("fastnn.custom", None),
    "data": ("fastnn.data", None),
    "fit_many": ("fastnn.many", "fit_many"),
    "from_keras": ("fastnn.interop", "from_keras"),
    "from_sklearn": ("fastnn.interop", "from_sklearn"),
    "from_torch": ("fastnn.interop", "from_torch"),
    "functional": ("fastnn.functional", None),
    "import_onnx": ("fastnn.interop", "import_onnx"),
    "nnfs": ("fastnn.nnfs", None),
    "plots": ("fastnn.plots", None),
    "Session": ("fastnn.session", "Session"),
    "register_threadpoolctl": ("fastnn._threadpools", "register_threadpoolctl"),
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'fastnn' has no attribute {name!r}")
    module, part = _LAZY[name]
    found = import_module(module)
    return found if part is None else getattr(found, part)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})


def doctor() -> dict[str, Any]:
    """Print what was found and chosen here (processor, kernel tables, threads, versions) and return it as a dict."""
    from fastnn._doctor import doctor as examine

    return examine()
