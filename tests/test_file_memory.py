"""What reading a file costs and touches: no more memory than the file and 16 MB, one path, no code."""

from __future__ import annotations

import contextlib
import json
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bad_files import DESCRIPTIONS
from file_mutants import changed, mutant, put_together, take_apart
from small import python, trained

from fastnn import Dense, Model

PEAK = """
import os, sys
import numpy as np, difflib, json, hashlib
from fastnn import Dense, Model, FormatError
small = Model([Dense(2, 2, activation="relu")]); small.set(loss="mse", optimizer="adam")
small.train(np.zeros((4, 2)), np.zeros((4, 2)))
Model.from_bytes(small.to_bytes())
try: Model.from_bytes(b"x")
except FormatError: pass
open("/proc/self/clear_refs", "w").write("5")
status = lambda key: next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith(key))
before = status("VmRSS")
try: Model.load(sys.argv[1]); what = "loaded"
except FormatError as error: what = str(error)[:300]
print(status("VmHWM") - before, what)
"""


def peak(path: Path) -> tuple[int, str]:
    """(bytes of memory that loading took beyond the size of the file, what came of it)"""
    taken, _, what = python(PEAK, path).partition(" ")
    return int(taken) - path.stat().st_size, what


def report(name: str, path: Path, beyond: int, what: str) -> None:
    print(f"{name}: {beyond / 2**20:.1f} MB beyond the file of {path.stat().st_size / 2**20:.1f} MB: {what:.150}")


needs_proc = pytest.mark.skipif(
    not os.path.exists("/proc/self/clear_refs") or "FASTNN_SANITIZED" in os.environ,
    reason="needs Linux's /proc, and memory that is not a sanitizer's",
)
ALLOWED = 16 << 20


@needs_proc
def test_a_large_model_takes_no_more_than_its_file(tmp_path: Path) -> None:
    model = Model([Dense(2000, 6000), Dense(700)], seed=1)
    model.set(loss="mse", optimizer="adam")
    model.train(np.zeros((4, 2000), np.float32), np.zeros((4, 700)))
    model.save(tmp_path / "m.fnn")
    assert (tmp_path / "m.fnn").stat().st_size > 180 << 20
    beyond, what = peak(tmp_path / "m.fnn")
    assert what == "loaded"
    assert beyond < ALLOWED
    report("large", tmp_path / "m.fnn", beyond, what)


def hostile(kind: str) -> bytes:
    """Small files that claim much."""
    model = Model([Dense(2, 2)], seed=1)
    model.set(loss="mse", optimizer="adam")
    model.train(np.zeros((4, 2)), np.zeros((4, 2)))

    def change(header: dict[str, Any], d: dict[str, Any]) -> None:
        dropout: dict[str, Any] = {"name": "Dropout", "rate": 0.5}
        if kind == "a huge layer":
            d["layers"][0].update(n_inputs=2**30, n_neurons=2**30)
        elif kind == "a huge tensor":
            header["layer0.weights"].update(shape=[2**30, 2**10])
        elif kind == "millions of layers":
            d["layers"] += [dropout] * 1_000_000
        elif kind == "all the layers there may be":
            d["layers"] += [dropout] * 4095
            d["metadata"] = {"x": [[]] * 60_000}
        elif kind == "a long history":
            d["history"]["epochs"] = 2**40
        elif kind == "lists of nothing":
            d["metadata"] = {"x": [[]] * 3_000_000}
        elif kind == "dicts of nothing":
            d["metadata"] = {"x": [{}] * 3_000_000}
        elif kind == "keys":
            d["metadata"] = {str(i): 0 for i in range(500_000)}
        elif kind == "depth":
            d["metadata"] = {"x": "DEEP"}
        elif kind == "tensors of nothing":
            header |= {str(i): {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(60_000)}
        elif kind == "states":
            d["states"] = 10**9
        elif kind in ("arrays of state", "more arrays of state"):
            d["states"] = 4096 if kind == "arrays of state" else 8000
            at = max(entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__")
            for i in range(2, d["states"]):
                for name, shape in (("weights", [2, 2]), ("biases", [1, 2])):
                    end = at + 4 * shape[0] * shape[1]
                    header[f"state{i}.layer0.{name}"] = {"dtype": "F32", "shape": shape, "data_offsets": [at, end]}
                    at = end
        elif kind == "wide text":
            d["metadata"] = {"x": "\U0001f600" + "a" * 2_900_000}
        elif kind == "wider text":
            d["metadata"] = {"x": "\U0001f600" + "a" * 4_000_000}

        elif kind in ("endless sources", "all the sources there may be"):
            reads = 60_000 if kind == "endless sources" else 1800
            d["layers"] = [{"name": "Input", "n_inputs": 2}, d["layers"][0], *[{"name": "Concatenate"}] * 8]
            header |= {k.replace("layer0", "layer1"): header.pop(k) for k in list(header) if "layer0" in k}
            d["graph"] = [[], [0], [1] * reads, *([i] * 2 + [1] * reads for i in range(2, 9))]
            d["metadata"] = {"x": [[]] * 60_000}
        elif kind == "widths that double":
            d["layers"] = [{"name": "Input", "n_inputs": 2}, d["layers"][0], *[{"name": "Concatenate"}] * 2000]
            header |= {k.replace("layer0", "layer1"): header.pop(k) for k in list(header) if "layer0" in k}
            d["graph"] = [[], [0], *([i, i] for i in range(1, 2001))]
        elif kind == "nests":
            inner: dict[str, Any] = {"name": "relu"}
            for _ in range(31):
                inner = {"name": "Residual", "layers": [inner, inner], "projection": False}
                if len(json.dumps(inner)) > 150_000:
                    break
            d["layers"] += [inner]
        elif kind == "a full nest":
            relu = {"name": "relu"}
            d["layers"] += [{"name": "Residual", "layers": [relu] * 4093, "projection": False}]
            d["metadata"] = {"x": [[]] * 60_000}
        elif kind == "texts as moments":
            d["layers"] += [{"name": "Normalization", "mean": ["a"] * 5000 + ["a" * 100_000], "variance": 1.0}]
        elif kind == "many moments":
            d["layers"] += [{"name": "Normalization", "mean": [0.1] * 150_000, "variance": [0.2] * 150_000}]
        elif kind == "metrics":
            d["metrics"] = [{"name": "f1", "column": f"a{i}"} for i in range(20_000)]

    blob = changed(model.to_bytes(), change)
    if kind.endswith("arrays of state"):
        header, d, data = take_apart(blob)
        blob = put_together(header, d, data.ljust(max(e["data_offsets"][1] for e in list(header.values())[1:]), b"\0"))
    if kind == "depth":
        header, d, data = take_apart(blob)
        blob = put_together(header, None, data, json.dumps(d).replace('"DEEP"', "[" * 1_000_000 + "]" * 1_000_000))
    return blob


@needs_proc
@pytest.mark.parametrize(
    "kind",
    [
        "a huge layer", "a huge tensor", "millions of layers", "all the layers there may be", "a long history",
        "lists of nothing", "dicts of nothing", "keys", "depth", "tensors of nothing", "states", "wide text",
        "wider text", "endless sources", "all the sources there may be", "widths that double", "nests", "a full nest",
        "texts as moments", "many moments", "metrics", "arrays of state", "more arrays of state",
    ],
)  # fmt: skip
def test_a_small_file_that_claims_much_takes_little(kind: str, tmp_path: Path) -> None:
    (tmp_path / "m.fnn").write_bytes(hostile(kind))
    beyond, what = peak(tmp_path / "m.fnn")
    report(kind, tmp_path / "m.fnn", beyond, what)
    assert beyond < ALLOWED
    loads = (
        "all the layers there may be",
        "wide text",
        "all the sources there may be",
        "a full nest",
        "arrays of state",
    )
    assert (what == "loaded") == (kind in loads)


@needs_proc
def test_deep_models_and_long_histories_take_little(tmp_path: Path) -> None:
    deep = Model([Dense(2, 1), *(Dense(1) for _ in range(2500))], seed=1)
    deep.set(loss="mse", optimizer="adam")
    deep.train(np.zeros((4, 2)), np.zeros((4, 1)))
    deep.save(tmp_path / "deep.fnn")
    long = Model([Dense(1, 1)], seed=1)
    long.set(loss="mse", optimizer="sgd")
    long.train(np.zeros((2, 1)), np.zeros((2, 1)), epochs=1_000_000)
    long.save(tmp_path / "long.fnn")
    for name in ("deep", "long"):
        beyond, what = peak(tmp_path / f"{name}.fnn")
        report(name, tmp_path / f"{name}.fnn", beyond, what)
        assert what == "loaded"
        assert beyond < ALLOWED


@needs_proc
def test_the_measure_sees_memory(tmp_path: Path) -> None:
    """Negative control: a load that keeps a second copy would be seen."""
    (tmp_path / "m.fnn").write_bytes(trained().to_bytes())
    taken = python(PEAK.replace("try: Model.load", "waste = np.ones(3_000_000)\ntry: Model.load"), tmp_path / "m.fnn")
    assert int(taken.split()[0]) > ALLOWED


AUDIT = """
import sys
import difflib, hashlib, json
from pathlib import Path
from fastnn import FormatError, Model
try: Model.from_bytes(b"not a model")  # what is imported at the first use, now
except FormatError: pass
paths = [str(path) for path in sorted(Path(sys.argv[1]).iterdir())]
for path in paths:
    if "/good-" not in path: continue
    try: Model.load(path)
    except FormatError: pass
seen = []
sys.addaudithook(lambda event, arguments: seen.append((event, arguments)))
for path in paths:
    del seen[:]
    try: Model.load(path)
    except FormatError: pass
    events = list(seen)
    opened = [str(arguments[0]) for event, arguments in events if event == "open"]
    bad = [f"{event} {arguments!r:.80}" for event, arguments in events
           if event in ("exec", "compile", "import", "marshal.loads", "pickle.find_class", "os.system",
                        "subprocess.Popen", "socket.connect", "ctypes.dlopen", "os.listdir")]
    print(opened == [path] and not bad, path, opened, bad)
"""
STORED = sorted((Path(__file__).parent / "files" / "v1").glob("*.fnn"))
MUTANTS = 400


def watched(folder: Path, audit: str = AUDIT) -> list[str]:
    """What the watcher saw in each file of the folder that it should not have, one after the other in one process."""
    lines = python(audit, folder).split("\n")
    assert len(lines) == len(list(folder.iterdir()))
    return [line for line in lines if not line.startswith("True ")]


def test_loading_opens_one_path_once_and_runs_nothing(tmp_path: Path) -> None:
    """Of every stored file and a model of our own, of changes that go wrong at different depths, and of mutants."""
    good = trained().to_bytes()
    (tmp_path / "good-own.fnn").write_bytes(good)
    for file in STORED:
        (tmp_path / f"good-{file.name}").write_bytes(file.read_bytes())
    for i, (_, change, _) in enumerate(DESCRIPTIONS):
        with contextlib.suppress(KeyError, IndexError, TypeError):  # that model has no such place
            (tmp_path / f"change-{i}.fnn").write_bytes(changed(good, change))
    blobs, rng = [file.read_bytes() for file in STORED], random.Random(5)
    for i in range(MUTANTS):
        (tmp_path / f"mutant-{i}.fnn").write_bytes(mutant(blobs[i % len(blobs)], rng))
    assert len(list(tmp_path.iterdir())) > MUTANTS + 60 + 25
    assert watched(tmp_path) == []


@pytest.mark.parametrize("more", ["open(path).close()", "import colorsys", "eval('1')", "__import__('os').listdir()"])
def test_the_watcher_sees_what_loading_must_not_do(more: str, tmp_path: Path) -> None:
    """Negative control: beside the loading of one file."""
    for name in ("good-a", "good-b", "mutant-c"):
        (tmp_path / name).write_bytes(trained().to_bytes())
    assert watched(tmp_path) == []
    one = f"try:\n        if 'mutant-c' in path: {more}\n        Model.load(path)"
    seen = watched(tmp_path, one.join(AUDIT.rsplit("try: Model.load(path)", 1)))
    assert [Path(line.split()[1]).name for line in seen] == ["mutant-c"]
