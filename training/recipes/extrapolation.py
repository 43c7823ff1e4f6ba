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
from threadpoolctl import threadpool_limits

from thiry_calc.files import write_atomically
from thiry_calc.linear import error_table
from training.defect_rows import DefectRows, defect_rows
from training.executors import make_executor
from training.recipes.fe_am04_parts import ALL, MODELS, columns_of, entropy_rows_model
from training.references.am04 import LATTICE_CONSTANT
from training.report import extrapolation_plot, markdown_table

Array = NDArray[np.float64]

LARGEST = 25.0  # k_B, of the entropies fitted
CACHE = Path("~/.cache/thiry_calc")
FITTED = ("iron_clusters",)
TESTED = ("iron_compact", "iron_dispersed")


def main() -> None:
    """Fit, test and write table and figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--database", type=Path, default=CACHE / "iron_entropy_3k")
    parser.add_argument("--clusters", type=Path, default=CACHE, help="folder of the other three")
    parser.add_argument("--output", type=Path, default=Path("potentials/Fe-AM04"))
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    with make_executor(args.workers) as executor:
        rows = {
            folder.name: defect_rows([folder], ALL, LATTICE_CONSTANT, executor, seed=0)
            for folder in (args.database, *(args.clusters / name for name in FITTED + TESTED))
        }
    fitted = [data for name, data in rows.items() if name not in TESTED]
    features, entropy = (np.concatenate(x) for x in zip(*map(_fitted, fitted), strict=True))
    exact = {name.removeprefix("iron_"): rows[name].formation_entropy for name in TESTED}
    predictions: dict[str, dict[str, Array]] = {}
    with threadpool_limits(1):
        for title, parts in MODELS.items():
            columns = columns_of(parts)
            model = entropy_rows_model(features[:, columns], entropy, parts)
            predictions[title] = {
                name.removeprefix("iron_"): model.predict(rows[name].features[:, columns])
                for name in TESTED
            }
    tested = np.concatenate(list(exact.values()))
    sections = [
        f"Fitted to {len(entropy)} configurations with S_f ≤ {LARGEST:g} k_B, tested on "
        f"{len(tested)} from {tested.min():.0f} to {tested.max():.0f} k_B.\n"
    ]
    for title, found in predictions.items():
        kinds = np.concatenate([[kind] * len(values) for kind, values in exact.items()])
        table = error_table(
            np.concatenate(list(found.values())), np.concatenate(list(exact.values())), list(kinds)
        )
        sections.append(f"### {title}\n\n{markdown_table(table, 'k_B')}\n")
    args.output.mkdir(parents=True, exist_ok=True)
    text = "\n".join(sections)
    write_atomically(args.output / "extrapolation.md", text)
    extrapolation_plot(args.output / "extrapolation.png", exact, predictions, LARGEST)
    print(text)


def _fitted(data: DefectRows) -> tuple[Array, Array]:
    """Features and entropies of unstrained configurations within the range fitted."""
    use = ~data.strained & (data.formation_entropy <= LARGEST)
    return data.features[use], data.formation_entropy[use]


if __name__ == "__main__":
    main()
