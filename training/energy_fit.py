"""Fit a potential to labelled structures: from files to a model, one function.

data → copies left out → reference energies → rows by kind and fold → cutoff and weights by
cross-validation → penalties by evidence → potential
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thiry_calc.descriptors import ACE, ZBL, Combined, Descriptor, OneBody
from thiry_calc.linear import TSQR, LinearModel, ridge
from thiry_calc.linear.validate import left_out
from thiry_calc.neighbors import neighbors_of
from thiry_calc.potential import Potential, Target
from training.assemble import feature_sums
from training.copies import classes, invariants
from training.dataset import Structure
from training.free_atoms import E0, Method, free_atom_energies, is_free_atom
from training.regression import bayesian_ridge, covering_scale, largest_leverage, rescaled
from training.rows import FORCE_SCALE, KINDS, Baseline, GroupWeight, RowMaker, fold_statistics
from training.weighing import (
    ENERGY_FACTORS,
    STRESS_FACTORS,
    Choice,
    best_choice,
    joined,
    weigh,
)

Array = NDArray[np.float64]

FOLDS = 4
FORCE_STRUCTURES = 100  # by whose forces the error bars of forces are scaled
LEVERAGE_STRUCTURES = 200  # among which the largest leverage of an atom is sought


@dataclass(frozen=True, eq=False)
class Fit:
    """A potential, and how it came about.

    Attributes
    ----------
    potential : Potential
    choices : sequence of (Descriptor, Choice)
        All that were tried; the best is the potential's.
    best : Choice
    reference : str
        How the reference energies were found.
    n_structures, n_copies : int
        Fitted, and left out as copies of others.
    effective_parameters : float
    """

    potential: Potential
    choices: Sequence[tuple[Descriptor, Choice]]
    best: Choice
    reference: Method
    n_structures: int
    n_copies: int
    effective_parameters: float


def fit_energy(
    structures: Sequence[Structure],
    descriptors: Sequence[Descriptor],
    e0: E0,
    groups: Mapping[str, GroupWeight],
    executor: Executor,
    folder: Path,
    name: str,
    seed: int = 0,
    energy_factors: Sequence[float] = ENERGY_FACTORS,
    stress_factors: Sequence[float] = STRESS_FACTORS,
    core: ZBL | None = None,
) -> Fit:
    """Fit energies, forces and stresses.

    Parameters
    ----------
    structures : sequence of Structure
    descriptors : sequence of Descriptor
        To choose from by cross-validation.
    e0 : mapping of str to float, "fit", "isolated" or None
        Of `training.free_atoms.free_atom_energies`.
    groups : mapping of str to GroupWeight
    executor : Executor
    folder : Path
        Where rows are kept until the caller removes them.
    name : str
        Of the potential.
    seed : int
        Deals the folds.
    energy_factors, stress_factors : sequence of float
        To try, of `training.weighing.weigh`.
    core : ZBL, optional
        Repulsion of nuclei, beside which the rest is fitted.

    Returns
    -------
    Fit
    """
    elements = tuple(sorted({s for one in structures for s in one.atoms.symbols}))
    number = classes(invariants([one.atoms for one in structures], elements))
    first = np.unique(number, return_index=True)[1]
    energies, method = free_atom_energies(structures, elements, e0)
    distinct = [structures[int(k)] for k in np.sort(first)]
    if method == "fit":
        distinct = [one for one in distinct if not is_free_atom(one)]
    folds = deal([one.group for one in distinct], FOLDS, seed)
    tried: list[tuple[Combined, list[dict[str, TSQR]], Choice]] = []
    for descriptor in descriptors:
        whole = _with_constant(descriptor, elements, method)
        zero = np.zeros((len(elements), whole.n_features))
        maker = RowMaker(whole, Baseline(elements, energies, zero, core), FORCE_SCALE, groups)
        parts = fold_statistics(distinct, folds, maker, executor, folder)
        choices = weigh(parts, penalty_groups(whole), energy_factors, stress_factors)
        tried += [(whole, parts, choice) for choice in choices]
    whole, parts, best = tried[best_choice([choice for _, _, choice in tried])]
    total = {kind: reduce(add, (part[kind] for part in parts)) for kind in KINDS}
    model = bayesian_ridge(joined(total, best.factors), penalty_groups(whole))
    zero = np.zeros((len(elements), whole.n_features))
    baseline = Baseline(elements, energies, zero, core)
    weighted = [joined(part, best.factors) for part in parts]
    model, force_noise = _calibrated(model, weighted, distinct, folds, whole, baseline)
    sample = [one.atoms for one in distinct[:: max(1, len(distinct) // LEVERAGE_STRUCTURES)]]
    limit = largest_leverage(model, whole, sample, np.zeros(whole.n_features))
    parts_used = whole.parts
    if core is not None:
        parts_used, model = (*whole.parts, core), with_one(model)
    own = tuple(range(len(parts_used)))
    reference = np.zeros((len(elements), model.n_features))
    target = Target(model, own, reference, energies, limit, force_noise)
    return Fit(
        Potential(name, elements, Combined(parts_used), {"energy": target}),
        [(d, c) for d, _, c in tried],
        best,
        method,
        len(distinct),
        len(structures) - len(first),
        model.effective_parameters,
    )


def _calibrated(
    model: LinearModel,
    parts: Sequence[TSQR],
    structures: Sequence[Structure],
    folds: NDArray[np.int64],
    descriptor: Descriptor,
    baseline: Baseline,
) -> tuple[LinearModel, float]:
    """Scale the noise to the errors of energies, each predicted by a model without its fold.

    Returns
    -------
    model : LinearModel
    force_noise : float
        Scaled to the errors of forces of some structures; NaN without forces.
    """
    assert model.penalty is not None
    energies, forces = [], [np.zeros(0)]
    for fold, rest in left_out(parts):
        without = ridge(rest, model.penalty)
        left = [one for one, f in zip(structures, folds, strict=True) if f == fold]
        known = [one for one in left if one.energy is not None]
        sums = feature_sums([one.atoms for one in known], descriptor, "error bars")
        pairs = zip(sums, known, strict=True)
        x = np.array([baseline.centered(row, one.atoms) for row, one in pairs])
        y = np.array([baseline.learned_energy(one) for one in known])
        energies.append(np.abs(y - without.predict(x)) / without.std(x))
        some = [one for one in left if one.forces is not None]
        for one in some[:: max(1, len(some) * FOLDS // FORCE_STRUCTURES)]:
            _, rows, _ = descriptor.push(neighbors_of(one.atoms, descriptor.cutoff))
            errors = np.abs(baseline.learned_forces(one) - without.predict(rows))
            forces.append(errors / without.std(rows))
    ratios = np.concatenate(forces)
    force_noise = float(model.noise * covering_scale(ratios)) if len(ratios) else float("nan")
    return rescaled(model, np.concatenate(energies)), force_noise


def with_one(model: LinearModel) -> LinearModel:
    """Add a feature whose coefficient is 1, for certain.

    Parameters
    ----------
    model : LinearModel
        Of K features, with a covariance.

    Returns
    -------
    LinearModel
        Of K + 1 features, the last one new.
    """
    assert model.leverage_factor is not None
    return replace(
        model,
        coefficients=np.append(model.coefficients, 1.0),
        leverage_factor=np.pad(model.leverage_factor, ((0, 1), (0, 0))),
        penalty=None if model.penalty is None else np.append(model.penalty, 0.0),
    )


def _with_constant(descriptor: Descriptor, elements: tuple[str, ...], method: Method) -> Combined:
    """Add a constant per element where its reference energy is no free atom's."""
    channels = elements if len(elements) > 1 else None
    constant: tuple[Descriptor, ...] = (OneBody(channels),) if method == "fit" else ()
    given = descriptor.parts if isinstance(descriptor, Combined) else (descriptor,)
    return Combined((*constant, *given))


def penalty_groups(descriptor: Combined) -> NDArray[np.int64]:
    """Group of each feature: none for constants, one for each part and body order of a part."""
    groups: list[NDArray[np.int64]] = []
    count = 0
    for part in descriptor.parts:
        if isinstance(part, OneBody):
            groups.append(np.full(part.n_features, -1))
            continue
        orders = part.orders if isinstance(part, ACE) else np.zeros(part.n_features, dtype=int)
        values, inverse = np.unique(orders, return_inverse=True)
        groups.append(count + inverse)
        count += len(values)
    return np.concatenate(groups)


def deal(groups: Sequence[str], n_folds: int, seed: int) -> NDArray[np.int64]:
    """Fold of each structure: those of a group are shuffled and dealt in turn, shape (n,).

    Parameters
    ----------
    groups : sequence of str
    n_folds : int
    seed : int
    """
    rng = np.random.default_rng(seed)
    sizes = Counter(groups)
    order = np.concatenate(
        [rng.permutation([k for k, g in enumerate(groups) if g == name]) for name in sorted(sizes)]
    )
    folds = np.empty(len(groups), dtype=np.int64)
    folds[order.astype(int)] = np.arange(len(groups)) % n_folds
    return folds
