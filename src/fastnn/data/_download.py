"""Published files: where they are looked for, fetched from and kept, and how they are checked.

A file counts as the published one if its uncompressed bytes do, whatever gzip made of them.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from ._idx import read_idx_checked

log = logging.getLogger("fastnn.data")

TIMEOUT = 20.0  # seconds without an answer after which a mirror counts as dead
MOST_BYTES = 64 << 20  # no published file is larger


@dataclass(frozen=True)
class PublishedFile:
    """One IDX file: its standard name, and the SHA-256 of the official gzip and of the bytes within."""

    name: str
    gzip_sha256: str
    idx_sha256: str


@dataclass(frozen=True)
class Collection:
    """Files published together. folder: the name of its folder in the cache; mirrors: addresses ending in a slash."""

    title: str
    folder: str
    mirrors: tuple[str, ...]
    files: tuple[PublishedFile, ...]


def cache_dir() -> Path:
    """The folder where downloads are kept: FASTNN_CACHE, or the user's cache folder with ``fastnn`` appended."""
    chosen = os.environ.get("FASTNN_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
        return (Path(base) if base else Path.home() / "AppData" / "Local") / "fastnn"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "fastnn"


def load(collection: Collection, data_dir: str | Path | None = None) -> list[NDArray[np.uint8]]:
    """The arrays of the collection's files, checked to the byte.

    They are taken from ``data_dir`` if that is given, and it is an error if they are not all there; else from the
    folder in FASTNN_DATA if they are there; else from the cache, where those that are missing are fetched into.
    Raises FileNotFoundError, ValueError for a file with other contents, OSError where no mirror delivers.
    """
    if data_dir is not None:
        folder = Path(data_dir).expanduser()
        found = _find_all(collection, folder)
        if found is None:
            raise FileNotFoundError(_not_all_there(collection, folder))
        return [_read(collection, file, path) for file, path in zip(collection.files, found, strict=True)]
    named = os.environ.get("FASTNN_DATA")
    if named:
        found = _find_all(collection, Path(named).expanduser())
        if found is not None:
            return [_read(collection, file, path) for file, path in zip(collection.files, found, strict=True)]
    return [_from_cache(collection, file) for file in collection.files]


def _places(collection: Collection, folder: Path) -> list[Path]:
    """The subfolder first: a folder that holds several collections cannot have all of them at its top."""
    return [folder / collection.folder, folder]


def _find(file: PublishedFile, folder: Path) -> Path | None:
    for name in (file.name + ".gz", file.name):
        if (folder / name).is_file():
            return folder / name
    return None


def _find_all(collection: Collection, folder: Path) -> list[Path] | None:
    for place in _places(collection, folder):
        paths = [path for file in collection.files if (path := _find(file, place)) is not None]
        if len(paths) == len(collection.files):
            return paths
    return None


def _not_all_there(collection: Collection, folder: Path) -> str:
    if not folder.is_dir():
        return f"data_dir: there is no folder {folder}"
    lacking = [
        [file.name for file in collection.files if _find(file, place) is None] for place in _places(collection, folder)
    ]
    missing = min(lacking, key=len)
    return (
        f"data_dir: {folder} lacks {', '.join(missing)} of {collection.title} "
        f"(each with or without .gz, in the folder itself or in {collection.folder}/ below it)"
    )


def _read(collection: Collection, file: PublishedFile, path: Path) -> NDArray[np.uint8]:
    array, digest = read_idx_checked(path)
    if digest != file.idx_sha256:
        raise ValueError(
            f"{path}: a sound IDX file of shape {array.shape}, but not {collection.title}'s {file.name} "
            f"(SHA-256 {digest[:12]}… uncompressed, expected {file.idx_sha256[:12]}…); "
            f"fastnn.data.read_idx reads any IDX file"
        )
    return array


def _from_cache(collection: Collection, file: PublishedFile) -> NDArray[np.uint8]:
    path = cache_dir() / collection.folder / (file.name + ".gz")
    if path.is_file():
        try:
            return _read(collection, file, path)
        except ValueError as error:
            log.warning("%s; fetching it again", error)
    fetch(collection, file, path)
    return _read(collection, file, path)


def fetch(collection: Collection, file: PublishedFile, to: Path) -> None:
    """Bring ``file`` from the first mirror that delivers it to ``to``, which appears only once it is whole and checked.

    Raises OSError with what each mirror answered.
    """
    from http.client import HTTPException  # with urllib a good part of the import time of fastnn.data; rarely needed

    failures: list[str] = []
    for mirror in collection.mirrors:
        url = mirror + file.name + ".gz"
        try:
            to.parent.mkdir(parents=True, exist_ok=True)
            part = to.with_name(f"{file.name}.{secrets.token_hex(6)}.part")
            out = part.open("xb")
        except OSError as error:
            raise OSError(
                f"the cache folder {to.parent} cannot be written: {error}; FASTNN_CACHE names another"
            ) from None
        try:
            log.info("fetching %s", url)
            with out:
                digest = _copy(url, out)
            if digest != file.gzip_sha256:  # another gzip, perhaps of the right bytes
                _read(collection, file, part)
            os.replace(part, to)
            return
        except (OSError, ValueError, HTTPException) as error:
            failures.append(f"  {url}: {_reason(error, part, url)}")
        finally:
            part.unlink(missing_ok=True)
    raise OSError(_no_mirror(collection, file, failures))


def _copy(url: str, out: IO[bytes]) -> str:
    """Copy what ``url`` gives into the open file; returns its SHA-256."""
    import urllib.request

    digest = hashlib.sha256()
    size = 0
    with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
        promised = answer.headers.get("Content-Length")
        while block := answer.read(1 << 18):
            size += len(block)
            if size > MOST_BYTES:
                raise ValueError(f"more than {MOST_BYTES >> 20} MB came")
            digest.update(block)
            out.write(block)
    if promised is not None and promised.isdigit() and size != int(promised):
        raise ValueError(f"the connection ended after {size} of {promised} bytes")
    return digest.hexdigest()


def _reason(error: Exception, part: Path, url: str) -> str:
    from urllib.error import HTTPError, URLError

    if isinstance(error, HTTPError):
        return f"HTTP {error.code} {error.reason}"
    if isinstance(error, URLError):
        return str(error.reason)
    return str(error).replace(f"{part}: ", "") or type(error).__name__


def _no_mirror(collection: Collection, file: PublishedFile, failures: Sequence[str]) -> str:
    tried = "\n".join(failures)
    return (
        f"{collection.title}: {file.name}.gz could not be fetched:\n{tried}\n"
        f"If you have the files, say where: data_dir='FOLDER' (on the command line --data-dir FOLDER), or FASTNN_DATA."
    )
