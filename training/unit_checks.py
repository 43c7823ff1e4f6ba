"""Labels in other units than eV and Å, found by what they must agree on.

Forces are the derivative of the energy, and stresses that by strain: one set of coefficients fits
both only in the right units. A frame whose energy per atom differs from the others by a factor of
units is named.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache

import numpy as np
import scipy.linalg
from ase import units
from numpy.typing import NDArray

from thiry_calc.descriptors import Combined, OneBody
from thiry_calc.neighbors import neighbors_of
from training.dataset import Structure
from training.free_atoms import usual_energies
from training.presets import cluster_expansion, nearest_distance
from training.rows import Baseline, RowMaker, Scales

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
_STRUCTURES, _FOLDS, _LEAST = 100, 4, 12
_RIDGE = 1e-6  # of the sums of squares of features
_EXPLAINED = 0.5  # of the mean squares of both kinds, which add up to 2: more teaches nothing
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
    step = max(1, len(known) // _STRUCTURES)
    samples = [known[k::step] for k in sorted({0, step // 3, 2 * step // 3})]

    @cache
    def folds_of(sample: int) -> list[list[dict[str, Array]]]:
        return [_folds(samples[sample], elements, typical) for typical in (False, True)]

    in_turn = range(len(samples))
    name = _agreed(map(folds_of, in_turn), "energy", _ENERGIES)
    if name:
        raise ValueError(
            f"energies and forces contradict one another: they agree if {name}; convert all to eV "
            "and Å"
        )
    if min(sum(one.stress is not None for one in some) for some in samples) >= _LEAST:
        name = _agreed(map(folds_of, in_turn), "stress", _STRESSES)
        if name:
            raise ValueError(
                f"stresses contradict forces: they agree if {name}; convert all to eV and Å, "
                "stresses with the sign of ASE, (1/V) ∂E/∂ε, or call them virials"
            )


def _agreed(
    samples: Iterable[Sequence[Sequence[Mapping[str, Array]]]],
    kind: str,
    factors: Mapping[str, float],
) -> str | None:
    """Name of the likely factor of the first sample, None unless all samples have one."""
    first = None
    for both in samples:
        name = _likely(both, kind, factors)
        if name is None:
            return None
        first = first or name
    return first


def _folds(
    structures: Sequence[Structure], elements: tuple[str, ...], typical: bool
) -> list[dict[str, Array]]:
    """[X, y]ᵀ[X, y] of each fold by kind; large labels count like others, or like typical ones."""
    atoms = [one.atoms for one in structures]
    r_cut = _CUTOFF * nearest_distance(atoms)
    channels = elements if len(elements) > 1 else None
    expansion = cluster_expansion(_FUNCTIONS, r_cut, elements)
    descriptor = Combined((OneBody(channels), expansion))
    symbols = [np.array(a.get_chemical_symbols()) for a in atoms]
    counts = np.array([[np.count_nonzero(s == e) for e in elements] for s in symbols], float)
    energies = np.array([float(one.energy or 0.0) for one in structures])
    root = counts.sum(axis=1) ** 0.5
    e0 = np.linalg.lstsq(counts / root[:, None], energies / root)[0]
    zero = np.zeros((len(elements), descriptor.n_features))
    baseline = Baseline(elements, e0, zero, usual=e0)
    scales = _typical_sizes(structures, baseline) if typical else Scales()
    maker = RowMaker(descriptor, baseline, scales)
    triangles = [
        {kind: statistics.factor() for kind, statistics in maker.statistics(own).items()}
        for own in (structures[k::_FOLDS] for k in range(_FOLDS))
    ]
    return [{kind: R.T @ R for kind, R in fold.items()} for fold in triangles]


def _typical_sizes(structures: Sequence[Structure], baseline: Baseline) -> Scales:
    """Medians, in whatever units."""
    above = [baseline.excess(one) for one in structures]
    forces = np.concatenate([one.forces for one in structures if one.forces is not None])
    virials = [
        np.abs(one.stress).max() * one.atoms.get_volume() / len(one.atoms)
        for one in structures
        if one.stress is not None
    ]
    return Scales(_median(above), _median(np.linalg.norm(forces, axis=1)), _median(virials))


def _median(sizes: Sequence[float] | Array) -> float:
    """Median of those that do not vanish, infinity where all do."""
    some = np.asarray(sizes)[np.asarray(sizes) > 0]
    return float(np.median(some)) if len(some) else float("inf")


def _likely(
    both: Sequence[Sequence[Mapping[str, Array]]], kind: str, factors: Mapping[str, float]
) -> str | None:
    """Name of the factor by which labels of a kind agree with forces, None where it may be 1.

    Collisions hide all else where rows of large labels count like others; where they do not, a few
    defects may be hidden by many structures at rest. One of the two must explain the labels, and
    none may do so with the units given.
    """
    found = {}
    for folds in both:
        errors = {name: _error(folds, kind, factor) for name, factor in factors.items()}
        best, given = min(errors, key=lambda name: errors[name]), _error(folds, kind, 1.0)
        if min(errors[best], given) > _EXPLAINED:
            continue
        if errors[best] > _BETTER * given:
            return None
        found[errors[best]] = best
    return found[min(found)] if found else None


def _error(folds: Sequence[Mapping[str, Array]], kind: str, factor: float) -> float:
    """Mean square errors of forces and of a kind left out, over the labels' mean squares."""
    scaled = [{"forces": fold["forces"], kind: _times(fold[kind], factor)} for fold in folds]
    size = {k: sum(fold[k][-1, -1] for fold in scaled) for k in scaled[0]}
    if min(size.values()) == 0:
        return float("inf")  # labels of zero agree with anything
    parts = [sum(fold[k] / size[k] for k in fold) for fold in scaled]
    total = np.sum(parts, axis=0)
    return float(sum(_left_out(part, total - part) for part in parts))


def _left_out(part: Array, rest: Array) -> float:
    """Squared errors on a part of rows by a fit of the rest, from their [X, y]ᵀ[X, y]."""
    size = np.diag(rest)[:-1]
    penalty = _RIDGE * np.where(size > 0, size, 1.0)
    factor = scipy.linalg.cho_factor(rest[:-1, :-1] + np.diag(penalty))
    w = np.append(scipy.linalg.cho_solve(factor, rest[:-1, -1]), -1.0)
    return max(float(w @ part @ w), 0.0)


def _times(gram: Array, factor: float) -> Array:
    """[X, y]ᵀ[X, y] of the same rows with other labels."""
    scale = np.append(np.ones(len(gram) - 1), factor)
    return gram * np.outer(scale, scale)


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
