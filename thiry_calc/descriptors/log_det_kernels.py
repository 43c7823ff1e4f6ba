"""Numba kernels of the local log-determinants; the notation is that of `local_log_det`.

The matrix of a cluster is built on the pairs of nodes, each the image of an atom that the centre's
own list of neighbours names, so that cells of any size are right. Its LDLᵀ factorisation needs no
pivoting: the shift makes the imaginary part of the matrix positive definite. With Y the solution of
Lᵀ Y = E, E the last three unit vectors (the centre), and D_c their pivots,

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
    """Return h and h′: 1 below `inner`, 0 above `outer`, with two continuous derivatives."""
    if r <= inner:
        return 1.0, 0.0
    width = outer - inner
    x = (r - inner) / width
    h = 1.0 - x * x * x * (10.0 - 15.0 * x + 6.0 * x * x)
    return h, -30.0 * x * x * (1.0 - x) * (1.0 - x) / width


@numba.njit(cache=True, fastmath=FASTMATH)
def _nodes(i, first, vectors, inner, outer, pair, x, h, dh):
    """Fill the nodes of a cluster, the centre last; return their number."""
    m = 0
    for p in range(first[i], first[i + 1]):
        dx, dy, dz = vectors[p, 0], vectors[p, 1], vectors[p, 2]
        r = np.sqrt(dx * dx + dy * dy + dz * dz)
        if r < outer:
            pair[m] = p
            x[m, 0], x[m, 1], x[m, 2] = dx, dy, dz
            h[m], dh[m] = _window(r, inner, outer)
            m += 1
    pair[m] = -1
    x[m] = 0.0
    h[m], dh[m] = 1.0, 0.0
    return m + 1


@numba.njit(cache=True, fastmath=FASTMATH)
def _cluster(i, m, neighbor, pair, x, h, own, r_cut, r_min, step, pieces, clamp, shift, matrix):
    """Fill the lower triangle of Ã + iε."""
    for k in range(m):
        atom = i if pair[k] < 0 else neighbor[pair[k]]
        h2 = h[k] * h[k]
        for a in range(3):
            for b in range(a + 1):
                matrix[3 * k + a, 3 * k + b] = h2 * own[atom, a, b]
            matrix[3 * k + a, 3 * k + a] += complex(clamp * (1.0 - h2), shift)
        for j in range(k):
            dx, dy, dz = x[k, 0] - x[j, 0], x[k, 1] - x[j, 1], x[k, 2] - x[j, 2]
            r2 = dx * dx + dy * dy + dz * dz
            along, across = 0.0, 0.0
            if r2 < r_cut * r_cut:
                r = np.sqrt(r2)
                u1, u2, _ = spring(r, r_min, step, pieces)
                along, across = -h[j] * h[k] * (u2 - u1 / r) / r2, -h[j] * h[k] * u1 / r
            d = (dx, dy, dz)
            for a in range(3):
                for b in range(3):
                    matrix[3 * k + a, 3 * j + b] = along * d[a] * d[b]
                matrix[3 * k + a, 3 * j + a] += across


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
def _solve_last(n, matrix, y):
    """Fill y (n, 3) with the solution of Lᵀ Y = E."""
    y[:n] = 0.0
    for c in range(3):
        y[n - 3 + c, c] = 1.0
    for r in range(n - 1, 0, -1):
        a, b, c = y[r, 0], y[r, 1], y[r, 2]
        row = matrix[r]
        for s in range(r):
            y[s, 0] -= row[s] * a
            y[s, 1] -= row[s] * b
            y[s, 2] -= row[s] * c


@numba.njit(cache=True, fastmath=FASTMATH)
def _weights(k, j, y, pivots, n, g):
    """Fill g (3, 3) with Re W of the nodes k and j."""
    for a in range(3):
        for b in range(3):
            total = 0.0
            for c in range(3):
                total += (y[3 * k + a, c] * y[3 * j + b, c] / pivots[n - 3 + c]).real
            g[a, b] = total


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
    i, m, weight, neighbor, pair, x, h, dh, own, r_cut, r_min, step, pieces, clamp,
    y, pivots, pair_forces, on_pairs, on_center,
):  # fmt: skip
    """Add the gradient of weight · s along the pairs of the centre, and W on the diagonals."""
    g, slope, d, dh_sum = np.empty((3, 3)), np.empty(3), np.empty(3), np.zeros(m)
    n = 3 * m
    for k in range(m):
        for j in range(k):
            for a in range(3):
                d[a] = x[k, a] - x[j, a]
            if d[0] * d[0] + d[1] * d[1] + d[2] * d[2] >= r_cut * r_cut:
                continue
            _weights(k, j, y, pivots, n, g)
            value = _spring_slope(d, g, r_min, step, pieces, slope)
            dh_sum[k] -= 2 * h[j] * value
            dh_sum[j] -= 2 * h[k] * value
            scale = -2 * weight * h[j] * h[k]
            for a in range(3):
                if pair[k] >= 0:
                    pair_forces[pair[k], a] += scale * slope[a]
                pair_forces[pair[j], a] -= scale * slope[a]
        _weights(k, k, y, pivots, n, g)
        if pair[k] < 0:
            on_center += weight * g
            continue
        atom = neighbor[pair[k]]
        on_pairs[pair[k]] += weight * h[k] * h[k] * g
        trace = 0.0
        for a in range(3):
            trace -= clamp * g[a, a]
            for b in range(3):
                trace += g[a, b] * own[atom, a, b]
        dh_sum[k] += 2 * h[k] * trace
    for k in range(m - 1):
        r = np.sqrt(x[k, 0] ** 2 + x[k, 1] ** 2 + x[k, 2] ** 2)
        for a in range(3):
            pair_forces[pair[k], a] += weight * dh_sum[k] * dh[k] * x[k, a] / r


@numba.njit(cache=True, parallel=True, fastmath=FASTMATH)
def local_log_dets(
    first, neighbor, vectors, own, r_cut, r_min, step, pieces, windows, clamp, shift, mixed,
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
        for i in range(chunk * n_atoms // n_chunks, (chunk + 1) * n_atoms // n_chunks):
            for w in range(len(windows)):
                m = _nodes(i, first, vectors, windows[w, 0], windows[w, 1], pair, x, h, dh)
                n = 3 * m
                matrix, y = np.empty((n, n), np.complex128), np.empty((n, 3), np.complex128)
                pivots, column = np.empty(n, np.complex128), np.empty(n, np.complex128)
                _cluster(
                    i, m, neighbor, pair, x, h, own, r_cut, r_min, step, pieces, clamp, shift,
                    matrix,
                )  # fmt: skip
                _factorize(n, matrix, pivots, column)
                for c in range(3):
                    sites[i, w] += np.log(np.abs(pivots[n - 3 + c]))
                if mixed[w] != 0.0:
                    _solve_last(n, matrix, y)
                    _slopes(
                        i, m, mixed[w], neighbor, pair, x, h, dh, own, r_cut, r_min, step, pieces,
                        clamp, y, pivots, pair_forces, on_pairs, on_centers[i],
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
