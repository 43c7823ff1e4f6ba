"""What the labels of sites and gradients are worth: errors with and without, against the number.

    thiry generate training/recipes/iron_sites.toml --workers 2
    python -m training.recipes.local_labels --workers 2

Models are fitted to the first n configurations of a database that has both labels, rows of sites
and gradients counting as often as is best for the totals in five-fold cross-validation; the errors
are those of other unstrained configurations, of another database. Writes ``local_labels.md``.
"""

import argparse
from collections.abc import Sequence
from functools import reduce
from itertools import compress
from operator import add
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from thiry_calc.linear import TSQR, LinearModel
from thiry_calc.linear.files import write_atomically
from training.defect_rows import defect_rows, repeats
from training.executors import make_executor
from training.joint import Fold, choose_times, joint_statistics
from training.local_rows import LocalRows, local_rows
from training.recipes.fe_am04_parts import ALL, MODELS, columns_of
from training.references.am04 import LATTICE_CONSTANT
from training.regression import bayesian_ridge, penalty_groups

Array = NDArray[np.float64]

SIZES, FOLDS = (10, 20, 40, 80), 5
LABELS: dict[str, tuple[str, ...]] = {
    "totals": (),
    "with sites": ("sites",),
    "with gradients": ("gradient",),
    "with both": ("gradient", "sites"),
}


def fitted(
    features: Array,
    entropy: Array,
    local: Sequence[LocalRows],
    kinds: Sequence[str],
    parts: tuple[int, ...],
) -> LinearModel:
    """Model of totals and of some kinds of local rows.

    Parameters
    ----------
    features, entropy : ndarray, shapes (n, K of `ALL`) and (n,)
    local : sequence of LocalRows
        Of the same configurations.
    kinds : sequence of str
        Among "sites" and "gradient".
    parts : tuple of int

    Returns
    -------
    LinearModel
    """
    columns, groups = columns_of(parts), penalty_groups(ALL, parts)
    X = features[:, columns]
    own = {kind: [getattr(one, kind).subset(columns) for one in local] for kind in kinds}

    def rows(use: NDArray[np.bool_]) -> tuple[TSQR, dict[str, TSQR]]:
        totals = TSQR(len(columns)).update(X[use], entropy[use])
        return totals, {kind: reduce(add, compress(all_, use)) for kind, all_ in own.items()}

    part = np.arange(len(entropy)) % FOLDS
    folds = [Fold(*rows(part != k), X[part == k], entropy[part == k]) for k in range(FOLDS)]
    totals, everything = rows(part >= 0)
    return bayesian_ridge(joint_statistics(totals, everything, choose_times(folds, groups)), groups)


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--database", default="~/.cache/thiry_calc/iron_sites")
    parser.add_argument("--test", default="~/.cache/thiry_calc/iron_entropy_3k")
    parser.add_argument("--output", type=Path, default=Path("potentials/Fe-AM04"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with make_executor(args.workers) as executor:
        test = defect_rows([args.test], ALL, LATTICE_CONSTANT, executor, seed=0)
        data = defect_rows([args.database], ALL, LATTICE_CONSTANT, executor, seed=0)
        local = local_rows(args.database, ALL, LATTICE_CONSTANT, executor)
    order = np.random.default_rng(args.seed).permutation(len(local))
    features, entropy = data.features[order], data.formation_entropy[order]
    local = [local[k] for k in order]
    both = [
        np.concatenate([getattr(rows, label) for rows in (data, test)])
        for label in ("formation_energy", "formation_entropy")
    ]
    use = ~test.strained & ~repeats(*both)[len(local) :]
    lines = [
        f"| MAE, k_B | configurations | {' | '.join(LABELS)} |",
        f"|---|---|{'---|' * len(LABELS)}",
    ]
    with threadpool_limits(1):
        for title, parts in MODELS.items():
            X, y = test.features[use][:, columns_of(parts)], test.formation_entropy[use]
            for n in (size for size in SIZES if size <= len(local)):
                models = (
                    fitted(features[:n], entropy[:n], local[:n], kinds, parts)
                    for kinds in LABELS.values()
                )
                errors = [np.abs(model.predict(X) - y).mean() for model in models]
                lines.append(f"| {title} | {n} | {' | '.join(f'{e:.3f}' for e in errors)} |")
                print(lines[-1], flush=True)
    args.output.mkdir(parents=True, exist_ok=True)
    write_atomically(args.output / "local_labels.md", "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
