"""Joint fits: totals, together with the rows of sites and gradients.

Sites and gradients outnumber totals by thousands, and their errors are those of the descriptor,
the same ones over and over: counted one by one they would decide everything. Each kind of rows
counts a number of times (far below one) that validation on totals chooses.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from thiry_calc.linear import TSQR
from training.regression import bayesian_ridge

Array = NDArray[np.float64]

TIMES = (1e-4, 1e-3, 1e-2, 0.1, 1.0)


def joint_statistics(totals: TSQR, local: Mapping[str, TSQR], times: Mapping[str, float]) -> TSQR:
    """Statistics of totals and of those kinds of rows that count.

    Parameters
    ----------
    totals : TSQR
    local : mapping of str to TSQR
        By kind, of the same features.
    times : mapping of str to float
        How often a row of each kind counts; kinds without are left out.

    Returns
    -------
    TSQR
    """
    for kind, number in times.items():
        totals = totals + local[kind].repeated(number)
    return totals


class Fold(NamedTuple):
    """One split into what is fitted and what validates.

    Attributes
    ----------
    totals : TSQR
        Fitted, of K features.
    local : mapping of str to TSQR
        Likewise, by kind.
    X, y : ndarray, shapes (n, K) and (n,)
        Totals that validate.
    """

    totals: TSQR
    local: Mapping[str, TSQR]
    X: Array
    y: Array


def choose_times(
    folds: Sequence[Fold],
    groups: NDArray[np.int64],
    slack: float = 0.0,
    choices: Sequence[float] = TIMES,
) -> dict[str, float]:
    """How often rows of each kind should count.

    One kind after the other, beginning with the first: the largest number whose mean absolute error
    of the totals that validate is within `slack` of the best, no rows of the kind being a choice
    too.

    Parameters
    ----------
    folds : sequence of Fold
    groups : ndarray, shape (K,)
        Of penalties.
    slack : float
        Relative.
    choices : sequence of float

    Returns
    -------
    dict of str to float
        Of the kinds that count.
    """

    def error(times: dict[str, float]) -> float:
        misses = [
            bayesian_ridge(joint_statistics(fold.totals, fold.local, times), groups).predict(fold.X)
            - fold.y
            for fold in folds
        ]
        return float(np.abs(np.concatenate(misses)).mean())

    times: dict[str, float] = {}
    for kind in folds[0].local:
        trials = [times] + [times | {kind: number} for number in sorted(choices)]
        errors = [error(trial) for trial in trials]
        good = [t for t, e in zip(trials, errors, strict=True) if e <= (1 + slack) * min(errors)]
        times = good[-1]
    return times
