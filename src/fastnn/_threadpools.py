"""threadpoolctl: the tool that scikit-learn and others use to hold all thread pools of a process to a number.

It knows OpenMP and the BLAS libraries; a library with a pool of its own has to introduce it.
"""

from __future__ import annotations

from typing import Any

import fastnn

_registered: list[Any] = []


def register_threadpoolctl() -> None:
    """Make ``threadpoolctl.threadpool_limits`` and ``threadpool_info`` know fastnn's threads (user_api "fastnn").

    Calling it again does nothing. ImportError where threadpoolctl is not installed.
    """
    if _registered:
        return
    try:
        import threadpoolctl  # type: ignore[import-untyped]
    except ImportError as error:
        raise ImportError(
            "register_threadpoolctl() needs threadpoolctl: pip install threadpoolctl, or fastnn-cpu[threadpoolctl]"
        ) from error

    class FastnnController(threadpoolctl.LibController):  # type: ignore[misc]
        """fastnn's pool, by the two functions that its library exports."""

        user_api = "fastnn"
        internal_api = "fastnn"
        filename_prefixes = ("_core.",)  # many packages have one of this name: the symbols tell
        check_symbols = ("fnn_threads", "fnn_set_threads")

        def get_num_threads(self) -> int:
            return int(self.dynlib.fnn_threads())

        def set_num_threads(self, num_threads: int) -> None:
            self.dynlib.fnn_set_threads(int(num_threads))

        def get_version(self) -> str:
            return fastnn.__version__

    threadpoolctl.register(FastnnController)
    _registered.append(FastnnController)
