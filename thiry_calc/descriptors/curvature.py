"""Hessians of functions of density projections: E_i = P(A_i) + Σ_j f(r_ij), analytic.

With A_q,lm(i) = Σ_j g_n(r_ij) Y_lm(r̂_ij) the second derivatives with respect to the vectors D_j to
the neighbours of centre i are

    ∂²E_i/∂D_j∂D_k = (∂A/∂D_j)ᵀ P″ (∂A/∂D_k) + δ_jk Σ_A P′_A ∂²(g_n Y_lm)/∂D_j² + δ_jk ∂²f/∂D_j²

and D_j = R_j − R_i distributes them over the atoms: blocks between all atoms within twice the
cutoff, O(N) in all. For a function b(r) Y(u), u = D/r, P = 1 − u uᵀ, G = ∂Y/∂u, K = ∂²Y/∂u²,

    ∂²(bY) = b″Y uuᵀ + (b′/r)(u (PG)ᵀ + PG uᵀ + Y P) + (b/r²)[PKP − (u·G) P − u (PG)ᵀ − PG uᵀ].

Checked: against differences of the forces, 1e-8 eV/Å².
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from thiry_calc.neighbors import NeighborList

Array = NDArray[np.float64]

_BATCH = 32  # centres whose blocks are added to the matrix at a time


class Site(NamedTuple):
    """Derivatives of the site function P at the projections of one centre.

    Attributes
    ----------
    gradient : ndarray, shape (Q n_lm,)
        P′.
    used : ndarray of int, shape (U,)
        The projections on which P depends more than linearly.
    second : callable
        Takes ∂A/∂D of these, shape (U, 3J), to P″ ∂A/∂D.
    """

    gradient: Array
    used: NDArray[np.int64]
    second: Callable[[Array], Array]


class Density(NamedTuple):
    """What defines the projections.

    Attributes
    ----------
    r_cut : float
        Å.
    radial : ndarray, shape (n_max, n_terms)
        Chebyshev coefficients, of `radial.RadialBasis`.
    recursion : ndarray, shape (3, l_max + 1, l_max + 1)
        Of `angular.harmonic_recursion`.
    species : ndarray of int, shape (N,)
    n_species : int
    """

    r_cut: float
    radial: Array
    recursion: Array
    species: NDArray[np.int64]
    n_species: int


def radial_derivatives(density: Density, r: Array) -> tuple[Array, Array, Array]:
    """g_n and its first two derivatives, each of shape (n_max, J)."""
    u, t = 1 - r / density.r_cut, 1 - 2 * r / density.r_cut
    series: list[Array] = [density.radial.T]
    for _ in range(2):
        last = series[-1]
        longer = len(last) > 1
        slope = np.polynomial.chebyshev.chebder(last) if longer else np.zeros_like(last)
        series.append(slope.astype(np.float64))
    s, s1, s2 = (np.polynomial.chebyshev.chebval(t, c) for c in series)
    first = -(3 * u**2 * s + 2 * u**3 * s1) / density.r_cut
    second = (6 * u * s + 12 * u**2 * s1 + 4 * u**3 * s2) / density.r_cut**2
    return u**3 * s, first, second


def harmonic_derivatives(recursion: Array, u: Array) -> tuple[Array, Array, Array]:
    """Y_lm of unit vectors and its derivatives as a polynomial in their components.

    Parameters
    ----------
    recursion : ndarray, shape (3, l_max + 1, l_max + 1)
    u : ndarray, shape (J, 3)

    Returns
    -------
    y, dy, ddy : ndarray, shapes (n_lm, J), (3, n_lm, J) and (3, 3, n_lm, J)
    """
    n_l, count = recursion.shape[1], len(u)
    pi = np.zeros((n_l, n_l + 2, count))  # Π_l^m, zero for m > l
    for m in range(n_l):
        pi[m, m] = recursion[0, m, m]
        for l in range(m + 1, n_l):  # noqa: E741
            pi[l, m] = recursion[0, l, m] * u[:, 2] * pi[l - 1, m]
            if l > m + 1:
                pi[l, m] -= recursion[1, l, m] * pi[l - 2, m]
    power = np.ones((n_l + 2, count), dtype=complex)  # (x + iy)^m at m + 2
    power[:2] = 0
    for m in range(1, n_l):
        power[m + 2] = power[m + 1] * (u[:, 0] + 1j * u[:, 1])
    y = np.zeros((n_l**2, count))
    dy, ddy = np.zeros((3, n_l**2, count)), np.zeros((3, 3, n_l**2, count))
    for l in range(n_l):  # noqa: E741
        for m in range(l + 1):
            d1 = recursion[2, l, m]
            d2 = d1 * recursion[2, l, m + 1] if m + 1 <= l else 0.0
            p0, p1, p2 = pi[l, m], d1 * pi[l, m + 1], d2 * pi[l, m + 2]
            e0, e1, e2 = power[m + 2], m * power[m + 1], m * (m - 1) * power[m]
            first = (p0 * e1, 1j * p0 * e1, p1 * e0)
            xx, xy, xz = p0 * e2, 1j * p0 * e2, p1 * e1
            second = ((xx, xy, xz), (xy, -xx, 1j * xz), (xz, 1j * xz, p2 * e0))
            parts = ["real", "imag"] if m else ["real"]
            for k, part in enumerate(parts, l * l + max(2 * m - 1, 0)):
                y[k] = getattr(p0 * e0, part)
                for a in range(3):
                    dy[a, k] = getattr(first[a], part)
                    for b in range(3):
                        ddy[a, b, k] = getattr(second[a][b], part)
    return y, dy, ddy


def density_curve(
    nl: NeighborList,
    density: Density,
    site: Callable[[int, Array], Site],
    on_pairs: Callable[[int, NDArray[np.int64], Array, Array, Array], tuple[Array, Array]]
    | None = None,
) -> scipy.sparse.csr_array:
    """Hessian of Σ_i E_i.

    Parameters
    ----------
    nl : NeighborList
        Of all atoms, complete to the cutoff.
    density : Density
    site : callable
        From a centre and its projections A, shape (Q n_lm,), to P's derivatives.
    on_pairs : callable, optional
        From a centre, the species of its neighbours and g, g′, g″ (n_max, J) to f′ and f″, (J,).

    Returns
    -------
    scipy.sparse.csr_array, shape (3N, 3N)
        Per Å²; symmetric, with rows that sum to zero over atoms.
    """
    n = len(nl)
    hessian = scipy.sparse.csr_array((3 * n, 3 * n))
    for start in range(0, n, _BATCH):
        rows, columns, data = [], [], []
        for i in range(start, min(start + _BATCH, n)):
            nodes, block = _centre(nl, density, site, on_pairs, i)
            index = (3 * nodes[:, None] + np.arange(3)).ravel()
            rows.append(np.repeat(index, len(index)))
            columns.append(np.tile(index, len(index)))
            data.append(block.ravel())
        entries = (np.concatenate(data), (np.concatenate(rows), np.concatenate(columns)))
        hessian = hessian + scipy.sparse.coo_array(entries, shape=(3 * n, 3 * n)).tocsr()
    return hessian


def _centre(
    nl: NeighborList,
    density: Density,
    site: Callable[[int, Array], Site],
    on_pairs: Callable[..., tuple[Array, Array]] | None,
    i: int,
) -> tuple[NDArray[np.int64], Array]:
    """Atoms (J + 1,) that E_i depends on, the centre last, and its Hessian (3J + 3, 3J + 3)."""
    own = slice(nl.first[i], nl.first[i + 1])
    r = np.linalg.norm(nl.vectors[own], axis=1)
    near = r < density.r_cut
    r, u = r[near], nl.vectors[own][near] / r[near, None]
    atoms = nl.neighbor[own][near]
    species = density.species[atoms]
    g, dg, ddg = radial_derivatives(density, r)
    y, dy, ddy = harmonic_derivatives(density.recursion, u)
    channel = (species == np.arange(density.n_species)[:, None]).astype(float)
    a = np.einsum("sj,nj,yj->sny", channel, g, y, optimize=True)
    found = site(i, a.ravel())
    gradient = found.gradient.reshape(a.shape)[species]  # (J, n, lm)
    b, b1, b2 = (np.einsum("jny,nj->yj", gradient, f, optimize=True) for f in (g, dg, ddg))
    along, along2 = (b1 * y).sum(axis=0), (b2 * y).sum(axis=0)
    if on_pairs is not None:
        first, second = on_pairs(i, species, g, dg, ddg)
        along, along2 = along + first, along2 + second
    G, G1 = (np.einsum("yj,ayj->ja", f, dy, optimize=True) for f in (b, b1))
    K = np.einsum("yj,abyj->jab", b, ddy, optimize=True)
    blocks = _pair_blocks(u, r, along, along2, G, G1, K)
    J = len(r)
    full = np.zeros((J, 3, J, 3))
    if len(found.used):
        tangent = dy - np.einsum("ja,jb,byj->ayj", u, u, dy, optimize=True)
        q, lm = np.divmod(found.used, len(y))
        s, k = np.divmod(q, len(g))
        slopes = (channel[s] * dg[k] * y[lm])[:, :, None] * u
        slopes += (channel[s] * g[k] / r)[:, :, None] * tangent[:, lm].transpose(1, 2, 0)
        flat = slopes.reshape(len(q), 3 * J)
        full += (flat.T @ found.second(flat)).reshape(full.shape)
    full[np.arange(J), :, np.arange(J), :] += blocks
    out = np.zeros((J + 1, 3, J + 1, 3))
    out[:J, :, :J, :] = full
    out[J, :, :J, :] = -full.sum(axis=0)
    out[:J, :, J, :] = -full.sum(axis=2)
    out[J, :, J, :] = full.sum(axis=(0, 2))
    return np.append(atoms, i), out.reshape(3 * J + 3, 3 * J + 3)


def _pair_blocks(
    u: Array, r: Array, along: Array, along2: Array, G: Array, G1: Array, K: Array
) -> Array:
    """Σ_A P′_A ∂²(g Y)/∂D², shape (J, 3, 3), as in the module's formula."""
    r1, r2 = r[:, None, None], r[:, None, None] ** 2
    uu = u[:, :, None] * u[:, None, :]
    P = np.eye(3) - uu
    PG, PG1 = np.einsum("jab,jb->ja", P, G), np.einsum("jab,jb->ja", P, G1)

    def mixed(v: Array) -> Array:
        outer = u[:, :, None] * v[:, None, :]
        return outer + outer.transpose(0, 2, 1)

    across = P @ K @ P - np.einsum("ja,ja->j", u, G)[:, None, None] * P - mixed(PG)
    out: Array = along2[:, None, None] * uu + (mixed(PG1) + along[:, None, None] * P) / r1
    return out + across / r2
