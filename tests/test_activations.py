"""Every registered activation: value, derivative, sizes, special values, bits. Found from the registry."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare import Array, assert_same_bits, assert_ulps, assert_varies, assert_within, gradient, ulps, use

import fastnn.functional as F
from fastnn import Dense, Model, _core
from fastnn.activations import Activation
from fastnn.losses import Loss

OBJECTS = {cls.kernel: cls() for cls in Activation.registry.values()}
NAMES = sorted(OBJECTS)
ALPHAS = sorted(_core.ACTIVATION_ALPHA)
SPECIAL = (
    np.nan,
    np.inf,
    -np.inf,
    0.0,
    -0.0,
    1.0,
    -1.0,
    88.5,
    -88.5,
    -103.0,
    709.5,
    -745.0,
    1e-5,
    -1e-5,
    1e-40,
    -1e-40,
    1e-310,
    3.4e38,
    -3.4e38,
    20.0,
    -20.0,
)


def sizes(dtype: Any) -> list[int]:
    lanes = _core.table_info(dtype)["lanes"]
    return [*range(2 * lanes + 2), 63, 100, 1000]


def draw(rng: np.random.Generator, name: str, n: int, dtype: Any) -> Array:
    """Numbers of every magnitude that matters, none next to a kink."""
    x = rng.standard_normal(n) * rng.choice([0.1, 1.0, 10.0], n)
    for kink in OBJECTS[name].kinks:
        x = np.where(np.abs(x - kink) < 0.01, kink + 0.05, x)
    return x.astype(dtype)


def allowance(name: str, x: Array) -> float:
    """In ulp: 2.5 for a lane function; a sum over the row adds roundings, and exp magnifies that of its argument. On
    sse2, without fused multiply-adds, the GELUs lose in the tails (csrc/kernels/gates.h)."""
    if name.startswith("gelu") and _core.active_isa() == "sse2":
        return 1000
    if _core.ACTIVATION_SHAPE[name] != "R":
        return 3.5 if name == "gelu" and x.dtype == np.float64 else 2.5  # its oracle's erfc has an ulp of its own
    return 8 + x.shape[-1] / 16 + float(np.ptp(x)) if x.size else 0


def exact(name: str, x: Array) -> Array:
    """The formula, in more precision than x has: of float64, in long double where that is wider."""
    if x.dtype == np.float32 and name != "log_softmax":
        return OBJECTS[name].formula(x.astype(np.float64))
    if name == "log_softmax":  # its formula as it stands loses what is small beside 1
        z = x.astype(np.float64) - x.max(axis=-1, keepdims=True)
        others = np.where(z == 0, 0, np.exp(z)).sum(axis=-1, keepdims=True)
        return z - np.log1p(others + ((z == 0).sum(axis=-1, keepdims=True) - 1))
    if _core.ACTIVATION_SHAPE[name] == "R":
        return OBJECTS[name].formula(x)
    if np.finfo(np.longdouble).nmant < 63:
        pytest.skip("long double is no wider than double here")
    wide = x.astype(np.longdouble)
    if name != "gelu":
        return OBJECTS[name].formula(wide)
    # erfc there is only in double: what its argument is rounded by is made good with its derivative
    z = -wide / np.sqrt(np.longdouble(2))
    near = z.astype(np.float64)
    half = np.vectorize(math.erfc, otypes=[np.float64])(near) / 2
    with np.errstate(all="ignore"):
        slope = np.exp(-(near.astype(np.longdouble) ** 2)) / np.sqrt(np.arccos(np.longdouble(-1)))
        corrected = half - np.where(np.isfinite(near), (z - near) * slope, 0)
    return np.where(np.isneginf(wide), 0, wide) * corrected


def saved_by(name: str, x: Array) -> Array:
    return x if _core.ACTIVATION_SAVES[name] == "X" else F.activation(name, x)


def test_every_kernel_has_its_class() -> None:
    assert set(OBJECTS) == set(_core.ACTIVATIONS)


@pytest.mark.parametrize("name", NAMES)
def test_values_follow_the_formula_at_every_size(name: str, isa: str, dtype: Any, rng: np.random.Generator) -> None:
    for n in sizes(dtype):
        x = draw(rng, name, n, dtype)
        assert_varies(x)
        y = F.activation(name, x)
        assert y.dtype == dtype
        want = exact(name, x) if n else np.zeros(0)
        assert_ulps(y, want, allowance(name, x), f"{name}, {n}")


@pytest.mark.parametrize("name", NAMES)
def test_derivatives_match_differences_of_the_formula(
    name: str, isa: str, dtype: Any, rng: np.random.Generator
) -> None:
    for n in sizes(dtype)[:-2]:
        x = draw(rng, name, n, dtype)
        dy = rng.standard_normal(n).astype(dtype)
        wide = dy.astype(np.float64)
        dx = F.activation_backward(name, dy, saved_by(name, x))
        if n == 0:
            assert dx.shape == (0,)
            continue
        want = gradient(lambda v, wide=wide: float((wide * OBJECTS[name].formula(v)).sum()), x.astype(np.float64))
        bound = (2e-9 if dtype == np.float64 else 2e-6) * (1 + np.abs(want).max())  # differences of a sum
        assert_within(dx, want, bound, f"{name}, {n}")


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_apart_and_shapes_are_kept(name: str, isa: str, dtype: Any, rng: np.random.Generator) -> None:
    x = rng.standard_normal((3, 5, 7)).astype(dtype)
    y = F.activation(name, x)
    assert y.shape == x.shape
    for i in range(3):
        for j in range(5):
            assert_same_bits(F.activation(name, x[i, j]), y[i, j])
    dx = F.activation_backward(name, x, saved_by(name, x))
    assert_same_bits(F.activation_backward(name, x[1], saved_by(name, x)[1]), dx[1])


@pytest.mark.parametrize("name", NAMES)
def test_in_place_gives_the_same_bits(name: str, isa: str, dtype: Any, rng: np.random.Generator) -> None:
    for n in (1, 7, 16, 37, 100):
        x, dy = draw(rng, name, n, dtype), rng.standard_normal(n).astype(dtype)
        saved = saved_by(name, x)
        y, dx = F.activation(name, x), F.activation_backward(name, dy, saved)
        a, g = x.copy(), dy.copy()
        assert F.activation(name, a, out=a) is a
        assert F.activation_backward(name, g, saved, out=g) is g
        assert_same_bits(a, y)
        assert_same_bits(g, dx)


@pytest.mark.parametrize("name", NAMES)
def test_special_values_go_where_numpy_sends_them(name: str, isa: str, dtype: Any) -> None:
    with np.errstate(all="ignore"):
        special = np.array(SPECIAL).astype(dtype)
        rows = np.array([np.roll(special, k) for k in range(len(special))])
        if _core.ACTIVATION_SHAPE[name] == "R":  # one special value among ordinary ones
            rows = np.tile(np.linspace(-1, 1, 19).astype(dtype), (len(special), 1))
            rows[:, 11] = special
        want = exact(name, rows)
        got = F.activation(name, rows)
        np.testing.assert_array_equal(np.isnan(got), np.isnan(want.astype(dtype)))
        assert_ulps(got, want, 40 if _core.ACTIVATION_SHAPE[name] == "R" else allowance(name, rows), name)


@pytest.mark.parametrize("name", NAMES)
def test_nan_is_never_hidden(name: str, isa: str, dtype: Any) -> None:
    for n in (1, 5, 16, 33):
        for place in range(n):
            x = np.linspace(-2, 2, n).astype(dtype)
            x[place] = np.nan
            assert np.isnan(F.activation(name, x)[place])
            ones, dy = np.ones(n, dtype), np.ones(n, dtype)
            dy[place] = np.nan
            assert np.isnan(F.activation_backward(name, dy, ones)[place])


@pytest.mark.parametrize("name", NAMES)
def test_bits_are_those_of_the_scalar_table(name: str, contract_isa: str, dtype: Any, rng: np.random.Generator) -> None:
    with np.errstate(all="ignore"):
        special = np.array(SPECIAL).astype(dtype)
    for n in (*range(34), 63, 64, 65, 511, 1000):
        x = draw(rng, name, n, dtype) * dtype.type(rng.choice([1, 5]))
        for data in (x, np.resize(special, n), np.where(rng.random(n) < 0.05, np.resize(special, n), x)):
            dy = rng.standard_normal(n).astype(dtype)
            y, dx = F.activation(name, data), F.activation_backward(name, dy, saved_by(name, data))
            with use("scalar"):
                assert_same_bits(y, F.activation(name, data), f"{name}({n})")
                assert_same_bits(dx, F.activation_backward(name, dy, saved_by(name, data)), f"{name}'({n})")


@pytest.mark.parametrize("name", [n for n in NAMES if _core.ACTIVATION_SHAPE[n] != "R"])
def test_a_value_does_not_depend_on_its_place(name: str, isa: str, dtype: Any, rng: np.random.Generator) -> None:
    x = draw(rng, name, 70, dtype)
    whole = F.activation(name, x)
    for start in range(20):
        assert_same_bits(F.activation(name, x[start : start + 33]), whole[start : start + 33])


@pytest.mark.parametrize("name", NAMES)
def test_nothing_beyond_the_end_is_touched(name: str, isa: str, dtype: Any, rng: np.random.Generator) -> None:
    for n in range(1, 40):
        room = np.full(n + 40, 7.5, dtype)
        F.activation(name, draw(rng, name, n, dtype), out=room[3 : 3 + n])
        assert (room[:3] == 7.5).all()
        assert (room[3 + n :] == 7.5).all()


def test_softmax_rows_sum_to_one_and_shifting_changes_little(isa: str, dtype: Any, rng: np.random.Generator) -> None:
    x = (rng.standard_normal((9, 33)) * 20).astype(dtype)
    y = F.softmax(x)
    assert_within(y.sum(axis=1), np.ones(9), 40 * np.finfo(dtype).eps)
    assert_within(F.softmax(x + dtype.type(64)), y, 1e3 * np.finfo(dtype).eps)
    assert_same_bits(F.softmax(x[:, :1]), np.ones((9, 1), dtype))


def test_the_functions_by_name_are_the_registered_kernels(rng: np.random.Generator) -> None:
    x = rng.standard_normal(20)
    for name in NAMES:
        assert_same_bits(getattr(F, name)(x), F.activation(name, x))
    with pytest.raises(ValueError, match="activation: unknown name 'rleu'"):
        F.activation("rleu", x)
    with pytest.raises(ValueError, match=r"saved: expected shape \(20,\)"):
        F.activation_backward("relu", x, x[:-1])
    with pytest.raises(ValueError, match=r"out: expected shape \(20,\) and dtype float64"):
        F.relu(x, out=np.empty(19))
    with pytest.raises(ValueError, match="C-contiguous"):
        F.relu(x, out=np.empty(40)[::2])
    with pytest.raises(TypeError, match="x: expected real numbers, got dtype complex128"):
        F.relu(x + 1j)


# --- the parameter alpha ---


@pytest.mark.parametrize("name", ALPHAS)
@pytest.mark.parametrize("alpha", [0.0, 0.01, 0.3, 1.0, 2.5])
def test_alpha_changes_values_and_derivatives_as_the_formula_says(
    name: str, alpha: float, isa: str, dtype: Any, rng: np.random.Generator
) -> None:
    activation = type(OBJECTS[name])(alpha)
    for n in (1, 7, 16, 37):
        x, dy = draw(rng, name, n, dtype), rng.standard_normal(n).astype(dtype)
        y = F.activation(name, x, alpha=alpha)
        assert_ulps(y, activation.formula(x.astype(np.float64)), 3, name)
        want = gradient(lambda v, dy=dy: float((dy * activation.formula(v)).sum()), x.astype(np.float64))
        assert_within(F.activation_backward(name, dy, y, alpha=alpha), want, 2e-9 if dtype == np.float64 else 3e-6)
        assert_same_bits(getattr(F, name)(x, alpha), y)
        assert_same_bits(F.activation(name, x[::-1], alpha=alpha)[::-1].copy(), y, "by the way that copies")


@pytest.mark.parametrize("name", ALPHAS)
def test_alpha_is_the_registrys_unless_said_otherwise(name: str, rng: np.random.Generator) -> None:
    x = rng.standard_normal(20)
    default = _core.ACTIVATION_ALPHA[name]
    assert OBJECTS[name].alpha == default
    assert_same_bits(F.activation(name, x), F.activation(name, x, alpha=default))
    assert (F.activation(name, x) != F.activation(name, x, alpha=default + 0.5)).any()  # and it counts


@pytest.mark.parametrize("name", ALPHAS)
def test_alpha_goes_through_dense_models_and_files(
    name: str, isa: str, tmp_path: Path, rng: np.random.Generator
) -> None:
    x, w, b = rng.standard_normal((9, 4)), rng.standard_normal((4, 5)), rng.standard_normal(5)
    y, saved = F.dense(x, w, b, activation=name, alpha=0.25, save=True)
    assert_same_bits(y, F.activation(name, F.dense(x, w, b), alpha=0.25))
    dz = F.activation_backward(name, y, saved, alpha=0.25)
    for got, want in zip(
        F.dense_backward(y, x, w, saved, activation=name, alpha=0.25), F.dense_backward(dz, x, w), strict=True
    ):
        assert_same_bits(got, want)

    cls = type(OBJECTS[name])
    models = [
        Model([Dense(4, 5, activation=cls(0.25)), Dense(2)], seed=3),
        Model([Dense(4, 5), cls(0.25), Dense(2)], seed=3),
        Model([Dense(4, 5, activation=name), Dense(2)], seed=3),
    ]
    for model in models:
        model.finalize()
        model.set_parameters(models[0].get_parameters())
    for model in models:
        model.set(loss="mse", optimizer="adam")
        model.train(x, x[:, :2], epochs=3)
    assert_same_bits(models[0].predict(x), models[1].predict(x))
    assert (models[0].predict(x) != models[2].predict(x)).any()
    models[0].save(tmp_path / "m.fnn")
    loaded = Model.load(tmp_path / "m.fnn")
    assert_same_bits(loaded.predict(x), models[0].predict(x))
    assert repr(loaded.layers[0].activation) == f"{cls.__name__}(alpha=0.25)"


def test_bad_alphas_are_named(rng: np.random.Generator) -> None:
    x = rng.standard_normal((3, 2))
    for bad in (-0.1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"alpha: expected a number of at least 0, got {bad}"):
            F.leaky_relu(x, bad)
        with pytest.raises(ValueError, match=f"alpha: expected a number of at least 0, got {bad}"):
            type(OBJECTS["elu"])(bad)
    with pytest.raises(ValueError, match="alpha: relu has no parameter; those that have one: leaky_relu, elu"):
        F.activation("relu", x, alpha=0.1)
    with pytest.raises(ValueError, match="alpha: tanh has no parameter"):
        F.dense(x, np.eye(2), np.zeros(2), activation="tanh", alpha=0.1)
    with pytest.raises(ValueError, match="alpha: tanh has no parameter"):
        F.dense_backward(x, x, np.eye(2), x, activation="tanh", alpha=0.1)


# --- the page ---


@pytest.mark.parametrize("family", [Activation, Loss], ids=["activations", "losses"])
def test_the_page_has_every_name(family: Any) -> None:
    page = (Path(__file__).parents[1] / "docs" / "activations_losses.md").read_text(encoding="utf-8")
    for cls in set(family.registry.values()):
        names = ", ".join(f"`{name}`" for name in cls.names)
        assert f"| {names} | `{cls.__name__}" in page, cls


# --- what is known of single ones ---


def test_aliases_are_the_same_function(rng: np.random.Generator) -> None:
    x = rng.standard_normal(50)
    assert type(Activation.resolve("swish")) is type(Activation.resolve("silu"))
    assert_same_bits(F.swish(x), F.silu(x))


def test_selu_keeps_mean_and_variance_through_layers(rng: np.random.Generator) -> None:
    model = Model([Dense(300, activation="selu", weight_initializer="lecun_normal") for _ in range(8)], seed=1)
    y = model.predict(rng.standard_normal((400, 300)))
    assert abs(float(y.mean())) < 0.1
    assert abs(float(y.std()) - 1) < 0.15


def test_the_two_gelus_are_near_and_not_equal(rng: np.random.Generator) -> None:
    x = np.linspace(-6, 6, 2001)
    apart = np.abs(F.gelu(x) - F.gelu_tanh(x)).max()
    assert 1e-4 < apart < 5e-4


def test_log_softmax_is_the_logarithm_of_softmax_and_does_not_underflow(isa: str, dtype: Any) -> None:
    x = np.array([[0.5, -1.0, 2.0, 0.25], [0.0, -300.0, 1000.0, 999.0]], dtype)
    y = F.log_softmax(x)
    assert_ulps(y[:1], np.log(F.softmax(x[:1].astype(np.float64))), 8)
    assert_ulps(y[1], np.array([-1000.0, -1300.0, 0.0, -1.0]) - np.log1p(np.exp(-1.0)), 4)


@pytest.mark.parametrize("name", ["softplus", "silu", "mish", "gelu", "gelu_tanh"])
def test_float32_over_all_magnitudes(name: str, contract_isa: str) -> None:
    """A thin sample of all bit patterns, and the tails, where x * gate(x) as written loses everything."""
    bits = np.arange(0, 2**32, 40_009, np.uint64).astype(np.uint32).view(np.float32)
    x = np.concatenate([bits[~np.isnan(bits)], np.linspace(-120, 20, 50_001).astype(np.float32)])
    with np.errstate(all="ignore"):
        want = exact(name, x)
    assert_ulps(F.activation(name, x), want, 2.5, name)
    naive = (x.astype(np.float32) * (1 / (1 + np.exp(-np.clip(x, -80, 80))))).astype(np.float32)
    if name == "silu":  # the comparison can fail
        assert ulps(naive, want).max() > 2.5
