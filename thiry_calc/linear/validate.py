"""Validation from block statistics, without a second pass over the rows.

Each block holds the rows of one group of structures (or of one fold), as merged statistics. A
fit that leaves block b out is solved from ``S_1 + … + S_(b−1) + S_(b+1) + … + S_B``, by prefix
and suffix sums (3B merges in all), and its error on the block is ``S_b.rss(w)``: exactly the
brute-force refit. `error_table` (from `errors`) summarises predictions.
"""

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thiry_calc.linear.errors import ErrorTable, error_table
from thiry_calc.linear.model import LinearModel
from thiry_calc.linear.solve import ridge_path
from thiry_calc.linear.statistics import Statistics, merge

__all__ = [
    "CrossValidation",
    "ErrorTable",
    "LearningCurve",
    "cross_validate",
    "deal",
    "error_table",
    "learning_curve",
    "left_out",
]

Array = NDArray[np.float64]
Solver = Callable[[Statistics], LinearModel]


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """Errors of each candidate on each block left out.

    Attributes
    ----------
    candidates : tuple
        Penalty factors, or names of solvers.
    rss : (B, M) array
        Weighted residual sum of squares of block b, fitted without it (summed over targets).
    weight2 : (B,) array
        Σ s² of each block (times targets), the divisor of its mean square.
    """

    candidates: tuple[float | str, ...]
    rss: Array
    weight2: Array

    @property
    def rmse(self) -> Array:
        """(M,): weighted root mean square error over all blocks."""
        return np.sqrt(self.rss.sum(axis=0) / self.weight2.sum())

    @property
    def block_rmse(self) -> Array:
        """(B, M): weighted root mean square error of each block."""
        return np.sqrt(self.rss / self.weight2[:, None])

    @property
    def best(self) -> float | str:
        """The candidate of least error; the first of equals."""
        return self.candidates[int(np.argmin(self.rmse))]

    def __str__(self) -> str:
        """Print a table of the candidates."""
        spread = self.block_rmse.std(axis=0)
        lines = [f"{'candidate':>12} {'RMSE':>12} {'spread':>12}   ({len(self.rss)} blocks)"]
        for name, error, std in zip(self.candidates, self.rmse, spread, strict=True):
            label = name if isinstance(name, str) else f"{name:.4g}"
            mark = "  <- best" if name == self.best else ""
            lines.append(f"{label:>12} {error:12.5g} {std:12.5g}{mark}")
        return "\n".join(lines)


def cross_validate(
    blocks: Sequence[Statistics],
    candidates: Sequence[float] | Array | Mapping[str, Solver],
    prior: ArrayLike | None = None,
    n_folds: int | None = None,
    seed: int = 0,
) -> CrossValidation:
    """Leave each block (or fold of blocks) out in turn.

    Parameters
    ----------
    blocks : sequence of B statistics
        One per group of rows that must stay together.
    candidates : (M,) array of float, or mapping of str to solver
        Penalty factors for `ridge_path`, or functions of statistics that return a model, such
        as ``{"evidence": evidence, "ridge": lambda s: ridge(s, 1e-3)}``.
    prior : (K,) array, optional
        For penalty factors: relative penalties of the features, see `ridge_path`.
    n_folds : int, optional
        Deal the blocks, shuffled by `seed`, to this many folds; each block is one by default.
    seed : int
        Of the shuffle.

    Returns
    -------
    CrossValidation

    Raises
    ------
    ValueError
        Fewer than two blocks or folds, an empty block, or no candidates.
    """
    folds = list(blocks) if n_folds is None else deal(blocks, n_folds, seed)
    if len(folds) < 2:
        raise ValueError(f"{len(folds)} block given; cross-validation needs at least two")
    empty = [b for b, fold in enumerate(folds) if fold.n == 0]
    if empty:
        raise ValueError(f"block {empty[0]} has no rows; drop it before validation")
    if len(candidates) == 0:
        raise ValueError("no candidates to validate; give penalties or solvers")
    rss = np.empty((len(folds), len(candidates)))
    for b, rest in left_out(folds):
        if isinstance(candidates, Mapping):
            models = [solver(rest) for solver in candidates.values()]
        else:
            models = ridge_path(rest, candidates, prior)
        rss[b] = [np.sum(folds[b].rss(m.coefficients)) for m in models]
    names: tuple[float | str, ...] = tuple(
        candidates if isinstance(candidates, Mapping) else (float(c) for c in candidates)
    )
    weight2 = np.array([fold.weight2 * fold.n_targets for fold in folds])
    return CrossValidation(names, rss, weight2)


def deal(blocks: Sequence[Statistics], n_folds: int, seed: int) -> list[Statistics]:
    """Merge blocks into folds, shuffled by `seed` and dealt in turn."""
    if not 2 <= n_folds <= len(blocks):
        raise ValueError(f"{n_folds} folds asked for; expected 2..{len(blocks)} (the blocks)")
    order = np.random.default_rng(seed).permutation(len(blocks))
    return [merge(blocks[b] for b in sorted(order[f::n_folds])) for f in range(n_folds)]


def left_out(blocks: Sequence[Statistics]) -> Iterator[tuple[int, Statistics]]:
    """For each of B ≥ 2 blocks, last to first: its index and all the others, merged."""
    before = list(accumulate(blocks[:-1], operator.add))
    yield len(blocks) - 1, before[-1]
    after = blocks[-1]
    for b in range(len(blocks) - 2, 0, -1):
        yield b, before[b - 1] + after
        after = blocks[b] + after
    yield 0, after


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """Errors against the number of blocks fitted.

    Attributes
    ----------
    sizes : (S,) int array
        Blocks.
    n_rows : (S,) array
        Rows, mean over the repeats.
    train_rmse, test_rmse : (S, repeats) arrays
        Weighted root mean square errors.
    """

    sizes: NDArray[np.int64]
    n_rows: Array
    train_rmse: Array
    test_rmse: Array

    def __str__(self) -> str:
        """Print a table."""
        lines = [f"{'blocks':>8} {'rows':>10} {'train RMSE':>12} {'test RMSE':>12} {'spread':>10}"]
        for i, size in enumerate(self.sizes):
            test = self.test_rmse[i]
            lines.append(
                f"{size:8d} {self.n_rows[i]:10.0f} {self.train_rmse[i].mean():12.5g} "
                f"{test.mean():12.5g} {test.std():10.3g}"
            )
        return "\n".join(lines)


def learning_curve(
    blocks: Sequence[Statistics],
    test: Statistics,
    sizes: Sequence[int],
    solver: Solver,
    seed: int = 0,
    repeats: int = 1,
) -> LearningCurve:
    """Fit to growing, nested random subsets of the blocks.

    Parameters
    ----------
    blocks : sequence of statistics
        Training groups.
    test : Statistics
        Rows never fitted.
    sizes : sequence of int
        Numbers of blocks, 1..B.
    solver : callable
        Statistics to model.
    seed : int
        Of the first random order; the following repeats continue its stream.
    repeats : int
        Random orders to average over.

    Returns
    -------
    LearningCurve

    Raises
    ------
    ValueError
        A size out of range, or a test set without rows.
    """
    if len(sizes) == 0 or min(sizes) < 1 or max(sizes) > len(blocks):
        raise ValueError(f"sizes {list(sizes)} given; expected numbers within 1..{len(blocks)}")
    if test.n == 0:
        raise ValueError("the test statistics have no rows; add some")
    asked = sorted(set(int(s) for s in sizes))
    rng = np.random.default_rng(seed)
    rows = np.zeros((len(asked), repeats))
    train, against = np.zeros_like(rows), np.zeros_like(rows)
    for r in range(repeats):
        order = rng.permutation(len(blocks))
        total, done = blocks[order[0]], 1
        for i, size in enumerate(asked):
            for b in order[done:size]:
                total = total + blocks[b]
            done = size
            w = solver(total).coefficients
            rows[i, r] = total.n
            train[i, r], against[i, r] = _rmse(total, w), _rmse(test, w)
    return LearningCurve(np.array(asked, dtype=np.int64), rows.mean(axis=1), train, against)


def _rmse(stats: Statistics, w: Array) -> float:
    return float(np.sqrt(np.sum(stats.rss(w)) / (stats.weight2 * stats.n_targets)))
