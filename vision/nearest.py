"""The K nearest of a stream of vectors, exactly, in memory n·K.

Distances come in blocks by matrix products, ``|a − b|² = |a|² − 2 a·b + |b|²``; each query keeps
those below its K-th best so far in a buffer of 2 K, which is cut to K when full: every distance
is compared once, and few are moved.
"""

from collections.abc import Iterable

import numpy as np
import torch
from numba import njit, prange
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["nearest"]


def nearest(
    queries: Tensor, blocks: Iterable[Tensor], n_neighbors: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Find nearest neighbours by brute force.

    Parameters
    ----------
    queries : (n, D) float32 tensor
    blocks : iterable of (m, D) float32 tensors
        Their rows are numbered in the order given.
    n_neighbors : int
        K; all are returned where fewer are given.

    Returns
    -------
    squared : (n, K) float32 array
        Squared distances, increasing.
    index : (n, K) int64 array

    Raises
    ------
    ValueError
        No neighbours asked for.
    """
    if n_neighbors < 1:
        raise ValueError(f"{n_neighbors} neighbors asked for; give 1 or more")
    n = len(queries)
    squared = np.full((n, 2 * n_neighbors), np.inf, np.float32)
    index = np.zeros((n, 2 * n_neighbors), np.int64)
    filled, limit = np.zeros(n, np.int64), np.full(n, np.float32(3e38))
    norms, seen = (queries**2).sum(1), 0
    for block in blocks:
        distances = torch.addmm(norms[:, None] + (block**2).sum(1), queries, block.T, alpha=-2)
        _offer(distances.clamp_(min=0).numpy(), seen, n_neighbors, squared, index, filled, limit)
        seen += len(block)
    kept = min(n_neighbors, seen)
    order = np.argsort(squared, axis=1, kind="stable")[:, :kept]
    return np.take_along_axis(squared, order, 1), np.take_along_axis(index, order, 1)


@njit(parallel=True, cache=True)
def _offer(distances, first, keep, squared, index, filled, limit):  # type: ignore[no-untyped-def]
    """Add the candidates of a block to the buffers."""
    for i in prange(len(distances)):
        count, bound = filled[i], limit[i]
        for j in range(distances.shape[1]):
            d = distances[i, j]
            if d < bound:
                squared[i, count] = d
                index[i, count] = first + j
                count += 1
                if count == 2 * keep:
                    order = np.argsort(squared[i])
                    squared[i] = squared[i][order]
                    index[i] = index[i][order]
                    squared[i, keep:] = np.inf
                    count = keep
                    bound = squared[i, keep - 1]
        filled[i], limit[i] = count, bound
