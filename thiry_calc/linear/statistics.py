"""Mergeable sufficient statistics of weighted rows.

Rows ``s_i (x_i, y_i)`` (the weight s_i multiplies the row, so that a fit minimises
``Σ_i s_i² |x_i·w − y_i|²``) are reduced, block by block, to the triangle of

    [ S X | S Y ] = Q F,     F = [ R  z ]      z = Qᵀ S Y
                                 [ 0  T ]

with K features and T targets: memory (K+T)², whatever the number of rows. Then for every w

    Σ s_i² |x_i·w − y_i|² = |R w − z|² + |T|²

and two F of disjoint rows merge into the triangle of their stack. `TSQR` does this with
Householder reflections (Demmel, Grigori, Hoemmen, Langou, SIAM J. Sci. Comput. 34, A206
(2012); LAPACK's dtpqrt keeps the triangle's zeros), so that a condition number c of X costs
c digits and not c². `Gram` sums FᵀF instead: cheaper per row for very wide, well-conditioned
problems. Checked: R against `numpy.linalg.qr` to 1e-13, merges in any order to 1e-14 on RᵀR.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy.linalg import blas, cholesky, eigh, lapack, qr

from thiry_calc.linear.base import Statistics

__all__ = ["TSQR", "Gram", "Statistics", "merge"]

Array = NDArray[np.float64]
_MIRRORED = 1024  # columns of a block that is mirrored at a time


def stack_triangles(upper: Array, rows: Array, triangular: bool = False) -> Array:
    """Triangular factor of ``[upper; rows]``.

    Parameters
    ----------
    upper : (P, P) array
        Upper triangular.
    rows : (m, P) array
        Any rows, or an upper triangular (P, P) array.
    triangular : bool
        Say that `rows` is upper triangular, to skip its zeros.

    Returns
    -------
    (P, P) array
        Upper triangular, signs of the diagonal not normalised.
    """
    width = upper.shape[1]
    pentagon = width if triangular else 0
    factor, _, _, info = lapack.dtpqrt(pentagon, min(64, width), upper, rows)
    if info != 0:
        raise RuntimeError(f"LAPACK dtpqrt failed with info = {info}; check the rows given")
    return np.triu(factor)


def positive_diagonal(factor: Array) -> Array:
    """Flip the signs of rows so that the diagonal is not negative (RᵀR is unchanged)."""
    return np.where(np.diag(factor) < 0, -1.0, 1.0)[:, None] * factor


class TSQR(Statistics):
    """Statistics by Householder QR: the default, exact for ill-conditioned features.

    Rows wait in a buffer of about K+T rows, so that many small updates share one
    factorisation of 2 (K+T)² operations a row.
    """

    _power = 0.5

    def __init__(self, n_features: int, n_targets: int = 1) -> None:
        super().__init__(n_features, n_targets)
        self._triangle = np.zeros((self.width, self.width), order="F")
        self._block = max(self.width, 64)
        self._buffer: Array | None = None
        self._filled = 0

    def _absorb(self, rows: Array) -> None:
        start = 0
        while start < len(rows):
            if self._buffer is None:
                self._buffer = np.empty((self._block, self.width), order="F")
            stop = min(len(rows), start + self._block - self._filled)
            self._buffer[self._filled : self._filled + stop - start] = rows[start:stop]
            self._filled += stop - start
            start = stop
            if self._filled == self._block:
                self._flush()

    def _flush(self) -> None:
        if self._buffer is not None and self._filled:
            self._triangle = stack_triangles(self._triangle, self._buffer[: self._filled])
        self._buffer = None
        self._filled = 0

    def _state(self) -> Array:
        self._flush()
        return self._triangle

    def _set_state(self, state: Array) -> None:
        self._triangle = np.asfortranarray(np.triu(state))

    @staticmethod
    def _merged(a: Array, b: Array) -> Array:
        return stack_triangles(a, b, triangular=True)

    def _selected(self, columns: NDArray[np.intp]) -> Array:
        part = qr(self._state()[:, columns], mode="r", check_finite=False)[0]
        return part[: len(columns)]

    def factor(self) -> Array:
        """Return F (K+T, K+T): upper triangular, diagonal >= 0, ``FᵀF = [SX|SY]ᵀ[SX|SY]``."""
        return positive_diagonal(self._state())


class Gram(Statistics):
    """Statistics by summed products: cheap rows for wide, well-conditioned features.

    The factor comes from a Cholesky (or, where singular, an eigenvalue) decomposition at each
    call: singular values below 1e-8 of the largest are lost, as with all normal equations.
    `solve.ridge` and `reduced_rank` without a covariance solve them directly, in memory 2 (K+T)².

    Parameters
    ----------
    n_features, n_targets : int
    dtype : {numpy.float64, numpy.float32}
        Precision of the products of the rows of one update, which are summed in float64: single
        precision halves time and memory of rows, for features known to few digits.
    """

    _power = 1.0

    def __init__(self, n_features: int, n_targets: int = 1, dtype: DTypeLike = np.float64) -> None:
        super().__init__(n_features, n_targets)
        self._dtype = np.dtype(dtype)
        if self._dtype not in (np.float64, np.float32):
            raise ValueError(f"products in {dtype} asked for; expected float64 or float32")
        self._sum = np.zeros((self.width, self.width), order="F")
        self._upper = False  # only the upper triangle is up to date

    def _absorb(self, rows: Array) -> None:
        if self._dtype == np.float32:
            self._sum += blas.ssyrk(1.0, rows, trans=1)
        else:
            self._sum = blas.dsyrk(1.0, rows, beta=1.0, c=self._sum, trans=1, overwrite_c=1)
        self._upper = True

    def _state(self) -> Array:
        if self._upper:
            for start in range(0, self.width, _MIRRORED):
                columns, below = slice(start, start + _MIRRORED), slice(start + _MIRRORED, None)
                self._sum[below, columns] = self._sum[columns, below].T
                square = self._sum[columns, columns]
                square[...] = np.triu(square) + np.triu(square, 1).T
            self._upper = False
        return self._sum

    def _set_state(self, state: Array) -> None:
        self._sum, self._upper = np.asfortranarray(state), False

    @staticmethod
    def _merged(a: Array, b: Array) -> Array:
        return a + b

    def _selected(self, columns: NDArray[np.intp]) -> Array:
        return self._state()[np.ix_(columns, columns)]

    def factor(self) -> Array:
        """Return F (K+T, K+T): upper triangular, diagonal >= 0, ``FᵀF = [SX|SY]ᵀ[SX|SY]``."""
        scale = np.sqrt(np.diag(self._sum))
        scale[scale == 0] = 1.0
        correlation = self._state() / scale / scale[:, None]
        try:
            upper = cholesky(correlation, check_finite=False)
        except np.linalg.LinAlgError:
            values, vectors = eigh(correlation, check_finite=False)
            root = np.sqrt(np.clip(values, 0.0, None))[:, None] * vectors.T
            upper = np.triu(qr(root, mode="r", check_finite=False)[0])
        return positive_diagonal(upper * scale)

    @property
    def _products(self) -> Array:
        return self._state()

    def _squares(self) -> Array:
        return np.diag(self._sum).copy()

    def _rss(self, w: Array) -> Array:
        full = np.vstack([w, -np.eye(self.n_targets)])
        return np.clip(np.einsum("it,it->t", full, self._state() @ full), 0.0, None)


def merge(blocks: Iterable[Statistics]) -> Statistics:
    """Merge statistics in the order given (sort shards by their hash for reproducible bits).

    Raises
    ------
    ValueError
        When there is none.
    """
    blocks = list(blocks)
    if not blocks:
        raise ValueError("no statistics to merge; give at least one")
    total = blocks[0]
    for block in blocks[1:]:
        total = total + block
    return total
