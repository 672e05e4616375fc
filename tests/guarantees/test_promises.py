"""Every promise in its quick form, and every proof broken on purpose."""

from __future__ import annotations

import importlib
import platform
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from promise import NotHereError

from fastnn import _core

HERE = Path(__file__).parent
ROWS = sorted(path.stem for path in HERE.glob("g[0-9][0-9]_*.py"))


def proof(row: str, full: bool = False) -> Any:
    try:
        return importlib.import_module(row).prove(full)
    except NotHereError as missing:
        pytest.skip(str(missing))


def test_there_are_sixteen_promises() -> None:
    assert [row[:3] for row in ROWS] == [f"g{i:02}" for i in range(1, 17)]


@pytest.mark.parametrize("row", ROWS)
def test_the_promise_holds(row: str) -> None:
    figure = proof(row)
    assert figure.passed, figure.text


@pytest.mark.parametrize("row", ROWS)
def test_the_proof_can_fail(row: str, monkeypatch: pytest.MonkeyPatch) -> None:
    importlib.import_module(row).break_it(monkeypatch)
    figure = proof(row)
    assert not figure.passed, f"{row} passes although it was broken: {figure.text}"


@pytest.mark.parametrize("how", [("--broken", "SCRIBBLE"), ("--unseen", "BREAK"), ("--unseen", "SCRIBBLE")])
def test_a_write_on_a_canary_and_a_watcher_that_sleeps_are_seen(
    how: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import g07_bounds as g07

    good = g07.guard
    monkeypatch.setattr(g07, "guard", lambda full: good(full, *how))
    figure = proof("g07_bounds")
    assert not figure.passed, figure.text


@pytest.mark.parametrize(
    "name",
    [
        "softmax forward", "log_softmax backward at 1", "categorical_crossentropy of p", "log", "dense", "dot",
        "dense backward by dy", "batch_norm by x", "layer_norm backward by x", "dropout", "gaussian noise",
        "adam step by g", "bounded norm of g",
    ],
)  # fmt: skip
def test_one_bit_beside_a_special_value_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import g10_special_values as g10

    good, kernels = g10.evaluate, g10.kernels
    last = [isa for isa in g10.CONTRACT if isa in _core.available_isas()][-1]

    def flipped(kernel: Any, x: Any) -> Any:
        y = np.ascontiguousarray(good(kernel, x))
        if _core.active_isa() == last and not np.isnan(x).any():
            bits = y.reshape(-1).view(np.uint8).reshape(y.size, -1)
            bits[np.flatnonzero(np.isfinite(y))[-1], 0] ^= 1
        return y

    monkeypatch.setattr(g10, "kernels", lambda dtype: [k for k in kernels(dtype) if k.name == name])
    assert proof("g10_special_values").passed
    monkeypatch.setattr(g10, "evaluate", flipped)
    figure = proof("g10_special_values")
    assert not figure.passed
    assert f"{name} differs" in figure.text


def test_flushed_subnormals_are_seen_in_what_is_stated() -> None:
    import g10_special_values as g10

    seen = []
    with np.errstate(all="ignore"):
        for name, got, want, most in g10.stated(np.float32):
            small = (got != 0) & (abs(got) < np.finfo(np.float32).tiny)
            assert g10.as_stated(got, want, most), name
            assert g10.as_stated(np.where(small, got * 0, got), want, most) == (not small.any()), name
            seen += [name] * bool(small.any())
    assert {"linear", "relu", "elu", "silu", "tanh", "erf", "dot, 1 columns", "dense, 9 columns"} <= set(seen)


@pytest.mark.parametrize("other", ["huge((-1,), np.float32)", "None[0]"])
def test_a_size_refused_in_words_that_are_not_ours_is_seen(other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import g13_sizes as g13

    good = g13.run
    one = f"attempts = {{'other': lambda: {other}}}; bad = []"
    monkeypatch.setattr(g13, "run", lambda code: good(code.replace("bad = []", one)))
    figure = proof("g13_sizes")
    assert figure.text.startswith("1 of 1 ")
    assert not figure.passed


@pytest.mark.skipif(platform.machine() != "x86_64" or not shutil.which("objdump"), reason="reads x86-64's machine code")
def test_a_foreign_instruction_in_any_extension_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    import g15_illegal_instruction as g15

    others, good = [file for file in g15.libraries() if not file.name.startswith("_core.")], g15._tool
    assert len(others) > 15
    assert g15.foreign_instructions(others)[0] == {}
    vector = "\n  10:\tvaddps %ymm0,%ymm1,%ymm2\n"
    monkeypatch.setattr(g15, "_tool", lambda *a: good(*a) + vector * Path(a[-1]).name.startswith("session."))
    (name, count), = g15.foreign_instructions(others)[0].items()  # fmt: skip
    assert name.startswith("session.")
    assert count == 1


# where fegetenv puts the modes of floats in Linux (a word of 32 bits), and the bits of each
MODES = {
    "x86_64": (
        7,
        {"down": 1 << 13, "up": 1 << 14, "to zero": 3 << 13, "results flushed": 1 << 15, "operands flushed": 1 << 6},
    ),
    "aarch64": (0, {"down": 2 << 22, "up": 1 << 22, "to zero": 3 << 22, "results flushed": 1 << 24}),
}
LEAK = """
import ctypes
libc, env = ctypes.CDLL(None), (ctypes.c_uint32 * 64)()
libc.fegetenv(env)
env[{word}] |= {bits}
libc.fesetenv(env)
found["rounding after use"] = before["rounding"] == rounding().hex()
"""


@pytest.mark.skipif(sys.platform != "linux" or platform.machine() not in MODES, reason="knows where Linux has them")
@pytest.mark.parametrize("mode", ["none", *MODES.get(platform.machine(), (0, {}))[1]])
def test_each_mode_of_rounding_that_is_left_behind_is_seen(mode: str) -> None:
    import g14_side_effects as g14

    word, bits = MODES[platform.machine()]
    found = g14.look(LEAK.format(word=word, bits=bits.get(mode, 0)))
    assert found["rounding after use"] == (mode == "none"), mode


@pytest.mark.parametrize("defect", ["none", "one bit", "a kernel is missing", "a kernel is new"])
def test_one_bit_of_one_kernel_of_one_compiler_is_seen(defect: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import elsewhere
    import g03_instruction_sets as g03

    good = {("scalar", "float32", f"kernel {i}"): elsewhere.Result(f"{i:016x}", 1.0) for i in range(5)}
    other = {("neon", *key[1:]): result for key, result in good.items()}
    key = ("neon", "float32", "kernel 3")
    if defect == "one bit":
        other[key] = elsewhere.Result(f"{3 ^ 1 << 60:016x}", 1.0)
    elif defect == "a kernel is missing":
        del other[key]
    elif defect == "a kernel is new":
        other["neon", "float32", "kernel 9"] = elsewhere.Result("0", 1.0)
    stored = {g03.in_c(dtype, kernel): result.hash for (_, dtype, kernel), result in good.items()}
    monkeypatch.setattr(g03, "GOLDEN_KERNELS", stored | {"from Python, float32: kernel 3": "0"})
    monkeypatch.setattr(g03, "who_computes", lambda: iter([("gcc", "", good), ("clang", "avx512 in plain C", other)]))
    differ, kernels, who = g03.all_kernels()
    assert differ == (defect != "none"), defect
    assert kernels == 5 + (defect == "a kernel is new")
    assert who == ["gcc (scalar)", "clang (avx512 in plain C)"]
