"""What Fe-AM04 and Fe-AM04-AFS are made of: springs, descriptors, and who uses which."""

import numpy as np
from numpy.typing import NDArray

from thiry_calc.defects import supercell
from thiry_calc.descriptors import AFS, Combined, LocalLogDet, Pair, PowerSpectrum
from thiry_calc.linear import TSQR, LinearModel
from training.effective_pair import effective_pair
from training.references.am04 import LATTICE_CONSTANT, AM04Functions
from training.regression import LEAST, calibrated, fit_heavy_tailed, penalty_groups

Array = NDArray[np.float64]

# The springs of the local log-determinants: 200 functions resolve 0.02 Å, for the force constants
# of AM04 change slope every 0.1 Å and entropies feel it (40 functions: errors twice as large).
R_MIN, R_FIT, N_FUNCTIONS = 1.6, 2.06, 200
SPRINGS = effective_pair(AM04Functions(), supercell(LATTICE_CONSTANT, 3), R_MIN, N_FUNCTIONS, R_FIT)
# 0 and 1 carry the energy, and with 3 the entropy of Fe-AM04; 2 is the published descriptor
PARTS = (
    PowerSpectrum(r_cut=5.0, n_max=12, l_max=6, elements=("Fe",)),
    Pair(r_cut=5.3, n_max=40, elements=("Fe",)),
    AFS(r_cut=5.0, n_max=20, l_max=10, elements=("Fe",)),
    LocalLogDet(
        AM04Functions.cutoff, R_MIN, SPRINGS, ((0.1, 0.2), (3.0, 4.0), (4.8, 5.3)), shift=0.3
    ),
)
SHARED, PUBLISHED, ENTROPY = (0, 1), (2,), (0, 1, 3)
ALL = Combined(PARTS)
MODELS = {
    "AFS (published)": PUBLISHED,
    "power spectrum + pair": SHARED,
    "Fe-AM04": ENTROPY,
}
"""Parts by the titles of reports."""

# Smallest penalties of each part's features, in units of their mean squares. The evidence of 12,000
# labels without noise wants next to none. Beside local log-determinants, 1e-2 costs 3 % where
# families are left out, and wins 18 % where clusters of 5 to 12 defects are predicted from smaller
# ones; alone, power spectrum and AFS do not gain. The latter needs 1e-3 for derivatives of the
# entropy that agree with differences to 1e-8 k_B/Å.
_LEAST = {SHARED: (LEAST, LEAST), PUBLISHED: (1e-3,), ENTROPY: (1e-2, 1e-2, LEAST)}


def least_penalties(parts: tuple[int, ...]) -> Array:
    """Smallest penalties of the features of one of the models' parts, shape (K of the parts,)."""
    return np.array(_LEAST[parts])[penalty_groups(ALL, parts)]


def columns_of(parts: tuple[int, ...]) -> NDArray[np.int64]:
    """Columns of `ALL` that belong to some of its parts, shape (K of the parts,)."""
    return np.concatenate([np.arange(ALL.n_features)[ALL.columns[p]] for p in parts])


def parts_of(parts: tuple[int, ...]) -> Combined:
    """Return the descriptor of some of the parts."""
    return Combined(tuple(PARTS[p] for p in parts))


def entropy_rows_model(features: Array, entropy: Array, parts: tuple[int, ...]) -> LinearModel:
    """Entropy model of plain rows, without strained crystals or calibration.

    Parameters
    ----------
    features : ndarray, shape (n, K of the parts)
    entropy : ndarray, shape (n,)
        k_B.
    parts : tuple of int

    Returns
    -------
    LinearModel
    """

    def weighted(weights: Array) -> TSQR:
        return TSQR(features.shape[1]).update(features, entropy, weights)

    groups = penalty_groups(ALL, parts)
    return fit_heavy_tailed(weighted, features, entropy, groups, least_penalties(parts))


def predicted(
    features: Array, entropy: Array, new: Array, parts: tuple[int, ...]
) -> tuple[Array, Array]:
    """Predictions of such a model, and their std, scaled to the errors of a tenth left out.

    Parameters
    ----------
    features, entropy : ndarray, shapes (n, K of the parts) and (n,)
        To fit.
    new : ndarray, shape (m, K of the parts)
    parts : tuple of int

    Returns
    -------
    predictions, std : ndarray, shape (m,)
        k_B.
    """
    tenth = np.random.default_rng(1).permutation(len(entropy)) % 10 == 0
    without = entropy_rows_model(features[~tenth], entropy[~tenth], parts)
    std = calibrated(without, features[tenth], entropy[tenth]).std(new)
    return entropy_rows_model(features, entropy, parts).predict(new), std
