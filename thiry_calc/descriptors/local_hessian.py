"""Hessian of a local model by differences that re-evaluate only what changed.

When atom a moves by ±h only the centres within the cutoff of a change their site value (within two
steps from neighbour to neighbour, for descriptors of two `hops`), so

    H_ab = −{8 [F_b(R_a + h) − F_b(R_a − h)] − [F_b(R_a + 2h) − F_b(R_a − 2h)]} / 12h

needs the pair forces of those centres alone: O(N) for the whole matrix. With h = 1e-5 Å truncation
and rounding are both below 1e-7 eV/Å², also for functions that vary over 0.03 Å. Checked:
against full Richardson differences of the forces, 1e-8 eV/Å².
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numba
import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from thiry_calc.descriptors.base import MARGIN, Descriptor
from thiry_calc.differences import STENCILS
from thiry_calc.neighbors import NeighborList, sublist

Array = NDArray[np.float64]

STEP = MARGIN / 2  # Å


def local_hessian(
    descriptor: Descriptor, nl: NeighborList, weights: Array
) -> scipy.sparse.csr_array:
    """Hessian of Σ_i w·φ_i.

    Parameters
    ----------
    descriptor : Descriptor
    nl : NeighborList
        Complete to the descriptor's cutoff plus `MARGIN`.
    weights : ndarray, shape (K,)
        eV per feature.

    Returns
    -------
    scipy.sparse.csr_array, shape (3N, 3N)
        eV/Å²; symmetric, with rows that sum to zero over atoms.
    """
    n = len(nl)
    rows, columns, data = [], [], []
    with _one_thread():
        for a in range(n):
            atoms, block = _column(descriptor, nl, a, weights)
            b, c, d = np.meshgrid(atoms, range(3), range(3), indexing="ij")
            rows.append((3 * b + c).ravel())
            columns.append((3 * a + d).ravel())
            data.append(block.ravel())
    indices = (np.concatenate(rows), np.concatenate(columns))
    hessian = scipy.sparse.coo_array((np.concatenate(data), indices), shape=(3 * n, 3 * n)).tocsr()
    return _translation_invariant(((hessian + hessian.T) / 2).tocsr())


def _column(
    descriptor: Descriptor,
    nl: NeighborList,
    a: int,
    weights: Array,
) -> tuple[NDArray[np.int64], Array]:
    """Atoms b that feel atom a, shape (B,), and the blocks H_ba, shape (B, 3, 3)."""
    centers = np.array([a])
    for _ in range(descriptor.hops):  # all whose site values change
        lists = [nl.neighbor[nl.first[i] : nl.first[i + 1]] for i in centers]
        centers = np.unique(np.concatenate([centers, *lists]))
    atoms, _, part = sublist(nl, centers, descriptor.hops)
    i, j = part.center, part.neighbor
    # how D_ij changes when atom a moves; pairs of a with its own images keep D
    moves = (atoms[j] == a).astype(float) - (atoms[i] == a)
    block = np.empty((len(atoms), 3, 3))
    for d in range(3):
        difference = np.zeros((len(j), 3))
        for k, weight in STENCILS[4]:
            for sign in (1, -1):
                vectors = part.vectors.copy()
                vectors[:, d] += sign * k * STEP * moves
                moved = replace(part, vectors=vectors)
                difference += sign * weight / STEP * descriptor.pull(moved, weights)[1]
        for c in range(3):
            # ∂E/∂R_b = Σ_i f_ib − Σ_j f_bj
            block[:, c, d] = np.bincount(j, difference[:, c], minlength=len(atoms)) - np.bincount(
                i, difference[:, c], minlength=len(atoms)
            )
    return atoms, block


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep numba to one thread: on neighbourhoods of some 60 atoms threads only wait."""
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        yield
    finally:
        numba.set_num_threads(threads)


def _translation_invariant(hessian: scipy.sparse.csr_array) -> scipy.sparse.csr_array:
    """Let the diagonal blocks take up the rounding: Σ_b H_ab = 0, kept symmetric."""
    n = hessian.shape[0] // 3
    shifts = np.kron(np.ones((n, 1)), np.eye(3))
    excess = (hessian @ shifts).reshape(n, 3, 3)
    excess = (excess + excess.transpose(0, 2, 1)) / 2
    blocks = scipy.sparse.bsr_array((excess, np.arange(n), np.arange(n + 1)), shape=hessian.shape)
    return (hessian - blocks).tocsr()
