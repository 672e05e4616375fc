"""What ``Model`` does with files, bytes and copies of itself. docs/files.md has the format."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self

from fastnn import _described, _model_file, _state_dict, checkpoint
from fastnn._state_dict import WeightsReport

if TYPE_CHECKING:
    import threading

    from numpy.typing import NDArray


Path = str | os.PathLike[str]
Names = Mapping[str, str] | Callable[[str], str | None]


class Files:
    """The part of ``Model`` that saves, loads and copies."""

    _lock: threading.RLock
    # while a file is read: what looks at the sizes of the plan before its memory is there; no weights are drawn then
    _admit: Callable[[Any, int], None] | None = None

    def save(self, path: Path) -> None:
        """Write the model, with its optimizer's state and history, to one file, atomically: whoever reads it sees the
        old file or the new one, whole, also after a power cut.

        A symbolic link is followed; permissions of a file that is there stay. Raises OSError where it cannot be written
        (the old file stays), TypeError where ``metadata`` holds what JSON cannot, ValueError before ``finalize``.
        """
        model: Any = self
        with self._lock:
            model.plan  # noqa: B018 (its error: a model without sizes is not worth a file)
            checkpoint.save(path, *_model_file.describe(model))

    def to_bytes(self) -> bytes:
        """What ``save`` writes, as bytes: for a database, a queue, a socket."""
        model: Any = self
        with self._lock:
            model.plan  # noqa: B018
            return checkpoint.to_bytes(*_model_file.describe(model))

    @classmethod
    def load(cls, path: Path, *, custom_objects: Any = ()) -> Self:
        """A model from a file of ``save``; training goes on where it stopped, with the same bits on every machine.

        custom_objects: the classes of parts written in Python that the model has (``fastnn.custom``), for none is
        loaded that was not given here. No code of the file is run, for there is none, no other file is opened, and no
        more memory taken than that of the file and 16 MB. Raises FormatError for a damaged file, or one that names
        other parts; OSError where it cannot be read.
        """
        parts = _described.by_name(custom_objects)
        with checkpoint.opened(path) as contents:
            return _model_file.rebuild(cls._blank, contents, parts)

    @classmethod
    def from_bytes(cls, blob: Any, *, custom_objects: Any = ()) -> Self:
        """A model from what ``to_bytes`` gave, or the bytes of a file; as ``load``."""
        parts = _described.by_name(custom_objects)
        with checkpoint.opened_bytes(blob) as contents:
            return _model_file.rebuild(cls._blank, contents, parts)

    @classmethod
    def _blank(cls, layers: Any, *, seed: int | None, dtype: str) -> Self:
        """A new model of these layers, whatever arguments the constructor of a subclass takes."""
        raise NotImplementedError

    # --- parameters alone ---

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Copies of all parameters by name: ``layer0.weights``, ``layer0.biases``, ... ValueError before
        ``finalize``."""
        with self._lock:
            return {name: view.copy() for name, view in _state_dict.views(self).items()}

    def load_state_dict(
        self,
        state_dict: Mapping[str, Any],
        *,
        strict: bool = True,
        names: Names | None = None,
        transpose: bool = False,
    ) -> WeightsReport:
        """Copy parameters by name into the model; arguments, report and errors as in ``load_weights``."""
        given = _state_dict.of_dict(state_dict)
        with self._lock:
            return _state_dict.take(self, given, strict, names, transpose)

    def save_weights(self, path: Path) -> None:
        """Write the parameters alone, as ``save`` writes: a safetensors file that every reader of those understands."""
        with self._lock:
            checkpoint.save(path, {"kind": "weights"}, _state_dict.views(self))

    def load_weights(
        self,
        path: Path,
        *,
        strict: bool = True,
        names: Names | None = None,
        transpose: bool = False,
    ) -> WeightsReport:
        """Copy parameters by name from a file of ``save``, ``save_weights`` or any safetensors file into the model.

        The model has to be finalized, and keeps its own optimizer, history and everything else. strict: all names and
        shapes have to match, else ValueError, and nothing has changed; strict=False takes what fits. Either way the
        report says what was loaded, missing, unexpected, and of another shape. names: from the file's names to the
        model's (``layer{index}.weights``, ``layer{index}.biases``), a dict or a function; what a dict does not know
        keeps its name, what the function gives None for is left out. transpose: the file's matrices are (outputs,
        inputs), as PyTorch has them. Biases may be (n,). Numbers of other types are converted. Raises FormatError for a
        damaged file.
        """
        with self._lock:
            model: Any = self
            model.plan  # noqa: B018
            with checkpoint.opened(path, foreign=True) as contents:
                return _state_dict.take(self, _state_dict.of_file(contents), strict, names, transpose)

    # --- copies: pickle, copy.deepcopy, joblib, multiprocessing ---

    def __reduce_ex__(self, protocol: Any) -> Any:
        """The bytes of a file, the classes of parts written in Python by reference, and what else the object has.

        So a pickle holds no pointer, is read by later releases as a file is, and its parts in Python have to be
        importable where it is read. A pickle may run any code: files of ``save`` are the ones to exchange.
        """
        model: Any = self
        with self._lock:
            blob = checkpoint.to_bytes(*_model_file.describe(model))
            fresh = vars(type(self)._blank((), seed=0, dtype="float32"))
            more = {name: value for name, value in vars(self).items() if name not in fresh}
            more |= {"metrics": dict(model.metrics), "_fused": model._fused}
            adapted = {}  # before there is a plan, what a Normalization has found is in no tensor
            if model._plan is None:
                adapted = {i: x._found for i, x in enumerate(model.numbered) if getattr(x, "_found", None) is not None}
            return _restored, (type(self), blob, _model_file.own_classes(_model_file.parts(model)), adapted), more


def _restored(cls: type[Files], blob: bytes, parts: list[type[Any]], adapted: dict[int, Any]) -> Files:
    model: Any = cls.from_bytes(blob, custom_objects=parts)
    for i, found in adapted.items():
        model.numbered[i]._found = found
    assert isinstance(model, Files)
    return model
