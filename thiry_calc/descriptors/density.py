"""The density trick: all sums over pairs of neighbours of a centre, in O(neighbours).

With the density projections A_q,lm(i) = Σ_{j in channel a} g_n(r_ij) Y_lm(r̂_ij), q = (a, n),

    S_pl(i) = Σ_m A_q1,lm A_q2,lm = Σ_jk g_n1(r_ij) g_n2(r_ik) P_l(cos θ_ijk),    p = (q1, q2)
    s_p(i)  = Σ_j g_n1(r_ij) g_n2(r_ij)                     (the j = k terms, one channel only)

and a site function is E_i = Σ_pl w_pl S_pl + Σ_p v_p s_p; `density_pull` and `density_push` hold
its derivatives.

Work arrays are laid out [function][neighbour]: the innermost loops run over neighbours and
vectorise. Rows of a descriptor live with the species of the centre atom: w has a leading axis.
"""

import numba
import numpy as np

# everything but the assumption of finite numbers: a NaN in the input must stay visible
FASTMATH = {"reassoc", "contract", "nsz", "arcp"}


@numba.njit(cache=True, fastmath=FASTMATH)
def gather(i, first, neighbor, vectors, species, r_cut, n_channels, pairs, geometry, segments):
    """Collect the neighbours of centre i inside r_cut, one segment per channel.

    Fills pairs (index of the pair), geometry (x, y, z of the unit vector; r) and
    segments (n_channels + 1); returns the number of neighbours.
    """
    count = 0
    for a in range(n_channels):
        segments[a] = count
        for p in range(first[i], first[i + 1]):
            if n_channels > 1 and species[neighbor[p]] != a:
                continue
            dx, dy, dz = vectors[p, 0], vectors[p, 1], vectors[p, 2]
            r2 = dx * dx + dy * dy + dz * dz
            if r2 < r_cut * r_cut:
                r = np.sqrt(r2)
                pairs[count] = p
                geometry[0, count] = dx / r
                geometry[1, count] = dy / r
                geometry[2, count] = dz / r
                geometry[3, count] = r
                count += 1
    segments[n_channels] = count
    return count


@numba.njit(cache=True, fastmath=FASTMATH)
def weighted_rows(weights, rows, width, out):
    """Fill out = Σ_n weights_n rows_n, `width` columns; three n a pass cut the traffic."""
    out = out[:width]
    odd = rows.shape[0] % 3
    if odd == 0:
        out[:] = 0.0
    else:
        c0, r0 = weights[0], rows[0, :width]
        for j in range(width):
            out[j] = c0 * r0[j]
        if odd == 2:
            c1, r1 = weights[1], rows[1, :width]
            for j in range(width):
                out[j] += c1 * r1[j]
    for n in range(odd, rows.shape[0], 3):
        c0, c1, c2 = weights[n], weights[n + 1], weights[n + 2]
        r0, r1, r2 = rows[n, :width], rows[n + 1, :width], rows[n + 2, :width]
        for j in range(width):
            out[j] += c0 * r0[j] + c1 * r1[j] + c2 * r2[j]


@numba.njit(cache=True, fastmath=FASTMATH)
def radial_functions(r, coefficients, r_cut, series, g, dg):
    """Fill g and dg = dg/dr, shape (n_max, J), with scratch series of shape (n_terms + 1, 2J).

    Rows of series hold [T_k | T_k′], so that a weighted sum gives the value and the slope.
    """
    n_max, n_terms = coefficients.shape
    count = r.shape[0]
    for k in range(n_terms):
        row = series[k]
        value, slope = row[:count], row[count : 2 * count]
        if k == 0:
            value[:] = 1.0
            slope[:] = 0.0
            continue
        last, before = series[k - 1, :count], series[max(k - 2, 0), :count]
        dlast = series[k - 1, count : 2 * count]
        dbefore = series[max(k - 2, 0), count : 2 * count]
        if k == 1:
            for j in range(count):
                value[j] = 1.0 - 2.0 * r[j] / r_cut
            slope[:] = 1.0
            continue
        for j in range(count):
            t = 2.0 - 4.0 * r[j] / r_cut
            value[j] = t * last[j] - before[j]
            slope[j] = 2.0 * last[j] + t * dlast[j] - dbefore[j]
    out = series[n_terms]
    value, slope = out[:count], out[count : 2 * count]
    for n in range(n_max):
        weighted_rows(coefficients[n], series[:n_terms], 2 * count, out)
        gn, dgn = g[n], dg[n]
        for j in range(count):
            u = 1.0 - r[j] / r_cut
            gn[j] = u * u * u * value[j]
            dgn[j] = -(3.0 * u * u * value[j] + 2.0 * u * u * u * slope[j]) / r_cut


@numba.njit(cache=True, fastmath=FASTMATH)
def harmonics(geometry, n_neighbors, recursion, pi, powers, y):
    """Fill pi (l, m, J), powers c_m, s_m (2, m, J) and y (lm, J) of the unit vectors."""
    n_l = recursion.shape[1]
    x, yy, z = geometry[0], geometry[1], geometry[2]
    c, s = powers[0], powers[1]
    for j in range(n_neighbors):
        c[0, j] = 1.0
        s[0, j] = 0.0
    for m in range(1, n_l):
        for j in range(n_neighbors):
            c[m, j] = x[j] * c[m - 1, j] - yy[j] * s[m - 1, j]
            s[m, j] = x[j] * s[m - 1, j] + yy[j] * c[m - 1, j]
    for m in range(n_l):
        cm, sm = c[m, :n_neighbors], s[m, :n_neighbors]
        for l in range(m, n_l):  # noqa: E741
            a, b = recursion[0, l, m], recursion[1, l, m]
            out = pi[l, m, :n_neighbors]
            p1 = pi[max(l - 1, 0), m, :n_neighbors]
            p2 = pi[max(l - 2, 0), m, :n_neighbors]
            yc = y[l * l + max(2 * m - 1, 0), :n_neighbors]
            ys = y[l * l + 2 * m, :n_neighbors]
            if l == m:
                for j in range(n_neighbors):
                    out[j] = a
                    yc[j] = a * cm[j]
            elif l == m + 1:
                for j in range(n_neighbors):
                    out[j] = a * z[j] * p1[j]
                    yc[j] = out[j] * cm[j]
            else:
                for j in range(n_neighbors):
                    out[j] = a * z[j] * p1[j] - b * p2[j]
                    yc[j] = out[j] * cm[j]
            if m > 0:
                for j in range(n_neighbors):
                    ys[j] = out[j] * sm[j]


@numba.njit(cache=True, fastmath=FASTMATH)
def _dot(x, y):
    total = 0.0
    for j in range(x.shape[0]):
        total += x[j] * y[j]
    return total


@numba.njit(cache=True, fastmath=FASTMATH)
def project(g, y, segments, n_of_l, n_max, density):
    """Fill the projections density (Q, n_lm): A_q,lm = Σ_j g_n Y_lm over the channel of q.

    Only those of the first n_of_l[l] radial functions, a number that does not grow with l; the
    others are left as they are. Tiles of 2 radial by 4 angular functions: 6 loads for 8 products,
    instead of 16.
    """
    n_lm = y.shape[0]
    for a in range(segments.shape[0] - 1):
        start, stop = segments[a], segments[a + 1]
        l = 0  # noqa: E741
        for lm in range(0, n_lm - 3, 4):
            while (l + 1) * (l + 1) <= lm:
                l += 1  # noqa: E741
            y0, y1 = y[lm, start:stop], y[lm + 1, start:stop]
            y2, y3 = y[lm + 2, start:stop], y[lm + 3, start:stop]
            for n in range(0, n_of_l[l] - 1, 2):
                g0, g1 = g[n, start:stop], g[n + 1, start:stop]
                a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = 0.0
                for j in range(g0.shape[0]):
                    a0 += g0[j] * y0[j]
                    a1 += g0[j] * y1[j]
                    a2 += g0[j] * y2[j]
                    a3 += g0[j] * y3[j]
                    b0 += g1[j] * y0[j]
                    b1 += g1[j] * y1[j]
                    b2 += g1[j] * y2[j]
                    b3 += g1[j] * y3[j]
                q = a * n_max + n
                density[q, lm], density[q, lm + 1] = a0, a1
                density[q, lm + 2], density[q, lm + 3] = a2, a3
                density[q + 1, lm], density[q + 1, lm + 1] = b0, b1
                density[q + 1, lm + 2], density[q + 1, lm + 3] = b2, b3
            if n_of_l[l] % 2:
                n = n_of_l[l] - 1
                for k in range(lm, lm + 4):
                    density[a * n_max + n, k] = _dot(g[n, start:stop], y[k, start:stop])
        for lm in range(n_lm - n_lm % 4, n_lm):  # of the highest l, or of l = 0
            for n in range(n_of_l[-1]):
                density[a * n_max + n, lm] = _dot(g[n, start:stop], y[lm, start:stop])


@numba.njit(cache=True, fastmath=FASTMATH)
def legendre_sums(density, q1, q2, n_l, out):
    """Fill out (n_l,) with S_l = Σ_m A_q1,lm A_q2,lm."""
    for l in range(n_l):  # noqa: E741
        total = 0.0
        for lm in range(l * l, (l + 1) * (l + 1)):
            total += density[q1, lm] * density[q2, lm]
        out[l] = total


@numba.njit(cache=True, fastmath=FASTMATH)
def self_sum(g, segments, n_max, q1, q2):
    """Return s_p = Σ_j g_n1 g_n2 over the neighbours of one channel."""
    a = q1 // n_max
    start, stop = segments[a], segments[a + 1]
    g1, g2 = g[q1 - a * n_max, start:stop], g[q2 - a * n_max, start:stop]
    total = 0.0
    for j in range(g1.shape[0]):
        total += g1[j] * g2[j]
    return total


@numba.njit(cache=True, fastmath=FASTMATH)
def radial_arrays(first, coefficients, n_channels):
    """Work arrays for the radial functions of one centre at a time.

    Returns
    -------
    pairs, geometry, segments
        See `gather`.
    series, g, dg
        See `radial_functions`.
    """
    n_max, n_terms = coefficients.shape
    longest = np.max(first[1:] - first[:-1]) if len(first) > 1 else 0
    return (
        np.empty(longest, np.int64),
        np.empty((4, longest)),
        np.empty(n_channels + 1, np.int64),
        np.empty((n_terms + 1, 2 * longest)),
        np.empty((n_max, longest)),
        np.empty((n_max, longest)),
    )


@numba.njit(cache=True, fastmath=FASTMATH)
def neighborhood(first, coefficients, n_l, n_channels):
    """Work arrays for one centre at a time, as `expand` fills them.

    Returns
    -------
    pairs, geometry, segments, series, g, dg
        See `radial_arrays`.
    pi, powers, y
        See `harmonics`.
    density
        See `project`.
    """
    radial = radial_arrays(first, coefficients, n_channels)
    n_max, longest = radial[4].shape
    return (
        *radial,
        np.empty((n_l, n_l, longest)),
        np.empty((2, n_l, longest)),
        np.empty((n_l * n_l, longest)),
        np.empty((n_channels * n_max, n_l * n_l)),
    )


@numba.njit(cache=True, fastmath=FASTMATH)
def expand(i, first, neighbor, vectors, species, r_cut, coefficients, recursion, n_of_l, arrays):
    """Fill the work arrays of `neighborhood` for centre i; return its number of neighbours."""
    pairs, geometry, segments, series, g, dg, pi, powers, y, density = arrays
    n_channels = len(segments) - 1
    count = gather(
        i, first, neighbor, vectors, species, r_cut, n_channels, pairs, geometry, segments
    )
    if count > 0:
        radial_functions(geometry[3, :count], coefficients, r_cut, series, g, dg)
        harmonics(geometry, count, recursion, pi, powers, y)
        project(g, y, segments, n_of_l, len(g), density)
    return count


@numba.njit(cache=True, parallel=True, fastmath=FASTMATH)
def site_sums(
    first,
    neighbor,
    vectors,
    species,
    r_cut,
    coefficients,
    recursion,
    products,
    n_channels,
    n_chunks,
):
    """All S_pl and s_p of every centre: arrays of shape (N, P, n_l) and (N, P)."""
    n_atoms = len(first) - 1
    n_max, n_l = coefficients.shape[0], recursion.shape[1]
    n_of_l = np.full(n_l, n_max)
    sums = np.zeros((n_atoms, products.shape[0], n_l))
    self_sums = np.zeros((n_atoms, products.shape[0]))
    for chunk in numba.prange(n_chunks):
        arrays = neighborhood(first, coefficients, n_l, n_channels)
        segments, g, density = arrays[2], arrays[4], arrays[9]
        for i in range(chunk * n_atoms // n_chunks, (chunk + 1) * n_atoms // n_chunks):
            count = expand(
                i, first, neighbor, vectors, species, r_cut, coefficients, recursion, n_of_l, arrays
            )
            if count == 0:
                continue
            for p in range(products.shape[0]):
                q1, q2 = products[p, 0], products[p, 1]
                legendre_sums(density, q1, q2, n_l, sums[i, p])
                if q1 // n_max == q2 // n_max:
                    self_sums[i, p] = self_sum(g, segments, n_max, q1, q2)
    return sums, self_sums
