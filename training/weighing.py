"""How much energies, forces and stresses count beside one another, by cross-validation.

The evidence cannot tell: left to itself it takes the descriptor's error for noise of the labels and
gives the few energies away. Rows of forces count once; those of energies (per √atom) and stresses
as often as makes the product of the errors of energies and forces left out least: a factor won
there is not paid for by the same factor here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from thiry_calc.linear import TSQR, ridge
from training.regression import bayesian_ridge
from training.rows import KINDS

Array = NDArray[np.float64]

ENERGY_FACTORS = (3.0, 10.0, 30.0, 100.0, 300.0)
_STRESS = 0.1  # of the factor of energies: errors of a virial are some ten times larger


@dataclass(frozen=True)
class Choice:
    """One way to weigh the kinds, and its errors on what was left out.

    Attributes
    ----------
    factors : mapping of str to float
        Of the rows of each kind.
    rmse : mapping of str to float
        Weighted root mean square error of each kind that has rows: eV/√atom, eV/Å, eV/√atom.
    """

    factors: Mapping[str, float]
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
        Above 0, of each of `training.rows.KINDS`.

    Returns
    -------
    TSQR
    """
    filled = [parts[kind].repeated(factors[kind] ** 2) for kind in KINDS if parts[kind].n]
    return reduce(add, filled)


def weigh(
    folds: Sequence[Mapping[str, TSQR]],
    groups: NDArray[np.int64],
    energy_factors: Sequence[float] = ENERGY_FACTORS,
) -> list[Choice]:
    """Try factors of the kinds.

    Penalties are those of the largest evidence for all folds; each fold is predicted with them by a
    fit of the others.

    Parameters
    ----------
    folds : sequence of F ≥ 2 mapping of str to TSQR
        From `training.rows.fold_statistics`.
    groups : ndarray, shape (K,)
        Of penalties.
    energy_factors : sequence of float
        1/(eV/√atom), forces having 1/(eV/Å).

    Returns
    -------
    list of Choice
        In the order tried; only the first when there are not both energies and forces.
    """
    rows = {kind: sum(fold[kind].n for fold in folds) for kind in KINDS}
    if not (rows["energy"] and rows["forces"]):
        energy_factors = energy_factors[:1]
    choices = []
    for factor in tqdm(energy_factors, desc="weights", leave=False, disable=None):
        factors = {"energy": factor, "forces": 1.0, "stress": _STRESS * factor}
        parts = [joined(fold, factors) for fold in folds]
        total = reduce(add, parts)
        penalty = bayesian_ridge(total, groups, covariance=False).penalty
        assert penalty is not None
        squares = dict.fromkeys(KINDS, 0.0)
        for k, fold in enumerate(folds):
            rest = reduce(add, (part for j, part in enumerate(parts) if j != k))
            w = ridge(rest, penalty * (rest.n / total.n), covariance=False).coefficients
            for kind in KINDS:
                squares[kind] += float(fold[kind].rss(w))
        rmse = {kind: float(np.sqrt(squares[kind] / n)) for kind, n in rows.items() if n}
        choices.append(Choice(factors, rmse))
    return choices
