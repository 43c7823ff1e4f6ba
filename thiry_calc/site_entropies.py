"""Formation entropies of sites: the local parts of ln det′H.

    s_i = −½ tr[ln(H + c P0)]_ii + (3/2N) ln c + ½ (N−1)/(N(N0−1)) ln det′H_bulk

with P0 the projector on translations: they sum to S_f (`thiry_calc.determinant`) for any c > 0.
Small systems by dense eigenvectors; large ones from the selected inverses of H + t at the poles of
a rational approximation of the logarithm (`thiry_calc.rational_log`), some thirteen of them.
"""

import numpy as np
import scipy.linalg as sl
import scipy.sparse as sp
from numpy.typing import NDArray

from thiry_calc.factorize import NEAR_ZERO
from thiry_calc.rational_log import rational_log
from thiry_calc.selected_inverse import pinned_inverse, selected_inverse
from thiry_calc.zero_modes import Matrix, checked_hessian

Array = NDArray[np.float64]

TOLERANCE = 1e-6  # of ln x: sites within 1.5e-6 k_B


def site_entropies(hessian: Matrix, log_det_bulk: float, n_bulk: int, shift: float = 10.0) -> Array:
    """Return the formation entropy of each site; they sum to `formation_entropy`. Dense, O(N³).

    Parameters
    ----------
    hessian : (3N, 3N) array or sparse array, eV/Å²
        Of a minimum, with three zero modes.
    log_det_bulk : float
        ln det′H of the perfect crystal of the same box, eV/Å².
    n_bulk : int
        Its number of atoms.
    shift : float
        c > 0, eV/Å².

    Returns
    -------
    (N,) array
        k_B.

    Raises
    ------
    ValueError
        When the Hessian is not that of a minimum.
    """
    matrix, _, n_atoms = checked_hessian(hessian)
    projector = np.kron(np.full((n_atoms, n_atoms), 1.0 / n_atoms), np.eye(3))
    values, vectors = sl.eigh(matrix.toarray() + shift * projector)
    if values[0] <= NEAR_ZERO * values[-1]:
        raise ValueError(
            f"site entropies need a minimum, and {int((values <= NEAR_ZERO * values[-1]).sum())} "
            "modes are negative or near zero; relax the structure"
        )
    per_row = (vectors**2) @ np.log(values)
    bulk = (n_atoms - 1) / (n_atoms * (n_bulk - 1)) * log_det_bulk
    shifted = 3 / (2 * n_atoms) * np.log(shift)
    return -0.5 * per_row.reshape(-1, 3).sum(axis=1) + shifted + 0.5 * bulk


def sparse_site_entropies(
    hessian: Matrix,
    log_det_bulk: float,
    n_bulk: int,
    positions: Array | None = None,
    cell: Array | None = None,
    pbc: NDArray[np.bool_] | None = None,
) -> Array:
    """`site_entropies` without eigenvectors: about O(N²) in three dimensions, in less memory.

    Parameters
    ----------
    hessian : (3N, 3N) array or sparse array, eV/Å²
    log_det_bulk : float
    n_bulk : int
        As in `site_entropies`.
    positions, cell, pbc : optional
        Order the elimination, as in `thiry_calc.factorize.factorize`.

    Returns
    -------
    (N,) array
        k_B, each to 1.5e-6.

    Raises
    ------
    ValueError
        When the Hessian is not that of a minimum.
    """
    matrix, _, n_atoms = checked_hessian(hessian)
    matrix = sp.csr_array(matrix)
    inverse, _ = pinned_inverse(matrix, positions, cell, pbc)
    # λ_min ≥ 1/tr H⁺, and holding an atom makes the trace only larger
    low, high = 1 / float(inverse.trace()), float(abs(matrix).sum(axis=1).max())
    approximation = rational_log(low, high, TOLERANCE)
    rows = np.full(3 * n_atoms, approximation.constant * (1 - 1 / n_atoms))
    for pole, weight in zip(approximation.poles, approximation.weights, strict=True):
        shifted = matrix + pole * sp.eye_array(3 * n_atoms, format="csr")
        inverse, _ = selected_inverse(shifted, positions, cell, pbc)
        rows += weight * (inverse.diagonal() - 1 / (n_atoms * pole))  # the translations apart
    bulk = (n_atoms - 1) / (n_atoms * (n_bulk - 1)) * log_det_bulk
    return -0.5 * rows.reshape(-1, 3).sum(axis=1) + 0.5 * bulk
