"""Log-determinants of Hessians, and what follows from them alone: S_f and the mean frequency.

    S_f = −½ [ln det′H − (N−1)/(N0−1) ln det′H_bulk]   in k_B, independent of T

(Lapointe et al., Phys. Rev. Materials 4, 063802 (2020)), against the perfect crystal of the same
box (N0 sites); ln ω̄ = ½ ln|det′D| / n of n modes. det′ leaves out the zero modes; it comes from one
sparse factorisation of the Hessian with an atom pinned (`thiry_calc.zero_modes`). Checked against
dense eigenvalues to 1e-12 k_B per atom.
"""

import warnings

import numpy as np
from numpy.typing import NDArray

from thiry_calc.saddles import RAD_PER_S
from thiry_calc.zero_modes import Matrix, checked_hessian, pinned_determinant, rigid_motions

Array = NDArray[np.float64]


def log_determinant(
    hessian: Matrix,
    masses: Array | None = None,
    positions: Array | None = None,
    zero_modes: str | int = "auto",
    pbc: NDArray[np.bool_] | bool | None = None,
    cell: Array | None = None,
    method: str = "auto",
) -> float:
    """ln|det′H|, or ln|det′D| with masses: the product of the eigenvalues without the zero modes.

    Parameters
    ----------
    hessian : (3N, 3N) array or sparse array, eV/Å²
    masses : (N,) array, amu, optional
        With masses the determinant is that of D = M^(-1/2) H M^(-1/2).
    positions : (N, 3) array, Å, optional
        Needed for rotations; they also make the sparse factorisation cheaper.
    zero_modes : {"auto", "crystal", "slab", "wire", "cluster", "linear"} or 0, 3, 4, 5, 6
        The rigid motions left out, see `thiry_calc.zero_modes.rigid_motions`. "auto" goes by
        `pbc`, and takes a crystal (three translations) where it is None.
    pbc, cell : (3,) bool array, (3, 3) array in Å, optional
    method : {"auto", "multifrontal", "dense", "cholmod"}

    Returns
    -------
    float
        H in eV/Å², D in eV/Å²/amu. Negative eigenvalues enter with their modulus, and a warning
        says how many there are, as for modes near zero; `HarmonicThermodynamics` counts them.

    Raises
    ------
    ValueError
        Not a finite, symmetric (3N, 3N) matrix; masses or positions of another length; a
        Hessian that the rigid motions change.
    """
    matrix, mass, n_atoms = checked_hessian(hessian, masses)
    motions = rigid_motions(n_atoms, zero_modes, positions, cell, pbc)
    log_h, log_d, result = pinned_determinant(matrix, motions, mass, positions, cell, pbc, method)
    if result.n_negative or result.n_near_zero:
        warnings.warn(
            f"the Hessian has {result.n_negative} negative and {result.n_near_zero} near-zero "
            f"modes beyond its {motions.shape[1]} rigid motions: this is not a minimum, or not "
            "all rigid motions are taken out (see zero_modes)",
            stacklevel=2,
        )
    return log_h if masses is None else log_d


def formation_entropy(log_det: float, n_atoms: int, log_det_bulk: float, n_bulk: int) -> float:
    """Return the formation entropy of a defect, S_f = −½ [ln det′H − (N−1)/(N0−1) ln det′H_bulk].

    Parameters
    ----------
    log_det : float
        ln|det′H| of the cell with the defect, without masses, H in eV/Å².
    n_atoms : int
        N, its number of atoms.
    log_det_bulk : float
        The same of the perfect crystal *of the same box*: ln det′ carries a term 2 ln N.
    n_bulk : int
        N0, its number of atoms.

    Returns
    -------
    float
        S_f in k_B.

    Raises
    ------
    ValueError
        When either cell has fewer than two atoms.
    """
    if n_atoms < 2 or n_bulk < 2:
        raise ValueError(f"expected cells of at least two atoms, got {n_atoms} and {n_bulk}")
    return -0.5 * (log_det - (n_atoms - 1) / (n_bulk - 1) * log_det_bulk)


def mean_frequency(log_determinant: float, n_modes: int) -> float:
    """Geometric-mean angular frequency, rad/s.

    Parameters
    ----------
    log_determinant : float
        ln|det′D|, D in eV/Å²/amu.
    n_modes : int
        Number of modes in it.

    Returns
    -------
    float
    """
    if n_modes < 1:
        raise ValueError(f"expected at least one mode, got {n_modes}")
    return float(RAD_PER_S * np.exp(0.5 * log_determinant / n_modes))
