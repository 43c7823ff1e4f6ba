"""Backward elimination."""

import numpy as np
import pytest

from thiry_calc.linear import TSQR, ridge
from training.sparse import most_useful, without_others


def _problem(noise=0.01):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 40)) @ (np.eye(40) + 0.3 * rng.normal(size=(40, 40)))
    w = np.zeros(40)
    w[[3, 11, 17, 30]] = 2.0, -1.0, 0.5, 1.5
    return X, X @ w + noise * rng.normal(size=400)


def test_the_features_behind_the_data_stay():
    X, y = _problem()
    model = ridge(TSQR(40).update(X, y), 1e-6)
    assert set(most_useful(model, np.zeros(40, bool), 4)) == {3, 11, 17, 30}
    always = np.zeros(40, bool)
    always[7] = True
    assert set(most_useful(model, always, 4)) == {3, 7, 11, 17, 30}
    np.testing.assert_array_equal(most_useful(model, always, 39), np.arange(40))


def test_one_at_a_time_is_the_least_rise_of_the_minimum(monkeypatch):
    """Each choice against fits without each of the features."""
    monkeypatch.setattr("training.sparse._SHARE", 1e-9)
    X, y = _problem(noise=2.0)
    X = X[:, :8]
    kept = list(range(8))
    penalty = np.full(8, 3.0)
    for count in (7, 6, 5, 4):
        objective = {}
        for k in kept:
            rest = [j for j in kept if j != k]
            w = np.linalg.solve(
                X[:, rest].T @ X[:, rest] + 3.0 * np.eye(len(rest)), X[:, rest].T @ y
            )
            objective[k] = np.sum((y - X[:, rest] @ w) ** 2) + 3.0 * w @ w
        kept.remove(min(objective, key=objective.get))
        model = ridge(TSQR(8).update(X, y), penalty)
        np.testing.assert_array_equal(most_useful(model, np.zeros(8, bool), count), kept)


def test_what_is_left_out_has_no_part():
    X, y = _problem()
    stats = TSQR(40).update(X, y)
    kept = np.array([1, 3, 11, 17, 25])
    model = without_others(stats, ridge(stats, np.linspace(0, 2, 40)), kept)
    others = np.setdiff1d(np.arange(40), kept)
    assert not model.coefficients[others].any()
    assert not model.leverage_factor[others].any()
    assert model.coefficients[3] == pytest.approx(2.0, abs=0.5)
    again = ridge(stats, model.penalty)
    np.testing.assert_allclose(again.coefficients, model.coefficients, atol=1e-6)
    np.testing.assert_allclose(again.std(X[:5]), model.std(X[:5]), rtol=1e-3)
