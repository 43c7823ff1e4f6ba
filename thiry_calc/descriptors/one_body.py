"""One-body counts: φ_a(i) = 1 when atom i is of element a, the energy of a free atom."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy.sparse
from ase import Atoms

from thiry_calc.descriptors.base import (
    Array,
    HyperParameters,
    as_neighbors,
    as_targets,
    check_elements,
    species_of,
)
from thiry_calc.neighbors import NeighborList


@dataclass(frozen=True)
class OneBody(HyperParameters):
    """One constant feature per element: φ_a(i) = 1 for atoms of element a, else 0.

    Parameters
    ----------
    elements : tuple of str, optional
        Chemical elements; None counts all atoms alike.
    """

    elements: tuple[str, ...] | None = None

    type: ClassVar[str] = "one_body"
    hops: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Check the elements."""
        object.__setattr__(self, "elements", check_elements(self.elements))

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
        nl = as_neighbors(structure, 0.1)
        return np.eye(self.n_features)[species_of(nl, self.elements)[: nl.n_sites]]

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

    def curve(self, nl: NeighborList, weights: Array) -> scipy.sparse.csr_array:
        """Return the Hessian, which is zero."""
        return scipy.sparse.csr_array((3 * len(nl), 3 * len(nl)))
