"""Expansions of several cutoffs as one of the largest: a least-squares fit, not exact.

A radial function of a smaller cutoff is u³ times a polynomial up to there and zero beyond. It is
fitted by u³ Σ_k b_k T_k(t) of the larger cutoff, which keeps the triple zero there, on Chebyshev
nodes; the error falls as the third power of the number of functions.
"""

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from thiry_calc.yace.expansion import U_CUBED, Channel, Expansion, of_chebyshev, to_chebyshev

Array = NDArray[np.float64]


def merge(expansions: list[Expansion], n_functions: int) -> tuple[Expansion, float]:
    """Fit all to the cutoff of the first.

    Parameters
    ----------
    expansions : list of Expansion
        The largest cutoff first.
    n_functions : int
        Of the fit.

    Returns
    -------
    expansion : Expansion
    error : float
        Largest error of a radial function, relative to its largest value beyond half the
        smaller cutoff.
    """
    whole, error = expansions[0], 0.0
    for other in expansions[1:]:
        rows, own = _refit(_padded(other.radial), other.r_cut, whole.r_cut, n_functions)
        pairs, own_pairs = _refit(other.pairs, other.r_cut, whole.r_cut, n_functions)
        error = max(error, own, own_pairs)
        whole = Expansion(
            whole.elements,
            whole.r_cut,
            whole.e0 + other.e0,
            [*whole.radial, *rows],
            _sum(whole.pairs, pairs),
            [
                {**a, **{_moved(key, len(whole.radial)): terms for key, terms in b.items()}}
                for a, b in zip(whole.products, other.products, strict=True)
            ],
        )
    return whole, error


def _moved(key: tuple[Channel, ...], by: int) -> tuple[Channel, ...]:
    return tuple((a, n + by, l) for a, n, l in key)  # noqa: E741


def _padded(rows: list[Array]) -> Array:
    longest = max((len(row) for row in rows), default=1)
    table = [np.pad(row, (0, longest - len(row))) for row in rows]
    return np.array(table).reshape(-1, longest)


def _sum(a: Array, b: Array) -> Array:
    n = max(a.shape[-1], b.shape[-1])
    none = [(0, 0)] * (a.ndim - 1)
    return np.asarray(sum(np.pad(x, [*none, (0, n - x.shape[-1])]) for x in (a, b)))


def _refit(coefficients: Array, r_old: float, r_new: float, n: int) -> tuple[Array, float]:
    """Coefficients of g_k of the new cutoff, from those of the old, in the last axis."""
    if not np.any(coefficients):
        return np.zeros((*coefficients.shape[:-1], 1)), 0.0
    flat = coefficients.reshape(-1, coefficients.shape[-1])
    t = np.cos(np.pi * (np.arange(20 * n) + 0.5) / (20 * n))
    r = r_new * (1 - t) / 2
    old = chebyshev.chebval(1 - 2 * r / r_old, to_chebyshev(flat).T) * (r < r_old)
    basis = ((1 + t) / 2) ** 3 * chebyshev.chebvander(t, n - 1).T
    fit = np.linalg.lstsq(basis.T, old.T, rcond=None)[0].T
    seen = r > r_old / 2
    size = np.abs(old[:, seen]).max(axis=1)
    error = np.abs(fit @ basis - old)[:, seen].max(axis=1)[size > 0] / size[size > 0]
    new = of_chebyshev(np.array([chebyshev.chebmul(U_CUBED, row) for row in fit]))
    return new.reshape(*coefficients.shape[:-1], -1), float(error.max(initial=0.0))
