"""A large batch goes through the network in blocks of rows that stay in cache: no bit depends on how it is cut."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compare import assert_same_bits

from fastnn import Dense, Dropout, Model, Sigmoid, nnfs
from fastnn.engine import loop
from fastnn.nnfs.datasets import spiral_data

X = np.random.default_rng(5).standard_normal((333, 5))
LABELS = X[:, :3].argmax(axis=1)


def cut(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(loop, "CACHE_BYTES", 0)
    monkeypatch.setattr(loop, "FEWEST_ROWS", rows)


def trained(loss: str, y: Any, dtype: Any, widths: tuple[int, ...]) -> tuple[Any, Any]:
    layers = [Dense(n, activation="relu", weight_regularizer_l2=1e-3, bias_regularizer_l1=1e-3) for n in widths]
    last = Dense(y.shape[1] if y.ndim > 1 else 3, activation="softmax" if y.ndim == 1 else "linear")
    model = Model([layers[0], Dropout(0.3), *layers[1:], Sigmoid(), Dropout(0.1), last], seed=4, dtype=dtype)
    model.set(loss=loss, optimizer="adam")
    history = model.train(X, y, epochs=3, batch_size=300, shuffle=True)
    return model.plan.params.copy(), np.array([history["data_loss"], history["accuracy"]])


@pytest.mark.parametrize("rows", [16, 32, 112])
@pytest.mark.parametrize(
    ("loss", "y", "widths"),
    [("categorical_crossentropy", LABELS, (17, 40)), ("mse", X[:, :1], (3, 9)), ("mae", X[:, :4], (64, 7))],
    ids=["labels", "one output", "four outputs"],
)
def test_blocks_change_no_bit(
    loss: str, y: Any, widths: tuple[int, ...], rows: int, contract_isa: str, dtype: Any, monkeypatch: Any
) -> None:
    whole = trained(loss, y, dtype, widths)
    cut(monkeypatch, rows)
    for got, wanted in zip(trained(loss, y, dtype, widths), whole, strict=True):
        assert_same_bits(got, wanted)


@pytest.mark.parametrize("rates", [(0.4,), (0.4, 0.2)])
def test_numpys_masks_in_blocks(rates: tuple[float, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> list[Any]:
        nnfs.init()
        points, y = spiral_data(60, 3)
        model = nnfs.Model()
        for rate in rates:
            model.add(nnfs.Layer_Dense(2, 2))
            model.add(nnfs.Layer_Dropout(rate))
        model.add(nnfs.Layer_Dense(2, 3))
        model.add(nnfs.Activation_Softmax())
        model.set(loss=nnfs.Loss_CategoricalCrossentropy(), optimizer=nnfs.Optimizer_SGD(),
                  accuracy=nnfs.Accuracy_Categorical())  # fmt: skip
        model.train(points, y, epochs=3, print_every=0)
        return [*(w.copy() for pair in model.get_parameters() for w in pair), np.random.rand(3)]

    whole = run()
    cut(monkeypatch, 16)
    for got, wanted in zip(run(), whole, strict=True):
        assert_same_bits(np.asarray(got), np.asarray(wanted))


def test_a_loss_that_is_not_finite_stops_in_its_block(monkeypatch: pytest.MonkeyPatch) -> None:
    cut(monkeypatch, 16)
    model = Model([Dense(3)], seed=0)
    model.set(loss="mse", optimizer="sgd")
    model.finalize(5)
    before = model.plan.params.copy()
    y = np.zeros((333, 3))
    y[200] = 1e30  # its square is not finite in float32
    with pytest.raises(FloatingPointError, match="the loss is not finite at epoch 1, step 1: in the loss itself"):
        model.train(X, y)
    assert_same_bits(model.plan.params, before)


def test_the_comparison_sees_a_cut_that_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = trained("categorical_crossentropy", LABELS, "float32", (17, 40))
    cut(monkeypatch, 10)  # 170 elements of a mask: not a whole number of the generator's blocks of 4
    parts, _ = trained("categorical_crossentropy", LABELS, "float32", (17, 40))
    with pytest.raises(AssertionError):
        assert_same_bits(parts, whole)
