"""What a core says of atoms that no data bring so close: there it is the whole repulsion.

A fit that has never seen two atoms at half their usual distance continues the learned part to
thousands of eV of either sign, whatever repulsion stands beside it. For each structure two rows ask
the learned part to stay what it was when one atom moves upon its nearest neighbour, in place and as
a pair in vacuum, to a fraction of the core's energy E:

    x = Σ_i φ_i,    y = E_learned before (0 in vacuum),    weight 1 / (E + 1 eV)
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


@dataclass(frozen=True, eq=False)
class Collision:
    """Two neighbours within the inner radius of a core.

    Attributes
    ----------
    inside : Atoms or None
        The structure with one atom moved; None where it would meet its own image.
    alone : Atoms
        The two atoms in vacuum.
    """

    inside: Atoms | None
    alone: Atoms


def collide(atoms: Atoms, core: ZBL) -> Collision | None:
    """Bring two neighbours closer than the inner radius of a core.

    Parameters
    ----------
    atoms : Atoms
        Its positions seed the choice of the atom and of the distance.
    core : ZBL

    Returns
    -------
    Collision or None
        None for free atoms.
    """
    nl = neighbors_of(atoms, _FARTHEST)
    counts = np.diff(nl.first)
    if not counts.any():
        return None
    rng = np.random.default_rng(zlib.crc32(atoms.positions.tobytes()))
    i = int(rng.choice(np.flatnonzero(counts)))
    vectors: NDArray[np.float64] = nl.vectors[nl.first[i] : nl.first[i + 1]]
    nearest = int(np.argmin(np.linalg.norm(vectors, axis=1)))
    j = int(nl.neighbor[nl.first[i] + nearest])
    distance = core.r_inner * rng.uniform(_CLOSEST, 1.0)
    along = vectors[nearest] / np.linalg.norm(vectors[nearest])
    alone = Atoms(atoms.numbers[[i, j]], [np.zeros(3), distance * along])
    if i == j:
        return Collision(None, alone)
    inside = atoms.copy()
    inside.positions[i] += vectors[nearest] - distance * along
    return Collision(inside, alone)
