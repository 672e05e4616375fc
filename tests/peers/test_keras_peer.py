"""From Keras 3: the same predictions for every layer and activation, whatever its backend."""

from __future__ import annotations

import importlib.util
import os
from typing import Any

import numpy as np
import pytest

from fastnn import from_keras

if not os.environ.get("KERAS_BACKEND"):
    for backend in ("torch", "jax", "tensorflow"):
        if importlib.util.find_spec(backend) is not None:
            os.environ["KERAS_BACKEND"] = backend
            break
keras = pytest.importorskip("keras", reason="Keras is not installed (peers extra)")
L = keras.layers

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Keras's own, under NumPy 2

X = (np.random.default_rng(0).standard_normal((40, 6)) * 3).astype(np.float32)

LAYERS = {
    "Flatten": lambda: L.Flatten(), "Identity": lambda: L.Identity(), "Dropout": lambda: L.Dropout(0.3),
    "Activation": lambda: L.Activation("tanh"), "Rescaling": lambda: L.Rescaling(0.5, 1.0),
    "Rescaling by feature": lambda: L.Rescaling([1.0, 2, 3, 4, 5, 6], [0.5, 0, 0, 0, 0, 1]),
    "Normalization": lambda: L.Normalization(mean=[0, 1, 2, 3, 4, 5.0], variance=[1, 2, 3, 4, 5, 6.0]),
    "ReLU": lambda: L.ReLU(), "ReLU 6": lambda: L.ReLU(max_value=6), "ReLU slope": lambda: L.ReLU(negative_slope=0.1),
    "LeakyReLU": lambda: L.LeakyReLU(), "LeakyReLU 0.1": lambda: L.LeakyReLU(negative_slope=0.1),
    "BatchNormalization": lambda: L.BatchNormalization(), "LayerNormalization": lambda: L.LayerNormalization(),
    "BatchNormalization bare": lambda: L.BatchNormalization(scale=False, center=False),
    "LayerNormalization uncentred": lambda: L.LayerNormalization(center=False, epsilon=0.01),
    "GaussianNoise": lambda: L.GaussianNoise(0.5), "GaussianDropout": lambda: L.GaussianDropout(0.2),
    "Normalization of all": lambda: L.Normalization(axis=None, mean=0.5, variance=4.0),
    "Dropout of all": lambda: L.Dropout(1.0), "AlphaDropout of all": lambda: L.AlphaDropout(1.0),
    "BatchNormalization frozen": lambda: L.BatchNormalization(momentum=1.0),
    "AlphaDropout": lambda: L.AlphaDropout(0.2), "ELU": lambda: L.ELU(0.5), "Softmax": lambda: L.Softmax(),
}  # fmt: skip


def predicted(model: Any, rows: np.ndarray = X) -> np.ndarray:
    result: np.ndarray = np.asarray(model.predict(rows, verbose=0))
    return result


def compare(model: Any, rows: np.ndarray = X) -> None:
    np.testing.assert_allclose(from_keras(model).predict(rows), predicted(model, rows), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_comes_in(name: str) -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([L.Input((6,)), LAYERS[name](), L.Dense(6, "tanh"), LAYERS[name](), L.Dense(3)])
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if layer.get_weights() and "alization" in layer.name and not name.startswith("Normalization"):
            layer.set_weights([rng.uniform(0.5, 1.5, a.shape) for a in layer.get_weights()])
    compare(model)


def test_every_reader_is_tested() -> None:
    from fastnn.interop._keras import READERS

    assert {name.split()[0] for name in LAYERS} | {"Dense", "InputLayer"} == set(READERS)


def activations() -> list[str]:
    from fastnn.interop._keras import ACTIVATIONS

    return sorted({*ACTIVATIONS, "linear"})


@pytest.mark.parametrize("name", activations())
def test_every_activation_comes_in(name: str) -> None:
    keras.utils.set_random_seed(0)
    compare(keras.Sequential([L.Input((6,)), L.Dense(8, name), L.Dense(4, use_bias=False), L.Activation(name)]), X / 2)


def test_an_adapted_normalization_and_a_trained_model() -> None:
    keras.utils.set_random_seed(0)
    normalization = L.Normalization()
    normalization.adapt(X)
    model = keras.Sequential([L.Input((6,)), normalization, L.Dense(8, "relu"), L.Dense(3, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(X, np.arange(40) % 3, epochs=2, verbose=0)
    compare(model)


def test_float64() -> None:
    model = keras.Sequential([L.Input((6,), dtype="float64"), L.Dense(3, "tanh", dtype="float64")])
    ours = from_keras(model)
    assert ours.dtype == np.float64
    np.testing.assert_allclose(ours.predict(X), predicted(model), rtol=1e-5, atol=1e-6)


def doubled(x: Any) -> Any:
    return x * 2


def relu(x: Any) -> Any:
    """Not Keras's, whatever it is called."""
    return x * 2


def linear(x: Any) -> Any:
    return x * 2


def mixed() -> Any:
    return keras.Sequential([L.Input((6,)), L.Dense(2), L.Dense(2, dtype="mixed_bfloat16")])


def sequential(*layers: Any) -> Any:
    return keras.Sequential([L.Input((6,)), *layers])


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: keras.Sequential([L.Input((6, 1)), L.Conv1D(2, 3)]),
            r"layer 0 \(Conv1D '.*'\): this layer is not supp",
        ),
        (
            lambda: sequential(L.Dense(2, "softsign")),
            r"layer 0 \(Dense '.*'\): the activation softsign is not supported",
        ),
        (lambda: sequential(L.Dense(2, doubled)), "the activation .* is not supported"),
        (lambda: sequential(L.Dense(2, relu)), "the activation a function of your own is not supported"),
        (lambda: sequential(L.Dense(2, linear)), "the activation a function of your own is not supported"),
        (lambda: sequential(L.Dense(2), L.Activation(relu)), "the activation a function of your own is not supported"),
        (lambda: sequential(L.Dense(2), L.Activation(keras.ops.gelu)), "the activation a function of your own is not"),
        (mixed, r"layer 1 \(Dense '.*'\): .* the type of its weights, got bfloat16 with weights of float32"),
        (lambda: sequential(L.Dense(2), L.BatchNormalization(momentum=2.0)), r"^layer 1 \(Batch.*'\): momentum: expec"),
        (lambda: sequential(L.Dense(2), L.ReLU(max_value=5)), "expected max_value None or 6, and threshold 0, got 5"),
        (lambda: sequential(L.Dense(2), L.Softmax(axis=0)), "expected axis=-1, got 0"),
        (lambda: sequential(L.Dense(2), L.Dropout(0.1, noise_shape=(None, 1))), "noise_shape is not supported"),
        (lambda: sequential(L.Dense(2), L.AlphaDropout(0.1, noise_shape=(None, 1))), "noise_shape is not supported"),
        (lambda: sequential(L.ReLU()), "got no Dense layer"),
        (lambda: keras.Sequential([L.Dense(2)]), "it has no weights yet: build the model, or call it once"),
    ],
)
def test_what_is_not_supported_is_named(make: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        from_keras(make())


ALONG = {
    "Dense": lambda: L.Dense(3), "Softmax": lambda: L.Softmax(), "softmax": lambda: L.Activation("softmax"),
    "log_softmax": lambda: L.Activation("log_softmax"), "LayerNormalization": lambda: L.LayerNormalization(),
    "BatchNormalization": lambda: L.BatchNormalization(), "Rescaling": lambda: L.Rescaling([1.0, 2.0, 3.0]),
    "Normalization": lambda: L.Normalization(mean=[0, 1, 2.0], variance=[1, 2, 3.0]),
}  # fmt: skip


@pytest.mark.parametrize("name", ALONG)
def test_what_works_along_one_axis_of_several_is_refused(name: str) -> None:
    model = keras.Sequential([L.Input((2, 3)), ALONG[name](), L.Flatten(), L.Dense(2)])
    with pytest.raises(ValueError, match=r"^layer 0 \(.*expected rows of one axis, got \(2, 3\): flatten them first"):
        from_keras(model)
    compare(keras.Sequential([L.Input((2,)), L.Flatten(), L.Dense(3), ALONG[name](), L.Dense(2)]), X[:, :2])


def test_rows_of_several_axes_are_flattened() -> None:
    layers = L.Rescaling(0.5, 1.0), L.Normalization(axis=None, mean=0.5, variance=4.0), L.ReLU()
    model = keras.Sequential([L.Input((2, 3)), *layers, L.Flatten(), L.Dense(4, "softmax")])
    wanted = predicted(model, X.reshape(-1, 2, 3))
    np.testing.assert_allclose(from_keras(model).predict(X), wanted, rtol=1e-5, atol=1e-5)


def test_a_flatten_in_another_order_is_refused() -> None:
    compare(keras.Sequential([L.Input((6,)), L.Flatten(data_format="channels_first"), L.Dense(2)]))
    model = keras.Sequential([L.Input((2, 3)), L.Flatten(data_format="channels_first"), L.Dense(2)])
    with pytest.raises(ValueError, match=r"layer 0 \(Flatten '.*'\): data_format='channels_first' puts the numbers"):
        from_keras(model)
    model = keras.Sequential([L.Input((None, 3)), L.ReLU()])
    with pytest.raises(ValueError, match=r"model: expected rows of a known shape, got \(None, 3\)"):
        from_keras(model)


def test_what_is_no_sequential_is_refused() -> None:
    inputs = L.Input((6,))
    for other in (keras.Model(inputs, L.Dense(2)(inputs)), {}, "model.keras"):
        with pytest.raises(TypeError, match=r"expected a keras.Sequential of Keras 3, got "):
            from_keras(other)
