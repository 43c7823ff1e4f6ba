"""The perfect crystal of a box: which one a cell holds, strained or not, and where its sites lie.

A cell C (rows) is a supercell of a lattice with primitive vectors P when C P⁻¹ is near an integer
matrix M; the crystal of that very box then has the primitive vectors M⁻¹C and |det M| sites. That
the atoms really form this crystal shows in the phases |⟨exp(2πi f)⟩| of their fractional
coordinates f in M⁻¹C: near 1 for a crystal with a few defects, near 0 for any other orientation.
The arguments of the means give the origin.
"""

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.build import bulk, make_supercell
from numpy.typing import NDArray

Array = NDArray[np.float64]

_COHERENCE = 0.7  # least phase of the atoms on a lattice
_STRAIN = 0.05  # largest strain of a box that still counts as the crystal


@dataclass(frozen=True, eq=False)
class Box:
    """A perfect crystal and its relation to a structure's cell.

    Attributes
    ----------
    perfect : Atoms
        Fills the cell when `commensurate`; otherwise one unstrained cubic cell.
    n_sites : int
        Lattice sites of the structure's cell.
    commensurate : bool
        Whether the structure's cell is a supercell of the crystal.
    primitive : ndarray, shape (3, 3)
        Primitive vectors in rows, Å.
    conventional : ndarray, shape (3, 3)
        Vectors of the (strained) cubic cell in rows, Å.
    origin : ndarray, shape (3,)
        A lattice site, Å.
    """

    perfect: Atoms
    n_sites: int
    commensurate: bool
    primitive: Array
    conventional: Array
    origin: Array


def crystal_of_box(atoms: Atoms, lattice: str, a0: float, element: str) -> Box:
    """Find the perfect crystal of a structure's cell.

    Parameters
    ----------
    atoms : Atoms
        A crystal with some defects, its axes along the cubic ones.
    lattice : {"bcc", "fcc"}
    a0 : float
        Lattice constant, Å; the box may differ from it by a strain of 5 %.
    element : str

    Returns
    -------
    Box

    Raises
    ------
    ValueError
        When the structure is not periodic in three directions.
    """
    if not atoms.pbc.all() or atoms.cell.rank < 3:
        raise ValueError(
            "a formation energy refers to a periodic crystal, and the structure is not periodic in "
            "three directions; use `thiry predict` for slabs and clusters"
        )
    primitive = bulk(element, lattice, a=a0).cell.array
    to_cubic = a0 * np.linalg.inv(primitive)  # integer; times the primitive vectors: the cubic ones
    multiple = np.rint(atoms.cell.array @ np.linalg.inv(primitive))
    if abs(np.linalg.det(multiple)) > 0.5:
        strained = np.linalg.solve(multiple, atoms.cell.array)
        strain = np.linalg.solve(primitive, strained) - np.eye(3)
        phases = np.exp(2j * np.pi * atoms.positions @ np.linalg.inv(strained)).mean(axis=0)
        if np.abs(strain).max() < _STRAIN and np.abs(phases).min() > _COHERENCE:
            origin = np.angle(phases) / (2 * np.pi) @ strained
            cell = Atoms([element], cell=strained, pbc=True)
            perfect = make_supercell(cell, multiple.astype(int))
            perfect.set_cell(atoms.cell.array)  # the very box, not its rounding
            perfect.positions += origin
            return Box(perfect, len(perfect), True, strained, to_cubic @ strained, origin)
    cube = bulk(element, lattice, a=a0, cubic=True)
    n_sites = round(len(cube) * atoms.get_volume() / a0**3)
    return Box(cube, n_sites, False, primitive, a0 * np.eye(3), np.zeros(3))


def repeats_itself(atoms: Atoms, tolerance: float = 0.1) -> bool:
    """Tell whether a translation shorter than the cell maps a periodic structure onto itself.

    Parameters
    ----------
    atoms : Atoms
        Periodic in three directions.
    tolerance : float
        Å.

    Returns
    -------
    bool
        True for every supercell of a crystal, False for one with a defect.
    """
    lengths = np.linalg.inv(atoms.cell.array)
    scaled = {z: atoms.positions[atoms.numbers == z] @ lengths % 1.0 for z in set(atoms.numbers)}
    fewest = min(scaled.values(), key=len)
    return any(
        all(_same_lattice(x + t, x, atoms.cell.array, tolerance) for x in scaled.values())
        for t in fewest[1:] - fewest[0]
    )


def _same_lattice(moved: Array, home: Array, cell: Array, tolerance: float) -> bool:
    """Whether each moved point, in fractions of the cell, has a home point within a tolerance."""
    for part in (slice(0, 8), slice(None)):  # most translations fail with the first points
        gap = moved[part, None] - home[None]
        distance = np.linalg.norm((gap - np.rint(gap)) @ cell, axis=-1)
        if distance.min(axis=1).max() > tolerance:
            return False
    return True
