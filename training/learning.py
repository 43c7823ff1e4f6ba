"""Learning curves: errors of what is left out against the number of structures fitted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
from numpy.typing import NDArray

from thiry_calc.linear import TSQR, LinearModel, ridge
from training.rows import KINDS
from training.weighing import joined

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Learning:
    """Errors of each fold, fitted to more and more of the others.

    Attributes
    ----------
    n_structures : ndarray, shape (S,)
    rmse : mapping of str to ndarray, shape (S, F)
        Weighted root mean square errors of "energy" (eV/√atom), "forces" (eV/Å) and "stress"
        (eV/√atom), those that there are.
    """

    n_structures: Array
    rmse: Mapping[str, Array]


def learning_curve(
    blocks: Sequence[Mapping[str, TSQR]],
    per_fold: int,
    factors: Mapping[str, float],
    model: LinearModel,
    n_structures: int,
) -> Learning:
    """Fit 1, 2, 4, ... blocks and all, and predict a fold that has none of them.

    Parameters
    ----------
    blocks : sequence of B mapping of str to TSQR
        Rows by kind, in folds of some successive blocks.
    per_fold : int
    factors : mapping of str to float
        Weights of the kinds.
    model : LinearModel
        Whose penalties are used throughout.
    n_structures : int
        In all blocks.

    Returns
    -------
    Learning
    """
    assert model.penalty is not None
    n = len(blocks)
    sizes = [s for s in (1, 2, 4, 8, 16) if s < n - per_fold] + [n - per_fold]
    rmse = {k: np.empty((len(sizes), n // per_fold)) for k in KINDS if k != "core"}
    rmse = {kind: v for kind, v in rmse.items() if all(block[kind].n for block in blocks)}
    weighted = [joined(block, factors) for block in blocks]
    for fold in range(n // per_fold):
        start = fold * per_fold
        order = [(start + per_fold + k) % n for k in range(n - per_fold)]
        for row, size in enumerate(sizes):
            rows = reduce(add, (weighted[b] for b in order[:size]))
            w = ridge(rows, model.penalty, covariance=False).coefficients
            for kind, found in rmse.items():
                test = [block[kind] for block in blocks[start : start + per_fold]]
                squares = sum(float(block.rss(w)) for block in test)
                found[row, fold] = np.sqrt(squares / sum(block.n for block in test))
    return Learning(np.array(sizes) * n_structures / n, rmse)
