"""Files that are there whole or not at all: written beside their place, synced, and renamed over it.

What a killed process left behind (``.NAME.<16 hex digits>.tmp``) goes at the next save of the same name. Whoever writes
one holds a lock on it, which dies with the process, so that what another is still writing is never taken for such.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator
from typing import IO

try:
    import fcntl
except ImportError:  # Windows, where a file that is open cannot be removed anyway
    fcntl = None  # type: ignore[assignment]

ENDING = ".tmp"
_STALE = re.compile(r"[0-9a-f]{16}")


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """A new file to write into, which takes the path's place at the end; an exception leaves all as it was.

    A symbolic link stays, and what it points to is replaced; so do the permissions of a file that is there. OSError
    naming the path where the folder is not there or cannot be written, or the path is no file or a read-only one.
    """
    target = os.path.realpath(os.fspath(path))
    mode = _mode_of(target)
    folder, name = os.path.split(target)
    prefix = _prefix(name)
    _remove_stale(folder, prefix)
    try:
        stream, temporary = _create(folder, prefix, 0o666 if mode is None else mode)
    except OSError as error:
        where = f"{error.strerror}: a file cannot be made in the folder"
        raise OSError(error.errno, where, target) from None
    try:
        with stream:
            if mode is not None and hasattr(os, "fchmod"):
                os.fchmod(stream.fileno(), mode)
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
            if fcntl is not None:  # in place under the lock, so that nobody takes it for left behind
                os.replace(temporary, target)
        if fcntl is None:
            os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(folder)


def _mode_of(target: str) -> int | None:
    """The permissions of the file that is there, None where there is none."""
    try:
        found = os.stat(target)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), target)
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a regular file, so it cannot be replaced by one", target)
    if not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, "the file is read-only", target)
    return stat.S_IMODE(found.st_mode)


def _prefix(name: str) -> str:
    """What the temporary files of a target begin with; a very long name is shortened to what a file system takes."""
    if len(os.fsencode(name)) > 200:
        import hashlib

        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    return f".{name}."


def _create(folder: str, prefix: str, mode: int) -> tuple[IO[bytes], str]:
    """A new file under lock, and its path."""
    while True:
        path = os.path.join(folder, f"{prefix}{os.urandom(8).hex()}{ENDING}")
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        stream = os.fdopen(os.open(path, flags, mode), "w+b")
        if _lock(stream, wait=True) and not _is(path, stream):  # removed as stale before it was locked
            stream.close()
            continue
        return stream, path


def _lock(stream: IO[bytes], wait: bool) -> bool:
    """Lock the file; False where another has it, or this file system has no locks."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def _is(path: str, stream: IO[bytes]) -> bool:
    """Whether the path is still that of the open file."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(stream.fileno()))
    except FileNotFoundError:
        return False


def _remove_stale(folder: str, prefix: str) -> None:
    """Remove what killed processes left of the same target. What cannot be removed stays."""
    try:
        found = [n for n in os.listdir(folder) if n.startswith(prefix) and n.endswith(ENDING)]
    except OSError:
        return
    for name in found:
        if _STALE.fullmatch(name[len(prefix) : -len(ENDING)]):
            with contextlib.suppress(OSError):
                _remove(os.path.join(folder, name))


def _remove(path: str) -> None:
    if fcntl is None:
        os.unlink(path)
        return
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK
    with os.fdopen(os.open(path, flags), "r+b") as stream:
        if stat.S_ISREG(os.fstat(stream.fileno()).st_mode) and _lock(stream, wait=False) and _is(path, stream):
            os.unlink(path)


def _sync_folder(folder: str) -> None:
    """Make the new name last. Some file systems cannot, and some folders cannot be opened: the file is in place."""
    if os.name == "nt":
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP):
            raise
    finally:
        os.close(handle)
