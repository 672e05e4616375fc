"""Several models that answer as one, against NumPy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small import X, Y, classifier

from fastnn import Concatenate, Dense, Ensemble, FormatError, Input, Model, fit_many, metrics
from fastnn.losses import BinaryCrossentropy


def trained(count: int = 3, **options: Any) -> list[Model]:
    models = [classifier(seed=i, **options) for i in range(count)]
    for model in models:
        model.set(metrics=["f1", "auc"])
    fit_many(models, X, Y, epochs=4)
    return models


def yes_or_no(count: int = 3) -> list[Model]:
    models = [Model([Dense(6, activation="tanh"), Dense(1, activation="sigmoid")], seed=i) for i in range(count)]
    for model in models:
        model.set(loss="binary_crossentropy", optimizer="adam")
    fit_many(models, X, Y == 1, epochs=3)
    return models


def test_the_mean_of_the_predictions() -> None:
    models = trained()
    several = Ensemble(models)
    each = np.stack([m.predict(X) for m in models]).astype(np.float64)
    want = ((each[0] + each[1] + each[2]) / 3).astype(np.float32)
    assert several.predict(X).tobytes() == several(X).tobytes() == want.tobytes()
    assert several.predict(X, batch_size=7).tobytes() == want.tobytes()
    assert several.predictions(X).shape == (3, *want.shape)
    np.testing.assert_allclose(several.std(X), each.std(axis=0), rtol=1e-5, atol=1e-7)
    assert (len(several), several[1], list(several)) == (3, models[1], models)
    weighted = Ensemble(models, weights=[1, 0, 3])
    np.testing.assert_allclose(weighted.predict(X), (each[0] + 3 * each[2]) / 4, rtol=1e-6)
    mean = (each[0] + 3 * each[2]) / 4
    want = np.sqrt(((each[0] - mean) ** 2 + 3 * (each[2] - mean) ** 2) / 4)
    np.testing.assert_allclose(weighted.std(X), want, rtol=1e-5, atol=1e-7)


def test_votes() -> None:
    models = trained(5)
    votes = np.stack([np.eye(3)[m.predict(X).argmax(axis=1)] for m in models])
    several = Ensemble(models, method="vote")
    np.testing.assert_allclose(several.predict(X), votes.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(several.std(X), votes.std(axis=0), rtol=1e-6, atol=1e-7)
    assert several.evaluate(X, Y).accuracy == (votes.mean(axis=0).argmax(axis=1) == Y).mean()
    pair = yes_or_no()
    want = np.mean([m.predict(X) > 0.5 for m in pair], axis=0)
    np.testing.assert_allclose(Ensemble(pair, method="vote").predict(X), want, rtol=1e-6)


@pytest.mark.parametrize("loss", ["hinge", BinaryCrossentropy(from_logits=True)])
def test_a_yes_of_votes_is_more_than_half(loss: Any) -> None:
    models = [Model([Dense(4, 1)], seed=i) for i in range(5)]
    for model in models:
        model.set(loss=loss, optimizer="adam", metrics=["f1"])
    fit_many(models, X, Y == 1, epochs=2)
    shares = np.mean([m.predict(X) > 0 for m in models], axis=0)
    assert (shares[shares < 0.5] > 0).any()
    several = Ensemble(models, method="vote")
    got = several.evaluate(X, Y == 1)
    assert got.accuracy == ((shares[:, 0] > 0.5) == (Y == 1)).mean() == (several.predict_labels(X) == (Y == 1)).mean()
    assert got.metrics["f1"] == pytest.approx(metrics.f1_score(Y == 1, shares), rel=1e-12)
    assert models[0].loss_object.threshold == 0


def test_a_model_of_weight_0_does_not_count_at_all() -> None:
    models = trained()
    with np.errstate(all="ignore"):
        models[1].layers[-1].biases = np.full(3, np.inf)
    assert not np.isfinite(models[1].predict(X)).all()
    weighted, others = Ensemble(models, weights=[1, 0, 3]), Ensemble([models[0], models[2]], weights=[1, 3])
    assert weighted.predict(X).tobytes() == others.predict(X).tobytes()
    assert weighted.std(X).tobytes() == others.std(X).tobytes()


@pytest.mark.parametrize("scale", [1e308, 1e-310, 1e200])
def test_weights_far_out_count_by_their_shares(scale: float) -> None:
    models = [Model([Dense(4, 3)], seed=i) for i in range(3)]
    for model in models:
        model.finalize()
    far, near = (Ensemble(models, weights=[w, w, w / 2]) for w in (scale, 1.0))
    np.testing.assert_allclose(far.predict(X), near.predict(X), rtol=1e-6)
    np.testing.assert_allclose(far.std(X), near.std(X), rtol=1e-5)
    assert far.weights == [scale, scale, scale / 2]


def branches(first: int, second: int, name: str) -> Model:
    inputs = [Input(first, name="a"), Input(second, name=name)]
    model = Model(inputs=inputs, outputs=Dense(3)(Concatenate()(inputs)), seed=0)
    model.finalize()
    return model


def test_models_that_do_not_go_together_are_refused() -> None:
    for other, text in (
        (
            branches(3, 1, "b"),
            r"models\[1\]: expected 1 'a' \+ 3 'b' inputs and 3 outputs .*, got 3 'a' \+ 1 'b' and 3",
        ),
        (branches(1, 3, "c"), r"models\[1\]: expected 1 'a' \+ 3 'b' inputs .*, got 1 'a' \+ 3 'c' and 3"),
        (Model([Dense(4, 3)], seed=0), r"models\[1\]: expected 1 'a' \+ 3 'b' inputs .*, got 4 and 3"),
    ):
        other.finalize()
        with pytest.raises(ValueError, match=text):
            Ensemble([branches(1, 3, "b"), other])
    assert len(Ensemble([branches(1, 3, "b"), branches(1, 3, "b")])) == 2
    models = trained()
    models[1].class_labels, models[2].class_labels = ["ant", "bee", "cat"], ["ant", "cat", "bee"]
    assert len(Ensemble(models[:2])) == 2
    with pytest.raises(
        ValueError, match=r"models\[2\]: expected class_labels \('ant', 'bee', 'cat'\) as models\[1\] has"
    ):
        Ensemble(models)


def test_its_evaluation_is_that_of_its_predictions() -> None:
    several = Ensemble(trained())
    p = several.predict(X)
    got = several.evaluate(X, Y)
    assert got.loss == pytest.approx(-np.log(p[np.arange(90), Y]).mean(), rel=1e-6)
    assert got.accuracy == (p.argmax(axis=1) == Y).mean()
    assert got.metrics["f1"] == pytest.approx(metrics.f1_score(Y, p, average="macro"), rel=1e-12)
    assert got.metrics["auc"] == pytest.approx(metrics.roc_auc_score(Y, p), rel=1e-12)
    assert several.evaluate(X, Y, batch_size=11) == got
    w = np.arange(90) % 3
    weighted = several.evaluate(X, Y, sample_weight=w).loss
    assert weighted == pytest.approx((-np.log(p[np.arange(90), Y]) * w).mean(), rel=1e-6)


def test_one_model_is_itself_and_types_mix() -> None:
    model = trained(1)[0]
    assert np.array_equal(Ensemble([model]).predict(X), model.predict(X))
    mixed = Ensemble([model, trained(1, dtype="float64")[0]])
    assert mixed.predict(X).dtype == np.float64


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_holds_it(tmp_path: Path) -> None:
    several = Ensemble(trained(), method="vote", weights=[1, 2, 4])
    several.save(tmp_path / "ensemble")
    again = Ensemble.load(tmp_path / "ensemble")
    assert again.predict(X).tobytes() == several.predict(X).tobytes()
    assert (again.method, again.weights) == ("vote", [1.0, 2.0, 4.0])
    assert again.evaluate(X, Y) == several.evaluate(X, Y)
    assert again.evaluate(X, Y).metrics == several.evaluate(X, Y).metrics
    Ensemble(several.models[:2]).save(tmp_path / "ensemble")
    assert len(Ensemble.load(tmp_path / "ensemble")) == 2
    assert names(tmp_path / "ensemble") == ["ensemble.json", "model-000.fnn", "model-001.fnn"]


def test_a_smaller_ensemble_leaves_no_file_of_the_larger_and_every_other_file(tmp_path: Path) -> None:
    several = trained()
    Ensemble(several).save(tmp_path)
    mine = [tmp_path / name for name in ("notes.txt", "model-007.fnn")]  # not in the contents: the user's own
    for path in mine:
        path.write_text("mine")
    contents = json.loads((tmp_path / "ensemble.json").read_text())
    contents["models"].append("notes.txt")  # contents may say anything: only what save names so is removed
    (tmp_path / "ensemble.json").write_text(json.dumps(contents))
    Ensemble(several[:1]).save(tmp_path)
    assert names(tmp_path) == ["ensemble.json", "model-000.fnn", "model-007.fnn", "notes.txt"]
    (tmp_path / "ensemble.json").write_text("[")
    Ensemble(several[:1]).save(tmp_path)
    assert len(Ensemble.load(tmp_path)) == 1


@pytest.mark.parametrize(
    "contents",
    [b"[", b"{}", b'{"models": ["../x.fnn"], "method": "mean", "weights": null}', b'{"models": 3}', b"\xff\xfe",
     b'{"models": [], "method": "mean", "weights": null}'],
)  # fmt: skip
def test_damaged_contents_are_a_format_error(tmp_path: Path, contents: bytes) -> None:
    (tmp_path / "ensemble.json").write_bytes(contents)
    with pytest.raises(FormatError, match=r"ensemble\.json: "):
        Ensemble.load(tmp_path)


def test_contents_of_another_method_are_a_format_error(tmp_path: Path) -> None:
    Ensemble(trained(1)).save(tmp_path)
    contents = json.loads((tmp_path / "ensemble.json").read_text())
    (tmp_path / "ensemble.json").write_text(json.dumps({**contents, "method": "median"}))
    with pytest.raises(FormatError, match=r"do not make an ensemble .*method: expected 'mean' or 'vote'"):
        Ensemble.load(tmp_path)
    with pytest.raises(FileNotFoundError):
        Ensemble.load(tmp_path / "nowhere")


def test_what_is_refused() -> None:
    model = trained(1)[0]
    other = Model([Dense(4, 2)], seed=0)
    other.finalize()
    for given, options, error, text in (
        ([], {}, ValueError, "models: expected at least one"),
        ([model, 3], {}, TypeError, r"models\[1\]: expected a Model, got int"),
        ([classifier()], {}, ValueError, r"models\[0\]: the model is not finalized"),
        ([model, other], {}, ValueError, r"models\[1\]: expected 4 inputs and 3 outputs as the first has, got 4 and 2"),
        ([model], {"method": "median"}, ValueError, "method: expected 'mean' or 'vote', got 'median'"),
        ([model], {"weights": [1, 2]}, ValueError, "weights: expected 1 numbers, one for each model"),
        ([model], {"weights": [-1]}, ValueError, "weights: expected finite numbers of at least 0"),
    ):
        with pytest.raises(error, match=text):
            Ensemble(given, **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no loss is set"):
        Ensemble([other]).evaluate(X, Y)
