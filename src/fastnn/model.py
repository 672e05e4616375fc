"""The model: layers described in Python, in a row or as a graph, trained and run natively. The book's verbs, with
Keras's as aliases."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from fastnn import _checks, _forks, _network, _resume, _runs, _state_dict
from fastnn._average import averaged_weights
from fastnn._conversions import Conversions
from fastnn._files import Files
from fastnn._labels import Labelled
from fastnn._online import Callbacks, Online
from fastnn._probes import Probes
from fastnn._runs import Evaluation
from fastnn._training import Progress, control
from fastnn.base import Layer
from fastnn.engine.buffers import Buffers
from fastnn.engine.plan import Plan
from fastnn.engine.spec import MOST_LAYERS
from fastnn.history import KEYS, History
from fastnn.losses import Loss
from fastnn.metrics import Accuracy, Metric
from fastnn.metrics._accuracies import accuracy_named
from fastnn.metrics._objects import Function
from fastnn.metrics._objects import by_name as metrics_by_name
from fastnn.optimizers import Optimizer

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from fastnn.session import Session

MOST_SEED = 2**64 - 1
_CHANGED = "layers: the list was changed after finalize: make a new Model of these layers, or of others like them"


class Model(Online, Probes, Files, Labelled, Conversions):
    """A network: layers in a row or as a graph, a loss, an optimizer.

    ``Model([Dense(64, activation="relu"), Dense(3, activation="softmax")])`` or ``add`` layer by layer; ``set`` the
    loss and optimizer; ``train``, ``evaluate``, ``predict``. Sizes are worked out by ``finalize``, which happens by
    itself.

    inputs, outputs: a graph instead of layers, made by calling layers: ``a, b = Input(4), Input(3)``,
    ``y = Dense(2)(Concatenate()([Dense(16)(a), b]))``, ``Model(inputs=[a, b], outputs=y)``. X is then a list, an array
    for each input, or a dict by the inputs' names, both copied side by side once; or one array with all the columns.

    seed: keys the initial weights, shuffles and dropout masks; the same seed gives the same bits on every machine. None
    draws one, kept in ``model.seed``. dtype: "float32" or "float64", of parameters and predictions.
    ``model.metadata``: a dict of your own, of values that JSON can hold; saved with the model.

    Calls from several threads wait for one another; different models run at the same time.
    """

    def __init__(
        self,
        layers: Iterable[Layer] = (),
        *,
        inputs: Any = None,
        outputs: Any = None,
        seed: int | None = None,
        dtype: Any = "float32",
    ) -> None:
        super().__init__()
        try:
            self.dtype: np.dtype[Any] = np.dtype(dtype)
        except TypeError:
            raise ValueError(f"dtype: expected float32 or float64, got {dtype!r:.80}") from None
        if self.dtype not in (np.float32, np.float64):
            raise ValueError(f"dtype: expected float32 or float64, got {self.dtype}")
        self.seed = int.from_bytes(os.urandom(8)) >> 1 if seed is None else _checks.whole("seed", seed, 0, MOST_SEED)
        self.layers: list[Layer] = []
        self.history = History()
        self.metadata: dict[str, Any] = {}
        self.loss: Loss | None = None
        self.optimizer: Optimizer | None = None
        self.accuracy: Accuracy | str | None = "auto"
        self.metrics: dict[str, Metric | Function] = {}  # beside the accuracy, by name
        self.steps_done = 0
        self.epochs_done = 0
        self._fused = True
        self._plan: Plan | None = None
        self._numbered: list[Layer] = []  # once there is a plan
        self._listed: list[Layer] = []  # the same, of ``layers``
        self._buffers: dict[Any, Buffers] = {}
        import threading  # NumPy does without it, and so does the import of this package

        self._lock = threading.RLock()
        _forks.keep(self)
        self._graph: list[tuple[int, ...]] | None = None  # what each layer reads; None: the one before
        for layer in _checks.listed("layers", layers, "a list of layers"):
            self.add(layer)
        if inputs is not None or outputs is not None:
            if self.layers:
                raise ValueError("layers: expected none beside inputs= and outputs=, which make a graph")
            self._wire(*_network.of_nodes(inputs, outputs))

    def _wire(self, layers: list[Layer], sources: list[tuple[int, ...]]) -> None:
        """Be the graph of these layers. ValueError where their widths do not meet."""
        _network.Network(layers, sources).widths(None)
        self.layers, self._graph = layers, sources

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
        if self._graph is not None:
            raise ValueError("the model is a graph: call the layer on a node, and make a model of that")
        if layer._node is not None and not layer.begins:
            raise ValueError(f"{layer.label()} is part of a graph: make a Model of its inputs= and outputs=")
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
        metrics: Any = None,
    ) -> None:
        """Choose loss, optimizer and accuracy, by name or as objects; what is left out stays as it is.

        accuracy: "auto", as at the start, goes with the loss; None counts nothing. metrics: a list of names such as
        "f1", objects of ``fastnn.metrics``, and functions ``f(y_true, y_pred)`` that give a number. Each epoch of
        ``train`` enters them into the history, as ``val_...`` for the validation data, and ``evaluate`` gives them.
        Native ones are of the epoch's predictions as they were trained on, like the accuracy, and count each row once;
        functions are called after the epoch, for all training rows at the weights of the moment, with labels (rows,) or
        targets of the predictions' shape, and a file does not hold them. A new optimizer starts its state and step
        count anew. ValueError for unknown names, RuntimeError while the model is being trained.
        """
        with self._lock:
            self._need_rest("be set anew")
            if metrics is not None:
                metrics, named = metrics_by_name(metrics, KEYS)
                accuracy = named if named is not None and accuracy is ... else accuracy
            new_loss = self.loss if loss is None else Loss.resolve(loss)
            new_optimizer = self.optimizer if optimizer is None else Optimizer.resolve(optimizer)
            if accuracy is ...:
                accuracy = self.accuracy
            elif accuracy not in ("auto", None):
                accuracy = Accuracy.resolve(accuracy)
            if new_optimizer is not self.optimizer:
                self.steps_done = self.epochs_done = 0
                self.position = None
                self.callback_states = []  # they have seen epochs that are none of its
                if self._plan is not None:
                    self._plan.drop_states()
            self.loss, self.optimizer, self.accuracy = new_loss, new_optimizer, accuracy
            self.metrics = self.metrics if metrics is None else metrics
            self._buffers.clear()

    def compile(self, optimizer: Any = "adam", loss: Any = None, metrics: Any = None) -> None:
        """Keras's name for ``set``. metrics: as there, and "accuracy", which is counted in any case."""
        self.set(loss=loss, optimizer=optimizer, metrics=() if metrics is None else metrics)

    def finalize(self, n_inputs: int | None = None) -> None:
        """Work out all sizes, allocate the parameters and draw the initial weights. Does nothing the second time.

        n_inputs: width of the input rows, needed where no layer states it. ValueError where sizes do not meet.
        """
        with self._lock:
            if self._plan is not None:
                return
            if not self.layers:
                raise ValueError("the model has no layers: add some first")
            taken = next((layer for layer in self.numbered if layer.index is not None), None)
            if taken is not None:
                raise ValueError(f"{taken.label()} belongs to another model: make a new one")
            numbered = self.numbered
            for layer in numbered:
                layer.draws_by(self.seed)
            specs, sources, calls = self._network().lower(n_inputs)
            plan = Plan(specs, self.dtype, self._fused, sources, self._admit)
            try:
                for call, n_in in calls:
                    call.layer.bind(plan, call.number, n_in)
                    if self._admit is None:  # else a file has the parameters
                        call.layer.initialize(self.seed)
                self._plan, self._numbered, self._listed = plan, numbered, list(self.layers)
                if self.class_labels is not None:
                    self._need_outputs(self.class_labels)
            except BaseException:
                self._unfinalize()
                raise

    def _unfinalize(self) -> None:
        """As before finalize: what turned out not to be possible leaves no trace."""
        self._plan = None
        self._buffers.clear()
        for layer in self.numbered:
            layer.unbind()

    def _network(self) -> _network.Network:
        return _network.Network(self.layers, self._graph)

    # --- what the runs ask for ---

    @property
    def numbered(self) -> list[Layer]:
        """Every layer by its number, those that layers hold among them: ``model.numbered[layer.index] is layer``."""
        if self._plan is not None:  # nothing can be added any more, and each step asks for them
            return self._numbered
        return [call.layer for call in self._network().numbered()]

    def rows_of(self, name: str, X: Any) -> Any:
        """X as rows of the model's width: of a graph, a list or dict of arrays is put side by side."""
        side_by_side = X if self._graph is None else self._side_by_side(name, X)
        return _checks.as_rows(name, side_by_side, self.plan.n_in, "layer 0: ")

    def _side_by_side(self, name: str, X: Any) -> Any:
        several = isinstance(X, (list, tuple, dict))
        return _network.side_by_side(name, X, self._network().inputs) if several else X

    @property
    def plan(self) -> Plan:
        """The native plan; ValueError before finalize."""
        if self._plan is None:
            raise ValueError("the model is not finalized: call finalize() or train() first")
        return self._plan

    def need_listed(self) -> None:
        """ValueError where other layers are listed than the plan was made of, those that layers hold among them."""
        if self._plan is not None and self._numbered != [call.layer for call in self._network().numbered()]:
            raise ValueError(_CHANGED)

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
            return accuracy_named(self.loss_object.accuracy)
        return self.accuracy  # type: ignore[return-value]

    @property
    def merged(self) -> bool:
        """Whether the loss's gradient is taken together with the last activation's."""
        last = self.plan.specs[-1] if self.plan.specs else None
        return getattr(last, "activation", None) == self.loss_object.merges_with is not None

    @property
    def frozen(self) -> frozenset[int]:
        """Indices of the layers that are not trained."""
        return frozenset(i for i, layer in enumerate(self.numbered) if not layer.training_rate)

    def training_buffers(self, batch: int, whole: bool = False, frozen: frozenset[int] | None = None) -> Buffers:
        """For the chunks of a batch, or where whole for all its rows at once. frozen: None for those that are now."""
        head = self.merged
        cut = not whole and self.loss_object.kernel != "python"
        rows = self.plan.chunk_rows(batch) if cut else batch
        frozen = self.frozen if frozen is None else frozen

        def make() -> Buffers:
            _runs.warn_if_all_frozen(self, frozen)
            return Buffers(self.plan, rows, True, labels=True, head=head, frozen=frozen)

        return self._cached(("train", rows, head, frozen), make)

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
        if self._graph is not None:
            X = self._side_by_side("X", X)
        if self._plan is None:
            X = _checks.as_rows("X", X)
            self.finalize(X.shape[1] if self.layers and self._network().input_width() is None else None)
        elif self.layers != self._listed:
            raise ValueError(_CHANGED)
        return X

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

        sample_weight: (rows,), what each row's loss is multiplied by, finite; the loss is sum(weight * loss) / rows.
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
        """(loss, accuracy) over the rows: the mean loss without penalties, with weights as in ``train``; beside them
        ``.metrics``, a dict of what ``set(metrics=)`` asked for. batch_size bounds memory, never changes bits."""
        with self._lock, self._readied(X) as X:
            return _runs.evaluate(self, X, y, batch_size, sample_weight, class_weight)

    def predict(self, X: ArrayLike, *, batch_size: int | None = None) -> NDArray[Any]:
        """Outputs (rows, outputs) for X (rows, features). A row's bits do not depend on the other rows.

        batch_size: rows worked on together; bounds memory, never changes bits. NaN in a row gives NaN in its outputs.
        """
        with self._lock:
            if self._plan is None:
                with self._readied(X) as X:
                    return _runs.predict(self, X, batch_size)
            return _runs.predict(self, self._ready(X), batch_size)

    __call__ = predict

    def session(self) -> Session:
        """The network as it is now, for prediction only: thread-safe, without allocation, quick for single rows."""
        from fastnn.session import Session

        return Session(self)

    def summary(self) -> str:
        """A table of layers with shapes, parameters, memory and operations a row, printed and returned."""
        from fastnn._summary import summary_text

        states = None if self.optimizer is None else self.optimizer.state_count + self.optimizer.use_ema
        with self._lock:
            text = summary_text(self._network(), self.dtype, self._plan, states)
        print(text)
        return text

    @property
    def parameter_count(self) -> int:
        """Number of trainable parameters (0 before finalize)."""
        return sum(layer.parameter_count for layer in self.layers)

    def get_parameters(self) -> list[tuple[NDArray[Any], ...]]:
        """Copies of the parameters of each layer that has some, in order: (weights, biases), (gamma, beta, moving_mean,
        moving_variance), (mean, variance); of one written in Python, what it has."""
        with self._lock:
            return [tuple(view.copy() for view in views.values()) for views in _state_dict.by_layer(self).values()]

    def set_parameters(self, parameters: Iterable[tuple[ArrayLike, ...]]) -> None:
        """Copy what ``get_parameters`` gives into each layer, in order. Everything is checked first: ValueError or
        TypeError for what does not fit, and nothing has changed."""
        with self._lock:
            _state_dict.set_by_layer(self, parameters)

    def averaged_weights(self) -> AbstractContextManager[Model]:
        """``with model.averaged_weights():`` the parameters are the running average that an optimizer with
        ``use_ema=True`` keeps: predict, evaluate, save. Afterwards they are those of the training again. A callback may
        do so too, after each epoch for instance.

        ValueError where there is none; training inside raises RuntimeError.
        """
        return averaged_weights(self)

    def __repr__(self) -> str:
        return f"Model([{', '.join(repr(layer) for layer in self.layers)}], seed={self.seed}, dtype='{self.dtype}')"
