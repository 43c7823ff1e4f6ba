"""The two factorisations behind all fits: stacked triangles and a singular spectrum.

`Stacked` solves ``[R; Λ^½] w = [z; 0]`` for one diagonal Λ by a QR of two triangles: normal
equations are never formed, and columns of any size cost no accuracy (Householder QR is
column-wise backward stable; Higham, Accuracy and Stability of Numerical Algorithms (2002),
section 19.3). `Spectrum` solves ``Λ = λ P`` for any number of λ from one decomposition
``R P^(-½) = U s Vᵀ``:

    w = P^(-½) V [s/(s²+λ)] Uᵀz,      Q = Σ λ/(s²+λ) (Uᵀz)² + |z − UUᵀz|² + |T|²

Features without a penalty are integrated out first. Checked against `numpy.linalg.lstsq`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import lapack, qr, solve_triangular, svd

from thiry_calc.linear.statistics import Statistics, stack_triangles

Array = NDArray[np.float64]
EPS = float(np.finfo(float).eps)
# a penalty whose root is below this, against the column it acts on, does not regularise
_NEGLIGIBLE = 1e-13


def split(stats: Statistics) -> tuple[Array, Array, Array]:
    """Return R (K, K), z (K, T) and T (T, T) of one factorisation."""
    factor, k = stats.factor(), stats.n_features
    return factor[:k, :k], factor[:k, k:], factor[k:, k:]


def penalties(stats: Statistics, penalty: ArrayLike) -> Array:
    """Return a checked (K,) array of penalties from a number or an array."""
    lam = np.asarray(penalty, dtype=np.float64)
    if lam.shape not in ((), (stats.n_features,)):
        raise ValueError(
            f"penalty has shape {lam.shape}; expected a number or ({stats.n_features},)"
        )
    if not np.isfinite(lam).all() or (lam < 0).any():
        raise ValueError("penalties must be finite and >= 0")
    return np.broadcast_to(lam, stats.n_features).copy()


@dataclass(frozen=True)
class Stacked:
    """Solution for one diagonal Λ.

    Attributes
    ----------
    coefficients : (K, T) array
        w.
    inverse : (K, r) array
        L with ``L Lᵀ = (RᵀR + Λ)⁻¹`` (pseudo-inverse where rank r < K).
    objective : (T,) array
        Q, the penalised sum of squares at w.
    log_determinant : float
        ln|RᵀR + Λ|.
    unexplained : (K,) array
        ``λ_k [(RᵀR + Λ)⁻¹]_kk``.
    """

    coefficients: Array
    inverse: Array
    objective: Array
    log_determinant: float
    unexplained: Array

    @classmethod
    def build(cls, R: Array, z: Array, T: Array, lam: Array) -> "Stacked":
        """Factorise and solve."""
        k = len(R)
        below = np.zeros((k + len(T), k + len(T)), order="F")
        below[range(k), range(k)] = np.sqrt(lam)
        F = stack_triangles(np.block([[R, z], [np.zeros_like(z.T), T]]), below, triangular=True)
        norms = np.sqrt(np.einsum("ik,ik->k", F[:k, :k], F[:k, :k]))
        norms[norms == 0] = 1.0
        upper, right = F[:k, :k] / norms, F[:k, k:]
        objective = np.einsum("it,it->t", F[k:, k:], F[k:, k:])
        weak = float(np.min(np.sqrt(lam) / norms)) < _NEGLIGIBLE
        if weak and lapack.dtrcon(upper)[0] < k * EPS:
            U, s, Vt = svd(upper, check_finite=False)
            keep = s > k * EPS * s[0]
            inverse = Vt[keep].T / s[keep] / norms[:, None]
            projected = U[:, keep].T @ right
            w = inverse @ projected
            objective = objective + np.sum((right - U[:, keep] @ projected) ** 2, axis=0)
            logdet = 2 * float(np.log(s[keep]).sum() + np.log(norms).sum())
        else:
            w = solve_triangular(upper, right, check_finite=False) / norms[:, None]
            inverse = lapack.dtrtri(upper)[0] / norms[:, None]
            logdet = 2 * float(np.log(np.abs(np.diag(F)[:k])).sum())
        unexplained = lam * np.einsum("kr,kr->k", inverse, inverse)
        return cls(w, inverse, objective, logdet, unexplained)

    @property
    def rank(self) -> int:
        """Numerical rank r of the stacked system."""
        return self.inverse.shape[1]

    @property
    def effective_parameters(self) -> float:
        """``γ = tr[RᵀR (RᵀR + Λ)⁻¹]``."""
        return self.rank - float(self.unexplained.sum())

    def log_evidence(self, lam: Array, noise2: Array, nu: float) -> float:
        """Log marginal likelihood for a noise variance per target (see `bayes`)."""
        volume = self.log_determinant - float(np.log(lam[lam > 0]).sum())
        fit = nu * np.log(2 * np.pi * noise2) + self.objective / noise2
        return -0.5 * float(np.sum(fit + volume))


def integrate_out(
    R: Array, z: Array, T: Array, flat: NDArray[np.bool_]
) -> tuple[Array, Array, Array, int]:
    """Remove features with a flat prior: project the rest on what they leave unexplained.

    Parameters
    ----------
    R, z, T : (K, K), (K, T), (T, T) arrays
    flat : (K,) bool array

    Returns
    -------
    R, z, T : (K', K'), (K', T), (T, T) arrays
        Triangular statistics of the K' other features.
    rank : int
        Of the features removed, which is what they cost in degrees of freedom.
    """
    if not flat.any():
        return R, z, T, 0
    columns = R[:, flat]
    norms = np.linalg.norm(columns, axis=0)
    U, s, _ = svd(columns / np.where(norms > 0, norms, 1.0), check_finite=False)
    rank = int(np.count_nonzero(s > len(R) * EPS * max(s[0], EPS)))
    left = U[:, rank:].T
    below = np.zeros((len(T), int((~flat).sum())))
    rows = np.block([[left @ R[:, ~flat], left @ z], [below, T]])
    factor = qr(rows, mode="r", check_finite=False)[0]
    k = below.shape[1]
    return factor[:k, :k], factor[:k, k:], factor[k : k + len(T), k:], rank


@dataclass(frozen=True)
class Spectrum:
    """Solutions for ``Λ = λ diag(prior)``, any λ ≥ 0."""

    s: Array
    right: Array  # (K', r): P^(-½) V
    projected: Array  # (r, T): Uᵀz
    outside: Array  # (T,): what no coefficients explain
    flat: NDArray[np.bool_]
    flat_rank: int
    back: Array  # (K0, K): flat coefficients = back @ [z − R w]
    R: Array
    z: Array

    @classmethod
    def build(cls, R: Array, z: Array, T: Array, prior: Array) -> "Spectrum":
        """Factorise; features of prior zero have no penalty."""
        flat = prior == 0
        R1, z1, T1, flat_rank = integrate_out(R, z, T, flat)
        root = np.sqrt(prior[~flat])
        U, s, Vt = svd(R1 / root, full_matrices=False, check_finite=False)
        projected = U.T @ z1
        outside = np.sum(T1**2, axis=0) + np.sum((z1 - U @ projected) ** 2, axis=0)
        norms = np.linalg.norm(R[:, flat], axis=0)
        norms[norms == 0] = 1.0
        back = np.linalg.pinv(R[:, flat] / norms, rcond=len(R) * EPS) / norms[:, None]
        return cls(s, Vt.T / root[:, None], projected, outside, flat, flat_rank, back, R, z)

    def _kept(self, lam: float) -> Array:
        """``s²/(s²+λ)`` with vanishing singular values cut."""
        live = self.s > len(self.R) * EPS * self.s.max(initial=0.0)
        ratio = np.zeros_like(self.s)
        ratio[live] = 1.0 / (1.0 + lam / self.s[live] ** 2)
        return ratio

    def _lost(self, lam: float) -> Array:
        """``λ/(s²+λ)``, the rest: without cancellation where λ is tiny."""
        return np.where(self._kept(lam) > 0, lam / np.maximum(self.s**2 + lam, 1e-300), 1.0)

    def solve(self, lam: float) -> tuple[Array, Array]:
        """Return w (K, T) and Q (T,)."""
        keep = self._kept(lam)
        inverse = np.divide(keep, self.s, out=np.zeros_like(keep), where=keep > 0)
        w = np.zeros((len(self.flat), self.projected.shape[1]))
        w[~self.flat] = self.right @ (inverse[:, None] * self.projected)
        w[self.flat] = self.back @ (self.z - self.R[:, ~self.flat] @ w[~self.flat])
        return w, self.objective(lam)

    def objective(self, lam: float) -> Array:
        """Q (T,) at the minimum."""
        return self.outside + self._lost(lam) @ self.projected**2

    def effective_parameters(self, lam: float) -> float:
        """Penalised features count ``s²/(s²+λ)``, the others one each."""
        return float(self._kept(lam).sum()) + self.flat_rank

    def volume(self, lam: float) -> float:
        """``ln|RᵀR + Λ| − ln|Λ|`` of the penalised features, λ > 0."""
        return float(np.log1p(self.s**2 / lam).sum())
