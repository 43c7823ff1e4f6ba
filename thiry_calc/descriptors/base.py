"""What every descriptor offers: the protocol, and how it sees the chemical elements.

F = Σ_i w·φ(N_i). `values` gives φ per atom, `pull` contracts weights before derivatives (its
cost does not depend on the number of features), `push` gives the summed rows for fitting.
"""

from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol, runtime_checkable

import numba
import numpy as np
import scipy.sparse
from ase import Atoms
from ase.data import atomic_numbers, chemical_symbols
from numpy.typing import NDArray

from thiry_calc.neighbors import NeighborList, neighbors_of

Array = NDArray[np.float64]

MARGIN = 2e-5  # Å, by which differences move atoms where a Hessian is not analytic


@runtime_checkable
class Descriptor(Protocol):
    """Local descriptors φ(N_i) of atoms, with analytic derivatives.

    `values` and `pull` look at the sites of a neighbour list, which are all its N atoms unless the
    list is a part of a larger one (`NeighborList.n_sites`); `push` needs the list of all atoms.
    """

    @property
    def cutoff(self) -> float:
        """Radius of the neighbourhood, Å."""

    @property
    def hops(self) -> int:
        """1 where φ(N_i) depends on the pairs of i alone, 2 where on those of its neighbours."""

    @property
    def n_features(self) -> int:
        """Number K of features."""

    @property
    def names(self) -> list[str]:
        """Names of the K features, in order."""

    def values(self, structure: NeighborList | Atoms) -> Array:
        """Return the per-atom features, shape (N, K)."""

    def pull(
        self, nl: NeighborList, weights: Array, mix: Array | None = None
    ) -> tuple[Array, Array]:
        """Return site values and pair forces of weighted features.

        Parameters
        ----------
        nl : NeighborList
        weights : ndarray, shape (K,) or (T, K)
        mix : ndarray, shape (T,), optional
            The pair forces are those of Σ_t mix_t Σ_i w_t·φ_i; all ones by default.

        Returns
        -------
        sites : ndarray, shape (N,) or (N, T)
        pair_forces : ndarray, shape (M, 3)
            ∂/∂D_ij of the mixture, per Å.
        """

    def push(self, nl: NeighborList) -> tuple[Array, Array, Array]:
        """Return the summed design rows.

        Returns
        -------
        total : ndarray, shape (K,)
            Σ_i φ_i.
        forces : ndarray, shape (3N, K)
            −∂(Σ_i φ_i)/∂R, per Å.
        strain : ndarray, shape (6, K)
            ∂(Σ_i φ_i)/∂ε, Voigt order; divide by the volume for stress.
        """

    def curve(self, nl: NeighborList, weights: Array) -> scipy.sparse.csr_array:
        """Return the Hessian of Σ_i w·φ_i.

        Parameters
        ----------
        nl : NeighborList
            Of all N atoms, complete to `cutoff` + `MARGIN`.
        weights : ndarray, shape (K,)

        Returns
        -------
        scipy.sparse.csr_array, shape (3N, 3N)
            Per Å²; symmetric, with rows that sum to zero over atoms.
        """

    def to_dict(self) -> dict[str, Any]:
        """Hyper-parameters as {"type": ..., ...}, JSON-compatible."""


@dataclass(frozen=True)
class HyperParameters:
    """`to_dict` of a dataclass whose fields are the hyper-parameters."""

    type: ClassVar[str]

    def to_dict(self) -> dict[str, Any]:
        """Hyper-parameters as {"type": ..., ...}."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        listed = {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}
        return {"type": self.type, **listed}


def as_neighbors(structure: NeighborList | Atoms, cutoff: float) -> NeighborList:
    """Return the neighbour list itself, or build that of an `Atoms`."""
    return structure if isinstance(structure, NeighborList) else neighbors_of(structure, cutoff)


def species_of(nl: NeighborList, elements: tuple[str, ...] | None) -> NDArray[np.int64]:
    """Index of each atom's element, shape (N,); zeros when the descriptor ignores elements.

    Raises
    ------
    ValueError
        When an atom's element is not among `elements`.
    """
    if elements is None:
        return np.zeros(len(nl), dtype=np.int64)
    table = np.full(len(chemical_symbols), -1, dtype=np.int64)
    for index, symbol in enumerate(elements):
        table[atomic_numbers[symbol]] = index
    species = table[nl.numbers]
    if np.any(species < 0):
        unknown = chemical_symbols[int(nl.numbers[np.argmin(species)])]
        raise ValueError(
            f"element {unknown} is not described by this model, which knows "
            f"{', '.join(elements)}; use a model fitted with {unknown}"
        )
    return species


def check_elements(elements: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Return the elements as a tuple of distinct chemical symbols.

    Raises
    ------
    ValueError
        For an unknown or repeated symbol, or none at all.
    """
    if elements is None:
        return None
    elements = (elements,) if isinstance(elements, str) else tuple(elements)
    for symbol in elements:
        if symbol not in atomic_numbers or symbol == "X":
            raise ValueError(f"unknown element {symbol!r}; give chemical symbols such as 'Fe'")
    if not elements or len(set(elements)) != len(elements):
        raise ValueError(f"elements must be distinct and at least one, not {elements!r}")
    return elements


def check_sizes(r_cut: float, n_max: int, l_max: int) -> None:
    """Refuse hyper-parameters outside their range.

    Raises
    ------
    ValueError
    """
    if not (np.isfinite(r_cut) and r_cut > 0):
        raise ValueError(f"r_cut must be a positive length in Å, not {r_cut!r}")
    if n_max < 1 or l_max < 0 or l_max > 20:
        raise ValueError(f"need n_max >= 1 and 0 <= l_max <= 20, not {n_max} and {l_max}")


def chunks(n_atoms: int) -> int:
    """Return the number of blocks of atoms for a parallel kernel: a few per thread."""
    return max(1, min(n_atoms, 4 * numba.get_num_threads()))


def as_targets(weights: Array, mix: Array | None, n_features: int) -> tuple[Array, Array, bool]:
    """Bring weights to shape (T, K) with a mixture of shape (T,); tell whether T was given."""
    weights = np.asarray(weights, dtype=float)
    many = weights.ndim == 2
    weights = np.atleast_2d(weights)
    if weights.shape[1] != n_features:
        raise ValueError(f"{weights.shape[1]} weights given for {n_features} features")
    mix = np.ones(len(weights)) if mix is None else np.asarray(mix, dtype=float)
    return weights, mix, many
