"""Multinomial logistic regression against scikit-learn's, and its own conditions."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from thiry_calc.linear.logistic import logistic


def problem(n=300, K=8, T=4, seed=0):
    rng = np.random.default_rng(seed)
    classes = np.arange(n) % T
    X = rng.normal(size=(T, K))[classes] + rng.normal(size=(n, K))
    return X @ np.diag(10.0 ** rng.uniform(-1, 1, K)), classes


@pytest.mark.parametrize("penalty", [1e-3, 0.1])
def test_scores_are_those_of_scikit_learn(penalty):
    X, classes = problem()
    w, b = logistic(X, classes, 4, penalty, max_iterations=1000, tolerance=1e-9)
    theirs = LogisticRegression(C=1 / (penalty * len(X)), tol=1e-10, max_iter=10_000)
    expected = theirs.fit(X, classes).decision_function(X)
    scores = X @ w + b
    centred = scores - scores.mean(1, keepdims=True)
    np.testing.assert_allclose(centred, expected - expected.mean(1, keepdims=True), atol=1e-3)


def test_the_gradient_vanishes():
    X, classes = problem()
    w, b = logistic(X, classes, 4, 0.02, max_iterations=1000, tolerance=1e-9)
    p = np.exp(X @ w + b)
    p /= p.sum(1, keepdims=True)
    slope = X.T @ (p - np.eye(4)[classes]) / len(X) + 0.02 * w
    assert np.abs(slope).max() < 1e-5
    assert np.abs((p - np.eye(4)[classes]).mean(0)).max() < 1e-5


def test_single_precision_and_more_features_than_rows():
    X, classes = problem(40, 100)
    X = X / X.std(0)
    w, b = logistic(X, classes, 4, 0.1)
    single, c = logistic(X.astype(np.float32), classes, 4, 0.1)
    assert single.dtype == np.float64
    np.testing.assert_allclose(X @ single + c, X @ w + b, atol=2e-2)
    with pytest.raises(ValueError, match="penalty"):
        logistic(X, classes, 4, 0.0)
