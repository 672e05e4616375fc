"""The libraries that fastnn is set beside: a short file each, saying how it trains, predicts and computes.

A peer that is not installed is left out and named. ``KNOWN`` has them in the order of the tables.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from fastnn._bench.workload import Peer

KNOWN = {
    "fastnn": ("fastnn._bench.own", "Fastnn", "fastnn"),
    "numpy": ("fastnn._bench.own", "NumPy", "numpy"),
    "sklearn": ("peers.sklearn_peer", "Sklearn", "sklearn"),
    "torch": ("peers.torch_peer", "Torch", "torch"),
    "torch.compile": ("peers.torch_peer", "TorchCompiled", "torch"),
    "jax.jit": ("peers.jax_peer", "JaxJit", "jax"),
    "jax.scan": ("peers.jax_peer", "JaxScan", "jax"),
    "onnxruntime": ("peers.onnxruntime_peer", "OnnxRuntime", "onnxruntime"),
    "onnxruntime.bound": ("peers.onnxruntime_peer", "OnnxRuntimeBound", "onnxruntime"),
    "fastnn.predict": ("fastnn._bench.own", "FastnnPredict", "fastnn"),
}
# other ways of predicting with a library: they take part there alone
SERVING = ("onnxruntime.bound", "fastnn.predict")
# what else a peer needs, beside the library
NEEDS = {"onnxruntime": ("onnx",), "onnxruntime.bound": ("onnx",)}
# a process each: a library's threads, memory and rounding mode are its own
PROCESSES = (
    ("fastnn", "numpy", "sklearn", "fastnn.predict"), ("torch",), ("torch.compile",), ("jax.jit", "jax.scan"),
    ("onnxruntime", "onnxruntime.bound"),
)  # fmt: skip
ALIASES = {"pytorch": "torch", "scikit-learn": "sklearn", "onnx": "onnxruntime"}


def missing(name: str) -> list[str]:
    """The modules that a peer needs and that are not installed."""
    library = KNOWN[name][2]
    return [module for module in (library, *NEEDS.get(library, ())) if find_spec(module) is None]


def installed() -> list[str]:
    return [name for name in KNOWN if not missing(name)]


def of_library(library: str) -> list[str]:
    """The peers of a library, by its name or an alias; none where it is unknown."""
    library = ALIASES.get(library.lower(), library.lower())
    return [name for name, known in KNOWN.items() if library in (name, known[2])]


def load(name: str, threads: int) -> Peer:
    module, cls, _ = KNOWN[name]
    peer: Peer = getattr(import_module(module), cls)(threads)
    return peer


def version_of(library: str) -> str:
    """As installed, or as the module says in a checkout."""
    distribution = {"sklearn": "scikit-learn", "fastnn": "fastnn-cpu"}.get(library, library)
    try:
        return version(distribution)
    except PackageNotFoundError:
        return str(import_module(library).__version__)
