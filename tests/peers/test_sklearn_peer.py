"""From scikit-learn's perceptrons: the same predictions for every activation, task and type."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from fastnn import from_sklearn

pytest.importorskip("sklearn", reason="scikit-learn is not installed (peers extra)")
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier, MLPRegressor

RNG = np.random.default_rng(0)
X = RNG.standard_normal((90, 5)).astype(np.float32)


def fitted(kind: Any, y: Any, rows: Any = X, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it does not converge in so few steps
        return kind(hidden_layer_sizes=(9, 7), max_iter=8, random_state=0, **options).fit(rows, y)


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("classes", [2, 4])
def test_classifiers(activation: str, classes: int, dtype: np.dtype[Any]) -> None:
    names = np.array(["ant", "bee", "cat", "dog"])[X[:, :classes].argmax(axis=1)]
    theirs = fitted(MLPClassifier, names, X.astype(dtype), activation=activation)
    ours = from_sklearn(theirs)
    assert ours.dtype == dtype
    assert ours.metadata["class_names"] == ["ant", "bee", "cat", "dog"][:classes]
    assert ours.class_labels == ("ant", "bee", "cat", "dog")[:classes]
    np.testing.assert_array_equal(ours.predict_labels(X), theirs.predict(X.astype(dtype)))
    wanted = theirs.predict_proba(X.astype(dtype))
    np.testing.assert_allclose(ours.predict(X), wanted if classes > 2 else wanted[:, 1:], rtol=1e-5, atol=1e-5)


def test_a_predict_of_its_own_is_refused() -> None:
    class Doubled(MLPRegressor):
        def predict(self, X: Any) -> Any:
            return super().predict(X) * 2

    class Named(MLPRegressor):
        """As it is."""

    from_sklearn(fitted(Named, X[:, 0]))
    with pytest.raises(TypeError, match="Doubled has a predict of its own, which computes something else"):
        from_sklearn(fitted(Doubled, X[:, 0]))


@pytest.mark.parametrize("name", ["predict_proba", "_predict", "_forward_pass", "_forward_pass_fast"])
def test_what_a_prediction_goes_through_is_scikit_learns(name: str) -> None:
    other = type("Other", (MLPClassifier,), {name: lambda self, *given, **more: getattr(MLPClassifier, name)})
    theirs = fitted(MLPClassifier, X[:, 0] > 0)
    theirs.__class__ = other
    with pytest.raises(TypeError, match=f"Other has a {name} of its own, which computes something else"):
        from_sklearn(theirs)


def test_several_labels_at_a_time() -> None:
    theirs = fitted(MLPClassifier, (X[:, :3] > 0).astype(int))
    ours = from_sklearn(theirs)
    np.testing.assert_allclose(ours.predict(X), theirs.predict_proba(X), rtol=1e-5, atol=1e-5)
    assert ours.class_labels is None
    assert ours.metadata["class_names"] == ["0", "1", "2"]


@pytest.mark.parametrize("outputs", [1, 3])
def test_regressors(outputs: int, dtype: np.dtype[Any]) -> None:
    y = np.sin(X[:, :outputs]).squeeze()
    theirs = fitted(MLPRegressor, y, X.astype(dtype), activation="tanh")
    wanted = theirs.predict(X.astype(dtype)).reshape(len(X), outputs)
    np.testing.assert_allclose(from_sklearn(theirs).predict(X), wanted, rtol=1e-5, atol=1e-5)


def test_the_poisson_loss_ends_in_an_exponential() -> None:
    try:
        theirs = fitted(MLPRegressor, np.exp(X[:, 0]), loss="poisson")
    except TypeError:
        pytest.skip("this scikit-learn has no Poisson loss")
    np.testing.assert_allclose(from_sklearn(theirs).predict(X)[:, 0], theirs.predict(X), rtol=1e-5, atol=1e-5)


def test_others_are_refused() -> None:
    with pytest.raises(ValueError, match="it is not fitted: call its fit first"):
        from_sklearn(MLPClassifier())
    with pytest.raises(TypeError, match="expected an MLPClassifier or MLPRegressor, got LogisticRegression"):
        from_sklearn(LogisticRegression())
