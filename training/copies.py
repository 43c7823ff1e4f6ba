"""Structures that are one another's copies, up to symmetry.

Averages over atoms of rotation invariants do not change with rotations, reflections, the order of
atoms, the choice of the cell or its repetition: structures whose averages agree are copies. In
a test set they flatter a model; in a training set they count twice.
"""

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree
from tqdm import tqdm

from thiry_calc.descriptors import Combined, OneBody, PowerSpectrum
from thiry_calc.neighbors import neighbors_of

Array = NDArray[np.float64]

_R_CUT, _N_MAX, _L_MAX = 6.0, 4, 4
_TOLERANCE = 1e-5  # of invariants divided by their largest; printed positions have six digits


def invariants(structures: Sequence[Atoms], elements: tuple[str, ...]) -> Array:
    """Averages over atoms of one-body terms and of the power spectrum.

    Parameters
    ----------
    structures : sequence of Atoms
    elements : tuple of str
        All that occur.

    Returns
    -------
    ndarray, shape (number of structures, K)
    """
    descriptor = Combined(
        (OneBody(elements), PowerSpectrum(_R_CUT, _N_MAX, _L_MAX, elements=elements))
    )
    rows = [
        descriptor.values(neighbors_of(atoms, _R_CUT)).mean(axis=0)
        for atoms in tqdm(structures, desc="copies", leave=False, disable=None)
    ]
    return np.array(rows).reshape(len(rows), descriptor.n_features)


def classes(invariant: Array, tolerance: float = _TOLERANCE) -> NDArray[np.int64]:
    """Give copies the same number, and others different ones.

    Parameters
    ----------
    invariant : ndarray, shape (n, K)
        From `invariants`.
    tolerance : float
        Of all invariants, each divided by its largest modulus.

    Returns
    -------
    ndarray, shape (n,)
        Numbers in the order of first appearance.
    """
    size = np.abs(invariant).max(axis=0, initial=0.0)
    points = invariant / np.where(size > 0, size, 1.0)
    pairs = KDTree(points).query_pairs(tolerance, p=np.inf, output_type="ndarray")
    ones = np.ones(len(pairs))
    graph = coo_array((ones, (pairs[:, 0], pairs[:, 1])), shape=(len(points),) * 2)
    found = connected_components(graph, directed=False)[1]
    _, first, inverse = np.unique(found, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]
