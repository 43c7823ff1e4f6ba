"""Rigid motions of a structure, and the determinant of its Hessian without them.

With G (3N, z) the generators of the motions that leave the energy unchanged (H G = 0), M the
diagonal masses, D = M^(-1/2) H M^(-1/2), and P any z coordinates with G_P invertible ("pinned"),

    det′D = det(Gᵀ M G) det(H_pinned) / [det(G_P)² det M]

where det′ is the product of the eigenvalues without the z zeros and H_pinned is H without the
rows and columns P. With T = [G, unit vectors of the rest], TᵀHT = diag(0, H_pinned) and
|det T| = |det G_P|: the identity follows, and by Sylvester's law the inertia of H_pinned is that
of H without its zeros, at saddles too. For three translations it is det′H = N³ det(H_pinned) and
det′D = (M_tot/m_p)³ det(D_pinned). Checked against dense eigenvalues to 1e-12 relative.
"""

import warnings
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.linalg import qr

from thiry_calc.factorize import Factorization, factorize

CASES = ("auto", "crystal", "slab", "wire", "cluster", "linear")
_WARN, _REFUSE = 1e-6, 1e-2  # |H G| per atom and unit motion, relative to the largest |H_ii|

Array = NDArray[np.float64]
Matrix: TypeAlias = Array | sp.sparray | sp.spmatrix


def checked_hessian(
    hessian: Matrix, masses: Array | None = None
) -> tuple[sp.csr_array, Array, int]:
    """Check a Hessian and its masses.

    Parameters
    ----------
    hessian : (3N, 3N) array or sparse array, eV/Å²
    masses : (N,) array, amu, optional

    Returns
    -------
    hessian : (3N, 3N) sparse array, eV/Å²
    masses : (N,) array, amu
        Ones where none were given.
    n_atoms : int

    Raises
    ------
    ValueError
        Not a finite, symmetric (3N, 3N) matrix; masses not N positive numbers.
    """
    if hessian.ndim != 2 or hessian.shape[0] != hessian.shape[1] or hessian.shape[0] % 3:
        raise ValueError(
            f"expected a Hessian of shape (3N, 3N), got {tuple(hessian.shape)}; give eV/Å² for "
            "all 3N Cartesian coordinates"
        )
    matrix = sp.csr_array(hessian, dtype=float)
    n_atoms = matrix.shape[0] // 3
    if not np.isfinite(matrix.data).all():
        raise ValueError("the Hessian has non-finite entries; check the calculator or the file")
    scale = float(np.abs(matrix.data).max(initial=0.0))
    # one product finds any asymmetry, without another copy of the matrix
    probe = np.cos(np.arange(matrix.shape[0], dtype=float))
    asymmetry = float(np.abs(matrix @ probe - matrix.T @ probe).max(initial=0.0))
    if asymmetry > 1e-6 * scale:
        raise ValueError(
            f"the Hessian is not symmetric (by {asymmetry:.1e} eV/Å²); use (H + H.T) / 2"
        )
    mass = np.ones(n_atoms) if masses is None else np.asarray(masses, float)
    if mass.shape != (n_atoms,) or not (np.isfinite(mass) & (mass > 0)).all():
        raise ValueError(f"expected {n_atoms} positive masses in amu, got shape {mass.shape}")
    return matrix, mass, n_atoms


def rigid_motions(
    n_atoms: int,
    zero_modes: str | int = "auto",
    positions: Array | None = None,
    cell: Array | None = None,
    pbc: NDArray[np.bool_] | bool | None = None,
) -> Array:
    """Return the generators of the motions that leave the energy unchanged.

    Parameters
    ----------
    n_atoms : int
    zero_modes : {"auto", "crystal", "slab", "wire", "cluster", "linear"} or 0, 3, 4, 5, 6
        3 for crystals and slabs, 4 for wires (a rotation about the periodic axis), 6 for
        clusters, 5 for linear molecules, 0 for a system held in an external field. "auto" goes
        by `pbc` (a crystal where it is None), and finds linear molecules and single atoms.
    positions : (N, 3) array, Å
        Needed for rotations.
    cell, pbc : (3, 3) array in Å, (3,) bool array
        Needed for "auto" other than a crystal, and for the axis of a wire.

    Returns
    -------
    (3N, z) array
        Dimensionless; translations are unit displacements, rotations are scaled by the radius
        of gyration.

    Raises
    ------
    ValueError
        Unknown case, missing positions or axis, or a structure without that many motions.
    """
    if zero_modes not in (*CASES, 0, 3, 4, 5, 6):
        raise ValueError(
            f"unknown zero_modes {zero_modes!r}; choose one of {', '.join(CASES)}, or 0, 3, 4, 5, 6"
        )
    periodic = None if pbc is None else np.broadcast_to(np.asarray(pbc, bool), 3)
    count = _count(zero_modes, periodic)
    if count == 0:
        return np.zeros((3 * n_atoms, 0))
    translations = np.tile(np.eye(3), (n_atoms, 1))
    if count == 3:
        return translations
    if positions is None or np.shape(positions) != (n_atoms, 3):
        raise ValueError(
            f"{count} zero modes include rotations: give positions of shape ({n_atoms}, 3)"
        )
    axes = _wire_axis(cell, periodic) if count == 4 else np.eye(3)
    rotations = _rotations(np.asarray(positions, float), axes)
    if zero_modes != "auto" and 3 + rotations.shape[1] != count:
        raise ValueError(
            f"the structure has {3 + rotations.shape[1]} rigid motions, not {count}; "
            "use zero_modes='auto'"
        )
    return np.hstack([translations, rotations])


def _count(zero_modes: str | int, periodic: NDArray[np.bool_] | None) -> int:
    if isinstance(zero_modes, str) and zero_modes != "auto":
        return {"crystal": 3, "slab": 3, "wire": 4, "cluster": 6, "linear": 5}[zero_modes]
    if zero_modes != "auto":
        return int(zero_modes)
    return 3 if periodic is None else {0: 6, 1: 4}.get(int(periodic.sum()), 3)


def _wire_axis(cell: Array | None, periodic: NDArray[np.bool_] | None) -> Array:
    if cell is None or periodic is None or periodic.sum() != 1:
        raise ValueError(
            "a wire rotates about its one periodic direction: give cell, and pbc with one True"
        )
    axis = np.asarray(cell, float)[periodic]
    return axis / np.linalg.norm(axis)


def _rotations(positions: Array, axes: Array) -> Array:
    """Independent rotations about the axes through the centre: none, one, two or three."""
    arms = positions - positions.mean(axis=0)
    radius = float(np.sqrt(np.mean(np.sum(arms**2, axis=1))))
    if radius < 1e-9:
        return np.zeros((3 * len(positions), 0))
    motions = np.stack([np.cross(axis, arms).ravel() for axis in axes], axis=1) / radius
    # about the axis of a linear molecule (of a linear chain, for a wire) nothing moves
    _, s, vh = np.linalg.svd(motions, full_matrices=False)
    return motions @ vh[s > 1e-6 * np.sqrt(len(positions))].T


def pinned_determinant(
    hessian: sp.csr_array,
    generators: Array,
    masses: Array,
    positions: Array | None = None,
    cell: Array | None = None,
    pbc: NDArray[np.bool_] | bool | None = None,
    method: str = "auto",
) -> tuple[float, float, Factorization]:
    """Pseudo-determinants of the Hessian and of the dynamical matrix, from one factorisation.

    Parameters
    ----------
    hessian : (3N, 3N) sparse array, eV/Å²
    generators : (3N, z) array
        From `rigid_motions`.
    masses : (N,) array, amu
    positions, cell, pbc, method
        See `thiry_calc.factorize.factorize`.

    Returns
    -------
    log_det_hessian : float
        ln|det′H|, H in eV/Å².
    log_det_dynamical : float
        ln|det′D|, D in eV/Å²/amu.
    factorization : Factorization
        Of the pinned matrix; its inertia is that of H without the zero modes.

    Raises
    ------
    ValueError
        When H is not invariant under the generators.
    """
    n, z = generators.shape
    log_mass = np.repeat(np.log(masses), 3)
    kept = np.arange(n)
    log_factor_h = log_factor_d = 0.0
    if z:
        check_invariance(hessian, generators)
        _, _, pivots = qr(generators.T, mode="economic", pivoting=True)  # well-conditioned G_P
        pinned = pivots[:z]
        kept = np.setdiff1d(kept, pinned)
        log_pinned = 2.0 * float(np.linalg.slogdet(generators[pinned])[1])
        weighted = generators * np.exp(log_mass)[:, None]
        log_factor_h = float(np.linalg.slogdet(generators.T @ generators)[1]) - log_pinned
        log_factor_d = float(np.linalg.slogdet(generators.T @ weighted)[1]) - log_pinned
    at = None if positions is None else np.repeat(np.asarray(positions, float), 3, axis=0)[kept]
    periodic = None if pbc is None else np.broadcast_to(np.asarray(pbc, bool), 3)
    part = hessian[kept][:, kept]
    result = factorize(part, at, cell, periodic, method)
    log_det = result.log_abs_det
    return log_det + log_factor_h, log_det + log_factor_d - float(log_mass.sum()), result


def check_invariance(hessian: sp.csr_array, generators: Array) -> None:
    """Refuse a Hessian that a rigid motion changes, warn where the error may matter.

    Parameters
    ----------
    hessian : (3N, 3N) sparse array, eV/Å²
    generators : (3N, z) array

    Raises
    ------
    ValueError
        When |H G| exceeds 1e-2 of the largest diagonal entry; above 1e-6 it warns.
    """
    scale = float(np.abs(hessian.diagonal()).max(initial=0.0)) or 1.0
    residual = np.abs(hessian @ generators).max(axis=0, initial=0.0) / scale
    worst = int(np.argmax(residual))
    if residual[worst] <= _WARN:
        return
    kind = "translations" if worst < 3 else "rotations"
    remedy = (
        "enforce the acoustic sum rule, or use a smaller finite-difference step"
        if worst < 3
        else "relax to forces below 1e-6 eV/Å; for a periodic structure use zero_modes='crystal'"
    )
    text = (
        f"the Hessian is not invariant under {kind}: it changes by {residual[worst]:.1e} of its "
        f"largest diagonal entry, and 1e-6 was expected; {remedy}"
    )
    if residual[worst] > _REFUSE:
        raise ValueError(text)
    warnings.warn(text, stacklevel=3)
