"""What a fork leaves behind: locks held by threads that the child has not, on which it would wait for ever.

A child of ``os.fork`` has the one thread that forked. Whoever holds a lock that other threads may take is kept here,
and its ``_after_fork`` is called in the child.
"""

from __future__ import annotations

import os
from typing import Any, Protocol


class Kept(Protocol):
    def _after_fork(self) -> None: ...


_kept: Any = None  # a WeakSet, with the first that is kept: NumPy does without the module


def keep(owner: Kept) -> None:
    """Call the owner's ``_after_fork`` in children that are forked while it lives."""
    global _kept
    if _kept is None:
        from weakref import WeakSet

        _kept = WeakSet()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_in_child)
    _kept.add(owner)


def _in_child() -> None:
    for owner in list(_kept):
        owner._after_fork()


def free(lock: Any) -> Any:
    """The re-entrant lock, or a new one where its holder was another thread."""
    return lock if lock._is_owned() else type(lock)()
