"""Summed density sums and their derivatives, feature by feature: the rows of a fit.

    Σ_i S_pl,    ∂(Σ_i S_pl)/∂R,    ∂(Σ_i S_pl)/∂ε      and the same of s_p,

from ∂S_pl/∂D_ij = Σ_m [A_q2,lm ∂(g_n1 Y_lm) + A_q1,lm ∂(g_n2 Y_lm)] for each neighbour in turn; no
array over pairs and features is ever held (see `density` for the notation).
"""

import numba
import numpy as np

from thiry_calc.descriptors.density import (
    FASTMATH,
    expand,
    legendre_sums,
    neighborhood,
    self_sum,
)


@numba.njit(cache=True, fastmath=FASTMATH)
def neighbor_gradients(j, geometry, pi, powers, y, recursion, grad_y):
    """Fill grad_y (3, n_lm): the gradient of Y_lm(r̂_ij) with respect to D_ij."""
    n_l = recursion.shape[1]
    x, yy, z, r = geometry[0, j], geometry[1, j], geometry[2, j], geometry[3, j]
    for l in range(n_l):  # noqa: E741
        for m in range(l + 1):
            dz = recursion[2, l, m] * pi[l, m + 1, j] if m < l else 0.0
            c, s = powers[0, m, j], powers[1, m, j]
            p = m * pi[l, m, j] if m > 0 else 0.0
            c1 = powers[0, m - 1, j] if m > 0 else 0.0
            s1 = powers[1, m - 1, j] if m > 0 else 0.0
            for part in range(2 if m > 0 else 1):
                lm = l * l if m == 0 else l * l + 2 * m - 1 + part
                gx = p * (c1 if part == 0 else s1)
                gy = p * (-s1 if part == 0 else c1)
                gz = dz * (c if part == 0 else s)
                along = x * gx + yy * gy + z * gz
                grad_y[0, lm] = (gx - along * x) / r
                grad_y[1, lm] = (gy - along * yy) / r
                grad_y[2, lm] = (gz - along * z) / r


@numba.njit(cache=True, fastmath=FASTMATH)
def _partial_sums(j, density, y, grad_y, n_l, partial):
    """Fill partial (4, Q, n_l): Σ_m Y_lm A_q,lm and Σ_m ∇Y_lm A_q,lm for neighbour j."""
    for q in range(density.shape[0]):
        for l in range(n_l):  # noqa: E741
            u = vx = vy = vz = 0.0
            for lm in range(l * l, (l + 1) * (l + 1)):
                a = density[q, lm]
                u += a * y[lm, j]
                vx += a * grad_y[0, lm]
                vy += a * grad_y[1, lm]
                vz += a * grad_y[2, lm]
            partial[0, q, l] = u
            partial[1, q, l] = vx
            partial[2, q, l] = vy
            partial[3, q, l] = vz


@numba.njit(cache=True, fastmath=FASTMATH)
def _product_gradients(j, a, g, dg, unit, products, partial, n_max, n_l, lines, slopes):
    """Fill lines (3, P n_l) and slopes (3, P): gradients of S_pl and s_p for neighbour j."""
    lines[:] = 0.0
    slopes[:] = 0.0
    for p in range(products.shape[0]):
        for side in range(2):
            n = products[p, side] - a * n_max
            if n < 0 or n >= n_max:
                continue
            q2 = products[p, 1 - side]
            n2 = q2 - a * n_max
            for c in range(3):
                gn, dgn = g[n, j], dg[n, j] * unit[c]
                line = lines[c, p * n_l : (p + 1) * n_l]
                for l in range(n_l):  # noqa: E741
                    line[l] += dgn * partial[0, q2, l] + gn * partial[1 + c, q2, l]
                if n2 >= 0 and n2 < n_max:
                    slopes[c, p] += dgn * g[n2, j]


@numba.njit(cache=True, fastmath=FASTMATH)
def _add(row, factor, line):
    """Add factor · line to row; an explicit loop, which numba vectorises without a temporary."""
    for k in range(row.shape[0]):
        row[k] += factor * line[k]


@numba.njit(cache=True, nogil=True, fastmath=FASTMATH)
def site_push(
    first,
    neighbor,
    vectors,
    species,
    r_cut,
    coefficients,
    recursion,
    products,
    n_channels,
    n_species,
):
    """Return the summed rows of S and s with their derivatives.

    Returns
    -------
    sums, self_sums : ndarray, shapes (n_species, P, n_l) and (n_species, P)
    d_sums, d_self : ndarray, shapes (3N, n_species, P, n_l) and (3N, n_species, P)
        Derivatives with respect to the positions.
    e_sums, e_self : ndarray, shapes (9, n_species, P, n_l) and (9, n_species, P)
        Derivatives with respect to the strain components (c, d), row c·3 + d.
    """
    n_atoms = len(first) - 1
    n_max, n_l = coefficients.shape[0], recursion.shape[1]
    n_products, n_of_l = products.shape[0], np.full(n_l, n_max)
    sums = np.zeros((n_species, n_products, n_l))
    self_sums = np.zeros((n_species, n_products))
    d_sums = np.zeros((3 * n_atoms, n_species, n_products * n_l))
    d_self = np.zeros((3 * n_atoms, n_species, n_products))
    e_sums = np.zeros((9, n_species, n_products * n_l))
    e_self = np.zeros((9, n_species, n_products))
    arrays = neighborhood(first, coefficients, n_l, n_channels)
    pairs, geometry, segments, _, g, dg, pi, powers, y, density = arrays
    grad_y = np.empty((3, n_l * n_l))
    partial = np.empty((4, n_channels * n_max, n_l))
    lines, slopes = np.empty((3, n_products * n_l)), np.empty((3, n_products))
    line, unit = np.empty(n_l), np.empty(3)
    for i in range(n_atoms):
        count = expand(
            i, first, neighbor, vectors, species, r_cut, coefficients, recursion, n_of_l, arrays
        )
        if count == 0:
            continue
        z = species[i]
        for p in range(n_products):
            q1, q2 = products[p, 0], products[p, 1]
            legendre_sums(density, q1, q2, n_l, line)
            _add(sums[z, p], 1.0, line)
            if q1 // n_max == q2 // n_max:
                self_sums[z, p] += self_sum(g, segments, n_max, q1, q2)
        for a in range(n_channels):
            for j in range(segments[a], segments[a + 1]):
                neighbor_gradients(j, geometry, pi, powers, y, recursion, grad_y)
                _partial_sums(j, density, y, grad_y, n_l, partial)
                for c in range(3):
                    unit[c] = geometry[c, j]
                _product_gradients(j, a, g, dg, unit, products, partial, n_max, n_l, lines, slopes)
                other = neighbor[pairs[j]]
                for c in range(3):
                    _add(d_sums[3 * other + c, z], 1.0, lines[c])
                    _add(d_sums[3 * i + c, z], -1.0, lines[c])
                    _add(d_self[3 * other + c, z], 1.0, slopes[c])
                    _add(d_self[3 * i + c, z], -1.0, slopes[c])
                    for d in range(3):
                        reach = unit[d] * geometry[3, j]
                        _add(e_sums[3 * c + d, z], reach, lines[c])
                        _add(e_self[3 * c + d, z], reach, slopes[c])
    return (
        sums,
        self_sums,
        d_sums.reshape(3 * n_atoms, n_species, n_products, n_l),
        d_self,
        e_sums.reshape(9, n_species, n_products, n_l),
        e_self,
    )
