"""Elastic constants, dipole tensors, and what a defect feels of its periodic images.

A defect in a box of fixed cell is an elastic dipole P_ij = −∂E_f/∂ε_ij. With
F(k) = (Pk)·(k·C·k)⁻¹·(Pk), of degree 0 in k, its energy in a periodic cell of volume V and zero
mean strain exceeds that in the infinite crystal by

    ΔE = −(1/2V) [ Σ_{G≠0} F(G) − V/(2π)³ ∫ F(k) d³k ],

sum and integral with a common factor exp(−σ²k²), σ → 0 (the images' interaction of Varvenne,
Bruneval, Marinica and Clouet, Phys. Rev. B 88, 134102 (2013), in Fourier space). Letting the cell
go instead gains −½ P:S:P/V. Both are O(1/N). With the dipole and the constants of A(T) their
slopes in T give the corrections of formation entropies. Checked: F constant gives F/2V.
"""

from typing import Any

import numpy as np
from ase import Atoms
from ase.stress import full_3x3_to_voigt_6_stress, voigt_6_to_full_3x3_stress
from numpy.typing import NDArray

from thiry_calc.hessian import get_hessian

Array = NDArray[np.float64]

_STEP = 1e-4  # strain
_CENTRED = 1e-6  # forces under strain, against elastic energy, of centres of symmetry
_SMEARING = 0.08  # σ over V^(1/3); the error falls as its fourth power
_CUTOFF = 6.0  # of σ|G|: what follows is e^-36
_DIRECTIONS = 40  # polar angles of the mean over directions


def elastic_constants(crystal: Atoms, calc: Any) -> Array:
    """Elastic constants of a crystal, C = (1/V) [∂²E/∂ε² − Λᵀ H⁺ Λ].

    Λ = −∂F/∂ε at fixed fractional positions is what atoms feel that are no centres of symmetry, H
    the Hessian by which they yield (Hamann, Wu, Rabe, Vanderbilt, Phys. Rev. B 71, 035117 (2005)).

    Parameters
    ----------
    crystal : Atoms
        Periodic, N atoms, without stress and forces.
    calc : Calculator
        ASE calculator with stress.

    Returns
    -------
    (6, 6) array
        eV/Å³, Voigt order xx, yy, zz, yz, xz, xy; symmetric.
    """
    volume = crystal.get_volume()
    columns, coupling = np.empty((6, 6)), np.empty((3 * len(crystal), 6))
    for k in range(6):
        strain = np.zeros(6)
        strain[k] = _STEP * (1.0 if k < 3 else 0.5)
        up, down = (_pulled(crystal, calc, sign * strain) for sign in (1, -1))
        columns[:, k] = (up[0] - down[0]) / (2 * _STEP * volume)
        coupling[:, k] = (down[1] - up[1]) / (2 * _STEP)
    if np.abs(coupling).max() > _CENTRED * np.abs(columns).max() * volume:
        hessian = get_hessian(crystal.copy(), calc).toarray()
        yielding = np.linalg.pinv(hessian, rcond=1e-8, hermitian=True)
        columns -= coupling.T @ yielding @ coupling / volume
    return (columns + columns.T) / 2


def _pulled(crystal: Atoms, calc: Any, strain: Array) -> tuple[Array, Array]:
    """Stress times volume (6,) and forces (3N,) of a strained crystal."""
    work = crystal.copy()
    deformation = np.eye(3) + voigt_6_to_full_3x3_stress(strain)
    work.set_cell(crystal.cell.array @ deformation, scale_atoms=True)
    work.calc = calc
    return work.get_stress() * work.get_volume(), work.get_forces().ravel()


def dipole_tensor(atoms: Atoms, calc: Any, crystal: Atoms) -> Array:
    """Return P_ij = −∂(E_f)/∂ε_ij of a defect relaxed in a cell of fixed shape.

    Parameters
    ----------
    atoms : Atoms
        N atoms with the defect, relaxed.
    calc : Calculator
    crystal : Atoms
        Some perfect crystal at the same lattice constant, whose own stress is taken out.

    Returns
    -------
    (3, 3) array
        eV.
    """
    stress = []
    for structure in (atoms, crystal):
        work = structure.copy()
        work.calc = calc
        stress.append(work.get_stress() * work.get_volume() / len(work))
    return voigt_6_to_full_3x3_stress(-len(atoms) * (stress[0] - stress[1]))


def relaxation_strain(dipole: Array, constants: Array, volume: float) -> Array:
    """Strain ε = S:P/V that frees a cell from the stress of its defect.

    Parameters
    ----------
    dipole : (3, 3) array, eV
    constants : (6, 6) array, eV/Å³
    volume : float
        Of the cell, Å³.

    Returns
    -------
    (3, 3) array
        Its trace times the volume is the relaxation volume; the energy gained is ½ P:ε.
    """
    voigt = np.linalg.solve(constants, full_3x3_to_voigt_6_stress(dipole)) / volume
    voigt[3:] /= 2
    return voigt_6_to_full_3x3_stress(voigt)


def image_energy(dipole: Array, constants: Array, cell: Array) -> float:
    """Energy of a defect in a periodic cell of fixed shape above that in the infinite crystal.

    Parameters
    ----------
    dipole : (3, 3) array, eV
    constants : (6, 6) array, eV/Å³
    cell : (3, 3) array, Å

    Returns
    -------
    float
        eV: subtract it from E_f of the cell.

    Raises
    ------
    ValueError
        When the crystal of these constants is unstable.
    """
    if np.linalg.eigvalsh(constants)[0] <= 0:
        raise ValueError("the elastic constants are not positive definite: no stable crystal")
    stiffness = _full(constants)
    # the smeared sum differs from its limit by O(σ²): one Richardson step
    coarse, fine = (_smeared(dipole, stiffness, cell, s) for s in (1.0, 0.5**0.5))
    return 2 * fine - coarse


def _smeared(dipole: Array, stiffness: Array, cell: Array, scale: float) -> float:
    volume = abs(float(np.linalg.det(cell)))
    sigma = scale * _SMEARING * volume ** (1 / 3)
    reciprocal = 2 * np.pi * np.linalg.inv(cell).T
    reach = np.ceil(_CUTOFF / sigma * np.linalg.norm(cell, axis=1) / (2 * np.pi)).astype(int)
    grid = np.stack(
        np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"), axis=-1
    ).reshape(-1, 3)
    g = grid[np.any(grid != 0, axis=1)] @ reciprocal
    damping = np.exp(-(sigma**2) * np.sum(g**2, axis=1))
    lattice = float(damping @ _quadratic(g, dipole, stiffness))
    integral = _mean(dipole, stiffness) * volume / (8 * np.pi**1.5 * sigma**3)
    return -(lattice - integral) / (2 * volume)


def _quadratic(k: Array, dipole: Array, stiffness: Array) -> Array:
    """F(k) = (Pk)·(k·C·k)⁻¹·(Pk) for rows k, shape (n,)."""
    christoffel = np.einsum("nj,ijkl,nl->nik", k, stiffness, k, optimize=True)
    force = k @ dipole
    return np.einsum("ni,ni->n", force, np.linalg.solve(christoffel, force[..., None])[..., 0])


def _mean(dipole: Array, stiffness: Array) -> float:
    """F averaged over directions, by Gauss's rule in cos θ and equal steps in the azimuth."""
    z, weights = np.polynomial.legendre.leggauss(_DIRECTIONS)
    azimuth = np.arange(2 * _DIRECTIONS) * np.pi / _DIRECTIONS
    r = np.sqrt(1 - z**2)[:, None]
    k = np.stack(np.broadcast_arrays(r * np.cos(azimuth), r * np.sin(azimuth), z[:, None]), axis=-1)
    values = _quadratic(k.reshape(-1, 3), dipole, stiffness).reshape(len(z), -1).mean(axis=1)
    return float(weights @ values / 2)


def _full(constants: Array) -> Array:
    """C_ijkl from Voigt's matrix."""
    index = np.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]])
    return constants[index[:, :, None, None], index[None, None, :, :]]
