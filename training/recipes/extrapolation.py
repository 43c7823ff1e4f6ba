"""The extrapolation experiment: fitted to S_f of at most 25 k_B, tested up to 60 defects.

    thiry generate training/recipes/iron_entropy_31k.toml --attempts 12600 --workers 2
    for r in entropy_3k clusters compact dispersed
    do thiry generate training/recipes/iron_$r.toml --workers 2; done
    python -m training.recipes.extrapolation --workers 2

Small defects and clusters whose entropy is at most 25 k_B, compact ones too, teach each model of
`training.recipes.fe_am04_parts`; 15 to 60 vacancies and interstitials at 3456 sites, close together
or spread out, test it. Writes a table and the figure of the thesis, predicted against exact
entropy.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from threadpoolctl import threadpool_limits

from thiry_calc.linear import error_table
from thiry_calc.linear.files import write_atomically
from training.defect_rows import DefectRows, defect_rows
from training.executors import make_executor
from training.recipes.fe_am04_parts import ALL, MODELS, columns_of, predicted
from training.references.am04 import LATTICE_CONSTANT
from training.report import extrapolation_plot, markdown_table

Array = NDArray[np.float64]

LARGEST = 25.0  # k_B, of the entropies fitted
FITTED = (
    ("iron_entropy_3k", "iron_clusters"),
    ("iron_entropy_31k", "iron_entropy_3k", "iron_clusters"),
)
"""Databases of each fit; the figure is that of the first."""
TESTED = {"compact": "iron_compact", "dispersed": "iron_dispersed"}


def section(
    title: str, found: dict[str, Array], std: dict[str, Array], exact: dict[str, Array]
) -> str:
    """Errors of one model and what its std says of them, in Markdown.

    Parameters
    ----------
    title : str
    found, std, exact : dict of str to ndarray
        By kind of test, k_B.

    Returns
    -------
    str
    """
    y, y_found, scale = (np.concatenate(list(x.values())) for x in (exact, found, std))
    kinds = [kind for kind, values in exact.items() for _ in values]
    error = np.abs(y_found - y)
    return (
        f"### {title}\n\n{markdown_table(error_table(y_found, y, kinds), 'k_B')}\n\n"
        f"{100 * np.mean(error < scale):.0f} % within one std and "
        f"{100 * np.mean(error < 1.96 * scale):.0f} % within 1.96; rank correlation of error and "
        f"std {spearmanr(error, scale).statistic:.2f}, mean std {scale.mean():.2f} k_B.\n"
    )


def main() -> None:
    """Fit, test and write table and figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--databases", type=Path, default=Path("~/.cache/thiry_calc"))
    parser.add_argument("--output", type=Path, default=Path("potentials/Fe-AM04"))
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()

    def rows(*names: str) -> DefectRows:
        folders = [args.databases / name for name in names]
        return defect_rows(folders, ALL, LATTICE_CONSTANT, executor, seed=0)

    with make_executor(args.workers) as executor:
        fitted = {names: rows(*names) for names in FITTED}
        tests = {kind: rows(name) for kind, name in TESTED.items()}
    exact = {kind: test.formation_entropy for kind, test in tests.items()}
    sections: list[str] = []
    figures: list[dict[str, dict[str, Array]]] = []
    for names, data in fitted.items():
        use = ~data.strained & (data.formation_entropy <= LARGEST)
        sections.append(
            f"## Fitted to {use.sum()} configurations with S_f ≤ {LARGEST:g} k_B\n\n"
            f"Of {', '.join(names)}; tested on those of {', '.join(TESTED.values())}.\n"
        )
        with threadpool_limits(1):
            found = {title: _tested(data, use, tests, parts) for title, parts in MODELS.items()}
        sections += [section(title, *found[title], exact) for title in MODELS]
        figures.append({title: own for title, (own, _) in found.items()})
    args.output.mkdir(parents=True, exist_ok=True)
    text = "\n".join(sections)
    write_atomically(args.output / "extrapolation.md", text)
    extrapolation_plot(args.output / "extrapolation.png", exact, figures[0], LARGEST)
    print(text)


def _tested(
    data: DefectRows, use: NDArray[np.bool_], tests: dict[str, DefectRows], parts: tuple[int, ...]
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Predictions of the test sets by a fit of some rows, and their std, by kind."""
    columns = columns_of(parts)
    new = np.concatenate([test.features[:, columns] for test in tests.values()])
    ends = np.cumsum([len(test.formation_entropy) for test in tests.values()])[:-1]
    both = predicted(data.features[use][:, columns], data.formation_entropy[use], new, parts)
    predictions, std = (dict(zip(tests, np.split(x, ends), strict=True)) for x in both)
    return predictions, std


if __name__ == "__main__":
    main()
