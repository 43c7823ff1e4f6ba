"""Entropies of Fe-AM04 and Fe-AM04-AFS: the joint fit, and its errors in cross-validation."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thiry_calc.linear import TSQR, LinearModel, error_table
from thiry_calc.linear.errors import ErrorTable
from training.defect_rows import DefectRows
from training.joint import Fold, choose_times, joint_statistics
from training.recipes.fe_am04_parts import ALL, columns_of, least_penalties
from training.regression import calibrated, fit_heavy_tailed, penalty_groups

Array = NDArray[np.float64]

SLACK = 0.02  # relative error of totals that rows of gradients and sites may cost


@dataclass(frozen=True, eq=False)
class EntropyRows:
    """What an entropy is fitted to, for the K features of `ALL`.

    Parameters
    ----------
    defects : DefectRows
    bulk : TSQR
        Of crystals under strain.
    local : mapping of str to TSQR
        Of sites and gradients, by kind.
    """

    defects: DefectRows
    bulk: TSQR
    local: Mapping[str, TSQR]


def total_statistics(
    rows: EntropyRows, use: NDArray[np.bool_], parts: tuple[int, ...], weights: Array | float = 1.0
) -> TSQR:
    """Statistics of some of the defects and of the crystals, for some parts.

    Parameters
    ----------
    rows : EntropyRows
    use : ndarray of bool
        Defects to fit.
    parts : tuple of int
    weights : ndarray, or float
        Of the defects to fit.

    Returns
    -------
    TSQR
    """
    columns, data = columns_of(parts), rows.defects
    statistics = TSQR(len(columns))
    statistics.update(data.features[use][:, columns], data.formation_entropy[use], weights)
    return statistics + rows.bulk.subset(columns)


def fit_entropy(
    rows: EntropyRows, use: NDArray[np.bool_], parts: tuple[int, ...], times: Mapping[str, float]
) -> LinearModel:
    """Entropy model of the given parts.

    Parameters
    ----------
    rows : EntropyRows
    use : ndarray of bool
        Defects to fit.
    parts : tuple of int
    times : mapping of str to float
        How often local rows count, by kind (`counts_of`).

    Returns
    -------
    LinearModel
        Its std calibrated by the errors of held-out, unstrained defects.
    """
    columns, data = columns_of(parts), rows.defects
    local = {kind: rows.local[kind].subset(columns) for kind in times}
    X, y = data.features[:, columns], data.formation_entropy

    def weighted(weights: Array) -> TSQR:
        return joint_statistics(total_statistics(rows, use, parts, weights), local, times)

    groups, least = penalty_groups(ALL, parts), least_penalties(parts)
    model = fit_heavy_tailed(weighted, X[use], y[use], groups, least)
    test = data.held_out & ~data.strained
    return calibrated(model, X[test], y[test])


def counts_of(rows: EntropyRows, parts: tuple[int, ...]) -> dict[str, float]:
    """How often local rows should count, by validation on a fifth of what is fitted.

    Parameters
    ----------
    rows : EntropyRows
    parts : tuple of int

    Returns
    -------
    dict of str to float
    """
    columns, data = columns_of(parts), rows.defects
    fifth = np.random.default_rng(2).permutation(len(data.held_out)) % 5 == 0
    test = fifth & ~data.held_out & ~data.strained
    fold = Fold(
        total_statistics(rows, ~fifth & ~data.held_out, parts),
        {kind: statistics.subset(columns) for kind, statistics in rows.local.items()},
        data.features[test][:, columns],
        data.formation_entropy[test],
    )
    return choose_times([fold], penalty_groups(ALL, parts), SLACK)


def cross_validated_entropy(
    rows: EntropyRows, parts: tuple[int, ...], times: Mapping[str, float], left_out: str | None
) -> Array:
    """Predictions of S_f by models that have not seen them, shape (n,).

    Parameters
    ----------
    rows : EntropyRows
    parts : tuple of int
    times : mapping of str to float
    left_out : {"family", None}
        "family" leaves out a whole family at a time; None five random folds.

    Returns
    -------
    ndarray
    """
    data = rows.defects
    n = len(data.formation_entropy)
    if left_out == "family":
        fold = np.unique(np.array(data.family), return_inverse=True)[1]
    else:
        fold = np.random.default_rng(0).permutation(n) % 5
    out = np.empty(n)
    for k in np.unique(fold):
        model = fit_entropy(rows, fold != k, parts, times)
        out[fold == k] = model.predict(data.features[fold == k][:, columns_of(parts)])
    return out


def entropy_tables(
    rows: EntropyRows, model: LinearModel, parts: tuple[int, ...], times: Mapping[str, float]
) -> dict[str, ErrorTable]:
    """Errors on relaxed defects: held out, and in cross-validation.

    Parameters
    ----------
    rows : EntropyRows
    model : LinearModel
    parts : tuple of int
    times : mapping of str to float

    Returns
    -------
    dict of str to ErrorTable
        By title, which ends with the unit in brackets.
    """
    data = rows.defects
    held, exact = data.held_out, data.formation_entropy
    found = model.predict(data.features[held][:, columns_of(parts)])
    return {
        "formation entropy, held out (k_B)": error_table(found, exact[held], held_out_groups(data))
    } | {
        f"formation entropy, {title} (k_B)": error_table(
            cross_validated_entropy(rows, parts, times, left_out), exact, data.family
        )
        for title, left_out in (("5 random folds", None), ("one family left out", "family"))
    }


def held_out_groups(data: DefectRows) -> list[str]:
    """Return "strained cells", or the number of defects, of each held-out configuration."""
    held = np.flatnonzero(data.held_out)
    return ["strained cells" if data.strained[k] else data.group[k] for k in held]
