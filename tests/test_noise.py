"""Dropout, GaussianNoise, GaussianDropout and AlphaDropout: the streams they draw, their moments, and that predictions
go without."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from compare import Array, assert_near, assert_same_bits, assert_within
from norm_formulas import halves, normals

import fastnn
from fastnn import AlphaDropout, Dense, Dropout, GaussianDropout, GaussianNoise, Model, custom
from fastnn.engine import plan
from fastnn.kernels.arrays import dropout_forward
from fastnn.optimizers import SGD

SELU_LEFT = -1.0507009873554804934193349852946 * 1.6732632423543772848170429916717
LAYERS = {
    "noise": lambda: GaussianNoise(0.3),
    "gaussian dropout": lambda: GaussianDropout(0.2),
    "alpha dropout": lambda: AlphaDropout(0.3),
}


class Watch(custom.Layer):
    """Keeps what goes through it."""

    def forward(self, x: Array) -> Array:
        if self.training:
            self.seen.append(x.copy())
        return x

    def backward(self, dy: Array) -> Array:
        self.gradients.append(dy.copy())
        return dy


def through(layer: Any, X: Array, dtype: Any = "float64", steps: int = 1, seed: int = 77) -> list[Array]:
    """What the layer made of X in each of so many training steps, as layer 1."""
    watch = Watch()
    watch.seen, watch.gradients = [], []
    width = X.shape[1]
    unit = Dense(width, weight_initializer="zeros")
    model = Model([unit, layer, watch], seed=seed, dtype=dtype)
    model.set(loss="mse", optimizer=SGD(0.0))
    model.finalize(width)
    unit.weights = np.eye(width)
    for _ in range(steps):
        model.train_on_batch(X, X, check_finite=False)
    assert_same_bits(model.predict(X), X.astype(dtype), "predictions go without")
    return watch.seen


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (20, 13), (8, 64), (40, 33)], ids=str)
def test_noise_is_box_and_mullers_of_the_stream(shape: tuple[int, int], dtype: np.dtype[Any], isa: str) -> None:
    X = np.random.default_rng(1).standard_normal(shape).astype(dtype)
    first, second = through(GaussianNoise(0.5), X, dtype, steps=2)
    tolerance = 4e-6 if dtype == np.float32 else 2e-14
    for step, got in ((1, first), (2, second)):
        z = normals(X.size, 77, 8192 + 1, step, dtype).reshape(shape)
        assert_within(got, X + 0.5 * z, tolerance)
    assert not (first == second).any()
    scaled = through(GaussianDropout(0.2), X, dtype)[0]
    z = normals(X.size, 77, 8192 + 1, 1, dtype).reshape(shape)
    assert_within(scaled, X * (1 + math.sqrt(0.25) * z), tolerance * (1 + np.abs(X)))


@pytest.mark.parametrize("rate", [1e-5, 0.1, 0.5, 0.9, 0.999999])
@pytest.mark.parametrize("step", [1, 2, 2**32 + 5, 2**63 + 3])
def test_a_mask_is_the_streams_halves_below_the_rate(rate: float, step: int, isa: str, dtype: np.dtype[Any]) -> None:
    for n in (1, 63, 64, 65, 255, 256, 257, 700):
        x, mask, y = np.full(n, 3, dtype), np.empty(n, dtype), np.empty(n, dtype)
        dropout_forward(y, mask, x, rate, 77 << 40, 8192 + 3, step)
        dropped = halves(n, 77 << 40, 8192 + 3, step) < min(round(rate * 65536), 65535)
        assert_same_bits(mask, np.where(dropped, 0, 1 / (1 - rate)).astype(dtype))
        assert_same_bits(y, x * mask)


@pytest.mark.parametrize("beside", [-0.6, -0.4, 0.4, 0.6])
def test_a_rate_is_rounded_to_the_nearest(beside: float, isa: str, dtype: np.dtype[Any]) -> None:
    """A rate beside an element's own 16 bits: that element tells to which side it went."""
    half = halves(100, 77, 8192, 1)
    for e in (0, 17, 64, 99):
        x, mask = np.ones(100, dtype), np.empty(100, dtype)
        dropout_forward(np.empty_like(x), mask, x, (half[e] + beside) / 65536, 77, 8192, 1)
        np.testing.assert_array_equal(mask == 0, half < half[e] + (beside > 0.5) - (beside < -0.5))


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_in_training_has_a_mask_of_its_own_in_each_step(rate: float, dtype: np.dtype[Any], isa: str) -> None:
    X = np.random.default_rng(2).standard_normal((15, 21)).astype(dtype)
    seen = through(Dropout(rate), X, dtype, steps=2)
    for step, got in enumerate(seen, 1):
        dropped = (halves(X.size, 77, 8192 + 1, step) < round(rate * 65536)).reshape(X.shape)
        assert_same_bits(got, X * np.where(dropped, 0, 1 / (1 - rate)).astype(dtype))
        assert 0 < dropped.sum() < X.size


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_alpha_dropout_is_the_papers_formula(rate: float, dtype: np.dtype[Any], isa: str) -> None:
    X = np.random.default_rng(2).standard_normal((15, 21)).astype(dtype)
    got = through(AlphaDropout(rate), X, dtype)[0]
    keep = (halves(X.size, 77, 8192 + 1, 1) >= round(rate * 65536)).reshape(X.shape)
    q = 1 - rate
    a = (q + SELU_LEFT**2 * q * (1 - q)) ** -0.5
    b = -a * (1 - q) * SELU_LEFT
    assert_near(got, a * np.where(keep, X, SELU_LEFT) + b, 2e-7 if dtype == np.float32 else 1e-15)
    assert 0 < (~keep).sum() < X.size


def test_the_normal_numbers_are_normal(isa: str, dtype: np.dtype[Any]) -> None:
    z = through(GaussianNoise(1.0), np.zeros((500, 400)), dtype)[0].astype(np.float64).reshape(-1)
    n = z.size
    moments = [(z**k).mean() for k in (1, 2, 3, 4)]
    for got, want, deviation in zip(moments, (0, 1, 0, 3), (1, 2**0.5, 15**0.5, 96**0.5), strict=True):
        assert abs(got - want) < 4.5 * deviation / n**0.5
    z.sort()
    normal = 0.5 * (1 + np.vectorize(math.erf)(z / 2**0.5))
    kolmogorov = np.abs(normal - (np.arange(n) + 0.5) / n).max() * n**0.5
    assert kolmogorov < 1.95  # one in a thousand; the seed is fixed
    pairs = through(GaussianNoise(1.0), np.zeros((500, 400)), dtype)[0].astype(np.float64).reshape(-1)
    for lag in (1, 32, 64, 400):
        assert abs((pairs[:-lag] * pairs[lag:]).mean()) < 4.5 / n**0.5
    assert len(np.unique(z)) > 0.9 * n


def test_alpha_dropout_keeps_mean_and_variance_and_gaussian_dropout_has_dropouts() -> None:
    X = np.random.default_rng(5).standard_normal((600, 500))
    kept = through(AlphaDropout(0.3), X)[0]
    assert abs(kept.mean()) < 0.01
    assert abs(kept.var() - 1) < 0.02
    ones = np.ones((600, 500))
    for layer in (Dropout(0.3), GaussianDropout(0.3)):
        got = through(layer, ones)[0]
        assert abs(got.mean() - 1) < 0.01
        assert abs(got.var() - 0.3 / 0.7) < 0.01


@pytest.mark.parametrize("kind", LAYERS)
def test_chunks_and_instruction_sets_draw_the_same(
    kind: str, contract_isa: str, dtype: np.dtype[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    X = np.random.default_rng(3).standard_normal((300, 5))

    def trained() -> Array:
        model = Model([Dense(17), LAYERS[kind](), Dense(3)], seed=4, dtype=dtype)
        model.set(loss="mse", optimizer="adam")
        model.train(X, X[:, :3], epochs=2)
        params: Array = model.plan.params.copy()
        return params

    with monkeypatch.context() as whole:
        whole.setattr(plan, "CHUNK_BYTES", 1 << 30)
        want = trained()
    monkeypatch.setattr(plan, "CHUNK_BYTES", 0)
    for rows in (60, 30, 7):
        monkeypatch.setattr(plan, "CHUNK_ROWS", rows)
        assert_same_bits(trained(), want)


@pytest.mark.parametrize("kind", LAYERS)
def test_gradients_are_differences_with_the_same_draw(kind: str) -> None:
    X = np.random.default_rng(3).standard_normal((30, 5))
    model = Model([Dense(9, activation="selu"), LAYERS[kind](), Dense(4, activation="tanh"), LAYERS[kind](),
                  Dense(2)], seed=4)  # fmt: skip
    model.set(loss="mse", optimizer="sgd")
    assert fastnn.check_gradients(model, X, X[:, :2], rtol=1e-6)


@pytest.mark.parametrize("kind", LAYERS)
def test_as_first_and_last_layer_and_alone(kind: str) -> None:
    X = np.random.default_rng(3).standard_normal((30, 3)).astype(np.float32)
    for layers in ([LAYERS[kind](), Dense(3), LAYERS[kind]()], [Dense(3, activation="softmax"), LAYERS[kind]()]):
        model = Model(layers, seed=4)
        model.set(loss="mse", optimizer="sgd")
        model.train(X, X, epochs=2, batch_size=10)
        assert np.isfinite(model.predict(X)).all()
    alone = Model([LAYERS[kind]()])
    alone.finalize(3)
    assert_same_bits(alone.predict(X), X)


def test_each_layer_step_and_seed_draws_its_own() -> None:
    zeros = np.zeros((4, 9))
    one, two = through(GaussianNoise(1.0), zeros, steps=2)
    other = through(GaussianNoise(1.0), zeros, seed=78)[0]
    assert len({a.tobytes() for a in (one, two, other)}) == 3


def test_nothing_to_add_or_drop_is_no_operation() -> None:
    model = Model([GaussianNoise(0), Dense(3), GaussianDropout(0.0), AlphaDropout(0)])
    model.finalize(2)
    assert len(model.plan.specs) == 1


@pytest.mark.parametrize(
    ("layer", "value", "error", "text"),
    [
        (GaussianNoise, -1, ValueError, "stddev: expected at least 0, got -1"),
        (GaussianNoise, math.nan, ValueError, "stddev: expected at least 0, got nan"),
        (GaussianNoise, "a", TypeError, "stddev: expected a number, got 'a'"),
        (GaussianDropout, 1.0, ValueError, "rate: expected the share to drop, at least 0 and below 1, got 1.0"),
        (AlphaDropout, -0.1, ValueError, "rate: expected the share to drop, .* got -0.1"),
        (AlphaDropout, math.nan, ValueError, "rate: .* got nan"),
        (AlphaDropout, True, TypeError, "rate: .* got True"),
    ],
)
def test_arguments_out_of_range_are_refused(layer: Any, value: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        layer(value)


def test_they_are_described_and_rebuilt() -> None:
    for kind in LAYERS.values():
        assert repr(fastnn.Layer.from_description(kind().describe())) == repr(kind())
