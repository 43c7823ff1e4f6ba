"""Weights of energies against forces."""

import numpy as np
import pytest

from thiry_calc.linear import TSQR, ridge
from training.regression import bayesian_ridge
from training.weighing import best_choice, joined, weigh

K, KINDS = 12, ("energy", "forces", "stress")


def _folds(rng, w, noise, rows, mixing=1.0):
    """Three folds; with little mixing, features differ by that much."""
    mixer = mixing * np.eye(K) + (1 - mixing) / K
    folds = []
    for _ in range(3):
        fold = {}
        for kind in KINDS:
            X = rng.normal(size=(rows[kind], K)) @ mixer
            y = X @ w + noise[kind] * rng.standard_normal(rows[kind])
            fold[kind] = TSQR(K).update(X, y)
        fold["core"] = TSQR(K)
        folds.append(fold)
    return folds


def test_exact_energies_count_more_than_noisy_ones():
    rng = np.random.default_rng(0)
    w, rows = rng.normal(size=K), {"energy": 40, "forces": 400, "stress": 60}
    groups = np.zeros(K, dtype=int)
    best = []
    for energy_noise in (0.001, 0.03):
        noise = {"energy": energy_noise, "forces": 0.1, "stress": 10 * energy_noise}
        choices = weigh(_folds(rng, w, noise, rows), groups)
        assert len(choices) == 15
        best.append(choices[best_choice(choices)])
        assert best[-1].factors["stress"] > 0
        assert best[-1].rmse["forces"] == pytest.approx(0.1, rel=0.15)
        assert best[-1].rmse["energy"] == pytest.approx(energy_noise, rel=0.5)
    assert best[0].factors["energy"] > 3 * best[1].factors["energy"]


@pytest.mark.parametrize("scale", [1.0, 1e-4])
def test_rows_left_out_are_those_of_the_fold(scale):
    """Against fits of the other folds by QR decompositions, nearly collinear features too."""
    rng = np.random.default_rng(1)
    w, rows = rng.normal(size=K), {"energy": 30, "forces": 90, "stress": 24}
    folds = _folds(rng, w, dict.fromkeys(KINDS, 0.1), rows, mixing=scale)
    groups = np.zeros(K, dtype=int)
    found = weigh(folds, groups, [3.0, 30.0, 300.0], [0.1, 0.0], [40.0])
    total = {k: folds[0][k] + folds[1][k] + folds[2][k] for k in (*KINDS, "core")}
    middling = {"energy": 30.0, "forces": 1.0, "stress": 3.0}
    penalty = bayesian_ridge(joined(total, middling), groups, False).penalty
    assert len(found) == 6
    for choice in found:
        np.testing.assert_allclose(choice.penalty, 40.0 * penalty)
        squares = dict.fromkeys(KINDS, 0.0)
        for k, fold in enumerate(folds):
            rest = [joined(other, choice.factors) for j, other in enumerate(folds) if j != k]
            fitted = ridge(rest[0] + rest[1], 40.0 * penalty).coefficients
            for kind in KINDS:
                squares[kind] += float(fold[kind].rss(fitted))
        for kind, n in rows.items():
            assert choice.rmse[kind] == pytest.approx(np.sqrt(squares[kind] / (3 * n)), rel=1e-7)


def test_energies_alone_need_no_choice():
    rng = np.random.default_rng(2)
    rows = {"energy": 50, "forces": 0, "stress": 0}
    folds = _folds(rng, np.ones(K), dict.fromkeys(KINDS, 0.1), rows)
    choices = weigh(folds, np.zeros(K, dtype=int))
    assert len(choices) == 1
    assert choices[0].score == choices[0].rmse["energy"]


def test_stresses_that_contradict_the_energies_are_left_out():
    rng = np.random.default_rng(3)
    w, rows = rng.normal(size=K), {"energy": 60, "forces": 400, "stress": 90}
    noise = {"energy": 0.003, "forces": 0.1, "stress": 0.03}
    folds = _folds(rng, w, noise, rows)
    groups = np.zeros(K, dtype=int)
    choices = weigh(folds, groups)
    assert choices[best_choice(choices)].factors["stress"] > 0
    for fold in folds:
        X = rng.normal(size=(90, K))
        fold["stress"] = TSQR(K).update(X, -(X @ w))  # the other sign
    choices = weigh(folds, groups)
    assert choices[best_choice(choices)].factors["stress"] == 0


def test_penalties_are_as_strong_as_serves_what_is_left_out():
    """Groups of structures that obey different laws: no noise, and no use in following each."""
    rng = np.random.default_rng(4)
    rows = {"energy": 60, "forces": 0, "stress": 0}
    strengths = (1.0, 1e2, 1e4)
    folds = [
        _folds(rng, 0.1 * np.eye(K)[3] + 0.02 * rng.normal(size=K), dict.fromkeys(KINDS, 1e-6),
               rows)[0]
        for _ in range(4)
    ]  # fmt: skip
    shape = np.where(np.arange(K) == 3, 1e-6, 1.0)
    (chosen,) = weigh(folds, np.zeros(K, dtype=int), strengths=strengths, shape=shape)
    alone = [weigh(folds, np.zeros(K, dtype=int), strengths=[s], shape=shape)[0] for s in strengths]
    errors = [choice.score for choice in alone]
    assert chosen.strength == strengths[int(np.argmin(errors))] > 1
    assert chosen.score == min(errors)
    assert min(errors) < 0.95 * errors[0]
    np.testing.assert_allclose(chosen.penalty, chosen.strength * alone[0].penalty)
    np.testing.assert_allclose(chosen.penalty[3] / chosen.penalty[0], 1e-6, rtol=0.11)
