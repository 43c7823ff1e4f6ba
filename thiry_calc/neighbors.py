"""Neighbour lists with a skin, and the conventions that turn pair forces into physics.

A list holds, for every centre i, its neighbours j with D_ij = R_j − R_i (+ lattice vectors).
If E = Σ_i E_i({D_ij}) and f_ij = ∂E/∂D_ij, then

    F_k = Σ_j f_kj − Σ_i f_ik,        dE/dε = Σ_ij D_ij ⊗ f_ij  (symmetrised),

where a strain ε takes every D to (1 + ε) D; stress = (dE/dε)/V in ASE's sign and Voigt order.

A list built with r_c + skin stays complete while σ_min(F)·(r_c + skin) − 2 u ≥ r_c, F being
the deformation gradient of the cell since the build and u the largest displacement of an atom
apart from F; it is rebuilt only when that bound fails.
"""

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from ase import Atoms
from ase.cell import Cell
from matscipy.neighbours import neighbour_list
from numpy.typing import NDArray

from thiry_calc.structures import R_OVERLAP, check_structure

Array = NDArray[Any]
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


@dataclass(frozen=True)
class NeighborList:
    """Neighbours of every atom, sorted by centre.

    Parameters
    ----------
    numbers : ndarray, shape (N,)
        Atomic numbers.
    first : ndarray, shape (N + 1,)
        The neighbours of centre i are entries first[i] to first[i + 1].
    neighbor : ndarray, shape (M,)
        Index j of each neighbour.
    vectors : ndarray, shape (M, 3)
        D_ij, Å.
    cutoff : float
        Radius up to which the list is complete, Å; it may hold some farther pairs.
    n_sites : int, optional
        Descriptors are evaluated at the first n_sites atoms, by default at all. Of a part of a
        structure (`sublist`), the other atoms have no lists, or lists that serve those sites.
    """

    numbers: NDArray[np.int64]
    first: NDArray[np.int64]
    neighbor: NDArray[np.int32]
    vectors: NDArray[np.float64]
    cutoff: float
    n_sites: int = -1

    def __post_init__(self) -> None:
        """Make all atoms sites unless told otherwise."""
        if self.n_sites < 0:
            object.__setattr__(self, "n_sites", len(self.first) - 1)

    def __len__(self) -> int:
        """Return the number of atoms."""
        return len(self.numbers)

    @property
    def first_of_sites(self) -> NDArray[np.int64]:
        """The `first` of the sites alone, shape (n_sites + 1,)."""
        return self.first[: self.n_sites + 1]

    @property
    def center(self) -> NDArray[np.int64]:
        """Index i of each pair, shape (M,)."""
        return np.repeat(np.arange(len(self.first) - 1), np.diff(self.first))


def neighbors_of(atoms: Atoms, cutoff: float) -> NeighborList:
    """Build a neighbour list without a skin.

    Parameters
    ----------
    atoms : Atoms
    cutoff : float
        Å.

    Returns
    -------
    NeighborList

    Raises
    ------
    ValueError
        When the positions or the cell are not finite, or the cell has no volume.
    """
    check_structure(atoms)
    return NeighborCache(cutoff, skin=0.0).get(atoms)


def check_overlap(nl: NeighborList, where: str = "") -> None:
    """Refuse atoms that are closer than in any matter.

    Parameters
    ----------
    nl : NeighborList
    where : str
        Before the message.

    Raises
    ------
    ValueError
        Naming the closest pair.
    """
    p, distance = closest_pair(nl.vectors)
    if distance < R_OVERLAP:
        i = int(np.searchsorted(nl.first, p, side="right")) - 1
        raise ValueError(
            f"{where}atoms {i} and {int(nl.neighbor[p])} overlap ({distance:.3f} Å apart); "
            "remove one of them, or check the units (Å) and the cell"
        )


def sublist(
    nl: NeighborList, sites: NDArray[np.int64], hops: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NeighborList]:
    """Cut out what the site values of some atoms depend on.

    Parameters
    ----------
    nl : NeighborList
        Of all atoms.
    sites : ndarray, shape (n,)
        Distinct indices of atoms.
    hops : int
        1 where a site value depends on the pairs of its atom, 2 where also on those of its
        neighbours.

    Returns
    -------
    atoms : ndarray, shape (n',)
        The atoms of the part, those of `sites` first.
    pairs : ndarray, shape (m,)
        Its pairs, as indices into the whole list.
    part : NeighborList
        With n sites.
    """
    new = np.full(len(nl), -1)
    new[sites] = np.arange(len(sites))
    listed = sites
    pairs = _pairs_of(nl, sites)
    for _ in range(hops - 1):
        added = _unnumbered(nl.neighbor[pairs], new, len(listed))
        listed = np.concatenate([listed, added])
        pairs = np.concatenate([pairs, _pairs_of(nl, added)])
    ghosts = _unnumbered(nl.neighbor[pairs], new, len(listed))
    atoms = np.concatenate([listed, ghosts])
    counts = nl.first[listed + 1] - nl.first[listed]
    first = np.concatenate([[0], np.cumsum(counts)])
    neighbor = new[nl.neighbor[pairs]].astype(np.int32)
    part = NeighborList(
        nl.numbers[atoms], first, neighbor, nl.vectors[pairs], nl.cutoff, len(sites)
    )
    return atoms, pairs, part


def _pairs_of(nl: NeighborList, centers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the indices of the pairs of some centres, in their order."""
    counts = nl.first[centers + 1] - nl.first[centers]
    starts = np.repeat(nl.first[centers] - np.cumsum(counts) + counts, counts)
    return starts + np.arange(len(starts))


def _unnumbered(atoms: Array, new: NDArray[np.int64], start: int) -> NDArray[np.int64]:
    """Return the distinct atoms that have no number in `new` yet, and number them from `start`."""
    found = np.unique(atoms[new[atoms] < 0])
    new[found] = start + np.arange(len(found))
    return found.astype(np.int64)


class NeighborCache:
    """Neighbour lists of a moving structure, rebuilt only when the skin is used up.

    Parameters
    ----------
    cutoff : float
        Å.
    skin : float
        Extra radius, Å; 0 rebuilds at every change.
    """

    def __init__(self, cutoff: float, skin: float = 0.5) -> None:
        self.cutoff = cutoff
        self.skin = skin
        self.n_builds = 0
        self._pairs: tuple[Array, Array, Array, Array] | None = None
        self._atoms: tuple[Array, Array, Array, Array] | None = None

    def get(self, atoms: Atoms) -> NeighborList:
        """Return the neighbours of `atoms` as it is now.

        Parameters
        ----------
        atoms : Atoms

        Returns
        -------
        NeighborList
        """
        positions, cell = atoms.get_positions(), atoms.cell.array
        if self._pairs is None or not self._still_complete(atoms, positions, cell):
            self._build(atoms, positions, cell)
        assert self._pairs is not None
        i, j, shifts, first = self._pairs
        vectors = _pair_vectors(positions, cell, i, j, shifts)
        return NeighborList(atoms.numbers.astype(np.int64), first, j, vectors, self.cutoff)

    def _build(self, atoms: Atoms, positions: Array, cell: Array) -> None:
        pbc = np.asarray(atoms.pbc)
        box, origin = _search_box(positions, cell, pbc, self.cutoff + self.skin)
        i, j, shifts = neighbour_list(
            "ijS",
            cutoff=self.cutoff + self.skin,
            positions=positions,
            cell=box,
            cell_origin=origin,
            pbc=pbc,
        )
        # matscipy's first_neighbours is wrong when leading atoms have no neighbours
        first = np.searchsorted(i, np.arange(len(atoms) + 1)).astype(np.int64)
        self._pairs = (i.astype(np.int32), j.astype(np.int32), shifts.astype(np.float64), first)
        self._atoms = (positions, cell.copy(), pbc.copy(), atoms.numbers.copy())
        self.n_builds += 1

    def _still_complete(self, atoms: Atoms, positions: Array, cell: Array) -> bool:
        assert self._atoms is not None
        old_positions, old_cell, old_pbc, old_numbers = self._atoms
        if not (np.array_equal(old_numbers, atoms.numbers) and np.array_equal(old_pbc, atoms.pbc)):
            return False
        carried, stretch = old_positions, 1.0
        if not np.array_equal(old_cell, cell):
            if abs(np.linalg.det(old_cell)) < 1e-9:
                return False
            deformation = np.linalg.solve(old_cell, cell)
            carried = old_positions @ deformation
            stretch = np.linalg.svd(deformation, compute_uv=False)[-1]
        moved = np.sqrt(np.max(np.sum((positions - carried) ** 2, axis=1), initial=0.0))
        return bool(stretch * (self.cutoff + self.skin) - 2 * moved >= self.cutoff)


def _search_box(
    positions: Array, cell: Array, pbc: NDArray[np.bool_], reach: float
) -> tuple[Array, Array]:
    """Lattice vectors of the periodic directions, the extent of the atoms along the others.

    What `cell` says of the other directions does not matter: it may be missing or singular,
    and a box that is short against the cluster would make the search quadratic. A box that is
    wide against the number of atoms is shortened, for the search visits all its bins; atoms
    outside the box are searched with its outermost bins.
    """
    box = Cell(np.where(pbc[:, None], cell, 0.0)).complete().array
    scaled = np.linalg.solve(box.T, positions.T)
    low = np.where(pbc, 0.0, scaled.min(axis=1))
    extent = np.maximum(scaled.max(axis=1) - low, reach)
    bins = float(np.prod(extent[~pbc] / reach))
    extent *= min(1.0, (8 * len(positions) / bins) ** (1 / max(1, 3 - pbc.sum())))
    return box * np.where(pbc, 1.0, extent)[:, None], low @ box


@numba.njit(cache=True, parallel=True)
def _pair_vectors(positions, cell, i, j, shifts):  # type: ignore[no-untyped-def]
    vectors = np.empty((len(i), 3))
    for p in numba.prange(len(i)):
        for c in range(3):
            vectors[p, c] = (
                positions[j[p], c]
                - positions[i[p], c]
                + shifts[p, 0] * cell[0, c]
                + shifts[p, 1] * cell[1, c]
                + shifts[p, 2] * cell[2, c]
            )
    return vectors


@numba.njit(cache=True)
def closest_pair(vectors):  # type: ignore[no-untyped-def]
    """Index and length (Å) of the shortest of the vectors, shape (M, 3); inf when M = 0."""
    shortest, where = np.inf, 0
    for p in range(len(vectors)):
        r2 = vectors[p, 0] ** 2 + vectors[p, 1] ** 2 + vectors[p, 2] ** 2
        if r2 < shortest:
            shortest, where = r2, p
    return where, np.sqrt(shortest)


@numba.njit(cache=True)
def pair_forces_to_forces(first, neighbor, pair_forces):  # type: ignore[no-untyped-def]
    """Return forces F_k = Σ_j f_kj − Σ_i f_ik, shape (N, 3), from pair forces of shape (M, 3)."""
    n = len(first) - 1
    forces = np.zeros((n, 3))
    for i in range(n):
        x = y = z = 0.0
        for p in range(first[i], first[i + 1]):
            j = neighbor[p]
            fx, fy, fz = pair_forces[p, 0], pair_forces[p, 1], pair_forces[p, 2]
            x += fx
            y += fy
            z += fz
            forces[j, 0] -= fx
            forces[j, 1] -= fy
            forces[j, 2] -= fz
        forces[i, 0] += x
        forces[i, 1] += y
        forces[i, 2] += z
    return forces


def strain_derivative(
    vectors: NDArray[np.float64], pair_forces: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the derivative of the energy with respect to strain.

    Parameters
    ----------
    vectors : ndarray, shape (M, 3)
        D_ij, Å.
    pair_forces : ndarray, shape (M, 3)
        f_ij = ∂E/∂D_ij, eV/Å.

    Returns
    -------
    ndarray, shape (6,)
        dE/dε in eV, Voigt order xx, yy, zz, yz, xz, xy; divided by the volume it is the stress.
    """
    full = vectors.T @ pair_forces
    full = (full + full.T) / 2
    return np.array([full[a, b] for a, b in VOIGT])
