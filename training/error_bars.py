"""Error bars that cover errors: the noise scaled to those of structures left out.

Labels of density functional theory have little noise: errors are those of the descriptor, of which
the posterior knows nothing. Every structure is predicted by a fit of the other folds, and the std
scaled to cover the errors of energies and, apart, those of forces.
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


def calibrated_by_folds(
    model: LinearModel,
    parts: Sequence[TSQR],
    structures: Sequence[Structure],
    folds: NDArray[np.int64],
    descriptor: Descriptor,
    baseline: Baseline,
) -> tuple[LinearModel, float]:
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
    force_noise : float
        Scaled to the errors of forces; NaN without forces.
    """
    assert model.penalty is not None
    energies, forces = [np.zeros(0)], [np.zeros(0)]
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
            errors = np.abs(baseline.learned_forces(one) - without.predict(rows))
            forces.append(errors / without.std(rows))
    ratios = np.concatenate(forces)
    force_noise = float(model.noise * covering_scale(ratios)) if len(ratios) else float("nan")
    return rescaled(model, np.concatenate(energies)), force_noise
