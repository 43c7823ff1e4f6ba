"""Kernels of `curvature`: derivatives of spherical harmonics, blocks of one centre, their sum."""

import numba
import numpy as np


@numba.njit(cache=True)
def _harmonics(recursion, u, pi, power, y, dy, ddy):
    """Fill Y_lm of one unit vector and its derivatives as a polynomial in the components.

    Parameters
    ----------
    recursion : ndarray, shape (3, l_max + 1, l_max + 1)
    u : ndarray, shape (3,)
    pi : ndarray, shape (l_max + 1, l_max + 3)
        Scratch: Π_l^m, to stay zero for m > l.
    power : ndarray, shape (l_max + 3, 2)
        Scratch: (x + iy)^m at m + 2, to stay zero below.
    y, dy, ddy : ndarray, shapes (n_lm,), (3, n_lm) and (6, n_lm)
        The second derivatives in the order xx, yy, zz, yz, xz, xy.
    """
    n_l = recursion.shape[1]
    for m in range(n_l):
        pi[m, m] = recursion[0, m, m]
        for l in range(m + 1, n_l):  # noqa: E741
            pi[l, m] = recursion[0, l, m] * u[2] * pi[l - 1, m]
            if l > m + 1:
                pi[l, m] -= recursion[1, l, m] * pi[l - 2, m]
    power[2, 0], power[2, 1] = 1.0, 0.0
    for m in range(1, n_l):
        power[m + 2, 0] = power[m + 1, 0] * u[0] - power[m + 1, 1] * u[1]
        power[m + 2, 1] = power[m + 1, 0] * u[1] + power[m + 1, 1] * u[0]
    for l in range(n_l):  # noqa: E741
        for m in range(l + 1):
            d1 = recursion[2, l, m]
            d2 = d1 * recursion[2, l, m + 1] if m + 1 <= l else 0.0
            p0, p1, p2 = pi[l, m], d1 * pi[l, m + 1], d2 * pi[l, m + 2]
            n1, n2 = float(m), float(m * (m - 1))
            for part in range(2 if m else 1):  # cosine, sine; ∂/∂y turns one into the other
                k = l * l + max(2 * m - 1 + part, 0)
                e0, e1, e2 = power[m + 2, part], n1 * power[m + 1, part], n2 * power[m, part]
                if part == 0:
                    i1, i2 = -n1 * power[m + 1, 1], -n2 * power[m, 1]
                else:
                    i1, i2 = n1 * power[m + 1, 0], n2 * power[m, 0]
                y[k] = p0 * e0
                dy[0, k], dy[1, k], dy[2, k] = p0 * e1, p0 * i1, p1 * e0
                ddy[0, k], ddy[1, k], ddy[2, k] = p0 * e2, -p0 * e2, p2 * e0
                ddy[3, k], ddy[4, k], ddy[5, k] = p1 * i1, p1 * e1, p0 * i2


@numba.njit(cache=True)
def _scratch(recursion):
    n_l = recursion.shape[1]
    n_lm = n_l * n_l
    pi, power = np.zeros((n_l, n_l + 2)), np.zeros((n_l + 2, 2))
    return pi, power, np.zeros(n_lm), np.zeros((3, n_lm)), np.zeros((6, n_lm))


@numba.njit(cache=True)
def harmonic_slopes(recursion, u):
    """Return Y_lm of unit vectors and the derivatives across them, P ∂Y/∂u.

    Parameters
    ----------
    recursion : ndarray, shape (3, l_max + 1, l_max + 1)
    u : ndarray, shape (J, 3)

    Returns
    -------
    y, across : ndarray, shapes (n_lm, J) and (n_lm, J, 3)
    """
    pi, power, own, d, dd = _scratch(recursion)
    y, across = np.empty((len(own), len(u))), np.empty((len(own), len(u), 3))
    for j in range(len(u)):
        _harmonics(recursion, u[j], pi, power, own, d, dd)
        for k in range(len(own)):
            y[k, j] = own[k]
            along = u[j, 0] * d[0, k] + u[j, 1] * d[1, k] + u[j, 2] * d[2, k]
            for a in range(3):
                across[k, j, a] = d[a, k] - along * u[j, a]
    return y, across


@numba.njit(cache=True)
def projection_slopes(used, n_max, species, u, r, g, dg, y, across):
    """∂A/∂D of some projections with respect to the vectors to the neighbours, shape (U, 3J).

    Parameters
    ----------
    used : ndarray of int, shape (U,)
        The projections, (channel · n_max + n) · n_lm + lm.
    n_max : int
    species : ndarray of int, shape (J,)
    u, r : ndarray, shapes (J, 3) and (J,)
    g, dg : ndarray, shape (n_max, J)
    y, across : ndarray, shapes (n_lm, J) and (n_lm, J, 3)
        Of `harmonic_slopes`.
    """
    out = np.zeros((len(used), 3 * len(r)))
    for t in range(len(used)):
        q, lm = divmod(used[t], len(y))
        channel, n = divmod(q, n_max)
        for j in range(len(r)):
            if species[j] == channel:
                radial, turning = dg[n, j] * y[lm, j], g[n, j] / r[j]
                for a in range(3):
                    out[t, 3 * j + a] = radial * u[j, a] + turning * across[lm, j, a]
    return out


@numba.njit(cache=True)
def pair_blocks(recursion, u, r, b, b1, b2, first, second):
    """Σ_A P′_A ∂²(g Y)/∂D² + ∂²f/∂D² of each neighbour, shape (J, 3, 3), as in `curvature`.

    Parameters
    ----------
    recursion : ndarray, shape (3, l_max + 1, l_max + 1)
    u, r : ndarray, shapes (J, 3) and (J,)
    b, b1, b2 : ndarray, shape (J, n_lm)
        Σ P′ g and with the derivatives of g.
    first, second : ndarray, shape (J,)
        f′ and f″.
    """
    pi, power, y, dy, ddy = _scratch(recursion)
    P, K, out = np.empty((3, 3)), np.empty((3, 3)), np.empty((len(r), 3, 3))
    G, G1, PG, PG1 = np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    voigt = np.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]])
    for j in range(len(r)):
        _harmonics(recursion, u[j], pi, power, y, dy, ddy)
        along, along2 = first[j] + np.dot(b1[j], y), second[j] + np.dot(b2[j], y)
        for a in range(3):
            G[a], G1[a] = np.dot(dy[a], b[j]), np.dot(dy[a], b1[j])
            for c in range(3):
                P[a, c] = (1.0 if a == c else 0.0) - u[j, a] * u[j, c]
        for a in range(3):
            for c in range(a + 1):
                K[a, c] = K[c, a] = np.dot(ddy[voigt[a, c]], b[j])
        PG[:], PG1[:] = np.dot(P, G), np.dot(P, G1)
        across = np.dot(P, np.dot(K, P))
        uG = np.dot(u[j], G)
        for a in range(3):
            for c in range(3):
                across[a, c] -= uG * P[a, c] + u[j, a] * PG[c] + PG[a] * u[j, c]
                mixed = u[j, a] * PG1[c] + PG1[a] * u[j, c] + along * P[a, c]
                out[j, a, c] = along2 * u[j, a] * u[j, c] + mixed / r[j] + across[a, c] / r[j] ** 2
    return out


@numba.njit(cache=True)
def add_blocks(indptr, indices, data, nodes, center, full, blocks):
    """Add the Hessian of one centre to a block-sparse matrix.

    D_j = R_j − R_i: what is with respect to the vectors is with respect to the neighbours, and
    minus its sums to the centre.

    Parameters
    ----------
    indptr, indices, data
        Of a BSR matrix with sorted indices, among which all pairs of atoms occur; data has shape
        (nnz, 3, 3) and changes.
    nodes : ndarray of int, shape (J,)
        The neighbours.
    center : int
    full : ndarray, shape (3J, 3J)
        With respect to the vectors.
    blocks : ndarray, shape (J, 3, 3)
        To add to its diagonal; changes nothing else.
    """
    count = len(nodes)
    column, row, whole = np.empty((3, 3)), np.zeros((count, 3, 3)), np.zeros((3, 3))
    block = np.empty((3, 3))
    for j in range(count):
        column[:] = 0.0
        begin, end = indptr[nodes[j]], indptr[nodes[j] + 1]
        for k in range(count):
            for a in range(3):
                for c in range(3):
                    block[a, c] = full[3 * j + a, 3 * k + c]
                    if j == k:
                        block[a, c] += blocks[j, a, c]
                    column[a, c] += block[a, c]
                    row[k, a, c] += block[a, c]
            _add(data[begin + np.searchsorted(indices[begin:end], nodes[k])], block, 1.0)
        _add(data[begin + np.searchsorted(indices[begin:end], center)], column, -1.0)
        _add(whole, column, 1.0)
    begin, end = indptr[center], indptr[center + 1]
    for k in range(count):
        _add(data[begin + np.searchsorted(indices[begin:end], nodes[k])], row[k], -1.0)
    _add(data[begin + np.searchsorted(indices[begin:end], center)], whole, 1.0)


@numba.njit(cache=True)
def _add(target, block, factor):
    for a in range(3):
        for c in range(3):
            target[a, c] += factor * block[a, c]
