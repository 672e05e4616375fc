"""The session: a network to deploy. It is made of a model and independent of it from then on."""

from __future__ import annotations

import contextlib
import os
import threading
from functools import cache
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from fastnn import _checks, _described, _forks, _model_file, _network, checkpoint
from fastnn.engine import feed
from fastnn.engine.buffers import Buffers
from fastnn.engine.session import Runner, Weights
from fastnn.engine.spec import PythonSpec
from fastnn.layers import Input

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn._checks import Array
    from fastnn.checkpoint import Tensors
    from fastnn.model import Model


class Session(Runner):
    """A network for prediction only: ``model.session()``, ``Session(model)`` or ``Session.load(path)``.

    ``session(x)`` gives the outputs of a row (n_in,) as (n_out,), of rows (rows, n_in) as (rows, n_out): the bits of
    ``model.predict``. Of a graph with several inputs x may be a list of their rows, or a dict by their names, as
    there. ``session.run(x, out=out)`` writes them where you want them and allocates nothing. The weights
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
        layers may differ; raises ValueError where the width of an input or the output, or the dtype, does.
        """
        weights = model._weights if isinstance(model, Session) else _laid_out("model", model)
        got, wanted = (f"{w.source.widths()} inputs, {w.n_out} outputs, {w.dtype}" for w in (weights, self._weights))
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

    def _convert(self, x: Any, out: NDArray[Any] | None) -> NDArray[Any]:
        """Lists, other types and byte orders, subclasses of arrays, an ``out`` that overlaps x; and all errors."""
        if self._weights is None:
            raise TypeError("the session was not initialized: use Session(model)")
        inputs = self._weights.source.inputs
        if inputs and isinstance(x, (list, tuple, dict)):
            x = _network.side_by_side("x", x, inputs)
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


@cache
def _untrained() -> dict[str, Any]:
    """What a file says of a model that was never trained, whatever its layers."""
    from fastnn.model import Model

    blank = Model([Input(1)], seed=0)
    blank.finalize()
    return _model_file.describe(blank)[0]


class _Source:
    """What a session is pickled from: the description of the network, and the classes of its layers in Python."""

    def __init__(self, model: Model) -> None:
        self.description = {**_untrained(), **_model_file.describe_network(model)}
        own = [spec.part for spec in model.plan.specs if isinstance(spec, PythonSpec)]
        held = [part for layer in model.numbered for part in layer.constraints().values()]
        own += [part for part in held if part.registry.get(part.names[0]) is None]
        self.classes = _described.by_name({type(part) for part in own})
        self.inputs = [Input(layer.n_inputs, name=layer.name) for layer in model._network().inputs]
        self.names = {key: _model_file.parameter_name(*key) for key in model.plan.tensors}
        self.tensors: Tensors | None = None
        if not Weights.can_lay_out(model.plan):
            plan = model.plan
            self.tensors = {name: plan.view(plan.params, *key).copy() for key, name in self.names.items()}

    def __call__(self, weights: Weights) -> tuple[dict[str, Any], Tensors, _described.Custom]:
        tensors = self.tensors
        if tensors is None:
            tensors = {self.names[key]: array for key, array in weights.take_out().items()}
        return self.description, tensors, self.classes

    def widths(self) -> str:
        """Of the rows that come in, in messages."""
        return _network.shown(self.inputs, self.description["n_inputs"])


class _Portable:
    """Runs a model's own plan, for operations the native session does not know, each call in buffers of its own."""

    def __init__(self, model: Model) -> None:
        self.plan = model.plan
        self.parts = model.layers  # their plan is alive as long as they are
        self.free: list[Buffers] = []
        in_python = any(isinstance(spec, PythonSpec) for spec in self.plan.specs)
        self.turn: Any = contextlib.nullcontext()
        if in_python:
            self.turn = threading.RLock()
            _forks.keep(self)

    def _after_fork(self) -> None:
        self.turn = _forks.free(self.turn)

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
    copy = _rebuilt(source.description, source.tensors, source.classes)
    return Weights(copy.plan, source, _Portable(copy))


def _restore(cls: type[Session], description: dict[str, Any], tensors: Tensors, classes: _described.Custom) -> Session:
    """The session that was pickled."""
    return cls(_rebuilt(description, tensors, classes))


class _Contents:
    """A description and its tensors as an opened file gives them."""

    def __init__(self, description: dict[str, Any], tensors: Tensors) -> None:
        self.description, self.tensors = {"format": checkpoint.FORMAT, **description}, dict(tensors)

    def read(self, name: str, out: Array | None = None) -> Array:
        tensor = self.tensors.pop(name)
        if out is None:
            return tensor
        out[...] = tensor
        return out


def _rebuilt(description: dict[str, Any], tensors: Tensors, classes: _described.Custom) -> Model:
    from fastnn.model import Model

    contents: Any = _Contents(description, tensors)
    made: Model = _model_file.rebuild(Model._blank, contents, classes)
    return made
