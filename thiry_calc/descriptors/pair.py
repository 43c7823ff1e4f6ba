"""Pair descriptor: φ_n(i) = Σ_j g_n(r_ij), the two-body part of an energy.

Checked: forces against differences, 1e-8.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import scipy.sparse
from ase import Atoms

from thiry_calc.descriptors.angular import harmonic_recursion
from thiry_calc.descriptors.base import (
    Array,
    HyperParameters,
    as_neighbors,
    as_targets,
    check_elements,
    check_sizes,
    chunks,
    species_of,
)
from thiry_calc.descriptors.curvature import Density, Site, density_curve
from thiry_calc.descriptors.pair_kernels import pair_pull, pair_push, pair_values
from thiry_calc.descriptors.radial import RadialBasis, make_radial
from thiry_calc.neighbors import VOIGT, NeighborList


@dataclass(frozen=True)
class Pair(HyperParameters):
    """Two-body features Σ_j g_n(r_ij).

    Parameters
    ----------
    r_cut : float
        Cutoff radius, Å.
    n_max : int
        Number of radial functions.
    elements : tuple of str, optional
        Chemical elements: one block of features for each (centre, neighbour) pair of elements.
    radial : {"chebyshev", "bartok"}

    Raises
    ------
    ValueError
        For hyper-parameters outside their range.
    """

    r_cut: float
    n_max: int
    elements: tuple[str, ...] | None = None
    radial: str = "chebyshev"

    type: ClassVar[str] = "pair"
    hops: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Check the hyper-parameters."""
        check_sizes(self.r_cut, self.n_max, 0)
        object.__setattr__(self, "elements", check_elements(self.elements))
        make_radial(self.radial, self.r_cut, 1)

    @cached_property
    def _radial(self) -> RadialBasis:
        return make_radial(self.radial, self.r_cut, self.n_max)

    @property
    def _n_species(self) -> int:
        return 1 if self.elements is None else len(self.elements)

    @property
    def cutoff(self) -> float:
        """Radius of the neighbourhood, Å."""
        return self.r_cut

    @property
    def n_features(self) -> int:
        """Number K of features."""
        return self._n_species**2 * self.n_max

    @property
    def names(self) -> list[str]:
        """Names of the features, in order."""
        symbols = self.elements or ("*",)
        return [f"{a}: {b} n={n + 1}" for a in symbols for b in symbols for n in range(self.n_max)]

    def _tables(self, nl: NeighborList) -> tuple[Any, ...]:
        return (
            nl.first_of_sites,
            nl.neighbor,
            nl.vectors,
            species_of(nl, self.elements),
            float(self.r_cut),
            self._radial.coefficients,
            self._n_species,
        )

    def values(self, structure: NeighborList | Atoms) -> Array:
        """Per-atom features, shape (N, K)."""
        nl = as_neighbors(structure, self.cutoff)
        tables = self._tables(nl)
        out = np.zeros((nl.n_sites, self._n_species, self._n_species * self.n_max))
        out[np.arange(nl.n_sites), tables[3][: nl.n_sites]] = pair_values(*tables).reshape(
            nl.n_sites, -1
        )
        return out.reshape(nl.n_sites, -1)

    def pull(
        self, nl: NeighborList, weights: Array, mix: Array | None = None
    ) -> tuple[Array, Array]:
        """Site values and pair forces; see `Descriptor.pull`."""
        weights, mix, many = as_targets(weights, mix, self.n_features)
        s = self._n_species
        # a weighted sum of series is one series: w·g = u³ Σ_k (w C)_k T_k
        series = weights.reshape(len(weights), s, s, self.n_max) @ self._radial.coefficients
        sites, pair_forces = pair_pull(
            *self._tables(nl)[:5], s, series, np.tensordot(mix, series, axes=1), chunks(nl.n_sites)
        )
        return (sites if many else sites[:, 0]), pair_forces

    def push(self, nl: NeighborList) -> tuple[Array, Array, Array]:
        """Return the summed design rows; see `Descriptor.push`."""
        total, rows, full = pair_push(*self._tables(nl))
        full = full.reshape(3, 3, -1)
        strain = np.array([(full[a, b] + full[b, a]) / 2 for a, b in VOIGT])
        return total.ravel(), -rows.reshape(3 * len(nl), -1), strain

    def curve(self, nl: NeighborList, weights: Array) -> scipy.sparse.csr_array:
        """Return the Hessian; see `Descriptor.curve`."""
        species, none = species_of(nl, self.elements), np.zeros(0, dtype=np.int64)
        w = weights.reshape(self._n_species, -1)
        density = Density(
            self.r_cut, self._radial.coefficients, harmonic_recursion(0), species, self._n_species
        )
        return density_curve(nl, density, lambda i, a: Site(w[species[i]], none, np.copy))
