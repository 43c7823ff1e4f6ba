"""Numerical derivatives and one-sided limits, for checks of analytic ones.

Central differences obey D(h) = [f(h) − f(−h)]/2h = f′ + c₂h² + c₄h⁴ + …; the values at h, h/2,
h/4, … are extrapolated to h = 0 (Richardson), and of the whole tableau the entry that changed
least is kept (Ridders, Adv. Eng. Software 4, 75 (1982)), so that neither truncation nor
rounding has to be balanced by hand. Checked: the derivative of exp(3x) sin(5x) to 1e-12.

`STENCILS` are the plain central differences of second and fourth order, f′ ≈ Σ_k (weight_k/h)
[f(kh) − f(−kh)] (Fornberg, Math. Comp. 51, 699 (1988)).

One-sided limits at 0 are those of the polynomial through f(±h), f(±2h), … on that side.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

STENCILS = {2: ((1, 1 / 2),), 4: ((1, 2 / 3), (2, -1 / 12))}
"""By order: pairs (k, weight_k)."""


def richardson(function: Callable[[float], ArrayLike], step: float, levels: int = 5) -> Array:
    """Return the derivative of a function at 0.

    Parameters
    ----------
    function : callable
        Of x; a number or an array.
    step : float
        Largest h, in the units of x.
    levels : int
        Differences taken: h, h/2, … h/2^(levels−1).

    Returns
    -------
    ndarray
        df/dx at x = 0, with the shape of f.
    """
    best, error = np.array(np.nan), np.array(np.inf)
    previous: list[Array] = []
    for level in range(levels):
        h = step / 2**level
        row = [(np.asarray(function(h), float) - np.asarray(function(-h), float)) / (2 * h)]
        for order, older in enumerate(previous, start=1):
            row.append(row[-1] + (row[-1] - older) / (4**order - 1))
            change = np.maximum(abs(row[-1] - row[-2]), abs(row[-1] - older))
            best, error = np.where(change < error, row[-1], best), np.fmin(change, error)
        previous = row
    return best


def jumps(
    function: Callable[[float], ArrayLike], step: float, points: int = 6
) -> tuple[Array, Array]:
    """Return the jumps of a function and of its derivative at 0.

    Parameters
    ----------
    function : callable
        Of x; a number or an array. It is not evaluated at 0 itself.
    step : float
        Spacing of the points on either side, in the units of x.
    points : int
        Points on either side.

    Returns
    -------
    value, slope : ndarray
        f(0⁺) − f(0⁻) and f′(0⁺) − f′(0⁻), with the shape of f.
    """
    k = np.arange(1.0, points + 1)
    weights = np.linalg.inv(np.vander(k, increasing=True))[:2]
    limits = []
    for side in (1, -1):
        samples = np.array([np.asarray(function(side * step * x), float) for x in k])
        value, slope = np.tensordot(weights, samples, axes=1)
        limits.append((value, side * slope / step))
    (right, right_slope), (left, left_slope) = limits
    return right - left, right_slope - left_slope
