"""Exact formation energies and entropies of a reference potential, for comparison with a model.

    S_f = −½ [ln det′H − (N−1)/(N0−1) ln det′H_bulk],    E_f = E − (N/N0) E_bulk

H is the reference potential's analytic Hessian where it has one, H_bulk that of the perfect crystal
of the same box. The structure is relaxed with the reference potential from the same start as the
model's, at the reference potential's own lattice constant. Negative modes mark a saddle, which has
no entropy.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from thiry_calc.calculator import ThiryCalculator
from thiry_calc.crystals import crystal_of_box
from thiry_calc.harmonic import HarmonicThermodynamics, formation_entropy
from thiry_calc.hessian import get_hessian
from thiry_calc.potential import Crystal, Potential
from thiry_calc.references import load_reference
from thiry_calc.relax import relax

OWN = "model"  # the name of the reference that is the model's own energy
_FMAX = 1e-4  # eV/Å: 2e-4 k_B


@dataclass(frozen=True)
class Exact:
    """Exact harmonic values of one configuration.

    Attributes
    ----------
    formation_energy_eV : float
    formation_entropy_kB : float
        NaN where it is no minimum.
    n_negative_modes, n_near_zero_modes : int
        Apart from the three translations.
    """

    formation_energy_eV: float
    formation_entropy_kB: float
    n_negative_modes: int
    n_near_zero_modes: int

    @property
    def is_minimum(self) -> bool:
        """Whether all modes but the translations are positive."""
        return self.n_negative_modes == 0 and self.n_near_zero_modes == 0


@dataclass(eq=False)
class ExactReference:
    """A reference potential, and what it knows of the perfect crystals met so far.

    Parameters
    ----------
    name : str
    calculator : Calculator
        ASE calculator of the energy.
    lattice : str
    a0 : float
        Its lattice constant, Å.
    file : str or Path, optional
        Its table.
    """

    name: str
    calculator: Any
    lattice: str
    a0: float
    file: str | Path | None = None
    _bulk: dict[bytes, tuple[float, float]] = field(default_factory=dict)

    @classmethod
    def make(
        cls, name: str, potential: Potential, crystal: Crystal, file: str | Path | None = None
    ) -> "ExactReference":
        """Make the reference potential of a name.

        Parameters
        ----------
        name : str
            Registered in ``thiry.references``, or "model".
        potential : Potential
            The model, for the name "model".
        crystal : Crystal
            Its a0 serves a reference potential that does not tell its ``lattice_constant``.
        file : str or Path, optional
            Table of the reference potential, where it needs one.

        Raises
        ------
        ValueError
            Unknown name; a file missing, or not expected.
        """
        if name == OWN:
            own = ThiryCalculator(potential, extrapolation_warning=False)
            return cls(name, own, crystal.lattice, crystal.a0)
        calculator = load_reference(name, file)
        a0 = getattr(calculator, "lattice_constant", crystal.a0)
        return cls(name, calculator, crystal.lattice, a0, file)

    def values(self, start: Atoms) -> Exact:
        """Relax a structure and compute its exact values.

        Parameters
        ----------
        start : Atoms
            N atoms, not relaxed; not changed.

        Returns
        -------
        Exact

        Raises
        ------
        ValueError
            When its box is no supercell of the crystal.
        RuntimeError
            When the structure does not relax, or the crystal is not stable.
        """
        box = crystal_of_box(start, self.lattice, self.a0, start.symbols[0])
        if not box.commensurate:
            raise ValueError("the box is no supercell of the crystal along the cubic axes")
        atoms = start.copy()
        atoms.calc = self.calculator
        outcome = relax(atoms, _FMAX)
        if not outcome.converged:
            raise RuntimeError(f"{outcome.reason} (largest force {outcome.fmax:.1g} eV/Å)")
        bulk_energy, bulk_log_det = self._bulk_values(box.perfect)
        energy = float(atoms.get_potential_energy())
        thermo = HarmonicThermodynamics.from_hessian(get_hessian(atoms), atoms)
        entropy = formation_entropy(
            thermo.log_determinant_hessian, len(atoms), bulk_log_det, box.n_sites
        )
        exact = Exact(
            formation_energy_eV=energy - len(atoms) / box.n_sites * bulk_energy,
            formation_entropy_kB=entropy,
            n_negative_modes=thermo.n_negative_modes,
            n_near_zero_modes=thermo.n_near_zero_modes,
        )
        return exact if exact.is_minimum else replace(exact, formation_entropy_kB=np.nan)

    def _bulk_values(self, perfect: Atoms) -> tuple[float, float]:
        """Energy (eV) and ln det′H of a perfect crystal."""
        key = np.round(perfect.cell.array, 9).tobytes()
        if key not in self._bulk:
            atoms = perfect.copy()
            atoms.calc = self.calculator
            thermo = HarmonicThermodynamics.from_hessian(get_hessian(atoms), atoms)
            if thermo.n_negative_modes or thermo.n_near_zero_modes:
                raise RuntimeError(
                    f"the perfect crystal of {self.name} has {thermo.n_negative_modes} negative "
                    f"and {thermo.n_near_zero_modes} near-zero modes in this box"
                )
            energy = float(atoms.get_potential_energy())
            self._bulk[key] = energy, thermo.log_determinant_hessian
        return self._bulk[key]
