"""Monte-Carlo dropout: the masks are those of an independent reading of docs/numerics.md, and nothing else decides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from norm_formulas import halves

from fastnn import AlphaDropout, BatchNorm, Dense, Dropout, GaussianNoise, Model, custom
from fastnn.kernels.arrays import dropout_forward

STREAM = 8192
FIRST = 1 << 63


def net(rate: float = 0.3, dtype: str = "float32", **more: Any) -> Model:
    model = Model([Dense(4, 12, activation="relu"), Dropout(rate), Dense(2)], seed=5, dtype=dtype, **more)
    model.finalize()
    return model


def masks(rate: float, rows: int, width: int, seed: int, sample: int) -> Any:
    """The whole mask of a sample at once."""
    kept = halves(rows * width, seed, STREAM + 1, FIRST + sample) >= round(rate * 65536)
    return (kept / (1 - rate)).reshape(rows, width)


def test_each_sample_is_the_network_with_its_mask(rng: np.random.Generator) -> None:
    X = rng.standard_normal((37, 4))
    model = net(dtype="float64")
    S = model.predict_samples(X, 6, seed=11)
    assert S.shape == (6, 37, 2)
    first, last = model.layers[0], model.layers[2]
    hidden = np.maximum(X @ first.weights + first.biases, 0)  # type: ignore[attr-defined]
    for s in range(6):
        want = hidden * masks(0.3, 37, 12, 11, s) @ last.weights + last.biases  # type: ignore[attr-defined]
        np.testing.assert_allclose(S[s], want, rtol=1e-12, atol=1e-14)
    assert len({sample.tobytes() for sample in S}) == 6


def test_bits_by_seed_alone(contract_isa: str, rng: np.random.Generator) -> None:
    X = rng.standard_normal((133, 4)).astype(np.float32)
    model = net()
    S = model.predict_samples(X, 5, seed=3)
    for batch in (1, 7, 64, 500):
        assert model.predict_samples(X, 5, seed=3, batch_size=batch).tobytes() == S.tobytes()
    assert model.predict_samples(X, 2, seed=3).tobytes() == S[:2].tobytes()
    assert model.predict_samples(X[:50], 5, seed=3).tobytes() == S[:, :50].tobytes()
    assert model.predict_samples(X, 5, seed=4).tobytes() != S.tobytes()
    assert model.predict_samples(X, 5).tobytes() == model.predict_samples(X, 5, seed=5).tobytes()  # the model's


def test_the_mean_comes_to_the_prediction_and_the_spread_to_the_formula(rng: np.random.Generator) -> None:
    """Behind the dropout the network is linear: E = prediction, Var = sum (h w)^2 rate / (1 - rate)."""
    X = rng.standard_normal((20, 4))
    model = net(0.25, "float64")
    S = model.predict_samples(X, 4000)
    first, last = model.layers[0], model.layers[2]
    hidden = np.maximum(X @ first.weights + first.biases, 0)  # type: ignore[attr-defined]
    std = np.sqrt((hidden**2) @ (last.weights**2) * 0.25 / 0.75)  # type: ignore[attr-defined]
    assert np.abs(S.mean(axis=0) - model.predict(X)).max() < 5 * std.max() / np.sqrt(4000)
    np.testing.assert_allclose(S.std(axis=0), std, rtol=0.08, atol=1e-12)


def test_the_masks_are_none_of_trainings(rng: np.random.Generator) -> None:
    """A training's step t has number t; samples begin at 2^63."""
    ones = np.ones(4096, np.float32)
    drawn = []
    for number in (1, 2, FIRST, FIRST + 1):
        mask = np.empty_like(ones)
        dropout_forward(np.empty_like(ones), mask, ones, 0.5, 9, STREAM + 1, number)
        drawn.append(mask.tobytes())
    assert len(set(drawn)) == 4


def test_several_dropouts_and_one_at_the_very_beginning(rng: np.random.Generator) -> None:
    X = rng.standard_normal((70, 6)).astype(np.float32)
    layers = [Dropout(0.2), Dense(16, activation="tanh"), Dropout(0.5), Dense(8, activation="gelu"), Dropout(0.1)]
    model = Model([*layers, Dense(3, activation="softmax")], seed=1)
    S = model.predict_samples(X, 4)
    for batch in (3, 64):
        assert model.predict_samples(X, 4, batch_size=batch).tobytes() == S.tobytes()
    np.testing.assert_allclose(S.sum(axis=2), 1, rtol=1e-5)


def test_a_part_in_python_is_told_that_it_is_as_in_training(rng: np.random.Generator) -> None:
    class Note(custom.Layer):
        def forward(self, x: Any) -> Any:
            seen.append(self.training)
            return x

        def backward(self, dy: Any) -> Any:
            return dy

    seen: list[bool] = []
    model = Model([Dense(4, 3), Note(), Dense(2)], seed=1)
    X = rng.standard_normal((5, 4))
    S = model.predict_samples(X, 3)
    assert seen == [True] * 3
    assert np.array_equal(S[0], model.predict(X))
    assert seen[-1] is False


def test_what_is_refused() -> None:
    X = np.zeros((3, 4))
    with pytest.raises(ValueError, match="no Dropout and no noise: all samples would be the same; use predict"):
        Model([Dense(4, 2)]).predict_samples(X)
    with pytest.raises(ValueError, match="samples: expected at least 1, got 0"):
        net().predict_samples(X, 0)
    with pytest.raises(ValueError, match="seed: expected at least 0"):
        net().predict_samples(X, seed=-1)
    with pytest.raises(TypeError, match=r"samples: expected a whole number, got 2\.5"):
        net().predict_samples(X, 2.5)  # type: ignore[arg-type]
    with pytest.raises(MemoryError, match="a result of shape"):
        net().predict_samples(X, 2**50)


def test_noise_is_drawn_and_normalizations_go_by_their_moving_averages(rng: np.random.Generator) -> None:
    X = rng.standard_normal((40, 4)).astype(np.float32)
    model = Model([Dense(4, 6), BatchNorm(), GaussianNoise(1e-30), Dense(2)], seed=1)
    model.set(loss="mean_squared_error", optimizer="adam")
    model.train(X, X[:, :2], epochs=3, batch_size=10)
    S = model.predict_samples(X, 3)
    np.testing.assert_allclose(S, np.broadcast_to(model.predict(X), S.shape), rtol=1e-6, atol=1e-7)
    noisy = Model([GaussianNoise(0.5)], seed=1)
    noisy.finalize(4)
    spread = noisy.predict_samples(X, 3000).std(axis=0)
    np.testing.assert_allclose(spread, 0.5, rtol=0.1)
    dropped = Model([Dense(4, 3, activation="selu"), AlphaDropout(0.2), Dense(1)], seed=2)
    dropped.finalize()
    assert len({sample.tobytes() for sample in dropped.predict_samples(X, 5)}) == 5
