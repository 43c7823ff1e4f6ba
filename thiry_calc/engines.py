"""What relaxes and measures the configurations of a scan: the calculator, or another program.

A scan knows configurations, families and free energies (`thiry_calc.scan`); how atoms are moved to
a minimum, and how the sums over them are made, is the engine's. `thiry_calc.lammps.scan` has one
that shares large boxes among processes.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from ase import Atoms

from thiry_calc.blocks import Uncertainty, uncertainties
from thiry_calc.calculator import ThiryCalculator
from thiry_calc.descriptors.base import species_of
from thiry_calc.neighbors import neighbors_of
from thiry_calc.potential import Potential
from thiry_calc.relax import Relaxation, relax


class Measured(NamedTuple):
    """Of a structure.

    Attributes
    ----------
    energy : float
        eV.
    formation_entropy : float
        k_B.
    uncertainties : dict of str to Uncertainty
    """

    energy: float
    formation_entropy: float
    uncertainties: dict[str, Uncertainty]


class Engine(Protocol):
    """Relaxes and measures structures by a potential."""

    @property
    def potential(self) -> Potential:
        """With energy and entropy."""

    def relax(self, atoms: Atoms, fmax: float) -> Relaxation:
        """Relax the positions on E, in place, to a largest force, eV/Å."""

    def energy(self, atoms: Atoms) -> float:
        """Return E, eV."""

    def measure(self, atoms: Atoms) -> Measured:
        """Return energy, formation entropy, and their uncertainties."""


@dataclass(frozen=True)
class CalculatorEngine:
    """The calculator, in this process.

    Parameters
    ----------
    calc : ThiryCalculator
    """

    calc: ThiryCalculator

    @property
    def potential(self) -> Potential:
        """Of the calculator."""
        return self.calc.potential

    def relax(self, atoms: Atoms, fmax: float) -> Relaxation:
        """Relax the positions; see `thiry_calc.relax`."""
        atoms.calc = self.calc
        return relax(atoms, fmax)

    def energy(self, atoms: Atoms) -> float:
        """Return E, eV."""
        return float(self.calc.get_property("energy", atoms))

    def measure(self, atoms: Atoms) -> Measured:
        """Return energy, formation entropy, and their uncertainties."""
        nl = neighbors_of(atoms, self.potential.cutoff)
        species = species_of(nl, self.potential.elements)
        return Measured(
            self.energy(atoms),
            float(self.calc.get_property("formation_entropy", atoms)),
            uncertainties(self.potential, nl, atoms, species),
        )
