"""AM04: the embedded-atom potential of iron of Ackland and Mendelev (2004), in its analytic form.

    φ(r) = Σ_k a_k (r_k − r)³₊                 r > 2.05 Å
         = exp(B0 + B1 r + B2 r² + B3 r³)      1.0 < r < 2.05 Å
         = Ziegler–Biersack–Littmark           r < 1.0 Å
    ψ(r) = Σ_k c_k (r_k − r)³₊,   F(ρ) = −√ρ + A ρ² + B ρ⁴

Ackland, Mendelev, Srolovitz, Han, Barashev, J. Phys.: Condens. Matter 16, S2629 (2004), the Fe–Fe
part. The coefficients reproduce the authors' table (`FeP_mm.eam.fs` of LAMMPS) to its printed
digits (5e-9 eV·Å in rφ, 7e-10 in ψ, 2e-10 eV in F), and linear least squares on the table returns
them. The table itself is useless for entropies: second derivatives of its splines carry 1e-2 eV/Å²
of noise, several k_B at 1024 atoms. φ″ truly jumps by −13 eV/Å² at r = 2.05 Å.

Checked: a0 = 2.855313 Å, cohesive energy −4.012982 eV.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from training.references.eam import EAM

Array = NDArray[np.float64]

LATTICE_CONSTANT = 2.855313  # Å, bcc at zero pressure and temperature

# Knots in descending order, so that the sums can stop at the first knot below r.
_PAIR_KNOTS = np.array([5.3, 4.7, 4.2, 3.7, 3.3, 3.0, 2.8, 2.7, 2.6, 2.5, 2.4, 2.3, 2.2])
_PAIR = np.array(
    [
        -0.0030458824556234,
        -0.058531821042271,
        0.35018615891957,
        -1.0260416933564,
        2.6577406128280,
        -2.3194358924605,
        0.80656414937789,
        -0.77361294129713,
        4.2099676494795,
        -2.4989799053251,
        2.2077118733936,
        15.738054058489,
        -27.444805994228,
    ]
)
_EXPONENT = np.array([7.4122709384068, -0.64180690713367, -2.6043547961722, 0.6262539393123])
_ZBL_PREFACTOR = 9734.2365892908  # eV·Å
_ZBL_WEIGHTS = np.array([0.1818, 0.5099, 0.2802, 0.02817])
_ZBL_RATES = np.array([28.616724320005, 8.4267310396064, 3.6030244464156, 1.8028536321603])  # 1/Å
_DENSITY_KNOTS = np.array([4.2, 3.2, 2.4])
_DENSITY = np.array([0.47193527075943, -0.014710740098830, 11.686859407970])
_EMBEDDING_2, _EMBEDDING_4 = -6.7314115586063e-4, 7.6514905604792e-8


@njit(cache=True)
def _cubics(x: float, knots: Array, weights: Array) -> tuple[float, float, float, float]:
    """Σ w (k − x)³₊ and its first three derivatives."""
    f0, f1, f2, f3 = 0.0, 0.0, 0.0, 0.0
    for k in range(len(knots)):
        t = knots[k] - x
        if t <= 0.0:
            break
        f0 += weights[k] * t * t * t
        f1 -= 3.0 * weights[k] * t * t
        f2 += 6.0 * weights[k] * t
        f3 -= 6.0 * weights[k]
    return f0, f1, f2, f3


@njit(cache=True)
def _bridge(x: float) -> tuple[float, float, float, float]:
    """Evaluate the exponential of a cubic between the nuclear core and the cubics."""
    b = _EXPONENT
    f0 = np.exp(b[0] + x * (b[1] + x * (b[2] + x * b[3])))
    slope = b[1] + x * (2.0 * b[2] + 3.0 * x * b[3])
    curvature = 2.0 * b[2] + 6.0 * x * b[3]
    f2 = f0 * (slope * slope + curvature)
    return f0, f0 * slope, f2, f2 * slope + f0 * (2.0 * slope * curvature + 6.0 * b[3])


@njit(cache=True)
def _core(x: float) -> tuple[float, float, float, float]:
    """Evaluate the screened nuclear repulsion (Z²e²/r) Σ w exp(−κ r)."""
    s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
    for k in range(4):
        e = _ZBL_WEIGHTS[k] * np.exp(-_ZBL_RATES[k] * x)
        s0 += e
        s1 -= _ZBL_RATES[k] * e
        s2 += _ZBL_RATES[k] ** 2 * e
        s3 -= _ZBL_RATES[k] ** 3 * e
    c = _ZBL_PREFACTOR / x
    # (s/x)⁽ⁿ⁾ = (s⁽ⁿ⁾ − n (s/x)⁽ⁿ⁻¹⁾) / x
    f0 = c * s0
    f1 = c * s1 - f0 / x
    f2 = c * s2 - 2.0 * f1 / x
    return f0, f1, f2, c * s3 - 3.0 * f2 / x


@njit(cache=True)
def _pair(r: Array) -> Array:
    out = np.empty((4, len(r)))
    for p in range(len(r)):
        x = r[p]
        if x > 2.05:
            out[0, p], out[1, p], out[2, p], out[3, p] = _cubics(x, _PAIR_KNOTS, _PAIR)
        elif x > 1.0:
            out[0, p], out[1, p], out[2, p], out[3, p] = _bridge(x)
        else:
            out[0, p], out[1, p], out[2, p], out[3, p] = _core(x)
    return out


@njit(cache=True)
def _density(r: Array) -> Array:
    out = np.empty((4, len(r)))
    for p in range(len(r)):
        out[0, p], out[1, p], out[2, p], out[3, p] = _cubics(r[p], _DENSITY_KNOTS, _DENSITY)
    return out


class AM04Functions:
    """φ, ψ and F of AM04, each with three derivatives."""

    element = "Fe"
    cutoff = 5.3

    def pair(self, r: Array) -> Array:
        """φ to φ‴ (eV, eV/Å, eV/Å², eV/Å³), shape (4, n), at the distances r (Å)."""
        return np.asarray(_pair(r))

    def density(self, r: Array) -> Array:
        """ψ to ψ‴, shape (4, n), at the distances r (Å)."""
        return np.asarray(_density(r))

    def embedding(self, rho: Array) -> Array:
        """F to F‴ (eV), shape (4, n), at the densities rho; an isolated atom has F = F′ = 0."""
        root = np.sqrt(rho)
        safe = np.where(rho > 0.0, root, np.inf)
        return np.stack(
            [
                -root + _EMBEDDING_2 * rho**2 + _EMBEDDING_4 * rho**4,
                -0.5 / safe + 2.0 * _EMBEDDING_2 * rho + 4.0 * _EMBEDDING_4 * rho**3,
                0.25 / safe**3 + 2.0 * _EMBEDDING_2 + 12.0 * _EMBEDDING_4 * rho**2,
                -0.375 / safe**5 + 24.0 * _EMBEDDING_4 * rho,
            ]
        )


class AM04(EAM):
    """ASE calculator of the Ackland–Mendelev 2004 potential of iron.

    Parameters
    ----------
    skin : float
        Å by which the neighbour list exceeds the cutoff of 5.3 Å.
    """

    lattice_constant = LATTICE_CONSTANT

    def __init__(self, *, skin: float = 0.4) -> None:
        super().__init__(AM04Functions(), skin)
