"""What ``make sanitize`` tries is built with the sanitizers: an ordinary build would pass, and say nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import fastnn


@pytest.mark.skipif("FASTNN_SANITIZED" not in os.environ, reason="for `make sanitize`, which tries a build of its own")
def test_every_extension_module_is_instrumented() -> None:
    modules = list(Path(fastnn.__file__).parent.rglob("*.so"))
    assert modules
    without = [path.name for path in modules if not {b"__asan_init", b"__ubsan_handle"} <= _marks(path)]
    assert not without


def _marks(path: Path) -> set[bytes]:
    data = path.read_bytes()
    return {mark for mark in (b"__asan_init", b"__ubsan_handle") if mark in data}
