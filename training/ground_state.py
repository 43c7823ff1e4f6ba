"""The crystal of an element as a potential has it: what defects and vibrations are counted from."""

from collections.abc import Mapping
from dataclasses import replace
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
from thiry_calc.descriptors import Combined
from thiry_calc.potential import Crystal, Potential
from training.crystal import hbar_omega
from training.entropy_fit import BulkCrystal, EntropyFit

_SITES = {"bcc": 2, "fcc": 4, "diamond": 8}  # per cubic cell
_STEPS = 300
_MOST_ATOMS = 4000  # of a cell whose Hessian is computed
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


def chosen_crystal(
    given: Mapping[str, Any] | None, elements: tuple[str, ...], energy: Potential | None
) -> tuple[BulkCrystal | None, str]:
    """Crystal that scans and entropies of a potential refer to.

    Parameters
    ----------
    given : mapping, optional
        Its "lattice" and "a0" (Å).
    elements : tuple of str
    energy : Potential, optional
        Tells the crystal at zero pressure where it is not given.

    Returns
    -------
    crystal : BulkCrystal or None
        None for several elements, for elements that are neither bcc nor fcc, and when the
        potential's crystal does not hold.
    reason : str
        Why there is none.
    """
    if len(elements) > 1:
        return None, "only single elements have one"
    element = elements[0]
    if given is not None:
        return BulkCrystal(element, given["lattice"], given["a0"]), ""
    lattice = usual_lattice(element)
    if lattice not in ("bcc", "fcc"):
        return None, f"{element} is usually neither bcc nor fcc; give a crystal"
    if energy is None:
        return None, "no energy is fitted that would tell it; give a crystal"
    calc = ThiryCalculator(energy, extrapolation_warning=False)
    try:
        unit = relaxed_unit(element, calc)
    except (RuntimeError, ValueError) as error:  # its atoms may even overlap
        return None, str(error)
    return BulkCrystal(element, lattice, lattice_constants(unit, lattice)[0]), ""


def assembled(
    name: str,
    elements: tuple[str, ...],
    energy: Potential | None,
    entropy: EntropyFit | None,
    bulk_crystal: BulkCrystal | None,
) -> tuple[Potential, str]:
    """One potential of an energy and an entropy, and of the crystal's mean frequency.

    Parameters
    ----------
    name : str
    elements : tuple of str
    energy : Potential, optional
    entropy : EntropyFit, optional
    bulk_crystal : BulkCrystal, optional

    Returns
    -------
    potential : Potential
        Without a crystal where that is unstable, or no energy tells its frequencies.
    reason : str
        Why it has no crystal, where it could.
    """
    parts = [] if energy is None else list(energy.descriptor.parts)
    targets = {} if energy is None else dict(energy.targets)
    if entropy is not None:
        parts += [part for part in entropy.descriptor.parts if part not in parts]
        own = tuple(parts.index(part) for part in entropy.descriptor.parts)
        targets["entropy"] = replace(entropy.target, parts=own)
    crystal, reason = None, ""
    if energy is not None and bulk_crystal is not None:
        try:
            crystal = _with_frequency(bulk_crystal, energy)
        except ValueError as error:  # unstable phonons
            reason = str(error)
    return Potential(name, elements, Combined(tuple(parts)), targets, crystal), reason


def _with_frequency(crystal: BulkCrystal, energy: Potential) -> Crystal:
    """Crystal and its ħω̄, from the Hessian of a cell four cutoffs wide: two are its range."""
    size = int(np.ceil(4 * energy.cutoff / crystal.a0))
    atoms = _SITES[crystal.lattice] * size**3
    if atoms > _MOST_ATOMS:
        raise ValueError(
            f"a cutoff of {energy.cutoff:g} Å needs {atoms} atoms for the crystal's frequencies"
        )
    perfect = supercell(crystal.a0, size, crystal.element, crystal.lattice)
    box = crystal_of_box(perfect, crystal.lattice, crystal.a0, crystal.element)
    calc = ThiryCalculator(energy, extrapolation_warning=False)
    return Crystal(crystal.lattice, crystal.a0, {crystal.element: hbar_omega(box, calc)})
