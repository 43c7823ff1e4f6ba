"""Fit one target of a potential from statistics of rows.

Penalties of each descriptor's features are groups of their own, chosen by evidence with the noise;
within a group features are compared by their size in the data (a unit-free ridge). The covariance
is kept as a factor of low rank in single precision, so that a model file stays small.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from thiry_calc.descriptors import Combined
from thiry_calc.linear import LinearModel, Statistics, evidence

Array = NDArray[np.float64]


def penalty_groups(descriptor: Combined, parts: tuple[int, ...]) -> NDArray[np.int64]:
    """Group of each feature of the chosen parts: one group per part, shape (K of the parts,)."""
    sizes = [descriptor.parts[p].n_features for p in parts]
    return np.repeat(np.arange(len(parts)), sizes)


def fit(
    statistics: Statistics,
    groups: NDArray[np.int64],
    rank: int = 200,
    min_noise: float = 0.0,
) -> LinearModel:
    """Bayesian ridge with one penalty per group.

    Parameters
    ----------
    statistics : Statistics
        Of K features.
    groups : ndarray, shape (K,)
    rank : int
        Directions of the covariance that are kept.
    min_noise : float
        Lower bound of the noise of a row of unit weight.

    Returns
    -------
    LinearModel
        Coefficients in double precision, leverage factor of the given rank.
    """
    model = evidence(statistics, groups, prior=_sizes(statistics), min_noise=min_noise)
    return compacted(model, statistics, rank)


def _sizes(statistics: Statistics) -> Array:
    size = statistics.mean_square
    return np.where(size > 0, size, size[size > 0].min(initial=1.0))


def compacted(model: LinearModel, statistics: Statistics, rank: int = 200) -> LinearModel:
    """Keep the dominant directions of the covariance, in single precision.

    Parameters
    ----------
    model : LinearModel
    statistics : Statistics
        What it was fitted to: dominance is measured in the predicted variance.
    rank : int
        Directions that are kept.

    Returns
    -------
    LinearModel
    """
    compact = model.low_rank(rank, scale=np.sqrt(_sizes(statistics)))
    assert compact.leverage_factor is not None
    return replace(
        compact,
        leverage_factor=compact.leverage_factor.astype(np.float32).astype(np.float64),
    )
