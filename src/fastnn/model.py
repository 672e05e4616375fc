"""The model: a list of layers described in Python, trained and run natively. The book's verbs, with Keras's as
aliases."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from fastnn import _checks, _resume, _runs
from fastnn._files import Files
from fastnn._labels import Labelled
from fastnn._online import Callbacks, Online
from fastnn._runs import Evaluation
from fastnn._summary import summary_text
from fastnn._training import Progress, control
from fastnn.base import Layer
from fastnn.engine.plan import Buffers, Plan
from fastnn.engine.spec import MOST_LAYERS, AffineSpec, Spec
from fastnn.history import KEYS, History
from fastnn.losses import Loss
from fastnn.metrics import Accuracy, Metric
from fastnn.metrics import by_name as metrics_by_name
from fastnn.optimizers import Optimizer

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

MOST_SEED = 2**64 - 1


class Model(Online, Files, Labelled):
    """A network: layers in a row, a loss, an optimizer.

    ``Model([Dense(64, activation="relu"), Dense(3, activation="softmax")])`` or ``add`` layer by layer; ``set`` the
    loss and optimizer; ``train``, ``evaluate``, ``predict``. Sizes are worked out by ``finalize``, which happens by
    itself.

    seed: keys the initial weights, shuffles and dropout masks; the same seed gives the same bits on every machine. None
    draws one, kept in ``model.seed``. dtype: "float32" or "float64", of parameters and predictions.
    metadata: a dict of your own, of values that JSON can hold; saved with the model.

    Calls from several threads wait for one another; different models run at the same time.
    """

    def __init__(self, layers: Iterable[Layer] = (), *, seed: int | None = None, dtype: Any = "float32") -> None:
        super().__init__()
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        if self.dtype not in (np.float32, np.float64):
            raise ValueError(f"dtype: expected float32 or float64, got {self.dtype}")
        self.seed = int.from_bytes(os.urandom(8)) >> 1 if seed is None else _checks.whole("seed", seed, 0, MOST_SEED)
        self.layers: list[Layer] = []
        self.history = History()
        self.metadata: dict[str, Any] = {}
        self.loss: Loss | None = None
        self.optimizer: Optimizer | None = None
        self.accuracy: Accuracy | str | None = "auto"
        self.precision: float | None = None  # of the regression accuracy; from the first training targets
        self.metrics: dict[str, Metric] = {}  # of one's own, by name
        self.steps_done = 0
        self.epochs_done = 0
        self._fused = True
        self._plan: Plan | None = None
        self._buffers: dict[Any, Buffers] = {}
        self._lock = threading.RLock()
        for layer in layers:
            self.add(layer)

    @classmethod
    def _blank(cls, layers: Iterable[Layer], *, seed: int | None, dtype: Any) -> Self:
        model = cls.__new__(cls)
        Model.__init__(model, layers, seed=seed, dtype=dtype)
        return model

    # --- description ---

    def add(self, layer: Layer) -> None:
        """Put a layer after the others. TypeError for anything else; ValueError once finalized."""
        if not isinstance(layer, Layer):
            hint = f": did you mean {layer.__name__}(...)?" if isinstance(layer, type) else ""
            raise TypeError(f"layer: expected a Layer, got {layer!r}{hint}")
        if self._plan is not None:
            raise ValueError("the model is finalized: layers cannot be added any more")
        if layer in self.layers or layer.index is not None:
            raise ValueError(f"{layer.label()} belongs to a model already: make a new one")
        if len(self.layers) >= MOST_LAYERS:
            raise ValueError(f"a model has at most {MOST_LAYERS} layers")
        self.layers.append(layer)

    def set(
        self,
        *,
        loss: Any = None,
        optimizer: Any = None,
        accuracy: Any = ...,
        metrics: Iterable[Metric] | None = None,
    ) -> None:
        """Choose loss, optimizer and accuracy, by name or as objects; what is left out stays as it is.

        accuracy: "auto", as at the start, goes with the loss; None counts nothing. metrics: functions
        ``f(y_true, y_pred)`` that give a number; after each epoch of ``train`` the history has it under the function's
        name, for all training rows at the weights of the moment, and as ``val_...`` for the validation data. A file
        does not hold them. A new optimizer starts its state and step count anew. ValueError for unknown names.
        """
        with self._lock:
            if metrics is not None:
                self.metrics = metrics_by_name(metrics, KEYS)
            new_loss = self.loss if loss is None else Loss.resolve(loss)
            new_optimizer = self.optimizer if optimizer is None else Optimizer.resolve(optimizer)
            if accuracy is ...:
                accuracy = self.accuracy
            elif accuracy not in ("auto", None):
                accuracy = Accuracy.resolve(accuracy)
            if new_optimizer is not self.optimizer:
                self.steps_done = self.epochs_done = 0
                self.position = None
                if self._plan is not None:
                    self._plan.drop_states()
            self.loss, self.optimizer, self.accuracy = new_loss, new_optimizer, accuracy
            self._buffers.clear()

    def compile(self, optimizer: Any = "adam", loss: Any = None, metrics: Any = None) -> None:
        """Keras's name for ``set``. metrics: functions, as there, and "accuracy", which is counted in any case."""
        given = [metrics] if isinstance(metrics, str) or callable(metrics) else list(metrics or ())
        names = [metric for metric in given if isinstance(metric, str)]
        if not set(names) <= {"accuracy", "acc"}:
            raise ValueError(f"metrics: expected 'accuracy' and functions of (y_true, y_pred), got {metrics!r}")
        self.set(loss=loss, optimizer=optimizer, metrics=[metric for metric in given if not isinstance(metric, str)])

    def finalize(self, n_inputs: int | None = None) -> None:
        """Work out all sizes, allocate the parameters and draw the initial weights. Does nothing the second time.

        n_inputs: width of the input rows, needed where no layer states it. ValueError where sizes do not meet.
        """
        with self._lock:
            if self._plan is not None:
                return
            if not self.layers:
                raise ValueError("the model has no layers: add some first")
            widths = self._widths(n_inputs)
            specs: list[Spec] = []
            for index, (layer, n_in) in enumerate(zip(self.layers, widths, strict=False)):
                specs += layer.lower(index, n_in)
            if not specs:  # nothing but Input: the identity
                specs = [AffineSpec(0, widths[0], 1.0, 0.0)]
            taken = next((layer for layer in self.layers if layer.index is not None), None)
            if taken is not None:
                raise ValueError(f"{taken.label()} belongs to another model: make a new one")
            plan = Plan(specs, self.dtype, self._fused, self._admit)
            try:
                for index, layer in enumerate(self.layers):
                    layer.bind(plan, index, widths[index])
                    if self._admit is None:  # else a file has the parameters
                        layer.initialize(self.seed)
            except BaseException:
                self._unfinalize()
                raise
            self._plan = plan

    def _unfinalize(self) -> None:
        """As before finalize: what turned out not to be possible leaves no trace."""
        self._plan = None
        self._buffers.clear()
        for layer in self.layers:
            layer.unbind()

    def _widths(self, n_inputs: int | None) -> list[int]:
        """Width before each layer, and after the last."""
        width = n_inputs if n_inputs is not None else self.layers[0].wanted_input()
        for layer in (
            self.layers if width is None else ()
        ):  # layers that keep the width may stand before one that states it
            width = layer.wanted_input()
            if width is not None or layer.width(1) != 1 or layer.width(2) != 2:
                break
        if width is None:
            raise ValueError(
                "the width of the input is not known: give the first layer two sizes, as in Dense(2, 64), "
                "start with Input(n), call finalize(n_inputs=n), or train first"
            )
        widths = [_checks.whole("n_inputs", width, 1, 2**31 - 1)]
        for index, layer in enumerate(self.layers):
            wanted = layer.wanted_input()
            if wanted is not None and wanted != widths[-1]:
                source = (
                    f"layer {index - 1} ({type(self.layers[index - 1]).__name__}) gives" if index else "the input has"
                )
                raise ValueError(
                    f"layer {index} ({type(layer).__name__}): expected input of width {wanted}, "
                    f"but {source} {widths[-1]}"
                )
            widths.append(layer.width(widths[-1]))
        return widths

    # --- what the runs ask for ---

    @property
    def plan(self) -> Plan:
        """The native plan; ValueError before finalize."""
        if self._plan is None:
            raise ValueError("the model is not finalized: call finalize() or train() first")
        return self._plan

    @property
    def loss_object(self) -> Loss:
        if self.loss is None:
            raise ValueError("no loss is set: call model.set(loss=..., optimizer=...)")
        return self.loss

    @property
    def optimizer_object(self) -> Optimizer:
        if self.optimizer is None:
            raise ValueError("no optimizer is set: call model.set(optimizer=...)")
        return self.optimizer

    @property
    def accuracy_object(self) -> Accuracy | None:
        if self.accuracy == "auto":
            if self.loss_object.accuracy is None:  # a loss written in Python may have none
                return None
            return Accuracy.resolve(self.loss_object.accuracy)
        return self.accuracy  # type: ignore[return-value]

    @property
    def merged(self) -> bool:
        """Whether the loss's gradient is taken together with the last activation's."""
        last = self.plan.specs[-1] if self.plan.specs else None
        return getattr(last, "activation", None) == self.loss_object.merges_with is not None

    def training_buffers(self, batch: int, whole: bool = False) -> Buffers:
        """For the chunks of a batch, or where whole for all its rows at once."""
        head = self.merged
        cut = not whole and self.loss_object.kernel != "python"
        rows = self.plan.chunk_rows(batch) if cut else batch
        return self._cached(("train", rows, head), lambda: Buffers(self.plan, rows, True, labels=True, head=head))

    def inference_buffers(self, rows: int | None, most: int) -> Buffers:
        rows = self.plan.block_rows() if rows is None else min(_checks.whole("batch_size", rows, 1), max(most, 1))
        return self._cached(("infer", rows), lambda: Buffers(self.plan, rows, False))

    def _cached(self, key: Any, make: Any) -> Buffers:
        if key not in self._buffers:
            for old in [k for k in self._buffers if k[0] == key[0]]:  # one of each kind is kept
                del self._buffers[old]
            self._buffers[key] = make()
        return self._buffers[key]

    def _ready(self, X: Any) -> Any:
        if self._plan is None:
            X = _checks.as_rows("X", X)
            self.finalize(None if self._knows_its_input() else X.shape[1])
        return X

    def _knows_its_input(self) -> bool:
        try:
            self._widths(None)
        except ValueError as error:
            if "not known" in str(error):
                return False
            raise
        return True

    # --- the verbs ---

    def train(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        epochs: int = 1,
        batch_size: int | None = None,
        print_every: int = 0,
        validation_data: tuple[ArrayLike, ...] | None = None,
        validation_split: float = 0.0,
        sample_weight: ArrayLike | None = None,
        class_weight: Any = None,
        shuffle: bool = False,
        accumulate: int = 1,
        callbacks: Callbacks = (),
        time_limit: float | None = None,
        resume: str | os.PathLike[str] | None = None,
        check_finite: bool = True,
        verbose: int = 0,
        progress: Progress | None = None,
    ) -> History:
        """Train for so many more epochs; returns ``model.history``.

        X: (rows, features) of any number type and strides, memory-mapped for instance; converted batch by batch. y:
        integer labels (rows,), or (rows, outputs), or (rows,) where there is one output. batch_size: rows a batch, None
        for all (the book's default). accumulate: batches whose mean gradient makes one step, that of one batch with all
        their rows. shuffle: a new order each epoch. validation_data: (X, y) or (X, y, sample_weight), evaluated after
        each epoch; validation_split: the share of the rows, from the end, that serves as such, with their
        sample_weight.

        sample_weight: (rows,), what each row's loss is multiplied by; the loss is sum(weight * loss) / rows.
        class_weight: the same by the row's class, in training only: a dict {class: weight}, 1 where it says nothing, an
        array, or "balanced", which is rows / (classes * rows of the class). Given both, they multiply; neither touches
        the accuracy.

        callbacks: of ``fastnn.callbacks``. time_limit: seconds after which to stop, at a full step. resume: a file of
        ``save`` or ``ModelCheckpoint`` to go on from exactly, finishing a broken epoch first; ``epochs`` is then the
        total, and where there is no file yet the training begins. print_every: print every so many steps, and each
        epoch, in the book's words; 0 prints nothing. verbose=1: a progress bar (of rich, the cli extra, else lines).
        progress: an object told of progress instead. check_finite: refuse NaN and infinity in the data, and stop where
        the loss is not finite.

        Everything is checked before a weight moves. Raises ValueError or TypeError for data that does not fit,
        FloatingPointError where the loss is not finite, MemoryError for a batch too large, FormatError for a damaged
        file. Ctrl-C raises KeyboardInterrupt and leaves the model as after its last full step.
        """
        with self._lock:
            with self._ready_to_train(X) as X:
                run = _runs.TrainingRun(
                    self, X, y, control(callbacks, print_every, progress, time_limit, check_finite),
                    epochs=epochs, batch_size=batch_size, validation_data=validation_data,
                    validation_split=validation_split, sample_weight=sample_weight, class_weight=class_weight,
                    shuffle=shuffle, accumulate=accumulate, total_epochs=resume is not None,
                    resumed=_resume.saved(self, resume),
                )  # fmt: skip
            return self._run(run, verbose)

    def fit(
        self, X: ArrayLike, y: ArrayLike, *, batch_size: int | None = 32, shuffle: bool = True, **more: Any
    ) -> History:
        """Keras's name for ``train``, with Keras's defaults: batches of 32, shuffled."""
        return self.train(X, y, batch_size=batch_size, shuffle=shuffle, **more)

    def evaluate(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        batch_size: int | None = None,
        sample_weight: ArrayLike | None = None,
        class_weight: Any = None,
    ) -> Evaluation:
        """(loss, accuracy) over the rows: the mean loss without penalties, with weights as in ``train``. batch_size
        bounds memory, never changes bits."""
        with self._lock:
            return _runs.evaluate(self, self._ready(X), y, batch_size, sample_weight, class_weight)

    def predict(self, X: ArrayLike, *, batch_size: int | None = None) -> NDArray[Any]:
        """Outputs (rows, outputs) for X (rows, features). A row's bits do not depend on the other rows.

        batch_size: rows worked on together; bounds memory, never changes bits. NaN in a row gives NaN in its outputs.
        """
        with self._lock:
            return _runs.predict(self, self._ready(X), batch_size)

    __call__ = predict

    def summary(self) -> str:
        """A table of layers with shapes, parameters, memory and operations a row, printed and returned."""
        n_in = None if self._plan is None else self._plan.n_in
        states = None if self.optimizer is None else self.optimizer.state_count
        text = summary_text(self.layers, self.dtype, n_in, states)
        print(text)
        return text

    @property
    def parameter_count(self) -> int:
        """Number of trainable parameters (0 before finalize)."""
        return sum(layer.parameter_count for layer in self.layers)

    def get_parameters(self) -> list[tuple[NDArray[Any], ...]]:
        """Copies of (weights, biases) of each trainable layer, in order; of one written in Python, what it has."""
        with self._lock:
            return [tuple(view.copy() for view in views.values()) for views in self._parameter_views().values()]

    def _parameter_views(self) -> dict[int, dict[str, NDArray[Any]]]:
        """Live views of the parameters by layer and name."""
        plan = self.plan
        views: dict[int, dict[str, NDArray[Any]]] = {}
        for index, name in plan.tensors:
            views.setdefault(index, {})[name] = plan.view(plan.params, index, name)
        return views

    def set_parameters(self, parameters: Iterable[tuple[ArrayLike, ...]]) -> None:
        """Copy (weights, biases) into each trainable layer, in order; all shapes are checked first."""
        views, given = self._parameter_views(), list(parameters)
        if len(given) != len(views):
            raise ValueError(f"parameters: expected {len(views)} pairs (weights, biases), got {len(given)}")
        pairs = []
        for (index, mine), values in zip(views.items(), given, strict=True):
            for (name, view), value in zip(mine.items(), values, strict=True):
                new = np.asarray(value)
                if new.shape != view.shape:
                    raise ValueError(
                        f"{self.layers[index].label()}: expected {name} of shape {view.shape}, got {new.shape}"
                    )
                pairs.append((view, new))
        with self._lock:
            for view, new in pairs:
                view[...] = new

    def __repr__(self) -> str:
        return f"Model([{', '.join(repr(layer) for layer in self.layers)}], seed={self.seed}, dtype='{self.dtype}')"
