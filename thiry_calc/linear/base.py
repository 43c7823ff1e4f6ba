"""What the accumulators of `statistics` share: rows in, merging, storing, and what they tell.

Rows ``s_i (x_i, y_i)``, the weight s_i multiplying the row, are kept as one (K+T, K+T) state
from which the triangle

    F = [ R  z ]        FᵀF = [SX|SY]ᵀ [SX|SY],      z = Qᵀ S Y
        [ 0  T ]

is available, and with it, for any w, ``Σ s_i² |x_i·w − y_i|² = |R w − z|² + |T|²``.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


class Statistics(ABC):
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

    _power: ClassVar[float]  # of a repetition of the rows, in the state
    _dtype: np.dtype[Any] = np.dtype(np.float64)  # of rows

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

    @abstractmethod
    def _absorb(self, rows: Array) -> None:
        """Take in weighted rows (m, K+T)."""

    @abstractmethod
    def _state(self) -> Array:
        """Return the (K+T, K+T) array that holds everything."""

    @abstractmethod
    def _set_state(self, state: Array) -> None:
        """Take such an array over."""

    @staticmethod
    @abstractmethod
    def _merged(a: Array, b: Array) -> Array:
        """Return the state of both sets of rows."""

    @abstractmethod
    def _selected(self, columns: NDArray[np.intp]) -> Array:
        """Return the state of some of the K+T columns."""

    @abstractmethod
    def factor(self) -> Array:
        """Return F (K+T, K+T): upper triangular, diagonal >= 0, ``FᵀF = [SX|SY]ᵀ[SX|SY]``."""

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
        rows = np.empty((len(s), self.width), dtype=self._dtype, order="F")
        np.multiply(X, s[:, None], out=rows[:, : self.n_features])
        np.multiply(y, s[:, None], out=rows[:, self.n_features :])
        self._absorb(rows)
        self.n += len(s)
        self.weight2 += float(s @ s)
        return self

    def _checked(
        self, X: ArrayLike, y: ArrayLike, weight: ArrayLike | None
    ) -> tuple[Array, Array, Array]:
        X = np.asarray(X, dtype=self._dtype)
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
                f"weight has shape {np.asarray(weight).shape}; expected one per row ({len(X)},)"
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

    def repeated(self, times: float) -> Self:
        """Return the statistics as though each row had been given that often.

        Parameters
        ----------
        times : float
            Above 0; fractions let many correlated rows count as the few they are worth.

        Returns
        -------
        Self
            With n and `weight2` multiplied, n being rounded up.

        Raises
        ------
        ValueError
            For a number that is not positive.
        """
        if not 0 < times < np.inf:
            raise ValueError(f"rows cannot count {times} times; give a number above 0")
        more = type(self)(self.n_features, self.n_targets)
        more._set_state(self._state() * times**self._power)
        more.n, more.weight2 = int(np.ceil(times * self.n)), times * self.weight2
        return more

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
