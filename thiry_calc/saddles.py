"""Saddles: unstable modes, and harmonic rates over them.

    Γ = [Π ν_min (3N−3 modes) / Π ν_saddle (3N−4)] exp(−ΔE/k_BT)

(Vineyard, J. Phys. Chem. Solids 3, 121 (1957), eq. 17): from the log-determinants of both, with
the unstable eigenvalue λ taken out of the saddle's, the prefactor is
exp{½ [ln det′D_min − ln|det′D_saddle| + ln|λ|]} / 2π.
"""

import numpy as np
import scipy.linalg as sl
import scipy.sparse as sp
from ase import Atoms, units
from numpy.typing import NDArray
from scipy.sparse.linalg import eigsh, splu

from thiry_calc.hessian import get_hessian, max_force
from thiry_calc.zero_modes import Matrix, checked_hessian

# the frequency of an eigenvalue 1 eV/Å²/amu: ASE's unit of time is Å sqrt(amu/eV)
RAD_PER_S = units.s  # 9.8227e13 rad/s
HBAR_OMEGA = units._hbar / units._e * units.s  # 0.064654 eV
_MAX_STEP = 0.1  # Å, of an atom in a Newton step
_FALL = 0.3  # of the largest force in a step
_DENSE = 1500  # rows below which a dense eigensolver is the faster one

Array = NDArray[np.float64]


def lowest_modes(hessian: Matrix, k: int = 4, masses: Array | None = None) -> tuple[Array, Array]:
    """Lowest eigenvalues and eigenvectors of the Hessian, or of D with masses.

    Parameters
    ----------
    hessian : (3N, 3N) array or sparse array, eV/Å²
    k : int
        How many. The zero modes come after the negative ones and count.
    masses : (N,) array, amu, optional

    Returns
    -------
    values : (k,) array, ascending
        eV/Å², or eV/Å²/amu with masses.
    vectors : (3N, k) array
        Orthonormal (mass-weighted with masses).
    """
    matrix, mass, n_atoms = checked_hessian(hessian, masses)
    root = sp.diags_array(1 / np.sqrt(np.repeat(mass, 3)))
    matrix = sp.csr_array(root @ matrix @ root)
    n = 3 * n_atoms
    if n <= _DENSE:
        values, vectors = sl.eigh(matrix.toarray(), subset_by_index=(0, min(k, n) - 1))
        return values, vectors
    start = np.cos(np.arange(n, dtype=float))
    values, vectors = eigsh(matrix, k=k, which="SA", v0=start, ncv=max(4 * k, 80), maxiter=500)
    order = np.argsort(values)
    return values[order], vectors[:, order]


def to_saddle(atoms: Atoms, fmax: float = 1e-4, max_steps: int = 30) -> None:
    """Newton's method to the stationary point nearby, in place.

    Parameters
    ----------
    atoms : Atoms
        Periodic, near a saddle, with a calculator.
    fmax : float
        Largest force left on an atom, eV/Å.
    max_steps : int

    Raises
    ------
    RuntimeError
        When the forces do not vanish.
    """
    last = np.inf
    for step in range(max_steps):
        force = max_force(atoms)
        if force < fmax:
            return
        if step == 0 or force > _FALL * last:  # one Hessian serves while it brings forces down fast
            factor = splu(get_hessian(atoms)[3:, 3:].tocsc())
        shift = np.zeros((len(atoms), 3))  # one atom held: translations have no curvature
        shift[1:] = factor.solve(atoms.get_forces().ravel()[3:]).reshape(-1, 3)
        shift -= shift.mean(axis=0)
        largest = np.linalg.norm(shift, axis=1).max()
        atoms.set_positions(atoms.positions + shift * min(1.0, _MAX_STEP / largest))
        last = force
    if max_force(atoms) >= fmax:
        raise RuntimeError(
            f"the saddle did not converge (largest force {max_force(atoms):.2g} eV/Å); the "
            "potential is not smooth enough there, or the start was too far"
        )


def attempt_frequency(
    entropy_minimum: float, entropy_saddle: float, unstable_eigenvalue: float
) -> float:
    """Vineyard's prefactor from formation entropies of the same number of atoms.

    ν = exp(S_saddle − S_min) √|λ| / 2π, for S = −½ ln|det′H| + const holds the unstable mode too.

    Parameters
    ----------
    entropy_minimum, entropy_saddle : float
        Formation entropies, exact or learned, k_B.
    unstable_eigenvalue : float
        The negative eigenvalue of D at the saddle, eV/Å²/amu.

    Returns
    -------
    float
        1/s.

    Raises
    ------
    ValueError
        When the eigenvalue is not negative.
    """
    if not unstable_eigenvalue < 0:
        raise ValueError(
            f"the unstable eigenvalue is {unstable_eigenvalue:g}; a saddle has a negative one"
        )
    root = RAD_PER_S * np.sqrt(-unstable_eigenvalue)
    return float(root / (2 * np.pi) * np.exp(entropy_saddle - entropy_minimum))


def vineyard_rate(
    log_det_minimum: float,
    log_det_saddle: float,
    unstable_eigenvalue: float,
    barrier: float,
    temperature: float,
    n_negative_minimum: int = 0,
    n_negative_saddle: int = 1,
) -> float:
    """Harmonic rate over a saddle, Π ν_min (3N−3) / Π ν_saddle (3N−4) · exp(−ΔE/k_BT).

    Vineyard, J. Phys. Chem. Solids 3, 121 (1957), eq. 17. The entropies are in the prefactor:
    never use ΔA for the barrier.

    Parameters
    ----------
    log_det_minimum, log_det_saddle : float
        ln|det′D| of both, D in eV/Å²/amu, of the same atoms (the saddle's includes its
        unstable mode).
    unstable_eigenvalue : float
        The negative eigenvalue of D at the saddle, eV/Å²/amu (`lowest_modes` with masses).
    barrier : float
        E(saddle) − E(minimum), eV.
    temperature : float
        K; ``inf`` gives the prefactor.
    n_negative_minimum, n_negative_saddle : int
        Counted negative modes.

    Returns
    -------
    float
        1/s.

    Raises
    ------
    ValueError
        When the minimum has a negative mode, the saddle not exactly one, or T ≤ 0.
    """
    if n_negative_minimum != 0 or n_negative_saddle != 1 or not unstable_eigenvalue < 0:
        raise ValueError(
            f"a rate needs a minimum and a saddle with one negative mode, got "
            f"{n_negative_minimum} and {n_negative_saddle} negative modes and an unstable "
            f"eigenvalue of {unstable_eigenvalue:g}; relax both"
        )
    if not temperature > 0:
        raise ValueError(f"temperature {temperature} K: expected a positive one")
    log_ratio = 0.5 * (log_det_minimum - log_det_saddle + np.log(-unstable_eigenvalue))
    prefactor = RAD_PER_S / (2 * np.pi) * np.exp(log_ratio)
    return float(prefactor * np.exp(-barrier / (units.kB * temperature)))
