"""What a scan starts from: named defects built at a lattice constant, and structures as given.

Unrelaxed dumbbells have pairs as near as half the nearest distance, where a fitted model knows
nothing: pairs nearer than 0.81 of it (2.0 Å in iron, as in relaxed defects) are moved apart first.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from ase import Atoms
from matscipy.neighbours import neighbour_list

from thiry_calc.crystals import Box, crystal_of_box
from thiry_calc.defects import NAMES, STANDARD, STANDARD_FCC, build
from thiry_calc.linear.suggestion import suggestion
from thiry_calc.potential import Crystal
from thiry_calc.relax import separate
from thiry_calc.structures import check_structure

NO_SUPERCELL = "box is no supercell of the crystal along the cubic axes: reference taken at a0"
_MOST_DEFECTS = 0.25  # net content of a structure that still is a crystal, per site
_CLOSE, _OVERLAP = 0.81, 0.5  # of the nearest distance: pairs moved apart, and no defect any more


class Start(NamedTuple):
    """A configuration before relaxation, its box, and how to build it for another a0."""

    name: str
    atoms: Atoms
    box: Box
    rebuild: Callable[[float], Atoms] | None = None
    notes: tuple[str, ...] = ()


def standard_names(lattice: str) -> tuple[str, ...]:
    """Names of the standard defects of a lattice ("bcc" or "fcc")."""
    return STANDARD if lattice == "bcc" else STANDARD_FCC


def start_of(item: str | Atoms, number: int, crystal: Crystal, size: int, element: str) -> Start:
    """Build a named defect, or take a structure as it is.

    Parameters
    ----------
    item : str or Atoms
        Name, or a structure of `element`, named by ``info["name"]``.
    number : int
        Names a structure without a name.
    crystal : Crystal
    size : int
        Cubic cells per side of a named defect.
    element : str

    Returns
    -------
    Start

    Raises
    ------
    ValueError
        Unknown name (the nearest one is suggested), or a structure that is no periodic crystal.
    """
    lattice = crystal.lattice
    if isinstance(item, Atoms):
        name = str(item.info.get("name", f"structure_{number}"))
        check_structure(item, where=name)
        try:
            box = crystal_of_box(item, lattice, crystal.a0, element)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        if abs(len(item) - box.n_sites) > _MOST_DEFECTS * box.n_sites:
            raise ValueError(
                f"{name} has {len(item)} atoms in a volume of {box.n_sites} lattice sites, which "
                "is no crystal with some defects; check the units (Å) and the cell"
            )
        notes = [] if box.commensurate else [NO_SUPERCELL]
        nearest = float(np.linalg.norm(box.primitive, axis=1).min())
        work = item.copy()
        # Overlapping atoms are a mistake, which the model reports; short dumbbells are not.
        overlapping = len(neighbour_list("i", work, _OVERLAP * nearest)) > 0
        if not overlapping and separate(work, _CLOSE * nearest):
            notes.append(f"pairs nearer than {_CLOSE * nearest:.2f} Å were moved apart first")
        return Start(name, work, box, notes=tuple(notes))
    known = NAMES[lattice]
    if item not in known:
        hint = suggestion(item, known, "expected one of")
        raise ValueError(f"{item!r} is neither a file nor a {lattice} defect; {hint}")

    def rebuild(a0: float) -> Atoms:
        atoms = build(item, a0, size, element, lattice)
        separate(atoms, _CLOSE * a0 * (0.75**0.5 if lattice == "bcc" else 0.5**0.5))
        return atoms

    atoms = rebuild(crystal.a0)
    return Start(item, atoms, crystal_of_box(atoms, lattice, crystal.a0, element), rebuild)
