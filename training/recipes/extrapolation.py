"""The extrapolation experiment: fitted to S_f of at most 25 k_B, tested up to 60 defects.

    for r in 3k clusters compact dispersed
    do thiry generate training/recipes/iron_${r/3k/entropy_3k}.toml --workers 2; done
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

from thiry_calc.files import write_atomically
from thiry_calc.linear import error_table
from training.defect_rows import DefectRows, defect_rows
from training.executors import make_executor
from training.recipes.fe_am04_parts import ALL, MODELS, columns_of, predicted
from training.references.am04 import LATTICE_CONSTANT
from training.report import extrapolation_plot, markdown_table

Array = NDArray[np.float64]

LARGEST = 25.0  # k_B, of the entropies fitted
FITTED = ("iron_entropy_3k", "iron_clusters")
TESTED = {"compact": "iron_compact", "dispersed": "iron_dispersed"}


def section(title: str, found: Array, std: Array, exact: Array, kinds: list[str]) -> str:
    """Errors of one model and what its std says of them, in Markdown.

    Parameters
    ----------
    title : str
    found, std, exact : ndarray, shape (n,)
        k_B.
    kinds : list of str

    Returns
    -------
    str
    """
    error = np.abs(found - exact)
    return (
        f"### {title}\n\n{markdown_table(error_table(found, exact, kinds), 'k_B')}\n\n"
        f"{100 * np.mean(error < std):.0f} % within one std and "
        f"{100 * np.mean(error < 1.96 * std):.0f} % within 1.96; rank correlation of error and std "
        f"{spearmanr(error, std).statistic:.2f}, mean std {std.mean():.2f} k_B.\n"
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
        data = rows(*FITTED)
        tests = {kind: rows(name) for kind, name in TESTED.items()}
    use = ~data.strained & (data.formation_entropy <= LARGEST)
    exact = {kind: test.formation_entropy for kind, test in tests.items()}
    kinds = [kind for kind, values in exact.items() for _ in values]
    tested = np.concatenate(list(exact.values()))
    sections = [
        f"Fitted to {use.sum()} configurations with S_f ≤ {LARGEST:g} k_B, tested on "
        f"{len(tested)} from {tested.min():.0f} to {tested.max():.0f} k_B.\n"
    ]
    predictions: dict[str, dict[str, Array]] = {}
    with threadpool_limits(1):
        for title, parts in MODELS.items():
            columns = columns_of(parts)
            new = np.concatenate([test.features[:, columns] for test in tests.values()])
            found, std = predicted(
                data.features[use][:, columns], data.formation_entropy[use], new, parts
            )
            predictions[title] = {kind: found[np.array(kinds) == kind] for kind in exact}
            sections.append(section(title, found, std, tested, kinds))
    args.output.mkdir(parents=True, exist_ok=True)
    text = "\n".join(sections)
    write_atomically(args.output / "extrapolation.md", text)
    extrapolation_plot(args.output / "extrapolation.png", exact, predictions, LARGEST)
    print(text)


if __name__ == "__main__":
    main()
