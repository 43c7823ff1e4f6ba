"""What the learned entropy is worth: the thesis's table, learning curves, worst cases, coverage.

    python -m training.recipes.entropy_report --workers 2 [--databases ~/.cache/... ...]

Compares the published Angular Fourier Series, the power spectrum and the shipped model on the
unstrained configurations of a database: five random folds, whole families left out, and error
against the number of configurations fitted. Writes ``entropy_report.md``, ``learning_curve.png``.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from thiry_calc.linear.files import write_atomically
from training.defect_rows import DefectRows, defect_rows
from training.executors import make_executor
from training.recipes.fe_am04_parts import (
    ALL,
    MODELS,
    columns_of,
    entropy_rows_model,
    predicted,
)
from training.references.am04 import LATTICE_CONSTANT
from training.report import learning_plot

Array = NDArray[np.float64]

SCHEMES = ("random folds", "families left out")
FOLDS, REPEATS, SIZES, WORST = 5, 3, 8, 10
THESIS = 0.18  # k_B, its error with 31,000 configurations
TITLE = "Fe-AM04"  # the shipped one of MODELS


def unstrained(data: DefectRows) -> DefectRows:
    """Rows in the crystal's own cell.

    Parameters
    ----------
    data : DefectRows

    Returns
    -------
    DefectRows
    """
    keep = np.flatnonzero(~data.strained)
    return DefectRows(
        data.features[keep],
        data.formation_energy[keep],
        data.formation_entropy[keep],
        [data.family[k] for k in keep],
        [data.group[k] for k in keep],
        data.held_out[keep],
        [data.source[k] for k in keep],
    )


def folds_of(data: DefectRows, scheme: str) -> NDArray[np.int64]:
    """Fold of each row, for one of `SCHEMES`, shape (n,)."""
    n = len(data.formation_entropy)
    if scheme == SCHEMES[0]:
        return np.random.default_rng(0).permutation(n) % FOLDS
    return np.unique(data.family, return_inverse=True)[1].astype(np.int64)


def cross_validated(
    data: DefectRows, parts: tuple[int, ...], fold: NDArray[np.int64]
) -> tuple[Array, Array]:
    """Predictions and std of models that have not seen the rows, each shape (n,).

    Parameters
    ----------
    data : DefectRows
    parts : tuple of int
    fold : ndarray of int, shape (n,)

    Returns
    -------
    predictions, std : ndarray, shape (n,)
        k_B.
    """
    X, y = data.features[:, columns_of(parts)], data.formation_entropy
    predictions, std = np.empty(len(y)), np.empty(len(y))
    for k in tqdm(np.unique(fold), desc="folds", leave=False):
        out, use = fold == k, fold != k
        predictions[out], std[out] = predicted(X[use], y[use], X[out], parts)
    return predictions, std


def learning_curves(data: DefectRows) -> tuple[Array, dict[str, Array]]:
    """Mean absolute errors of each model on a random fifth, against the rows fitted.

    Parameters
    ----------
    data : DefectRows

    Returns
    -------
    sizes : ndarray, shape (SIZES,)
    errors : dict of str to ndarray, shape (SIZES, REPEATS)
        k_B.
    """
    y = data.formation_entropy
    test = folds_of(data, "random folds") == 0
    pool = np.flatnonzero(~test)
    sizes = np.unique(np.geomspace(100, len(pool), SIZES).astype(int))
    errors = {title: np.empty((len(sizes), REPEATS)) for title in MODELS}
    for r in range(REPEATS):
        order = np.random.default_rng(r).permutation(pool)
        for title, parts in MODELS.items():
            X = data.features[:, columns_of(parts)]
            for s, size in enumerate(tqdm(sizes, desc=f"learning curve, {title}", leave=False)):
                model = entropy_rows_model(X[order[:size]], y[order[:size]], parts)
                errors[title][s, r] = np.abs(model.predict(X[test]) - y[test]).mean()
    return sizes.astype(float), errors


class Tested(NamedTuple):
    """Predictions of one model in one scheme of cross-validation.

    Attributes
    ----------
    title, scheme : str
    found, std : ndarray, shape (n,)
        k_B.
    """

    title: str
    scheme: str
    found: Array
    std: Array


def sections(data: DefectRows, sizes: Array, errors: dict[str, Array]) -> Iterator[str]:
    """Parts of the report, in Markdown.

    Parameters
    ----------
    data : DefectRows
    sizes, errors
        Of `learning_curves`.

    Yields
    ------
    str
    """
    tested = [
        Tested(title, scheme, *cross_validated(data, parts, folds_of(data, scheme)))
        for title, parts in MODELS.items()
        for scheme in SCHEMES
    ]
    yield f"# Formation entropies of {len(data.formation_entropy)} unstrained configurations (k_B)"
    yield from _models(data, tested)
    shipped = [x for x in tested if x.title == TITLE]
    for one in shipped:
        yield from _groups(data, one)
    yield from _worst(data, shipped[0])
    yield from _curves(sizes, errors)


def _models(data: DefectRows, tested: list[Tested]) -> Iterator[str]:
    yield "\n| model | test | MAE | RMSE | largest | median |\n|---|---|---|---|---|---|"
    for one in tested:
        e = np.abs(one.found - data.formation_entropy)
        rmse = np.sqrt(np.mean(e**2))
        yield (
            f"| {one.title} | {one.scheme} | {e.mean():.4f} | {rmse:.4f} | {e.max():.2f} "
            f"| {np.median(e):.4f} |"
        )


def _groups(data: DefectRows, one: Tested) -> Iterator[str]:
    yield f"\n## {one.title} by family and number of defects, {one.scheme}\n"
    yield "| | n | MAE | largest | within 1 std | within 2 std |\n|---|---|---|---|---|---|"
    for name in ("all", *dict.fromkeys(data.family), *sorted(set(data.group))):
        kinds = zip(data.family, data.group, strict=True)
        here = np.array([name in ("all", *kind) for kind in kinds])
        e, s = np.abs(one.found - data.formation_entropy)[here], one.std[here]
        yield (
            f"| {name} | {here.sum()} | {e.mean():.4f} | {e.max():.2f} "
            f"| {100 * np.mean(e < s):.0f} % | {100 * np.mean(e < 1.96 * s):.0f} % |"
        )


def _worst(data: DefectRows, one: Tested) -> Iterator[str]:
    y = data.formation_entropy
    yield f"\n## The {WORST} largest errors, {one.scheme}\n"
    yield "| family | defects | exact | predicted | std |\n|---|---|---|---|---|"
    for k in np.argsort(np.abs(one.found - y))[::-1][:WORST]:
        yield (
            f"| {data.family[k]} | {data.group[k]} | {y[k]:.2f} | {one.found[k]:.2f} "
            f"| {one.std[k]:.2f} |"
        )


def _curves(sizes: Array, errors: dict[str, Array]) -> Iterator[str]:
    yield "\n## Learning curves: MAE on a random fifth\n"
    yield f"| fitted | {' | '.join(errors)} |\n|{'---|' * (1 + len(errors))}"
    for s, size in enumerate(sizes):
        yield f"| {size:.0f} | " + " | ".join(f"{e[s].mean():.3f}" for e in errors.values()) + " |"
    for title, e in errors.items():
        yield f"\n{title}: {needed(sizes, e.mean(axis=1))}"


def needed(sizes: Array, errors: Array) -> str:
    """Say how many configurations reach the thesis's error, by interpolation or by the last slope.

    Parameters
    ----------
    sizes, errors : ndarray, shape (n,)

    Returns
    -------
    str
    """
    x, y = np.log(sizes), np.log(errors)
    slope = (y[-1] - y[-3]) / (x[-1] - x[-3])
    below = np.flatnonzero(errors <= THESIS)
    tail = f"error ~ N^{slope:.2f} at the end"
    if len(below) and below[0] == 0:
        return f"{THESIS} k_B with fewer than {sizes[0]:.0f} configurations; {tail}"
    if len(below):
        k = below[0]
        at = np.exp(np.interp(np.log(THESIS), [y[k], y[k - 1]], [x[k], x[k - 1]]))
        return f"{THESIS} k_B with {at:.0f} configurations; {tail}"
    if slope > -0.02:
        return f"{THESIS} k_B not reached, and the error has stopped falling ({tail})"
    at = np.exp(x[-1] + (np.log(THESIS) - y[-1]) / slope)
    return f"{THESIS} k_B not reached; by the last slope with some {at:.0g} configurations; {tail}"


def main() -> None:
    """Write report and figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [f"~/.cache/thiry_calc/{name}" for name in ("iron_entropy_31k", "iron_entropy_3k")]
    parser.add_argument("--databases", nargs="+", default=names)
    parser.add_argument("--output", type=Path, default=Path("potentials/Fe-AM04"))
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    with make_executor(args.workers) as executor:
        data = unstrained(defect_rows(args.databases, ALL, LATTICE_CONSTANT, executor, seed=1))
    with threadpool_limits(1):
        sizes, errors = learning_curves(data)
        text = "\n".join(sections(data, sizes, errors)) + "\n"
    args.output.mkdir(parents=True, exist_ok=True)
    write_atomically(args.output / "entropy_report.md", text)
    learning_plot(args.output / "learning_curve.png", sizes, errors, "k_B")
    print(text)


if __name__ == "__main__":
    main()
