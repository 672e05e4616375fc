"""To and from PyTorch: the same predictions, in both directions, for every module and every activation."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from fastnn import (
    AlphaDropout,
    BatchNorm,
    Dense,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    Input,
    LayerNorm,
    Model,
    Normalization,
    ReLU,
    Rescale,
    custom,
    from_torch,
)
from fastnn.activations import Activation

torch = pytest.importorskip("torch", reason="PyTorch is not installed (peers extra)")
nn = torch.nn

NAMES = sorted({cls.names[0] for cls in Activation.registry.values()})
X = (np.random.default_rng(0).standard_normal((40, 6)) * 3).astype(np.float32)

MODULES = {
    "Identity": lambda: nn.Identity(), "Flatten": lambda: nn.Flatten(), "Dropout": lambda: nn.Dropout(0.3),
    "ReLU": lambda: nn.ReLU(), "ReLU6": lambda: nn.ReLU6(), "Hardtanh": lambda: nn.Hardtanh(),
    "Hardtanh 0 6": lambda: nn.Hardtanh(0, 6), "LeakyReLU": lambda: nn.LeakyReLU(0.2), "ELU": lambda: nn.ELU(0.7),
    "CELU": lambda: nn.CELU(2.0), "SELU": lambda: nn.SELU(), "GELU": lambda: nn.GELU(),
    "GELU tanh": lambda: nn.GELU(approximate="tanh"), "SiLU": lambda: nn.SiLU(), "Mish": lambda: nn.Mish(),
    "Softplus": lambda: nn.Softplus(), "Softplus 3": lambda: nn.Softplus(3.0), "Sigmoid": lambda: nn.Sigmoid(),
    "Hardsigmoid": lambda: nn.Hardsigmoid(), "Hardswish": lambda: nn.Hardswish(), "Tanh": lambda: nn.Tanh(),
    "AlphaDropout": lambda: nn.AlphaDropout(0.2),
    "Softmax": lambda: nn.Softmax(dim=1), "LogSoftmax": lambda: nn.LogSoftmax(dim=-1),
}  # fmt: skip


def predicted(net: Any, rows: np.ndarray, dtype: Any = None) -> np.ndarray:
    result: np.ndarray = net.eval()(torch.from_numpy(rows.astype(dtype or np.float32))).detach().numpy()
    return result


@pytest.mark.parametrize("name", MODULES)
def test_every_module_comes_in(name: str, dtype: np.dtype[Any]) -> None:
    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(6, 9), MODULES[name](), nn.Linear(9, 4, bias=False), MODULES[name]())
    net = net.to(getattr(torch, dtype.name))
    model = from_torch(net)
    assert model.dtype == dtype
    tolerance = 1e-5 if dtype == np.float32 else 1e-8
    np.testing.assert_allclose(model.predict(X), predicted(net, X, dtype), rtol=tolerance, atol=tolerance)


def test_every_reader_is_tested() -> None:
    from fastnn.interop._torch import READERS

    assert {name.split()[0] for name in MODULES} | {"Linear", "BatchNorm1d", "LayerNorm"} == set(READERS)


def stirred(net: Any) -> Any:
    """With weights and moments that are not those of the start."""
    with torch.no_grad():
        for tensor in [*net.parameters(), *net.buffers()]:
            if tensor.dtype.is_floating_point:
                tensor.uniform_(0.4, 1.6)
    return net


def normalized() -> Any:
    return nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 8), nn.BatchNorm1d(8, eps=0.01, momentum=0.3, affine=False),
                         nn.LayerNorm(8, bias=False), nn.ReLU(), nn.LayerNorm(8, eps=0.01),
                         nn.LayerNorm(8, elementwise_affine=False), nn.Linear(8, 3))  # fmt: skip


def test_normalizations_come_in_and_go_out(dtype: np.dtype[Any]) -> None:
    net = stirred(normalized()).to(getattr(torch, dtype.name))
    model = from_torch(net)
    assert model.layers[0].momentum == pytest.approx(0.9)
    tolerance = 1e-5 if dtype == np.float32 else 1e-11
    wanted = predicted(net, X, dtype)
    np.testing.assert_allclose(model.predict(X), wanted, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(predicted(model.to_torch(), X, dtype), wanted, rtol=tolerance, atol=tolerance)
    with pytest.raises(ValueError, match="expected track_running_stats=True and a momentum"):
        from_torch(nn.Sequential(nn.Linear(6, 3), nn.BatchNorm1d(3, momentum=None)))
    with pytest.raises(ValueError, match=r"expected a shape of one axis, the features, got \(2, 3\)"):
        from_torch(nn.Sequential(nn.Linear(6, 3), nn.LayerNorm((2, 3))))


def test_moments_of_data_and_noise_go_out() -> None:
    layers = [Normalization(mean=range(6), variance=[1, 4, 0, 9, 2, 1]), Dense(6, 5), GaussianNoise(0.3), ReLU(),
              GaussianDropout(0.2), BatchNorm(scale=False), LayerNorm(center=False), AlphaDropout(0.1),
              Dense(3)]  # fmt: skip
    model = Model(layers, seed=0)
    model.set(loss="mse", optimizer="adam")
    model.train(X, X[:, :3], epochs=3, batch_size=8)
    net = model.to_torch()
    np.testing.assert_allclose(predicted(net, X), model.predict(X), rtol=1e-5, atol=1e-5)
    net.train()
    assert not np.allclose(net(torch.from_numpy(X)).detach().numpy(), model.predict(X), atol=1e-2)


def test_nested_networks_and_single_modules() -> None:
    torch.manual_seed(2)
    inner = nn.Sequential(nn.Linear(8, 5), nn.Sequential(nn.Tanh()))
    net = nn.Sequential(nn.Flatten(), nn.Linear(6, 8), nn.GELU(), inner, nn.Linear(5, 3), nn.Softmax(1))
    np.testing.assert_allclose(from_torch(net).predict(X), predicted(net, X), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(from_torch(inner[0]).predict(X[:, :1].repeat(8, 1)),
                               predicted(inner[0], X[:, :1].repeat(8, 1)), rtol=1e-5, atol=1e-6)  # fmt: skip


def test_the_weights_are_copies() -> None:
    net = nn.Linear(6, 3)
    model = from_torch(net)
    before = model.predict(X)
    with torch.no_grad():
        net.weight.zero_()
    assert np.array_equal(model.predict(X), before)


class Mine(nn.ReLU):
    def forward(self, x: Any) -> Any:
        return x * 2


class Forward(nn.Module):
    def forward(self, x: Any) -> Any:
        return x


@pytest.mark.parametrize(
    ("net", "text"),
    [
        (nn.Sequential(nn.Linear(6, 2), nn.Conv1d(1, 1, 1)), r"module.1 \(Conv1d\): this module is not supported"),
        (nn.Sequential(nn.Linear(6, 2), Mine()), r"module.1 \(Mine\): this module is not supported"),
        (nn.Sequential(nn.Linear(6, 2), nn.Sequential(nn.Tanh(), nn.PReLU())), r"module.1.1 \(PReLU\)"),
        (Forward(), r"module \(Forward\): this module is not supported; those that are: AlphaDropout, "),
        (nn.Sequential(nn.Linear(6, 2), nn.Softmax(dim=0)), r"expected dim=1, the features, got 0"),
        (nn.Sequential(nn.Flatten(0), nn.Linear(6, 2)), "expected start_dim=1 and end_dim=-1"),
        (nn.Sequential(nn.Linear(6, 2), nn.Hardtanh(-2, 2)), "expected the bounds -1 and 1, or 0 and 6, got -2 and 2"),
        (nn.Sequential(nn.Tanh()), "it has no Linear and no normalization with weights"),
        (nn.Sequential(nn.Linear(6, 2), nn.Linear(2, 2).double()), "got float32 and float64"),
        (nn.Sequential(nn.Linear(6, 2), nn.Softplus(1.0, 2.0)), "expected a threshold of at least 12, got 2.0"),
        (nn.Sequential(nn.Linear(6, 2), nn.Softplus(0.0)), r"^module.1 \(Softplus\): float division by zero"),
        (nn.Sequential(nn.Linear(6, 2), nn.CELU(-0.5)), "expected alpha more than 0, got -0.5"),
        (nn.Sequential(nn.Linear(6, 2), nn.Linear(3, 2)), r"module.1 \(Linear\): expected rows of 3 numbers, got 2"),
        (nn.Sequential(nn.Linear(6, 2), nn.LeakyReLU(float("nan"))), r"^module.1 \(LeakyReLU\): alpha: expected"),
        (nn.Sequential(nn.Linear(6, 2), nn.BatchNorm1d(2, momentum=2.0)), r"^module.1 \(BatchNorm1d\): momentum: "),
    ],
)
def test_what_is_not_supported_is_named(net: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        from_torch(net)


def test_a_module_that_occurs_twice_comes_twice() -> None:
    act, shared = nn.ReLU(), nn.Linear(6, 6)
    inner = nn.Sequential(nn.Linear(6, 6), nn.Tanh())
    for net in (
        nn.Sequential(nn.Linear(6, 4), act, nn.Linear(4, 5), act, nn.Linear(5, 3)),
        nn.Sequential(shared, nn.ReLU(), shared),
        nn.Sequential(inner, inner),
    ):
        model = from_torch(net)
        assert sum(isinstance(layer, Dense) for layer in model.layers) == sum(
            isinstance(m, nn.Linear) for m in net.modules()
        ) + (net[0] is shared or net[0] is inner)
        with torch.no_grad():
            np.testing.assert_allclose(model.predict(X), net(torch.from_numpy(X)).numpy(), rtol=1e-5, atol=1e-6)


def test_hooks_and_a_forward_of_its_own_are_refused() -> None:
    def hooked(register: str) -> Any:
        net = nn.Sequential(nn.Linear(6, 2))
        getattr(net[0], register)(lambda *given: None)
        return net

    outer, replaced = nn.Sequential(nn.Linear(6, 2)), nn.Sequential(nn.Linear(6, 2))
    outer.register_forward_hook(lambda module, x, y: y * 2)
    replaced[0].forward = lambda x: x[:, :2]
    for net in (hooked("register_forward_hook"), hooked("register_forward_pre_hook"), outer, replaced):
        with pytest.raises(ValueError, match="hooks or a forward of its own, which may compute something else"):
            from_torch(net)


def test_normalizations_say_how_wide_the_input_is() -> None:
    for net in (nn.Sequential(nn.BatchNorm1d(6), nn.ReLU()), nn.Sequential(nn.LayerNorm(6))):
        net.eval()
        with torch.no_grad():
            wanted = net(torch.from_numpy(X)).numpy()
        np.testing.assert_allclose(from_torch(net).predict(X), wanted, rtol=1e-5, atol=1e-6)


ALONG = [
    nn.Sequential(nn.Softmax(dim=1), nn.Flatten(), nn.Linear(8, 2)),
    nn.Sequential(nn.Tanh(), nn.LogSoftmax(dim=-1), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2)),
    nn.Sequential(nn.Linear(4, 4), nn.Flatten(), nn.Linear(8, 2)),
    nn.Sequential(nn.LayerNorm(4), nn.Flatten(), nn.Linear(8, 2)),
    nn.Sequential(nn.LayerNorm(4, elementwise_affine=False), nn.Flatten(), nn.Linear(8, 2)),
    nn.Sequential(nn.BatchNorm1d(2), nn.Flatten(), nn.Linear(8, 2)),
    nn.Sequential(nn.BatchNorm1d(2, affine=False), nn.Flatten(), nn.Linear(8, 2)),
    nn.Sequential(nn.Flatten(), nn.Linear(8, 8), nn.LayerNorm(4, elementwise_affine=False), nn.Linear(8, 2)),
]


@pytest.mark.parametrize("net", ALONG)
def test_what_works_along_one_axis_of_several_is_refused(net: Any) -> None:
    with pytest.raises(
        ValueError, match=r"^module\.\d \(.*flatten them first|^module\.\d \(.*numbers, got [48]$|got 2$"
    ):
        from_torch(net)


def test_a_flatten_of_one_axis_changes_nothing() -> None:
    for net in (
        nn.Sequential(nn.Linear(6, 4), nn.Flatten(), nn.LayerNorm(4), nn.Linear(4, 3), nn.Softmax(1), nn.Flatten()),
        nn.Sequential(nn.Flatten(), nn.Softmax(1), nn.Flatten(), nn.Linear(6, 3)),
        nn.Sequential(nn.LayerNorm(6), nn.Softmax(-1), nn.Flatten(), nn.Linear(6, 3)),
        nn.Sequential(nn.Softmax(1), nn.Flatten(1, 1), nn.Linear(6, 3)),
    ):
        np.testing.assert_allclose(from_torch(net).predict(X), predicted(net, X), rtol=1e-5, atol=1e-6)


def test_a_momentum_at_its_end_comes_in() -> None:
    net = nn.Sequential(nn.Linear(6, 3), nn.BatchNorm1d(3, momentum=0.0))
    model = from_torch(net)
    assert model.layers[1].momentum == np.nextafter(1, 0)
    np.testing.assert_allclose(model.predict(X), predicted(net, X), rtol=1e-5, atol=1e-6)


def test_a_tensor_that_is_lazily_negative_is_read_with_its_sign() -> None:
    imaginary = torch.tensor([[1 + 2j, 3 + 4j]]).conj().imag
    assert imaginary.is_neg()
    model = Model([Input(2)])
    np.testing.assert_array_equal(model.predict(imaginary), [[-2, -4]])


def test_what_is_no_module_is_refused() -> None:
    with pytest.raises(TypeError, match=r"expected a torch.nn.Sequential of layers, got dict"):
        from_torch(nn.Linear(2, 2).state_dict() and {})
    with pytest.raises(TypeError, match="cannot be read as an array"):
        from_torch(nn.Linear(2, 2).to(torch.bfloat16))


# --- out ---


@pytest.mark.parametrize("name", NAMES)
def test_every_activation_goes_out_and_comes_back(name: str, dtype: np.dtype[Any]) -> None:
    slope = [0.3] if name in ("elu", "leaky_relu") else []
    layers = [Input(6), Dense(8), Activation.registry[name](*slope), Dropout(0.2), Dense(4),
              Activation.registry[name](*slope)]  # fmt: skip
    model = Model(layers, seed=3, dtype=dtype)
    model.finalize()
    rows = X / 10 if name == "exponential" else X
    net = model.to_torch()
    assert not net.training
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(predicted(net, rows, dtype), model.predict(rows), rtol=tolerance, atol=tolerance)
    if name not in ("exponential", "step"):
        again = from_torch(net)
        assert again.layers[0].weights.tobytes() == model.layers[1].weights.tobytes()
        np.testing.assert_array_equal(again.predict(rows), model.predict(rows))


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"exponential"}))
def test_far_out_the_functions_are_the_same(name: str, dtype: np.dtype[Any]) -> None:
    model = Model([Input(6), Activation.registry[name]()], dtype=dtype)
    model.finalize()
    far = (X * 40).astype(dtype)
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(predicted(model.to_torch(), far, dtype), model.predict(far), rtol=tolerance, atol=1e-6)


def test_what_goes_out_trains_pickles_and_counts_the_same() -> None:
    model = Model([Rescale(0.5, 1.0), Dense(6, 5, activation="relu"), Dense(3)], seed=0)
    net = model.to_torch()
    assert sum(p.numel() for p in net.parameters()) == model.parameter_count
    np.testing.assert_allclose(predicted(copy.deepcopy(net), X), model.predict(X), rtol=1e-5, atol=1e-5)
    net.train()
    loss = net(torch.from_numpy(X)).square().mean()
    loss.backward()
    assert net[1].weight.grad is not None
    with torch.no_grad():
        net[1].weight.zero_()
    assert model.layers[1].weights.any()  # ours are not theirs


class Twice(custom.Layer):
    def forward(self, x):
        return 2 * x

    def backward(self, dy):
        return 2 * dy


def test_a_layer_in_python_is_refused() -> None:
    with pytest.raises(ValueError, match=r"layer 1 \(Twice\): a layer written in Python has no form in PyTorch"):
        Model([Dense(3, 2), Twice()]).to_torch()
    with pytest.raises(ValueError, match="not finalized"):
        Model([Dense(2)]).to_torch()
