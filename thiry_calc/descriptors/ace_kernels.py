"""Numba kernels of the atomic cluster expansion; arrays as in `density`.

A term is a product of up to four density projections, A_a A_b …, with flat indices
a = q n_lm + lm, and a coefficient; a function is a sum of terms. `ace_push` multiplies, atom by
atom, dB/dA, which is sparse (a function knows few projections), by dA/dD. Weighted sums are in
`ace_pull`.
"""

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from thiry_calc.descriptors.density import FASTMATH, expand, neighborhood
from thiry_calc.descriptors.density_push import neighbor_gradients


class Terms(NamedTuple):
    """Terms sorted by order.

    Attributes
    ----------
    indices : ndarray of int, shape (n, ν_max)
        Flat indices of the factors, −1 beyond the order.
    coefficients : ndarray, shape (n,)
    feature : ndarray of int, shape (n,)
    first : ndarray of int, shape (ν_max + 1,)
        Where the terms of each order begin.
    """

    indices: NDArray[np.int64]
    coefficients: NDArray[np.float64]
    feature: NDArray[np.int64]
    first: NDArray[np.int64]


class Jacobian(NamedTuple):
    """Where dB_k/dA has entries.

    Attributes
    ----------
    slots : ndarray of int, shape (n, ν_max)
        To which entry each factor of a term adds.
    first : ndarray of int, shape (K + 1,)
        The entries of each function.
    projections : ndarray of int, shape (entries,)
        Their flat indices.
    """

    slots: NDArray[np.int64]
    first: NDArray[np.int64]
    projections: NDArray[np.int64]


@numba.njit(cache=True, fastmath=FASTMATH)
def _product(a, indices, t, order):
    value = a[indices[t, 0]]
    for s in range(1, order):
        value *= a[indices[t, s]]
    return value


@numba.njit(cache=True, parallel=True, fastmath=FASTMATH)
def ace_values(
    first, neighbor, vectors, species, r_cut, radial, recursion, n_of_l, n_channels,
    indices, coefficients, feature, order_first, n_functions, n_chunks,
):  # fmt: skip
    """Return B_k of every centre, shape (N, K)."""
    n_atoms = len(first) - 1
    out = np.zeros((n_atoms, n_functions))
    for chunk in numba.prange(n_chunks):
        arrays = neighborhood(first, radial, recursion.shape[1], n_channels)
        a = arrays[9].reshape(-1)
        for i in range(chunk * n_atoms // n_chunks, (chunk + 1) * n_atoms // n_chunks):
            count = expand(
                i, first, neighbor, vectors, species, r_cut, radial, recursion, n_of_l, arrays
            )
            if count == 0:
                continue
            for order in range(1, len(order_first)):
                for t in range(order_first[order - 1], order_first[order]):
                    out[i, feature[t]] += coefficients[t] * _product(a, indices, t, order)
    return out


@numba.njit(cache=True, fastmath=FASTMATH)
def _function_gradients(a, indices, coefficients, slots, order_first, out):
    """Fill out with the entries of dB_k/dA."""
    out[:] = 0.0
    for order in range(1, len(order_first)):
        for t in range(order_first[order - 1], order_first[order]):
            for s in range(order):
                value = coefficients[t]
                for u in range(order):
                    if u != s:
                        value *= a[indices[t, u]]
                out[slots[t, s]] += value


@numba.njit(cache=True, fastmath=FASTMATH)
def _projection_gradients(
    count, segments, geometry, g, dg, pi, powers, y, recursion, n_of_l, n_max, grad_y, out
):
    """Fill out (projections, 3 count) with dA/dD, columns ordered by neighbour, then x, y, z."""
    n_lm = y.shape[0]
    out[:, : 3 * count] = 0.0  # a neighbour adds to the projections of its own element only
    for channel in range(segments.shape[0] - 1):
        for j in range(segments[channel], segments[channel + 1]):
            neighbor_gradients(j, geometry, pi, powers, y, recursion, grad_y)
            for n in range(n_max):
                row = (channel * n_max + n) * n_lm
                l = 0  # noqa: E741
                while l < len(n_of_l) and n_of_l[l] > n:
                    l += 1  # noqa: E741
                for lm in range(l * l):
                    along = dg[n, j] * y[lm, j]
                    for c in range(3):
                        out[row + lm, 3 * j + c] = along * geometry[c, j] + g[n, j] * grad_y[c, lm]


@numba.njit(cache=True, nogil=True, fastmath=FASTMATH)
def ace_push(
    first, neighbor, vectors, species, r_cut, radial, recursion, n_of_l, n_channels,
    indices, coefficients, feature, order_first, slots, own_first, projections, n_functions,
):  # fmt: skip
    """Return sums over atoms and their derivatives along positions and the nine strains.

    Returns
    -------
    total : ndarray, shape (n_species, K)
    rows : ndarray, shape (3N, n_species, K)
    strain : ndarray, shape (9, n_species, K)
    """
    n_atoms = len(first) - 1
    n_max, n_l = radial.shape[0], recursion.shape[1]
    longest = np.max(first[1:] - first[:-1]) if n_atoms else 0
    total = np.zeros((n_channels, n_functions))
    rows = np.zeros((3 * n_atoms, n_channels, n_functions))
    strain = np.zeros((9, n_channels, n_functions))
    arrays = neighborhood(first, radial, n_l, n_channels)
    pairs, geometry, segments, _, g, dg, pi, powers, y, density = arrays
    a = density.reshape(-1)
    by_projection = np.empty(len(projections))
    by_neighbor = np.empty((len(a), 3 * longest))
    slopes = np.empty((n_functions, 3 * longest))
    grad_y = np.empty((3, n_l * n_l))
    for i in range(n_atoms):
        count = expand(
            i, first, neighbor, vectors, species, r_cut, radial, recursion, n_of_l, arrays
        )
        if count == 0:
            continue
        z = species[i]
        for order in range(1, len(order_first)):
            for t in range(order_first[order - 1], order_first[order]):
                total[z, feature[t]] += coefficients[t] * _product(a, indices, t, order)
        _function_gradients(a, indices, coefficients, slots, order_first, by_projection)
        _projection_gradients(
            count,
            segments,
            geometry,
            g,
            dg,
            pi,
            powers,
            y,
            recursion,
            n_of_l,
            n_max,
            grad_y,
            by_neighbor,
        )
        _chain_rows(by_projection, own_first, projections, by_neighbor, 3 * count, slopes)
        for j in range(count):
            other = neighbor[pairs[j]]
            for c in range(3):
                onto, off = rows[3 * other + c, z], rows[3 * i + c, z]
                for k in range(n_functions):
                    onto[k] += slopes[k, 3 * j + c]
                    off[k] -= slopes[k, 3 * j + c]
        _strain_rows(count, geometry, slopes, strain[:, z])
    return total, rows, strain


@numba.njit(cache=True, fastmath=FASTMATH)
def _chain_rows(entries, own_first, projections, by_neighbor, width, slopes):
    """Fill slopes (K, width) = dB/dA · dA/dD."""
    for k in range(len(own_first) - 1):
        line = slopes[k, :width]
        line[:] = 0.0
        for slot in range(own_first[k], own_first[k + 1]):
            factor, row = entries[slot], by_neighbor[projections[slot], :width]
            for j in range(width):
                line[j] += factor * row[j]


@numba.njit(cache=True, fastmath=FASTMATH)
def _strain_rows(count, geometry, slopes, strain):
    """Add D_d ∂B/∂D_c to strain (9, K), row 3c + d."""
    for k in range(slopes.shape[0]):
        for c in range(3):
            for d in range(3):
                total = 0.0
                for j in range(count):
                    total += slopes[k, 3 * j + c] * geometry[d, j] * geometry[3, j]
                strain[3 * c + d, k] += total


@numba.njit(cache=True, fastmath=FASTMATH)
def ace_curve(a, indices, order_first, weights):
    """Return gradient (U,) and Hessian (U, U) of weighted products of two and more projections.

    Parameters
    ----------
    a : ndarray, shape (U,)
    indices : ndarray of int, shape (terms, ν_max)
        Into a.
    order_first : ndarray of int
        Where the terms of order 2, 3, … begin, and their end.
    weights : ndarray, shape (terms,)
    """
    gradient, second = np.zeros(len(a)), np.zeros((len(a), len(a)))
    for k in range(len(order_first) - 1):
        order = k + 2
        for t in range(order_first[k], order_first[k + 1]):
            for s in range(order):
                value = weights[t]
                for u in range(order):
                    if u != s:
                        value *= a[indices[t, u]]
                gradient[indices[t, s]] += value
                for v in range(s):
                    value = weights[t]
                    for u in range(order):
                        if u != s and u != v:
                            value *= a[indices[t, u]]
                    second[indices[t, s], indices[t, v]] += value
                    second[indices[t, v], indices[t, s]] += value
    return gradient, second
