"""How much energies, forces, stresses and penalties count, by cross-validation.

The evidence cannot tell: left to itself it takes the descriptor's error for noise of the labels and
gives the few energies away. Rows of forces count once; those of energies (per √atom) and stresses
as often as makes the product of the errors of energies and forces left out least: a factor won
there is not paid for by the same factor here. Stresses that contradict the energies (Pulay stress
of a small basis, the wrong unit or sign) show by this and are left out. For the same reason the
evidence wants too little of penalties: it tells those of body orders from one another, and their
common strength is the one of least errors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product
from operator import add

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from thiry_calc.linear import TSQR
from training.regression import bayesian_ridge
from training.rows import KINDS

Array = NDArray[np.float64]

ENERGY_FACTORS = (3.0, 10.0, 30.0, 100.0, 300.0)
STRESS_FACTORS = (0.1, 0.01, 0.0)  # in units of that of energies
STRENGTHS = (1.0, 10.0, 1e2, 1e3, 1e4, 1e5)  # of penalties, in units of the evidence's
_START, _SLACK = 30.0, 0.02
_LOST = 1e-12


@dataclass(frozen=True, eq=False)
class Choice:
    """One way to weigh the kinds, and its errors on what was left out.

    Attributes
    ----------
    factors : mapping of str to float
        Of the rows of each kind.
    strength : float
        Of the penalties, in units of those of largest evidence.
    penalty : ndarray, shape (K,)
    rmse : mapping of str to float
        Weighted root mean square error of each kind that has rows: eV/√atom, eV/Å, eV/√atom.
    """

    factors: Mapping[str, float]
    strength: float
    penalty: Array
    rmse: Mapping[str, float]

    @property
    def score(self) -> float:
        """Product of the errors of energies and forces."""
        return float(np.prod([self.rmse.get(kind, 1.0) for kind in ("energy", "forces")]))


def joined(parts: Mapping[str, TSQR], factors: Mapping[str, float]) -> TSQR:
    """Statistics of all kinds, the rows of each multiplied by its factor.

    Parameters
    ----------
    parts : mapping of str to TSQR
    factors : mapping of str to float
        Of some of `training.rows.KINDS`, 1 by default; 0 leaves it out.

    Returns
    -------
    TSQR

    Raises
    ------
    ValueError
        Without rows.
    """
    weights = {kind: factors.get(kind, 1.0) for kind in KINDS}
    filled = [kind for kind in KINDS if parts[kind].n and weights[kind] > 0]
    if not filled:
        raise ValueError("no label has a weight above 0; weigh some, in [weights] or its groups")
    return reduce(add, (parts[kind].repeated(weights[kind] ** 2) for kind in filled))


def weigh(
    folds: Sequence[Mapping[str, TSQR]],
    groups: NDArray[np.int64],
    energy_factors: Sequence[float] = ENERGY_FACTORS,
    stress_factors: Sequence[float] = STRESS_FACTORS,
    strengths: Sequence[float] = STRENGTHS,
    shape: Array | None = None,
) -> list[Choice]:
    """Try factors of the kinds, and for each the strength of penalties.

    The ratios of penalties are those of the largest evidence for all folds and middling factors;
    each fold is predicted by a fit of the others.

    Parameters
    ----------
    folds : sequence of F ≥ 2 mapping of str to TSQR
        From `training.rows.fold_statistics`.
    groups : ndarray, shape (K,)
        Of penalties.
    energy_factors : sequence of float
        1/(eV/√atom), forces having 1/(eV/Å).
    stress_factors : sequence of float
        In units of the energies'.
    strengths : sequence of float
        Of the penalties.
    shape : ndarray, shape (K,), optional
        Ratios of penalties within their groups, see `training.regression.bayesian_ridge`.

    Returns
    -------
    list of Choice
        One for each pair of factors, of the best strength. Kinds without rows are not varied.
    """
    rows = {kind: sum(fold[kind].n for fold in folds) for kind in KINDS}
    if not (rows["energy"] and rows["forces"]):
        energy_factors = (_START,)
    if not rows["stress"]:
        stress_factors = (0.0,)
    middling = _middling(folds, stress_factors[0])
    penalty = bayesian_ridge(middling, groups, False, shape).penalty
    assert penalty is not None
    normal = _NormalEquations.build(folds, middling, penalty)
    choices = []
    for energy, stress in product(energy_factors, stress_factors):
        factors = _factors(energy, stress)
        tried = []
        for strength, squares in zip(strengths, normal.left_out(factors, strengths), strict=True):
            rmse = {kind: float(np.sqrt(squares[kind] / n)) for kind, n in rows.items() if n}
            tried.append(Choice(factors, strength, strength * penalty, rmse))
        choices.append(min(tried, key=lambda choice: choice.score))
    return choices


def mean_square(folds: Sequence[Mapping[str, TSQR]]) -> Array:
    """Mean squares of the features in the rows of all folds, with middling factors, shape (K,).

    Parameters
    ----------
    folds : sequence of mapping of str to TSQR
    """
    stress = STRESS_FACTORS[0] if any(fold["stress"].n for fold in folds) else 0.0
    return _middling(folds, stress).mean_square


def _middling(folds: Sequence[Mapping[str, TSQR]], stress: float) -> TSQR:
    total = {kind: reduce(add, (fold[kind] for fold in folds)) for kind in KINDS}
    return joined(total, _factors(_START, stress))


@dataclass(frozen=True, eq=False)
class _NormalEquations:
    """Ridge problems of all folds and weights, in a basis where they are well conditioned.

    With RᵀR = XᵀX + Λ of middling weights and u = Rw, any other weights change a unit matrix by
    their ratios alone: Cholesky factors are as exact as a QR decomposition there, and ten times
    faster.

    Attributes
    ----------
    penalty : ndarray, shape (K, K)
        R⁻ᵀ Λ R⁻¹.
    gram : sequence of mapping of str to ndarray, shape (K + 1, K + 1)
        Of each fold and kind, of the rows [X R⁻¹, y].
    """

    penalty: Array
    gram: Sequence[Mapping[str, Array]]

    @classmethod
    def build(
        cls, folds: Sequence[Mapping[str, TSQR]], middling: TSQR, penalty: Array
    ) -> "_NormalEquations":
        k = len(penalty)
        stacked = np.vstack([middling.factor()[:k, :k], np.diag(np.sqrt(penalty))])
        R: Array = np.asarray(np.linalg.qr(stacked, mode="r"), dtype=np.float64)
        lost = np.abs(np.diag(R)) < _LOST * np.abs(R).max(axis=0)  # features that are all zero
        R[np.diag_indices(k)] = np.where(lost, 1.0, np.diag(R))
        inverse = solve_triangular(R, np.eye(k))

        def gram(stats: TSQR) -> Array:
            triangle = stats.factor()
            rows = np.column_stack([triangle[:, :k] @ inverse, triangle[:, k]])
            out: Array = rows.T @ rows
            return out

        grams = [{kind: gram(fold[kind]) for kind in KINDS if fold[kind].n} for fold in folds]
        return cls(inverse.T @ (penalty[:, None] * inverse), grams)

    def left_out(
        self, factors: Mapping[str, float], strengths: Sequence[float]
    ) -> list[dict[str, float]]:
        """Return the sums of squared errors by kind, each fold by a fit of the others."""
        weighted = [
            np.sum([factors.get(kind, 1.0) ** 2 * one for kind, one in fold.items()], axis=0)
            for fold in self.gram
        ]
        total = np.sum(weighted, axis=0)
        squares = [dict.fromkeys(KINDS, 0.0) for _ in strengths]
        for fold, own in zip(self.gram, weighted, strict=True):
            rest = total - own
            for strength, found in zip(strengths, squares, strict=True):
                factor = cho_factor(rest[:-1, :-1] + strength * self.penalty)
                u = np.append(cho_solve(factor, rest[:-1, -1]), -1.0)
                for kind, one in fold.items():
                    found[kind] += max(float(u @ one @ u), 0.0)
        return squares


def _factors(energy: float, stress: float) -> dict[str, float]:
    return {"energy": energy, "forces": 1.0, "stress": stress * energy}


def best_choice(choices: Sequence[Choice]) -> int:
    """Index of the choice with most stress among those within 2 % of the best score.

    Parameters
    ----------
    choices : sequence of Choice

    Returns
    -------
    int
    """
    scores = np.array([choice.score for choice in choices])
    good = np.flatnonzero(scores <= (1 + _SLACK) * scores.min())
    weights = [c.factors["stress"] / c.factors["energy"] for c in choices]
    return int(max(good, key=lambda k: (weights[k], -scores[k])))
