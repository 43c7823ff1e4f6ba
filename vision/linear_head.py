"""Linear class scores by closed form or logistic loss, from features that come in blocks.

For classes c, ``F_c(x) = φ(x)·w_c + b_c`` is fitted by `thiry_calc.linear`: to 1 for images of the
class and 0 for others (loss "squares"), or by multinomial logistic regression ("logistic", for
which all rows are kept). Features are standardised by the mean and deviation of the first block of
images in random order, so that one penalty, per image and in units of the feature's variance,
serves them all:

    Q = Σ_i |F(x_i) − y_i|² + n p Σ_k s_k² |w_k|²

With many images only the products XᵀX are kept (`Gram`, products of a block in single precision);
with fewer images than features, the rows, and the dual form. A rank r below the number of classes
gives ``W = W1 W2``, the thesis's bottleneck (`thiry_calc.linear.reduced_rank`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from thiry_calc.linear import Gram, reduced_rank, ridge
from thiry_calc.linear.logistic import logistic
from thiry_calc.linear.normal import ridge_of_rows

__all__ = ["LOSSES", "LinearHead", "fit_head"]

LOSSES = ("squares", "logistic")

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
    loss: str = "squares",
) -> LinearHead:
    """Fit scores to classes.

    Parameters
    ----------
    blocks : callable
        Yields (m, K) float32 features of the images whose (n,) rows it is given, in their order,
        which here is random.
    classes : (N,) int64 array
        0..n_classes-1.
    n_classes : int
        T.
    penalty : float, or sequence of float
        p > 0; of several the one with the best accuracy on a tenth of the images, held out.
    rank : int, optional
        Of W; full by default.
    seed : int
        Of the order of images, and of those held out.
    copies : int
        Rows i, i + N/copies, ... are of one image, and are held out together.
    loss : {"squares", "logistic"}

    Returns
    -------
    LinearHead

    Raises
    ------
    ValueError
        Penalties that are not positive; a rank out of range, or of a logistic fit; an unknown
        loss.
    """
    if loss not in LOSSES:
        raise ValueError(f"loss {loss!r} given; expected one of {', '.join(LOSSES)}")
    if loss == "logistic" and rank is not None:
        raise ValueError("a rank is for least squares only; give loss='squares', or no rank")
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
    # the first block sets the scale of features: images sorted by class must not
    rest = np.random.default_rng(seed).permutation(rest)
    stream = blocks(rest)
    first = next(stream)
    system = _System(first, classes[rest], n_classes, len(classes), loss)
    system.add(chain([first], stream), classes[rest])
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
    """The problem, as products of columns or as rows."""

    def __init__(
        self, first: Features, classes: NDArray[np.int64], n_classes: int, n_rows: int, loss: str
    ) -> None:
        self.shift = first.mean(0)
        deviation = first.std(0)
        # a feature that hardly varies in the first block must not be blown up by it
        floor = 0.1 * np.median(deviation[deviation > 0]) if (deviation > 0).any() else 1.0
        self.scale = np.maximum(deviation, max(float(floor), 1e-6)).astype(np.float32)
        self.n_classes, self.loss, K = n_classes, loss, first.shape[1]
        self.frequency = np.bincount(classes, minlength=n_classes) / len(classes)
        keep = loss == "logistic" or len(classes) <= K
        self.gram = None if keep else Gram(K + 1, n_classes, dtype=np.float32)
        self.rows = np.empty((n_rows if keep else 0, K), np.float32)
        self.classes = np.empty(n_rows, np.int64)
        self.seen = 0

    def add(self, stream: Iterator[Features], classes: NDArray[np.int64]) -> None:
        """Add the features of some images, in blocks."""
        first = self.seen
        for block in stream:
            stop = self.seen + len(block)
            mine = classes[self.seen - first : stop - first]
            self.classes[self.seen : stop] = mine
            if self.gram is None:
                self._scale(block, self.rows[self.seen : stop])
            else:
                scaled = np.ones((len(block), block.shape[1] + 1), np.float32)
                self._scale(block, scaled[:, :-1])
                self.gram.update(scaled, np.eye(self.n_classes)[mine] - self.frequency)
            self.seen = stop

    def _scale(self, block: Features, out: Features) -> None:
        np.subtract(block, self.shift, out=out)
        out /= self.scale

    def solve(self, p: float, rank: int | None) -> LinearHead:
        """Fit with one penalty."""
        if self.gram is not None:
            w, constant = self._by_products(self.gram, p, rank)
        elif self.loss == "logistic":
            mine = self.classes[: self.seen]
            w, constant = logistic(self.rows[: self.seen], mine, self.n_classes, p)
        else:
            w, constant = self._by_rows(p, rank)
        weights = w / self.scale[:, None]
        return LinearHead(weights.astype(np.float32), constant - self.shift @ weights, p, {})

    def _by_products(self, gram: Gram, p: float, rank: int | None) -> tuple[Array, Array]:
        lam = np.full(gram.n_features, p * gram.n)
        lam[-1] = 0.0
        fit = ridge(gram, lam, covariance=False) if rank is None else reduced_rank(gram, rank, lam)
        w = fit.coefficients.reshape(gram.n_features, -1)
        return w[:-1], w[-1] + self.frequency

    def _by_rows(self, p: float, rank: int | None) -> tuple[Array, Array]:
        X, y = self.rows[: self.seen], np.eye(self.n_classes)[self.classes[: self.seen]]
        mean, level = X.mean(0, dtype=np.float64), y.mean(0)
        w = ridge_of_rows(X - mean.astype(np.float32), y - level, p * len(X), rank)
        return w, level - mean @ w
