"""Hessians of functions of density projections: E_i = P(A_i) + Σ_j f(r_ij), analytic.

With A_q,lm(i) = Σ_j g_n(r_ij) Y_lm(r̂_ij) the second derivatives with respect to the vectors D_j to
the neighbours of centre i are

    ∂²E_i/∂D_j∂D_k = (∂A/∂D_j)ᵀ P″ (∂A/∂D_k) + δ_jk Σ_A P′_A ∂²(g_n Y_lm)/∂D_j² + δ_jk ∂²f/∂D_j²

and D_j = R_j − R_i distributes them over the atoms: blocks between all atoms within twice the
cutoff, O(N) in all. For a function b(r) Y(u), u = D/r, P = 1 − u uᵀ, G = ∂Y/∂u, K = ∂²Y/∂u²,

    ∂²(bY) = b″Y uuᵀ + (b′/r)(u (PG)ᵀ + PG uᵀ + Y P) + (b/r²)[PKP − (u·G) P − u (PG)ᵀ − PG uᵀ].

Checked: against differences of the forces, 1e-8 eV/Å².
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from thiry_calc.descriptors.curve_kernels import (
    add_blocks,
    harmonic_slopes,
    pair_blocks,
    projection_slopes,
)
from thiry_calc.neighbors import NeighborList

Array = NDArray[np.float64]

_BATCH = 32  # centres whose radial functions are evaluated at a time


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
    hessian = _pattern(nl, density.r_cut)
    for start in range(0, n, _BATCH):
        last = min(start + _BATCH, n)
        own = slice(nl.first[start], nl.first[last])
        length = np.linalg.norm(nl.vectors[own], axis=1)
        near = length < density.r_cut
        first = np.concatenate([[0], np.cumsum(near)])[nl.first[start : last + 1] - nl.first[start]]
        all_r, all_u = length[near], nl.vectors[own][near] / length[near, None]
        atoms, functions = nl.neighbor[own][near], radial_derivatives(density, all_r)
        for i, a, b in zip(range(start, last), first[:-1], first[1:], strict=True):
            kinds, u, r = density.species[atoms[a:b]], all_u[a:b], all_r[a:b]
            radial = [np.ascontiguousarray(f[:, a:b]) for f in functions]
            full, blocks = _centre(density, site, on_pairs, i, kinds, u, r, radial)
            add_blocks(hessian.indptr, hessian.indices, hessian.data, atoms[a:b], i, full, blocks)
    return hessian.tocsr()


def _pattern(nl: NeighborList, r_cut: float) -> scipy.sparse.bsr_array:
    """Zeros wherever two atoms are in the neighbourhood of a third, or in each other's."""
    n = len(nl)
    near = np.linalg.norm(nl.vectors, axis=1) < r_cut
    center = np.repeat(np.arange(n), np.diff(nl.first))[near]
    ones, diagonal = np.ones(len(center) + n, dtype=np.int32), np.arange(n)
    where = np.append(center, diagonal), np.append(nl.neighbor[near], diagonal)
    touches = scipy.sparse.coo_array((ones, where), shape=(n, n)).tocsr()
    pairs = (touches.T @ touches).tocsr()
    pairs.sort_indices()
    zeros = np.zeros((pairs.nnz, 3, 3))
    return scipy.sparse.bsr_array((zeros, pairs.indices, pairs.indptr), shape=(3 * n, 3 * n))


def _centre(
    density: Density,
    site: Callable[[int, Array], Site],
    on_pairs: Callable[..., tuple[Array, Array]] | None,
    i: int,
    species: NDArray[np.int64],
    u: Array,
    r: Array,
    radial: Sequence[Array],
) -> tuple[Array, Array]:
    """Hessian of E_i with respect to the vectors to its neighbours, (3J, 3J), and (J, 3, 3) on it.

    Takes species, unit vectors (J, 3), distances (J,) of the neighbours and g, g′, g″ (n_max, J).
    """
    g, dg, ddg = radial
    y, across = harmonic_slopes(density.recursion, u)
    channel = (species == np.arange(density.n_species)[:, None]).astype(float)
    a = np.stack([(g * own) @ y.T for own in channel])
    found = site(i, a.ravel())
    gradient = found.gradient.reshape(a.shape)[species]  # (J, n, lm)
    b, b1, b2 = ((f.T[:, None] @ gradient)[:, 0] for f in (g, dg, ddg))
    zero = np.zeros(len(r))
    first, second = (zero, zero) if on_pairs is None else on_pairs(i, species, g, dg, ddg)
    slopes = projection_slopes(found.used, len(g), species, u, r, g, dg, y, across)
    full = slopes.T @ found.second(slopes)
    return full, pair_blocks(density.recursion, u, r, b, b1, b2, first, second)
