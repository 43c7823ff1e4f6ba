"""A model against labels: energies, forces, stresses and formation entropies, by group."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from thiry_calc.calculator import ThiryCalculator
from thiry_calc.linear import error_table
from thiry_calc.linear.errors import ErrorTable
from thiry_calc.potential import Potential
from training.dataset import Structure

Array = NDArray[np.float64]

# quantity: title of its table, factor to the table's unit, stem of its keys, their unit
_QUANTITIES = {
    "energy": ("energy (meV/atom)", 1e3, "energy", "eV_per_atom"),
    "forces": ("forces (eV/Å)", 1.0, "force", "eV_per_A"),
    "stress": ("stress (eV/Å³)", 1.0, "stress", "eV_per_A3"),
    "entropy": ("formation entropy (k_B)", 1.0, "entropy", "kB"),
}
_LARGEST = 3  # errors shown
_KEYS = (
    "energy_mae_eV_per_atom", "energy_rmse_eV_per_atom", "force_mae_eV_per_A",
    "force_rmse_eV_per_A", "stress_rmse_eV_per_A3", "entropy_mae_kB", "entropy_rmse_kB",
)  # fmt: skip


class Compared(NamedTuple):
    """Values of one quantity.

    Attributes
    ----------
    exact, predicted : ndarray, shape (n,)
        eV/atom, eV/Å, eV/Å³ or k_B.
    groups, sources : list of str
        Of each value.
    """

    exact: Array
    predicted: Array
    groups: list[str]
    sources: list[str]


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """Labels and predictions.

    Attributes
    ----------
    n_structures : int
    compared : mapping of str to Compared
        "energy", "forces", "stress", "entropy": those that some structure has a label of.
    """

    n_structures: int
    compared: Mapping[str, Compared]

    def tables(self) -> dict[str, ErrorTable]:
        """Errors by group; the keys name the quantity and its unit."""
        return {
            _QUANTITIES[name][0]: error_table(
                _QUANTITIES[name][1] * c.predicted, _QUANTITIES[name][1] * c.exact, c.groups
            )
            for name, c in self.compared.items()
        }

    def summary(self) -> dict[str, float | int | None]:
        """Errors in all, None where there is no label."""
        out: dict[str, float | int | None] = dict.fromkeys(_KEYS)
        for name, c in self.compared.items():
            error = c.predicted - c.exact
            _, _, stem, unit = _QUANTITIES[name]
            found = {"mae": np.abs(error).mean(), "rmse": np.sqrt(np.mean(error**2))}
            out |= {
                key: float(value)
                for measure, value in found.items()
                if (key := f"{stem}_{measure}_{unit}") in _KEYS
            }
        return out | {"n_structures": self.n_structures}

    def largest(self, count: int = _LARGEST) -> dict[str, list[tuple[str, float]]]:
        """Structures of the largest errors, with these: labels that contradict all others, often.

        Parameters
        ----------
        count : int
            Structures of each quantity.

        Returns
        -------
        dict of str to list of (str, float)
            File and frame, and largest error, in the units of `tables`, which have the same keys.
        """
        out = {}
        for name, c in self.compared.items():
            title, factor, _, _ = _QUANTITIES[name]
            errors = factor * np.abs(c.predicted - c.exact)
            of_source: dict[str, float] = {}
            for source, error in zip(c.sources, errors, strict=True):
                of_source[source] = max(float(error), of_source.get(source, 0.0))
            ranked = sorted(of_source.items(), key=lambda item: -item[1])
            out[title] = ranked[:count]
        return out

    def __repr__(self) -> str:
        """Show tables of errors, and the largest of these."""
        largest = self.largest()
        return "\n\n".join(
            f"{title}\n{table}\nlargest: {listed(largest[title])}"
            for title, table in self.tables().items()
        )


def listed(errors: Sequence[tuple[str, float]]) -> str:
    """Structures and their errors in one line."""
    return "; ".join(f"{error:.3g} in {source}" for source, error in errors)


def evaluate(potential: Potential, structures: Sequence[Structure]) -> Evaluation:
    """Compare a model with labelled structures.

    Parameters
    ----------
    potential : Potential
    structures : sequence of Structure

    Returns
    -------
    Evaluation

    Raises
    ------
    ValueError
        A structure that the model cannot treat (an unknown element, say), by file and frame; no
        label that the model predicts.
    """
    calc = ThiryCalculator(potential, extrapolation_warning=False)
    found: dict[str, list[tuple[Array, Array, Structure]]] = {name: [] for name in _QUANTITIES}
    for one in tqdm(structures, desc="evaluate", disable=None):
        try:
            for name, exact, predicted in _compared(calc, one):
                found[name].append((exact, predicted, one))
        except ValueError as error:
            raise ValueError(f"{one.source}: {error}") from error
    compared = {
        name: Compared(
            np.concatenate([exact for exact, _, _ in rows]),
            np.concatenate([predicted for _, predicted, _ in rows]),
            [one.group for exact, _, one in rows for _ in exact],
            [one.source for exact, _, one in rows for _ in exact],
        )
        for name, rows in found.items()
        if rows
    }
    if not compared:
        raise ValueError(
            f"no structure has a label that {potential.name!r} predicts "
            f"({', '.join(potential.targets)}); give labelled structures, or keys"
        )
    return Evaluation(len(structures), compared)


def _compared(calc: ThiryCalculator, one: Structure) -> list[tuple[str, Array, Array]]:
    """Exact and predicted values of each label that the model has."""
    atoms, out = one.atoms.copy(), []
    atoms.calc = calc
    if "energy" in calc.potential.targets:
        if one.energy is not None:
            predicted = atoms.get_potential_energy() / len(atoms)
            out.append(("energy", np.array([one.energy / len(atoms)]), np.array([predicted])))
        if one.forces is not None:
            out.append(("forces", one.forces.ravel(), atoms.get_forces().ravel()))
        if one.stress is not None:
            out.append(("stress", one.stress, atoms.get_stress()))
    if "entropy" in calc.potential.targets and one.entropy is not None:
        predicted = calc.get_property("formation_entropy", atoms)
        out.append(("entropy", np.array([one.entropy]), np.array([predicted])))
    return out
