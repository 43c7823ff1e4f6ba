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

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import cholesky, eigh, lapack, qr

Array = NDArray[np.float64]


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


class Statistics:
    """What `TSQR` and `Gram` share; build one of these.

    Parameters
    ----------
    n_features : int
        Number of columns K of X.
    n_targets : int
        Number of columns T of y.

    Attributes
    ----------
    n : int
        Rows of non-zero weight seen so far.
    weight2 : float
        Σ s_i², the divisor of a weighted mean square.
    """

    def __init__(self, n_features: int, n_targets: int = 1) -> None:
        if n_features < 1 or n_targets < 1:
            raise ValueError(
                f"{n_features} features and {n_targets} targets given; "
                "statistics need at least one of each"
            )
        self.n_features = int(n_features)
        self.n_targets = int(n_targets)
        self.n = 0
        self.weight2 = 0.0

    # ---- what the two accumulators provide

    def _absorb(self, rows: Array) -> None:
        """Take in weighted rows (m, K+T)."""
        raise NotImplementedError

    def _state(self) -> Array:
        """Return the (K+T, K+T) array that holds everything."""
        raise NotImplementedError

    def _set_state(self, state: Array) -> None:
        raise NotImplementedError

    @staticmethod
    def _merged(a: Array, b: Array) -> Array:
        raise NotImplementedError

    def factor(self) -> Array:
        """Return F (K+T, K+T): upper triangular, diagonal >= 0, ``FᵀF = [SX|SY]ᵀ[SX|SY]``."""
        raise NotImplementedError

    # ---- rows in

    def update(self, X: ArrayLike, y: ArrayLike, weight: ArrayLike | None = None) -> Self:
        """Add rows.

        Parameters
        ----------
        X : (n, K) array
            Features.
        y : (n,) or (n, T) array
            Targets.
        weight : (n,) array or float, optional
            Multiplies the rows of X and y: a row counts weight² in the sum of squares. Rows
            of weight zero are dropped and not counted.

        Returns
        -------
        Self
            This object, changed.

        Raises
        ------
        ValueError
            Wrong shapes, a negative weight, or a value that is not finite (the row is named).
            Nothing has then been added.
        """
        X, y, s = self._checked(X, y, weight)
        keep = s > 0
        if not keep.all():
            X, y, s = X[keep], y[keep], s[keep]
        rows = np.empty((len(s), self.n_features + self.n_targets), order="F")
        np.multiply(X, s[:, None], out=rows[:, : self.n_features])
        np.multiply(y, s[:, None], out=rows[:, self.n_features :])
        self._absorb(rows)
        self.n += len(s)
        self.weight2 += float(s @ s)
        return self

    def _checked(
        self, X: ArrayLike, y: ArrayLike, weight: ArrayLike | None
    ) -> tuple[Array, Array, Array]:
        X = np.asarray(X, dtype=np.float64)
        y = np.asarray(y, dtype=np.float64)
        if X.ndim != 2 or X.shape[1] != self.n_features:
            raise ValueError(
                f"X has shape {X.shape}; expected (n, {self.n_features}), a row per observation"
            )
        y = y[:, None] if y.ndim == 1 else y
        if y.shape != (len(X), self.n_targets):
            raise ValueError(f"y has shape {y.shape}; expected ({len(X)}, {self.n_targets})")
        try:
            s = np.broadcast_to(np.asarray(1.0 if weight is None else weight, float), len(X))
        except ValueError:
            raise ValueError(
                f"weight has shape {np.asarray(weight).shape}; expected one number per row ({len(X)},)"
            ) from None
        for name, values in (("X", X), ("y", y), ("weight", s[:, None])):
            bad = ~np.isfinite(values).all(axis=1)
            if bad.any():
                row = int(np.argmax(bad))
                raise ValueError(
                    f"row {row} of {name} is not finite (row {self.n + row} in all); "
                    "remove or repair it"
                )
        if (s < 0).any():
            raise ValueError(f"weight of row {int(np.argmax(s < 0))} is negative; give it >= 0")
        return X, y, s

    # ---- merging, storing

    def __add__(self, other: Self) -> Self:
        """Return the statistics of both sets of rows; the operands are left as they are."""
        if type(other) is not type(self):
            return NotImplemented
        if (other.n_features, other.n_targets) != (self.n_features, self.n_targets):
            raise ValueError(
                f"cannot merge statistics of {self.n_features} features, {self.n_targets} targets "
                f"with {other.n_features}, {other.n_targets}; use the same descriptor for both"
            )
        both = type(self)(self.n_features, self.n_targets)
        both._set_state(self._merged(self._state(), other._state()))
        both.n = self.n + other.n
        both.weight2 = self.weight2 + other.weight2
        return both

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything as arrays, for `from_arrays` and `linear.store`."""
        return {
            "state": self._state().copy(),
            "counts": np.array([self.n_features, self.n_targets, self.n], dtype=np.int64),
            "weight2": np.array(self.weight2),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild what `to_arrays` took apart; bit for bit the same."""
        n_features, n_targets, n = (int(c) for c in arrays["counts"])
        stats = cls(n_features, n_targets)
        width = n_features + n_targets
        if np.shape(arrays["state"]) != (width, width):
            raise ValueError(
                f"state has shape {np.shape(arrays['state'])}; expected ({width}, {width})"
            )
        stats._set_state(np.array(arrays["state"], dtype=np.float64, order="F"))
        stats.n = n
        stats.weight2 = float(arrays["weight2"])
        return stats

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel between processes as arrays, without the buffer."""
        return (type(self).from_arrays, (self.to_arrays(),))

    def subset(self, columns: Sequence[int] | NDArray[np.integer[Any]]) -> Self:
        """Return the statistics of some of the features, in the order given.

        Parameters
        ----------
        columns : sequence of int
            Distinct indices in 0..K-1 (boolean masks: use `numpy.flatnonzero`).
        """
        index = np.asarray(columns, dtype=np.intp)
        if index.ndim != 1 or len(np.unique(index)) != len(index) or len(index) == 0:
            raise ValueError("columns must be distinct indices, at least one")
        if index.min() < 0 or index.max() >= self.n_features:
            raise ValueError(
                f"column {int(index.max())} asked for; expected 0..{self.n_features - 1}"
            )
        part = type(self)(len(index), self.n_targets)
        part._set_state(self._selected(np.r_[index, self.n_features : self.width]))
        part.n, part.weight2 = self.n, self.weight2
        return part

    def _selected(self, columns: NDArray[np.intp]) -> Array:
        raise NotImplementedError

    # ---- what they tell

    @property
    def width(self) -> int:
        """K + T."""
        return self.n_features + self.n_targets

    @property
    def R(self) -> Array:
        """(K, K) upper triangular, diagonal >= 0."""
        return self.factor()[: self.n_features, : self.n_features]

    @property
    def Qty(self) -> Array:
        """(K, T): Qᵀ S Y."""
        return self.factor()[: self.n_features, self.n_features :]

    @property
    def _products(self) -> Array:
        factor = self.factor()
        return factor.T @ factor

    @property
    def gram(self) -> Array:
        """(K, K): Xᵀ S² X."""
        return self._products[: self.n_features, : self.n_features]

    @property
    def xty(self) -> Array:
        """(K, T): Xᵀ S² Y."""
        return self._products[: self.n_features, self.n_features :]

    @property
    def yty(self) -> Array:
        """(T, T): Yᵀ S² Y."""
        return self._products[self.n_features :, self.n_features :]

    @property
    def mean_square(self) -> Array:
        """(K,): Σ s² x² / n of each feature; as a prior precision it makes a fit unit-free."""
        return self._squares()[: self.n_features] / max(self.n, 1)

    def _squares(self) -> Array:
        factor = self.factor()
        return np.einsum("ik,ik->k", factor, factor)

    def rss(self, coefficients: ArrayLike) -> float | Array:
        """Return Σ s_i² |x_i·w − y_i|² of any coefficients, without the rows.

        Parameters
        ----------
        coefficients : (K,) or (K, T) array

        Returns
        -------
        float, or (T,) array for (K, T) coefficients
        """
        w = np.asarray(coefficients, dtype=np.float64)
        columns = w[:, None] if w.ndim == 1 else w
        if columns.shape != (self.n_features, self.n_targets):
            raise ValueError(
                f"coefficients have shape {w.shape}; expected ({self.n_features}, "
                f"{self.n_targets})" + (" or (n_features,)" if self.n_targets == 1 else "")
            )
        total = self._rss(columns)
        return float(total[0]) if w.ndim == 1 else total

    def _rss(self, w: Array) -> Array:
        k = self.n_features
        difference = self.factor() @ np.vstack([w, -np.eye(self.n_targets)])
        return np.einsum("it,it->t", difference[:k], difference[:k]) + np.einsum(
            "it,it->t", difference[k:], difference[k:]
        )

    def __str__(self) -> str:
        """Say what this is."""
        return (
            f"{type(self).__name__}: {self.n} rows, {self.n_features} features, "
            f"{self.n_targets} target{'s' if self.n_targets > 1 else ''}"
        )


class TSQR(Statistics):
    """Statistics by Householder QR: the default, exact for ill-conditioned features.

    Rows wait in a buffer of about K+T rows, so that many small updates share one
    factorisation of 2 (K+T)² operations a row.
    """

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
    """

    def __init__(self, n_features: int, n_targets: int = 1) -> None:
        super().__init__(n_features, n_targets)
        self._sum = np.zeros((self.width, self.width), order="F")

    def _absorb(self, rows: Array) -> None:
        self._sum += rows.T @ rows

    def _state(self) -> Array:
        return self._sum

    def _set_state(self, state: Array) -> None:
        self._sum = np.asfortranarray(state)

    @staticmethod
    def _merged(a: Array, b: Array) -> Array:
        return a + b

    def _selected(self, columns: NDArray[np.intp]) -> Array:
        return self._sum[np.ix_(columns, columns)]

    def factor(self) -> Array:
        """Return F (K+T, K+T): upper triangular, diagonal >= 0, ``FᵀF = [SX|SY]ᵀ[SX|SY]``."""
        scale = np.sqrt(np.diag(self._sum))
        scale[scale == 0] = 1.0
        correlation = self._sum / scale / scale[:, None]
        try:
            upper = cholesky(correlation, check_finite=False)
        except np.linalg.LinAlgError:
            values, vectors = eigh(correlation, check_finite=False)
            root = np.sqrt(np.clip(values, 0.0, None))[:, None] * vectors.T
            upper = np.triu(qr(root, mode="r", check_finite=False)[0])
        return positive_diagonal(upper * scale)

    @property
    def _products(self) -> Array:
        return self._sum

    def _squares(self) -> Array:
        return np.diag(self._sum).copy()

    def _rss(self, w: Array) -> Array:
        full = np.vstack([w, -np.eye(self.n_targets)])
        return np.clip(np.einsum("it,ij,jt->t", full, self._sum, full, optimize=True), 0.0, None)


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
