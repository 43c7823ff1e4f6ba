"""The common part of the three-body descriptors: features linear in the density sums S_pl, s_p.

    φ_pl = α_p Σ_l' C_ll' S_pl' − β_p s_p            (see `thiry_calc.descriptors.density`)

A subclass chooses the radial basis, the products p = (q1, q2) of channels q = (element, n),
the angular matrix C and the factors α, β. Features are ordered by the element of the centre,
then by product, then by l.
"""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import scipy.sparse
from ase import Atoms
from numpy.typing import NDArray

from thiry_calc.descriptors.angular import harmonic_recursion
from thiry_calc.descriptors.base import (
    Array,
    HyperParameters,
    as_neighbors,
    as_targets,
    chunks,
    species_of,
)
from thiry_calc.descriptors.curvature import Density, Site, density_curve
from thiry_calc.descriptors.density import site_sums
from thiry_calc.descriptors.density_pull import site_pull
from thiry_calc.descriptors.density_push import site_push
from thiry_calc.descriptors.radial import RadialBasis
from thiry_calc.neighbors import VOIGT, NeighborList


class ThreeBodyDescriptor(HyperParameters, ABC):
    """Base of `AFS` and `PowerSpectrum`: frozen dataclasses with these fields and tables."""

    hops: ClassVar[int] = 1
    r_cut: float
    n_max: int
    l_max: int
    elements: tuple[str, ...] | None

    @property
    @abstractmethod
    def _radial(self) -> RadialBasis:
        """The functions g_n."""

    @property
    @abstractmethod
    def _products(self) -> NDArray[np.int64]:
        """Channel pairs (q1, q2), shape (P, 2)."""

    @property
    @abstractmethod
    def _angular(self) -> Array:
        """C_ll', shape (l_max + 1, l_max + 1)."""

    @property
    @abstractmethod
    def _factors(self) -> tuple[Array, Array]:
        """α_p and β_p, each of shape (P,)."""

    @property
    def cutoff(self) -> float:
        """Radius of the neighbourhood, Å."""
        return self.r_cut

    @property
    def _n_species(self) -> int:
        return 1 if self.elements is None else len(self.elements)

    @property
    def _shape(self) -> tuple[int, int, int]:
        return self._n_species, len(self._products), self.l_max + 1

    @property
    def n_features(self) -> int:
        """Number K of features."""
        return int(np.prod(self._shape))

    @property
    def names(self) -> list[str]:
        """Names of the features, in order."""
        symbols = self.elements or ("*",)

        def channel(q: int) -> tuple[str, int]:
            return symbols[q // self.n_max], q % self.n_max + 1

        out = []
        for center in symbols:
            for q1, q2 in self._products:
                (a, n1), (b, n2) = channel(q1), channel(q2)
                out += [
                    f"{center}: {a} n={n1}, {b} n={n2}, l={l}"
                    for l in range(self.l_max + 1)  # noqa: E741
                ]
        return out

    @cached_property
    def _recursion(self) -> Array:
        return harmonic_recursion(self.l_max)

    def _tables(self, nl: NeighborList) -> tuple[Any, ...]:
        return (
            nl.first_of_sites,
            nl.neighbor,
            nl.vectors,
            species_of(nl, self.elements),
            float(self.r_cut),
            self._radial.coefficients,
            self._recursion,
            self._products,
            self._n_species,
        )

    def _features(self, sums: Array, self_sums: Array) -> Array:
        """φ from S (..., P, n_l) and s (..., P)."""
        alpha, beta = self._factors
        legendre = sums @ self._angular.T
        return alpha[:, None] * legendre - (beta * self_sums)[..., None]

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
        sums, self_sums = site_sums(*tables, chunks(nl.n_sites))
        n_species, n_products, n_l = self._shape
        out = np.zeros((nl.n_sites, n_species, n_products * n_l))
        out[np.arange(nl.n_sites), tables[3][: nl.n_sites]] = self._features(
            sums, self_sums
        ).reshape(nl.n_sites, -1)
        return out.reshape(nl.n_sites, -1)

    def contract(self, weights: Array) -> tuple[Array, Array]:
        """Weights of the sums S_pl and s_p of which the features are made.

        Parameters
        ----------
        weights : ndarray, shape (..., K)

        Returns
        -------
        legendre : ndarray, shape (..., n_species, P, n_l)
        on_self : ndarray, shape (..., n_species, P)
        """
        shaped = weights.reshape(*weights.shape[:-1], *self._shape)
        alpha, beta = self._factors
        return (shaped * alpha[:, None]) @ self._angular, -beta * shaped.sum(axis=-1)

    def pull(
        self, nl: NeighborList, weights: Array, mix: Array | None = None
    ) -> tuple[Array, Array]:
        """Site values and pair forces; see `Descriptor.pull`."""
        weights, mix, many = as_targets(weights, mix, self.n_features)
        legendre, on_self = self.contract(weights)
        sites, pair_forces = site_pull(
            *self._tables(nl),
            legendre,
            on_self,
            np.tensordot(mix, legendre, axes=1),
            np.tensordot(mix, on_self, axes=1),
            chunks(nl.n_sites),
        )
        return (sites if many else sites[:, 0]), pair_forces

    def push(self, nl: NeighborList) -> tuple[Array, Array, Array]:
        """Return the summed design rows; see `Descriptor.push`."""
        sums, self_sums, d_sums, d_self, e_sums, e_self = site_push(
            *self._tables(nl), self._n_species
        )
        total = self._features(sums, self_sums).ravel()
        forces = -self._features(d_sums, d_self).reshape(3 * len(nl), -1)
        full = self._features(e_sums, e_self).reshape(3, 3, -1)
        strain = np.array([(full[a, b] + full[b, a]) / 2 for a, b in VOIGT])
        return total, forces, strain

    def curve(self, nl: NeighborList, weights: Array) -> scipy.sparse.csr_array:
        """Return the Hessian; see `Descriptor.curve`."""
        species = species_of(nl, self.elements)
        n_species, _, n_l = self._shape
        legendre, on_self = self.contract(weights)
        q1, q2 = self._products.T
        size = n_species * self.n_max
        matrix = np.zeros((n_species, n_l, size, size))  # P″ couples projections of equal l, m
        for z in range(n_species):
            np.add.at(matrix[z].transpose(1, 2, 0), (q1, q2), legendre[z])
            np.add.at(matrix[z].transpose(1, 2, 0), (q2, q1), legendre[z])
        degree = np.repeat(np.arange(n_l), 2 * np.arange(n_l) + 1)
        used = np.arange(size * len(degree))

        def site(i: int, a: Array) -> Site:
            own = matrix[species[i]][degree]  # (lm, q, q)

            def second(slopes: Array) -> Array:
                by_lm = slopes.reshape(size, len(degree), -1).transpose(1, 0, 2)
                return (own @ by_lm).transpose(1, 0, 2).reshape(slopes.shape)

            return Site(second(a[:, None])[:, 0], used, second)

        same = np.flatnonzero(q1 // self.n_max == q2 // self.n_max)
        n1, n2, channel = q1[same] % self.n_max, q2[same] % self.n_max, q1[same] // self.n_max

        def on_pairs(
            i: int, kinds: NDArray[np.int64], g: Array, dg: Array, ddg: Array
        ) -> tuple[Array, Array]:
            v = on_self[species[i], same][:, None] * (kinds == channel[:, None])
            first = dg[n1] * g[n2] + g[n1] * dg[n2]
            second = ddg[n1] * g[n2] + 2 * dg[n1] * dg[n2] + g[n1] * ddg[n2]
            return (v * first).sum(axis=0), (v * second).sum(axis=0)

        density = Density(
            self.r_cut, self._radial.coefficients, self._recursion, species, n_species
        )
        return density_curve(nl, density, site, on_pairs)
