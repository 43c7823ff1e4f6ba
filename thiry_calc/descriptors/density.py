"""Numba kernels of the density trick: everything a three-body descriptor needs, in O(neighbours).

With the density projections A_q,lm(i) = Σ_{j in channel a} g_n(r_ij) Y_lm(r̂_ij), q = (a, n),

    S_pl(i) = Σ_m A_q1,lm A_q2,lm = Σ_jk g_n1(r_ij) g_n2(r_ik) P_l(cos θ_ijk),    p = (q1, q2)
    s_p(i)  = Σ_j g_n1(r_ij) g_n2(r_ij)                     (the j = k terms, one channel only)

and a site function is E_i = Σ_pl w_pl S_pl + Σ_p v_p s_p. `site_pull` contracts the weights
into dE_i/dA_lm before it meets a derivative, so that its cost does not grow with the number of
features; `site_push` keeps the features apart, for fitting.

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
def _weighted_rows(weights, rows, width, out):
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
        _weighted_rows(coefficients[n], series[:n_terms], 2 * count, out)
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
def project(g, y, segments, n_max, n_lm, density):
    """Fill the projections density (Q, n_lm): A_q,lm = Σ_j g_n Y_lm over the channel of q.

    Tiles of 2 radial by 4 angular functions: 6 loads for 8 products, instead of 16.
    """
    for a in range(segments.shape[0] - 1):
        start, stop = segments[a], segments[a + 1]
        for lm in range(0, n_lm - 3, 4):
            y0, y1 = y[lm, start:stop], y[lm + 1, start:stop]
            y2, y3 = y[lm + 2, start:stop], y[lm + 3, start:stop]
            for n in range(0, n_max - 1, 2):
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
        for n in range(n_max):
            tiled = n_lm - n_lm % 4 if n < n_max - n_max % 2 else 0
            gn = g[n, start:stop]
            for lm in range(tiled, n_lm):
                row = y[lm, start:stop]
                total = 0.0
                for j in range(row.shape[0]):
                    total += gn[j] * row[j]
                density[a * n_max + n, lm] = total


@numba.njit(cache=True, fastmath=FASTMATH)
def _legendre_sums(density, q1, q2, n_l, out):
    """Fill out (n_l,) with S_l = Σ_m A_q1,lm A_q2,lm."""
    for l in range(n_l):  # noqa: E741
        total = 0.0
        for lm in range(l * l, (l + 1) * (l + 1)):
            total += density[q1, lm] * density[q2, lm]
        out[l] = total


@numba.njit(cache=True, fastmath=FASTMATH)
def _self_sum(g, segments, n_max, q1, q2):
    """Return s_p = Σ_j g_n1 g_n2 over the neighbours of one channel."""
    a = q1 // n_max
    start, stop = segments[a], segments[a + 1]
    g1, g2 = g[q1 - a * n_max, start:stop], g[q2 - a * n_max, start:stop]
    total = 0.0
    for j in range(g1.shape[0]):
        total += g1[j] * g2[j]
    return total


@numba.njit(cache=True, fastmath=FASTMATH)
def _contract(density, products, w, gradient):
    """Fill gradient (Q, n_lm) = dE/dA for the weights w (P, n_l)."""
    gradient[:] = 0.0
    for p in range(products.shape[0]):
        q1, q2 = products[p, 0], products[p, 1]
        for l in range(w.shape[1]):  # noqa: E741
            c = w[p, l]
            if c != 0.0:
                for lm in range(l * l, (l + 1) * (l + 1)):
                    gradient[q1, lm] += c * density[q2, lm]
                    gradient[q2, lm] += c * density[q1, lm]


@numba.njit(cache=True, fastmath=FASTMATH)
def _chain(gradient, recursion, pi, powers, g, dg, segments, n_max, both, work, wide):
    """Contract dE/dA with dA/dD: fill work[0:4] with the radial and Cartesian parts, (4, J).

    E changes by work[0] along r, and by work[1:4]/r across it (before the projection on the
    tangent plane). For each m the sums over l are taken first, then multiplied by c_m, s_m:
    uc, us are Σ_l Π_l^m b; rc, rs the same with b′; zc, zs are Σ_l d Π_l^{m+1} b, where
    b = Σ_n dE/dA_n,lm g_n. Scratch: both (n_max, 2J), wide (2, 2J).
    """
    n_l = recursion.shape[1]
    work[0:4] = 0.0
    for a in range(segments.shape[0] - 1):
        start, stop, q = segments[a], segments[a + 1], a * n_max
        count = stop - start
        if count == 0:
            continue
        for n in range(n_max):
            row, gn, dgn = both[n], g[n, start:stop], dg[n, start:stop]
            for j in range(count):
                row[j] = gn[j]
                row[count + j] = dgn[j]
        bc, dbc = wide[0, :count], wide[0, count : 2 * count]
        bs, dbs = wide[1, :count], wide[1, count : 2 * count]
        uc, us, rc = work[4, :count], work[5, :count], work[6, :count]
        rs, zc, zs = work[7, :count], work[8, :count], work[9, :count]
        along, gx = work[0, start:stop], work[1, start:stop]
        gy, gz = work[2, start:stop], work[3, start:stop]
        for m in range(n_l):
            work[4:10, :count] = 0.0
            for l in range(m, n_l):  # noqa: E741
                p0 = pi[l, m, start:stop]
                p1 = pi[l, min(m + 1, n_l - 1), start:stop]
                d = recursion[2, l, m]
                lm = l * l + max(2 * m - 1, 0)
                _weighted_rows(gradient[q : q + n_max, lm], both, 2 * count, wide[0])
                if m == 0:
                    for j in range(count):
                        uc[j] += p0[j] * bc[j]
                        rc[j] += p0[j] * dbc[j]
                    if l > m:
                        for j in range(count):
                            zc[j] += d * p1[j] * bc[j]
                    continue
                _weighted_rows(gradient[q : q + n_max, lm + 1], both, 2 * count, wide[1])
                for j in range(count):
                    uc[j] += p0[j] * bc[j]
                    us[j] += p0[j] * bs[j]
                    rc[j] += p0[j] * dbc[j]
                    rs[j] += p0[j] * dbs[j]
                if l > m:
                    for j in range(count):
                        zc[j] += d * p1[j] * bc[j]
                        zs[j] += d * p1[j] * bs[j]
            c, s = powers[0, m, start:stop], powers[1, m, start:stop]
            if m == 0:
                for j in range(count):
                    along[j] += rc[j]
                    gz[j] += zc[j]
                continue
            c1, s1 = powers[0, m - 1, start:stop], powers[1, m - 1, start:stop]
            for j in range(count):
                along[j] += rc[j] * c[j] + rs[j] * s[j]
                gz[j] += zc[j] * c[j] + zs[j] * s[j]
            for j in range(count):
                gx[j] += m * (uc[j] * c1[j] + us[j] * s1[j])
                gy[j] += m * (us[j] * c1[j] - uc[j] * s1[j])


@numba.njit(cache=True, fastmath=FASTMATH)
def _self_chain(products, v, g, dg, segments, n_max, radial):
    """Add to radial (J,) the derivative along r of Σ_p v_p s_p."""
    for p in range(products.shape[0]):
        if v[p] != 0.0:
            a = products[p, 0] // n_max
            start, stop = segments[a], segments[a + 1]
            n1, n2 = products[p, 0] - a * n_max, products[p, 1] - a * n_max
            g1, g2, d1, d2 = (
                g[n1, start:stop],
                g[n2, start:stop],
                dg[n1, start:stop],
                dg[n2, start:stop],
            )
            out = radial[start:stop]
            for j in range(stop - start):
                out[j] += v[p] * (d1[j] * g2[j] + g1[j] * d2[j])


@numba.njit(cache=True, parallel=True, fastmath=FASTMATH)
def site_pull(
    first,
    neighbor,
    vectors,
    species,
    r_cut,
    coefficients,
    recursion,
    products,
    n_channels,
    weights,
    self_weights,
    mixed,
    mixed_self,
    n_chunks,
):
    """Return site values for several weight vectors, pair forces for one mixture of them.

    Parameters
    ----------
    weights, self_weights : ndarray, shapes (T, n_species, P, n_l) and (T, n_species, P)
        Weights of S_pl and s_p for each of T targets.
    mixed, mixed_self : ndarray, shapes (n_species, P, n_l) and (n_species, P)
        The weights whose pair forces are wanted.
    n_chunks : int
        Blocks of atoms that share work arrays.

    Returns
    -------
    sites : ndarray, shape (N, T)
    pair_forces : ndarray, shape (M, 3)
    """
    n_atoms = len(first) - 1
    n_max, n_terms = coefficients.shape
    n_l = recursion.shape[1]
    n_lm = n_l * n_l
    n_targets = weights.shape[0]
    longest = np.max(first[1:] - first[:-1]) if n_atoms else 0
    sites = np.zeros((n_atoms, n_targets))
    pair_forces = np.zeros((len(neighbor), 3))
    for chunk in numba.prange(n_chunks):
        pairs = np.empty(longest, np.int64)
        geometry = np.empty((4, longest))
        segments = np.empty(n_channels + 1, np.int64)
        series = np.empty((n_terms + 1, 2 * longest))
        g, dg = np.empty((n_max, longest)), np.empty((n_max, longest))
        pi, powers = np.empty((n_l, n_l, longest)), np.empty((2, n_l, longest))
        y = np.empty((n_lm, longest))
        density = np.empty((n_channels * n_max, n_lm))
        gradient = np.empty((n_channels * n_max, n_lm))
        both, wide = np.empty((n_max, 2 * longest)), np.empty((2, 2 * longest))
        work = np.empty((10, longest))
        sums = np.empty(n_l)
        for i in range(chunk * n_atoms // n_chunks, (chunk + 1) * n_atoms // n_chunks):
            count = gather(
                i, first, neighbor, vectors, species, r_cut, n_channels, pairs, geometry, segments
            )
            if count == 0:
                continue
            radial_functions(geometry[3, :count], coefficients, r_cut, series, g, dg)
            harmonics(geometry, count, recursion, pi, powers, y)
            project(g, y, segments, n_max, n_lm, density)
            z = species[i]
            for p in range(products.shape[0]):
                q1, q2 = products[p, 0], products[p, 1]
                _legendre_sums(density, q1, q2, n_l, sums)
                same = q1 // n_max == q2 // n_max
                s = _self_sum(g, segments, n_max, q1, q2) if same else 0.0
                for t in range(n_targets):
                    total = self_weights[t, z, p] * s
                    for l in range(n_l):  # noqa: E741
                        total += weights[t, z, p, l] * sums[l]
                    sites[i, t] += total
            _contract(density, products, mixed[z], gradient)
            _chain(gradient, recursion, pi, powers, g, dg, segments, n_max, both, work, wide)
            _self_chain(products, mixed_self[z], g, dg, segments, n_max, work[0])
            for j in range(count):
                x, yy, zz, r = geometry[0, j], geometry[1, j], geometry[2, j], geometry[3, j]
                gx, gy, gz = work[1, j], work[2, j], work[3, j]
                along = work[0, j] - (x * gx + yy * gy + zz * gz) / r
                pair_forces[pairs[j], 0] = along * x + gx / r
                pair_forces[pairs[j], 1] = along * yy + gy / r
                pair_forces[pairs[j], 2] = along * zz + gz / r
    return sites, pair_forces


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
    n_max, n_terms = coefficients.shape
    n_l = recursion.shape[1]
    n_lm = n_l * n_l
    longest = np.max(first[1:] - first[:-1]) if n_atoms else 0
    sums = np.zeros((n_atoms, products.shape[0], n_l))
    self_sums = np.zeros((n_atoms, products.shape[0]))
    for chunk in numba.prange(n_chunks):
        pairs = np.empty(longest, np.int64)
        geometry = np.empty((4, longest))
        segments = np.empty(n_channels + 1, np.int64)
        series = np.empty((n_terms + 1, 2 * longest))
        g, dg = np.empty((n_max, longest)), np.empty((n_max, longest))
        pi, powers = np.empty((n_l, n_l, longest)), np.empty((2, n_l, longest))
        y = np.empty((n_lm, longest))
        density = np.empty((n_channels * n_max, n_lm))
        for i in range(chunk * n_atoms // n_chunks, (chunk + 1) * n_atoms // n_chunks):
            count = gather(
                i, first, neighbor, vectors, species, r_cut, n_channels, pairs, geometry, segments
            )
            if count == 0:
                continue
            radial_functions(geometry[3, :count], coefficients, r_cut, series, g, dg)
            harmonics(geometry, count, recursion, pi, powers, y)
            project(g, y, segments, n_max, n_lm, density)
            for p in range(products.shape[0]):
                q1, q2 = products[p, 0], products[p, 1]
                _legendre_sums(density, q1, q2, n_l, sums[i, p])
                if q1 // n_max == q2 // n_max:
                    self_sums[i, p] = _self_sum(g, segments, n_max, q1, q2)
    return sums, self_sums


@numba.njit(cache=True, fastmath=FASTMATH)
def _neighbor_gradients(j, geometry, pi, powers, y, recursion, grad_y):
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
    n_max, n_terms = coefficients.shape
    n_l = recursion.shape[1]
    n_lm = n_l * n_l
    n_products = products.shape[0]
    longest = np.max(first[1:] - first[:-1]) if n_atoms else 0
    sums = np.zeros((n_species, n_products, n_l))
    self_sums = np.zeros((n_species, n_products))
    d_sums = np.zeros((3 * n_atoms, n_species, n_products * n_l))
    d_self = np.zeros((3 * n_atoms, n_species, n_products))
    e_sums = np.zeros((9, n_species, n_products * n_l))
    e_self = np.zeros((9, n_species, n_products))
    pairs = np.empty(longest, np.int64)
    geometry = np.empty((4, longest))
    segments = np.empty(n_channels + 1, np.int64)
    series = np.empty((n_terms + 1, 2 * longest))
    g, dg = np.empty((n_max, longest)), np.empty((n_max, longest))
    pi, powers = np.empty((n_l, n_l, longest)), np.empty((2, n_l, longest))
    y = np.empty((n_lm, longest))
    density = np.empty((n_channels * n_max, n_lm))
    grad_y = np.empty((3, n_lm))
    partial = np.empty((4, n_channels * n_max, n_l))
    lines, slopes = np.empty((3, n_products * n_l)), np.empty((3, n_products))
    line, unit = np.empty(n_l), np.empty(3)
    for i in range(n_atoms):
        count = gather(
            i, first, neighbor, vectors, species, r_cut, n_channels, pairs, geometry, segments
        )
        if count == 0:
            continue
        radial_functions(geometry[3, :count], coefficients, r_cut, series, g, dg)
        harmonics(geometry, count, recursion, pi, powers, y)
        project(g, y, segments, n_max, n_lm, density)
        z = species[i]
        for p in range(n_products):
            q1, q2 = products[p, 0], products[p, 1]
            _legendre_sums(density, q1, q2, n_l, line)
            _add(sums[z, p], 1.0, line)
            if q1 // n_max == q2 // n_max:
                self_sums[z, p] += _self_sum(g, segments, n_max, q1, q2)
        for a in range(n_channels):
            for j in range(segments[a], segments[a + 1]):
                _neighbor_gradients(j, geometry, pi, powers, y, recursion, grad_y)
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
