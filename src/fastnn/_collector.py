"""The garbage collector while modules are imported."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collection() -> Iterator[None]:
    """Off while the block runs, and then as it was, whatever the block raises. Imports make many objects and hardly any
    garbage: looking for it, and through all that NumPy has made, takes a twelfth of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
