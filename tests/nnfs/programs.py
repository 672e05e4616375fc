"""Programs in the manner of each chapter of *Neural Networks from Scratch*: written once, run on ``fastnn.nnfs`` and on
``reference``. Each takes the module, after its ``init``, and returns what it would print, as numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Trace = list[Any]
PROGRAMS: dict[str, Callable[[Any], Trace]] = {}


def program(function: Callable[[Any], Trace]) -> Callable[[Any], Trace]:
    PROGRAMS[function.__name__] = function
    return function


@program
def chapter_2_a_layer_of_neurons(b: Any) -> Trace:
    inputs = np.array([[1.0, 2.0, 3.0, 2.5], [2.0, 5.0, -1.0, 2.0], [-1.5, 2.7, 3.3, -0.8]])
    layer = b.Layer_Dense(4, 3)
    layer.weights = np.array([[0.2, 0.8, -0.5, 1.0], [0.5, -0.91, 0.26, -0.5], [-0.26, -0.27, 0.17, 0.87]]).T
    layer.biases = np.array([[2.0, 3.0, 0.5]])
    layer.forward(inputs)
    return [layer.output]


@program
def chapter_3_two_layers(b: Any) -> Trace:
    X, _ = b.spiral_data(samples=100, classes=3)
    first, second = b.Layer_Dense(2, 3), b.Layer_Dense(3, 5)
    first.forward(X)
    second.forward(first.output)
    return [X[:7], first.output[:5] * 100, second.output[:5] * 1e4]


@program
def chapter_4_activations(b: Any) -> Trace:
    X, _ = b.spiral_data(100, 3)
    dense, relu, softmax = b.Layer_Dense(2, 3), b.Activation_ReLU(), b.Activation_Softmax()
    dense.forward(X)
    relu.forward(dense.output)
    softmax.forward(relu.output)
    return [relu.output[:5] * 100, softmax.output[:5]]


@program
def chapter_5_loss_and_accuracy(b: Any) -> Trace:
    outputs = np.array([[0.7, 0.1, 0.2], [0.1, 0.5, 0.4], [0.02, 0.9, 0.08]])
    loss = b.Loss_CategoricalCrossentropy()
    trace = [loss.calculate(outputs, np.array([0, 1, 1]))]
    trace.append(loss.calculate(outputs, np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0]])))
    X, y = b.spiral_data(100, 3)
    dense, softmax = b.Layer_Dense(2, 3), b.Activation_Softmax()
    dense.forward(X)
    softmax.forward(dense.output)
    return [*trace, loss.calculate(softmax.output, y), np.mean(np.argmax(softmax.output, axis=1) == y)]


@program
def chapter_6_a_random_search(b: Any) -> Trace:
    X, y = b.vertical_data(samples=100, classes=3)
    dense, relu, last, softmax = b.Layer_Dense(2, 3), b.Activation_ReLU(), b.Layer_Dense(3, 3), b.Activation_Softmax()
    loss, lowest, trace = b.Loss_CategoricalCrossentropy(), 1e9, []
    kept = [w.copy() for layer in (dense, last) for w in (layer.weights, layer.biases)]
    for _ in range(200):
        dense.weights += 0.05 * np.random.randn(2, 3).astype(dense.weights.dtype)
        dense.biases += 0.05 * np.random.randn(1, 3).astype(dense.weights.dtype)
        last.weights += 0.05 * np.random.randn(3, 3).astype(dense.weights.dtype)
        last.biases += 0.05 * np.random.randn(1, 3).astype(dense.weights.dtype)
        for layer, activation, X_in in ((dense, relu, lambda: X), (last, softmax, lambda: relu.output)):
            layer.forward(X_in())
            activation.forward(layer.output)
        now = loss.calculate(softmax.output, y)
        if now < lowest:
            lowest, kept = now, [w.copy() for layer in (dense, last) for w in (layer.weights, layer.biases)]
            trace.append(lowest)
        else:
            dense.weights, dense.biases, last.weights, last.biases = (w.copy() for w in kept)
    assert len(trace) > 10
    return trace


@program
def chapter_8_slopes_of_a_loss(b: Any) -> Trace:
    X, y = b.spiral_data(20, 3)
    dense, head = b.Layer_Dense(2, 3), b.Activation_Softmax_Loss_CategoricalCrossentropy()
    dense.weights *= 100
    dense.forward(X)
    at = head.forward(dense.output, y)
    slopes = []
    for place in np.ndindex(dense.weights.shape):
        dense.weights[place] += 2.0**-6
        dense.forward(X)
        slopes.append((head.forward(dense.output, y) - at) * 16)
        dense.weights[place] -= 2.0**-6
    return [at, *slopes]


@program
def chapter_9_backpropagation(b: Any) -> Trace:
    outputs = np.array([[0.7, 0.1, 0.2], [0.1, 0.5, 0.4], [0.02, 0.9, 0.08]])
    targets = np.array([0, 1, 1])
    merged = b.Activation_Softmax_Loss_CategoricalCrossentropy()
    merged.backward(outputs, targets)
    softmax, loss = b.Activation_Softmax(), b.Loss_CategoricalCrossentropy()
    softmax.output = outputs
    loss.backward(outputs, targets)
    softmax.backward(loss.dinputs)
    assert np.allclose(softmax.dinputs, merged.dinputs)
    X, y = b.spiral_data(100, 3)
    dense, relu, last = b.Layer_Dense(2, 3), b.Activation_ReLU(), b.Layer_Dense(3, 3)
    dense.forward(X)
    relu.forward(dense.output)
    last.forward(relu.output)
    trace = [merged.dinputs, softmax.dinputs, merged.forward(last.output, y)]
    merged.backward(merged.output, y)
    last.backward(merged.dinputs)
    relu.backward(last.dinputs)
    dense.backward(relu.dinputs)
    gradients = [last.dweights, last.dbiases, dense.dweights, dense.dbiases, dense.dinputs]
    return trace + [g * 1e3 for g in gradients]


def by_hand(b: Any, make_optimizer: Callable[[], Any], steps: int = 40, samples: int = 100, dropout: float = 0.0,
            neurons: int = 64, **penalties: float) -> Trace:  # fmt: skip
    """The loop of chapters 10 to 15: losses and accuracies, weights and state at the end."""
    X, y = b.spiral_data(samples, 3)
    dense, relu, last = b.Layer_Dense(2, neurons, **penalties), b.Activation_ReLU(), b.Layer_Dense(neurons, 3)
    drop = b.Layer_Dropout(dropout) if dropout else None
    head, optimizer, trace = b.Activation_Softmax_Loss_CategoricalCrossentropy(), make_optimizer(), []
    for _ in range(steps if dense.weights.dtype == np.float64 else 7):  # then float32's rounding has grown too large
        dense.forward(X)
        relu.forward(dense.output)
        hidden = relu
        if drop:
            drop.forward(relu.output)
            hidden = drop
        last.forward(hidden.output)
        data_loss = head.forward(last.output, y)
        penalty = head.loss.regularization_loss(dense) + head.loss.regularization_loss(last)
        accuracy = np.mean(np.argmax(head.output, axis=1) == y)
        trace += [data_loss, penalty, [accuracy], optimizer.current_learning_rate]
        head.backward(head.output, y)
        last.backward(head.dinputs)
        gradient = last.dinputs
        if drop:
            drop.backward(gradient)
            gradient = drop.dinputs
        relu.backward(gradient)
        dense.backward(relu.dinputs)
        optimizer.pre_update_params()
        optimizer.update_params(dense)
        optimizer.update_params(last)
        optimizer.post_update_params()
    X_new, y_new = b.spiral_data(samples, 3)
    dense.forward(X_new)
    relu.forward(dense.output)
    last.forward(relu.output)
    trace += [head.forward(last.output, y_new), dense.weights, dense.biases, last.weights, optimizer.iterations]
    for name in ("weight_momentums", "bias_momentums", "weight_cache", "bias_cache"):
        trace += [getattr(layer, name) for layer in (dense, last) if hasattr(layer, name)]
    return trace


OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "sgd": lambda b: b.Optimizer_SGD(),
    "sgd_decay": lambda b: b.Optimizer_SGD(decay=1e-2),
    "momentum": lambda b: b.Optimizer_SGD(decay=1e-3, momentum=0.9),
    "adagrad": lambda b: b.Optimizer_Adagrad(learning_rate=0.3, decay=1e-4),
    "rmsprop": lambda b: b.Optimizer_RMSprop(learning_rate=0.002, decay=1e-5, rho=0.999),
    "adam": lambda b: b.Optimizer_Adam(learning_rate=0.02, decay=1e-5),
}
for _name, _make in OPTIMIZERS.items():
    PROGRAMS[f"chapter_10_{_name}"] = lambda b, make=_make: by_hand(b, lambda: make(b))


@program
def chapter_14_regularization(b: Any) -> Trace:
    strengths = {"weight_regularizer_l1": 1e-4, "weight_regularizer_l2": 5e-4, "bias_regularizer_l1": 2e-4,
                 "bias_regularizer_l2": 5e-4}  # fmt: skip
    return by_hand(b, lambda: b.Optimizer_Adam(learning_rate=0.02, decay=5e-7), **strengths)


@program
def chapter_15_dropout(b: Any) -> Trace:
    return by_hand(b, lambda: b.Optimizer_Adam(0.02, decay=5e-5), 20, 300, dropout=0.1, weight_regularizer_l2=5e-4)


@program
def chapter_15_small_dropout(b: Any) -> Trace:
    layer, x = b.Layer_Dropout(0.3), np.array([[1.0, 2, 3, 4], [5, 6, 7, 8]])
    layer.forward(x)
    layer.backward(x)
    return [layer.output, layer.dinputs, layer.binary_mask, np.random.rand()]


@program
def chapter_16_binary_logistic_regression(b: Any) -> Trace:
    X, y = b.spiral_data(samples=100, classes=2)
    y = y.reshape(-1, 1)
    dense, relu = b.Layer_Dense(2, 64, weight_regularizer_l2=5e-4, bias_regularizer_l2=5e-4), b.Activation_ReLU()
    last, sigmoid = b.Layer_Dense(64, 1), b.Activation_Sigmoid()
    loss, optimizer, trace = b.Loss_BinaryCrossentropy(), b.Optimizer_Adam(learning_rate=0.01, decay=5e-7), []
    for _ in range(40):
        dense.forward(X)
        relu.forward(dense.output)
        last.forward(relu.output)
        sigmoid.forward(last.output)
        trace += [loss.calculate(sigmoid.output, y), loss.regularization_loss(dense)]
        loss.backward(sigmoid.output, y)
        sigmoid.backward(loss.dinputs)
        last.backward(sigmoid.dinputs)
        relu.backward(last.dinputs)
        dense.backward(relu.dinputs)
        optimizer.pre_update_params()
        optimizer.update_params(dense)
        optimizer.update_params(last)
        optimizer.post_update_params()
    return [*trace, dense.weights, last.weights]


def regression(b: Any, loss: Any, steps: int = 30) -> Trace:
    X, y = b.sine_data()
    layers = [b.Layer_Dense(1, 64), b.Activation_ReLU(), b.Layer_Dense(64, 64), b.Activation_ReLU(),
              b.Layer_Dense(64, 1), b.Activation_Linear()]  # fmt: skip
    for layer in layers[::2]:
        layer.weights *= 10  # the book's chapter makes them larger too, to get away from 0
    optimizer, precision, trace = b.Optimizer_Adam(learning_rate=0.005, decay=1e-3), np.std(y) / 250, []
    for _ in range(steps):
        output = X
        for layer in layers:
            layer.forward(output)
            output = layer.output
        trace += [loss.calculate(output, y), [np.mean(np.absolute(output - y) < precision)]]
        loss.backward(output, y)
        gradient = loss.dinputs
        for layer in reversed(layers):
            layer.backward(gradient)
            gradient = layer.dinputs
        optimizer.pre_update_params()
        for layer in layers[::2]:
            optimizer.update_params(layer)
        optimizer.post_update_params()
    return [*trace, layers[0].weights]


@program
def chapter_17_regression(b: Any) -> Trace:
    return regression(b, b.Loss_MeanSquaredError())


@program
def chapter_17_absolute_error(b: Any) -> Trace:
    return regression(b, b.Loss_MeanAbsoluteError(), 12)


# --- chapters 18 on: what the model prints is compared too ---


def classifier(b: Any, rate: float = 0.1, neurons: int = 128) -> Any:
    model = b.Model()
    model.add(b.Layer_Dense(2, neurons, weight_regularizer_l2=5e-4, bias_regularizer_l2=5e-4))
    model.add(b.Activation_ReLU())
    if rate:
        model.add(b.Layer_Dropout(rate))
    model.add(b.Layer_Dense(neurons, 3))
    model.add(b.Activation_Softmax())
    model.set(
        loss=b.Loss_CategoricalCrossentropy(),
        optimizer=b.Optimizer_Adam(learning_rate=0.005, decay=5e-5),
        accuracy=b.Accuracy_Categorical(),
    )
    model.finalize()
    return model


def arrays(model: Any) -> Trace:
    return [getattr(layer, name) for layer in model.layers if hasattr(layer, "weights")
            for name in ("weights", "biases", "weight_momentums", "bias_cache") if hasattr(layer, name)]  # fmt: skip


@program
def chapter_18_the_model(b: Any) -> Trace:
    X, y = b.spiral_data(samples=1000, classes=3)
    model = classifier(b)
    model.train(X, y, validation_data=b.spiral_data(100, 3), epochs=30, print_every=10)
    return [*arrays(model), model.predict(X[::50])]


@program
def chapter_18_regression(b: Any) -> Trace:
    X, y = b.sine_data()
    model = b.Model()
    for layer in (b.Layer_Dense(1, 64), b.Activation_ReLU(), b.Layer_Dense(64, 64), b.Activation_ReLU(),
                  b.Layer_Dense(64, 1), b.Activation_Linear()):  # fmt: skip
        model.add(layer)
    for layer in model.layers[::2]:
        layer.weights *= 10
    model.set(
        loss=b.Loss_MeanSquaredError(),
        optimizer=b.Optimizer_Adam(learning_rate=0.005, decay=1e-3),
        accuracy=b.Accuracy_Regression(),
    )
    model.finalize()
    model.train(X, y, epochs=20, print_every=5)
    return [arrays(model)[0], model.predict(X[::100])]


@program
def chapter_18_binary(b: Any) -> Trace:
    X, y = b.spiral_data(samples=100, classes=2)
    y = y.reshape(-1, 1)
    model = b.Model()
    model.add(b.Layer_Dense(2, 64, weight_regularizer_l2=5e-4, bias_regularizer_l2=5e-4))
    model.add(b.Activation_ReLU())
    model.add(b.Layer_Dense(64, 1))
    model.add(b.Activation_Sigmoid())
    model.set(
        loss=b.Loss_BinaryCrossentropy(),
        optimizer=b.Optimizer_Adam(learning_rate=0.01, decay=5e-7),
        accuracy=b.Accuracy_Categorical(binary=True),
    )
    model.finalize()
    model.train(X, y, epochs=40, print_every=10, validation_data=(X[::3], y[::3]))
    return [arrays(model)[0]]


@program
def chapter_19_batches(b: Any) -> Trace:
    X, y = b.spiral_data(samples=300, classes=3)
    keys = np.arange(len(X))
    np.random.shuffle(keys)
    X, y = X[keys], y[keys]
    model = classifier(b)
    X_new, y_new = b.spiral_data(50, 3)
    model.train(X, y, validation_data=(X_new, y_new), epochs=3, batch_size=128, print_every=3)
    model.evaluate(X_new, y_new, batch_size=40)
    return arrays(model)


@program
def chapter_19_two_dropouts_of_odd_size(b: Any) -> Trace:
    X, y = b.spiral_data(samples=33, classes=3)
    model = b.Model()
    for layer in (b.Layer_Dense(2, 13), b.Activation_ReLU(), b.Layer_Dropout(0.6), b.Layer_Dense(13, 7),
                  b.Activation_Sigmoid(), b.Layer_Dropout(0.25), b.Layer_Dense(7, 3),
                  b.Activation_Softmax()):  # fmt: skip
        model.add(layer)
    model.set(loss=b.Loss_CategoricalCrossentropy(), optimizer=b.Optimizer_SGD(0.1, momentum=0.5),
              accuracy=b.Accuracy_Categorical())  # fmt: skip
    model.finalize()
    model.train(X, np.eye(3)[y], epochs=5, batch_size=20)
    return [w * 10 for w in arrays(model)] + [np.random.rand()]


def fashion_mnist(b: Any, X: Any, y: Any, X_test: Any, y_test: Any) -> Trace:
    """Chapters 19 to 22: the book's network on the images."""
    model = b.Model()
    for layer in (b.Layer_Dense(X.shape[1], 128), b.Activation_ReLU(), b.Layer_Dense(128, 128), b.Activation_ReLU(),
                  b.Layer_Dense(128, 10), b.Activation_Softmax()):  # fmt: skip
        model.add(layer)
    model.set(loss=b.Loss_CategoricalCrossentropy(), optimizer=b.Optimizer_Adam(decay=1e-3),
              accuracy=b.Accuracy_Categorical())  # fmt: skip
    model.finalize()
    model.train(X, y, validation_data=(X_test, y_test), epochs=2, batch_size=128, print_every=10)
    model.evaluate(X_test, y_test)
    confidences = model.predict(X_test[:20])
    return [confidences, model.layers[-1].predictions(confidences)]
