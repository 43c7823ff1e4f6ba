"""Linear class scores by ridge regression, from features that come in blocks.

For classes c, ``F_c(x) = φ(x)·w_c + b_c`` is fitted to 1 for images of the class and 0 for others
by `thiry_calc.linear`. Features are standardised by the mean and deviation of the first block, so
that one penalty, per image and in units of the feature's variance, serves them all:

    Q = Σ_i |F(x_i) − y_i|² + n p Σ_k s_k² |w_k|²

With many images only the products XᵀX are kept (`Gram`, products of a block in single precision);
with fewer images than features, the rows, and the dual form. A rank r below the number of classes
gives ``W = W1 W2``, the thesis's bottleneck (`thiry_calc.linear.reduced_rank`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thiry_calc.linear import Gram, reduced_rank, ridge, ridge_of_rows

__all__ = ["LinearHead", "fit_head"]

Features = NDArray[np.float32]
Array = NDArray[np.float64]
Blocks = Callable[[NDArray[np.intp]], Iterator[Features]]


@dataclass(frozen=True, eq=False)
class LinearHead:
    """Class scores ``φ·w + b``.

    Attributes
    ----------
    weights : (K, T) float32 array
    intercept : (T,) float64 array
    penalty : float
        p, given or chosen.
    validation : dict of float to float
        Accuracy on the images held out to choose p, by penalty; empty where p was given.
    """

    weights: NDArray[np.float32]
    intercept: Array
    penalty: float
    validation: dict[float, float]

    def __call__(self, features: Features) -> Array:
        """Scores (n, T) of (n, K) features."""
        return (features @ self.weights).astype(np.float64) + self.intercept


def fit_head(
    blocks: Blocks,
    classes: NDArray[np.int64],
    n_classes: int,
    penalty: float | Sequence[float],
    rank: int | None = None,
    seed: int = 0,
    copies: int = 1,
) -> LinearHead:
    """Fit scores to classes.

    Parameters
    ----------
    blocks : callable
        Yields (m, K) float32 features of the images whose (n,) rows it is given, in their order.
    classes : (N,) int64 array
        0..n_classes-1.
    n_classes : int
        T.
    penalty : float, or sequence of float
        p > 0; of several the one with the best accuracy on a tenth of the images, held out.
    rank : int, optional
        Of W; full by default.
    seed : int
        Of the choice of the images held out.
    copies : int
        Rows i, i + N/copies, ... are of one image, and are held out together.

    Returns
    -------
    LinearHead

    Raises
    ------
    ValueError
        Penalties that are not positive; a rank out of range.
    """
    factors = [float(p) for p in np.atleast_1d(np.asarray(penalty, dtype=float))]
    if not factors or not all(np.isfinite(p) and p > 0 for p in factors):
        raise ValueError(f"penalty {penalty} given; expected a number above 0, or several")
    if rank is not None and not 1 <= rank <= n_classes:
        raise ValueError(f"rank {rank} given; expected 1..{n_classes}, the number of classes")
    held, rest = (
        _held_out(len(classes), copies, seed)
        if len(factors) > 1
        else (np.arange(0), np.arange(len(classes)))
    )
    system = _System.collect(blocks, rest, classes, n_classes)
    scores: dict[float, float] = {}
    if len(held):
        held_features = list(blocks(held))
        for p in factors:
            head = system.solve(p, rank)
            found = np.concatenate([head(f) for f in held_features]).argmax(1)
            scores[p] = float(np.mean(found == classes[held]))
        system.add(iter(held_features), classes[held])
    best = max(factors, key=lambda p: scores.get(p, 0.0))
    head = system.solve(best, rank)
    return LinearHead(head.weights, head.intercept, best, scores)


def _held_out(n_rows: int, copies: int, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows of a tenth of the images, and the others."""
    n = n_rows // copies
    order = np.random.default_rng(seed).permutation(n)
    shifts = n * np.arange(copies)[:, None]
    held, rest = (np.sort(part) for part in np.split(order, [max(n // 10, 1)]))
    return (held + shifts).ravel(), (rest + shifts).ravel()


class _System:
    """The least-squares problem, as products of columns or as rows."""

    def __init__(self, first: Features, classes: NDArray[np.int64], n_classes: int) -> None:
        self.shift = first.mean(0)
        deviation = first.std(0)
        # a feature that hardly varies in the first block must not be blown up by it
        floor = 0.1 * np.median(deviation) if (deviation > 0).any() else 1.0
        self.scale = np.maximum(deviation, max(float(floor), 1e-6)).astype(np.float32)
        self.n_classes = n_classes
        self.frequency = np.bincount(classes, minlength=n_classes) / len(classes)
        K, n_rows = first.shape[1], len(classes)
        self.gram = Gram(K + 1, n_classes, dtype=np.float32) if n_rows > K else None
        self.rows: list[tuple[Features, Array]] = []

    @classmethod
    def collect(
        cls, blocks: Blocks, rows: NDArray[np.intp], classes: NDArray[np.int64], n_classes: int
    ) -> "_System":
        """Take in all rows."""
        stream = blocks(rows)
        first = next(stream)
        system = cls(first, classes[rows], n_classes)
        system.add(iter([first]), classes[rows])
        system.add(stream, classes[rows[len(first) :]])
        return system

    def add(self, stream: Iterator[Features], classes: NDArray[np.int64]) -> None:
        """Add the features of some images."""
        start = 0
        for block in stream:
            mine = classes[start : start + len(block)]
            start += len(block)
            scaled = np.empty((len(block), block.shape[1] + 1), np.float32)
            np.subtract(block, self.shift, out=scaled[:, :-1])
            scaled[:, :-1] /= self.scale
            scaled[:, -1] = 1
            targets = np.eye(self.n_classes)[mine] - self.frequency
            if self.gram is None:
                self.rows.append((scaled[:, :-1], targets))
            else:
                self.gram.update(scaled, targets)

    def solve(self, p: float, rank: int | None) -> LinearHead:
        """Fit with one penalty."""
        w, constant = self._few(p, rank) if self.gram is None else self._many(self.gram, p, rank)
        weights = w / self.scale[:, None]
        intercept = constant + self.frequency - self.shift @ weights
        return LinearHead(weights.astype(np.float32), intercept, p, {})

    def _many(self, gram: Gram, p: float, rank: int | None) -> tuple[Array, Array]:
        lam = np.full(gram.n_features, p * gram.n)
        lam[-1] = 0.0
        fit = ridge(gram, lam, covariance=False) if rank is None else reduced_rank(gram, rank, lam)
        w = fit.coefficients.reshape(gram.n_features, -1)
        return w[:-1], w[-1]

    def _few(self, p: float, rank: int | None) -> tuple[Array, Array]:
        X = np.concatenate([x for x, _ in self.rows])
        y = np.concatenate([t for _, t in self.rows])
        mean, level = X.mean(0, dtype=np.float64), y.mean(0)
        w = ridge_of_rows(X - mean.astype(np.float32), y - level, p * len(X), rank)
        return w, level - mean @ w
