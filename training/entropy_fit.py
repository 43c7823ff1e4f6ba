"""Fit formation entropies of defects: rows against the perfect crystal of the same box.

    x = Σ_i φ_i − N φ_box,    y = S_f (k_B)

The cutoff is chosen by cross-validation, penalties by evidence; errors have heavy tails where modes
are soft, and follow Student's t (`training.regression.fit_heavy_tailed`).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from tqdm import tqdm

from thiry_calc.crystals import crystal_of_box
from thiry_calc.defects import supercell
from thiry_calc.descriptors import Combined, Descriptor
from thiry_calc.linear import TSQR, LinearModel, ridge
from thiry_calc.linear.validate import left_out
from thiry_calc.potential import Target
from training.dataset import Structure
from training.folds import deal, penalty_groups
from training.kept import kept_arrays
from training.regression import bayesian_ridge, fit_heavy_tailed, largest_leverage, rescaled
from training.rows import GroupWeight

Array = NDArray[np.float64]

_FOLDS, _BATCH = 4, 16
_LEVERAGE_STRUCTURES = 100
_VERSION = 1


@dataclass(frozen=True)
class BulkCrystal:
    """The perfect crystal that formation entropies are counted from.

    Attributes
    ----------
    element : str
    lattice : {"bcc", "fcc"}
    a0 : float
        Å.
    """

    element: str
    lattice: str
    a0: float


@dataclass(frozen=True, eq=False)
class EntropyFit:
    """The entropy part of a potential.

    Attributes
    ----------
    descriptor : Combined
    target : Target
        Of all its parts.
    choices : sequence of (Descriptor, float)
        All that were tried, and their root mean square errors on folds left out, k_B.
    n_structures : int
    """

    descriptor: Combined
    target: Target
    choices: Sequence[tuple[Descriptor, float]]
    n_structures: int

    def __str__(self) -> str:
        """List what was tried."""
        lines = ["cutoff   left out: formation entropy (k_B)"]
        for descriptor, rmse in self.choices:
            mark = "  <- chosen" if descriptor == self.descriptor else ""
            lines.append(f"{descriptor.cutoff:6.2f}{rmse:34.4f}{mark}")
        return "\n".join(lines)


def with_entropies(
    structures: Sequence[Structure], groups: Mapping[str, GroupWeight]
) -> list[Structure]:
    """Structures whose entropies are fitted.

    Parameters
    ----------
    structures : sequence of Structure
    groups : mapping of str to GroupWeight
        Of which a factor of 0 leaves a group out.

    Returns
    -------
    list of Structure

    Raises
    ------
    ValueError
        Too few of them.
    """
    weight = GroupWeight()
    known = [
        one
        for one in structures
        if one.entropy is not None and groups.get(one.group, weight).entropy > 0
    ]
    if len(known) < 2 * _FOLDS:
        raise ValueError(
            f"{len(known)} structures have a formation_entropy_kB; a fit needs at least "
            f"{2 * _FOLDS}: add some, or leave entropy out of the targets"
        )
    return known


def fit_entropy(
    structures: Sequence[Structure],
    descriptors: Sequence[Descriptor],
    crystal: BulkCrystal,
    groups: Mapping[str, GroupWeight],
    executor: Executor,
    folder: Path,
    seed: int = 0,
) -> EntropyFit:
    """Fit formation entropies.

    Parameters
    ----------
    structures : sequence of Structure
        Those without an entropy are left out.
    descriptors : sequence of Descriptor
        To choose from by cross-validation.
    crystal : BulkCrystal
    groups : mapping of str to GroupWeight
        Factors of rows; 0 leaves the entropies of a group out.
    executor : Executor
    folder : Path
        Where rows are kept until the caller removes them.
    seed : int
        Deals the folds.

    Returns
    -------
    EntropyFit

    Raises
    ------
    ValueError
        Too few entropies, or a structure whose box is no supercell of the crystal.
    """
    known = with_entropies(structures, groups)
    factor = {name: weight.entropy for name, weight in groups.items()}
    y = np.array([one.entropy for one in known], dtype=float)
    w = np.array([factor.get(one.group, 1.0) for one in known])
    folds = deal([one.group for one in known], _FOLDS, seed)
    tried = []
    for descriptor in descriptors:
        parts = descriptor.parts if isinstance(descriptor, Combined) else (descriptor,)
        whole = Combined(tuple(parts))
        X = entropy_rows(known, whole, crystal, executor, folder)
        tried.append((whole, X, _left_out_errors(X, y, w, folds, penalty_groups(whole))))
    whole, X, _ = min(tried, key=lambda one: float(np.mean((w * one[2]) ** 2)))
    model = fit_heavy_tailed(
        lambda weights: TSQR(X.shape[1]).update(X, y, w * weights), X, y, penalty_groups(whole)
    )
    model = rescaled(model, _ratios(model, X, y, w, folds))
    perfect = supercell(crystal.a0, 2, crystal.element, crystal.lattice)
    reference = whole.values(perfect)[:1]
    some = [one.atoms for one in known[:: max(1, len(known) // _LEVERAGE_STRUCTURES)]]
    limit = largest_leverage(model, whole, some, reference[0])
    own = tuple(range(len(whole.parts)))
    return EntropyFit(
        whole,
        Target(model, own, reference, np.zeros(1), limit),
        [(one, float(np.sqrt(np.mean(miss**2)))) for one, _, miss in tried],
        len(known),
    )


def entropy_rows(
    structures: Sequence[Structure],
    descriptor: Descriptor,
    crystal: BulkCrystal,
    executor: Executor,
    folder: Path,
) -> Array:
    """Σ_i φ_i − N φ_box of each structure, shape (n, K).

    Parameters
    ----------
    structures : sequence of Structure
    descriptor : Descriptor
    crystal : BulkCrystal
    executor : Executor
    folder : Path
        Where batches of rows are kept.
    """
    batches = [structures[k : k + _BATCH] for k in range(0, len(structures), _BATCH)]
    tasks = [executor.submit(_kept_rows, b, descriptor, crystal, folder) for b in batches]
    return np.concatenate([task.result() for task in tqdm(tasks, "entropies", unit="batch")])


def _kept_rows(
    batch: Sequence[Structure], descriptor: Descriptor, crystal: BulkCrystal, folder: Path
) -> Array:
    """Rows of some structures, from their file or (in a worker) anew."""
    digest = hashlib.sha256()
    digest.update(json.dumps([_VERSION, descriptor.to_dict(), vars(crystal)]).encode())
    for one in batch:
        for array in (one.atoms.numbers, one.atoms.positions, one.atoms.cell.array):
            digest.update(np.ascontiguousarray(array).tobytes())
    path = folder / f"{digest.hexdigest()[:16]}.npz"
    rows = kept_arrays(
        path, lambda: {"rows": np.array([_row(s, descriptor, crystal) for s in batch])}
    )
    return rows["rows"]


def _row(one: Structure, descriptor: Descriptor, crystal: BulkCrystal) -> Array:
    box = crystal_of_box(one.atoms, crystal.lattice, crystal.a0, crystal.element)
    if not box.commensurate:
        raise ValueError(
            f"{one.source}: its box is no supercell of {crystal.lattice} {crystal.element} with "
            f"a0 = {crystal.a0:g} Å; correct the crystal, or leave out its entropy"
        )
    unit = Atoms([crystal.element], cell=box.primitive, pbc=True)
    total: Array = descriptor.values(one.atoms).sum(axis=0)
    row: Array = total - len(one.atoms) * descriptor.values(unit)[0]
    return row


def _parts(X: Array, y: Array, w: Array, folds: NDArray[np.int64]) -> list[TSQR]:
    own = [folds == k for k in range(_FOLDS)]
    return [TSQR(X.shape[1]).update(X[k], y[k], w[k]) for k in own]


def _left_out_errors(
    X: Array, y: Array, w: Array, folds: NDArray[np.int64], groups: NDArray[np.int64]
) -> Array:
    """Errors of each structure by a fit of the other folds, shape (n,)."""
    parts = _parts(X, y, w, folds)
    penalty = bayesian_ridge(reduce(add, parts), groups, False).penalty
    assert penalty is not None
    errors = np.empty(len(y))
    for k, rest in left_out(parts):
        own = folds == k
        errors[own] = y[own] - ridge(rest, penalty, covariance=False).predict(X[own])
    return errors


def _ratios(model: LinearModel, X: Array, y: Array, w: Array, folds: NDArray[np.int64]) -> Array:
    """|error| over std of each structure by a fit of the other folds, shape (n,)."""
    assert model.penalty is not None
    ratios = np.empty(len(y))
    for k, rest in left_out(_parts(X, y, w, folds)):
        own, without = folds == k, ridge(rest, model.penalty)
        scale = float(model.noise) * np.sqrt(without.leverage(X[own]))
        ratios[own] = np.abs(y[own] - without.predict(X[own])) / scale
    return ratios
