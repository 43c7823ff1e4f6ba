"""Mean frequency of the infinite perfect crystal of a reference potential.

    ln ω̄ = ½ ⟨ ln det D(k) ⟩_k / 3,     D(k) = Σ_j H_0j exp(i k·R_j) / m

over the Brillouin zone of a crystal with one atom per primitive cell (bcc, fcc, strained or not),
which is the limit of the geometric-mean frequency of larger and larger supercells. The force
constants H_0j come from one supercell, wider than twice their range. With k = 2π P⁻ᵀ f the phases
are 2π f·n for R = n P, f on a uniform grid of the unit cube: whole zones in any strain.
"""

from typing import Any

import numpy as np
from ase import units
from ase.geometry import find_mic
from numpy.typing import NDArray

from thiry_calc.crystals import Box

Array = NDArray[np.float64]


def hbar_omega(box: Box, calc: Any, n_k: int = 32) -> float:
    """ħω̄ of the infinite crystal, eV.

    Parameters
    ----------
    box : Box
        Its `perfect` crystal, one atom per primitive cell, wider than twice the range of the
        forces (`thiry_calc.crystals.crystal_of_box`).
    calc : Calculator
        With ``get_hessian``.
    n_k : int
        Points along each side of the Brillouin zone, shifted off Γ.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        When the crystal is unstable at some k.
    """
    crystal = box.perfect
    blocks = calc.get_hessian(crystal)[:3].toarray().reshape(3, -1, 3).transpose(1, 0, 2)
    vectors, _ = find_mic(crystal.positions - crystal.positions[0], crystal.cell, crystal.pbc)
    kept = np.abs(blocks).max(axis=(1, 2)) > 0
    blocks, steps = blocks[kept], np.rint(vectors[kept] @ np.linalg.inv(box.primitive))
    ticks = (np.arange(n_k) + 0.5) / n_k
    total = 0.0
    for f in ticks:
        grid = np.stack(np.meshgrid([f], ticks, ticks, indexing="ij"), axis=-1).reshape(-1, 3)
        d = np.einsum("kj,jab->kab", np.cos(2 * np.pi * grid @ steps.T), blocks)
        eigenvalues = np.linalg.eigvalsh(d)
        if eigenvalues.min() <= 0:
            raise ValueError(
                f"the crystal is unstable: a phonon has curvature {eigenvalues.min():.3g} eV/Å²; "
                "check the lattice and its lattice constant"
            )
        total += float(np.log(eigenvalues / crystal.get_masses()[0]).sum())
    omega = np.exp(0.5 * total / (3 * n_k**3))  # sqrt(eV/Å²/amu): ASE's inverse unit of time
    return float(omega * units._hbar * units.J * units.s)
