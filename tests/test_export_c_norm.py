"""The exported C of the normalizations and of what only training sees, bit for bit what predict gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare import assert_same_bits
from exported import Library, awkward, needs_compiler, needs_contract

from fastnn import (
    AlphaDropout,
    BatchNorm,
    Dense,
    GaussianDropout,
    GaussianNoise,
    Input,
    LayerNorm,
    Model,
    Normalization,
)

LAYERS: dict[str, Any] = {
    "BatchNorm": lambda: [Dense(9, 20), BatchNorm(), Dense(4, activation="relu"), BatchNorm()],
    "BatchNorm bare": lambda: [Input(9), BatchNorm(center=False, scale=False), Dense(3)],
    "LayerNorm": lambda: [Dense(9, 37, activation="gelu"), LayerNorm(), Dense(4)],
    "LayerNorm bare": lambda: [Input(9), LayerNorm(center=False), LayerNorm(scale=False, epsilon=1e-12)],
    "Normalization": lambda: [Input(9), Normalization(), Dense(4)],
    "noise": lambda: [
        Input(9),
        GaussianNoise(0.1),
        Dense(8, activation="selu"),
        AlphaDropout(0.1),
        GaussianDropout(0.2),
    ],
}


def trained(name: str, dtype: Any) -> Model:
    """One of LAYERS, with moments of its own."""
    model = Model(LAYERS[name](), seed=3, dtype=dtype)
    model.set(loss="mse", optimizer="adam")
    rng = np.random.default_rng(1)
    X = rng.standard_normal((64, 9)) * 3 + 1
    X[:, 2] = 5.0  # a column without variance
    width = model.layers[-1].width(9) if name.endswith("bare") and "Layer" in name else None
    model.finalize()
    model.train(X, rng.standard_normal((64, model.plan.n_out if width is None else width)), epochs=3, batch_size=16)
    return model


@needs_compiler
@needs_contract
@pytest.mark.parametrize("name", sorted(LAYERS))
def test_normalizations(name: str, dtype: Any, tmp_path: Path) -> None:
    model = trained(name, dtype)
    rows = awkward(model, 300)
    rows[0] = 0.25  # a row without variance
    assert_same_bits(Library(model, tmp_path, "-O2").predict(rows), model.predict(rows), name)
