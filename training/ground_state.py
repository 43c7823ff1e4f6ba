"""The crystal of an element as a potential has it: what defects and vibrations are counted from."""

from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_numbers, reference_states
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS

from thiry_calc import ThiryCalculator
from thiry_calc.crystals import crystal_of_box
from thiry_calc.defects import supercell
from thiry_calc.potential import Crystal, Potential
from training.crystal import hbar_omega

_SITES = {"bcc": 2, "fcc": 4, "diamond": 8}  # per cubic cell
_STEPS = 300
_SWELLING = 0.3  # of the volume, beyond which it is another crystal


def usual_lattice(element: str) -> str | None:
    """Lattice of an element in its ground state, "bcc", "fcc", "hcp", "diamond", ..., if known."""
    state = reference_states[atomic_numbers[element]]
    return None if state is None else state["symmetry"]


def relaxed_unit(element: str, calc: Any) -> Atoms:
    """Primitive cell of an element's usual crystal at zero pressure.

    Parameters
    ----------
    element : str
        One that `ase.build.bulk` knows.
    calc : Calculator
        ASE calculator with stress.

    Returns
    -------
    Atoms

    Raises
    ------
    RuntimeError
        When the crystal does not hold: it does not relax, or to another volume altogether.
    """
    unit = bulk(element)
    work = unit.copy()
    work.calc = calc
    held = BFGS(FrechetCellFilter(work), logfile=None).run(fmax=1e-5, steps=_STEPS)
    if not held or abs(work.get_volume() / unit.get_volume() - 1) > _SWELLING:
        raise RuntimeError(
            f"the {element} crystal does not hold: its volume went from "
            f"{unit.get_volume():.2f} to {work.get_volume():.2f} Å³"
        )
    return Atoms(work.numbers, work.positions, cell=work.cell, pbc=True)


def lattice_constants(unit: Atoms, lattice: str) -> tuple[float, float | None]:
    """Lattice constants of a primitive cell, Å.

    Parameters
    ----------
    unit : Atoms
    lattice : {"bcc", "fcc", "hcp", "diamond"}

    Returns
    -------
    a0 : float
    c0 : float or None
        Of hcp.
    """
    if lattice == "hcp":
        a, _, c = unit.cell.lengths()
        return float(a), float(c)
    return float((unit.get_volume() / len(unit) * _SITES[lattice]) ** (1 / 3)), None


def ground_crystal(potential: Potential) -> Crystal | None:
    """Crystal that scans and free energies of a potential refer to.

    Parameters
    ----------
    potential : Potential
        With an energy.

    Returns
    -------
    Crystal or None
        None for several elements, and for elements that are neither bcc nor fcc.

    Raises
    ------
    RuntimeError, ValueError
        When the crystal does not hold, or has unstable phonons.
    """
    element, calc = potential.elements[0], ThiryCalculator(potential, extrapolation_warning=False)
    lattice = usual_lattice(element)
    if len(potential.elements) > 1 or lattice not in ("bcc", "fcc"):
        return None
    a0, _ = lattice_constants(relaxed_unit(element, calc), lattice)
    size = int(np.ceil(4 * potential.cutoff / a0))  # Hessians reach two cutoffs
    perfect = supercell(a0, size, element, lattice)
    box = crystal_of_box(perfect, lattice, a0, element)
    return Crystal(lattice, a0, {element: hbar_omega(box, calc)})
