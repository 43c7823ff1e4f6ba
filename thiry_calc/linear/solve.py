"""Ridge and reduced-rank fits from sufficient statistics.

Ridge minimises, for a penalty λ_k ≥ 0 per feature in the coefficients' own units,

    Q = Σ_i s_i² |x_i·w − y_i|² + Σ_k λ_k w_k²

(Hoerl and Kennard, Technometrics 12, 55 (1970)). With the prior ``w_k ~ N(0, σ²/λ_k)`` the
same w is the posterior mean, ``Σ = σ² (XᵀX + Λ)⁻¹`` its covariance and ``σ² = Q/ν`` the
noise that maximises the evidence (`bayes`), ν = n − (unpenalised features): the unbiased
estimate of least squares where nothing is penalised. Checked: against `numpy.linalg.lstsq`
of the stacked rows to 1e-10.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import svd

from thiry_calc.linear.bayes import evidence, make_model
from thiry_calc.linear.model import LinearModel
from thiry_calc.linear.normal import dominant_directions, solve_normal
from thiry_calc.linear.statistics import Gram, Statistics
from thiry_calc.linear.systems import Spectrum, Stacked, penalties, split

__all__ = ["evidence", "reduced_rank", "ridge", "ridge_path"]

Array = NDArray[np.float64]


def ridge(
    stats: Statistics,
    penalty: ArrayLike,
    n_rows: float | None = None,
    covariance: bool = True,
) -> LinearModel:
    """Fit with given penalties.

    Parameters
    ----------
    stats : Statistics
    penalty : float or (K,) array
        λ_k ≥ 0, added to the diagonal of XᵀX, in the units of the features given. Columns are
        scaled inside the solver for accuracy, which does not change the result; for a fit
        that does not depend on the units of the features give ``λ * stats.mean_square``.
    n_rows : float, optional
        Number of independent observations, for the noise; the rows by default.
    covariance : bool
        Keep the (K, K) leverage factor, for std and leverage. Without it a `Gram` is solved by
        its normal equations, several times as fast.

    Returns
    -------
    LinearModel
        Where features without a penalty are collinear, the solution of least norm after
        scaling all columns to norm one. By normal equations the effective parameters are
        unknown.

    Raises
    ------
    ValueError
        Negative or non-finite penalties, or the wrong number of them; by normal equations
        also where features without enough penalty are collinear.
    """
    lam = penalties(stats, penalty)
    if isinstance(stats, Gram) and not covariance:
        return _ridge_normal(stats, lam, n_rows)
    system = Stacked.build(*split(stats), lam)
    deficient = stats.n_features - system.rank
    nu = (stats.n if n_rows is None else n_rows) - max(
        int(np.count_nonzero(lam == 0)) - deficient, 0
    )
    noise2 = system.objective / nu if nu > 0 else np.full(stats.n_targets, np.nan)
    return make_model(stats, system, lam, noise2, nu, covariance)


def _ridge_normal(stats: Gram, lam: Array, n_rows: float | None) -> LinearModel:
    w = solve_normal(stats, lam)
    nu = (stats.n if n_rows is None else n_rows) - int(np.count_nonzero(lam == 0))
    objective = np.clip(np.diag(stats.yty) - np.einsum("kt,kt->t", w, stats.xty), 0.0, None)
    noise = np.sqrt(objective / nu) if nu > 0 else np.full(stats.n_targets, np.nan)
    one = stats.n_targets == 1
    return LinearModel(
        coefficients=w[:, 0] if one else w,
        noise=float(noise[0]) if one else noise,
        penalty=lam,
        n_rows=stats.n,
    )


def ridge_path(
    stats: Statistics, factors: Sequence[float] | Array, prior: ArrayLike | None = None
) -> list[LinearModel]:
    """Fit with any number of penalties from one singular value decomposition of R.

    Parameters
    ----------
    stats : Statistics
    factors : (M,) array
        Factors λ ≥ 0.
    prior : (K,) array, optional
        The penalty of feature k is ``λ prior_k``; ones by default, zero for no penalty.

    Returns
    -------
    list of LinearModel
        One per factor, in the order given, with coefficients, noise and effective
        parameters (`ridge` adds the covariance of the chosen one).

    Raises
    ------
    ValueError
        Negative or non-finite factors or priors.
    """
    values = np.asarray(factors, dtype=np.float64)
    if values.ndim != 1 or not np.isfinite(values).all() or (values < 0).any():
        raise ValueError("penalty factors must be a sequence of finite numbers >= 0")
    p = penalties(stats, 1.0 if prior is None else prior)
    spectrum = Spectrum.build(*split(stats), p)
    return [_on_path(spectrum, stats, p, float(lam)) for lam in values]


def _on_path(spectrum: Spectrum, stats: Statistics, p: Array, lam: float) -> LinearModel:
    w, objective = spectrum.solve(lam)
    effective = spectrum.effective_parameters(lam)
    nu = stats.n - (spectrum.flat_rank if lam > 0 else round(effective))
    noise = np.sqrt(objective / nu) if nu > 0 else np.full(stats.n_targets, np.nan)
    one = stats.n_targets == 1
    return LinearModel(
        coefficients=w[:, 0] if one else w,
        noise=float(noise[0]) if one else noise,
        penalty=lam * p,
        n_rows=stats.n,
        effective_parameters=effective,
    )


def reduced_rank(stats: Statistics, rank: int, penalty: ArrayLike = 0.0) -> LinearModel:
    """Ridge for several targets with a coefficient matrix of given rank.

    The ridge solution is projected on the dominant right singular vectors of its own fit,
    which minimises Q among matrices of that rank (Mukherjee and Zhu, Stat. Anal. Data Min. 4,
    612 (2011)).

    Parameters
    ----------
    stats : Statistics
    rank : int
        1..min(K, T).
    penalty : float or (K,) array
        As for `ridge`.

    Returns
    -------
    LinearModel
        Without a covariance.

    Raises
    ------
    ValueError
        A rank out of range; penalties as for `ridge`.
    """
    largest = min(stats.n_features, stats.n_targets)
    if not 1 <= rank <= largest:
        raise ValueError(f"rank {rank} given; expected 1..{largest}")
    lam = penalties(stats, penalty)
    if isinstance(stats, Gram):
        full = solve_normal(stats, lam)
        right = dominant_directions(full, stats.xty, rank)
    else:
        R, z, T = split(stats)
        full = Stacked.build(R, z, T, lam).coefficients
        fitted = np.vstack([R @ full, np.sqrt(lam)[:, None] * full])
        right = svd(fitted, full_matrices=False, check_finite=False)[2][:rank]
    w = full @ right.T @ right
    one = stats.n_targets == 1
    noise = np.sqrt(stats.rss(w) / max(stats.n, 1))
    return LinearModel(
        coefficients=w[:, 0] if one else w,
        noise=float(noise[0]) if one else noise,
        penalty=lam,
        n_rows=stats.n,
    )
