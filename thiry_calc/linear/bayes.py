"""Bayesian ridge: noise and penalties by maximising the evidence.

With ``y = Xw + σε`` (rows weighted) and ``w_k ~ N(0, σ²/λ_k)``, ``λ_k = λ_g(k) p_k``,

    2 ln p(y) = −ν ln(2πσ²) − Q/σ² − ln|XᵀX + Λ| + ln|Λ|,      σ² = Q/ν at the maximum

Q being the minimum of the ridge problem and ν = n − (rank of the features without a penalty):
those have a flat prior and are integrated out (restricted maximum likelihood). MacKay, Neural
Comput. 4, 415 (1992); Tipping, J. Mach. Learn. Res. 1, 211 (2001). The gradient

    ∂ ln p/∂ ln λ_g = ½ [ γ_g − λ_g Σ_{k∈g} p_k w_k²/σ² ],   γ_g = Σ_{k∈g} (1 − λ_k [(XᵀX+Λ)⁻¹]_kk)

vanishes at MacKay's fixed point; bounded quasi-Newton steps find it from the best point of a
scan, since the plain iteration crawls when a group is irrelevant or the data have no noise.
Checked: the evidence against the Gaussian density of y to 1e-9, one group against
scikit-learn's BayesianRidge.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize

from thiry_calc.linear.model import LinearModel
from thiry_calc.linear.statistics import Statistics
from thiry_calc.linear.systems import EPS, Spectrum, Stacked, integrate_out, penalties, split

Array = NDArray[np.float64]

# λ_g against the squared norm of the group's columns (scaled by p^-½): below, the penalty
# would drown in R's rounding; above, the group is switched off anyway
_LOWEST, _HIGHEST = 1e-24, 1e8


def evidence(
    stats: Statistics,
    groups: ArrayLike | None = None,
    prior: ArrayLike | None = None,
    noise: float | None = None,
    min_noise: float = 0.0,
    n_rows: float | None = None,
    covariance: bool = True,
    max_iterations: int = 200,
) -> LinearModel:
    """Fit with the noise and the penalties that maximise the evidence.

    Parameters
    ----------
    stats : Statistics
    groups : (K,) int array, optional
        Group of each feature: 0..G-1 have a penalty factor each, -1 has none (an intercept).
        One group by default.
    prior : (K,) array, optional
        Relative prior precisions p_k > 0 within a group: the penalty of feature k is
        ``λ_g p_k``. Ones by default; `stats.mean_square` makes the fit unit-free.
    noise : float, optional
        Fixes σ, in the units of a row of unit weight.
    min_noise : float
        Lower bound of σ, likewise: for data that are more exact than the model can be.
    n_rows : float, optional
        Number of independent observations n; the rows by default. Give fewer when rows are
        correlated, or the sum of the weights when these count repeated rows.
    covariance : bool
        Keep the (K, K) leverage factor.
    max_iterations : int
        Bound on the quasi-Newton steps; `converged` of the model tells.

    Returns
    -------
    LinearModel
        With `penalty`, `noise`, `log_evidence`, `converged`. Noiseless data end at the lower
        bound of the penalties, which counts as converged. Several targets share the penalties
        and have a noise each.

    Raises
    ------
    ValueError
        No rows, wrong shapes, negative noise.
    """
    if stats.n == 0:
        raise ValueError("the statistics have no rows; add some before fitting")
    for name, value in (("noise", noise), ("min_noise", min_noise), ("n_rows", n_rows)):
        if value is not None and not (np.isfinite(value) and value >= 0):
            raise ValueError(f"{name} {value} given; expected a finite number >= 0")
    group = _checked_groups(stats, groups)
    p = penalties(stats, 1.0 if prior is None else prior)
    if (p[group >= 0] == 0).any():
        raise ValueError("prior has zeros; mark features without a penalty by group -1 instead")
    problem = _Problem.build(
        stats, group, p, noise, min_noise, float(stats.n if n_rows is None else n_rows)
    )
    theta, converged = _maximise(problem, max_iterations)
    lam = np.zeros(stats.n_features)
    lam[group >= 0] = problem.penalty(theta)
    system = Stacked.build(*split(stats), lam)
    noise2 = problem.noise2(system.objective)
    return make_model(stats, system, lam, noise2, problem.nu, covariance, converged)


def make_model(
    stats: Statistics,
    system: Stacked,
    lam: Array,
    noise2: Array,
    nu: float,
    covariance: bool,
    converged: bool = True,
) -> LinearModel:
    """Gather a solved system (Λ of diagonal `lam`, noise variances `noise2`) into a model."""
    one = stats.n_targets == 1
    known = nu > 0 and bool((noise2 > 0).all())
    return LinearModel(
        coefficients=system.coefficients[:, 0] if one else system.coefficients,
        leverage_factor=system.inverse if covariance else None,
        noise=float(np.sqrt(noise2[0])) if one else np.sqrt(noise2),
        penalty=lam,
        n_rows=stats.n,
        effective_parameters=system.effective_parameters,
        log_evidence=system.log_evidence(lam, noise2, nu) if known else float("nan"),
        converged=converged,
    )


def _checked_groups(stats: Statistics, groups: ArrayLike | None) -> NDArray[np.intp]:
    if groups is None:
        return np.zeros(stats.n_features, dtype=np.intp)
    group = np.asarray(groups)
    if group.shape != (stats.n_features,) or not np.issubdtype(group.dtype, np.integer):
        raise ValueError(
            f"groups has shape {group.shape} and type {group.dtype}; "
            f"expected ({stats.n_features},) integers"
        )
    names = np.unique(group[group >= 0])
    if group.min() < -1 or not np.array_equal(names, np.arange(len(names))):
        raise ValueError("groups must be numbered 0, 1, ... without gaps; -1 means no penalty")
    return group.astype(np.intp)


@dataclass(frozen=True)
class _Problem:
    """The evidence as a function of θ_g = ln λ_g, features without a penalty integrated out."""

    R: Array
    z: Array
    T: Array
    prior: Array
    group: NDArray[np.intp]
    nu: float
    floor: float
    ceiling: float
    bounds: Array  # (G, 2)

    @classmethod
    def build(
        cls,
        stats: Statistics,
        group: NDArray[np.intp],
        prior: Array,
        noise: float | None,
        min_noise: float,
        n_rows: float,
    ) -> "_Problem":
        R, z, T = split(stats)
        signal = float(np.max(np.sum(z**2, axis=0) + np.sum(T**2, axis=0)))
        flat = group < 0
        R, z, T, rank = integrate_out(R, z, T, flat)
        nu = max(n_rows - rank, 1.0)
        # no residual is known better than the rounding of the statistics
        rounding = max((4 * EPS) ** 2 * signal / nu, 1e-300)
        floor = max(rounding, min_noise**2 if noise is None else noise**2)
        group, prior = group[~flat], prior[~flat]
        squares = np.einsum("ik,ik->k", R, R) / prior
        size = np.bincount(group, squares)
        size[size == 0] = 1.0
        bounds = np.log(size[:, None] * np.array([_LOWEST, _HIGHEST]))
        return cls(R, z, T, prior, group, nu, floor, np.inf if noise is None else floor, bounds)

    def penalty(self, theta: Array) -> Array:
        return np.exp(theta)[self.group] * self.prior

    def noise2(self, objective: Array) -> Array:
        return np.clip(objective / self.nu, self.floor, self.ceiling)

    def value_and_slope(self, theta: Array) -> tuple[float, Array]:
        """Minus the log evidence and its derivative."""
        lam = self.penalty(theta)
        system = Stacked.build(self.R, self.z, self.T, lam)
        noise2 = self.noise2(system.objective)
        shrunk = lam * (system.coefficients**2 @ (1.0 / noise2))
        slope = -0.5 * (len(noise2) * (1.0 - system.unexplained) - shrunk)
        value = -system.log_evidence(lam, noise2, self.nu)
        return value, np.bincount(self.group, slope, minlength=len(theta)).astype(np.float64)

    def valleys(self) -> list[Array]:
        """Minima along a common shift of all groups, best first: O(K) a point."""
        low, high = self.bounds.T
        spectrum = Spectrum.build(self.R, self.z, self.T, np.exp(low)[self.group] * self.prior)
        shifts = np.linspace(0.0, float((high - low)[0]), 150)
        values = np.empty(len(shifts))
        for i, factor in enumerate(np.exp(shifts)):
            objective = spectrum.objective(factor)
            noise2 = self.noise2(objective)
            fit = np.sum(self.nu * np.log(noise2) + objective / noise2)
            values[i] = float(fit) + len(noise2) * spectrum.volume(factor)
        walled = np.r_[np.inf, values, np.inf]
        minima = np.flatnonzero((values <= walled[:-2]) & (values < walled[2:]))
        return [low + shifts[i] for i in minima[np.argsort(values[minima], kind="stable")]]


def _maximise(problem: _Problem, max_iterations: int) -> tuple[Array, bool]:
    """Return the best θ found and whether it is stationary or at a bound."""
    if len(problem.bounds) == 0:
        return np.zeros(0), True
    starts = problem.valleys()[: 1 if len(problem.bounds) == 1 else 3]
    best, theta, converged = min(
        (_descend(problem, start, max_iterations) for start in starts), key=lambda found: found[0]
    )
    # several groups may have several maxima: try each one weaker, stronger and off, twice
    for g in [*range(len(theta))] * (2 if len(theta) > 1 else 0):
        low, high = problem.bounds[g]
        trials = np.repeat(theta[None], 5, axis=0)
        trials[:, g] = low + np.array([0.1, 0.35, 0.6, 0.8, 1.0]) * (high - low)
        values = [problem.value_and_slope(trial)[0] for trial in trials]
        start = trials[int(np.argmin(values))]
        if min(values) < best - 1e-6 * (1 + abs(best)):
            best, theta, converged = _descend(problem, start, max_iterations)
    return theta, converged


def _descend(problem: _Problem, start: Array, max_iterations: int) -> tuple[float, Array, bool]:
    found = minimize(
        problem.value_and_slope,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=problem.bounds,
        options={"maxiter": max_iterations, "ftol": 1e-14, "gtol": 1e-6},
    )
    # near the rounding of the evidence the line search gives up at a maximum found: the slope,
    # in parameters of the K_g in the group, decides then
    theta, slope = np.asarray(found.x), np.asarray(found.jac)
    inside = np.clip(theta - slope, *problem.bounds.T) - theta
    flat = np.abs(inside) < 1e-4 * np.bincount(problem.group, minlength=len(theta))
    return float(found.fun), theta, bool(found.success or flat.all())
