"""What goes beside the model file of Fe-DFT: card, parity plots and reference values."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thiry_calc.linear import error_table
from thiry_calc.linear.files import write_atomically
from thiry_calc.potential import Potential
from training.crystal_properties import crystal_properties
from training.defect_rows import DefectRows
from training.evaluate import evaluate
from training.recipes.fe_am04_card import plot_entropies, plot_forces, reference_values
from training.recipes.fe_dft_energy import FILES
from training.report import markdown_table
from training.sets import train_and_test

Array = NDArray[np.float64]

# PBE: lattice constant, elastic constants, vacancy and surfaces, as quoted beside the data
DFT = {
    "a0_A": 2.831,
    "C11_GPa": 296.7,
    "C12_GPa": 151.4,
    "C44_GPa": 104.7,
    "vacancy_energy_eV": 2.02,
    "surface_100_J_per_m2": 2.41,
    "surface_110_J_per_m2": 2.37,
    "surface_111_J_per_m2": 2.58,
    "surface_211_J_per_m2": 2.48,
}


def write_model(
    potential: Potential, rows: DefectRows, others: Array, data: Path, folder: Path
) -> None:
    """Test a model and write its file, card, plots and reference values.

    Parameters
    ----------
    potential : Potential
    rows : DefectRows
        Of the entropy.
    others : ndarray, shape (n,)
        Entropies predicted without the defects of the same numbers, k_B.
    data : Path
        Folder of the data that the energy was fitted to; its test set is the one held out then.
    folder : Path
    """
    folder.mkdir(parents=True, exist_ok=True)
    _, tested = train_and_test([data / name for name in FILES], (), None, None, None, ".")
    test = evaluate(potential, tested)
    held, exact = rows.held_out, rows.formation_entropy
    groups = [name for name, out in zip(rows.group, held, strict=True) if out]
    predicted = potential.target("entropy").model.predict(rows.features[held])
    tables = test.tables() | {
        "formation entropy, a tenth held out (k_B)": error_table(predicted, exact[held], groups),
        "formation entropy, each group left out (k_B)": error_table(others, exact, rows.group),
    }
    info = {
        "purpose": "iron by density functional theory: energies, entropies, free energies",
        "reference": "PBE; Phys. Rev. Materials 2, 013808 (2018); npj Comput. Mater. 9, 217 (2023)",
        "entropy_training_configurations": int((~held).sum()),
        "mae": {title: table["all"]["mae"] for title, table in tables.items()},
    }
    final = replace(potential, info=potential.info | info)
    final.save(folder / f"{final.name}.thiry")
    values = json.dumps(reference_values(final), indent=1)
    write_atomically(folder / "reference_values.json", values)
    plot_forces(test, folder / "parity_forces.png")
    plot_entropies(groups, exact[held], predicted, folder / "parity_entropy.png")
    card = CARD.format(
        n_entropy=int((~held).sum()),
        properties=_property_table(final),
        tables="\n\n".join(
            f"### {title[0].upper()}{title[1:]}\n\n"
            f"{markdown_table(table, title.split('(')[-1][:-1])}"
            for title, table in tables.items()
        ),
    )
    write_atomically(folder / "card.md", card)


def _property_table(potential: Potential) -> str:
    properties = crystal_properties(potential)
    assert properties is not None
    found: Mapping[str, float | str | None] = properties.summary()
    lines = ["| | Fe-DFT | DFT (PBE) | deviation |", "|---|---|---|---|"]
    for key, quoted in DFT.items():
        value = found[key]
        assert isinstance(value, float)
        name, unit = key.replace("_per_", "/").rsplit("_", 1)
        deviation = f"{100 * (value / quoted - 1):+.1f} %"
        lines.append(f"| {name} ({unit}) | {value:.4g} | {quoted:g} | {deviation} |")
    return "\n".join(lines)


CARD = """# Fe-DFT

Energy, forces and stress of iron learned from density functional theory, and the vibrational
formation entropy of defects learned from the exact Hessians of that energy. Ferromagnetic PBE data:
a fifth of the database of Dragoni, Daff, Csányi and Marzari, Phys. Rev. Materials 2, 013808 (2018),
and the additions of Zhang, Csányi, van der Giessen and Maresca (npj Comput. Mater. 9, 217 (2023)).

**For**: point defects, surfaces, elasticity, phonons, cracks and stacking faults of bcc iron, and
free-energy scans of 1 to 4 vacancies or interstitials at constant volume. Energies count from
isolated atoms as in the data (-3455.6995339 eV each).
**Not for**: other magnetic states, melts beyond short runs, alloys. Atoms closer than 1.6 Å repel
each other as ZBL's nuclei do, roughly. `energy_std`, `entropy_std` and `leverage` tell when a
structure is far from the training data.

- energy: linear cluster expansion to four bodies, 1,276 functions within 5 Å, and ZBL below 1.65 Å
- entropy: power spectrum, pairs and local log-determinants of springs fitted to its own Hessians;
  {n_entropy} relaxed defects with exact entropies, and perfect crystals under strain
- made by `python -m training.recipes.fe_dft_energy DATA`,
  `thiry generate training/recipes/iron_dft.toml` and `python -m training.recipes.fe_dft DATA`

The entropies are those of this energy, at its minima; how near DFT's own they are is not known.

## Properties

{properties}

Relaxed with the model. The vacancy and the surfaces follow the data rather than the quoted values:
slabs and vacancies in the training set have these energies to 1 %.

## Errors on structures not seen in training

{tables}
"""
