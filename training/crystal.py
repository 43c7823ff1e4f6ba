"""The infinite perfect crystal of a reference potential: lattice constant and mean frequency.

    ln ω̄ = ½ ⟨ ln det D(k) ⟩_k / 3,     D(k) = Σ_j H_0j exp(i k·R_j) / m

over the Brillouin zone of a crystal with one atom per primitive cell (bcc, fcc), which is the
limit of the geometric-mean frequency of larger and larger supercells. The force constants H_0j
come from one supercell, wider than twice their range.
"""

from typing import Any

import numpy as np
from ase import Atoms, units
from ase.geometry import find_mic
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from thiry_calc.defects import supercell

Array = NDArray[np.float64]


def relaxed_lattice_constant(calc: Any, guess: float, element: str, lattice: str) -> float:
    """Lattice constant of least energy, Å.

    Parameters
    ----------
    calc : Calculator
    guess : float
        Å; the minimum is sought within 3 % of it.
    element, lattice : str

    Returns
    -------
    float
    """

    def energy(a0: float) -> float:
        crystal = supercell(a0, 4, element, lattice)
        crystal.calc = calc
        return float(crystal.get_potential_energy()) / len(crystal)

    bounds = (0.97 * guess, 1.03 * guess)
    return float(minimize_scalar(energy, bounds=bounds, options={"xatol": 1e-7}).x)


def hbar_omega(crystal: Atoms, calc: Any, n_k: int = 48) -> float:
    """ħω̄ of the infinite crystal, eV.

    Parameters
    ----------
    crystal : Atoms
        Cubic supercell of a bcc or fcc crystal, wider than twice the range of the forces.
    calc : Calculator
        With ``get_hessian``.
    n_k : int
        Points along each side of a cube of whole Brillouin zones, shifted off Γ.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        When the crystal is unstable at some k.
    """
    blocks = calc.get_hessian(crystal)[:3].toarray().reshape(3, -1, 3).transpose(1, 0, 2)
    vectors, _ = find_mic(crystal.positions - crystal.positions[0], crystal.cell, crystal.pbc)
    kept = np.abs(blocks).max(axis=(1, 2)) > 0
    blocks, vectors = blocks[kept], vectors[kept]
    a0 = crystal.cell.lengths()[0] / round((len(crystal) / 2) ** (1 / 3))
    # a cube of side 4π/a0 holds whole Brillouin zones of bcc and of fcc
    ticks = (np.arange(n_k) + 0.5) / n_k * 4 * np.pi / a0
    total = 0.0
    for kx in ticks:
        k = np.stack(np.meshgrid([kx], ticks, ticks, indexing="ij"), axis=-1).reshape(-1, 3)
        d = np.einsum("kj,jab->kab", np.cos(k @ vectors.T), blocks)
        eigenvalues = np.linalg.eigvalsh(d)
        if eigenvalues.min() <= 0:
            raise ValueError(
                f"the crystal is unstable: a phonon has curvature {eigenvalues.min():.3g} eV/Å²; "
                "check the lattice and its lattice constant"
            )
        total += float(np.log(eigenvalues / crystal.get_masses()[0]).sum())
    omega = np.exp(0.5 * total / (3 * n_k**3))  # sqrt(eV/Å²/amu): ASE's inverse unit of time
    return float(omega * units._hbar * units.J * units.s)
