"""The session: a network to deploy. It is made of a model and independent of it from then on."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from fastnn import _checks, _model_file, custom
from fastnn.engine import feed
from fastnn.engine.plan import Buffers
from fastnn.engine.session import Runner, Weights
from fastnn.engine.spec import PythonSpec
from fastnn.history import History

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from fastnn._checks import Array
    from fastnn.checkpoint import Tensors
    from fastnn.model import Model


class Session(Runner):
    """A network for prediction only: ``model.session()``, ``Session(model)`` or ``Session.load(path)``.

    ``session(x)`` gives the outputs of a row (n_in,) as (n_out,), of rows (rows, n_in) as (rows, n_out): the bits of
    ``model.predict``. ``session.run(x, out=out)`` writes them where you want them and allocates nothing. The weights
    are a copy of its own, laid out for prediction; training the model does not change them, ``swap`` replaces them.

    Any number of threads may call one session at a time, without a lock. Calls of less than about 10 us of work keep
    the GIL, longer ones work without it. Models with layers written in Python run too, one call at a time.

    Raises TypeError for what is not a Model, ValueError for one whose input width is not known yet.
    """

    __slots__ = ("__weakref__", "_swapping")

    def __init__(self, model: Model) -> None:
        self._swapping = threading.Lock()
        self.point_to(_laid_out("model", model))

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, custom_objects: Any = ()) -> Self:
        """A session of a file of ``Model.save``; custom_objects and errors as of ``Model.load``."""
        from fastnn.model import Model

        return cls(Model.load(path, custom_objects=custom_objects))

    def swap(self, model: Model | Session) -> None:
        """Answer with the weights of another model, or session, from now on.

        Calls that are under way finish with the weights they began with: no answer is made of both. When swap returns,
        every new call sees the new ones, and the old ones are freed as the last call that uses them ends. The hidden
        layers may differ; raises ValueError where the width of input or output, or the dtype, does.
        """
        weights = model._weights if isinstance(model, Session) else _laid_out("model", model)
        got, wanted = (f"{w.n_in} inputs, {w.n_out} outputs, {w.dtype}" for w in (weights, self))
        if got != wanted:
            raise ValueError(f"model: expected {wanted}, as the session has, got {got}")
        with self._swapping:
            self.point_to(weights)

    @property
    def native(self) -> bool:
        """Whether every layer runs in the session's own loop. Where not, calls go the way of ``predict``: the same
        bits, at its speed."""
        return self._weights.native

    @property
    def isa(self) -> str:
        """The instruction set that the weights are laid out for."""
        return self._weights.isa

    @property
    def nbytes(self) -> int:
        """Memory of the weights."""
        return self._weights.nbytes

    def _convert(self, x: ArrayLike, out: NDArray[Any] | None) -> NDArray[Any]:
        """Lists, other types and byte orders, subclasses of arrays, an ``out`` that overlaps x; and all errors."""
        if self._weights is None:
            raise TypeError("the session was not initialized: use Session(model)")
        a = _checks.as_array("x", x)
        if a.ndim not in (1, 2) or a.shape[-1] != self.n_in:
            raise ValueError(f"x: expected a row ({self.n_in},) or rows (rows, {self.n_in}), got shape {a.shape}")
        shape = (*a.shape[:-1], self.n_out)
        if out is None:
            return self.run_checked(a, np.empty(shape, self.dtype))
        _need_out(out, shape, self.dtype)
        target = out.view(np.ndarray)
        self.run_checked(a.copy() if np.may_share_memory(a, target) else a, target)
        return out

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), *self._weights.source(self._weights))

    def __copy__(self) -> Self:
        return self.__deepcopy__({})

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Another session with the same weights, which never change: they are shared until one of the two swaps."""
        other = type(self).__new__(type(self))
        other._swapping = threading.Lock()
        other.point_to(self._weights)
        return other

    def __repr__(self) -> str:
        how = f"on {self.isa}" if self.native else "as predict runs it"
        return f"Session({self.n_in} inputs, {self.n_out} outputs, {self.dtype}, {self.nbytes:,} bytes, {how})"


def _need_out(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out: expected an array, got {type(out).__name__}")
    if out.dtype != dtype:
        raise TypeError(f"out: expected dtype {dtype}, got {out.dtype}")
    if out.shape != shape:
        raise ValueError(f"out: expected shape {shape}, got {out.shape}")
    if not out.flags.writeable:
        raise ValueError("out: the array is read-only")
    if not out.flags.carray:
        raise ValueError(f"out: expected a C-contiguous, aligned array, got strides {out.strides}")


class _Source:
    """What a session is pickled from: the description of the model, and the classes of its layers in Python."""

    def __init__(self, model: Model) -> None:
        description, tensors = _model_file.describe(model)
        self.description = {
            **description, "loss": None, "optimizer": None, "accuracy": "auto", "precision": None, "steps_done": 0,
            "epochs_done": 0, "history": History().state(), "metadata": {}, "position": None, "callbacks": [],
        }  # fmt: skip
        self.classes = _classes(model.layers)
        self.names = {key: f"layer{key[0]}.{key[1]}" for key in model.plan.tensors}
        self.tensors: Tensors | None = None
        if not Weights.can_lay_out(model.plan):
            own = [name for name in tensors if not name.startswith(("state", "callback"))]
            self.tensors = {name: tensors[name].copy() for name in own}

    def __call__(self, weights: Weights) -> tuple[dict[str, Any], Tensors, dict[str, type[Any]]]:
        tensors = self.tensors
        if tensors is None:
            tensors = {self.names[key]: array for key, array in weights.take_out().items()}
        return self.description, tensors, self.classes


def _classes(layers: Any) -> dict[str, type[Any]]:
    """Of layers written in Python, wherever they stand: {name: class}."""
    found = {layer.names[0]: type(layer) for layer in layers if isinstance(layer, custom.Layer)}
    for layer in layers:
        found |= _classes(getattr(layer, "layers", ()))
    return found


class _Portable:
    """Runs a model's own plan, for operations the native session does not know, each call in buffers of its own."""

    def __init__(self, model: Model) -> None:
        self.plan = model.plan
        self.parts = model.layers  # their plan is alive as long as they are
        self.free: list[Buffers] = []
        in_python = any(isinstance(spec, PythonSpec) for spec in self.plan.specs)
        self.turn: Any = threading.RLock() if in_python else contextlib.nullcontext()

    def __call__(self, rows: Array, out: Array) -> None:
        if rows.dtype == bool:
            rows = rows.view(np.uint8)
        try:
            buffers = self.free.pop()
        except IndexError:
            buffers = Buffers(self.plan, self.plan.block_rows(), False)
        try:
            with self.turn:
                feed.predict(self.plan, buffers, feed.Data(self.plan, rows), out, _nothing)
        finally:
            self.free.append(buffers)


def _nothing() -> None:
    pass


def _laid_out(name: str, model: Any) -> Weights:
    from fastnn.model import Model

    if not isinstance(model, Model):
        raise TypeError(f"{name}: expected a Model, got {type(model).__name__}")
    with model._lock:
        model.finalize()
        source = _Source(model)
        if source.tensors is None:
            return Weights(model.plan, source)
    copy = _model_file.rebuild(Model, source.description, source.tensors, source.classes)
    return Weights(copy.plan, source, _Portable(copy))


def _restore(
    cls: type[Session], description: dict[str, Any], tensors: Tensors, classes: dict[str, type[Any]]
) -> Session:
    """The session that was pickled."""
    from fastnn.model import Model

    return cls(_model_file.rebuild(Model, description, tensors, classes))
