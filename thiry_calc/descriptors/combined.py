"""Several descriptors side by side as one: φ = (φ_1, φ_2, …) over one neighbour list."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import scipy.sparse
from ase import Atoms

from thiry_calc.descriptors.base import Array, Descriptor, as_neighbors, as_targets
from thiry_calc.neighbors import NeighborList


@dataclass(frozen=True)
class Combined:
    """Concatenation of descriptors.

    Parameters
    ----------
    parts : tuple of Descriptor
    """

    parts: tuple[Descriptor, ...]

    type: ClassVar[str] = "combined"

    @property
    def cutoff(self) -> float:
        """Radius of the neighbourhood, Å."""
        return max(part.cutoff for part in self.parts)

    @property
    def hops(self) -> int:
        """Largest of the parts' hops."""
        return max(part.hops for part in self.parts)

    @property
    def n_features(self) -> int:
        """Number K of features."""
        return sum(part.n_features for part in self.parts)

    @property
    def names(self) -> list[str]:
        """Names of the features, in order."""
        return [name for part in self.parts for name in part.names]

    @property
    def columns(self) -> list[slice]:
        """The columns of each part."""
        ends = np.cumsum([0] + [part.n_features for part in self.parts]).tolist()
        return [slice(a, b) for a, b in pairwise(ends)]

    def active(self, weights: Array) -> tuple["Combined", Array]:
        """Return the parts that some of the weights (K,) use, and their weights."""
        used = [k for k, columns in enumerate(self.columns) if weights[columns].any()]
        columns = [self.columns[k] for k in used]
        return Combined(tuple(self.parts[k] for k in used)), np.concatenate(
            [np.zeros(0), *(weights[c] for c in columns)]
        )

    def values(self, structure: NeighborList | Atoms) -> Array:
        """Per-atom features, shape (N, K)."""
        nl = as_neighbors(structure, self.cutoff)
        return np.hstack([part.values(nl) for part in self.parts])

    def pull(
        self, nl: NeighborList, weights: Array, mix: Array | None = None
    ) -> tuple[Array, Array]:
        """Site values and pair forces; parts without weight cost nothing."""
        weights, mix, many = as_targets(weights, mix, self.n_features)
        sites = np.zeros((nl.n_sites, len(weights)))
        pair_forces = np.zeros((len(nl.neighbor), 3))
        for part, columns in zip(self.parts, self.columns, strict=True):
            own = weights[:, columns]
            used = np.any(own != 0, axis=1)
            if used.any():
                values, forces = part.pull(nl, own[used], mix[used])
                sites[:, used] += values
                pair_forces += forces
        return (sites if many else sites[:, 0]), pair_forces

    def push(self, nl: NeighborList) -> tuple[Array, Array, Array]:
        """Return the summed design rows; see `Descriptor.push`."""
        rows = [part.push(nl) for part in self.parts]
        return (
            np.concatenate([r[0] for r in rows]),
            np.hstack([r[1] for r in rows]),
            np.hstack([r[2] for r in rows]),
        )

    def curve(self, nl: NeighborList, weights: Array) -> scipy.sparse.csr_array:
        """Return the Hessian; parts without weight cost nothing."""
        total = scipy.sparse.csr_array((3 * len(nl), 3 * len(nl)))
        for part, columns in zip(self.parts, self.columns, strict=True):
            if weights[columns].any():
                total = total + part.curve(nl, weights[columns])
        return total

    def to_dict(self) -> dict[str, Any]:
        """Hyper-parameters as {"type": "combined", "parts": [...]}."""
        return {"type": self.type, "parts": [part.to_dict() for part in self.parts]}
