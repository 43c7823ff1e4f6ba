"""Universal repulsion of nuclei at short distance: φ(i) = ½ Σ_j E(r_ij), in eV.

    E(r) = k Z_i Z_j / r · Σ_k c_k exp(−d_k r/a) + S(r),   a = 0.46850 Å / (Z_i^0.23 + Z_j^0.23)

Ziegler, Biersack, Littmark, The Stopping and Range of Ions in Matter (1985). S is a constant below
`r_inner` and a quartic above that brings E, E′ and E″ to zero at `r_cut`: the form and constants of
LAMMPS' ``pair_style zbl r_inner r_cut``. One feature, whose coefficient is 1.

Checked: energies and forces against LAMMPS.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy.sparse
from ase import Atoms
from numpy.typing import NDArray

from thiry_calc.descriptors.base import Array, HyperParameters, as_neighbors, as_targets
from thiry_calc.neighbors import VOIGT, NeighborList

_COULOMB = 14.399645  # eV Å
_C = np.array([0.02817, 0.28022, 0.50986, 0.18175])
_D = np.array([0.20162, 0.40290, 0.94229, 3.19980])


@dataclass(frozen=True)
class ZBL(HyperParameters):
    """Energy of the screened repulsion of nuclei, one feature.

    Parameters
    ----------
    r_inner : float
        Distance below which it is not changed but by a constant, Å.
    r_cut : float
        Distance from which it is zero, Å.

    Raises
    ------
    ValueError
        Unless 0 < r_inner < r_cut.
    """

    r_inner: float
    r_cut: float

    type: ClassVar[str] = "zbl"
    hops: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Check the radii."""
        if not 0 < self.r_inner < self.r_cut < np.inf:
            raise ValueError(
                f"zbl has r_inner {self.r_inner!r} and r_cut {self.r_cut!r}; "
                "give 0 < r_inner < r_cut, Å"
            )

    @property
    def cutoff(self) -> float:
        """Radius of the neighbourhood, Å."""
        return self.r_cut

    @property
    def n_features(self) -> int:
        """One."""
        return 1

    @property
    def names(self) -> list[str]:
        """Name of the feature."""
        return ["*: zbl"]

    def _pairs(self, nl: NeighborList) -> tuple[NDArray[np.int64], Array, Array]:
        """Pairs of the sites within the cutoff, D/r, and ½ of E, E′, E″, shape (3, pairs)."""
        vectors = nl.vectors[: nl.first_of_sites[-1]]
        squares = np.einsum("pc,pc->p", vectors, vectors)
        pairs = np.flatnonzero(squares < self.r_cut**2)
        r = np.sqrt(squares[pairs])
        z = nl.numbers.astype(float)
        zi, zj = z[nl.center[pairs]], z[nl.neighbor[pairs]]
        energies = _unswitched(zi, zj, r)
        e, e1, e2 = _unswitched(zi, zj, np.full_like(r, self.r_cut))
        width = self.r_cut - self.r_inner
        a = (-3 * e1 + width * e2) / width**2
        b = (2 * e1 - width * e2) / width**3
        x = np.clip(r - self.r_inner, 0, None)
        energies[0] += a / 3 * x**3 + b / 4 * x**4 - e + width * e1 / 2 - width**2 * e2 / 12
        energies[1] += a * x**2 + b * x**3
        energies[2] += 2 * a * x + 3 * b * x**2
        return pairs, vectors[pairs] / r[:, None], energies / 2

    def values(self, structure: NeighborList | Atoms) -> Array:
        """Per-atom features, shape (N, 1)."""
        nl = as_neighbors(structure, self.cutoff)
        pairs, _, (energy, _, _) = self._pairs(nl)
        return np.bincount(nl.center[pairs], energy, nl.n_sites).astype(np.float64)[:, None]

    def pull(
        self, nl: NeighborList, weights: Array, mix: Array | None = None
    ) -> tuple[Array, Array]:
        """Site values and pair forces; see `Descriptor.pull`."""
        weights, mix, many = as_targets(weights, mix, 1)
        pairs, unit, (energy, slope, _) = self._pairs(nl)
        sites = np.bincount(nl.center[pairs], energy, nl.n_sites)[:, None] * weights[:, 0]
        pair_forces = np.zeros((len(nl.neighbor), 3))
        pair_forces[pairs] = (mix @ weights) * slope[:, None] * unit
        return (sites if many else sites[:, 0]), pair_forces

    def push(self, nl: NeighborList) -> tuple[Array, Array, Array]:
        """Return the summed design rows; see `Descriptor.push`."""
        pairs, unit, (energy, slope, _) = self._pairs(nl)
        pull = slope[:, None] * unit
        rows = np.zeros((len(nl), 3))
        np.add.at(rows, nl.center[pairs], pull)
        np.subtract.at(rows, nl.neighbor[pairs], pull)
        vectors = nl.vectors[pairs]
        strain = np.array([pull[:, a] @ vectors[:, b] for a, b in VOIGT])
        return np.array([energy.sum()]), rows.reshape(-1, 1), strain[:, None]

    def curve(self, nl: NeighborList, weights: Array) -> scipy.sparse.csr_array:
        """Return the Hessian; see `Descriptor.curve`."""
        pairs, unit, (_, slope, second) = self._pairs(nl)
        along = unit[:, :, None] * unit[:, None, :]
        tangential = (slope / np.linalg.norm(nl.vectors[pairs], axis=1))[:, None, None]
        blocks = weights[0] * (second[:, None, None] * along + tangential * (np.eye(3) - along))
        i, j = nl.center[pairs], nl.neighbor[pairs]
        at = [(i, i, 1), (j, j, 1), (i, j, -1), (j, i, -1)]
        data = np.concatenate([sign * blocks for _, _, sign in at])
        rows, columns = (3 * np.concatenate([one[k] for one in at]) for k in (0, 1))
        axis = np.arange(3)
        rows = np.broadcast_to((rows[:, None] + axis)[:, :, None], data.shape)
        columns = np.broadcast_to((columns[:, None] + axis)[:, None, :], data.shape)
        entries = (data.ravel(), (rows.ravel(), columns.ravel()))
        return scipy.sparse.coo_array(entries, shape=(3 * len(nl), 3 * len(nl))).tocsr()


def _unswitched(zi: Array, zj: Array, r: Array) -> Array:
    """Screened Coulomb energy and its first two derivatives, shape (3, pairs)."""
    d = _D[:, None] * (zi**0.23 + zj**0.23) / 0.46850
    e = _C[:, None] * np.exp(-d * r)
    scale = _COULOMB * zi * zj
    return scale * np.array(
        [
            (e / r).sum(axis=0),
            -(e * (1 / r**2 + d / r)).sum(axis=0),
            (e * (2 / r**3 + 2 * d / r**2 + d**2 / r)).sum(axis=0),
        ]
    )
