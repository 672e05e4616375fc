"""The fuzz targets without a fuzzer: the seeds, every input that once failed, and mutants of both; and that the harness
sees what it is there to see."""

from __future__ import annotations

import contextlib
import mmap
import os
import random
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import fuzz_csv
import fuzz_model
import fuzz_npz
import fuzz_onnx
import harness
import protobuf_mutants
from file_mutants import mutant as file_mutant
from harness import FindingError, RefusedError, behaves, inputs_of, refusal
from small import python

from fastnn import Dense, Model, Rescale

TARGETS: dict[str, ModuleType] = {"model": fuzz_model, "onnx": fuzz_onnx, "csv": fuzz_csv, "npz": fuzz_npz}
MUTATORS = {"model": file_mutant, "onnx": protobuf_mutants.mutant, "csv": fuzz_csv.mutator, "npz": fuzz_npz.mutator}
SEEDS = [(kind, path) for kind in TARGETS for path in inputs_of(kind, "corpus")]
ONCE = [(kind, path) for kind in TARGETS for path in inputs_of(kind, "regressions")]


@pytest.mark.parametrize(
    ("kind", "path"), SEEDS + ONCE, ids=lambda value: value if isinstance(value, str) else value.name
)
def test_seeds_and_what_once_failed_behave(kind: str, path: Path) -> None:
    assert behaves(TARGETS[kind].one, path.read_bytes()) in ("loaded", "refused")


@pytest.mark.parametrize("kind", TARGETS)
def test_seeds_load_and_their_mutants_do_both(kind: str) -> None:
    """Else the fuzzer would look at nothing but the first check."""
    rng = random.Random(7)
    inputs = [path.read_bytes() for folder in ("corpus", "regressions") for path in inputs_of(kind, folder)]
    said = [TARGETS[kind].one(data) for data in inputs]
    assert said.count("loaded") >= 3
    mutants = [MUTATORS[kind](rng.choice(inputs), rng) for _ in range(150)]
    outcomes = [behaves(TARGETS[kind].one, data) for data in mutants]
    assert 5 < outcomes.count("loaded") < 145


@pytest.mark.skipif(not harness.PROC.exists(), reason="reads peaks of memory from Linux's /proc")
@pytest.mark.parametrize("kind", TARGETS)
def test_each_alone_keeps_to_its_memory(kind: str) -> None:
    """What once failed, and the largest seed, in a process of their own where nothing lies ready to be used again."""
    paths = [path for k, path in ONCE if k == kind]
    paths.append(max((path for k, path in SEEDS if k == kind), key=lambda path: path.stat().st_size))
    for path in paths:
        said = python(
            "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path\n"
            f"import harness, fuzz_{kind} as target\n"
            "target.one(min(harness.inputs_of(sys.argv[3], 'corpus')).read_bytes())  # imports happen at the first\n"
            "print(harness.behaves(target.one, Path(sys.argv[2]).read_bytes()))",
            Path(__file__).parent,
            path,
            kind,
        )
        assert said in ("loaded", "refused")


def test_the_corpus_is_small() -> None:
    sizes = [path.stat().st_size for _, path in SEEDS]
    assert sum(sizes) < 200_000
    assert max(sizes) < harness.MOST


# --- negative controls ---


def test_the_harness_sees_other_errors_time_and_memory() -> None:
    def other(data: bytes) -> str:
        try:
            with refusal("the file", ValueError):
                raise KeyError("the file")
        except RefusedError:
            return "refused"
        return "loaded"

    def nameless(data: bytes) -> str:
        with refusal("the file", ValueError):
            raise ValueError("something is wrong")
        return "loaded"

    def slow(data: bytes) -> str:
        sum(range(3_000_000))
        return "loaded"

    def large(data: bytes) -> str:
        pages = mmap.mmap(-1, 48 << 20)  # not of the heap, where an earlier test may have left as much
        np.frombuffer(pages, np.uint8)[:] = 1
        return "loaded"

    with pytest.raises(KeyError):
        behaves(other, b"")
    with pytest.raises(FindingError, match="expected it to begin with 'the file'"):
        behaves(nameless, b"")
    with pytest.raises(FindingError, match="the target says None"):
        behaves(lambda data: None, b"")  # type: ignore[arg-type, return-value]
    with pytest.raises(FindingError, match="s of the processor"):
        behaves(slow, b"", seconds=1e-3)
    if harness.PROC.exists() and "FASTNN_SANITIZED" not in os.environ:  # which adds its own to each allocation
        with pytest.raises(FindingError, match=r"4\d\.\d MB beyond"):
            behaves(large, b"")


def test_a_target_sees_a_loader_that_lets_things_through(monkeypatch: pytest.MonkeyPatch) -> None:
    seed = inputs_of("model", "corpus")[0].read_bytes()
    assert fuzz_model.one(seed) == "loaded"

    def of_other_bits(*args: object) -> object:
        return lambda X: np.zeros((len(X), 3))

    monkeypatch.setattr(fuzz_model.Session, "load", of_other_bits)
    with pytest.raises(FindingError, match="other bits"):
        fuzz_model.one(seed)


@pytest.mark.parametrize(
    ("text", "excused"),
    [
        ("ONNX: more than 20000 nodes", True),
        ("scale: expected a finite number, got inf", True),
        ("the layers would have 9 parameters, far more than came with them", False),
        ("node 3 (Add): scales 9000 columns, each for itself, with no dense layer next to it", False),
        ("node 3 (Add): expected more than 1 input(s)", False),
    ],
)
def test_a_refusal_of_our_own_export_is_seen(text: str, excused: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> Model:
        raise ValueError(f"{path}: {text}")

    model = Model([Dense(3, 2)], seed=0)
    model.finalize()
    fuzz_onnx.works(model)
    monkeypatch.setattr(fuzz_onnx.fastnn, "import_onnx", refuse)
    with contextlib.nullcontext() if excused else pytest.raises(FindingError, match="our own export is refused"):
        fuzz_onnx.works(model)


@pytest.mark.parametrize("scale", [1e200, -1e300])
def test_two_scales_that_overflow_as_one_are_excused(scale: float) -> None:
    model = Model([Rescale(scale), Rescale(1e200), Dense(2, 3)], seed=0, dtype="float64")
    model.finalize()
    fuzz_onnx.works(model)


def test_what_is_not_finite_is_not_exported_and_nothing_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model([Dense(3, 2)], seed=0)
    model.finalize()
    model.layers[0].biases[:] = np.inf
    fuzz_onnx.works(model)
    model.layers[0].biases[:] = 0.0

    def refuse(model: Model) -> bytes:
        raise ValueError("layer 0 (Dense): the biases hold NaN or infinity: nothing is exported")

    monkeypatch.setattr(fuzz_onnx._onnx, "to_bytes", refuse)
    with pytest.raises(FindingError, match="the export refuses"):
        fuzz_onnx.works(model)
