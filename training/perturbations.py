"""Random strains and displacements of atoms."""

import numpy as np
from ase import Atoms


def strain(atoms: Atoms, largest: float, rng: np.random.Generator) -> None:
    """Strain a cell and its atoms in place by ε = (U + Uᵀ)/2, the U_ab uniform in ± `largest`.

    Parameters
    ----------
    atoms : Atoms
    largest : float
    rng : numpy.random.Generator
    """
    u = rng.uniform(-largest, largest, (3, 3))
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + (u + u.T) / 2), scale_atoms=True)


def perturb(atoms: Atoms, amplitude: float, rng: np.random.Generator) -> None:
    """Displace every coordinate in place by noise of standard deviation `amplitude` (Å).

    Parameters
    ----------
    atoms : Atoms
    amplitude : float
        Å.
    rng : numpy.random.Generator
    """
    atoms.set_positions(atoms.get_positions() + amplitude * rng.normal(size=(len(atoms), 3)))
