"""Half list of pairs within a cutoff, reused while no atom has moved by half the skin.

Each pair appears once: (i, j, S) with i < j, or an atom and one of two opposite images of itself.
The list itself comes from matscipy; distances are recomputed from the positions.
"""

import numpy as np
from ase import Atoms
from matscipy.neighbours import neighbour_list
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


@njit(cache=True)
def _distances(positions: Array, i: Indices, j: Indices, shift: Array) -> tuple[Array, Array]:
    """D = R_j + S·cell − R_i (n, 3) and r = |D| (n,), Å."""
    d = np.empty((len(i), 3))
    r = np.empty(len(i))
    for p in range(len(i)):
        for a in range(3):
            d[p, a] = positions[j[p], a] + shift[p, a] - positions[i[p], a]
        r[p] = np.sqrt(d[p, 0] ** 2 + d[p, 1] ** 2 + d[p, 2] ** 2)
    return d, r


class PairList:
    """Pairs of a structure.

    Parameters
    ----------
    cutoff : float
        Å.
    skin : float
        Å.
    """

    def __init__(self, cutoff: float, skin: float) -> None:
        self.cutoff = cutoff
        self.skin = skin
        self._cell: Array | None = None

    def distances(self, atoms: Atoms) -> tuple[Indices, Indices, Array, Array]:
        """Pairs of `atoms`, some of them beyond the cutoff (by up to the skin).

        Parameters
        ----------
        atoms : Atoms

        Returns
        -------
        i, j : ndarray of int, shape (n,)
        d : ndarray, shape (n, 3)
            From atom i to (the image of) atom j, Å.
        r : ndarray, shape (n,)
            Å.

        Raises
        ------
        ValueError
            When positions are not finite or two atoms coincide.
        """
        positions = np.ascontiguousarray(atoms.positions)
        if not self._valid(atoms, positions):
            self._build(atoms, positions)
        d, r = _distances(positions, self._i, self._j, self._shift)
        if len(r) and r.min() < 1e-3:
            p = int(np.argmin(r))
            raise ValueError(
                f"atoms {self._i[p]} and {self._j[p]} overlap ({r[p]:.1e} Å apart); "
                "remove one of them or check the cell"
            )
        return self._i, self._j, d, r

    def _valid(self, atoms: Atoms, positions: Array) -> bool:
        if self._cell is None or positions.shape != self._positions.shape:
            return False
        if (atoms.pbc != self._pbc).any() or (atoms.cell.array != self._cell).any():
            return False
        moved = ((positions - self._positions) ** 2).sum(axis=1).max()
        return bool(moved < (0.5 * self.skin) ** 2)  # False for NaN

    def _build(self, atoms: Atoms, positions: Array) -> None:
        if not np.isfinite(positions).all():
            raise ValueError("the structure has non-finite positions; remove or repair its atoms")
        reach = self.cutoff + self.skin
        cell = atoms.cell.complete().array if atoms.cell.rank else np.eye(3)
        if not atoms.pbc.any():
            # Without periodicity any box does; matscipy wants one that holds the atoms.
            cell = np.diag(np.ptp(positions, axis=0) + 2 * reach)
        i, j, s = neighbour_list(
            "ijS", positions=positions, cell=cell, pbc=atoms.pbc, cutoff=reach,
            cell_origin=positions.min(axis=0) - reach if not atoms.pbc.any() else np.zeros(3),
        )  # fmt: skip
        sign = s[np.arange(len(s)), np.argmax(s != 0, axis=1)]  # first non-zero component
        half = (i < j) | ((i == j) & (sign > 0))
        self._i = i[half].astype(np.int64)
        self._j = j[half].astype(np.int64)
        self._shift = s[half] @ cell
        self._positions = positions.copy()
        self._pbc = atoms.pbc.copy()
        self._cell = atoms.cell.array.copy()
