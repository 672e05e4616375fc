"""fastnn.nnfs by its parts: names and defaults, what stays on the objects, models of own parts, files, messages."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nets import OwnDense, net, weights

import fastnn
from fastnn import nnfs, schedules
from fastnn.kernels.twister import drop, put_state, take_state
from fastnn.nnfs.datasets import sine_data, spiral_data, vertical_data

SIGNATURES = {
    "Layer_Dense": "n_inputs, n_neurons, weight_regularizer_l1=0, weight_regularizer_l2=0, bias_regularizer_l1=0, "
    "bias_regularizer_l2=0",
    "Layer_Dropout": "rate",
    "Optimizer_SGD": "learning_rate=1.0, decay=0.0, momentum=0.0",
    "Optimizer_Adagrad": "learning_rate=1.0, decay=0.0, epsilon=1e-07",
    "Optimizer_RMSprop": "learning_rate=0.001, decay=0.0, epsilon=1e-07, rho=0.9",
    "Optimizer_Adam": "learning_rate=0.001, decay=0.0, epsilon=1e-07, beta_1=0.9, beta_2=0.999",
    "Accuracy_Categorical": "*, binary=False",
    "Model.set": "self, *, loss=None, optimizer=None, accuracy=None",
    "Model.train": "self, X, y, *, epochs=1, batch_size=None, print_every=1, validation_data=None",
    "Model.evaluate": "self, X_val, y_val, *, batch_size=None",
    "Model.predict": "self, X, *, batch_size=None",
    "Loss.calculate": "self, output, y, *, include_regularization=False",
}


@pytest.fixture(autouse=True)
def _seeded() -> None:
    nnfs.init()


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures_and_defaults_are_the_books(name: str) -> None:
    function: Any = nnfs
    for part in name.split("."):
        function = getattr(function, part)
    parameters = inspect.signature(function).parameters.values()
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in parameters]
    assert str(inspect.Signature(bare))[1:-1] == SIGNATURES[name]


# --- numbers and types ---


def test_init_seeds_the_global_generator_and_chooses_the_type() -> None:
    first = nnfs.Layer_Dense(3, 4).weights
    nnfs.init()
    np.testing.assert_array_equal(nnfs.Layer_Dense(3, 4).weights, first)
    np.random.seed(0)
    np.testing.assert_array_equal(first, 0.01 * np.random.randn(3, 4).astype(np.float32))
    assert first.dtype == np.float32
    assert nnfs.Layer_Dense(3, 4).biases.dtype == np.float32
    nnfs.init(default_dtype=None)
    assert {a.dtype for a in (*spiral_data(5, 2)[:1], *sine_data(5), nnfs.Layer_Dense(1, 1).weights)} == {
        np.dtype(np.float64)
    }
    place = np.random.get_state()[2]
    nnfs.init(random_seed=None)
    assert np.random.get_state()[2] == place
    with pytest.raises(ValueError, match="default_dtype: expected float32 or float64, got 'int8'"):
        nnfs.init(default_dtype="int8")


def test_data_have_the_books_shapes_and_types() -> None:
    for X, y in (spiral_data(samples=10, classes=3), vertical_data(samples=10, classes=3)):
        assert (X.shape, X.dtype, y.shape, y.dtype) == ((30, 2), np.float32, (30,), np.uint8)
        assert y.tolist() == [0] * 10 + [1] * 10 + [2] * 10
    X, y = sine_data(100)
    assert X.shape == y.shape == (100, 1)


@pytest.mark.parametrize("keep", [0.9, 0.5, 0.2, 1 - 0.1, 1.0])
@pytest.mark.parametrize("used", [0, 1, 17])
def test_masks_are_numpys_own_to_the_last_word(keep: float, used: int, isa: str) -> None:
    np.random.seed(7)
    for _ in range(used):
        np.random.randint(0, 2**31, dtype=np.int32)  # takes one word: the doubles then lie across two blocks
    state = take_state()
    wanted = np.random.binomial(1, keep, size=5001) / keep
    after = np.random.rand()
    for kind in (np.float32, np.float64):
        put_state(state)
        masks = [drop(np.ones(n, kind), keep)[1] for n in (13, 687, 4301)]
        np.testing.assert_array_equal(np.concatenate(masks), wanted.astype(kind))
        assert np.random.rand() == after


def test_a_number_next_to_the_limit_is_told_by_its_second_word() -> None:
    np.random.seed(11)
    state = take_state()
    for keep in np.random.rand(400)[::7]:  # the limit lies within an ulp of a number of the stream
        put_state(state)
        wanted = np.random.binomial(1, keep, size=500) / keep
        put_state(state)
        np.testing.assert_array_equal(drop(np.ones(500), keep)[1], wanted)


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (41, 311), (2, 3, 700)])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_dropout_draws_where_numpy_keeps_its_state(shape: tuple[int, ...], kind: Any, isa: str) -> None:
    np.random.seed(3)
    x = np.random.randn(*shape).astype(kind)
    np.random.randint(0, 2**31, dtype=np.int32)
    state = np.random.get_state()
    wanted = (np.random.binomial(1, 1 - 0.1, size=shape) / (1 - 0.1)).astype(kind)
    after = np.random.rand()
    np.random.set_state(state)
    layer = nnfs.Layer_Dropout(0.1)
    layer.forward(x)
    np.testing.assert_array_equal(layer.binary_mask, wanted)
    np.testing.assert_array_equal(layer.output, x * wanted)
    assert layer.output.dtype == layer.binary_mask.dtype == kind
    layer.backward(x)
    np.testing.assert_array_equal(layer.dinputs, x * wanted)
    assert np.random.rand() == after


def test_another_generator_behind_numpy_random_draws_its_own_masks() -> None:
    before = np.random.get_bit_generator()
    try:
        np.random.set_bit_generator(np.random.PCG64(3))
        assert take_state() is None
        layer = nnfs.Layer_Dropout(0.5)
        layer.forward(np.ones((100, 200), np.float32))
        np.random.set_bit_generator(np.random.PCG64(3))
        np.testing.assert_array_equal(layer.binary_mask, np.random.binomial(1, 0.5, (100, 200)) / 0.5)
        X, y = spiral_data(20, 3)
        net().train(X, y, print_every=0)
    finally:
        np.random.set_bit_generator(before)


# --- parts by hand ---


def test_what_a_pass_leaves_on_the_parts() -> None:
    X, y = spiral_data(10, 3)
    dense, relu, last = nnfs.Layer_Dense(2, 4), nnfs.Activation_ReLU(), nnfs.Layer_Dense(4, 3)
    drop, head = nnfs.Layer_Dropout(0.5), nnfs.Activation_Softmax_Loss_CategoricalCrossentropy()
    dense.forward(X)
    relu.forward(dense.output)
    drop.forward(relu.output)
    last.forward(drop.output)
    loss = head.forward(last.output, y)
    assert isinstance(loss, np.float32)
    head.backward(head.output, y)
    last.backward(head.dinputs)
    drop.backward(last.dinputs)
    relu.backward(drop.dinputs)
    dense.backward(relu.dinputs)
    assert dense.inputs is X
    assert relu.inputs is dense.output
    assert set(np.unique(drop.binary_mask)) == {0, 2}
    assert dense.dinputs.shape == X.shape
    assert dense.dweights.shape == dense.weights.shape
    assert last.dbiases.shape == (1, 3)
    kept = dense.output
    dense.forward(X[:5])
    assert kept.shape == (30, 4)  # a pass makes arrays of its own: what a program keeps is not written over
    drop.forward(relu.output, training=False)
    np.testing.assert_array_equal(drop.output, relu.output)
    adam = nnfs.Optimizer_Adam()
    adam.update_params(last)
    assert {"weight_momentums", "bias_momentums", "weight_cache", "bias_cache"} <= set(vars(last))


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64, list])
def test_relu_goes_back_by_its_inputs(kind: Any) -> None:
    x = [[1, -2, 0], [-1, 3, -0]]
    relu, d = nnfs.Activation_ReLU(), np.full((2, 3), 0.5, np.float32)
    relu.forward(x if kind is list else np.array(x, kind))  # type: ignore[arg-type]
    relu.output *= -1  # a mask, say
    relu.backward(d)
    np.testing.assert_array_equal(relu.dinputs, [[0.5, 0, 0], [0, 0.5, 0]])
    other = nnfs.Activation_ReLU()
    other.inputs = np.array(x, np.float32)
    other.backward(d)
    np.testing.assert_array_equal(other.dinputs, relu.dinputs)


def test_where_losses_differ_from_the_books() -> None:
    mae, cce = nnfs.Loss_MeanAbsoluteError(), nnfs.Loss_CategoricalCrossentropy()
    mae.backward(np.array([[1.0], [3.0]]), np.array([[2.0], [2.0]]))
    np.testing.assert_array_equal(mae.dinputs, [[-0.5], [0.5]])
    p = np.array([[0.25, 0.75]])
    assert cce.calculate(p, np.array([[0.5, 0.5]])) == pytest.approx(-0.5 * np.log(0.25) - 0.5 * np.log(0.75))
    cce.backward(np.array([[0.0, 1.0]]), np.array([0]))
    np.testing.assert_allclose(cce.dinputs, [[-1e7, 0]])


def test_lists_other_types_and_layouts_are_taken() -> None:
    dense = nnfs.Layer_Dense(4, 3)
    dense.weights = np.arange(12.0).reshape(3, 4).T  # rows far apart
    dense.forward([[1, 2, 3, 4]])  # type: ignore[arg-type]
    np.testing.assert_array_equal(dense.output, [[20, 60, 100]])
    dense.backward(np.ones((1, 3), np.float32))
    np.testing.assert_array_equal(dense.dweights[:, 0], [1, 2, 3, 4])
    nnfs.Optimizer_SGD().update_params(dense)
    np.testing.assert_array_equal(dense.weights[0], [-1, 3, 7])
    loss = nnfs.Loss_CategoricalCrossentropy()
    assert loss.calculate(np.array([[0.5, 0.5]]), [0]) == pytest.approx(np.log(2))


@pytest.mark.parametrize("kind", [list, np.int64, np.uint8, np.float16])
def test_whole_weights_do_not_make_the_inputs_whole(kind: Any) -> None:
    dense = nnfs.Layer_Dense(2, 2, weight_regularizer_l1=0.5)
    dense.weights = [[1, 2], [3, 4]] if kind is list else np.array([[1, 2], [3, 4]], kind)  # type: ignore[assignment]
    for x in (np.array([[0.5, 0.25]]), np.array([[0.5, 0.25]], np.float32), [[0.5, 0.25]]):
        dense.forward(x)  # type: ignore[arg-type]
        np.testing.assert_array_equal(dense.output, [[1.25, 2.0]])
        dense.backward(np.array([[1.0, 0.5]]))
        np.testing.assert_array_equal(dense.dweights, [[1.0, 0.75], [0.75, 0.625]])
        np.testing.assert_array_equal(dense.dinputs, [[2, 5]])
    assert nnfs.Loss().regularization_loss(dense) == 5


def test_a_model_takes_weights_from_lists() -> None:
    nnfs.init(default_dtype=None)
    X, y = spiral_data(20, 3)
    model = net()
    wanted = model.predict(X)
    other = net()
    other.set_parameters([(w.tolist(), b.tolist()) for w, b in model.get_parameters()])
    np.testing.assert_array_equal(other.predict(X), wanted)
    other.train(X, y, print_every=0)
    assert other.layers[0].weights.dtype == np.float64


def test_a_loss_of_ones_own_may_give_whole_numbers_or_a_list() -> None:
    class Mistakes(nnfs.Loss):
        def forward(self, y_pred: Any, y_true: Any) -> Any:
            return y_pred[:, 0] != y_true

    class Given(nnfs.Loss):
        def forward(self, y_pred: Any, y_true: Any) -> Any:
            return y_pred

    assert Mistakes().calculate(np.array([[1], [2], [3]]), np.array([1, 2, 4])) == pytest.approx(1 / 3)
    for losses in ([1, 2], np.array([1, 2]), [1.0, 2.0], np.array([1, 2], np.uint8)):
        loss = Given()
        mean = loss.calculate(losses, [])  # type: ignore[arg-type]
        assert (mean, type(mean)) == (1.5, np.float64)
        assert loss.calculate_accumulated() == 1.5
    assert type(Given().calculate(np.ones(2, np.float32), [])) is np.float32
    assert Given().calculate(np.array([[1.0, 3.0], [5.0, 7.0]]), []) == 4  # over all, as in the book


@pytest.mark.parametrize("targets", ["labels", "long labels", "one-hot", "list"])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_the_merged_head_is_its_two_parts_to_the_bit(kind: Any, targets: str) -> None:
    rng = np.random.default_rng(0)
    z, y = (3 * rng.standard_normal((37, 3))).astype(kind), rng.integers(0, 3, 37)
    t: Any = {
        "labels": y.astype(np.uint8), "long labels": y, "one-hot": np.eye(3, dtype=kind)[y], "list": y.tolist()
    }[targets]  # fmt: skip
    head, softmax, loss = (
        nnfs.Activation_Softmax_Loss_CategoricalCrossentropy(),
        nnfs.Activation_Softmax(),
        nnfs.Loss_CategoricalCrossentropy(),
    )
    for _ in range(2):
        softmax.forward(z)
        apart, merged = loss.calculate(softmax.output, t), head.forward(z, t)
        assert type(merged) is type(apart) is kind
        assert merged == apart
        np.testing.assert_array_equal(head.output, softmax.output)
    assert head.activation.output is head.output
    assert head.activation.inputs is z
    assert (head.loss.accumulated_sum, head.loss.accumulated_count) == (loss.accumulated_sum, 74)
    assert head.loss.calculate_accumulated() == loss.calculate_accumulated()
    with pytest.raises(ValueError, match="labels 0 to 2, got 0 to 3"):
        head.forward(z, np.append(y[1:], 3))


def test_the_merged_head_takes_parts_that_were_put_in() -> None:
    class Doubled(nnfs.Loss_CategoricalCrossentropy):
        def forward(self, y_pred: Any, y_true: Any) -> Any:
            return 2 * super().forward(y_pred, y_true)

    z, y = np.zeros((4, 3), np.float32), np.array([0, 1, 2, 0])
    head = nnfs.Activation_Softmax_Loss_CategoricalCrossentropy()
    plain = head.forward(z, y)
    head.loss = Doubled()
    assert head.forward(z, y) == pytest.approx(2 * plain)
    head.activation = nnfs.Activation_Sigmoid()  # type: ignore[assignment]
    assert head.forward(z, y) == pytest.approx(-2 * np.log(0.5))


@pytest.mark.parametrize(
    "make",
    [nnfs.Optimizer_SGD, lambda: nnfs.Optimizer_SGD(0.1, momentum=0.9), nnfs.Optimizer_Adagrad,
     nnfs.Optimizer_RMSprop, nnfs.Optimizer_Adam],
)  # fmt: skip
@pytest.mark.parametrize("odd", ["weights", "biases"])
def test_a_step_is_the_same_where_one_array_lies_otherwise(make: Any, odd: str) -> None:
    layers = []
    for lies_otherwise in (False, True):
        layer, rng = nnfs.Layer_Dense(5, 4), np.random.default_rng(0)
        layer.weights, layer.biases = (rng.standard_normal(s).astype(np.float32) for s in ((5, 4), (1, 4)))
        layer.dweights, layer.dbiases = (rng.standard_normal(s).astype(np.float32) for s in ((5, 4), (1, 4)))
        if lies_otherwise:  # every second row or column of something larger
            wide = np.repeat(np.repeat(getattr(layer, odd), 2, axis=0), 2, axis=1)
            setattr(layer, odd, wide[::2, ::2])
        optimizer = make()
        for _ in range(3):
            optimizer.update_params(layer)
            optimizer.post_update_params()
        layers.append(layer)
    plain, other = layers
    assert not getattr(other, odd).flags.c_contiguous
    assert vars(plain).keys() == vars(other).keys()
    for name in ("weights", "biases", "weight_cache", "bias_cache", "weight_momentums", "bias_momentums"):
        if hasattr(plain, name):
            np.testing.assert_array_equal(getattr(plain, name), getattr(other, name))


def test_accumulated_losses_and_accuracies() -> None:
    loss, accuracy = nnfs.Loss_MeanSquaredError(), nnfs.Accuracy_Regression()
    accuracy.init(np.array([[0.0], [250.0]]))
    assert accuracy.precision == 0.5
    for p in ([[1.0]], [[3.0], [0.2]]):
        y = np.zeros((len(p), 1))
        loss.calculate(np.array(p), y)
        accuracy.calculate(np.array(p), y)
    assert loss.calculate_accumulated() == pytest.approx((1 + 9 + 0.04) / 3)
    assert accuracy.calculate_accumulated() == pytest.approx(1 / 3)
    loss.new_pass()
    accuracy.new_pass()
    assert (loss.accumulated_count, accuracy.accumulated_count) == (0, 0)
    dense = nnfs.Layer_Dense(2, 2, weight_regularizer_l1=0.5, bias_regularizer_l2=2)
    dense.weights[...], dense.biases[...] = [[1, -2], [0, 1]], 3
    assert loss.regularization_loss(dense) == pytest.approx(0.5 * 4 + 2 * 18)
    loss.remember_trainable_layers([dense, dense])
    assert loss.calculate(np.ones((1, 1)), np.ones((1, 1)), include_regularization=True) == pytest.approx((0, 76))


def test_accuracies_of_lists_and_columns() -> None:
    regression = nnfs.Accuracy_Regression()
    for y in ([0.0, 250.0], [[0.0], [250.0]], np.array([0.0, 250.0])):
        regression.init(y, reinit=True)  # type: ignore[arg-type]
        assert regression.precision == 0.5
        assert regression.calculate(np.array([[0.1], [2.0]]), y) == 0.5  # type: ignore[arg-type]
    classes = nnfs.Accuracy_Categorical()
    assert classes.calculate([0, 1, 1, 2], [0, 1, 0, 2]) == 0.75  # type: ignore[arg-type]
    assert classes.calculate([0, 1], [[1, 0], [1, 0]]) == 0.5  # type: ignore[arg-type]
    binary = nnfs.Accuracy_Categorical(binary=True)
    assert binary.calculate(np.array([[1], [0], [1]]), np.array([1, 0, 0])) == pytest.approx(2 / 3)
    assert binary.accumulated_count == 3


# --- the model ---


def test_training_in_two_calls_is_training_in_one(capsys: pytest.CaptureFixture[str]) -> None:
    finals = []
    for calls in ((6,), (2, 4)):
        nnfs.init()
        X, y = spiral_data(20, 3)
        model = net()
        for epochs in calls:
            model.train(X, y, epochs=epochs, print_every=0)
        finals.append(weights(model))
        assert model.optimizer is not None
        assert model.optimizer.iterations == 6
    for a, b in zip(*finals, strict=True):
        np.testing.assert_array_equal(a, b)
    assert capsys.readouterr().out == ""


def test_layers_and_engine_share_their_arrays() -> None:
    X, y = spiral_data(20, 3)
    model = net()
    model.train(X, y, epochs=3, print_every=0)
    first = model.layers[0]
    before = model.predict(X)
    first.weights *= 0  # in place
    assert not np.array_equal(model.predict(X), before)
    first.weights = np.ones((2, 9), np.float32)  # and by assignment
    np.testing.assert_allclose(model.predict(X), model.forward(X, training=False), rtol=1e-6)
    assert np.array_equal(first.weights, np.ones((2, 9)))
    moments = first.weight_momentums.copy()
    model.train(X, y, epochs=1, print_every=0)
    assert not np.array_equal(first.weight_momentums, moments)
    assert first.dweights.shape == (2, 9)
    model.set(optimizer=nnfs.Optimizer_RMSprop())
    model.train(X, y, epochs=1, print_every=0)
    model.backward(model.forward(X, training=True), y)
    assert model.layers[-1].dinputs.shape == (60, 3)


MAKERS = (nnfs.Optimizer_RMSprop, nnfs.Optimizer_Adam, lambda: nnfs.Optimizer_SGD(0.1, momentum=0.5),
          nnfs.Optimizer_Adagrad, nnfs.Optimizer_SGD)  # fmt: skip


def test_one_optimizer_after_another_finds_its_state_as_by_hand() -> None:
    results = []
    for dense in (nnfs.Layer_Dense, OwnDense):
        nnfs.init(default_dtype=None)
        X, y = spiral_data(20, 3)
        model = net(dense=dense)
        for make in MAKERS:
            model.set(optimizer=make())
            model.train(X, y, epochs=2, print_every=0)
        results.append([*weights(model), model.layers[0].weight_momentums, model.layers[0].weight_cache])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-12)


def test_a_model_takes_the_type_of_its_weights() -> None:
    X, y = spiral_data(20, 3)
    model = net()
    model.train(X, y, print_every=0)
    model.set_parameters([(w.astype(np.float64), b.astype(np.float64)) for w, b in model.get_parameters()])
    model.train(X, y, print_every=0)
    assert model.predict(X).dtype == model.layers[0].weights.dtype == np.float64


def test_finalize_ties_the_layers() -> None:
    model = net()
    assert model.input_layer is not None
    assert model.layers[0].prev is model.input_layer
    assert model.layers[0].next is model.layers[1]
    assert model.layers[-1].next is model.loss
    assert model.output_layer_activation is model.layers[-1]
    assert model.trainable_layers == [model.layers[0], model.layers[3]]
    assert model.softmax_classifier_output is not None


def test_copies_and_pickles_stand_alone() -> None:
    X, y = spiral_data(20, 3)
    model = net()
    model.train(X, y, print_every=0)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(other.predict(X), model.predict(X))
        other.layers[0].weights += 1
        assert not np.array_equal(other.predict(X), model.predict(X))


# --- learning rates ---


def test_a_schedule_gives_the_rate_of_each_step_by_hand_and_in_a_model() -> None:
    schedule = schedules.CosineDecay(0.05, decay_steps=8)
    by_hand = nnfs.Optimizer_SGD(learning_rate=schedule)
    assert by_hand.current_learning_rate == schedule(0)
    seen = []
    for _ in range(10):
        by_hand.pre_update_params()
        seen.append(by_hand.current_learning_rate)
        by_hand.post_update_params()
    assert seen == [schedule(step) for step in range(10)]
    X, y = spiral_data(20, 3)
    ends = []
    for own in (nnfs.Layer_Dense, OwnDense):  # whole runs on the engine, and step by step
        nnfs.init()
        model = net(optimizer=nnfs.Optimizer_Adam(schedule), dense=own)
        model.train(X, y, epochs=3, batch_size=20, print_every=0)
        assert model.optimizer is not None
        assert model.optimizer.current_learning_rate == schedule(model.optimizer.iterations - 1)
        ends.append(weights(model))
    for a, b in zip(*ends, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_a_schedule_and_a_decay_are_too_much() -> None:
    for kind in (nnfs.Optimizer_SGD, nnfs.Optimizer_Adagrad, nnfs.Optimizer_RMSprop, nnfs.Optimizer_Adam):
        with pytest.raises(ValueError, match=r"decay: expected 0 where learning_rate is a schedule, got 0\.1"):
            kind(schedules.StepDecay(0.1, 5), decay=0.1)


def test_a_schedule_is_saved_with_the_model(tmp_path: Path) -> None:
    X, y = spiral_data(20, 3)
    model = net(optimizer=nnfs.Optimizer_Adam(schedules.ExponentialDecay(0.05, 3, 0.5)))
    model.train(X, y, epochs=2, print_every=0)
    model.save(tmp_path / "m")
    loaded = nnfs.Model.load(tmp_path / "m")
    assert loaded.optimizer is not None
    assert loaded.optimizer.learning_rate.describe() == model.optimizer.learning_rate.describe()  # type: ignore
    state = np.random.get_state()
    for one in (model, loaded):
        np.random.set_state(state)
        one.train(X, y, epochs=3, print_every=0)
    for a, b in zip(weights(model), weights(loaded), strict=True):
        np.testing.assert_array_equal(a, b)


# --- files ---


def test_a_saved_model_goes_on_where_it_stopped(tmp_path: Path) -> None:
    X, y = spiral_data(20, 3)
    model = net()
    model.train(X, y, epochs=3, print_every=0)
    model.save(tmp_path / "spiral.model")
    loaded = nnfs.Model.load(tmp_path / "spiral.model")
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    state = np.random.get_state()
    for one in (model, loaded):
        np.random.set_state(state)
        one.train(X, y, epochs=3, print_every=0)
    for a, b in zip(weights(model), weights(loaded), strict=True):
        np.testing.assert_array_equal(a, b)
    loaded.evaluate(X, y)


def test_parameters_by_file_and_by_hand(tmp_path: Path) -> None:
    X, _ = spiral_data(20, 3)
    model, other = net(), net()
    model.save_parameters(tmp_path / "spiral.parms")
    other.load_parameters(tmp_path / "spiral.parms")
    np.testing.assert_array_equal(other.predict(X), model.predict(X))
    bare = nnfs.Model()  # no loss, no optimizer, no accuracy, as in chapter 22
    for layer in other.layers:
        bare.add(layer)
    bare.finalize()
    np.testing.assert_array_equal(bare.predict(X), model.predict(X))
    with pytest.raises(ValueError, match=r"parameters: expected 2 pairs \(weights, biases\), got 1"):
        other.set_parameters(model.get_parameters()[:1])


def test_parameters_of_another_network_are_refused_and_nothing_changes(tmp_path: Path) -> None:
    X, _ = spiral_data(20, 3)
    model, narrow = net(), nnfs.Model()
    narrow.add(nnfs.Layer_Dense(2, 9))
    narrow.add(nnfs.Layer_Dense(9, 2))
    narrow.finalize()
    narrow.save_parameters(tmp_path / "narrow.parms")
    before = model.predict(X)
    for give in (
        lambda: model.load_parameters(tmp_path / "narrow.parms"),
        lambda: model.set_parameters(narrow.get_parameters()),
    ):
        text = "parameters[1]: expected weights (9, 3) and biases (1, 3), got (9, 2) and (1, 2)"
        with pytest.raises(ValueError, match=re.escape(text)):
            give()
        np.testing.assert_array_equal(model.predict(X), before)


def test_files_that_are_refused(tmp_path: Path) -> None:
    model, path = net(), tmp_path / "file"
    path.write_bytes(pickle.dumps([1, 2]))
    for read in (nnfs.Model.load, model.load_parameters):
        with pytest.raises(fastnn.FormatError, match=r"a pickle\. Such a file can run any code, so it is not read"):
            read(path)
    model.save_parameters(path)
    with pytest.raises(fastnn.FormatError, match=r"expected a file of model of fastnn\.nnfs, got 'parameters'"):
        nnfs.Model.load(path)
    with pytest.raises(TypeError, match=r"OwnDense: only the parts of fastnn\.nnfs can be saved"):
        net(dense=OwnDense).save(path)


# --- messages ---


def test_messages() -> None:
    X, y = spiral_data(5, 3)
    with pytest.raises(ValueError, match="rate: expected the share to drop, at least 0 and below 1, got 1"):
        nnfs.Layer_Dropout(1)
    with pytest.raises(ValueError, match="the model has no layers: add some first"):
        nnfs.Model().finalize()
    bare = nnfs.Model()
    bare.add(nnfs.Layer_Dense(2, 3))
    with pytest.raises(ValueError, match=r"no accuracy is set: call model.set\(accuracy=...\)"):
        bare.train(X, y)
    with pytest.raises(ValueError, match=r"X: layer 0: expected input of shape \(rows, 2\), got \(15, 1\)"):
        net().train(X[:, :1], y, print_every=0)
    for name, value in (("epochs", -1), ("batch_size", 0), ("print_every", -3)):
        with pytest.raises(ValueError, match=f"{name}: expected at least"):
            net().train(X, y, **{name: value})
    with pytest.raises(ValueError, match="there are no rows"):
        net().train(X[:0], y[:0])
    with pytest.raises(ValueError, match="expected class labels 0 to 2"):
        net().train(X, y + 1, print_every=0)
    with pytest.raises(ValueError, match="expected class labels 0 to 2"):
        nnfs.Loss_CategoricalCrossentropy().calculate(np.full((2, 3), 0.3, np.float32), np.array([0, 3]))


def test_what_is_no_part_is_refused_at_once() -> None:
    model = net()
    before = dict(vars(model))
    for name, method in (("loss", "calculate"), ("optimizer", "update_params"), ("accuracy", "calculate")):
        for part, got in ((type(getattr(model, name)), "the class "), ("mse", "'mse'"), (nnfs.Layer_Dense(1, 1), "<")):
            with pytest.raises(TypeError, match=f"^{name}: expected an object with a method {method}, .* got {got}"):
                model.set(**{name: part})
    for layer in (nnfs.Layer_Dense, "relu", None):
        with pytest.raises(TypeError, match=r"^layer: expected an object with a method forward, such as Layer_Dense"):
            model.add(layer)
    assert vars(model) == before


@pytest.mark.parametrize("dense", [nnfs.Layer_Dense, OwnDense])
def test_labels_of_another_type_by_both_ways(dense: Any, capsys: pytest.CaptureFixture[str]) -> None:
    X, y = spiral_data(20, 3)
    with pytest.raises(TypeError, match=r"class labels must be integers, got dtype float32"):
        net(dense=dense).train(X, y.astype(np.float32), print_every=0)
    net(dense=dense).train(X, y > 0)
    net(dense=dense, rate=0.2).evaluate(X, y > 0)
    assert "validation, acc: " in capsys.readouterr().out


def test_a_layer_that_is_there_twice_has_one_set_of_weights(tmp_path: Path) -> None:
    def trained(kind: type[nnfs.Layer_Dense], shared: bool) -> tuple[nnfs.Model, Any]:
        nnfs.init()
        X, y = np.random.randn(40, 6).astype(np.float32), np.random.randint(0, 3, 40)
        first, last = kind(6, 6), nnfs.Layer_Dense(6, 3)
        second = kind(6, 6) if shared else first
        if shared:
            second.weights, second.biases = first.weights, first.biases
        model = nnfs.Model()
        for layer in (first, nnfs.Activation_ReLU(), second, nnfs.Activation_ReLU(), last, nnfs.Activation_Softmax()):
            model.add(layer)
        model.set(loss=nnfs.Loss_CategoricalCrossentropy(), optimizer=nnfs.Optimizer_SGD(0.5),
                  accuracy=nnfs.Accuracy_Categorical())  # fmt: skip
        model.finalize()
        model.train(X, y, epochs=30, print_every=0)
        model.evaluate(X, y)
        return model, weights(model)

    for shared in (False, True):
        model, native = trained(nnfs.Layer_Dense, shared)
        for a, b in zip(native, trained(OwnDense, shared)[1], strict=True):
            np.testing.assert_array_equal(a, b)
        if not shared:
            with pytest.raises(TypeError, match=r"layers\[2\]: a layer that is there twice cannot be saved"):
                model.save(tmp_path / "m")


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_penalties_are_of_weights_in_any_layout(kind: type) -> None:
    W = np.random.default_rng(0).standard_normal((3, 5)).astype(kind)
    for w in (np.ascontiguousarray(W.T), W.T, np.repeat(W.T, 2, axis=1)[:, ::2]):
        layer = nnfs.Layer_Dense(5, 3, weight_regularizer_l1=0.25, weight_regularizer_l2=0.5)
        layer.weights = w
        layer.forward(np.zeros((4, 5), kind))
        layer.backward(np.zeros((4, 3), kind))
        np.testing.assert_allclose(layer.dweights, w + 0.25 * np.sign(w), rtol=1e-6)


def test_numbers_of_numpy_are_saved_as_numbers(tmp_path: Path) -> None:
    model = net()
    model.accuracy = nnfs.Accuracy_Categorical(binary=np.bool_(False))
    model.save(tmp_path / "m")
    assert nnfs.Model.load(tmp_path / "m").accuracy.binary is False
    y = sine_data(20)[1]
    model = nnfs.Model()
    model.add(nnfs.Layer_Dense(1, 1))
    model.add(nnfs.Activation_Linear())
    model.set(loss=nnfs.Loss_MeanSquaredError(), optimizer=nnfs.Optimizer_SGD(), accuracy=nnfs.Accuracy_Regression())
    model.finalize()
    model.accuracy.precision = np.std(y) / 250
    model.save(tmp_path / "m")
    assert nnfs.Model.load(tmp_path / "m").accuracy.precision == float(np.std(y) / 250)


def test_arrays_that_do_not_go_with_their_gradients_are_named() -> None:
    layer, optimizer = nnfs.Layer_Dense(5, 4), nnfs.Optimizer_SGD()
    for name, value, error, text in (
        (
            "biases",
            np.zeros(4, np.float32),
            ValueError,
            r"biases: expected the shape \(1, 4\) of their gradient, got \(4,\)",
        ),
        ("weights", layer.weights.tolist(), TypeError, "weights: expected an array, got list"),
    ):
        kept = getattr(layer, name)
        layer.forward(np.ones((3, 5), np.float32))
        layer.backward(np.ones((3, 4), np.float32))
        setattr(layer, name, value)
        with pytest.raises(error, match=text):
            optimizer.update_params(layer)
        setattr(layer, name, kept)
