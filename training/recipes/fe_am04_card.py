"""What goes beside the model files of Fe-AM04: card, parity plots and reference values."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thiry_calc.calculator import ThiryCalculator
from thiry_calc.defects import STANDARD, build
from thiry_calc.linear.errors import ErrorTable
from thiry_calc.linear.files import write_atomically
from thiry_calc.potential import Potential
from training.assemble import Sigma
from training.evaluate import Evaluation
from training.references.am04 import LATTICE_CONSTANT
from training.report import markdown_table, parity_plot

Array = NDArray[np.float64]


def write_model(
    potential: Potential,
    tables: Mapping[str, ErrorTable],
    n_energy: int,
    n_entropy: int,
    times: Mapping[str, float],
    folder: Path,
) -> None:
    """Write a model's file, card and reference values.

    Parameters
    ----------
    potential : Potential
    tables : mapping of str to ErrorTable
        Title, with the unit in brackets, and errors.
    n_energy, n_entropy : int
        Structures that the two targets were fitted to.
    times : mapping of str to float
        How often rows of sites and gradients count.
    folder : Path
    """
    usual = Sigma()
    weights = {"energy": 1 / usual.energy, "forces": 1 / usual.force, "stress": 1 / usual.virial}
    info = {
        "purpose": "defects of bcc iron: energies, formation entropies, free energies",
        "reference": "AM04, J. Phys.: Condens. Matter 16, S2629 (2004), analytic form",
        "entropy_training_configurations": n_entropy,
        "local_rows_count": dict(times),
        "weights": weights,
        "mae": {title: table["all"]["mae"] for title, table in tables.items()},
    }
    final = replace(potential, info=info)
    final.save(folder / f"{final.name}.thiry")
    values = json.dumps(reference_values(final), indent=1)
    write_atomically(folder / "reference_values.json", values)
    sections = "\n\n".join(
        f"### {title[0].upper()}{title[1:]}\n\n{markdown_table(table, title.split('(')[-1][:-1])}"
        for title, table in tables.items()
    )
    card = CARD.format(
        name=final.name,
        energy=_described(final, "energy"),
        entropy=_described(final, "entropy"),
        n_energy=n_energy,
        n_entropy=n_entropy,
        local=", ".join(f"{kind} ({number:g} times)" for kind, number in times.items()) or "none",
        gradient=GRADIENT if "gradient" in times else NO_GRADIENT,
        r_cut=final.cutoff,
        a0=LATTICE_CONSTANT,
        tables=sections,
        note=SPRINGS_NOTE if "local_log_det" in _described(final, "entropy") else "",
    )
    write_atomically(folder / "card.md", card)


def plot_forces(test: Evaluation, path: Path) -> None:
    """Write the parity plot of the forces."""
    forces = test.compared["forces"]
    exact, predicted = (_by(forces.groups, v) for v in (forces.exact, forces.predicted))
    parity_plot(path, exact, predicted, "force", "eV/Å")


def plot_entropies(groups: list[str], exact: Array, predicted: Array, path: Path) -> None:
    """Write the parity plot of held-out formation entropies."""
    parity_plot(
        path, _by(groups, exact), _by(groups, predicted), "formation entropy, held out", "k_B"
    )


def _by(names: list[str], values: Array) -> dict[str, Array]:
    labels = np.array(names)
    return {name: values[labels == name] for name in dict.fromkeys(names)}


def _described(potential: Potential, target: str) -> str:
    hidden = ("elements", "coefficients")
    parts = [potential.descriptor.parts[p].to_dict() for p in potential.target(target).parts]
    return " + ".join(
        f"{d.pop('type')} ({', '.join(f'{k} {v}' for k, v in d.items() if k not in hidden and v)})"
        for d in parts
    )


def reference_values(potential: Potential) -> dict[str, Any]:
    """Predictions on unrelaxed standard defects at 5×5×5 cells, for regression tests."""
    out = {}
    assert potential.crystal is not None
    for name in STANDARD:
        atoms = build(name, potential.crystal.a0, 5)
        atoms.calc = ThiryCalculator(potential, extrapolation_warning=False)
        out[name] = {
            "energy_eV": atoms.get_potential_energy(),
            "formation_entropy_kB": atoms.calc.get_property("formation_entropy", atoms),
            "max_force_eV_per_A": float(np.abs(atoms.get_forces()).max()),
        }
    return out


SPRINGS_NOTE = """
The descriptor `local_log_det` evaluates entropies of atoms among their clamped neighbours in a
network of springs, those of the effective pair potential u = φ + 2 F'(ρ_0) ψ of AM04: it knows the
reference potential's own functions. Power spectrum and pair alone err by four times as much.
"""

GRADIENT = """Its gradient was fitted at
minima; a relaxation on A(T) means something as long as the exact Hessian would stay positive, which
for soft defects it does not."""
NO_GRADIENT = """Its gradient was not
fitted: do not relax on A(T)."""

CARD = """# {name}

Energy and vibrational formation entropy of bcc iron and its defects, learned from the embedded-atom
potential AM04 (Ackland, Mendelev, Srolovitz, Han, Barashev, J. Phys.: Condens. Matter 16, S2629
(2004)) in its analytic form.

**For**: free-energy scans of vacancies, interstitials and their clusters (1-12 defects) in bcc iron
at constant volume, lattice constant {a0} Å. A model of AM04, not of experiment. In cells strained
by up to 2 % the energies hold; the entropies there err several times more (see the tables).
**Not for**: surfaces, cracks, grain boundaries, collision cascades, other phases. Pairs down to
1.1 Å were in the training, so that relaxations find their way down from bad starts; energies of
such pairs are rough. `energy_std`, `entropy_std` and `leverage` tell when a structure is far from
the training data; the two std are scaled to the errors of held-out unstrained defects.

The entropy holds at minima of the energy and at saddles of first order. {gradient} The Hessian of
the energy was not fitted.
{note}
- energy: {energy};
  {n_energy} structures with forces and stresses, and the formation energies of the relaxed defects
- entropy: {entropy};
  {n_entropy} relaxed defects and saddles with exact entropies, strained perfect crystals;
  rows of sites and gradients beside them: {local}
- cutoff {r_cut} Å; classical harmonic entropies
- made by `thiry generate` with the recipes iron_entropy_31k (its first 12,600 attempts),
  iron_entropy_3k, iron_clusters, iron_saddles and iron_sites, and
  `python -m training.recipes.fe_am04`

The structures of the standard scan are not among the training data. Parity plots stand beside this
file.

## Errors on structures not seen in training

{tables}
"""
