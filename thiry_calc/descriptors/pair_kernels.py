"""Numba kernels of the pair descriptor; arrays as in `density`.

A weighted sum of radial functions is one Chebyshev series again, so that `pair_pull` costs the
same for any number of features.
"""

import numba
import numpy as np

from thiry_calc.descriptors.density import FASTMATH, gather, radial_arrays, radial_functions


@numba.njit(cache=True, fastmath=FASTMATH)
def pair_values(first, neighbor, vectors, species, r_cut, coefficients, n_channels):
    """Σ_j g_n of every centre and channel, shape (N, n_channels, n_max)."""
    n_atoms, n_max = len(first) - 1, coefficients.shape[0]
    pairs, geometry, segments, scratch, g, dg = radial_arrays(first, coefficients, n_channels)
    out = np.zeros((n_atoms, n_channels, n_max))
    for i in range(n_atoms):
        count = gather(
            i, first, neighbor, vectors, species, r_cut, n_channels, pairs, geometry, segments
        )
        radial_functions(geometry[3, :count], coefficients, r_cut, scratch, g, dg)
        for a in range(n_channels):
            for n in range(n_max):
                out[i, a, n] = np.sum(g[n, segments[a] : segments[a + 1]])
    return out


@numba.njit(cache=True, parallel=True, fastmath=FASTMATH)
def pair_pull(first, neighbor, vectors, species, r_cut, n_channels, series, mixed, n_chunks):
    """Site values (N, T) of T series (T, species, channels, terms); pair forces of `mixed`."""
    n_atoms, n_targets = len(first) - 1, series.shape[0]
    longest = np.max(first[1:] - first[:-1]) if n_atoms else 0
    sites, pair_forces = np.zeros((n_atoms, n_targets)), np.zeros((len(neighbor), 3))
    for chunk in numba.prange(n_chunks):
        pairs, geometry = np.empty(longest, np.int64), np.empty((4, longest))
        segments = np.empty(n_channels + 1, np.int64)
        # T_{k−1}, T_k, their derivatives, the mixed series and its derivative, the targets
        work = np.empty((6 + n_targets, longest))
        for i in range(chunk * n_atoms // n_chunks, (chunk + 1) * n_atoms // n_chunks):
            gather(
                i, first, neighbor, vectors, species, r_cut, n_channels, pairs, geometry, segments
            )
            for a in range(n_channels):
                start, stop = segments[a], segments[a + 1]
                r = geometry[3, start:stop]
                z = species[i]
                _series(r, r_cut, mixed[z, a], series[:, z, a], work)
                for t in range(n_targets):
                    value = work[6 + t]
                    total = 0.0
                    for j in range(stop - start):
                        u = 1.0 - r[j] / r_cut
                        total += u * u * u * value[j]
                    sites[i, t] += total
                for j in range(stop - start):
                    u = 1.0 - r[j] / r_cut
                    slope = -(3.0 * u * u * work[4, j] + 2.0 * u * u * u * work[5, j]) / r_cut
                    for c in range(3):
                        pair_forces[pairs[start + j], c] = slope * geometry[c, start + j]
    return sites, pair_forces


@numba.njit(cache=True, fastmath=FASTMATH)
def _series(r, r_cut, mixed, series, work):
    """Fill work[4:6] with Σ_k m_k T_k and its t-derivative, work[6 + t] with Σ_k c_tk T_k."""
    count = r.shape[0]
    t0, t1, d0, d1, value, slope = work[0], work[1], work[2], work[3], work[4], work[5]
    for j in range(count):
        x = 1.0 - 2.0 * r[j] / r_cut
        # T_{−1} = T_1 = t and T_{−1}′ = 1 start the recursion at k = 0
        t0[j], t1[j], d0[j], d1[j] = x, 1.0, 1.0, 0.0
        value[j], slope[j] = 0.0, 0.0
    work[6:, :count] = 0.0
    for k in range(mixed.shape[0]):
        m = mixed[k]
        for j in range(count):
            value[j] += m * t1[j]
            slope[j] += m * d1[j]
        for t in range(series.shape[0]):
            c, out = series[t, k], work[6 + t]
            for j in range(count):
                out[j] += c * t1[j]
        for j in range(count):
            x = 1.0 - 2.0 * r[j] / r_cut
            new, dnew = 2.0 * x * t1[j] - t0[j], 2.0 * (t1[j] + x * d1[j]) - d0[j]
            t0[j], d0[j] = t1[j], d1[j]
            t1[j], d1[j] = new, dnew


@numba.njit(cache=True, nogil=True, fastmath=FASTMATH)
def pair_push(first, neighbor, vectors, species, r_cut, coefficients, n_channels):
    """Return sums over atoms, their derivatives along positions and the nine strains."""
    n_atoms, n_max = len(first) - 1, coefficients.shape[0]
    pairs, geometry, segments, scratch, g, dg = radial_arrays(first, coefficients, n_channels)
    total = np.zeros((n_channels, n_channels, n_max))
    rows = np.zeros((3 * n_atoms, n_channels, n_channels, n_max))
    strain = np.zeros((9, n_channels, n_channels, n_max))
    for i in range(n_atoms):
        count = gather(
            i, first, neighbor, vectors, species, r_cut, n_channels, pairs, geometry, segments
        )
        radial_functions(geometry[3, :count], coefficients, r_cut, scratch, g, dg)
        z = species[i]
        for a in range(n_channels):
            for j in range(segments[a], segments[a + 1]):
                other, r = neighbor[pairs[j]], geometry[3, j]
                for n in range(n_max):
                    total[z, a, n] += g[n, j]
                    for c in range(3):
                        slope = dg[n, j] * geometry[c, j]
                        rows[3 * other + c, z, a, n] += slope
                        rows[3 * i + c, z, a, n] -= slope
                        for d in range(3):
                            strain[3 * c + d, z, a, n] += slope * r * geometry[d, j]
    return total, rows, strain
