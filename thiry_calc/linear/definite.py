"""Symmetric definite systems of any size: Cholesky factors and substitutions in blocks.

LAPACK's own routines would do, but OpenBLAS 0.3 crashes in ``potrf`` of 16,384 columns and more
on several threads. In blocks nearly all operations are matrix products. Checked against
`numpy.linalg.solve`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular

_BLOCK = 2048

Matrix = NDArray[np.floating[Any]]


def _blocks(size: int) -> list[slice]:
    return [slice(i, min(i + _BLOCK, size)) for i in range(0, size, _BLOCK)]


def factorize_definite(matrix: Matrix) -> None:
    """Replace the lower triangle of a matrix by its Cholesky factor L; the rest is not used.

    Parameters
    ----------
    matrix : (K, K) array
        Symmetric; overwritten.

    Raises
    ------
    numpy.linalg.LinAlgError
        When it is not definite.
    """
    for b in _blocks(len(matrix)):
        corner = cholesky(matrix[b, b], lower=True, check_finite=False)
        matrix[b, b] = corner
        below = slice(b.stop, None)
        panel = solve_triangular(corner, matrix[below, b].T, lower=True, check_finite=False).T
        matrix[below, b] = panel
        for c in _blocks(len(matrix)):
            if c.start >= b.stop:
                mine = panel[c.start - b.stop :]
                matrix[c.start :, c] -= mine @ mine[: c.stop - c.start].T


def solve_lower(factor: Matrix, right: Matrix, transposed: bool = False) -> Matrix:
    """Solve ``L x = right``, or ``Lᵀ x = right``.

    Parameters
    ----------
    factor : (K, K) array
        L in its lower triangle.
    right : (K, T) array
    transposed : bool

    Returns
    -------
    (K, T) array
    """
    x = np.array(right)
    blocks = _blocks(len(factor))
    for b in reversed(blocks) if transposed else blocks:
        below = slice(b.stop, None)
        if transposed:
            x[b] -= factor[below, b].T @ x[below]
        kind = "T" if transposed else "N"
        x[b] = solve_triangular(factor[b, b], x[b], lower=True, trans=kind, check_finite=False)
        if not transposed:
            x[below] -= factor[below, b] @ x[b]
    return x
