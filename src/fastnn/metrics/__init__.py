"""How good predictions are: metrics of a model, counted while it trains and validates (``Model.set(metrics=)``), and
the same as functions on arrays, by scikit-learn's names. docs/metrics.md has the formulas."""

from fastnn.metrics._accuracies import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    RegressionAccuracy,
    regression_precision,
)
from fastnn.metrics._functions import (
    accuracy_score,
    classification_report,
    confusion_matrix,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
    top_k_accuracy_score,
)
from fastnn.metrics._matrix import ConfusionMatrix
from fastnn.metrics._objects import (
    F1,
    MAE,
    MSE,
    R2,
    RMSE,
    ROCAUC,
    BalancedAccuracy,
    MatthewsCorrelation,
    Metric,
    Precision,
    Recall,
    TopKAccuracy,
)
from fastnn.metrics._regression import (
    mean_absolute_error,
    mean_squared_error,
    r2_score,
    root_mean_squared_error,
)

__all__ = [
    "F1",
    "MAE",
    "MSE",
    "R2",
    "RMSE",
    "ROCAUC",
    "Accuracy",
    "BalancedAccuracy",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "ConfusionMatrix",
    "MatthewsCorrelation",
    "Metric",
    "Precision",
    "Recall",
    "RegressionAccuracy",
    "TopKAccuracy",
    "accuracy_score",
    "classification_report",
    "confusion_matrix",
    "f1_score",
    "mean_absolute_error",
    "mean_squared_error",
    "precision_score",
    "r2_score",
    "recall_score",
    "regression_precision",
    "roc_auc_score",
    "root_mean_squared_error",
    "top_k_accuracy_score",
]
