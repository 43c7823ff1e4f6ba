"""Radial bases: g_n(r) = u³ Σ_k C_nk T_k(t), u = 1 − r/r_c, t = 1 − 2 r/r_c, zero beyond r_c.

Every basis is a polynomial with a triple zero at the cutoff (g, g′, g″ vanish there), stored
as a Chebyshev series in t so that it is evaluated stably for any n_max.

``bartok``
    Bartók, Kondor & Csányi, Phys. Rev. B 87, 184115 (2013), eqs. 24-27:
    φ_α(r) = (r_c − r)^(α+2) / N_α, N_α = sqrt(r_c^(2α+5) / (2α+5)), g_n = Σ_α W_nα φ_α with
    W = S^(−1/2) and S_αβ = ∫φ_α φ_β dr = sqrt((5+2α)(5+2β)) / (5+α+β). cond(S) is 7e9 at
    n_max = 6 and beyond double precision at 12, so W is computed in multiprecision.
    Checked: the g_n are orthonormal on [0, r_c] to 4e-12 for n_max = 20.
``chebyshev``
    g_n(r) = u³ T_{n−1}(t): the same space of functions, well conditioned without any W.
"""

from dataclasses import dataclass
from functools import lru_cache

import mpmath
import numpy as np
import scipy.linalg
from numpy.typing import NDArray

NAMES = ("bartok", "chebyshev")


@dataclass(frozen=True)
class RadialBasis:
    """A radial basis on [0, r_cut].

    Parameters
    ----------
    r_cut : float
        Cutoff radius, Å.
    coefficients : ndarray, shape (n_max, n_max)
        C_nk of the module's formula.
    """

    r_cut: float
    coefficients: NDArray[np.float64]

    def values(self, r: NDArray[np.float64]) -> NDArray[np.float64]:
        """Evaluate g_n(r).

        Parameters
        ----------
        r : ndarray, shape (M,)
            Distances, Å.

        Returns
        -------
        ndarray, shape (n_max, M)
        """
        r = np.asarray(r, dtype=float)
        u = np.clip(1 - r / self.r_cut, 0, None)
        series = np.polynomial.chebyshev.chebval(1 - 2 * r / self.r_cut, self.coefficients.T)
        return u**3 * series


def make_radial(
    kind: str, r_cut: float, n_max: int, regularization: float | None = None
) -> RadialBasis:
    """Make a radial basis by name.

    Parameters
    ----------
    kind : {"bartok", "chebyshev"}
    r_cut : float
        Cutoff radius, Å.
    n_max : int
        Number of functions.
    regularization : float, optional
        Only for ``bartok``: added to the diagonal of S, and W taken in double precision, which
        is what the code released with Lapointe et al. 2020 does (1e-15 there). None is exact.

    Returns
    -------
    RadialBasis

    Raises
    ------
    ValueError
        For an unknown kind, a cutoff or n_max that is not positive, or a regularization of a
        basis that needs none.
    """
    if kind not in NAMES:
        raise ValueError(f"unknown radial basis {kind!r}; choose one of {', '.join(NAMES)}")
    if not (np.isfinite(r_cut) and r_cut > 0):
        raise ValueError(f"r_cut must be a positive length in Å, not {r_cut!r}")
    if n_max < 1:
        raise ValueError(f"n_max must be at least 1, not {n_max!r}")
    if regularization is not None and kind != "bartok":
        raise ValueError(f"regularization is only for radial='bartok', not {kind!r}")
    if kind == "chebyshev":
        return RadialBasis(float(r_cut), np.eye(n_max))
    return RadialBasis(float(r_cut), _bartok(n_max, regularization) / np.sqrt(r_cut))


@lru_cache(maxsize=32)
def _bartok(n_max: int, regularization: float | None) -> NDArray[np.float64]:
    """C_nk for r_c = 1: W_nα sqrt(2α+5) times the Chebyshev series of u^(α−1)."""
    with mpmath.workdps(40 + 4 * n_max):
        if regularization is None:
            w = _inverse_square_root(n_max)
        else:
            w = mpmath.matrix(_inverse_square_root_double(n_max, regularization).tolist())
        c = mpmath.matrix(n_max, n_max)
        for n in range(n_max):
            for a in range(n_max):
                weight = w[n, a] * mpmath.sqrt(2 * a + 7)
                for k in range(a + 1):
                    c[n, k] += weight * _shifted_chebyshev(a, k)
        return np.array(c.tolist(), dtype=float)


def _shifted_chebyshev(p: int, k: int) -> mpmath.mpf:
    """Coefficient of T_k(2u − 1) in u^p: (2 − δ_k0) C(2p, p−k) / 4^p."""
    return (1 if k == 0 else 2) * mpmath.binomial(2 * p, p - k) / mpmath.mpf(4) ** p


def _inverse_square_root(n_max: int) -> mpmath.matrix:
    s = mpmath.matrix(n_max, n_max)
    for a in range(1, n_max + 1):
        for b in range(1, n_max + 1):
            s[a - 1, b - 1] = mpmath.sqrt((5 + 2 * a) * (5 + 2 * b)) / (5 + a + b)
    eigenvalues, vectors = mpmath.eigsy(s)
    return vectors * mpmath.diag([1 / mpmath.sqrt(e) for e in eigenvalues]) * vectors.T


def _inverse_square_root_double(n_max: int, regularization: float) -> NDArray[np.float64]:
    a = np.arange(1, n_max + 1)
    s = np.sqrt((5 + 2 * a[:, None]) * (5 + 2 * a)) / (5 + a[:, None] + a)
    eigenvalues, vectors = scipy.linalg.eigh(s + regularization * np.eye(n_max))
    if eigenvalues[0] <= 0:
        raise ValueError(
            f"regularization={regularization:g} leaves S with a negative eigenvalue at "
            f"n_max={n_max}; use a larger one, or None for the exact multiprecision basis"
        )
    return vectors @ np.diag(eigenvalues**-0.5) @ vectors.T
