"""How many threads a call may use. The only global state of the package.

The default is what this process may really use: the processors of its affinity mask, but no more than a container's
quota of processor time. Short work stays on one thread whatever the number; results have the same bits with any.
"""

from __future__ import annotations

import os
from _thread import allocate_lock  # threading is more than this needs, and NumPy does without it
from collections.abc import Iterator
from contextlib import contextmanager

from fastnn import _core, _forks

MOST = 256
_blocks: list[list[int]] = []  # those of num_threads that are open, in the order they were entered: what each puts back
CGROUP = "/sys/fs/cgroup"
MEMBERSHIP = "/proc/self/cgroup"


class _Turn:
    """One thread at a time; in a forked child free, whoever had it."""

    def __init__(self) -> None:
        self.lock = allocate_lock()

    def __enter__(self) -> None:
        _forks.keep(self)
        self.lock.acquire()

    def __exit__(self, *error: object) -> None:
        self.lock.release()

    def _after_fork(self) -> None:
        self.lock = allocate_lock()


_turn = _Turn()


def available_threads(cgroup: str = CGROUP, membership: str = MEMBERSHIP) -> int:
    """Threads that can run at the same time here: affinity, bounded by the quotas of the cgroups (version 2 or 1)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(cgroup, membership)
    return max(1, min(cores, MOST) if quota is None else min(cores, MOST, int(quota + 0.5)))


def _quota(cgroup: str, membership: str = MEMBERSHIP) -> float | None:
    """Processors' worth of time that this process's cgroup and those above it grant, None where they grant all. In a
    container its own is the root; outside of one a service's lies in a folder below."""
    places: set[tuple[str, ...]] = set()  # the roots belong to several: each is read once
    for number, controllers, path in _memberships(membership):
        if number == "0":
            places |= {(f"{folder}/cpu.max",) for folder in _upwards(cgroup, path)}
        elif "cpu" in controllers.split(","):
            folders = _upwards(f"{cgroup}/cpu", path)
            places |= {(f"{folder}/cpu.cfs_quota_us", f"{folder}/cpu.cfs_period_us") for folder in folders}
    return min((quota for files in places if (quota := _share(*files)) is not None), default=None)


def _memberships(file: str) -> list[list[str]]:
    """[number of the hierarchy, its controllers, path] of each cgroup that the process is in, the roots among them."""
    try:
        with open(file) as f:
            lines = [line.rstrip("\n").split(":", 2) for line in f]
    except (OSError, ValueError):
        lines = []
    return [line for line in lines if len(line) == 3] + [["0", "", "/"], ["1", "cpu", "/"]]


def _upwards(root: str, path: str) -> list[str]:
    """The folder of a cgroup and all above it, to the root."""
    parts = [part for part in path.split("/") if part and part != ".."]
    return ["/".join([root, *parts[:n]]) for n in range(len(parts), -1, -1)]


def _share(*files: str) -> float | None:
    """Quota over period, which stand in these files; None where there is no bound."""
    try:
        words = []
        for name in files:
            with open(name) as f:
                words += f.read().split()
        quota, period = map(float, words)
        return quota / period if quota > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None


def get_num_threads() -> int:
    """How many threads a call may use, the calling one included."""
    return int(_core.threads())


def set_num_threads(count: int | None) -> None:
    """Let each call use up to ``count`` threads; None for what this process may use. ValueError outside 1 to 256."""
    if count is None:
        count = available_threads()
    if isinstance(count, bool) or not isinstance(count, int):
        raise TypeError(f"count: expected a whole number or None, got {count!r}")
    if not 1 <= count <= MOST:
        raise ValueError(f"count: expected 1 to {MOST}, got {count}")
    _core.set_threads(count)


@contextmanager
def num_threads(count: int | None) -> Iterator[None]:
    """``with num_threads(1): ...`` sets the number and puts it back. It is the whole process's, not the thread's own:
    of blocks of several threads that overlap, the one entered last counts, and the last to end puts back what was there
    before the first."""
    with _turn:
        block = [get_num_threads()]
        set_num_threads(count)
        _blocks.append(block)
    try:
        yield
    finally:
        with _turn:
            place = next(i for i, one in enumerate(_blocks) if one is block)
            del _blocks[place]
            if place == len(_blocks):
                set_num_threads(block[0])
            else:  # the next was entered since: it now has this one's number to put back
                _blocks[place][0] = block[0]


def set_default() -> None:
    """At import: FASTNN_NUM_THREADS, or what this process may use. ImportError for a variable that is no such
    number."""
    given = os.environ.get("FASTNN_NUM_THREADS", "")
    try:
        set_num_threads(int(given) if given else None)
    except ValueError:
        raise ImportError(f"FASTNN_NUM_THREADS={given}: expected a whole number, 1 to {MOST}") from None
