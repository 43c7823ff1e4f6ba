"""Site values and pair forces of weighted density sums: E_i = Σ_pl w_pl S_pl + Σ_p v_p s_p.

The weights are contracted into b_q,lm = dE_i/dA_q,lm before they meet a derivative,

    ∂E_i/∂D_ij = Σ_lm ∂/∂D [ Σ_n b_n,lm g_n(r) Y_lm(r̂) ] at D_ij,

so that the cost does not grow with the number of features (see `density` for the notation).
"""

import numba
import numpy as np

from thiry_calc.descriptors.density import (
    FASTMATH,
    expand,
    legendre_sums,
    neighborhood,
    self_sum,
    weighted_rows,
)


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
def chain(gradient, recursion, pi, powers, g, dg, segments, n_of_l, n_max, both, work, wide):
    """Contract dE/dA with dA/dD: fill work[0:4] with the radial and Cartesian parts, (4, J).

    E changes by work[0] along r, and by work[1:4]/r across it (before the projection on the
    tangent plane). For each m the sums over l are taken first, then multiplied by c_m, s_m:
    uc, us are Σ_l Π_l^m b; rc, rs the same with b′; zc, zs are Σ_l d Π_l^{m+1} b, where
    b = Σ_n dE/dA_n,lm g_n over the first n_of_l[l] radial functions. Scratch: both (n_max, 2J),
    wide (2, 2J).
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
                top = n_of_l[l]
                weighted_rows(gradient[q : q + top, lm], both[:top], 2 * count, wide[0])
                if m == 0:
                    for j in range(count):
                        uc[j] += p0[j] * bc[j]
                        rc[j] += p0[j] * dbc[j]
                    if l > m:
                        for j in range(count):
                            zc[j] += d * p1[j] * bc[j]
                    continue
                weighted_rows(gradient[q : q + top, lm + 1], both[:top], 2 * count, wide[1])
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
def to_pairs(count, geometry, work, pairs, pair_forces):
    """Put together what `chain` left in work[0:4]: pair_forces (M, 3) of one centre's pairs."""
    for j in range(count):
        x, y, z, r = geometry[0, j], geometry[1, j], geometry[2, j], geometry[3, j]
        gx, gy, gz = work[1, j], work[2, j], work[3, j]
        along = work[0, j] - (x * gx + y * gy + z * gz) / r
        pair_forces[pairs[j], 0] = along * x + gx / r
        pair_forces[pairs[j], 1] = along * y + gy / r
        pair_forces[pairs[j], 2] = along * z + gz / r


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
    n_max, n_l = coefficients.shape[0], recursion.shape[1]
    n_targets, n_of_l = weights.shape[0], np.full(n_l, n_max)
    longest = np.max(first[1:] - first[:-1]) if n_atoms else 0
    sites = np.zeros((n_atoms, n_targets))
    pair_forces = np.zeros((len(neighbor), 3))
    for chunk in numba.prange(n_chunks):
        arrays = neighborhood(first, coefficients, n_l, n_channels)
        pairs, geometry, segments, _, g, dg, pi, powers, _, density = arrays
        gradient = np.empty((n_channels * n_max, n_l * n_l))
        both, wide = np.empty((n_max, 2 * longest)), np.empty((2, 2 * longest))
        work = np.empty((10, longest))
        sums = np.empty(n_l)
        for i in range(chunk * n_atoms // n_chunks, (chunk + 1) * n_atoms // n_chunks):
            count = expand(
                i, first, neighbor, vectors, species, r_cut, coefficients, recursion, n_of_l, arrays
            )
            if count == 0:
                continue
            z = species[i]
            for p in range(products.shape[0]):
                q1, q2 = products[p, 0], products[p, 1]
                legendre_sums(density, q1, q2, n_l, sums)
                same = q1 // n_max == q2 // n_max
                s = self_sum(g, segments, n_max, q1, q2) if same else 0.0
                for t in range(n_targets):
                    total = self_weights[t, z, p] * s
                    for l in range(n_l):  # noqa: E741
                        total += weights[t, z, p, l] * sums[l]
                    sites[i, t] += total
            _contract(density, products, mixed[z], gradient)
            chain(gradient, recursion, pi, powers, g, dg, segments, n_of_l, n_max, both, work, wide)
            _self_chain(products, mixed_self[z], g, dg, segments, n_max, work[0])
            to_pairs(count, geometry, work, pairs, pair_forces)
    return sites, pair_forces
