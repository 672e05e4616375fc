"""Files of models: what they hold, how they come into place, and what reading one may cost."""

from __future__ import annotations

import contextlib
import copy
import errno
import io
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare import assert_same_bits
from safetensors.numpy import load_file, save_file
from small import X, Y, bits, classifier, python, trained

import fastnn
from fastnn import Dense, Dropout, FormatError, Input, Model, checkpoint
from fastnn.checkpoint import DIGITS

POSIX = pytest.mark.skipif(os.name == "nt", reason="of POSIX")


# --- the format ---


def test_the_library_reads_ours_and_the_other_way_round(tmp_path: Path) -> None:
    model = trained()
    model.save(tmp_path / "m.fnn")
    theirs = load_file(tmp_path / "m.fnn")
    assert theirs["layer0.weights"].shape == (4, 16)
    for name, value in model.state_dict().items():
        assert_same_bits(theirs[name], value)
    save_file({"layer0.weights": np.full((4, 16), 2.5), "x": np.arange(3)}, tmp_path / "other.safetensors")
    with checkpoint.opened(tmp_path / "other.safetensors", foreign=True) as contents:
        assert not contents.signed
        assert contents.read("x").tolist() == [0, 1, 2]
        assert (contents.read("layer0.weights") == 2.5).all()
    with pytest.raises(FormatError, match=r"other\.safetensors: a safetensors file without a fastnn entry"):
        Model.load(tmp_path / "other.safetensors")


def test_a_file_that_another_program_wrote_again_is_refused_but_its_weights_are_not(tmp_path: Path) -> None:
    model, other = trained(), classifier(seed=9)
    model.save(tmp_path / "m.fnn")
    save_file(load_file(tmp_path / "m.fnn"), tmp_path / "bare.fnn")
    other.finalize(4)
    other.load_weights(tmp_path / "bare.fnn", strict=False)
    assert bits(other) == bits(model)
    header = {"fastnn": json.dumps({"format": 1}), "sha256": "0" * 64}
    save_file(load_file(tmp_path / "m.fnn"), tmp_path / "again.fnn", metadata=header)
    with pytest.raises(FormatError, match="SHA-256"):
        Model.load(tmp_path / "again.fnn")


def test_the_digest_is_what_the_page_says() -> None:
    import hashlib

    blob = bytearray(trained().to_bytes())
    digits = bytes(blob[35:99]).decode()
    blob[35:99] = b"0" * 64
    assert hashlib.sha256(blob).hexdigest() == digits
    assert slice(35, 99) == DIGITS


def test_equal_models_give_equal_bytes_and_no_tensor_is_out_of_line() -> None:
    assert trained().to_bytes() == trained().to_bytes()
    blob = trained(dtype="float32").to_bytes()
    length = int.from_bytes(blob[:8], "little")
    assert length % 8 == 0
    header = json.loads(blob[8 : 8 + length])
    for name, entry in header.items():
        if name != "__metadata__":
            size = {"F64": 8, "F32": 4, "BOOL": 1}[entry["dtype"]]
            assert entry["data_offsets"][0] % size == 0


def test_the_history_comes_back_as_it_was(tmp_path: Path) -> None:
    model = classifier()
    model.train(X, Y, epochs=2)
    model.train(X, Y, epochs=2, validation_data=(X, Y))
    model.history.enter("of my own", float("nan"))
    model.history.enter("loss", float("inf"))
    model.save(tmp_path / "m.fnn")
    loaded = Model.load(tmp_path / "m.fnn")
    assert repr(loaded.history.state()) == repr(model.history.state())  # NaN is not equal to itself
    assert len(Model.load(tmp_path / "m.fnn").history) == 4
    assert loaded.history.val_loss[:2] == [None, None]
    assert loaded.history["of my own"][:3] == [None] * 3
    assert math_is_nan(loaded.history["of my own"][3])
    with pytest.raises(AttributeError, match=r"history has loss, .*, not 'nothing'"):
        loaded.history.nothing  # noqa: B018
    untrained = classifier()
    untrained.finalize(4)
    assert len(Model.from_bytes(untrained.to_bytes()).history) == 0


def math_is_nan(value: Any) -> bool:
    return bool(value != value)


def test_metadata_may_hold_numbers_that_are_none(tmp_path: Path) -> None:
    model = trained()
    model.metadata = {"a": [float("inf"), 1e-300, "\ud800", "\x00 grün \U0001f600"], "": {}}
    assert Model.from_bytes(model.to_bytes()).metadata == model.metadata
    model.metadata = {"x": ["name"] * 400_000}
    with pytest.raises(
        ValueError, match="could take more memory when it is loaded again than the file and 12 MB: keep"
    ):
        model.save(tmp_path / "m.fnn")
    model.metadata = {"x": "a" * 6_000_000}
    with pytest.raises(ValueError, match="could take more memory"):
        model.save(tmp_path / "m.fnn")
    assert list(tmp_path.iterdir()) == []
    for most in ({"x": ["name"] * 30_000}, {"x": "a" * 3_900_000}, {str(i): i for i in range(40_000)}):
        model.metadata = most
        assert Model.from_bytes(model.to_bytes()).metadata == most


def test_bytes_and_files_are_the_same(tmp_path: Path) -> None:
    model = trained()
    model.save(tmp_path / "m.fnn")
    blob = model.to_bytes()
    assert (tmp_path / "m.fnn").read_bytes() == blob
    for kind in (bytes, bytearray, memoryview):
        assert bits(Model.from_bytes(kind(blob))) == bits(model)
    with pytest.raises(FormatError, match="the bytes: damaged"):
        Model.from_bytes(blob[:-1] + b"\xff")
    with pytest.raises(TypeError):
        Model.from_bytes("text")
    for call in (Model.load, model.save, model.load_weights):
        with pytest.raises(
            TypeError, match=r"path: expected a str or a Path, got BytesIO; for bytes there is (from|to)_bytes"
        ):
            call(io.BytesIO(blob))  # type: ignore[operator]
    with pytest.raises(ValueError, match="not finalized"):
        classifier().to_bytes()


@pytest.mark.parametrize("name", ["m", "m.fnn", "ein größeres Modell.fnn", "模型.fnn", "a b'c\"d.fnn", "." + "x" * 240])
def test_paths_of_any_kind(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = trained()
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path / name, str(tmp_path / name), name):
        model.save(path)
        assert bits(Model.load(path)) == bits(model)
    assert [p.name for p in tmp_path.iterdir()] == [name]


# --- into place ---


@POSIX
def test_a_link_is_followed_and_permissions_stay(tmp_path: Path) -> None:
    model = trained()
    (tmp_path / "there").mkdir()
    real, link = tmp_path / "there" / "real.fnn", tmp_path / "link.fnn"
    link.symlink_to(real)
    model.save(link)  # of a link to nothing yet
    assert link.is_symlink()
    assert bits(Model.load(real)) == bits(model)
    before = os.umask(0o027)
    try:
        model.save(tmp_path / "new.fnn")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new.fnn").stat().st_mode) == 0o640
    real.chmod(0o600)
    model.save(link)
    assert stat.S_IMODE(real.stat().st_mode) == 0o600
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["link.fnn", "new.fnn", "real.fnn", "there"]


@POSIX
def test_what_cannot_be_written_says_why_and_stays(tmp_path: Path) -> None:
    model = trained()
    with pytest.raises(FileNotFoundError, match=r"a file cannot be made in the folder: '.*none.m\.fnn'"):
        model.save(tmp_path / "none" / "m.fnn")
    with pytest.raises(IsADirectoryError, match=r"Is a directory: '.*'"):
        model.save(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match=r"not a regular file, so it cannot be replaced by one: '.*pipe'"):
        model.save(tmp_path / "pipe")
    with pytest.raises(FormatError, match=r"null: not a regular file"):
        Model.load("/dev/null")
    with pytest.raises(IsADirectoryError):
        Model.load(tmp_path)
    if os.geteuid() == 0:
        return  # who may write everywhere
    (tmp_path / "m.fnn").write_bytes(b"old")
    (tmp_path / "m.fnn").chmod(0o400)
    with pytest.raises(PermissionError, match=r"the file is read-only: '.*m\.fnn'"):
        model.save(tmp_path / "m.fnn")
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match=r"a file cannot be made in the folder: '.*x\.fnn'"):
        model.save(tmp_path / "x.fnn")
    tmp_path.chmod(0o700)
    assert (tmp_path / "m.fnn").read_bytes() == b"old"


@POSIX
def test_as_another_user_too(tmp_path: Path) -> None:
    """The last test's errors of permission, where the suite runs as root."""
    if os.geteuid() != 0:
        pytest.skip("not root: the test before has looked at it")
    code = """
import os, sys
from fastnn import Dense, Model
m = Model([Dense(2, 2)]); m.finalize()
m.save("warm.fnn")  # what is imported late may lie where the other user cannot read
os.setuid(65534)
for name in ("m.fnn", "folder/x.fnn"):
    try: m.save(name)
    except PermissionError as error: print(error)
"""
    (tmp_path / "folder").mkdir(mode=0o555)
    (tmp_path / "m.fnn").write_bytes(b"old")
    (tmp_path / "m.fnn").chmod(0o444)
    tmp_path.chmod(0o777)
    for folder in tmp_path.parents[:2]:
        folder.chmod(0o755)
    out = python(f"import os; os.chdir({str(tmp_path)!r})\n" + code)
    assert "the file is read-only: '" in out
    assert "Permission denied: a file cannot be made in the folder: '" in out
    assert (tmp_path / "m.fnn").read_bytes() == b"old"


@POSIX
def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    """A limit on the size of files stands for it: writing fails at a byte in the middle."""
    code = """
import resource, sys
from fastnn import Dense, Model
m = Model([Dense(200, 200)], seed=1); m.finalize()
m.save("m.fnn")
old = open("m.fnn", "rb").read()
m.layers[0].weights[...] = 0
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try: m.save("m.fnn")
except OSError as error: print(error.errno)
import os
print(open("m.fnn", "rb").read() == old, os.listdir("."))
"""
    out = python(f"import os; os.chdir({str(tmp_path)!r})\n" + code)
    assert out.split("\n") == [str(errno.EFBIG), "True ['m.fnn']"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failure_at_the_last_moment_leaves_the_old_file(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = trained()
    model.save(tmp_path / "m.fnn")
    old = (tmp_path / "m.fnn").read_bytes()
    model.train(X, Y)

    def fails(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fails)
        with pytest.raises(OSError, match="No space left"):
            model.save(tmp_path / "m.fnn")
    assert (tmp_path / "m.fnn").read_bytes() == old
    assert [p.name for p in tmp_path.iterdir()] == ["m.fnn"]


@POSIX
def test_what_a_killed_process_left_goes_and_what_is_being_written_stays(tmp_path: Path) -> None:
    import fcntl

    model, path = trained(), tmp_path / "m.fnn"
    left, written = tmp_path / f".m.fnn.{'0' * 16}.tmp", tmp_path / f".m.fnn.{'1' * 16}.tmp"
    others = [".m.fnn.tmp", f".n.fnn.{'0' * 16}.tmp", f".m.fnn.{'g' * 16}.tmp", f"m.fnn.{'0' * 16}.tmp"]
    for name in (left, written, *(tmp_path / other for other in others)):
        name.write_bytes(b"half a file")
    (tmp_path / f".m.fnn.{'2' * 16}.tmp").symlink_to(tmp_path / others[0])
    with open(written, "rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)  # as another process would hold it
        model.save(path)
    found = {p.name for p in tmp_path.iterdir()}
    assert found == {"m.fnn", written.name, f".m.fnn.{'2' * 16}.tmp", *others}
    model.save(path)
    assert not written.exists()


SAVES = """
import fcntl, os, sys, time
sys.path.insert(0, sys.argv[1])
from small import classifier
from fastnn import Model
me, path = int(sys.argv[2]), sys.argv[3]
model = classifier(seed=me)
model.finalize(4)
lock = fcntl.flock
os.fsync = lambda handle: time.sleep(0.001)  # the others run while a file is half made, on one processor too
fcntl.flock = lambda *how: (time.sleep(0.0005), lock(*how))
print("ready", flush=True)
sys.stdin.readline()
for turn in range(50):
    model.save(path)
    assert Model.load(path).seed in range(4)  # a whole one, whoever's
print("saved", flush=True)
"""


@POSIX
def test_several_processes_save_to_one_path(tmp_path: Path) -> None:
    path = tmp_path / "m.fnn"
    env = os.environ | {"PYTHONPATH": str(Path(fastnn.__file__).resolve().parents[1])}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": env}
    command = [sys.executable, "-c", SAVES, str(Path(__file__).parent)]
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(subprocess.Popen([*command, str(i), str(path)], **pipes)) for i in range(4)]
        assert [p.stdout.readline() for p in processes if p.stdout] == ["ready\n"] * 4
        for p in processes:
            assert p.stdin is not None
            p.stdin.write("go\n")
            p.stdin.flush()
        told = [p.communicate(timeout=300)[0] for p in processes]
    assert told == ["saved\n"] * 4
    assert [p.name for p in tmp_path.iterdir()] == ["m.fnn"]
    model = Model.load(path)
    whole = classifier(seed=model.seed)
    whole.finalize(4)
    assert bits(model) == bits(whole)


# --- elsewhere and later ---

ELSEWHERE = """
import sys
sys.path.insert(0, sys.argv[1])
from small import X, Y, classifier
from fastnn import Model, callbacks, active_isa
first, last, path = sys.argv[2], sys.argv[3], sys.argv[4]
model = classifier() if first == "0" else Model.load(path)
model.train(X, Y, epochs=int(last) - int(first), batch_size=8, shuffle=True)
model.save(path)
print(active_isa())
"""


def test_training_goes_on_with_the_same_bits_on_another_instruction_set(tmp_path: Path) -> None:
    here = Path(__file__).parent
    whole = classifier()
    whole.train(X, Y, epochs=9, batch_size=8, shuffle=True)
    isas = [isa for isa in fastnn.available_isas() if isa != "sse2"]
    turns = [isas[i % len(isas)] for i in range(3)]
    for i, isa in enumerate(turns):
        assert python(ELSEWHERE, here, 3 * i, 3 * i + 3, tmp_path / "m.fnn", FASTNN_ISA=isa) == isa
    done = Model.load(tmp_path / "m.fnn")
    assert bits(done) == bits(whole)
    assert done.history.state() == whole.history.state()


def test_a_model_without_parameters_has_a_file(tmp_path: Path) -> None:
    model = Model([Input(4), Dropout(0.5)], seed=1)
    model.finalize()
    model.save(tmp_path / "m.fnn")
    assert_same_bits(Model.load(tmp_path / "m.fnn").predict(X), X)
    assert model.state_dict() == {}


def test_precision_is_a_number_of_any_kind(tmp_path: Path) -> None:
    model = Model([Dense(1)], seed=0)
    model.set(loss="mse", optimizer="sgd")
    model.precision = np.float32(0.25)
    model.train(X, X[:, :1])
    model.save(tmp_path / "m.fnn")
    assert copy.deepcopy(model).precision == Model.load(tmp_path / "m.fnn").precision == 0.25
    for bad, error in ((-1, ValueError), (np.nan, ValueError), ("0.1", TypeError)):
        with pytest.raises(error, match="precision: expected"):
            model.precision = bad
