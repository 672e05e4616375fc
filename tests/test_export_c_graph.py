"""The exported C of graphs: residuals, joins and several inputs, bit for bit what predict gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare import assert_same_bits
from exported import Library, awkward, needs_compiler, needs_contract, self_test

from fastnn import Add, Concatenate, Dense, Dropout, Input, Model, Multiply, ReLU, Rescale, Residual, custom


def gated(dtype: Any) -> Model:
    x = Input(12)
    h = Dense(20, activation="gelu")(Rescale(0.5, 0.25)(x))
    gate = Dense(20, activation="sigmoid")(x)
    return Model(inputs=x, outputs=Dense(3)(Add()([Multiply()([h, gate]), h, gate, h])), seed=1, dtype=dtype)


def two_inputs(dtype: Any) -> Model:
    a, b = Input(4, name="a"), Input(3, name="b")
    joined = Concatenate()([a, Dense(8, activation="tanh")(b), b, Dropout(0.5)(a)])
    y = Dense(5, activation="softmax")(Residual([Dense(6, activation="relu"), Dense(19)])(joined))
    return Model(inputs=[a, b], outputs=Concatenate()([y, b]), seed=2, dtype=dtype)


MODELS: dict[str, Callable[[Any], Model]] = {
    "residual": lambda dtype: Model(
        [Dense(9, 16), Residual([Dense(16, activation="relu"), Dropout(0.1), Dense(16)]), ReLU(), Dense(2)],
        seed=0, dtype=dtype,
    ),
    "projection": lambda dtype: Model(
        [Residual([Dense(9, 30, activation="elu"), Dense(5)], projection=True)], dtype=dtype
    ),
    "nested": lambda dtype: Model(
        [Input(8), Rescale(2.0, 0.5), Residual([Residual([Dense(8, activation="mish")]), Dense(8)]), Dense(9)],
        dtype=dtype,
    ),
    "residual of the input": lambda dtype: Model([Input(8), Residual([ReLU()])], dtype=dtype),
    "gated": gated,
    "two inputs": two_inputs,
}  # fmt: skip


@needs_compiler
@needs_contract
@pytest.mark.parametrize("name", sorted(MODELS))
def test_graphs(name: str, dtype: Any, tmp_path: Path) -> None:
    model = MODELS[name](dtype)
    model.finalize()
    X = awkward(model, 300)
    assert_same_bits(Library(model, tmp_path, "-O2").predict(X), model.predict(X), name)


@needs_compiler
@needs_contract
def test_arrays_of_several_inputs_are_a_self_test(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    model = two_inputs("float32")
    model.export_c(tmp_path / "m.c", self_test=[rng.standard_normal((6, 4)), rng.standard_normal((6, 3))])
    assert self_test(tmp_path / "m.c", "m").returncode == 0


def test_a_sum_takes_no_memory_of_its_own(tmp_path: Path) -> None:
    model = Model([Dense(9, 16), Residual([Dense(40), Dense(16)]), Dense(2)])
    made = model.export_c(tmp_path / "m.c")
    assert made.scratch_bytes == 4 * (16 + 40 + 16)  # the input of the block, and two rows within it
    assert [cost.name for cost in made.layers] == [
        "Dense 9 -> 16", "Dense 16 -> 40", "Dense 40 -> 16", "add 16, 16", "Dense 16 -> 2",
    ]  # fmt: skip
    assert "/* layer 1 (Residual) */" in (tmp_path / "m.c").read_text()


def test_a_part_in_python_within_a_residual_is_named(tmp_path: Path) -> None:
    class Own(custom.Activation):
        def formula(self, x: Any) -> Any:
            return x

    model = Model([Dense(3, 4), Residual([Dense(4), Own()])])
    with pytest.raises(ValueError, match=r"layer 3 \(Own\) cannot be exported to C"):
        model.export_c(tmp_path / "m.c")
