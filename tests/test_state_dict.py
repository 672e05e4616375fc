"""Parameters by name, and classes by theirs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare import assert_same_bits
from safetensors.numpy import save_file
from small import X, Y, bits, classifier, trained

from fastnn import Dense, Dropout, FormatError, Model

# --- parameters alone ---


def test_weights_by_name(tmp_path: Path) -> None:
    model, other = trained(), trained(seed=8)
    state = model.state_dict()
    assert list(state) == ["layer0.weights", "layer0.biases", "layer2.weights", "layer2.biases"]
    report = other.load_state_dict(state)
    assert report
    assert str(report) == "4 tensors loaded"
    assert bits(other) == bits(model)
    state["layer0.weights"][...] = 0  # a copy
    assert bits(other) == bits(model)
    for save in (model.save, model.save_weights):
        save(tmp_path / "w.fnn")
        other = trained(seed=8)
        steps = other.steps_done
        assert other.load_weights(tmp_path / "w.fnn").loaded == tuple(state)
        assert bits(other) == bits(model)
        assert other.steps_done == steps  # its own
    with pytest.raises(FormatError, match=r"of kind 'weights' \(read it with load_weights\)"):
        model.save_weights(tmp_path / "w.fnn") or Model.load(tmp_path / "w.fnn")


def test_what_does_not_match_is_reported(tmp_path: Path) -> None:
    model = trained()
    model.save(tmp_path / "m.fnn")
    wider = Model([Dense(16, activation="relu"), Dropout(0.1), Dense(5), Dense(2)], seed=3)
    wider.finalize(4)
    before = bits(wider)
    text = (
        r"do not match the model, nothing was loaded: 2 tensors loaded; missing: layer3\.weights, layer3\.biases; "
        r"of another shape: layer2\.weights is \(16, 5\), given \(16, 3\), layer2\.biases is \(1, 5\), given \(1, 3\); "
        r"strict=False takes"
    )
    with pytest.raises(ValueError, match=text):
        wider.load_weights(tmp_path / "m.fnn")
    assert bits(wider) == before
    report = wider.load_weights(tmp_path / "m.fnn", strict=False)
    assert not report
    assert report.loaded == ("layer0.weights", "layer0.biases")
    assert report.missing == ("layer3.weights", "layer3.biases")
    assert report.mismatched == {"layer2.weights": ((16, 5), (16, 3)), "layer2.biases": ((1, 5), (1, 3))}
    assert_same_bits(wider.layers[0].weights, model.layers[0].weights)  # type: ignore[attr-defined]
    report = wider.load_state_dict({"layer0.biases": np.ones(16), "x": [1]}, strict=False)
    assert report.unexpected == ("x",)
    assert (wider.layers[0].biases == 1).all()  # type: ignore[attr-defined]


def test_weights_from_elsewhere(tmp_path: Path) -> None:
    """As PyTorch writes them: (outputs, inputs), other names, other types."""
    model = classifier(seed=4)
    model.finalize(4)
    rng = np.random.default_rng(1)
    w1, b1, w2, b2 = (rng.standard_normal(s).astype(np.float32) for s in ((16, 4), (16,), (3, 16), (3,)))
    torch_names = {"0": "layer0", "3": "layer2"}

    def names(name: str) -> str | None:
        place, _, what = name.partition(".")
        return None if what == "num_batches" else f"{torch_names[place]}.{'weights' if what == 'weight' else 'biases'}"

    tensors = {"0.weight": w1.astype(np.float16), "0.bias": b1.astype(np.float64), "3.weight": w2, "3.bias": b2}
    save_file(tensors | {"0.num_batches": np.zeros(1)}, tmp_path / "torch.safetensors")
    assert model.load_weights(tmp_path / "torch.safetensors", names=names, transpose=True)
    assert_same_bits(model.layers[0].weights, w1.astype(np.float16).astype(np.float32).T)  # type: ignore[attr-defined]
    assert_same_bits(model.layers[2].biases, b2[None])  # type: ignore[attr-defined]
    given = {
        "0.weight": "layer0.weights",
        "0.bias": "layer0.biases",
        "3.weight": "layer2.weights",
        "3.bias": "layer2.biases",
    }
    assert model.load_state_dict(tensors, names=given, transpose=True)
    with pytest.raises(ValueError, match=r"layer0\.weights is \(4, 16\), given \(16, 4\)"):
        model.load_state_dict(tensors, names=given)
    with pytest.raises(ValueError, match=r"names: '0\.weight' and '0\.bias' both become 'a'"):
        model.load_state_dict(tensors, names=lambda name: "a")
    # bfloat16: the upper halves of float32
    upper = (w1.T.copy().view(np.uint32) >> 16).astype(np.uint16)
    text = json.dumps({"layer0.weights": {"dtype": "BF16", "shape": [4, 16], "data_offsets": [0, 128]}}).encode()
    (tmp_path / "b.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + upper.tobytes())
    model.load_weights(tmp_path / "b.safetensors", strict=False)
    assert_same_bits(model.layers[0].weights, (upper.astype(np.uint32) << 16).view(np.float32))  # type: ignore[attr-defined]


def test_weights_that_are_none(tmp_path: Path) -> None:
    model = trained()
    with pytest.raises(TypeError, match="state_dict: expected a dict of arrays by name, got list"):
        model.load_state_dict([1])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"state_dict: layer0\.weights: expected real numbers, got dtype"):
        model.load_state_dict({"layer0.weights": ["a"]})
    (tmp_path / "w").write_bytes(model.to_bytes()[:-4])
    with pytest.raises(FormatError, match="cut off"):
        model.load_weights(tmp_path / "w")
    with pytest.raises(ValueError, match="not finalized"):
        classifier().state_dict()


# --- classes by their names ---


def test_labels_are_kept_and_used(tmp_path: Path) -> None:
    model = trained()
    numbers = model.predict(X).argmax(axis=1)
    assert model.class_labels is None
    assert model.predict_labels(X).tolist() == numbers.tolist()
    model.class_labels = np.array(["ant", "bee", "cow"])
    model.save(tmp_path / "m.fnn")
    loaded = Model.load(tmp_path / "m.fnn")
    assert loaded.class_labels == ("ant", "bee", "cow")
    assert loaded.predict_labels(X).tolist() == [("ant", "bee", "cow")[k] for k in numbers]
    loaded.class_labels = [7, 8.5, "x"]
    assert Model.from_bytes(loaded.to_bytes()).predict_labels(X[:9]).tolist() == [(7, 8.5, "x")[k] for k in numbers[:9]]
    loaded.class_labels = None
    assert Model.from_bytes(loaded.to_bytes()).class_labels is None
    resumed = classifier()
    resumed.train(X, Y, epochs=3, resume=tmp_path / "m.fnn", batch_size=30)
    assert resumed.class_labels == ("ant", "bee", "cow")


def test_one_output_has_two_labels() -> None:
    model = Model([Dense(4, 1, activation="sigmoid")], seed=2)
    model.set(loss="binary_crossentropy")
    model.class_labels = (False, True)
    model.finalize()
    model.layers[0].weights = np.array([[1], [0], [0], [0]])
    assert model.predict_labels(X).tolist() == (X[:, 0] > 0).tolist()


@pytest.mark.parametrize(
    ("labels", "kind", "text"),
    [
        (["a", "b"], ValueError, "class_labels: expected 3 for 3 outputs, got 2"),
        (["a", "b", "a"], ValueError, "class_labels: 'a' is there twice"),
        ("abc", TypeError, "class_labels: expected a label for each class, got 'abc'"),
        ([1, 2, None], TypeError, "class_labels: expected texts or numbers, got None"),
        ([1, 2, float("nan")], TypeError, "class_labels: expected texts or numbers, got nan"),
        (["a"], ValueError, "class_labels: expected at least 2, got 1"),
    ],
)
def test_labels_that_are_none(labels: Any, kind: Any, text: str) -> None:
    model = trained()
    with pytest.raises(kind, match=text):
        model.class_labels = labels
    assert model.class_labels is None


def test_too_many_labels_are_found_when_the_outputs_are_known() -> None:
    model = classifier()
    model.class_labels = "a", "b", "c", "d"
    for call in (lambda: model.finalize(4), lambda: model.predict_labels(X)):
        with pytest.raises(ValueError, match="class_labels: expected 3 for 3 outputs, got 4"):
            call()


def test_the_models_own_views_in_another_order_are_swapped() -> None:
    def make() -> Model:
        model = Model([Dense(3, 4), Dense(4, 4), Dense(4, 4)], seed=1)
        model.finalize()
        return model

    want, by_layer, by_name = make().to_numpy(), make(), make()
    parameters = by_layer.get_parameters()
    parameters[1], parameters[2] = parameters[2], parameters[1]
    by_layer.set_parameters(parameters)
    a, b = by_name.layers[1], by_name.layers[2]
    by_name.load_state_dict({"layer1.weights": b.weights, "layer2.weights": a.weights}, strict=False)
    for model in (by_layer, by_name):
        got = model.to_numpy()
        assert np.array_equal(got["layer1.weights"], want["layer2.weights"])
        assert np.array_equal(got["layer2.weights"], want["layer1.weights"])


def test_masked_weights_are_refused() -> None:
    model = Model([Dense(2, 3)], seed=1)
    model.finalize()
    masked = np.ma.masked_array(np.ones((2, 3)), np.eye(2, 3))
    for put in (
        lambda: setattr(model.layers[0], "weights", masked),
        lambda: model.load_state_dict({"layer0.weights": masked}, strict=False),
        lambda: model.set_parameters([(masked, np.zeros((1, 3)))]),
    ):
        with pytest.raises(TypeError, match="weights: masked arrays are not supported"):
            put()
