"""Fits by normal equations, of a `Gram` or of few rows: for wide features, definite penalties.

``(XᵀX + Λ) w = Xᵀy`` by one Cholesky factorisation, K³/3 operations in the memory of one more
(K, K) matrix, in blocks (OpenBLAS 0.3 crashes in ``potrf`` of 16,384 columns and more), columns scaled to norm one first (Higham, Accuracy and Stability of Numerical
Algorithms (2002), section 10.1). For vectors w that solve them

    Q = |y|² − wᵀXᵀy,        [X; Λ^½] w has the products wᵀ(XᵀX + Λ) w = wᵀXᵀy

so that neither noise nor reduced rank needs the factor of X. With fewer rows than features the
dual form ``w = Xᵀ (XXᵀ + λ)⁻¹ y`` is the cheaper one (Saunders, Gammerman and Vovk, ICML 1998).
Checked against the fits of `solve`
by orthogonal factorisation, to 1e-9.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cholesky, eigh, solve_triangular

from thiry_calc.linear.statistics import Gram

Array = NDArray[np.float64]
_BLOCK = 2048
_COLLINEAR = (
    "the features are collinear and the penalty too small to tell them apart; give a larger penalty"
)


def solve_normal(stats: Gram, lam: Array) -> Array:
    """Solve the normal equations.

    Parameters
    ----------
    stats : Gram
    lam : (K,) array
        Λ.

    Returns
    -------
    (K, T) array

    Raises
    ------
    ValueError
        Where XᵀX + Λ is not definite in floating point.
    """
    matrix = np.array(stats.gram, order="F")
    diagonal = matrix.diagonal() + lam
    scale = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    matrix[np.diag_indices_from(matrix)] = diagonal
    matrix /= scale
    matrix /= scale[:, None]
    return _solve_definite(matrix, stats.xty / scale[:, None]) / scale[:, None]


def _solve_definite(matrix: Array, right: Array) -> Array:
    """Solve a symmetric definite system of any size, overwriting its lower triangle."""
    blocks = [slice(i, min(i + _BLOCK, len(matrix))) for i in range(0, len(matrix), _BLOCK)]
    solution = np.array(right)
    for b in blocks:
        below = slice(b.stop, None)
        try:
            corner = cholesky(matrix[b, b], lower=True, check_finite=False)
        except LinAlgError as error:
            raise ValueError(_COLLINEAR) from error
        matrix[b, b] = corner
        panel = solve_triangular(corner, matrix[below, b].T, lower=True, check_finite=False).T
        matrix[below, b] = panel
        for c in blocks:
            if c.start >= b.stop:
                mine = panel[c.start - b.stop :]
                matrix[c.start :, c] -= mine @ mine[: c.stop - c.start].T
        solution[b] = solve_triangular(corner, solution[b], lower=True, check_finite=False)
        solution[below] -= panel @ solution[b]
    for b in reversed(blocks):
        solution[b] -= matrix[b.stop :, b].T @ solution[b.stop :]
        solution[b] = solve_triangular(
            matrix[b, b], solution[b], lower=True, trans="T", check_finite=False
        )
    return solution


def ridge_of_rows(
    X: NDArray[np.floating[Any]], y: Array, penalty: float, rank: int | None = None
) -> Array:
    """Ridge with one penalty for all features, in the dual form.

    Parameters
    ----------
    X : (n, K) array
        Rows of weight one; n² operations each.
    y : (n, T) array
    penalty : float
        λ > 0.
    rank : int, optional
        Of the coefficients, as in `solve.reduced_rank`; full by default.

    Returns
    -------
    (K, T) array

    Raises
    ------
    ValueError
        A penalty too small for rows that are collinear, or a rank out of range.
    """
    if rank is not None and not 1 <= rank <= min(X.shape[1], y.shape[1]):
        raise ValueError(f"rank {rank} given; expected 1..{min(X.shape[1], y.shape[1])}")
    kernel = np.asarray(X @ X.T, dtype=np.float64)
    kernel[np.diag_indices_from(kernel)] += penalty
    w = np.asarray(X.T @ _solve_definite(kernel, y), dtype=np.float64)
    if rank is not None:
        right = dominant_directions(w, X.T @ y, rank)
        w = w @ right.T @ right
    return w


def dominant_directions(w: Array, xty: Array, rank: int) -> Array:
    """Right singular vectors of the penalised fit ``[X; Λ^½] w`` of a solution w.

    Parameters
    ----------
    w : (K, T) array
    xty : (K, T) array
    rank : int

    Returns
    -------
    (rank, T) array
    """
    products = w.T @ xty
    vectors = eigh((products + products.T) / 2)[1]
    return np.asarray(vectors[:, ::-1][:, :rank].T)
