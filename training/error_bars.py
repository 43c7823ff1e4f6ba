"""Error bars that cover errors: the noise scaled to those of structures left out.

Labels of density functional theory have little noise: errors are those of the descriptor, of which
the posterior knows nothing. Every structure is predicted by a fit of the other folds, and the std
scaled to cover the errors of energies. Those of forces, of which there are many, give a std for
each range of leverages: they grow more slowly than its root, and do not vanish with it where
symmetry makes forces vanish, but labels have noise.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from thiry_calc.descriptors import Descriptor
from thiry_calc.linear import TSQR, LinearModel, ridge
from thiry_calc.linear.validate import left_out
from thiry_calc.neighbors import neighbors_of
from training.assemble import feature_sums
from training.dataset import Structure
from training.regression import covering_scale, rescaled
from training.rows import Baseline

Array = NDArray[np.float64]

_FORCE_STRUCTURES = 100  # of whose forces the errors are looked at
_BINS, _LEAST = 12, 50  # ranges of leverages, and errors in each
_VANISHING = 1e-10  # of the largest leverage: none, but for rounding


def calibrated_by_folds(
    model: LinearModel,
    parts: Sequence[TSQR],
    structures: Sequence[Structure],
    folds: NDArray[np.int64],
    descriptor: Descriptor,
    baseline: Baseline,
) -> tuple[LinearModel, Array | None]:
    """Scale the noise to the errors of structures left out.

    Parameters
    ----------
    model : LinearModel
        Fitted to all folds, K features.
    parts : sequence of F TSQR
        Weighted rows of each fold.
    structures : sequence of n Structure
    folds : ndarray, shape (n,)
        0 to F − 1.
    descriptor : Descriptor
    baseline : Baseline

    Returns
    -------
    model : LinearModel
        Scaled to the errors of energies.
    by_leverage : ndarray, shape (2, B) or None
        Leverages and std of forces, eV/Å; None without forces.
    """
    assert model.penalty is not None
    energies = [np.zeros(0)]
    errors, leverages = [np.zeros(0)], [np.zeros(0)]
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
        for one in some[:: max(1, len(some) * len(parts) // _FORCE_STRUCTURES)]:
            _, rows, _ = descriptor.push(neighbors_of(one.atoms, descriptor.cutoff))
            errors.append(np.abs(baseline.learned_forces(one) - without.predict(rows)))
            leverages.append(without.leverage(rows))
    found = std_by_leverage(np.concatenate(errors), np.concatenate(leverages))
    return rescaled(model, np.concatenate(energies)), found


def std_by_leverage(errors: Array, leverages: Array) -> Array | None:
    """Std that covers the errors of each range of leverages.

    Parameters
    ----------
    errors, leverages : ndarray, shape (n,)
        Absolute errors.

    Returns
    -------
    ndarray, shape (2, B) or None
        Leverages, growing, and their std, which does not fall; None without errors.
    """
    if len(errors) == 0:
        return None
    least = _VANISHING * leverages.max()
    null = np.flatnonzero(leverages <= least)
    rest = np.flatnonzero(leverages > least)
    rest = rest[np.argsort(leverages[rest])]
    bins = [null, *np.array_split(rest, max(1, min(_BINS, len(rest) // _LEAST)))]
    bins = [own for own in bins if len(own)]
    middle = np.array([max(np.median(leverages[own]), least) for own in bins])
    std = np.array([covering_scale(errors[own]) for own in bins])
    return np.array([middle, np.maximum.accumulate(std)])
