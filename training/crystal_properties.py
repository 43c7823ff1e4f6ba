"""What a potential says of the element's crystal: the properties that papers tabulate.

Lattice constants, cohesion, elastic constants, equation of state, vacancy, surfaces and phonons of
an element whose ground state is bcc, fcc, hcp or diamond, all relaxed with the potential itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from ase import Atoms, units
from ase.build import bulk, surface
from numpy.typing import NDArray

from thiry_calc import ThiryCalculator
from thiry_calc.elasticity import elastic_constants
from thiry_calc.phonopy_io import Bands, band_structure
from thiry_calc.potential import Potential
from thiry_calc.relax import relax
from training.ground_state import lattice_constants, relaxed_unit, usual_lattice

Array = NDArray[np.float64]

_SURFACES = {
    "bcc": ((1, 0, 0), (1, 1, 0), (1, 1, 1), (2, 1, 1)),
    "fcc": ((1, 0, 0), (1, 1, 0), (1, 1, 1)),
    "hcp": ((0, 0, 1),),
    "diamond": (),
}
_FMAX, _STEPS = 1e-3, 300  # eV/Å
_SCALES = np.linspace(0.92, 1.08, 17)  # of lengths, in the equation of state
_SLAB, _VACUUM = 15.0, 12.0  # Å


@dataclass(frozen=True, eq=False)
class CrystalProperties:
    """Properties of the crystal of an element.

    Attributes
    ----------
    element, lattice : str
    a0 : float
        Å.
    c0 : float or None
        Å, of hcp.
    energy : float
        eV per atom, from the zero of the potential.
    elastic : ndarray, shape (6, 6)
        GPa, Voigt order.
    volumes, energies : ndarray, shape (V,)
        Equation of state: Å³ and eV per atom.
    vacancy_energy : float or None
        Of formation, eV; None where it could not be relaxed.
    surface_energies : mapping of str to float
        J/m², by Miller indices.
    bands : Bands or None
        None without phonopy.
    """

    element: str
    lattice: str
    a0: float
    c0: float | None
    energy: float
    elastic: Array
    volumes: Array
    energies: Array
    vacancy_energy: float | None
    surface_energies: Mapping[str, float]
    bands: Bands | None

    @property
    def bulk_modulus(self) -> float:
        """Voigt's mean, GPa."""
        return float(self.elastic[:3, :3].mean())

    def summary(self) -> dict[str, float | str | None]:
        """Numbers by name, for tables and JSON."""
        out: dict[str, float | str | None] = {"lattice": self.lattice, "a0_A": self.a0}
        if self.c0 is not None:
            out["c0_A"] = self.c0
        out |= {"energy_eV_per_atom": self.energy, "bulk_modulus_GPa": self.bulk_modulus}
        distinct: tuple[tuple[int, int], ...] = ((0, 0), (0, 1), (3, 3))
        if self.lattice == "hcp":
            distinct = (0, 0), (0, 1), (0, 2), (2, 2), (3, 3)
        out |= {f"C{i + 1}{j + 1}_GPa": float(self.elastic[i, j]) for i, j in distinct}
        out["vacancy_energy_eV"] = self.vacancy_energy
        return out | {f"surface_{k}_J_per_m2": v for k, v in self.surface_energies.items()}


def crystal_properties(potential: Potential) -> CrystalProperties | None:
    """Compute the properties of the crystal of an element.

    Parameters
    ----------
    potential : Potential
        With an energy.

    Returns
    -------
    CrystalProperties or None
        None for several elements, or an element whose ground state is another lattice.

    Raises
    ------
    RuntimeError
        When the crystal does not hold: it does not relax, or to another volume altogether.
    """
    if len(potential.elements) > 1:
        return None
    element = potential.elements[0]
    lattice = usual_lattice(element)
    if lattice not in _SURFACES:
        return None
    calc = ThiryCalculator(potential, extrapolation_warning=False)
    unit = relaxed_unit(element, calc)
    a0, c0 = lattice_constants(unit, lattice)
    cell = unit if lattice == "hcp" else bulk(element, lattice, a0, cubic=True)
    energy = _energy(cell, calc) / len(cell)
    volumes, energies = _equation_of_state(unit, calc)
    surfaces = {
        "".join(map(str, indices)): _surface(cell, indices, energy, calc)
        for indices in _SURFACES[lattice]
    }
    return CrystalProperties(
        element,
        lattice,
        a0,
        c0,
        energy,
        elastic_constants(unit, calc) / units.GPa,
        volumes,
        energies,
        _vacancy(cell, energy, calc),
        {name: value for name, value in surfaces.items() if value is not None},
        _bands(unit, calc),
    )


def _energy(atoms: Atoms, calc: ThiryCalculator) -> float:
    work = atoms.copy()
    work.calc = calc
    return float(work.get_potential_energy())


def _equation_of_state(unit: Atoms, calc: ThiryCalculator) -> tuple[Array, Array]:
    volumes, energies = [], []
    for scale in _SCALES:
        work = unit.copy()
        work.set_cell(scale * unit.cell.array, scale_atoms=True)
        volumes.append(work.get_volume() / len(work))
        energies.append(_energy(work, calc) / len(work))
    return np.array(volumes), np.array(energies)


def _repeats(cell: Atoms, cutoff: float) -> tuple[int, int, int]:
    """Repetitions that keep an atom two cutoffs from its images."""
    heights = 1 / np.linalg.norm(cell.cell.reciprocal().array, axis=1)
    a, b, c = (int(np.ceil(2 * cutoff / h)) for h in heights)
    return a, b, c


def _vacancy(cell: Atoms, energy: float, calc: ThiryCalculator) -> float | None:
    atoms = cell * _repeats(cell, calc.potential.cutoff)
    del atoms[0]
    atoms.calc = calc
    if not relax(atoms, _FMAX, _STEPS).converged:
        return None
    return float(atoms.get_potential_energy() - len(atoms) * energy)


def _surface(
    cell: Atoms, indices: tuple[int, int, int], energy: float, calc: ThiryCalculator
) -> float | None:
    layer = surface(cell, indices, 1, periodic=True)
    thickness = layer.get_volume() / np.linalg.norm(np.cross(*layer.cell.array[:2]))
    slab = surface(cell, indices, int(np.ceil(_SLAB / thickness)), _VACUUM / 2, periodic=True)
    slab.calc = calc
    if not relax(slab, _FMAX, _STEPS).converged:
        return None
    area = np.linalg.norm(np.cross(*slab.cell.array[:2]))
    excess = slab.get_potential_energy() - len(slab) * energy
    return float(excess / (2 * area) / (units.J / units.m**2))


def _bands(unit: Atoms, calc: ThiryCalculator) -> Bands | None:
    try:
        return band_structure(unit, calc, _repeats(unit, calc.potential.cutoff))
    except ImportError:
        return None
