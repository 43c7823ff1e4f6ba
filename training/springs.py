"""Springs of `LocalLogDet` for any potential, by least squares on its Hessians.

    H_ij ≈ −K(D_ij),    K(D) = u''(r) n nᵀ + (u'(r)/r) (1 − n nᵀ),    i ≠ j

linear in the coefficients of u (smoothed: P-splines, Eilers & Marx, Stat. Sci. 11, 89 (1996)): of
all potentials of pairs the one whose network is closest to the
Hessians of some structures. For embedded-atom potentials `effective_pair` needs no structures.

Checked: Hessians of a potential of pairs return its u'' and u'/r.
"""

from collections.abc import Iterable

import numpy as np
import scipy.sparse as sp
from ase import Atoms
from numpy.typing import NDArray

from thiry_calc.descriptors.local_log_det import spline_basis
from thiry_calc.linear import TSQR, ridge
from thiry_calc.neighbors import neighbors_of

Array = NDArray[np.float64]

_SMOOTH = 1e-3  # Å, weight of the third derivative beside u'': some distances have no data


def fitted_springs(
    hessians: Iterable[tuple[Atoms, sp.sparray | sp.spmatrix]],
    r_min: float,
    r_cut: float,
    n_functions: int,
) -> tuple[float, ...]:
    """Coefficients of the pair potential whose springs are closest to some Hessians.

    Parameters
    ----------
    hessians : iterable of (Atoms, sparse matrix)
        Structures whose cells are wider than 2 r_cut, and their Hessians, shape (3N, 3N), eV/Å².
    r_min, r_cut : float
        Å, see `thiry_calc.descriptors.local_log_det.spline_basis`.
    n_functions : int

    Returns
    -------
    tuple of float
        eV.

    Raises
    ------
    ValueError
        When no two atoms are within r_cut.
    """
    rows = TSQR(n_functions)
    for atoms, matrix in hessians:
        slope, curvature, aim = _of_bonds(atoms, sp.csr_array(matrix), r_min, r_cut, n_functions)
        rows.update(curvature, aim[:, 0])
        for across in (1, 2):
            rows.update(slope, aim[:, across])
    if not rows.n:
        raise ValueError(f"no two atoms are within {r_cut:g} Å: there is nothing to fit springs to")
    step = (r_cut - r_min) / n_functions
    third = np.diff(np.eye(n_functions), 3, axis=0) / step**3
    weight = _SMOOTH * np.sqrt(rows.n / len(third))
    rows.update(weight * third, np.zeros(len(third)))
    return tuple(ridge(rows, 0.0, covariance=False).coefficients.tolist())


def _of_bonds(
    atoms: Atoms, matrix: sp.csr_array, r_min: float, r_cut: float, n_functions: int
) -> tuple[Array, Array, Array]:
    """Rows of u'/r and u'' for each bond, (M, n_functions), and −H_ij along and twice across it."""
    nl = neighbors_of(atoms, r_cut)
    center = np.repeat(np.arange(len(atoms)), np.diff(nl.first))
    once = center < nl.neighbor
    i, j, vectors = center[once], nl.neighbor[once], nl.vectors[once]
    r = np.linalg.norm(vectors, axis=1)
    basis = spline_basis(r_min, r_cut, n_functions)
    blocks = np.empty((len(i), 3, 3))
    for a in range(3):
        for b in range(3):
            blocks[:, a, b] = -np.asarray(matrix[3 * i + a, 3 * j + b]).ravel()
    n = vectors / r[:, None]
    along = np.einsum("pa,pab,pb->p", n, blocks, n)
    across = (np.einsum("paa->p", blocks) - along) / 2
    aim = np.stack([along, across, across], axis=1)
    return basis.derivative(1)(r) / r[:, None], basis.derivative(2)(r), aim
