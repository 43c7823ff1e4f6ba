"""Third derivatives of embedded-atom potentials, contracted: the gradient of T = Σ_ab Z_ab H_ab(R).

With Z = H⁻¹ held fixed ∂T/∂R = ∂ ln det H/∂R, twice the slope of −S_vib. For a pair p = (i, j),
D = R_j − R_i = r n, let C_p = Z_ii + Z_jj − Z_ij − Z_ji (the covariance of the relative
displacement), a = n·C n, t = tr C; for an atom, g_i = ∂ρ_i/∂R. In the notation of `eam`,

    T = Σ_p [A_p + (F'_i + F'_j) B_p] + Σ_i F''_i q_i,                q_i = g_i Z g_iᵀ
    A_p = φ'' a + φ' (t − a)/r,       B_p the same of ψ

    ∂T/∂D_p = ∂A_p/∂D + (F'_i + F'_j) ∂B_p/∂D
            + (F''_i β_i + F''_j β_j + F'''_i q_i + F'''_j q_j) ψ' n
            + 2 ∂(ψ' n)/∂D · (F''_i v_ij − F''_j v_ji)

with β_i = Σ_p∋i B_p and v_ij = (Z g_i)_j − (Z g_i)_i. It takes Z only where H has entries. Checked:
against differences of ln det′H, 1e-7 1/Å.
"""

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


def slope_of_trace(
    pairs: tuple[Indices, Indices, Array, Array],
    terms: tuple[Array, Array, Array],
    density_gradient: sp.bsr_matrix,
    weights: Any,
) -> Array:
    """Return ∂T/∂D of every pair.

    Parameters
    ----------
    pairs : i, j, D, r
        Shapes (P,), (P,), (P, 3) in Å and (P,) in Å.
    terms : φ, ψ, F
        With three derivatives, shapes (4, P), (4, P) and (4, N).
    density_gradient : (N, 3N) sparse array
        The rows g_i.
    weights : (3N, 3N) sparse array
        Z, symmetric.

    Returns
    -------
    ndarray, shape (P, 3)
        In units of Z times eV/Å³.
    """
    i, j, d, r = pairs
    phi, psi, embedded = terms
    n_atoms = embedded.shape[1]
    z = _Blocks(weights, (3, 3))
    own = z.at(np.arange(n_atoms), np.arange(n_atoms))
    beside = z.at(i, j)
    c = own[i] + own[j] - beside - beside.transpose(0, 2, 1)
    n = d / r[:, None]
    cn = np.einsum("pab,pb->pa", c, n)
    a, t = (cn * n).sum(axis=1), np.trace(c, axis1=1, axis2=2)

    def of_pairs(f: Array) -> tuple[Array, Array]:
        """Return f'' a + f' (t − a)/r and its slope."""
        along = f[3] * a + (f[2] - f[1] / r) * (t - a) / r
        slope = along[:, None] * n + ((f[2] - f[1] / r) * 2 / r)[:, None] * (cn - a[:, None] * n)
        return f[2] * a + f[1] * (t - a) / r, slope

    _, d_pair = of_pairs(phi)
    b, d_density = of_pairs(psi)
    m = _Blocks(weights @ density_gradient.T, (3, 1))
    center = m.at(np.arange(n_atoms), np.arange(n_atoms))[..., 0]
    v_ij, v_ji = m.at(j, i)[..., 0] - center[i], m.at(i, j)[..., 0] - center[j]
    q_i, q_j = psi[1] * (n * v_ij).sum(axis=1), -psi[1] * (n * v_ji).sum(axis=1)
    beta = np.bincount(i, b, n_atoms) + np.bincount(j, b, n_atoms)
    q = np.bincount(i, q_i, n_atoms) + np.bincount(j, q_j, n_atoms)
    on_density = embedded[2] * beta + embedded[3] * q
    pull = 2 * (embedded[2][i, None] * v_ij - embedded[2][j, None] * v_ji)
    across = (psi[1] / r)[:, None]
    slope = (
        d_pair
        + (embedded[1][i] + embedded[1][j])[:, None] * d_density
        + ((on_density[i] + on_density[j]) * psi[1])[:, None] * n
        + across * pull
        + (psi[2][:, None] - across) * (pull * n).sum(axis=1)[:, None] * n
    )
    return np.asarray(slope)


class _Blocks:
    """Blocks of a sparse matrix by their row and column; zero where there is none."""

    def __init__(self, matrix: Any, shape: tuple[int, int]) -> None:
        bsr = sp.bsr_array(matrix, blocksize=shape)
        bsr.sort_indices()
        row = np.repeat(np.arange(len(bsr.indptr) - 1), np.diff(bsr.indptr))
        self._n_columns = bsr.shape[1] // shape[1]
        self._keys = row * self._n_columns + bsr.indices
        self._data = np.concatenate([bsr.data, np.zeros((1, *shape))])

    def at(self, rows: Indices, columns: Indices) -> Array:
        """Return the blocks, shape (n, *shape)."""
        keys = rows * self._n_columns + columns
        place = np.searchsorted(self._keys, keys)
        found = np.append(self._keys, -1)[place] == keys
        return np.asarray(self._data[np.where(found, place, -1)])
