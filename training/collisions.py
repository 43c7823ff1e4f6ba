"""What is known of atoms that no data bring so close: that they repel each other.

A fit that has never seen two atoms at half their usual distance continues the learned part to
thousands of eV of either sign, whatever repulsion stands beside it; and one that has seen pairs
that close, but nothing squeezed in between others, has holes there, into which badly placed
interstitials fall. For each structure three rows tell the learned part x = Σ_i φ_i what to be, to a
fraction of the repulsion's energy E (weight 1 / (E + 1 eV)):

    one atom moved upon its nearest neighbour       what it was before
    the two of them in vacuum                       0
    an atom more, close to another                  (N + 1)/N times what it was, and V_wide − V_core

with the repulsion V_core that stands beside the fit and V_wide, the same one up to 1.5 times the
distance, which is about right there (some eV for iron at 2 Å).
"""

import zlib
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from thiry_calc.descriptors import ZBL
from thiry_calc.neighbors import neighbors_of

_FARTHEST = 6.0  # Å, where a neighbour is looked for
_CLOSEST = 0.4  # of the core's inner radius, to which atoms come
_WIDE = 1.5  # of the core's outer radius
_ROOM = 3.0  # of the core's outer radius, which an added atom is from its images at least


@dataclass(frozen=True, eq=False)
class Collision:
    """A structure with atoms close to each other.

    Attributes
    ----------
    atoms : Atoms
    times : float
        How often it contains the structure it is made from.
    learned : float
        What the learned part is to add to so many of these, eV.
    repulsion : float
        Scale of the error, eV.
    """

    atoms: Atoms
    times: float
    learned: float
    repulsion: float


def collisions(atoms: Atoms, core: ZBL) -> list[Collision]:
    """Bring atoms of a structure closer to each other than data do.

    Parameters
    ----------
    atoms : Atoms
        Its positions seed all choices.
    core : ZBL

    Returns
    -------
    list of Collision
        Empty for free atoms.
    """
    nl = neighbors_of(atoms, _FARTHEST)
    counts = np.diff(nl.first)
    if not counts.any():
        return []
    rng = np.random.default_rng(zlib.crc32(atoms.positions.tobytes()))
    i = int(rng.choice(np.flatnonzero(counts)))
    vectors: NDArray[np.float64] = nl.vectors[nl.first[i] : nl.first[i + 1]]
    nearest = int(np.argmin(np.linalg.norm(vectors, axis=1)))
    j = int(nl.neighbor[nl.first[i] + nearest])
    distance = core.r_inner * rng.uniform(_CLOSEST, 1.0)
    along = vectors[nearest] / np.linalg.norm(vectors[nearest])
    alone = Atoms(atoms.numbers[[i, j]], [np.zeros(3), distance * along])
    out = [Collision(alone, 0.0, 0.0, _energy(core, alone))]
    if i != j:
        moved = atoms.copy()
        moved.positions[i] += vectors[nearest] - distance * along
        out.append(Collision(moved, 1.0, 0.0, _energy(core, moved)))
    return [*out, _squeezed(atoms, core, i, rng)]


def _squeezed(atoms: Atoms, core: ZBL, i: int, rng: np.random.Generator) -> Collision:
    """One atom more, within the core's outer radius of atom i."""
    per_height = np.linalg.norm(atoms.cell.reciprocal().array, axis=1)
    repeats = np.where(atoms.pbc, np.ceil(_ROOM * core.r_cut * per_height), 1).astype(int)
    before = atoms.repeat(tuple(repeats))
    direction = rng.normal(size=3)
    offset = core.r_cut * rng.uniform(_CLOSEST, 1.0) * direction / np.linalg.norm(direction)
    added = before + Atoms([atoms.numbers[i]], [before.positions[i] + offset])
    wide = ZBL(core.r_cut, _WIDE * core.r_cut)
    repulsion = _energy(wide, added) - _energy(wide, before)
    learned = repulsion - _energy(core, added) + _energy(core, before)
    return Collision(added, len(added) / len(atoms), learned, repulsion)


def _energy(core: ZBL, atoms: Atoms) -> float:
    return float(core.values(atoms).sum())
