"""Fit a potential to labelled structures.

data → copies left out → reference energies → rows by kind and block → cutoff and weights by
cross-validation → penalties by evidence → error bars by cross-validation → potential
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thiry_calc.descriptors import ZBL, Combined, Descriptor, OneBody
from thiry_calc.linear import TSQR, LinearModel, ridge
from thiry_calc.potential import Potential, Target
from training.copies import classes, invariants
from training.dataset import Structure
from training.error_bars import with_error_bars
from training.fit_checks import check_energies_suffice
from training.folds import deal, penalty_groups, smoothness
from training.free_atoms import E0, Method, free_atom_energies, is_free_atom, usual_energies
from training.learning import Learning, learning_curve
from training.regression import compacted, largest_leverage
from training.rows import KINDS, SCALES, Baseline, GroupWeight, RowMaker, fold_statistics
from training.sparse import most_useful, without_others
from training.unit_checks import check_energies, check_units
from training.weighing import (
    ENERGY_FACTORS,
    STRESS_FACTORS,
    Choice,
    best_choice,
    joined,
    mean_square,
    weigh,
)

Array = NDArray[np.float64]

FOLDS, BLOCKS_PER_FOLD = 4, 2
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
    learning : Learning
        Errors against the number of structures.
    reference : str
        How the reference energies were found.
    n_structures, n_copies : int
        Fitted, and left out as copies of others.
    effective_parameters : float
    rank : int
    condition : float
        Of the weighted rows.
    """

    potential: Potential
    choices: Sequence[tuple[Descriptor, Choice]]
    best: Choice
    learning: Learning
    reference: Method
    n_structures: int
    n_copies: int
    effective_parameters: float
    rank: int
    condition: float

    def __str__(self) -> str:
        """List what was tried."""
        lines = ["cutoff   weights E/S   penalties   left out: energy (eV/√atom)   forces (eV/Å)"]
        for descriptor, choice in self.choices:
            f, e = choice.factors, choice.rmse
            mark = "  <- chosen" if choice is self.best else ""
            lines.append(
                f"{descriptor.cutoff:6.2f} {f['energy']:7g}/{f['stress']:<6g}{choice.strength:8g}"
                f"{e.get('energy', float('nan')):25.4f}{e.get('forces', float('nan')):16.4f}{mark}"
            )
        if "stress" in self.best.rmse and self.best.factors["stress"] == 0:
            lines.append("stresses are left out: energies and forces err more with them")
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A descriptor, the statistics of its rows by block and kind, and one way to weigh them."""

    maker: RowMaker
    blocks: Sequence[Mapping[str, TSQR]]
    choice: Choice

    @property
    def total(self) -> dict[str, TSQR]:
        return _merged(self.blocks, len(self.blocks))[0]


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
    n_functions: int | None = None,
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
    n_functions : int, optional
        How many of the descriptor's features are used, the most useful ones; all by default.

    Returns
    -------
    Fit
    """
    elements = tuple(sorted({s for one in structures for s in one.atoms.symbols}))
    energies, method = free_atom_energies(structures, elements, e0)
    distinct = _distinct(structures, elements)
    check_energies(distinct, elements)
    check_units(distinct, elements)
    used = [one for one in distinct if method != "fit" or not is_free_atom(one)]
    usual = usual_energies(used, elements)
    dealt = deal([one.group for one in used], FOLDS * BLOCKS_PER_FOLD, seed)
    if method == "fit":
        check_energies_suffice(used, dealt // BLOCKS_PER_FOLD, elements, groups)
    best: _Candidate | None = None
    choices: list[tuple[Combined, Choice]] = []
    for descriptor in descriptors:
        whole = _with_constant(descriptor, elements, method)
        zero = np.zeros((len(elements), whole.n_features))
        baseline = Baseline(elements, energies, zero, core, usual)
        maker = RowMaker(whole, baseline, SCALES, groups)
        blocks = fold_statistics(used, dealt, maker, executor, folder)
        folds, groups_of = _merged(blocks), penalty_groups(whole)
        shape = smoothness(whole, mean_square(folds))
        tried = weigh(folds, groups_of, energy_factors, stress_factors, shape=shape)
        choices += [(whole, choice) for choice in tried]
        choice = tried[best_choice(tried)]
        if best is None or choice.score < best.choice.score:  # the others' rows are let go
            best = _Candidate(maker, blocks, choice)
    assert best is not None
    model, potential = _solved(best, used, name, n_functions)
    return Fit(
        potential,
        choices,
        best.choice,
        learning_curve(best.blocks, BLOCKS_PER_FOLD, best.choice.factors, model, len(used)),
        method,
        len(used),
        len(structures) - len(distinct),
        model.effective_parameters,
        *rank_and_condition(joined(best.total, best.choice.factors)),
    )


def _distinct(structures: Sequence[Structure], elements: tuple[str, ...]) -> list[Structure]:
    """Structures of which no other is a copy, in order."""
    number = classes(invariants([one.atoms for one in structures], elements))
    first = np.unique(number, return_index=True)[1]
    return [structures[int(k)] for k in np.sort(first)]


def _merged(
    blocks: Sequence[Mapping[str, TSQR]], size: int = BLOCKS_PER_FOLD
) -> list[dict[str, TSQR]]:
    """Folds of some blocks each."""
    return [
        {kind: reduce(add, (b[kind] for b in blocks[k : k + size])) for kind in KINDS}
        for k in range(0, len(blocks), size)
    ]


def rank_and_condition(stats: TSQR) -> tuple[int, float]:
    """Rank and condition number of the weighted rows, features scaled to norm one.

    Parameters
    ----------
    stats : TSQR
        Of K features.

    Returns
    -------
    rank : int
        Singular values above K times the rounding of the largest.
    condition : float
        The largest over the smallest of these.
    """
    triangle = stats.factor()[:, : stats.n_features]
    norms = np.linalg.norm(triangle, axis=0)
    values = np.linalg.svd(triangle / np.where(norms > 0, norms, 1.0), compute_uv=False)
    kept = values[values > stats.n_features * np.finfo(float).eps * values[0]]
    return len(kept), float(kept[0] / kept[-1])


def _solved(
    best: _Candidate,
    structures: Sequence[Structure],
    name: str,
    n_functions: int | None,
) -> tuple[LinearModel, Potential]:
    """Model of the learned part, and the potential with all parts."""
    whole, baseline = best.maker.descriptor, best.maker.baseline
    assert isinstance(whole, Combined)
    total, always = joined(best.total, best.choice.factors), penalty_groups(whole) < 0
    fitted = ridge(total, best.choice.penalty)
    if n_functions is not None and n_functions < int((~always).sum()):
        fitted = without_others(total, fitted, most_useful(fitted, always, n_functions))
    scaled, of_forces = with_error_bars(fitted, structures, best.maker, best.choice.factors)
    model = compacted(scaled, total.mean_square)
    sample = [s.atoms for s in structures[:: max(1, len(structures) // LEVERAGE_STRUCTURES)]]
    limit = largest_leverage(model, whole, sample, np.zeros(whole.n_features))
    every, complete = whole.parts, model
    if baseline.core is not None:
        every, complete = (*every, baseline.core), with_one(model)
    reference = np.zeros((len(baseline.elements), complete.n_features))
    own = tuple(range(len(every)))
    target = Target(complete, own, reference, baseline.energies, limit, of_forces)
    return model, Potential(name, baseline.elements, Combined(every), {"energy": target})


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
