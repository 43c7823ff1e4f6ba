"""Numba kernels of the local log-determinants; the notation is that of `local_log_det`.

The matrix of a cluster is built on the pairs of nodes, each the image of an atom that the centre's
own list of neighbours names, so that cells of any size are right. The outer nodes, which are not
coupled among themselves, are eliminated one by one,

    X_q = D_q⁻¹ B_q,    M ← M − Σ_q B_qᵀ X_q,

B_q being the bonds of q to the nodes of the core. The LDLᵀ factorisation of M needs no pivoting:
the shift makes the imaginary part of the matrix positive definite. With Y the solution of Lᵀ Y = E
in the core, E the last three unit vectors (the centre), Y_q = −X_q Y outside, D_c the last pivots,

    s = Σ_c ln|D_c|,    ds = Re tr(W dÃ),    W = Y D⁻¹ Yᵀ.
"""

import numba
import numpy as np

from thiry_calc.descriptors.density import FASTMATH


@numba.njit(cache=True, fastmath=FASTMATH)
def spring(r, r_min, step, pieces):
    """Return the first three derivatives of the piecewise polynomial u at r."""
    k = min(max(int((r - r_min) / step), 0), len(pieces) - 1)
    t = r - r_min - (k + 0.5) * step
    c = pieces[k]
    u0, u1, u2, u3 = 0.0, 0.0, 0.0, 0.0  # derivatives over 0!, 1!, 2!, 3!, by Horner's rule
    for n in range(len(c) - 1, -1, -1):
        u3 = u3 * t + u2
        u2 = u2 * t + u1
        u1 = u1 * t + u0
        u0 = u0 * t + c[n]
    return u1, 2 * u2, 6 * u3


@numba.njit(cache=True, parallel=True, fastmath=FASTMATH)
def on_site(first, vectors, r_cut, r_min, step, pieces):
    """Sum K(D_ij) over the neighbours of every atom, shape (N, 3, 3)."""
    n_atoms = len(first) - 1
    out = np.zeros((n_atoms, 3, 3))
    for i in numba.prange(n_atoms):
        for p in range(first[i], first[i + 1]):
            x, y, z = vectors[p, 0], vectors[p, 1], vectors[p, 2]
            r = np.sqrt(x * x + y * y + z * z)
            if r < r_cut:
                u1, u2, _ = spring(r, r_min, step, pieces)
                along, across = (u2 - u1 / r) / (r * r), u1 / r
                for a in range(3):
                    for b in range(3):
                        out[i, a, b] += along * vectors[p, a] * vectors[p, b]
                    out[i, a, a] += across
    return out


@numba.njit(cache=True, fastmath=FASTMATH)
def _window(r, inner, outer):
    """Return h and h′: 1 below `inner`, 0 above `outer`, with four continuous derivatives."""
    if r <= inner:
        return 1.0, 0.0
    if r >= outer:
        return 0.0, 0.0
    width = outer - inner
    x = (r - inner) / width
    y = x * (1.0 - x)
    h = 1.0 - x**5 * (126.0 - x * (420.0 - x * (540.0 - x * (315.0 - 70.0 * x))))
    return h, -630.0 * y * y * y * y / width


@numba.njit(cache=True, fastmath=FASTMATH)
def _nodes(i, first, vectors, window, core, pair, x, h, dh, g, dg):
    """Fill the nodes of a cluster: outer ones, core, centre. Return the first two ends."""
    m, n_outer = 0, 0
    for inside in (False, True):
        for p in range(first[i], first[i + 1]):
            dx, dy, dz = vectors[p, 0], vectors[p, 1], vectors[p, 2]
            r = np.sqrt(dx * dx + dy * dy + dz * dz)
            if r < window[1] and (r < core[1]) == inside:
                pair[m] = p
                x[m, 0], x[m, 1], x[m, 2] = dx, dy, dz
                h[m], dh[m] = _window(r, window[0], window[1])
                g[m], dg[m] = _window(r, core[0], core[1])
                m += 1
        n_outer = n_outer if inside else m
    pair[m] = -1
    x[m] = 0.0
    h[m], dh[m], g[m], dg[m] = 1.0, 0.0, 1.0, 0.0
    return n_outer, m + 1


@numba.njit(cache=True, fastmath=FASTMATH)
def _bond(d, scale, r_cut, r_min, step, pieces, block):
    """Fill block (3, 3) with −scale K(D), zeros beyond r_cut."""
    block[:] = 0.0
    r2 = d[0] * d[0] + d[1] * d[1] + d[2] * d[2]
    if r2 >= r_cut * r_cut:
        return
    r = np.sqrt(r2)
    u1, u2, _ = spring(r, r_min, step, pieces)
    along, across = -scale * (u2 - u1 / r) / r2, -scale * u1 / r
    for a in range(3):
        for b in range(3):
            block[a, b] = along * d[a] * d[b]
        block[a, a] += across


@numba.njit(cache=True, fastmath=FASTMATH)
def _diagonal(h, own, clamp, shift, block):
    """Fill block (3, 3) with the diagonal of a node."""
    for a in range(3):
        for b in range(3):
            block[a, b] = h * h * own[a, b]
        block[a, a] += complex(clamp * (1.0 - h * h), shift)


@numba.njit(cache=True, fastmath=FASTMATH)
def _core(
    i, n_outer, m, neighbor, pair, x, h, g, own, r_cut, r_min, step, pieces, clamp, shift, matrix
):
    """Fill the lower triangle of Ã + iε between the nodes of the core."""
    block, diagonal, d = np.empty((3, 3)), np.empty((3, 3), np.complex128), np.empty(3)
    for k in range(n_outer, m):
        atom = i if pair[k] < 0 else neighbor[pair[k]]
        row = 3 * (k - n_outer)
        _diagonal(h[k], own[atom], clamp, shift, diagonal)
        matrix[row : row + 3, row : row + 3] = diagonal
        for j in range(n_outer, k):
            for a in range(3):
                d[a] = x[k, a] - x[j, a]
            coupling = 1.0 - (1.0 - g[j]) * (1.0 - g[k])
            _bond(d, h[j] * h[k] * coupling, r_cut, r_min, step, pieces, block)
            column = 3 * (j - n_outer)
            for a in range(3):
                for b in range(3):
                    matrix[row + a, column + b] = block[a, b]


@numba.njit(cache=True, fastmath=FASTMATH)
def _invert(block, inverse):
    """Inverse of a symmetric 3×3 block, by cofactors."""
    for a in range(3):
        for b in range(3):
            p, q, r, s = (b + 1) % 3, (b + 2) % 3, (a + 1) % 3, (a + 2) % 3
            inverse[a, b] = block[p, r] * block[q, s] - block[p, s] * block[q, r]
    determinant = (
        block[0, 0] * inverse[0, 0] + block[0, 1] * inverse[1, 0] + block[0, 2] * inverse[2, 0]
    )
    inverse /= determinant


@numba.njit(cache=True, fastmath=FASTMATH)
def _eliminate(
    n_outer, m, neighbor, pair, x, h, g, own, r_cut, r_min, step, pieces, clamp, shift, matrix, xs
):
    """Eliminate the outer nodes from the matrix of the core; fill X (n_outer, 3, 3 n_core)."""
    n = 3 * (m - n_outer)
    b, block, d = np.empty((3, n)), np.empty((3, 3)), np.empty(3)
    diagonal, inverse = np.empty((3, 3), np.complex128), np.empty((3, 3), np.complex128)
    for q in range(n_outer):
        _diagonal(h[q], own[neighbor[pair[q]]], clamp, shift, diagonal)
        _invert(diagonal, inverse)
        for k in range(n_outer, m):
            for a in range(3):
                d[a] = x[q, a] - x[k, a]
            _bond(d, h[q] * h[k] * g[k], r_cut, r_min, step, pieces, block)
            column = 3 * (k - n_outer)
            for a in range(3):
                for c in range(3):
                    b[a, column + c] = block[a, c]
        for a in range(3):
            for c in range(n):
                xs[q, a, c] = (
                    inverse[a, 0] * b[0, c] + inverse[a, 1] * b[1, c] + inverse[a, 2] * b[2, c]
                )
        for r in range(n):
            b0, b1, b2 = b[0, r], b[1, r], b[2, r]
            if b0 != 0.0 or b1 != 0.0 or b2 != 0.0:
                row = matrix[r]
                for c in range(r + 1):
                    row[c] -= b0 * xs[q, 0, c] + b1 * xs[q, 1, c] + b2 * xs[q, 2, c]


@numba.njit(cache=True, fastmath=FASTMATH)
def _factorize(n, matrix, pivots, column):
    """LDLᵀ in place: the strict lower triangle becomes L."""
    for c in range(n):
        pivot = matrix[c, c]
        pivots[c] = pivot
        for r in range(c + 1, n):
            column[r] = matrix[r, c] / pivot
        for r in range(c + 1, n):
            scaled = matrix[r, c]
            row = matrix[r]
            for s in range(c + 1, r + 1):
                row[s] -= scaled * column[s]
            row[c] = column[r]


@numba.njit(cache=True, fastmath=FASTMATH)
def _solve_last(n_outer, n, matrix, xs, y):
    """Fill y (3 m, 3): the solution of Lᵀ Y = E in the core (n rows), −X_q Y before it."""
    begin = 3 * n_outer
    y[: begin + n] = 0.0
    for c in range(3):
        y[begin + n - 3 + c, c] = 1.0
    for r in range(n - 1, 0, -1):
        a, b, c = y[begin + r, 0], y[begin + r, 1], y[begin + r, 2]
        row = matrix[r]
        for s in range(r):
            y[begin + s, 0] -= row[s] * a
            y[begin + s, 1] -= row[s] * b
            y[begin + s, 2] -= row[s] * c
    for q in range(n_outer):
        for a in range(3):
            for s in range(n):
                for c in range(3):
                    y[3 * q + a, c] -= xs[q, a, s] * y[begin + s, c]


@numba.njit(cache=True, fastmath=FASTMATH)
def _weights(k, j, y, inverse_pivots, w):
    """Fill w (3, 3) with Re W of the nodes k and j."""
    for a in range(3):
        for b in range(3):
            total = 0.0
            for c in range(3):
                total += (y[3 * k + a, c] * y[3 * j + b, c] * inverse_pivots[c]).real
            w[a, b] = total


@numba.njit(cache=True, fastmath=FASTMATH)
def _spring_slope(d, g, r_min, step, pieces, out):
    """Return tr(G K(D)) and fill out (3,) with its gradient along D."""
    r = np.sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2])
    u1, u2, u3 = spring(r, r_min, step, pieces)
    along, across = u2 - u1 / r, u1 / r
    trace = g[0, 0] + g[1, 1] + g[2, 2]
    nx, ny, nz = d[0] / r, d[1] / r, d[2] / r
    n = (nx, ny, nz)
    quadratic = 0.0
    for a in range(3):
        gn = 0.0
        for b in range(3):
            gn += 0.5 * (g[a, b] + g[b, a]) * n[b]
        out[a] = gn
        quadratic += n[a] * gn
    radial = (u3 - along / r) * quadratic + along / r * trace
    for a in range(3):
        out[a] = radial * n[a] + 2 * along / r * (out[a] - quadratic * n[a])
    return along * quadratic + across * trace


@numba.njit(cache=True, fastmath=FASTMATH)
def _slopes(
    n_outer, m, weight, neighbor, pair, x, h, dh, g, dg, own, r_cut, r_min, step, pieces, clamp,
    y, inverse_pivots, pair_forces, on_pairs, on_center,
):  # fmt: skip
    """Add the gradient of weight · s along the pairs of the centre, and W on the diagonals."""
    w, slope, d = np.empty((3, 3)), np.empty(3), np.empty(3)
    by_h, by_g = np.zeros(m), np.zeros(m)  # ∂s/∂h and ∂s/∂g of each node
    for k in range(m):
        for j in range(k if k >= n_outer else 0):
            for a in range(3):
                d[a] = x[k, a] - x[j, a]
            if d[0] * d[0] + d[1] * d[1] + d[2] * d[2] >= r_cut * r_cut:
                continue
            _weights(k, j, y, inverse_pivots, w)
            value = _spring_slope(d, w, r_min, step, pieces, slope)
            coupling = 1.0 - (1.0 - g[j]) * (1.0 - g[k])
            by_h[k] -= 2 * h[j] * coupling * value
            by_h[j] -= 2 * h[k] * coupling * value
            by_g[k] -= 2 * h[j] * h[k] * (1.0 - g[j]) * value
            by_g[j] -= 2 * h[j] * h[k] * (1.0 - g[k]) * value
            scale = -2 * weight * h[j] * h[k] * coupling
            for a in range(3):
                if pair[k] >= 0:
                    pair_forces[pair[k], a] += scale * slope[a]
                pair_forces[pair[j], a] -= scale * slope[a]
        _weights(k, k, y, inverse_pivots, w)
        if pair[k] < 0:
            on_center += weight * w
            continue
        atom = neighbor[pair[k]]
        on_pairs[pair[k]] += weight * h[k] * h[k] * w
        trace = 0.0
        for a in range(3):
            trace -= clamp * w[a, a]
            for b in range(3):
                trace += w[a, b] * own[atom, a, b]
        by_h[k] += 2 * h[k] * trace
    for k in range(m - 1):
        r = np.sqrt(x[k, 0] ** 2 + x[k, 1] ** 2 + x[k, 2] ** 2)
        for a in range(3):
            radial = by_h[k] * dh[k] + by_g[k] * dg[k]
            pair_forces[pair[k], a] += weight * radial * x[k, a] / r


@numba.njit(cache=True, parallel=True, fastmath=FASTMATH)
def local_log_dets(
    first, neighbor, vectors, own, r_cut, r_min, step, pieces, windows, core, clamp, shift, mixed,
    n_chunks,
):  # fmt: skip
    """Return s of every centre and window, and the gradient of Σ_w mixed_w s_w.

    Parameters
    ----------
    first : ndarray, shape (n + 1,)
        Of the n sites; the arrays of pairs may be longer.
    own : ndarray, shape (N', 3, 3)
        From `on_site`, of all atoms that have lists.
    windows : ndarray, shape (W, 2)
    core : ndarray, shape (2,)
    mixed : ndarray, shape (W,)
        Zeros where no gradient is wanted.

    Returns
    -------
    sites : ndarray, shape (n, W)
    pair_forces : ndarray, shape (M, 3)
        At fixed diagonals `own`.
    on_pairs : ndarray, shape (M of the sites, 3, 3)
        Derivatives with respect to the diagonal of each neighbour, by centre.
    on_centers : ndarray, shape (N', 3, 3)
        Derivatives with respect to the centre's own diagonal.
    """
    n_atoms = len(first) - 1
    longest = np.max(first[1:] - first[:-1]) + 1 if n_atoms else 1
    sites = np.zeros((n_atoms, len(windows)))
    pair_forces, on_pairs = np.zeros((len(neighbor), 3)), np.zeros((first[-1], 3, 3))
    on_centers = np.zeros_like(own)
    for chunk in numba.prange(n_chunks):
        pair, x = np.empty(longest, np.int64), np.empty((longest, 3))
        h, dh = np.empty(longest), np.empty(longest)
        g, dg = np.empty(longest), np.empty(longest)
        for i in range(chunk * n_atoms // n_chunks, (chunk + 1) * n_atoms // n_chunks):
            for w in range(len(windows)):
                n_outer, m = _nodes(i, first, vectors, windows[w], core, pair, x, h, dh, g, dg)
                n = 3 * (m - n_outer)
                matrix, pivots = np.empty((n, n), np.complex128), np.empty(n, np.complex128)
                xs, column = np.empty((n_outer, 3, n), np.complex128), np.empty(n, np.complex128)
                springs = r_cut, r_min, step, pieces, clamp, shift
                nodes = neighbor, pair, x, h, g, own
                _core(i, n_outer, m, *nodes, *springs, matrix)
                _eliminate(n_outer, m, *nodes, *springs, matrix, xs)
                _factorize(n, matrix, pivots, column)
                for c in range(3):
                    sites[i, w] += np.log(np.abs(pivots[n - 3 + c]))
                if mixed[w] != 0.0:
                    y = np.empty((3 * m, 3), np.complex128)
                    _solve_last(n_outer, n, matrix, xs, y)
                    _slopes(
                        n_outer, m, mixed[w], neighbor, pair, x, h, dh, g, dg, own, r_cut, r_min,
                        step, pieces, clamp, y, 1.0 / pivots[n - 3 :], pair_forces, on_pairs,
                        on_centers[i],
                    )  # fmt: skip
    return sites, pair_forces, on_pairs, on_centers


@numba.njit(cache=True, fastmath=FASTMATH)
def add_diagonals(
    first, neighbor, vectors, r_cut, r_min, step, pieces, on_pairs, on_centers, pair_forces
):  # fmt: skip
    """Add to pair_forces what the diagonals Σ_k K(D_jk) contribute."""
    for p in range(len(on_pairs)):
        on_centers[neighbor[p]] += on_pairs[p]
    slope = np.empty(3)
    for i in range(len(first) - 1):
        for p in range(first[i], first[i + 1]):
            d = vectors[p]
            if d[0] * d[0] + d[1] * d[1] + d[2] * d[2] < r_cut * r_cut:
                _spring_slope(d, on_centers[i], r_min, step, pieces, slope)
                pair_forces[p] += slope
