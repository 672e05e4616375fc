"""Model files: one safetensors file with one canonical JSON entry. No pickle, no code.

The file is written beside its place, synced, and renamed over it, so a reader sees the old one or the new one, whole.
A SHA-256 over description and tensors shows damage. This module knows tensors and a description, not models.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any, TypeAlias

import numpy as np

# hashlib, json, tempfile and safetensors are imported where a file is touched: they would double the package's import

FORMAT = 1
ENTRY = "fastnn"

Tensors: TypeAlias = "dict[str, np.ndarray[Any, np.dtype[Any]]]"


class FormatError(ValueError):
    """The file is not a fastnn model, is damaged, or is of a version that this release does not read."""


def _canonical(description: dict[str, Any]) -> str:
    import json

    return json.dumps(description, sort_keys=True, separators=(",", ":"))


def _digest(description: str, tensors: Tensors) -> str:
    import hashlib

    h = hashlib.sha256(description.encode())
    for name in sorted(tensors):
        t = tensors[name]
        h.update(f"{name} {t.dtype.str} {t.shape}".encode())
        h.update(np.ascontiguousarray(t).data)
    return h.hexdigest()


def save(path: str | os.PathLike[str], description: dict[str, Any], tensors: Tensors) -> None:
    """Write the file, atomically. Raises OSError where the folder cannot be written."""
    import tempfile

    from safetensors.numpy import save as to_bytes

    described = {"format": FORMAT, **description}
    contiguous = {name: np.ascontiguousarray(t) for name, t in tensors.items()}
    digest = _digest(_canonical(described), contiguous)
    # one entry: safetensors writes several in any order, and equal models shall give equal files
    blob = to_bytes(contiguous, metadata={ENTRY: _canonical({**described, "sha256": digest})})
    target = os.path.abspath(os.fspath(path))
    folder, name = os.path.split(target)
    handle, temporary = tempfile.mkstemp(prefix=name, suffix=".tmp", dir=folder)
    try:
        with os.fdopen(handle, "wb") as f:
            f.write(blob)
            f.flush()
            os.fsync(f.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(folder)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: str) -> None:
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def load(path: str | os.PathLike[str]) -> tuple[dict[str, Any], Tensors]:
    """(description, tensors) of a file. Raises FormatError, or OSError where it cannot be read."""
    import json

    from safetensors import SafetensorError, safe_open

    with open(path, "rb"):  # the system's own error for a missing or unreadable file
        pass
    try:
        with safe_open(os.fspath(path), framework="numpy") as f:
            metadata = f.metadata() or {}
            tensors = {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        raise FormatError(f"{path}: not a model file, or damaged ({error})") from None
    text = metadata.get(ENTRY)
    if text is None:
        raise FormatError(f"{path}: a safetensors file without a fastnn entry")
    try:
        description = json.loads(text)
        digest, version = description.pop("sha256"), description["format"]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise FormatError(f"{path}: unreadable description ({error})") from None
    if version != FORMAT:
        raise FormatError(f"{path}: format version {version}, this release reads {FORMAT}")
    if digest != _digest(_canonical(description), tensors):
        raise FormatError(f"{path}: damaged, its SHA-256 does not match its contents")
    return description, tensors
