"""Files of every released format version load, predict as they did, and train on to the bits they did."""

from __future__ import annotations

import json
from typing import Any

import pytest
from contract_models import numbers
from make_files import CASES, EXPECTED, FOLDER, OTHERS, digest, go_on, make, nnfs_digest, nnfs_model
from small import classifier

from fastnn import Model, nnfs

WANTED: dict[str, Any] = json.loads(EXPECTED.read_text())


@pytest.mark.parametrize("name", CASES)
def test_a_file_loads_and_trains_on(name: str, contract_isa: str) -> None:
    path = FOLDER / f"{name}.fnn"
    assert digest(name, Model.load(path)) == WANTED[name]["loaded"]
    assert digest(name, go_on(name, path)) == WANTED[name]["after"]
    assert Model.load(path).metadata == {"name": name, "text": "größer \U0001f600", "values": [1, 2.5, None, True]}


@pytest.mark.parametrize("name", CASES)
def test_it_is_what_an_unbroken_training_gives(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hashes are not only stable but right: straight on, without a file, comes out the same."""
    case = CASES[name]
    if case.break_at is None:
        model = make(name)
        if case.callbacks():
            return
        X, y = case.data()
        held = {"validation_data": (X[:9], y[:9])} if case.held else {}
        model.train(X, y, epochs=case.after - case.before, **case.options, **held)
    else:
        monkeypatch.setattr(case, "break_at", None)
        model = make(name)
    assert digest(name, model) == WANTED[name]["after"]


def test_every_file_is_looked_at() -> None:
    assert {p.stem for p in FOLDER.glob("*.fnn")} == {*CASES, *OTHERS}
    assert sum(p.stat().st_size for p in FOLDER.iterdir()) < 400_000


def test_labels_and_places() -> None:
    assert Model.load(FOLDER / "classifier.fnn").class_labels == ("ant", 2, "größer")
    within = Model.load(FOLDER / "within-an-epoch.fnn")
    assert within.position is not None
    assert [s["name"] for s in within.callback_states] == ["EarlyStopping", "ReduceLROnPlateau", "Break"]


def test_weights_and_the_books_files() -> None:
    model = Model.load(FOLDER / "classifier.fnn")
    before = digest("classifier", model)
    model.plan.params[...] = 0
    model.load_weights(FOLDER / "weights.fnn")
    assert digest("classifier", model) == before
    X = numbers(7, 2, 9)
    assert nnfs_digest(nnfs.Model.load(FOLDER / "nnfs-model.fnn").predict(X)) == WANTED["nnfs"]
    other = nnfs_model()
    other.load_parameters(FOLDER / "nnfs-parameters.fnn")
    assert nnfs_digest(other.predict(X)) == WANTED["nnfs"]


def test_the_digest_sees_a_bit() -> None:
    model = Model.load(FOLDER / "classifier.fnn")
    before = digest("classifier", model)
    model.plan.params[0] += 1e-6
    assert digest("classifier", model) != before
    assert classifier().seed == 1
