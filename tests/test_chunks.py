"""A large batch trains in chunks of rows, what test_contract.py does not see: masks from the generator of NumPy, a loss
that is not finite, a cut that matters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compare import assert_same_bits

from fastnn import Dense, Dropout, Model, nnfs
from fastnn.engine import plan
from fastnn.nnfs.datasets import spiral_data

X = np.random.default_rng(5).standard_normal((333, 5))
LABELS = X[:, :3].argmax(axis=1)


def cut(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(plan, "CHUNK_BYTES", 0)
    monkeypatch.setattr(plan, "CHUNK_ROWS", rows)


@pytest.mark.parametrize("rates", [(0.4,), (0.4, 0.2)])
def test_numpys_masks_in_chunks(rates: tuple[float, ...], contract_isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_loss_that_is_not_finite_stops_in_its_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    cut(monkeypatch, 16)
    model = Model([Dense(3)], seed=0)
    model.set(loss="mse", optimizer="sgd")
    model.finalize(5)
    assert model.plan.chunk_rows(333) == 16
    before = model.plan.params.copy()
    y = np.zeros((333, 3))
    y[200] = 1e30  # its square is not finite in float32
    with pytest.raises(FloatingPointError, match="the loss is not finite at epoch 1, step 1: in the loss itself"):
        model.train(X, y)
    assert_same_bits(model.plan.params, before)


def test_a_cut_within_a_block_of_the_generator_changes_nothing_and_another_batch_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def trained(rows: int = 300) -> Any:
        model = Model([Dense(17), Dropout(0.3), Dense(3, activation="softmax")], seed=4)
        model.set(loss="categorical_crossentropy", optimizer="adam")
        model.train(X[:rows], LABELS[:rows], epochs=1, batch_size=300)
        return model.plan.params.copy()

    whole = trained()
    for rows in (60, 30, 7):  # 1020, 510, 119 elements of a mask: its groups have 64
        cut(monkeypatch, rows)
        assert_same_bits(trained(), whole)
    with pytest.raises(AssertionError):
        assert_same_bits(trained(299), whole)
