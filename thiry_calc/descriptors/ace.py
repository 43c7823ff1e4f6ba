"""Atomic cluster expansion: rotation invariants of products of ν density projections.

    B_k(i) = Σ_{m1…mν} C^k_{m1…mν} Π_t A_{q_t, l_t m_t}(i),    A_q,lm(i) = Σ_j g_n(r_ij) Y_lm(r̂_ij)

with q = (element of the neighbours, n) and the couplings C of `coupling` (Drautz, Phys. Rev. B 99,
014104 (2019); Dusson et al., J. Comput. Phys. 454, 110946 (2022)): body order ν + 1, at a cost
linear in the number of neighbours. Functions are chosen by total degree,

    Σ_t (n_t − 1 + w_l l_t) ≤ degrees[ν − 1],         n_t = 1, 2, …

Self-interactions are included, as in the power spectrum, which is the part ν = 2.
Checked: ν = 1 and 2 against `Pair` and `PowerSpectrum`, ν = 3 against an explicit sum over triplets
of neighbours, 1e-12.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import combinations_with_replacement
from typing import Any, ClassVar

import numpy as np
import scipy.sparse
from ase import Atoms
from numpy.typing import NDArray

from thiry_calc.descriptors.ace_kernels import (
    Jacobian,
    Terms,
    ace_curve,
    ace_push,
    ace_values,
)
from thiry_calc.descriptors.ace_pull import ace_pull, blocks_of
from thiry_calc.descriptors.angular import harmonic_recursion
from thiry_calc.descriptors.base import (
    Array,
    HyperParameters,
    as_neighbors,
    as_targets,
    check_elements,
    chunks,
    species_of,
)
from thiry_calc.descriptors.coupling import couplings
from thiry_calc.descriptors.curvature import Density, Site, density_curve
from thiry_calc.descriptors.product_tree import ProductTree, product_tree
from thiry_calc.descriptors.radial import RadialBasis, make_radial
from thiry_calc.neighbors import VOIGT, NeighborList

Channel = tuple[int, int]  # (q, l)


@dataclass(frozen=True)
class ACE(HyperParameters):
    """Atomic cluster expansion.

    Parameters
    ----------
    r_cut : float
        Cutoff radius, Å.
    degrees : tuple of int
        Largest total degree of the functions of each order ν = 1, 2, … (at most 4); −1 for none.
    l_weight : float
        w_l, how much a unit of l costs beside one of n.
    l_max : int
        No degree l above this.
    elements : tuple of str, optional
        As in `PowerSpectrum`.
    radial : {"chebyshev", "bartok"}

    Raises
    ------
    ValueError
        For hyper-parameters outside their range.
    """

    r_cut: float
    degrees: tuple[int, ...]
    l_weight: float = 1.0
    l_max: int = 8
    elements: tuple[str, ...] | None = None
    radial: str = "chebyshev"

    type: ClassVar[str] = "ace"
    hops: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Check the hyper-parameters."""
        if not (np.isfinite(self.r_cut) and self.r_cut > 0):
            raise ValueError(f"r_cut must be a positive length in Å, not {self.r_cut!r}")
        degrees = tuple(int(d) for d in self.degrees)
        if not 1 <= len(degrees) <= 4 or max(degrees) < 0 or max(degrees) > 30:
            raise ValueError(
                f"degrees must be one to four numbers up to 30, not {self.degrees!r}; "
                "for example (16, 12, 8)"
            )
        if not self.l_weight > 0 or not 0 <= self.l_max <= 20:
            raise ValueError(
                f"need l_weight > 0 and 0 <= l_max <= 20, not {self.l_weight!r} and {self.l_max!r}"
            )
        object.__setattr__(self, "degrees", degrees)
        object.__setattr__(self, "elements", check_elements(self.elements))
        make_radial(self.radial, self.r_cut, 1)

    @property
    def cutoff(self) -> float:
        """Radius of the neighbourhood, Å."""
        return self.r_cut

    @property
    def _n_species(self) -> int:
        return 1 if self.elements is None else len(self.elements)

    @cached_property
    def _radial(self) -> RadialBasis:
        return make_radial(self.radial, self.r_cut, max(self.degrees) + 1)

    @cached_property
    def _recursion(self) -> Array:
        highest = max((c[1] for f, _ in self._functions for c in f), default=0)
        return harmonic_recursion(highest)

    @cached_property
    def _n_of_l(self) -> NDArray[np.int64]:
        """How many radial functions occur with each l or a higher one, shape (l_max + 1,)."""
        n_max = max(self.degrees) + 1
        out = np.zeros(self._recursion.shape[1], dtype=np.int64)
        for channels, _ in self._functions:
            for q, l in channels:  # noqa: E741
                out[l] = max(out[l], q % n_max + 1)
        return np.maximum.accumulate(out[::-1])[::-1].copy()

    @cached_property
    def _functions(self) -> list[tuple[tuple[Channel, ...], Array]]:
        """Channels and coupling of every function."""
        return [
            (channels, coupling)
            for order, degree in enumerate(self.degrees, 1)
            for channels in self._products(order, degree)
            for coupling in couplings(tuple(c[1] for c in channels), tuple(c[0] for c in channels))
        ]

    def _products(self, order: int, degree: int) -> Iterator[tuple[Channel, ...]]:
        """Products of `order` channels up to a total degree."""
        n_max = max(self.degrees) + 1
        cost = {
            (a * n_max + n, l): n + self.l_weight * l
            for a in range(self._n_species)
            for n in range(n_max)
            for l in range(self.l_max + 1)  # noqa: E741
            if n + self.l_weight * l <= degree
        }
        for channels in combinations_with_replacement(sorted(cost), order):
            total = sum(c[1] for c in channels)
            if sum(cost[c] for c in channels) <= degree + 1e-9 and total % 2 == 0:
                yield channels

    @property
    def n_features(self) -> int:
        """Number K of features."""
        return self._n_species * len(self._functions)

    @property
    def orders(self) -> NDArray[np.int64]:
        """Number ν of projections in the products of each feature, shape (K,)."""
        return np.tile([len(channels) for channels, _ in self._functions], self._n_species)

    @property
    def total_degrees(self) -> Array:
        """Total degree Σ_t (n_t − 1 + w_l l_t) of each feature, shape (K,)."""
        n_max = max(self.degrees) + 1
        own = [sum(q % n_max + self.l_weight * l for q, l in c) for c, _ in self._functions]  # noqa: E741
        return np.tile(np.array(own, dtype=float), self._n_species)

    @property
    def names(self) -> list[str]:
        """Names of the features, in order."""
        symbols = self.elements or ("*",)
        n_max = max(self.degrees) + 1

        def named(channels: tuple[Channel, ...]) -> str:
            return ", ".join(
                f"{symbols[q // n_max]} n={q % n_max + 1} l={degree}" for q, degree in channels
            )

        return [f"{center}: {named(c)}" for center in symbols for c, _ in self._functions]

    @cached_property
    def _terms(self) -> Terms:
        """All products of projections with their coefficients; equal products are merged."""
        n_lm = self._recursion.shape[1] ** 2
        widest = len(self.degrees)
        indices, coefficients, feature, orders = [], [], [], []
        for k, (channels, coupling) in enumerate(self._functions):
            at = np.argwhere(coupling)
            first = np.array([q * n_lm + degree**2 for q, degree in channels])
            products = np.sort(at + first, axis=1)
            merged, where = np.unique(products, axis=0, return_inverse=True)
            sums = np.bincount(where.ravel(), coupling[tuple(at.T)])
            keep = np.abs(sums) > 1e-13
            padded = np.full((int(keep.sum()), widest), -1)
            padded[:, : len(channels)] = merged[keep]
            indices.append(padded)
            coefficients.append(sums[keep])
            feature.append(np.full(len(padded), k))
            orders.append(np.full(len(padded), len(channels)))
        first_of = np.searchsorted(np.concatenate(orders), np.arange(1, widest + 2))
        return Terms(
            np.concatenate(indices), np.concatenate(coefficients), np.concatenate(feature), first_of
        )

    @cached_property
    def _jacobian(self) -> Jacobian:
        """Entries of dB/dA: the distinct projections of every function."""
        terms, n_a = self._terms, self._n_species * (max(self.degrees) + 1)
        n_a *= self._recursion.shape[1] ** 2
        used = terms.indices >= 0
        keys = terms.feature[:, None] * n_a + terms.indices
        entries, where = np.unique(keys[used], return_inverse=True)
        slots = np.full(terms.indices.shape, -1)
        slots[used] = where.ravel()
        first = np.searchsorted(entries // n_a, np.arange(len(self._functions) + 1))
        return Jacobian(slots, first, entries % n_a)

    def _tables(self, nl: NeighborList) -> tuple[Any, ...]:
        return (
            nl.first_of_sites,
            nl.neighbor,
            nl.vectors,
            species_of(nl, self.elements),
            float(self.r_cut),
            self._radial.coefficients,
            self._recursion,
            self._n_of_l,
            self._n_species,
        )

    def values(self, structure: NeighborList | Atoms) -> Array:
        """Per-atom features.

        Parameters
        ----------
        structure : NeighborList or Atoms
            A neighbour list complete to at least `cutoff`.

        Returns
        -------
        ndarray, shape (N, K)
        """
        nl = as_neighbors(structure, self.cutoff)
        tables = self._tables(nl)
        n_functions = len(self._functions)
        found = ace_values(*tables, *self._terms, n_functions, chunks(nl.n_sites))
        out = np.zeros((nl.n_sites, self._n_species, n_functions))
        out[np.arange(nl.n_sites), tables[3][: nl.n_sites]] = found
        return out.reshape(nl.n_sites, -1)

    def pull(
        self, nl: NeighborList, weights: Array, mix: Array | None = None
    ) -> tuple[Array, Array]:
        """Site values and pair forces; functions without weight cost nothing."""
        weights, mix, many = as_targets(weights, mix, self.n_features)
        shaped = weights.reshape(len(weights), self._n_species, -1)
        used = np.any(shaped != 0, axis=(0, 1))
        if not used.any():
            shape = (nl.n_sites, len(mix)) if many else (nl.n_sites,)
            return np.zeros(shape), np.zeros((len(nl.neighbor), 3))
        terms, (kept, tree) = self._terms, _tree(self, used.tobytes())
        per_term = shaped[:, :, terms.feature[kept]] * terms.coefficients[kept]
        per_leaf = [[np.bincount(tree.leaf, w) for w in of_target] for of_target in per_term]
        tables = self._tables(nl)
        sites, pair_forces = ace_pull(
            *tables,
            tree.factors,
            *tree[2:],
            np.array(per_leaf),
            mix,
            *blocks_of(tables[3][: nl.n_sites]),
        )
        return (sites if many else sites[:, 0]), pair_forces

    def push(self, nl: NeighborList) -> tuple[Array, Array, Array]:
        """Return the summed design rows; see `Descriptor.push`."""
        n_functions = len(self._functions)
        total, rows, strain = ace_push(
            *self._tables(nl), *self._terms, *self._jacobian, n_functions
        )
        full = strain.reshape(3, 3, -1)
        symmetric = np.array([(full[a, b] + full[b, a]) / 2 for a, b in VOIGT])
        return total.ravel(), -rows.reshape(3 * len(nl), -1), symmetric

    def curve(self, nl: NeighborList, weights: Array) -> scipy.sparse.csr_array:
        """Return the Hessian; see `Descriptor.curve`."""
        terms, species = self._terms, species_of(nl, self.elements)
        used, compact = np.unique(terms.indices[terms.first[1] :], return_inverse=True)
        compact = compact.reshape(-1, terms.indices.shape[1])
        if len(used) and used[0] < 0:  # the padding of short products
            used, compact = used[1:], compact - 1
        linear, above = slice(0, terms.first[1]), slice(terms.first[1], None)
        per_term = weights.reshape(self._n_species, -1)[:, terms.feature] * terms.coefficients
        starts = terms.first[1:] - terms.first[1]

        def site(i: int, a: Array) -> Site:
            w = per_term[species[i]]
            gradient = np.zeros(len(a))
            np.add.at(gradient, terms.indices[linear, 0], w[linear])
            slope, second = ace_curve(a[used], compact, starts, w[above])
            gradient[used] += slope
            return Site(gradient, used, lambda slopes: second @ slopes)

        density = Density(
            self.r_cut, self._radial.coefficients, self._recursion, species, self._n_species
        )
        return density_curve(nl, density, site)


@lru_cache(maxsize=16)
def _tree(descriptor: ACE, used: bytes) -> tuple[NDArray[np.int64], ProductTree]:
    """Return the terms of the functions in use (bytes of a mask) and their tree."""
    terms = descriptor._terms
    kept = np.flatnonzero(np.frombuffer(used, dtype=bool)[terms.feature])
    return kept, product_tree(terms.indices[kept])
