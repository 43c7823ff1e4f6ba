"""The logarithm as a constant and a few resolvents: matrix logarithms from inverses.

    ln x ≈ c_0 + Σ_k c_k t_k / (x + t_k),   m ≤ x ≤ M,

with all t_k > 0, so that x + t_k of a positive semi-definite matrix can be factorised. The t_k are
those of Zolotarev's problem for the interval and the cut (−∞, 0]: with y = (x − s)/(x + s),
s = √(mM) and β = (√M − √m)/(√M + √m), the poles are at 1/y_k = sn(K(β)(2k − 1 − n)/n; β)
(Wachspress, The ADI Model Problem, 2013, ch. 1; for Markov functions Beckermann and Reichel,
SIAM J. Numer. Anal. 47, 3849 (2009)), the coefficients are least squares. For M/m = 1e4 the error
is 3e-5 with 10 poles and 6e-7 with 14.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ellipj, ellipk

Array = NDArray[np.float64]
_GRID = 2000
_MOST_POLES = 60


class RationalLog(NamedTuple):
    """An approximation of ln x on an interval.

    Attributes
    ----------
    constant : float
        c_0.
    poles, weights : ndarray, shape (n,)
        t_k and c_k t_k.
    error : float
        Largest |deviation| on the interval.
    """

    constant: float
    poles: Array
    weights: Array
    error: float

    def __call__(self, x: Array) -> Array:
        """Evaluate at x, any shape."""
        x = np.asarray(x, dtype=float)
        return self.constant + (self.weights / (x[..., None] + self.poles)).sum(axis=-1)


def rational_log(low: float, high: float, tolerance: float = 1e-6) -> RationalLog:
    """Approximate ln x on [low, high] with as few poles as the tolerance allows.

    Parameters
    ----------
    low, high : float
        0 < low < high.
    tolerance : float
        Of the absolute error, 1e-10 or more.

    Returns
    -------
    RationalLog

    Raises
    ------
    ValueError
        For an empty interval, one that reaches 0, or a tolerance out of reach.
    """
    if not 0 < low < high < np.inf:
        raise ValueError(f"need 0 < low < high, not {low!r} and {high!r}")
    for n in range(2, _MOST_POLES + 1):
        found = _with_poles(low, high, n)
        if found.error <= tolerance:
            return found
    raise ValueError(f"no {_MOST_POLES} poles reach {tolerance:g} on [{low:g}, {high:g}]")


def _with_poles(low: float, high: float, n: int) -> RationalLog:
    scale = np.sqrt(low * high)
    beta = (np.sqrt(high) - np.sqrt(low)) / (np.sqrt(high) + np.sqrt(low))
    quarter = ellipk(beta**2)
    inverse_y = ellipj(quarter * (2 * np.arange(1, n + 1) - 1 - n) / n, beta**2)[0]
    poles = scale * (1 + inverse_y) / (1 - inverse_y)
    y = beta * ellipj(np.linspace(-quarter, quarter, _GRID), beta**2)[0]
    x = scale * (1 + y) / (1 - y)
    design = np.column_stack([np.ones_like(x), poles / (x[:, None] + poles)])
    coefficients = np.linalg.lstsq(design, np.log(x))[0]
    error = float(np.abs(design @ coefficients - np.log(x)).max())
    return RationalLog(float(coefficients[0]), poles, coefficients[1:] * poles, error)
