"""What one process of LAMMPS sees: its own atoms, ghosts around them, and who owns the ghosts.

Site values of the own atoms need the ghosts within r_c (2 r_c for descriptors of two hops); the
forces that they put on ghosts go back to the owners. So no site is evaluated twice, in serial
or in parallel: the alternative, sites of ghosts as well, costs 2.5 times as much at 2,000 atoms.
"""

from typing import Any, NamedTuple

import numba
import numpy as np
from matscipy.neighbours import neighbour_list
from numpy.typing import NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


class Pairs(NamedTuple):
    """Pairs of own atoms (for two hops of those around them, too) with own atoms and ghosts.

    Attributes
    ----------
    first : ndarray, shape (n_all + 1,)
        As in `thiry_calc.neighbors.NeighborList`.
    neighbor : ndarray, shape (M,)
    positions : ndarray, shape (n_all, 3)
        When they were found, Å.
    """

    first: Indices
    neighbor: NDArray[np.int32]
    positions: Array


def find_pairs(positions: Array, n_own: int, reach: float, hops: int = 1) -> Pairs:
    """Find the pairs that the site values of the own atoms depend on.

    Parameters
    ----------
    positions : ndarray, shape (n_all, 3)
        Å, own atoms first; periodic images are atoms of their own.
    n_own : int
    reach : float
        Å.
    hops : int
        1 where a site value depends on the pairs of its atom, 2 where also on those of its
        neighbours.

    Returns
    -------
    Pairs
    """
    n_all = len(positions)
    if n_own == 0:
        return Pairs(np.zeros(n_all + 1, np.int64), np.zeros(0, np.int32), positions.copy())
    outside = _distance_from_box(positions, positions[:n_own])
    near = np.flatnonzero(outside <= hops * reach)
    low = positions[near].min(axis=0)
    i, j = neighbour_list(
        "ij",
        cutoff=reach,
        positions=positions[near],
        cell=np.diag(np.maximum(np.ptp(positions[near], axis=0), reach)),
        cell_origin=low,
        pbc=np.zeros(3, bool),
    )
    needed = near[i] < n_own if hops == 1 else outside[near[i]] <= (hops - 1) * reach
    counts = np.bincount(near[i[needed]], minlength=n_all)
    first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Pairs(first, near[j[needed]].astype(np.int32), positions.copy())


def _distance_from_box(points: Array, inside: Array) -> Array:
    """How far points are out of the box around others, in the direction of the largest, Å."""
    below, above = inside.min(axis=0) - points, points - inside.max(axis=0)
    return np.asarray(np.maximum(below, above).max(axis=1))


@numba.njit(cache=True, parallel=True)
def pair_vectors(first, neighbor, positions):  # type: ignore[no-untyped-def]
    """Return D_ij = R_j − R_i of all pairs, shape (M, 3)."""
    vectors = np.empty((len(neighbor), 3))
    for i in numba.prange(len(first) - 1):
        for p in range(first[i], first[i + 1]):
            for c in range(3):
                vectors[p, c] = positions[neighbor[p], c] - positions[i, c]
    return vectors


@numba.njit(cache=True)
def forces_and_virial(first, neighbor, vectors, pair_forces):  # type: ignore[no-untyped-def]
    """Return F_k = Σ_j f_kj − Σ_i f_ik, shape (n_all, 3), and −Σ_ij D_ij ⊗ f_ij, shape (3, 3)."""
    n = len(first) - 1
    forces, virial = np.zeros((n, 3)), np.zeros((3, 3))
    for i in range(n):
        for p in range(first[i], first[i + 1]):
            j = neighbor[p]
            for a in range(3):
                f = pair_forces[p, a]
                forces[i, a] += f
                forces[j, a] -= f
                for b in range(3):
                    virial[b, a] -= vectors[p, b] * f
    return forces, virial


@numba.njit(cache=True)
def largest_move(positions, before):  # type: ignore[no-untyped-def]
    """Return the largest displacement between two sets of positions, Å."""
    largest = 0.0
    for i in range(len(positions)):
        d2 = 0.0
        for c in range(3):
            d2 += (positions[i, c] - before[i, c]) ** 2
        largest = max(largest, d2)
    return np.sqrt(largest)


class Owners:
    """Where the forces on ghosts go.

    Parameters
    ----------
    tags : ndarray, shape (n_all,)
        Identifiers, own atoms first.
    n_own : int
    comm : mpi4py.MPI.Comm or None
        All its processes make this together; None where there is but one.

    Raises
    ------
    RuntimeError
        When no process owns a ghost; in all of them.
    """

    def __init__(self, tags: Indices, n_own: int, comm: Any) -> None:
        self._comm, self._n_own = comm, n_own
        own, ghosts = tags[:n_own], tags[n_own:]
        order = np.argsort(own, kind="stable")
        here = _position_of(ghosts, own[order])
        self._local_ghosts = np.flatnonzero(here >= 0) + n_own
        self._local_owner = order[here[here >= 0]]
        self._foreign = np.flatnonzero(here < 0) + n_own
        wanted, self._slot = np.unique(tags[self._foreign], return_inverse=True)
        rank = np.full(len(wanted), -1) if comm is None else _owners_of(wanted, own, comm)
        lost = bool(np.any(rank < 0))
        if lost if comm is None else comm.allreduce(int(lost)):  # all processes, or none
            raise RuntimeError("LAMMPS has a ghost without its atom; check that no atoms were lost")
        if comm is None:
            return
        self._order = np.argsort(rank, kind="stable")
        self._n_wanted = len(wanted)
        counts = np.bincount(rank, minlength=comm.size)
        sent = np.split(wanted[self._order], np.cumsum(counts)[:-1])
        asked = comm.alltoall(sent)
        self._targets = order[_position_of(np.concatenate(asked), own[order])]
        self._counts = 3 * counts, 3 * np.array([len(a) for a in asked])

    def fold(self, forces: Array) -> Array:
        """Add the forces on ghosts to those of their owners.

        Parameters
        ----------
        forces : ndarray, shape (n_all, 3)
            eV/Å.

        Returns
        -------
        ndarray, shape (n_own, 3)
        """
        own = forces[: self._n_own].copy()
        _add(own, self._local_owner, forces[self._local_ghosts])
        if self._comm is None:
            return own
        foreign = np.zeros((self._n_wanted, 3))
        _add(foreign, self._slot, forces[self._foreign])
        arrived = np.empty((len(self._targets), 3))
        sent, received = self._counts
        self._comm.Alltoallv(
            [np.ascontiguousarray(foreign[self._order]), sent], [arrived, received]
        )
        _add(own, self._targets, arrived)
        return own


def _position_of(wanted: Indices, ordered: Indices) -> Indices:
    """Index of each of the `wanted` among the `ordered`, −1 where it is not there."""
    if len(ordered) == 0:
        return np.full(len(wanted), -1)
    at = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
    return np.where(ordered[at] == wanted, at, -1)


def _owners_of(wanted: Indices, own: Indices, comm: Any) -> Indices:
    """Rank of the owner of each wanted tag, −1 for none; rank (tag mod size) keeps the register."""
    size = comm.size
    registered = comm.alltoall([own[own % size == r] for r in range(size)])
    tags = np.concatenate(registered)
    ranks = np.repeat(np.arange(size), [len(r) for r in registered])
    order = np.argsort(tags)
    questions = [np.flatnonzero(wanted % size == r) for r in range(size)]
    answers = []
    for asked in comm.alltoall([wanted[q] for q in questions]):
        at = _position_of(asked, tags[order])
        answers.append(np.where(at >= 0, ranks[order][at] if len(ranks) else 0, -1))
    owner = np.empty(len(wanted), dtype=np.int64)
    for question, answer in zip(questions, comm.alltoall(answers), strict=True):
        owner[question] = answer
    return owner


@numba.njit(cache=True)
def _add(total, where, values):  # type: ignore[no-untyped-def]
    """Add rows of `values` to those of `total` that `where` names, in order."""
    for k in range(len(where)):
        for c in range(3):
            total[where[k], c] += values[k, c]
