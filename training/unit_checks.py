"""Labels in other units than eV and Å, found by what they must agree on.

Forces are the derivative of the energy, and stresses that by strain: one set of coefficients fits
both only in the right units. A frame whose energy per atom differs from the others by a factor of
units is named.
"""

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add

import numpy as np
from ase import units
from numpy.typing import NDArray

from thiry_calc.descriptors import ACE, Combined, OneBody
from thiry_calc.linear import TSQR, ridge
from thiry_calc.linear.validate import left_out
from thiry_calc.neighbors import neighbors_of
from training.dataset import Structure
from training.free_atoms import usual_energies
from training.presets import cluster_expansion, nearest_distance
from training.rows import Baseline, RowMaker

Array = NDArray[np.float64]

_KCAL, _KJ = units.kcal / units.mol, units.kJ / units.mol
_ENERGY_UNITS = {
    "Hartree": units.Ha,
    "Rydberg": units.Ry,
    "kcal/mol": _KCAL,
    "kJ/mol": _KJ,
    "meV": 1e-3,
}
_ENERGIES = {
    **{f"energies are in {name}": value for name, value in _ENERGY_UNITS.items()},
    "forces are in Hartree/Bohr": units.Bohr / units.Ha,
    "forces are in Rydberg/Bohr": units.Bohr / units.Ry,
    "forces are in kcal/mol/Å": 1 / _KCAL,
    "forces are in kJ/mol/Å": 1 / _KJ,
    "forces are in meV/Å": 1e3,
    "energies are in Hartree and forces in Hartree/Bohr, or Rydberg likewise": units.Bohr,
    "positions are in Bohr": 1 / units.Bohr,
    "forces have the opposite sign": -1.0,
}
_STRESSES = {
    "they have the opposite sign": -1.0,
    **{
        f"they are in {name}{turned}": sign * value
        for name, value in {"GPa": units.GPa, "kbar": 0.1 * units.GPa}.items()
        for sign, turned in ((1, ""), (-1, " with the opposite sign"))
    },
    **{f"energies are in {e} and forces in {e}/Å": 1 / value for e, value in _ENERGY_UNITS.items()},
}
_FUNCTIONS, _CUTOFF = 60, 1.85  # per element; in distances of nearest neighbours
_PAIR_FUNCTIONS = 8  # per pair of elements, where those of order three would be too many
_STRUCTURES, _FOLDS, _LEAST = 100, 4, 12
_RIDGE = 1e-3  # of the mean squares of features
_BETTER = 0.7  # of the errors with the units given; those of wrong factors are 1.5 and more
_SAME, _USUAL = 0.005, (0.8, 1.25)  # of a frame's factor; of its nearest distance to others'


def check_units(structures: Sequence[Structure], elements: tuple[str, ...]) -> None:
    """Refuse energies, forces and stresses that contradict one another by a factor of units.

    A small cluster expansion is fitted to some structures with each factor in turn: that of the
    least errors on structures left out must be 1.

    Parameters
    ----------
    structures : sequence of Structure
    elements : tuple of str

    Raises
    ------
    ValueError
        Naming the label and the likely unit.
    """
    known = [one for one in structures if one.energy is not None and one.forces is not None]
    if len(known) < _LEAST:
        return
    some = known[:: max(1, len(known) // _STRUCTURES)]
    folds = _folds(some, elements)
    name = _best(folds, "energy", _ENERGIES)
    if name:
        raise ValueError(
            f"energies and forces contradict one another: they agree if {name}; convert all to eV "
            "and Å"
        )
    if sum(fold["stress"].n for fold in folds) >= 6 * _LEAST:
        name = _best(folds, "stress", _STRESSES)
        if name:
            raise ValueError(
                f"stresses contradict forces: they agree if {name}; convert all to eV and Å, "
                "stresses with the sign of ASE, (1/V) ∂E/∂ε, or call them virials"
            )


def _folds(structures: Sequence[Structure], elements: tuple[str, ...]) -> list[dict[str, TSQR]]:
    """Rows of each fold by kind, of the same size for all kinds."""
    atoms = [one.atoms for one in structures]
    r_cut = _CUTOFF * nearest_distance(atoms)
    channels = elements if len(elements) > 1 else None
    expansion = (
        cluster_expansion(_FUNCTIONS, r_cut, elements)
        if len(elements) < 3
        else ACE(r_cut, (_PAIR_FUNCTIONS,), elements=channels)
    )
    descriptor = Combined((OneBody(channels), expansion))
    symbols = [np.array(a.get_chemical_symbols()) for a in atoms]
    counts = np.array([[np.count_nonzero(s == e) for e in elements] for s in symbols], float)
    energies = np.array([float(one.energy or 0.0) for one in structures])
    root = counts.sum(axis=1) ** 0.5
    e0 = np.linalg.lstsq(counts / root[:, None], energies / root)[0]
    baseline = Baseline(elements, e0, np.zeros((len(elements), descriptor.n_features)))
    maker = RowMaker(descriptor, baseline)
    return [maker.statistics(structures[k::_FOLDS]) for k in range(_FOLDS)]


def _best(
    folds: Sequence[Mapping[str, TSQR]], kind: str, factors: Mapping[str, float]
) -> str | None:
    """Name of the factor by which labels of a kind agree with forces, None where it is 1."""
    errors = {name: _error(folds, kind, factor) for name, factor in factors.items()}
    best = min(errors, key=lambda name: errors[name])
    return best if errors[best] < _BETTER * _error(folds, kind, 1.0) else None


def _error(folds: Sequence[Mapping[str, TSQR]], kind: str, factor: float) -> float:
    """Mean square errors of forces and of a kind left out, over the labels' mean squares."""
    scaled = [{"forces": fold["forces"], kind: _times(fold[kind], factor)} for fold in folds]
    size = {k: sum(float(fold[k].rss(np.zeros(fold[k].n_features))) for fold in scaled)
            for k in scaled[0]}  # fmt: skip
    parts = [reduce(add, (fold[k].repeated(1 / size[k]) for k in fold)) for fold in scaled]
    total = 0.0
    for k, rest in left_out(parts):
        w = ridge(rest, _RIDGE * rest.mean_square, covariance=False).coefficients
        total += float(parts[k].rss(w))
    return total


def _times(stats: TSQR, factor: float) -> TSQR:
    """Statistics of the same rows with other labels."""
    triangle = stats.factor()
    return TSQR(stats.n_features).update(triangle[:, :-1], factor * triangle[:, -1])


def check_energies(structures: Sequence[Structure], elements: tuple[str, ...]) -> None:
    """Refuse a frame whose energy per atom is another's times a factor of units.

    Parameters
    ----------
    structures : sequence of Structure
    elements : tuple of str

    Raises
    ------
    ValueError
        Naming the file, the frame and the likely unit.
    """
    known = [one for one in structures if one.energy is not None and len(one.atoms) > 1]
    if len(known) < 3:
        return
    by_element = dict(zip(elements, usual_energies(known, elements), strict=True))
    for one in known:
        energy = float(one.energy or 0.0) / len(one.atoms)
        usual = float(np.mean([by_element[symbol] for symbol in one.atoms.symbols]))
        for name, factor in _ENERGY_UNITS.items():
            here = abs(energy * factor - usual) < _SAME * abs(usual)
            there = abs(usual * factor - energy) < _SAME * abs(energy)
            if (here or there) and _is_dense(one, known):
                raise ValueError(
                    f"{one.source}: the energy is {energy:.6g} eV per atom where {usual:.6g} is "
                    f"usual, as if {'in' if here else 'others were in'} {name}; convert to eV"
                )


def _is_dense(one: Structure, others: Sequence[Structure]) -> bool:
    """Tell whether neighbours are as near as elsewhere: atoms far apart have other energies."""

    def nearest(structure: Structure) -> float:
        lengths = np.linalg.norm(neighbors_of(structure.atoms, 5.0).vectors, axis=1)
        return float(lengths.min(initial=np.inf))

    usual = np.median([nearest(other) for other in others[:: max(1, len(others) // 50)]])
    return bool(_USUAL[0] < nearest(one) / usual < _USUAL[1])
