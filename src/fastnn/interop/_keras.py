"""From Keras 3. Keras is not imported: its layers say by ``get_config`` and their weights what they are, whatever its
backend."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import activations as act
from fastnn.interop._assemble import Affine, Filled, Weights, assemble, dropout, kept, naming
from fastnn.interop._shapes import LastAxis, Reshaped, Shape, Step, Unknown, flatten, product, shaped
from fastnn.layers import (
    AlphaDropout,
    BatchNorm,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    LayerNorm,
    Normalization,
)

if TYPE_CHECKING:
    from fastnn.model import Model

# names of Keras's activations: LeakyReLU has another slope there than here
ACTIVATIONS: dict[str, Callable[[], act.Activation]] = {
    "relu": act.ReLU,
    "relu6": act.ReLU6,
    "leaky_relu": lambda: act.LeakyReLU(0.2),
    "elu": act.ELU,
    "selu": act.SELU,
    "gelu": act.GELU,
    "silu": act.SiLU,
    "swish": act.SiLU,
    "mish": act.Mish,
    "softplus": act.Softplus,
    "exponential": act.Exponential,
    "sigmoid": act.Sigmoid,
    "hard_sigmoid": act.HardSigmoid,
    "hard_silu": act.HardSwish,
    "hard_swish": act.HardSwish,
    "tanh": act.Tanh,
    "softmax": act.Softmax,
    "log_softmax": act.LogSoftmax,
}

Reader = Callable[[Any, dict[str, Any], str], Sequence[Step]]


def _function(layer: Any, config: dict[str, Any], where: str) -> list[Step]:
    """An activation by the name that Keras gives it in a config: that of any function that is called so."""
    name = config["activation"]
    module = getattr(layer.activation, "__module__", None) or ""
    own = not isinstance(name, str) or not module.startswith("keras.src.activations")
    if not own and name == "linear":
        return []
    if own or name not in ACTIVATIONS:
        raise ValueError(f"{where}: the activation {'a function of your own' if own else name} is not supported")
    return _alone(ACTIVATIONS[name](), where)


def _alone(activation: act.Activation, where: str) -> list[Step]:
    return [LastAxis(activation, where) if isinstance(activation, (act.Softmax, act.LogSoftmax)) else activation]


def _dense(layer: Any, config: dict[str, Any], where: str) -> list[Step]:
    """y = f(x.kernel + bias)."""
    if not layer.built:
        raise ValueError(f"{where}: it has no weights yet: build the model, or call it once")
    if config.get("lora_rank") or config.get("quantization_config"):
        raise ValueError(f"{where}: LoRA and quantization are not supported")
    kernel, *bias = (np.asarray(array) for array in layer.get_weights())
    return [product(kernel, bias[0] if bias else None, where), *_function(layer, config, where)]


def _relu(layer: Any, config: dict[str, Any], where: str) -> list[Step]:
    top, slope, threshold = config.get("max_value"), config.get("negative_slope", 0), config.get("threshold", 0)
    if threshold or (top is not None and (top != 6 or slope)):
        raise ValueError(
            f"{where}: expected max_value None or 6, and threshold 0, got {top} and {threshold} with a slope of {slope}"
        )
    return [act.ReLU6() if top is not None else act.LeakyReLU(slope) if slope else act.ReLU()]


def _softmax(layer: Any, config: dict[str, Any], where: str) -> list[Step]:
    if config.get("axis", -1) not in (-1, 1):
        raise ValueError(f"{where}: expected axis=-1, got {config['axis']}")
    return _alone(act.Softmax(), where)


def _flatten(layer: Any, config: dict[str, Any], where: str) -> list[Step]:
    plain = flatten(where)
    if config.get("data_format") != "channels_first":
        return [plain]

    def new(shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(shape) > 1:
            raise ValueError(f"{where}: data_format='channels_first' puts the numbers of a row in another order")
        return plain.new(shape)

    return [Reshaped(new, None, where)]


def _rescaling(layer: Any, config: dict[str, Any], where: str) -> list[Step]:
    scale, offset = (np.asarray(config[key], np.float64) for key in ("scale", "offset"))
    if scale.ndim > 1 or offset.ndim > 1:
        raise ValueError(
            f"{where}: expected numbers, or one for each feature, got shapes {scale.shape}, {offset.shape}"
        )
    by, shift = (float(value.item()) if value.size == 1 else value for value in (scale, offset))
    part = Affine(by, shift, where)
    return [LastAxis(part, where) if part.by_column else part]


def _normalization(layer: Any, config: dict[str, Any], where: str) -> list[Step]:
    """(x - mean) / max(sqrt(variance), 1e-7)."""
    if getattr(layer, "mean", None) is None:
        raise ValueError(f"{where}: it has no statistics yet: call its adapt, or give it mean and variance")
    if config.get("invert"):
        raise ValueError(f"{where}: invert=True is not supported")
    mean, variance = (_numbers(value) for value in (layer.mean, layer.variance))
    if not config["axis"]:  # of all numbers together
        scale = 1 / max(math.sqrt(variance[0]), 1e-7)
        return [Affine(scale, -float(mean[0]) * scale, where)]
    return [LastAxis(Normalization(mean=mean, variance=np.maximum(variance, 1e-14)), where, len(mean))]


def _numbers(value: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A tensor of any backend, flat."""
    array = value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)
    return np.asarray(array, np.float64).reshape(-1)


def _dropout(kind: type[Dropout | AlphaDropout]) -> Reader:
    def read(layer: Any, config: dict[str, Any], where: str) -> list[Step]:
        if config.get("noise_shape") and any(size is not None for size in config["noise_shape"]):
            raise ValueError(f"{where}: noise_shape is not supported")
        return [*dropout(kind, config["rate"])]

    return read


def _arrays(layer: Any, config: dict[str, Any], where: str, kept: tuple[str, ...]) -> dict[str, Any]:
    """The weights of a normalization by our names, in the order that Keras has them."""
    if not layer.built:
        raise ValueError(f"{where}: it has no weights yet: build the model, or call it once")
    axis = config["axis"][0] if isinstance(config["axis"], (list, tuple)) else config["axis"]
    if axis not in (-1, 1):
        raise ValueError(f"{where}: expected axis=-1, the features, got {config['axis']}")
    names = [name for name, key in (("gamma", "scale"), ("beta", "center")) if config[key]]
    return {name: np.asarray(value) for name, value in zip([*names, *kept], layer.get_weights(), strict=True)}


def _batch_normalization(layer: Any, config: dict[str, Any], where: str) -> list[Step]:
    values = _arrays(layer, config, where, ("moving_mean", "moving_variance"))
    options = {key: config[key] for key in ("epsilon", "center", "scale")}
    made = BatchNorm(momentum=kept(config["momentum"]), **options)
    return [LastAxis(Filled(made, values, where), where, len(values["moving_mean"]))]


def _layer_normalization(layer: Any, config: dict[str, Any], where: str) -> list[Step]:
    values = _arrays(layer, config, where, ())
    if config.get("rms_scaling"):
        raise ValueError(f"{where}: rms_scaling=True is not supported")
    made = LayerNorm(**{key: config[key] for key in ("epsilon", "center", "scale")})
    return [LastAxis(Filled(made, values, where), where)]


READERS: dict[str, Reader] = {
    "InputLayer": lambda layer, config, where: [],
    "Flatten": _flatten,
    "Identity": lambda layer, config, where: [],
    "Dense": _dense,
    "Activation": _function,
    "Dropout": _dropout(Dropout),
    "AlphaDropout": _dropout(AlphaDropout),
    "GaussianDropout": lambda layer, config, where: [GaussianDropout(config["rate"])],
    "GaussianNoise": lambda layer, config, where: [GaussianNoise(config["stddev"])],
    "BatchNormalization": _batch_normalization,
    "LayerNormalization": _layer_normalization,
    "Rescaling": _rescaling,
    "Normalization": _normalization,
    "ReLU": _relu,
    "LeakyReLU": lambda layer, config, where: [act.LeakyReLU(config["negative_slope"])],
    "ELU": lambda layer, config, where: [act.ELU(config["alpha"])],
    "Softmax": _softmax,
}


def _is_keras(thing: Any) -> bool:
    return type(thing).__module__.startswith(("keras.src.", "keras.layers", "keras.models"))


def from_keras(model: Any) -> Model:
    from fastnn.model import Model

    if not _is_keras(model) or type(model).__name__ != "Sequential":
        raise TypeError(f"model: expected a keras.Sequential of Keras 3, got {type(model).__name__}")
    steps: list[Step] = []
    for index, layer in enumerate(model.layers):
        kind = type(layer).__name__
        where = f"layer {index} ({kind} {layer.name!r})"
        if not _is_keras(layer) or kind not in READERS:
            raise ValueError(f"{where}: this layer is not supported; those that are: {', '.join(sorted(READERS))}")
        if layer.compute_dtype != layer.variable_dtype:
            raise ValueError(
                f"{where}: expected a layer that computes in the type of its weights, got {layer.compute_dtype} with "
                f"weights of {layer.variable_dtype}"
            )
        with naming(where):
            steps += READERS[kind](layer, layer.get_config(), where)
    shape = _row(model)
    parts, _ = shaped(steps, shape)
    types = {part.weights.dtype for part in parts if isinstance(part, Weights)}
    if not types <= {np.dtype(np.float32), np.dtype(np.float64)} or len(types) != 1:
        found = ", ".join(sorted(map(str, types))) or "no Dense layer"
        raise ValueError(f"model: expected Dense layers that are all float32 or all float64, got {found}")
    return assemble(Model, parts, types.pop(), None if isinstance(shape, Unknown) else math.prod(shape))


def _row(model: Any) -> Shape:
    """The shape of a row of the input."""
    shape = model.input_shape[1:] if model.built else None
    if shape is None or None not in shape:
        return Unknown() if shape is None else tuple(shape)
    if len(shape) > 1:
        raise ValueError(f"model: expected rows of a known shape, got {shape}")
    return Unknown(flat=True)
