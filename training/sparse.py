"""Fewer functions for almost the same errors: backward elimination.

Without feature k, the minimum Q of the ridge problem rises by

    ΔQ_k = w_k² / C_kk,        C = (XᵀX + Λ)⁻¹

(Hassibi and Stork, Adv. Neural Inf. Process. Syst. 5, 164 (1993)). The features S of least rise
leave, a twentieth of all at a time, and the others take over what they did,

    w ← w − C_·S C_SS⁻¹ w_S,        C ← C − C_·S C_SS⁻¹ C_S·

What is left out has coefficient zero and costs nothing when energies and forces are computed.
"""

from dataclasses import replace

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from thiry_calc.linear import TSQR, LinearModel, ridge

Array = NDArray[np.float64]

_SHARE = 0.05  # of the features, that leave at a time
_SHUT = 1e16  # against a feature's sum of squares: a penalty that allows no coefficient


def most_useful(model: LinearModel, always: NDArray[np.bool_], count: int) -> NDArray[np.int64]:
    """Choose features by backward elimination.

    Parameters
    ----------
    model : LinearModel
        Of K features, with its whole covariance.
    always : ndarray of bool, shape (K,)
        Features that stay, beside the others.
    count : int
        How many of the others stay.

    Returns
    -------
    ndarray of int
        Features that stay, ascending.
    """
    assert model.leverage_factor is not None
    C, w = model.leverage_factor @ model.leverage_factor.T, model.coefficients
    kept = np.arange(len(w))
    surplus = int((~always).sum()) - count
    while surplus > 0:
        rise = np.where(always[kept], np.inf, w**2 / np.diag(C))
        order = np.argsort(rise, kind="stable")
        number = min(surplus, max(1, int(_SHARE * len(kept))))
        S, rest = order[:number], np.sort(order[number:])
        taken = scipy.linalg.solve(C[np.ix_(S, S)], C[np.ix_(S, rest)], assume_a="pos").T
        w = w[rest] - taken @ w[S]
        C = C[np.ix_(rest, rest)] - taken @ C[np.ix_(S, rest)]
        kept = kept[rest]
        surplus -= number
    return kept


def without_others(statistics: TSQR, model: LinearModel, kept: NDArray[np.int64]) -> LinearModel:
    """Fit some features; the others have coefficient zero.

    Parameters
    ----------
    statistics : TSQR
        Of K features.
    model : LinearModel
        Of all features: its penalties are taken.
    kept : ndarray of int
        The features that are fitted.

    Returns
    -------
    LinearModel
        Of K features; the penalty of those left out is so large that it leaves them out of any
        other fit.
    """
    assert model.penalty is not None
    part = ridge(statistics.subset(kept), model.penalty[kept])
    assert part.leverage_factor is not None
    size = statistics.mean_square * statistics.n
    penalty = _SHUT * np.where(size > 0, size, 1.0)
    penalty[kept] = model.penalty[kept]
    coefficients = np.zeros(len(penalty))
    coefficients[kept] = part.coefficients
    factor = np.zeros((len(penalty), part.leverage_factor.shape[1]))
    factor[kept] = part.leverage_factor
    return replace(part, coefficients=coefficients, penalty=penalty, leverage_factor=factor)
