"""The report of a fit: everything that a reader of a paper asks about a potential.

``report.html`` is one file with its figures inside, ``report.json`` the numbers.
"""

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from tqdm import tqdm

from thiry_calc import ThiryCalculator
from thiry_calc.descriptors import ZBL
from thiry_calc.linear.errors import ErrorTable
from thiry_calc.linear.files import write_atomically
from thiry_calc.potential import Potential
from training.crystal_properties import CrystalProperties, crystal_properties
from training.dataset import Structure
from training.energy_fit import Fit
from training.evaluate import Compared, Evaluation
from training.fit_figures import crystal_figure, dimer_figure, learning_figure, leverage_figure
from training.html_page import document, image, table
from training.report import parity_figure

Array = NDArray[np.float64]

_STRUCTURES = 100  # of each set, whose error bars and leverages are looked at
_AXES = {
    "energy": ("energy", "eV/atom"),
    "forces": ("force", "eV/Å"),
    "stress": ("stress", "eV/Å³"),
    "entropy": ("formation entropy", "k_B"),
}
_QUANTILES = (0.5, 0.9, 0.99, 1.0)


@dataclass(frozen=True, eq=False)
class ErrorBars:
    """Whether error bars cover the errors of a set, and how far its atoms are from the training.

    Attributes
    ----------
    coverage : mapping of str to (float, float)
        Shares of the errors of "energy", "forces", "entropy" within 1 and 1.96 std; 0.683 and 0.95
        ideally.
    leverage : ndarray
        Of all atoms looked at.
    """

    coverage: Mapping[str, tuple[float, float]]
    leverage: Array


def error_bars(potential: Potential, structures: Sequence[Structure]) -> ErrorBars:
    """Compare error bars with errors.

    Parameters
    ----------
    potential : Potential
    structures : sequence of Structure
        Of which 100 at most are looked at, evenly spread.

    Returns
    -------
    ErrorBars
    """
    calc = ThiryCalculator(potential, extrapolation_warning=False)
    ratios: dict[str, list[Array]] = {"energy": [], "forces": [], "entropy": []}
    leverage = []
    some = structures[:: max(1, len(structures) // _STRUCTURES)]
    for one in tqdm(some, desc="error bars", leave=False, disable=None):
        atoms = one.atoms.copy()
        atoms.calc = calc
        leverage.append(calc.get_property("leverage", atoms))
        if "energy" in potential.targets and one.energy is not None:
            error = atoms.get_potential_energy() - one.energy
            ratios["energy"].append(_ratios(error, calc.get_property("energy_std", atoms)))
        if "energy" in potential.targets and one.forces is not None:
            errors = atoms.get_forces() - one.forces
            ratios["forces"].append(_ratios(errors, calc.get_property("force_std", atoms)))
        if "entropy" in potential.targets and one.entropy is not None:
            error = calc.get_property("formation_entropy", atoms) - one.entropy
            ratios["entropy"].append(_ratios(error, calc.get_property("entropy_std", atoms)))
    coverage = {}
    for kind, found in ratios.items():
        if found and len(values := np.concatenate(found)):
            coverage[kind] = float(np.mean(values < 1)), float(np.mean(values < 1.96))
    return ErrorBars(coverage, np.concatenate(leverage))


def _ratios(errors: float | Array, std: float | Array) -> Array:
    """|errors| over std, but of what is certain, as the energy of a free atom that is given."""
    size, own = np.abs(np.ravel(errors)), np.ravel(std)
    ratios: Array = size[own > 0] / own[own > 0]
    return ratios


def dimer_curves(potential: Potential) -> dict[str, tuple[Array, Array]]:
    """Energies of two atoms against their distance, less those of free atoms.

    Parameters
    ----------
    potential : Potential

    Returns
    -------
    dict of str to (r, energies)
        Å and eV, by pair of elements.
    """
    calc = ThiryCalculator(potential, extrapolation_warning=False)
    cutoff = max(p.cutoff for p in potential.descriptor.parts if not isinstance(p, ZBL))
    r = np.linspace(0.6, cutoff + 0.1, 150)
    curves = {}
    for pair in combinations_with_replacement(potential.elements, 2):
        energies = []
        for distance in (*r, 2 * cutoff):
            atoms = Atoms(pair, [[0, 0, 0], [distance, 0, 0]])
            atoms.calc = calc
            energies.append(atoms.get_potential_energy())
        curves["-".join(pair)] = r, np.array(energies[:-1]) - energies[-1]
    return curves


def write_report(
    folder: str | Path,
    potential: Potential,
    evaluations: Mapping[str, Evaluation],
    structures: Mapping[str, Sequence[Structure]],
    energy: Fit | None,
) -> None:
    """Write ``report.html`` and ``report.json``.

    Parameters
    ----------
    folder : str or Path
        Made when it does not exist.
    potential : Potential
        With its card.
    evaluations : mapping of str to Evaluation
        Errors by set: "training", "test", ...
    structures : mapping of str to sequence of Structure
        Some of these sets, to look at error bars.
    energy : Fit or None
        How the energy came about, if it was fitted.
    """
    bars = {name: error_bars(potential, chosen) for name, chosen in structures.items()}
    page = [f"<h1>{html.escape(potential.name)}</h1>", _card(potential)]
    for name, evaluation in evaluations.items():
        page.append(f"<h2>Errors, {html.escape(name)}</h2>")
        for (kind, compared), (title, errors) in zip(
            evaluation.compared.items(), evaluation.tables().items(), strict=True
        ):
            page.append(f"<h3>{html.escape(title)}</h3>" + _errors(errors))
            page.append(_parity(compared, *_AXES[kind]))
    page.append("<h2>Error bars</h2>" + _coverage(bars))
    leverages = {name: found.leverage for name, found in bars.items()}
    limit = next(iter(potential.targets.values())).max_leverage
    page.append(image(leverage_figure(leverages, limit)))
    numbers = {
        "model": potential.name,
        "elements": list(potential.elements),
        "card": {k: v for k, v in potential.info.items() if k != "provenance"},
        "errors": {
            name: {
                title: {g: errors[g] for g in errors.groups}
                for title, errors in evaluation.tables().items()
            }
            for name, evaluation in evaluations.items()
        },
        "coverage": {name: dict(found.coverage) for name, found in bars.items()},
        "leverage_quantiles": {
            name: {str(q): float(np.quantile(found.leverage, q)) for q in _QUANTILES}
            for name, found in bars.items()
        },
    }
    if energy is not None:
        numbers |= _energy_section(potential, energy, page)
    Path(folder).mkdir(parents=True, exist_ok=True)
    write_atomically(Path(folder) / "report.html", document(potential.name, page))
    write_atomically(Path(folder) / "report.json", json.dumps(numbers, indent=1, allow_nan=False))


def _energy_section(potential: Potential, energy: Fit, page: list[str]) -> dict[str, Any]:
    """Add what only an energy has to the page; return its numbers."""
    dimers = dimer_curves(potential)
    crystal, why_not = _crystal(potential)
    page.append("<h2>Cutoff and weights, by cross-validation</h2>" + _choices(energy))
    page.append("<h2>Learning curve</h2>" + image(learning_figure(energy.learning)))
    page.append("<h2>Two atoms</h2>" + image(dimer_figure(dimers)))
    page.append(f"<h2>Crystal</h2>{_crystal_section(crystal, why_not)}")
    return {
        "choices": [
            {
                "cutoff_A": d.cutoff,
                "weights": dict(c.factors),
                "penalties": c.strength,
                "rmse": dict(c.rmse),
            }
            for d, c in energy.choices
        ],
        "learning_curve": {
            "n_structures": energy.learning.n_structures.tolist(),
            "rmse": {kind: v.tolist() for kind, v in energy.learning.rmse.items()},
        },
        "dimers": {
            pair: {"distance_A": r.tolist(), "energy_eV": e.tolist()}
            for pair, (r, e) in dimers.items()
        },
        "crystal": None if crystal is None else crystal.summary(),
    }


def _crystal(potential: Potential) -> tuple[CrystalProperties | None, str]:
    """Properties of the crystal, or why there are none."""
    try:
        found = crystal_properties(potential)
    except (RuntimeError, ValueError) as error:
        return None, str(error)
    return found, "" if found else "Only for single elements that are bcc, fcc, hcp or diamond."


def _card(potential: Potential) -> str:
    rows: list[Sequence[Any]] = [
        ("elements", ", ".join(potential.elements)),
        ("cutoff (Å)", float(potential.cutoff)),
        ("functions", potential.descriptor.n_features),
    ]
    rows += [
        (key.replace("_", " "), value if isinstance(value, int | float) else json.dumps(value))
        for key, value in potential.info.items()
        if key not in ("train", "test", "provenance")
    ]
    return table(("", ""), rows)


def _errors(errors: ErrorTable) -> str:
    rows = [(g, *(float(errors[g][k]) for k in ("n", "mae", "rmse", "max"))) for g in errors.groups]
    return table(("group", "n", "MAE", "RMSE", "max"), rows)


def _parity(compared: Compared, quantity: str, unit: str) -> str:
    groups = np.array(compared.groups)
    exact = {g: compared.exact[groups == g] for g in np.unique(groups)}
    predicted = {g: compared.predicted[groups == g] for g in np.unique(groups)}
    return image(parity_figure(exact, predicted, quantity, unit))


def _choices(fit: Fit) -> str:
    rows = [
        (
            float(descriptor.cutoff),
            choice.factors["energy"],
            choice.factors["stress"],
            choice.strength,
            choice.rmse.get("energy"),
            choice.rmse.get("forces"),
            "chosen" if choice is fit.best else "",
        )
        for descriptor, choice in fit.choices
    ]
    header = ("cutoff (Å)", "energy", "stress", "penalties", "RMSE (eV/√atom)", "RMSE (eV/Å)", "")
    return table(header, rows)


def _coverage(bars: Mapping[str, ErrorBars]) -> str:
    rows = [
        (f"{name}, {kind}", f"{100 * inner:.1f} %", f"{100 * outer:.1f} %")
        for name, found in bars.items()
        for kind, (inner, outer) in found.coverage.items()
    ]
    return table(("errors within", "1 std (68.3 %)", "1.96 std (95 %)"), rows)


def _crystal_section(crystal: CrystalProperties | None, why_not: str) -> str:
    if crystal is None:
        return f"<p>{html.escape(why_not)}</p>"
    rows = [(key.replace("_", " "), value) for key, value in crystal.summary().items()]
    return table(("property", crystal.element), rows) + image(crystal_figure(crystal))
