"""Site values and pair forces of weighted products of projections, for blocks of atoms.

The weights are contracted with the products (`product_tree`) for all atoms of a block at once,
then dE/dA with dA/dD atom by atom (`density_pull`): what an atom's neighbours gave is worked out a
second time there, which is cheaper than to keep it for a whole block.
"""

import numba
import numpy as np
from numpy.typing import NDArray

from thiry_calc.descriptors.density import FASTMATH, expand, neighborhood
from thiry_calc.descriptors.density_pull import chain, to_pairs
from thiry_calc.descriptors.product_tree import LANES, contract


def blocks_of(species: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divide atoms into blocks of one element and `LANES` atoms at most.

    Parameters
    ----------
    species : ndarray of int, shape (N,)

    Returns
    -------
    order : ndarray of int, shape (N,)
        Atoms, block after block.
    first : ndarray of int, shape (blocks + 1,)
        Where each block begins.
    """
    order = np.argsort(species, kind="stable")
    counts = np.bincount(species)
    starts = [
        np.arange(end - count, end, LANES)
        for end, count in zip(np.cumsum(counts), counts, strict=True)
    ]
    return order, np.concatenate([*starts, [len(species)]])


@numba.njit(cache=True, parallel=True, fastmath=FASTMATH)
def ace_pull(
    first, neighbor, vectors, species, r_cut, radial, recursion, n_of_l, n_channels,
    factors, depth, last, first_leaf, leaves, weights, mix, order, first_of_block,
):  # fmt: skip
    """Return site values for several weight vectors, pair forces for one mixture of them.

    Parameters
    ----------
    factors, depth, last, first_leaf, leaves
        Of a `ProductTree`.
    weights : ndarray, shape (T, n_species, S)
        Of each leaf, for each of T targets.
    mix : ndarray, shape (T,)
        Of the weights whose pair forces are wanted.
    order, first_of_block : ndarray of int
        See `blocks_of`.

    Returns
    -------
    sites : ndarray, shape (N, T)
    pair_forces : ndarray, shape (M, 3)
    """
    n_atoms = len(first) - 1
    n_max, n_l, deepest = radial.shape[0], recursion.shape[1], np.max(depth)
    longest = np.max(first[1:] - first[:-1]) if n_atoms else 0
    sites = np.zeros((n_atoms, len(mix)))
    pair_forces = np.zeros((len(neighbor), 3))
    for block in numba.prange(len(first_of_block) - 1):
        atoms = order[first_of_block[block] : first_of_block[block + 1]]
        arrays = neighborhood(first, radial, n_l, n_channels)
        pairs, geometry, segments, _, g, dg, pi, powers, _, density = arrays
        projections = density.reshape(-1)
        a, slopes = np.zeros((len(factors), LANES)), np.zeros((len(factors), LANES))
        for v in range(len(atoms)):
            count = expand(
                atoms[v], first, neighbor, vectors, species, r_cut, radial, recursion, n_of_l,
                arrays,
            )  # fmt: skip
            if count > 0:
                for k in range(len(factors)):
                    a[k, v] = projections[factors[k]]
        value = np.empty(LANES)
        product, bar = np.empty((deepest + 1, LANES)), np.empty((deepest + 1, LANES))
        for t in range(len(mix)):
            w = weights[t, species[atoms[0]]]
            contract(a, depth, last, first_leaf, leaves, w, mix[t], value, slopes, product, bar)
            for v in range(len(atoms)):
                sites[atoms[v], t] = value[v]
        gradient = np.zeros((n_channels * n_max, n_l * n_l))
        flat = gradient.reshape(-1)
        both, wide = np.empty((n_max, 2 * longest)), np.empty((2, 2 * longest))
        work = np.empty((10, longest))
        for v in range(len(atoms)):
            count = expand(
                atoms[v], first, neighbor, vectors, species, r_cut, radial, recursion, n_of_l,
                arrays,
            )  # fmt: skip
            if count == 0:
                continue
            for k in range(len(factors)):
                flat[factors[k]] = slopes[k, v]
            chain(gradient, recursion, pi, powers, g, dg, segments, n_of_l, n_max, both, work, wide)
            to_pairs(count, geometry, work, pairs, pair_forces)
    return sites, pair_forces
