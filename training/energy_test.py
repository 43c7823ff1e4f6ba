"""Energies, forces and stresses of a model against exact ones, by family of structures."""

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from tqdm import tqdm

from thiry_calc.calculator import ThiryCalculator
from thiry_calc.linear import error_table
from thiry_calc.linear.errors import ErrorTable
from thiry_calc.potential import Potential

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class EnergyTest:
    """Exact and predicted values of test structures.

    Parameters
    ----------
    families : list of str
        Of each of n structures.
    energies : tuple of ndarray, shape (n,)
        Per atom, eV; exact and predicted, as the others.
    forces : tuple of ndarray, shape (3 Σ_k N_k,)
        eV/Å.
    stresses : tuple of ndarray, shape (6 n,)
        eV/Å³.
    force_families : list of str
        Of each component of the forces.
    """

    families: list[str]
    energies: tuple[Array, Array]
    forces: tuple[Array, Array]
    stresses: tuple[Array, Array]
    force_families: list[str]

    def tables(self) -> dict[str, ErrorTable]:
        """Errors by family; the keys name the quantity and its unit."""
        exact, predicted = self.energies
        stress_families = [family for family in self.families for _ in range(6)]
        return {
            "energy (meV/atom)": error_table(1e3 * predicted, 1e3 * exact, self.families),
            "forces (eV/Å)": error_table(self.forces[1], self.forces[0], self.force_families),
            "stress (eV/Å³)": error_table(self.stresses[1], self.stresses[0], stress_families),
        }


def compare_energy(potential: Potential, frames: list[Atoms]) -> EnergyTest:
    """Compare a model with labelled structures that it has not seen.

    Parameters
    ----------
    potential : Potential
    frames : list of Atoms
        With energies, forces and stresses, and ``info["family"]``.

    Returns
    -------
    EnergyTest
    """
    rows = []
    for atoms in tqdm(frames, desc="energy test"):
        work = atoms.copy()
        work.calc = ThiryCalculator(potential, extrapolation_warning=False)
        for frame in (atoms, work):
            energy = np.array([frame.get_potential_energy() / len(frame)])
            rows.append((energy, frame.get_forces().ravel(), frame.get_stress()))
    exact, predicted = (
        [np.concatenate(column) for column in zip(*rows[k::2], strict=True)] for k in (0, 1)
    )
    energies, forces, stresses = zip(exact, predicted, strict=True)
    families = [atoms.info["family"] for atoms in frames]
    force_families = [atoms.info["family"] for atoms in frames for _ in range(3 * len(atoms))]
    return EnergyTest(families, energies, forces, stresses, force_families)
