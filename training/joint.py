"""Joint fits: totals, together with the rows of sites and gradients.

Sites and gradients outnumber totals by thousands, and their errors are those of the descriptor,
the same ones over and over: counted one by one they would decide everything. Each kind of rows
counts a number of times (far below one) that validation on totals chooses.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from thiry_calc.linear import TSQR
from training.fit import fit

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


def choose_times(
    totals: TSQR,
    local: Mapping[str, TSQR],
    groups: NDArray[np.int64],
    validation: tuple[Array, Array],
    slack: float = 0.0,
    choices: Sequence[float] = TIMES,
) -> dict[str, float]:
    """How often rows of each kind should count.

    One kind after the other, beginning with the first: the largest number whose error on totals
    that are not fitted is within `slack` of the best, no rows of the kind being a choice too.

    Parameters
    ----------
    totals : TSQR
    local : mapping of str to TSQR
        By kind, of the same K features.
    groups : ndarray, shape (K,)
        Of penalties.
    validation : tuple of ndarray, shapes (n, K) and (n,)
        Totals not among those above.
    slack : float
        Relative.
    choices : sequence of float

    Returns
    -------
    dict of str to float
        Of the kinds that count.
    """
    X, y = validation
    times: dict[str, float] = {}
    for kind in local:
        trials = [times] + [times | {kind: number} for number in sorted(choices)]
        models = (fit(joint_statistics(totals, local, trial), groups) for trial in trials)
        errors = [float(np.abs(model.predict(X) - y).mean()) for model in models]
        good = [t for t, e in zip(trials, errors, strict=True) if e <= (1 + slack) * min(errors)]
        times = good[-1]
    return times
