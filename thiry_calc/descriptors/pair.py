"""Pair descriptor: φ_n(i) = Σ_j g_n(r_ij), the two-body part of an energy, and one-body counts.

`OneBody` is the constant column, φ_a(i) = 1 when atom i is of element a: the energy of a free
atom. Checked: forces against differences, 1e-8.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numba
import numpy as np
from ase import Atoms

from thiry_calc.descriptors.base import (
    Array,
    as_neighbors,
    as_targets,
    check_elements,
    species_of,
)
from thiry_calc.descriptors.density import FASTMATH, gather, radial_functions
from thiry_calc.descriptors.radial import RadialBasis, make_radial
from thiry_calc.descriptors.three_body import check_sizes
from thiry_calc.neighbors import VOIGT, NeighborList


@dataclass(frozen=True)
class Pair:
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

    def __post_init__(self) -> None:
        """Check the hyper-parameters."""
        check_sizes(self.r_cut, self.n_max, 0)
        object.__setattr__(self, "elements", check_elements(self.elements))
        make_radial(self.radial, self.r_cut, 1)

    def to_dict(self) -> dict[str, Any]:
        """Hyper-parameters as {"type": "pair", ...}."""
        return {
            "type": self.type,
            "r_cut": self.r_cut,
            "n_max": self.n_max,
            "elements": None if self.elements is None else list(self.elements),
            "radial": self.radial,
        }

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
            nl.first,
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
        out = np.zeros((len(nl), self._n_species, self._n_species * self.n_max))
        out[np.arange(len(nl)), tables[3]] = _pair_values(*tables).reshape(len(nl), -1)
        return out.reshape(len(nl), -1)

    def pull(
        self, nl: NeighborList, weights: Array, mix: Array | None = None
    ) -> tuple[Array, Array]:
        """Site values and pair forces; see `Descriptor.pull`."""
        weights, mix, many = as_targets(weights, mix, self.n_features)
        s = self._n_species
        # a weighted sum of series is one series: w·g = u³ Σ_k (w C)_k T_k
        series = weights.reshape(len(weights), s, s, self.n_max) @ self._radial.coefficients
        sites, pair_forces = _pair_pull(
            *self._tables(nl)[:5], s, series, np.tensordot(mix, series, axes=1)
        )
        return (sites if many else sites[:, 0]), pair_forces

    def push(self, nl: NeighborList) -> tuple[Array, Array, Array]:
        """Return the summed design rows; see `Descriptor.push`."""
        total, rows, full = _pair_push(*self._tables(nl))
        full = full.reshape(3, 3, -1)
        strain = np.array([(full[a, b] + full[b, a]) / 2 for a, b in VOIGT])
        return total.ravel(), -rows.reshape(3 * len(nl), -1), strain


@dataclass(frozen=True)
class OneBody:
    """One constant feature per element: φ_a(i) = 1 for atoms of element a, else 0.

    Parameters
    ----------
    elements : tuple of str, optional
        Chemical elements; None counts all atoms alike.
    """

    elements: tuple[str, ...] | None = None

    type: ClassVar[str] = "one_body"

    def __post_init__(self) -> None:
        """Check the elements."""
        object.__setattr__(self, "elements", check_elements(self.elements))

    def to_dict(self) -> dict[str, Any]:
        """Hyper-parameters as {"type": "one_body", ...}."""
        elements = None if self.elements is None else list(self.elements)
        return {"type": self.type, "elements": elements}

    @property
    def cutoff(self) -> float:
        """A free atom has no neighbourhood."""
        return 0.0

    @property
    def n_features(self) -> int:
        """Number K of features."""
        return 1 if self.elements is None else len(self.elements)

    @property
    def names(self) -> list[str]:
        """Names of the features, in order."""
        return [f"{a}: 1" for a in self.elements or ("*",)]

    def values(self, structure: NeighborList | Atoms) -> Array:
        """Per-atom features, shape (N, K)."""
        return np.eye(self.n_features)[species_of(as_neighbors(structure, 0.1), self.elements)]

    def pull(
        self, nl: NeighborList, weights: Array, mix: Array | None = None
    ) -> tuple[Array, Array]:
        """Site values and (zero) pair forces; see `Descriptor.pull`."""
        weights, _, many = as_targets(weights, mix, self.n_features)
        sites = self.values(nl) @ weights.T
        return (sites if many else sites[:, 0]), np.zeros((len(nl.neighbor), 3))

    def push(self, nl: NeighborList) -> tuple[Array, Array, Array]:
        """Return the summed design rows; see `Descriptor.push`."""
        total = self.values(nl).sum(axis=0)
        return total, np.zeros((3 * len(nl), len(total))), np.zeros((6, len(total)))


@numba.njit(cache=True, fastmath=FASTMATH)
def _workspace(first, coefficients, n_channels):  # type: ignore[no-untyped-def]
    longest = np.max(first[1:] - first[:-1]) if len(first) > 1 else 0
    n_max, n_terms = coefficients.shape
    return (
        np.empty(longest, np.int64),
        np.empty((4, longest)),
        np.empty(n_channels + 1, np.int64),
        np.empty((n_terms + 1, 2 * longest)),
        np.empty((n_max, longest)),
        np.empty((n_max, longest)),
    )


@numba.njit(cache=True, fastmath=FASTMATH)
def _pair_values(first, neighbor, vectors, species, r_cut, coefficients, n_channels):  # type: ignore[no-untyped-def]
    n_atoms, n_max = len(first) - 1, coefficients.shape[0]
    pairs, geometry, segments, scratch, g, dg = _workspace(first, coefficients, n_channels)
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


@numba.njit(cache=True, fastmath=FASTMATH)
def _pair_pull(  # type: ignore[no-untyped-def]
    first, neighbor, vectors, species, r_cut, n_channels, series, mixed
):
    n_atoms, n_targets = len(first) - 1, series.shape[0]
    longest = np.max(first[1:] - first[:-1]) if n_atoms else 0
    pairs, geometry = np.empty(longest, np.int64), np.empty((4, longest))
    segments = np.empty(n_channels + 1, np.int64)
    # T_{k−1}, T_k, their derivatives, the mixed series and its derivative, the targets
    work = np.empty((6 + n_targets, longest))
    sites, pair_forces = np.zeros((n_atoms, n_targets)), np.zeros((len(neighbor), 3))
    for i in range(n_atoms):
        gather(i, first, neighbor, vectors, species, r_cut, n_channels, pairs, geometry, segments)
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
def _series(r, r_cut, mixed, series, work):  # type: ignore[no-untyped-def]
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
def _pair_push(first, neighbor, vectors, species, r_cut, coefficients, n_channels):  # type: ignore[no-untyped-def]
    n_atoms, n_max = len(first) - 1, coefficients.shape[0]
    pairs, geometry, segments, scratch, g, dg = _workspace(first, coefficients, n_channels)
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
