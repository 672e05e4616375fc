"""``fastnn bench``: the kernels and train steps against NumPy, on this machine, in under a minute."""

from fastnn._bench.report import main

__all__ = ["main"]
