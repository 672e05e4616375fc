"""Model files: one safetensors file with one canonical JSON entry. No pickle, no code.

The file is written beside its place, synced, and renamed over it, so a reader sees the old one or the new one, whole.
A SHA-256 over description and tensors shows damage. This module knows tensors and a description, not models.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

FORMAT = 1
ENTRY = "fastnn"

Tensors: TypeAlias = "dict[str, np.ndarray[Any, np.dtype[Any]]]"


class FormatError(ValueError):
    """The file is not a fastnn model, is damaged, or is of a version that this release does not read."""


def _digest(description: str, tensors: Tensors) -> str:
    h = hashlib.sha256(description.encode())
    for name in sorted(tensors):
        t = tensors[name]
        h.update(f"{name} {t.dtype.str} {t.shape}".encode())
        h.update(np.ascontiguousarray(t).data)
    return h.hexdigest()


def save(path: str | os.PathLike[str], description: dict[str, Any], tensors: Tensors) -> None:
    """Write the file, atomically. Raises OSError where the folder cannot be written."""
    from safetensors.numpy import save as to_bytes

    text = json.dumps({"format": FORMAT, **description}, sort_keys=True, separators=(",", ":"))
    contiguous = {name: np.ascontiguousarray(t) for name, t in tensors.items()}
    blob = to_bytes(contiguous, metadata={ENTRY: text, "sha256": _digest(text, contiguous)})
    target = Path(path)
    handle, temporary = tempfile.mkstemp(prefix=target.name, suffix=".tmp", dir=target.parent)
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
    _sync_folder(target.parent)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def load(path: str | os.PathLike[str]) -> tuple[dict[str, Any], Tensors]:
    """(description, tensors) of a file. Raises FormatError, or OSError where it cannot be read."""
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
    if metadata.get("sha256") != _digest(text, tensors):
        raise FormatError(f"{path}: damaged, its SHA-256 does not match its contents")
    try:
        description = json.loads(text)
        version = description["format"]
    except (ValueError, TypeError, KeyError) as error:
        raise FormatError(f"{path}: unreadable description ({error})") from None
    if version != FORMAT:
        raise FormatError(f"{path}: format version {version}, this release reads {FORMAT}")
    return description, tensors
