"""Metrics of a model: what ``Model.set(metrics=)`` takes, by name or as objects, counted natively in the passes that
train and validate; and metrics of one's own, functions in Python."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import numpy as np

from fastnn import _checks
from fastnn.base import Registered
from fastnn.engine.record import Record
from fastnn.metrics import _averages, _regression
from fastnn.metrics._accuracies import Accuracy
from fastnn.metrics._averages import Counts, check_average

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.engine.tally import Tally

Function: TypeAlias = "Callable[[NDArray[Any], NDArray[Any]], float]"


class Setting(Record):
    """What a metric is of. kind: "categorical" (a row is of one class), "binary" (each output a yes or a no) or
    "regression"; threshold: above what an output is a yes; labels: whether the targets are class labels."""

    kind: str
    outputs: int
    threshold: float
    labels: bool


class Metric(Registered):
    """A metric counted natively. It describes what is wanted; nothing of a pass is kept in it.

    name: under which the history has it; by default the metric's own.
    """

    kind = "metric"

    def __init__(self, *, name: str | None = None) -> None:
        self.name = self.own_name() if name is None else name
        if not isinstance(self.name, str) or not self.name.isidentifier():
            raise ValueError(f"{self.label()}: name: expected a word such as {self.own_name()!r}, got {name!r}")

    def label(self) -> str:
        """How messages name it."""
        return f"metric {self.names[0]}"

    def own_name(self) -> str:
        return self.names[0]

    def part(self, setting: Setting) -> tuple[str, float]:
        """What a ``Tally`` is to count. ValueError where the metric is not one of such a model."""
        raise NotImplementedError

    def values(self, tally: Tally, setting: Setting) -> list[float]:
        """The numbers for ``columns``, of what was counted."""
        raise NotImplementedError

    def columns(self, setting: Setting) -> list[str]:
        """Names in the history."""
        return [self.name]

    def needs_classes(self, setting: Setting) -> None:
        if setting.kind == "regression":
            raise ValueError(
                f"{self.label()}: needs classes, and the model's accuracy is that of a regression: "
                f"pass accuracy='categorical' or accuracy='binary' beside metrics"
            )

    def describe(self) -> dict[str, Any]:
        return {"name": self.names[0], "column": self.name, **self.config()}

    @classmethod
    def rebuild(cls, **config: Any) -> Self:
        column = config.pop("column", None)
        return cls(**config, name=column)

    @classmethod
    def resolve(cls, what: Any) -> Self:
        """As of all families; a name with an average, as in "f1_macro", gives the metric that. The history has a metric
        that was named under the name given."""
        if not isinstance(what, str):
            return super().resolve(what)
        name, options = what.lower(), {}
        for average in ("macro", "micro", "weighted"):
            start = name.removesuffix(f"_{average}")
            if start != name and issubclass(cls.registry.get(start, Metric), _Averaged | ROCAUC):
                name, options = start, {"average": average}
        found: Self = super().resolve(name)
        return type(found)(**options, name=what.lower())


class _Averaged(Metric):
    """average: "binary", of class 1; "macro", the mean over the classes in targets or predictions; "micro",
    of all classes' counts together; "weighted", the mean weighted by each class's rows; None for each class by itself,
    which the history then has as ``f1_0``, ``f1_1``. "auto" is "binary" for a model with one output, else "macro".
    threshold: above what an output is a yes, instead of the loss's (0.5; 0 for scores); not for softmax and the like.
    """

    @staticmethod
    def score(found: Any, predicted: Any, actual: Any) -> Any:
        """The number of each class."""
        raise NotImplementedError

    def __init__(
        self, average: str | None = "auto", *, threshold: float | None = None, name: str | None = None
    ) -> None:
        self.average = check_average(f"{self.label()}: ", average, ("auto", *_averages.AVERAGES))
        self.threshold = None if threshold is None else _number(f"{self.label()}: threshold", threshold)
        super().__init__(name=name)

    def config(self) -> dict[str, Any]:
        return {"average": self.average, "threshold": self.threshold}

    def _average(self, setting: Setting) -> str | None:
        return ("binary" if setting.outputs == 1 else "macro") if self.average == "auto" else self.average

    def _limit(self, setting: Setting) -> float:
        return setting.threshold if self.threshold is None else self.threshold

    def part(self, setting: Setting) -> tuple[str, float]:
        self.needs_classes(setting)
        if setting.kind == "categorical" and self.threshold is not None:
            raise ValueError(
                f"{self.label()}: threshold: the model tells classes apart by the largest output, there is no threshold"
            )
        if self._average(setting) == "binary" and setting.outputs > (2 if setting.kind == "categorical" else 1):
            raise ValueError(
                f"{self.label()}: average: 'binary' is for two classes, the model has {setting.outputs} outputs"
            )
        return "classes", self._limit(setting)

    def columns(self, setting: Setting) -> list[str]:
        if self._average(setting) is not None:
            return [self.name]
        return [f"{self.name}_{j}" for j in range(max(setting.outputs, 2))]

    def values(self, tally: Tally, setting: Setting) -> list[float]:
        counts = _counts(tally, setting, self._limit(setting))
        return _floats(_averages.averaged(self.score, counts, self._average(setting)))


class Precision(_Averaged):
    """found / predicted: the share of the rows predicted to be of a class that are. 0 where none is predicted.

    average, threshold: docs/metrics.md. Source: van Rijsbergen 1979, chapter 7.
    """

    names = ("precision", "precision_score")
    score = staticmethod(_averages.precision)


class Recall(_Averaged):
    """found / actual: the share of a class's rows that are found (sensitivity). 0 where there are none.

    average, threshold: docs/metrics.md. Source: van Rijsbergen 1979, chapter 7.
    """

    names = ("recall", "recall_score", "sensitivity")
    score = staticmethod(_averages.recall)


class F1(_Averaged):
    """2 found / (predicted + actual), the harmonic mean of precision and recall; 0 where that is of nothing.

    average, threshold: docs/metrics.md. Source: van Rijsbergen 1979, chapter 7.
    """

    names = ("f1", "f1_score")
    score = staticmethod(_averages.f1)


class _OfCounts(Metric):
    """One number of the counts of exclusive classes."""

    @staticmethod
    def of_counts(counts: Counts) -> float:
        raise NotImplementedError

    def part(self, setting: Setting) -> tuple[str, float]:
        self.needs_classes(setting)
        if setting.kind == "binary" and setting.outputs > 1:
            raise ValueError(
                f"{self.label()}: is of classes that exclude one another, the model's {setting.outputs} outputs do not"
            )
        return "classes", setting.threshold

    def values(self, tally: Tally, setting: Setting) -> list[float]:
        return [self.of_counts(_counts(tally, setting, setting.threshold))]


class BalancedAccuracy(_OfCounts):
    """The mean recall of the classes that occur in the targets. Brodersen et al. 2010."""

    names = ("balanced_accuracy",)
    of_counts = staticmethod(_averages.balanced_accuracy)


class MatthewsCorrelation(_OfCounts):
    """The correlation of true and predicted classes, -1 to 1. Matthews 1975; for many classes Gorodkin 2004."""

    names = ("matthews_correlation", "mcc")
    of_counts = staticmethod(_averages.matthews)


class TopKAccuracy(Metric):
    """The share of rows whose class is among the k with the largest outputs; of equal ones the first come first: k = 1
    is the accuracy. In the history as ``top_3_accuracy``."""

    names = ("top_k_accuracy", "top_k_categorical_accuracy")

    def __init__(self, k: int = 5, *, name: str | None = None) -> None:
        self.k = _checks.whole(f"{self.label()}: k", k, 1)
        super().__init__(name=name)

    def own_name(self) -> str:
        return f"top_{self.k}_accuracy"

    def config(self) -> dict[str, Any]:
        return {"k": self.k}

    def part(self, setting: Setting) -> tuple[str, float]:
        if setting.kind != "categorical":
            raise ValueError(f"{self.label()}: needs a model that tells classes apart by its largest output")
        if self.k >= setting.outputs:
            raise ValueError(
                f"{self.label()}: k: expected less than the model's {setting.outputs} outputs, got {self.k}"
            )
        return "top_k", self.k

    def values(self, tally: Tally, setting: Setting) -> list[float]:
        return [tally.top_k(self.k) / tally.rows if tally.rows else np.nan]


class ROCAUC(Metric):
    """The area under the ROC curve: how often a row of a class has a larger score than one of the rest, equals counting
    half. Hanley and McNeil 1982. Keeps the scores of a pass: as much memory as its predictions.

    One output, or two classes: that of class 1. More: of each class against the rest. average: "macro", their mean;
    "weighted" by the rows of each class; None for each by itself. NaN (in the history None) where a class has no rows,
    or has all, and where a score is NaN.
    """

    names = ("roc_auc", "auc", "roc_auc_score")

    def __init__(self, average: str | None = "macro", *, name: str | None = None) -> None:
        self.average = check_average(f"{self.label()}: ", average, ("macro", "weighted", None))
        super().__init__(name=name)

    def config(self) -> dict[str, Any]:
        return {"average": self.average}

    def part(self, setting: Setting) -> tuple[str, float]:
        self.needs_classes(setting)
        return "scores", 0

    def columns(self, setting: Setting) -> list[str]:
        if self.average is not None:
            return [self.name]
        one = setting.outputs == 1 or (setting.outputs == 2 and setting.kind == "categorical")
        return [self.name] if one else [f"{self.name}_{j}" for j in range(setting.outputs)]

    def values(self, tally: Tally, setting: Setting) -> list[float]:
        areas = _averages.column_aucs(tally.predictions, tally.targets)
        return _floats(_averages.averaged_auc(*areas, self.average))


class _OfErrors(Metric):
    """One number of the errors of each output, averaged over the outputs."""

    @staticmethod
    def of_sums(sums: Any, rows: float) -> Any:
        """The number of each output, of the tally's sums."""
        raise NotImplementedError

    def part(self, setting: Setting) -> tuple[str, float]:
        if setting.labels:
            raise ValueError(f"{self.label()}: needs targets (rows, outputs), here they are class labels")
        return "errors", 0

    def values(self, tally: Tally, setting: Setting) -> list[float]:
        if not tally.rows:
            return [np.nan]
        return [_averages.mean(self.of_sums(tally.errors(), float(tally.rows)))]


class MSE(_OfErrors):
    """The mean over rows and outputs of (p - t)^2."""

    names = ("mse", "mean_squared_error")
    of_sums = staticmethod(_regression.squared)


class RMSE(_OfErrors):
    """The square root of an output's mean of (p - t)^2; the mean over the outputs."""

    names = ("rmse", "root_mean_squared_error")
    of_sums = staticmethod(_regression.root)


class MAE(_OfErrors):
    """The mean over rows and outputs of |p - t|."""

    names = ("mae", "mean_absolute_error")
    of_sums = staticmethod(_regression.absolute)


class R2(_OfErrors):
    """The coefficient of determination, 1 - sum (p - t)^2 / sum (t - mean t)^2; the mean over the outputs. Where all
    targets of an output are equal: 1 if they are met, else 0. NaN for a single row."""

    names = ("r2", "r2_score")
    of_sums = staticmethod(_regression.r2)

    def values(self, tally: Tally, setting: Setting) -> list[float]:
        return super().values(tally, setting) if tally.rows > 1 else [np.nan]


def _counts(tally: Tally, setting: Setting, limit: float) -> Counts:
    return Counts.of(tally.class_counts(limit), float(tally.rows), setting.kind == "binary")


def _floats(values: Any) -> list[float]:
    return [float(v) for v in np.atleast_1d(values)]


def _number(name: str, value: Any) -> float:
    return _checks.number(name, value, -np.inf)


# --- by name ---
ACCURACIES = {"accuracy": None, "acc": None, "categorical_accuracy": "categorical", "binary_accuracy": "binary",
              "sparse_categorical_accuracy": "categorical", "regression_accuracy": "regression"}  # fmt: skip


def by_name(metrics: Any, taken: Iterable[str]) -> tuple[dict[str, Metric | Function], Any]:
    """(metrics by their names in the history, the accuracy that was among them, by name or as an object, or None).

    metrics: names, objects, functions ``f(y_true, y_pred)`` that give a number; one by itself or several. TypeError
    for anything else, ValueError for a name that is not known, is taken, or used twice.
    """
    found: dict[str, Metric | Function] = {}
    accuracy: Any = None
    one = isinstance(metrics, (str, Metric, Accuracy, type)) or callable(metrics)
    for i, metric in enumerate([metrics] if one else metrics):
        if isinstance(metric, str) and metric.lower() in ACCURACIES:
            accuracy = ACCURACIES[metric.lower()] or accuracy
            continue
        if isinstance(metric, Accuracy) or (isinstance(metric, type) and issubclass(metric, Accuracy)):
            accuracy = metric
            continue
        native = isinstance(metric, (str, Metric)) or (isinstance(metric, type) and issubclass(metric, Metric))
        if not native and (not callable(metric) or isinstance(metric, type)):
            raise TypeError(
                f"metrics[{i}]: expected a name, a metric or a function of (y_true, y_pred), got {metric!r}"
            )
        made = Metric.resolve(metric) if native else metric
        name = made.name if native else getattr(made, "__name__", type(made).__name__)
        if name in taken or name in found or not name.isidentifier():
            hint = "pass name=" if native else "give the function another"
            raise ValueError(f"metrics[{i}]: {name!r} cannot be its name in the history: {hint}")
        found[name] = made
    return found, accuracy


def measure(name: str, metric: Function, y_true: NDArray[Any], y_pred: NDArray[Any]) -> float:
    """The value of a metric in Python, checked; what it raises says which it was."""
    try:
        value = np.asarray(metric(y_true, y_pred))
        if value.shape or value.dtype.kind not in "fiub":
            raise TypeError(f"metric {name}: expected a number, got {value.dtype} of shape {value.shape}")
    except BaseException as error:
        error.add_note(f"in the metric {name}")
        raise
    return float(value)
