"""Fits by normal equations, of a `Gram` or of few rows: for wide features, definite penalties.

``(XᵀX + Λ) w = Xᵀy`` by one Cholesky factorisation (`definite`), K³/3 operations in the memory of
one more (K, K) matrix, columns scaled to norm one first (Higham, Accuracy and Stability of
Numerical Algorithms (2002), section 10.1). For vectors w that solve them

    Q = |y|² − wᵀXᵀy,        [X; Λ^½] w has the products wᵀ(XᵀX + Λ) w = wᵀXᵀy

so that neither noise nor reduced rank needs the factor of X. With fewer rows than features the
dual form ``w = Xᵀ (XXᵀ + λ)⁻¹ y`` is the cheaper one (Saunders, Gammerman and Vovk, ICML 1998).
Checked against the fits of `solve` by orthogonal factorisation, to 1e-9.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, eigh

from thiry_calc.linear.definite import factorize_definite, solve_lower
from thiry_calc.linear.statistics import Gram

Array = NDArray[np.float64]
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
    """Solve a symmetric definite system, overwriting its matrix."""
    try:
        factorize_definite(matrix)
    except LinAlgError as error:
        raise ValueError(_COLLINEAR) from error
    inner = solve_lower(matrix, right)
    return np.asarray(solve_lower(matrix, inner, transposed=True), dtype=np.float64)


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
