"""Whatever is done to a file, loading it gives a model or a FormatError: no crash, no other exception, no memory."""

from __future__ import annotations

import contextlib
import json
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bad_files import DESCRIPTIONS, GRAPHS, TEXTS
from file_mutants import changed, mutant, sign, take_apart, try_out
from small import X, Y, classifier

from fastnn import Dense, Dropout, FormatError, LeakyReLU, Model, Rescale
from fastnn import callbacks as cb
from fastnn.optimizers import SGD, Adam
from fastnn.schedules import CosineDecay

FILES = Path(__file__).parent / "files" / "v1"


def whole() -> bytes:
    """A model with something in every place: callbacks with arrays, a place within an epoch, labels, validation."""

    class Stop(cb.Callback):
        def on_batch_end(self, batch: int, logs: Any) -> None:
            if self.model.steps_done == 20:
                raise KeyboardInterrupt

    model = Model(
        [Rescale(0.5), Dense(6, activation=LeakyReLU(0.2)), Dropout(0.2), Dense(3, activation="softmax")], seed=5
    )
    model.set(loss="categorical_crossentropy", optimizer=Adam(CosineDecay(0.01, 100), clip_norm=1.0))
    model.metadata, model.class_labels = {"a": ["b", 1.5]}, ("x", "y", 3)
    with pytest.raises(KeyboardInterrupt):
        model.train(
            X, Y, batch_size=16, epochs=9, shuffle=True, validation_data=(X, Y),
            callbacks=[cb.EarlyStopping(patience=50, restore_best=True), Stop()],
        )  # fmt: skip
    return model.to_bytes()


def plain() -> bytes:
    model = Model([Dense(4, 2, weight_regularizer_l2=0.1), Dense(1)], seed=1, dtype="float64")
    model.set(loss="mse", optimizer=SGD(0.01, momentum=0.5))
    model.train(X, X[:, :1], epochs=2)
    return model.to_bytes()


def mutants_behave(count: int, seed: int) -> Counter[str]:
    """Try so many; returns how many of them came how far."""
    rng, came = random.Random(seed), Counter[str]()
    files = [whole(), plain(), *(p.read_bytes() for p in sorted(FILES.glob("*.fnn")))]
    for number in range(count):
        blob = mutant(rng.choice(files), rng)
        try:
            came[try_out(blob)] += 1
        except BaseException as error:
            error.add_note(f"mutant {number} of seed {seed}")
            (Path.cwd() / "mutant.fnn").write_bytes(blob)
            raise
    return came


def test_mutants_give_a_model_or_a_format_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    came = mutants_behave(4000, 1)
    assert 100 < 4000 - came["refused"] < 3000  # some are harmless, else little is tried
    assert came["loaded"] < came["trained"] / 10


@pytest.mark.parametrize("file", sorted(FILES.glob("*.fnn")), ids=lambda file: file.stem)
def test_each_file_is_put_to_work(file: Path) -> None:
    """Of whatever width: else its mutants would be loaded and dropped."""
    of_others = ("nnfs-model", "nnfs-parameters", "weights")
    assert try_out(file.read_bytes()) == ("refused" if file.stem in of_others else "trained")


@pytest.mark.parametrize(
    ("error", "meant"),
    [
        (TypeError("'NoneType' object is not subscriptable"), False),
        (ValueError("operands could not be broadcast together with shapes (12,3) (12,4)"), False),
        (ValueError("matmul: Input operand 1 has a mismatch in its core dimension 0"), False),
        (KeyError("loss: "), False),
        (ValueError("y: expected shape (12, 3), got (12,)"), True),
        (ValueError("no loss is set: call model.set(loss=..., optimizer=...)"), True),
    ],
)
def test_only_errors_in_our_own_words_are_taken(error: Exception, meant: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def train(*args: Any, **options: Any) -> None:
        raise error

    blob = plain()
    monkeypatch.setattr(Model, "train", train)
    with contextlib.nullcontext() if meant else pytest.raises(type(error)):
        assert try_out(blob) == "loaded"


@pytest.mark.slow  # some five minutes in all
@pytest.mark.parametrize("seed", range(100, 150))
def test_a_million_mutants(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mutants_behave(20_000, seed)


def test_every_flipped_byte_is_found() -> None:
    """Each byte of a file with each of its bits flipped, and some more."""
    blob = plain()
    assert Model.from_bytes(blob).epochs_done == 2
    for place in range(len(blob)):
        for change in (1, 2, 4, 8, 16, 32, 64, 128, 0xFF):
            bad = bytearray(blob)
            bad[place] ^= change
            with pytest.raises(FormatError):
                Model.from_bytes(bad)


def test_weights_are_as_well_guarded(tmp_path: Path) -> None:
    model, path = classifier(), tmp_path / "w.fnn"
    model.finalize(4)
    model.save_weights(path)
    blob = path.read_bytes()
    for place in range(len(blob)):
        bad = bytearray(blob)
        bad[place] ^= 0x20
        path.write_bytes(bad)
        with pytest.raises(FormatError):
            model.load_weights(path)


def test_the_signing_of_these_tests_is_that_of_the_package() -> None:
    blob = whole()
    assert sign(blob) == blob
    assert changed(blob, lambda header, d: None) != b""
    assert Model.from_bytes(changed(blob, lambda header, d: d.update(seed=77))).seed == 77


# --- each by hand ---


@pytest.mark.parametrize(("change", "text"), [row[1:] for row in DESCRIPTIONS], ids=[row[0] for row in DESCRIPTIONS])
def test_errors_say_what_and_where(change: Any, text: str) -> None:
    blob = changed(whole(), change)
    with pytest.raises(FormatError, match=text) as info:
        Model.from_bytes(blob)
    assert str(info.value).startswith("the bytes: ")


@pytest.mark.parametrize(("change", "text"), [row[1:] for row in GRAPHS], ids=[row[0] for row in GRAPHS])
def test_errors_of_graphs_norms_and_metrics(change: Any, text: str) -> None:
    with pytest.raises(FormatError, match=text):
        Model.from_bytes(changed((FILES / "graph.fnn").read_bytes(), change))


@pytest.mark.parametrize(("change", "text"), [row[1:] for row in TEXTS], ids=[row[0] for row in TEXTS])
def test_errors_of_the_container(change: Any, text: str) -> None:
    blob = whole()
    assert change(blob) != blob
    with pytest.raises(FormatError, match=text):
        Model.from_bytes(change(blob))


def test_a_file_may_be_spelt_otherwise() -> None:
    """Space in the header, and tensors in any order: what other writers may do."""
    blob = whole()
    header, _, data = take_apart(blob)
    meta = header.pop("__metadata__")
    table = json.dumps(dict(reversed(header.items())), indent=3).replace("\n", "\r\n\t")
    text = '{"__metadata__":' + json.dumps(meta, separators=(" , ", ":")) + " , " + table[1:] + "   "
    spaced = sign(len(text).to_bytes(8, "little") + text.encode() + data)
    assert Model.from_bytes(spaced).to_bytes() == blob


def test_the_comparison_of_bytes_is_of_the_file(tmp_path: Path) -> None:
    """Negative control of the mutants: without a change they load, and as the same model."""
    blob = whole()
    assert try_out(blob) == "trained"
    assert Model.from_bytes(blob).to_bytes() == blob
    assert sys.getsizeof(blob) < 20_000
    assert np.isfinite(Model.from_bytes(blob).plan.params).all()
