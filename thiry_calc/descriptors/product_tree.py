"""Weighted sums of products of projections, E = Σ_t w_t A_k1 … A_kν, and dE/dA, for many atoms.

Products with the same first factors share them: they are the leaves on the nodes of a tree (its
root is the empty product), walked once, depth first, forwards for the values and backwards for the
derivatives. With the product P_p = A_k P_parent of a node and the sum u_p = Σ_s w_s A_s over the
leaves on it,

    E = Σ_p P_p u_p,                        dE/dA_s += w_s P_p,
    ū_p = u_p + Σ_child A_child ū_child,    dE/dA_k += ū_p P_parent

(reverse accumulation: Griewank & Walther, Evaluating Derivatives, SIAM 2008, ch. 3), so that a
product costs two multiplications whatever its order. Every step is done for `LANES` atoms at once,
which is what vectorises: the factors of one atom's product lie all over its projections. Checked
against differences of the products, and through `ACE.pull`.
"""

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from thiry_calc.descriptors.density import FASTMATH

LANES = 64  # loops as long as this are vectorised, shorter ones unrolled into scalar steps


class ProductTree(NamedTuple):
    """Products of projections in the order of `contract`.

    Attributes
    ----------
    factors : ndarray of int, shape (U,)
        The projections that occur, the most frequent first; others are numbers in this array.
    leaf : ndarray of int, shape (n,)
        Where each product is among the leaves.
    depth : ndarray of int, shape (P,)
        Number of factors of each node, depth first; the root comes first.
    last : ndarray of int, shape (P,)
        The last factor of each node, 0 for the root.
    first : ndarray of int, shape (P + 1,)
        The leaves of each node.
    leaves : ndarray of int, shape (S,)
        Their factors.
    """

    factors: NDArray[np.int64]
    leaf: NDArray[np.int64]
    depth: NDArray[np.int64]
    last: NDArray[np.int64]
    first: NDArray[np.int64]
    leaves: NDArray[np.int64]


def product_tree(products: NDArray[np.int64]) -> ProductTree:
    """Arrange products as a tree.

    Parameters
    ----------
    products : ndarray of int, shape (n, ν_max)
        Numbers of the factors, −1 after the last; rows may repeat.
    """
    factors, own, counts = np.unique(
        products[products >= 0], return_inverse=True, return_counts=True
    )
    by_count = np.argsort(-counts, kind="stable")  # frequent factors in front: fewer nodes
    ranked = np.full(products.shape, len(factors))
    ranked[products >= 0] = np.argsort(by_count)[own]
    ranked = np.sort(ranked, axis=1)  # the padding goes last
    ranked[ranked == len(factors)] = -1

    distinct, leaf_of = np.unique(ranked, axis=0, return_inverse=True)
    column = np.arange(products.shape[1])
    order = np.sum(distinct >= 0, axis=1)
    above = np.where(column < order[:, None] - 1, distinct, -1)
    paths = np.concatenate([np.where(column < depth, above, -1) for depth in column])
    nodes, node_of = np.unique(paths, axis=0, return_inverse=True)  # −1 sorts first: depth first
    on_node = node_of.ravel()[-len(distinct) :]  # of the longest paths, whole
    by_node = np.argsort(on_node, kind="stable")
    depth = np.sum(nodes >= 0, axis=1)
    return ProductTree(
        factors[by_count],
        np.argsort(by_node)[leaf_of.ravel()],
        depth,
        np.maximum(nodes[np.arange(len(nodes)), np.maximum(depth - 1, 0)], 0),
        np.searchsorted(on_node[by_node], np.arange(len(nodes) + 1)),
        distinct[by_node, order[by_node] - 1],
    )


@numba.njit(cache=True, fastmath=FASTMATH)
def contract(a, depth, last, first, leaves, weights, scale, value, gradient, product, bar):
    """Fill value with E and add scale · dE/dA to gradient, for `LANES` atoms.

    Parameters
    ----------
    a : ndarray, shape (U, LANES)
        Projections of each atom.
    depth, last, first, leaves
        Of a `ProductTree`.
    weights : ndarray, shape (S,)
        Of each leaf.
    scale : float
    value : ndarray, shape (LANES,)
    gradient : ndarray, shape (U, LANES)
    product, bar : ndarray, shape (ν_max, LANES)
        Scratch: P and ū of the nodes from the root to the present one.
    """
    path = np.zeros(len(product), np.int64)
    value[:] = 0.0
    product[0] = 1.0
    level = 0
    for p in range(len(depth)):
        while level > 0 and level >= depth[p]:
            _close(level, path, a, gradient, product, bar)
            level -= 1
        level = depth[p]
        own, back = product[level], bar[level]
        if level > 0:
            path[level] = last[p]
            above, z = product[level - 1], a[last[p]]
            for v in range(LANES):
                own[v] = above[v] * z[v]
        back[:] = 0.0
        for s in range(first[p], first[p + 1]):
            z, slope, w = a[leaves[s]], gradient[leaves[s]], weights[s]
            for v in range(LANES):
                back[v] += w * z[v]
            w *= scale
            for v in range(LANES):
                slope[v] += w * own[v]
        for v in range(LANES):
            value[v] += back[v] * own[v]
            back[v] *= scale
    while level > 0:
        _close(level, path, a, gradient, product, bar)
        level -= 1


@numba.njit(cache=True, fastmath=FASTMATH)
def _close(level, path, a, gradient, product, bar):
    """Pass ū of a node that is done with to its last factor and to the node above."""
    z, slope, above = a[path[level]], gradient[path[level]], product[level - 1]
    back, back_above = bar[level], bar[level - 1]
    for v in range(LANES):
        slope[v] += back[v] * above[v]
    for v in range(LANES):
        back_above[v] += back[v] * z[v]
