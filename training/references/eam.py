"""Embedded-atom (Finnis–Sinclair) potentials of one element: energy, forces, stress, Hessian.

    E = Σ_{i<j} φ(r_ij) + Σ_i F(ρ_i),    ρ_i = Σ_j ψ(r_ij)

(Daw and Baskes, Phys. Rev. B 29, 6443 (1984); Finnis and Sinclair, Phil. Mag. A 50, 45 (1984)).
With u_ij = φ + (F'_i + F'_j) ψ and the rows g_i = ∂ρ_i/∂R the Hessian is

    H = Σ_{i<j} [u″ n nᵀ + (u′/r)(1 − n nᵀ)] (springs)  +  Σ_i F″_i g_i g_iᵀ,

a sparse sum of springs and of a product Gᵀ F″ G. Every term is built from differences of positions,
so the acoustic sum rule holds to rounding for any cell, also when an atom sees its own images.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.data import atomic_numbers
from numba import njit
from numpy.typing import NDArray

from training.references.eam_third import slope_of_trace
from training.references.pairs import PairList

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


class EAMFunctions(Protocol):
    """The three functions of a potential, each with its first three derivatives."""

    element: str
    cutoff: float  # Å, the larger of the cutoffs of φ and ψ

    def pair(self, r: Array) -> Array:
        """φ to φ‴ (eV, eV/Å, eV/Å², eV/Å³), shape (4, n), at the distances r (Å)."""

    def density(self, r: Array) -> Array:
        """ψ to ψ‴, shape (4, n), at the distances r (Å)."""

    def embedding(self, rho: Array) -> Array:
        """F to F‴ (eV), shape (4, n), at the densities rho."""


@njit(cache=True)
def _sum_to_atoms(i: Array, j: Array, values: Array, n_atoms: int) -> Array:
    """Σ over the pairs of each atom, both ends; (n_atoms,)."""
    out = np.zeros(n_atoms)
    for p in range(len(i)):
        out[i[p]] += values[p]
        out[j[p]] += values[p]
    return out


@njit(cache=True)
def _pair_forces(
    i: Array, j: Array, d: Array, r: Array, dphi: Array, dpsi: Array, df: Array, n_atoms: int
) -> tuple[Array, Array]:
    """Sum forces (n_atoms, 3) and the virial Σ u′ D Dᵀ/r (3, 3) of u = φ + (F'_i + F'_j) ψ."""
    forces = np.zeros((n_atoms, 3))
    virial = np.zeros((3, 3))
    for p in range(len(i)):
        scale = (dphi[p] + (df[i[p]] + df[j[p]]) * dpsi[p]) / r[p]
        for a in range(3):
            f = scale * d[p, a]
            forces[i[p], a] += f
            forces[j[p], a] -= f
            for b in range(3):
                virial[a, b] += f * d[p, b]
    return forces, virial


def _springs(
    i: NDArray[np.int64], j: NDArray[np.int64], d: Array, r: Array, du: Array, d2u: Array, n: int
) -> sp.bsr_matrix:
    """Hessian (3n, 3n) of Σ u(r_ij) in 3×3 blocks, from u′ (eV/Å) and u″ (eV/Å²)."""
    direction = d / r[:, None]
    tangent = (du / r)[:, None, None]
    block = (d2u[:, None, None] - tangent) * direction[:, :, None] * direction[:, None, :]
    block += tangent * np.eye(3)
    diagonal = np.zeros((n, 3, 3))
    np.add.at(diagonal, i, block)
    np.add.at(diagonal, j, block)
    rows = np.concatenate([i, j, np.arange(n)])
    columns = np.concatenate([j, i, np.arange(n)])
    return _blocks(rows, columns, np.concatenate([-block, -block, diagonal]), (n, n))


def _density_gradient(
    i: NDArray[np.int64], j: NDArray[np.int64], d: Array, r: Array, dpsi: Array, n: int
) -> sp.bsr_matrix:
    """G (n, 3n), the derivatives of each ρ_i with respect to all positions, in 1×3 blocks."""
    g = (dpsi / r)[:, None] * d  # ∂ψ(r_ij)/∂R_j
    own = np.zeros((n, 3))
    np.add.at(own, i, -g)
    np.add.at(own, j, g)
    rows = np.concatenate([i, j, np.arange(n)])
    columns = np.concatenate([j, i, np.arange(n)])
    return _blocks(rows, columns, np.concatenate([g, -g, own])[:, None, :], (n, n))


def _blocks(
    rows: NDArray[np.int64], columns: NDArray[np.int64], data: Array, shape: tuple[int, int]
) -> sp.bsr_matrix:
    """Block-sparse matrix from block triplets; repeated blocks are summed."""
    order = np.lexsort((columns, rows))
    key = rows[order] * shape[1] + columns[order]
    first = np.flatnonzero(np.r_[True, key[1:] != key[:-1]])
    summed = np.add.reduceat(data[order], first, axis=0)
    pointer = np.searchsorted(rows[order][first], np.arange(shape[0] + 1))
    size = (shape[0] * data.shape[1], shape[1] * data.shape[2])
    return sp.bsr_matrix((summed, columns[order][first], pointer), shape=size)


class EAM(Calculator):  # type: ignore[misc]
    """ASE calculator of a one-element embedded-atom potential.

    Parameters
    ----------
    functions : EAMFunctions
        φ, ψ and F with derivatives.
    skin : float
        Å by which the neighbour list exceeds the cutoff, so that it can be reused.
    """

    implemented_properties = ("energy", "free_energy", "forces", "stress", "energies")

    def __init__(self, functions: EAMFunctions, skin: float = 0.4) -> None:
        super().__init__()
        self.functions = functions
        self.cutoff = functions.cutoff
        self._pairs = PairList(functions.cutoff, skin)

    def _check(self, atoms: Atoms) -> None:
        foreign = atoms.numbers != atomic_numbers[self.functions.element]
        if foreign.any():
            raise ValueError(
                f"{type(self).__name__} describes {self.functions.element} only, but atom "
                f"{int(np.argmax(foreign))} is {atoms.symbols[int(np.argmax(foreign))]}; "
                "give a structure of that element or another reference potential"
            )

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Compute energy (eV), energies (N,), forces (N, 3; eV/Å) and stress (6,; eV/Å³)."""
        super().calculate(atoms, properties, system_changes)
        self._check(self.atoms)
        i, j, d, r = self._pairs.distances(self.atoms)
        n = len(self.atoms)
        phi, psi = self.functions.pair(r), self.functions.density(r)
        embedded = self.functions.embedding(_sum_to_atoms(i, j, psi[0], n))
        energies = embedded[0] + 0.5 * _sum_to_atoms(i, j, phi[0], n)
        forces, virial = _pair_forces(i, j, d, r, phi[1], psi[1], embedded[1], n)
        energy = float(energies.sum())
        self.results: dict[str, Any] = {
            "energy": energy,
            "free_energy": energy,
            "energies": energies,
            "forces": forces,
        }
        if self.atoms.pbc.all():
            stress = virial / self.atoms.get_volume()
            self.results["stress"] = stress.flat[[0, 4, 8, 5, 2, 1]]

    def get_hessian(self, atoms: Atoms) -> sp.csr_matrix:
        """Second derivatives of the energy.

        Parameters
        ----------
        atoms : Atoms
            N atoms; any boundary conditions.

        Returns
        -------
        scipy.sparse.csr_matrix
            Shape (3N, 3N), eV/Å², symmetric, sorted indices; rows sum to zero over atoms.
        """
        (i, j, d, r), (phi, psi, embedded), gradient = self._terms(atoms)
        n = len(atoms)
        both = embedded[1][i] + embedded[1][j]
        springs = _springs(i, j, d, r, phi[1] + both * psi[1], phi[2] + both * psi[2], n)
        weighted = gradient.copy()
        weighted.data *= np.repeat(embedded[2], np.diff(gradient.indptr))[:, None, None]
        hessian = (springs + gradient.T @ weighted).tocsr()
        hessian = (0.5 * (hessian + hessian.T)).tocsr()
        hessian.sort_indices()
        return hessian

    def get_trace_gradient(self, atoms: Atoms, weights: Any) -> tuple[Array, Array]:
        """Return the derivatives of Σ_ab Z_ab H_ab at fixed weights Z.

        Parameters
        ----------
        atoms : Atoms
            N atoms.
        weights : (3N, 3N) sparse array
            Z, symmetric, at least where the Hessian has entries. With Z = H⁻¹
            (`thiry_calc.selected_inverse.pinned_inverse`) this is the gradient of ln det′H.

        Returns
        -------
        gradient : ndarray, shape (N, 3)
            Along the positions, in units of Z times eV/Å³.
        strain : ndarray, shape (3, 3)
            Along a strain of cell and positions, in units of Z times eV/Å².
        """
        pairs, terms, density_gradient = self._terms(atoms)
        i, j, d, _ = pairs
        slope = slope_of_trace(pairs, terms, density_gradient, weights)
        n = len(atoms)
        gradient = [np.bincount(j, s, n) - np.bincount(i, s, n) for s in slope.T]
        strain = slope.T @ d
        return np.stack(gradient, axis=1), (strain + strain.T) / 2

    def _terms(
        self, atoms: Atoms
    ) -> tuple[tuple[Indices, Indices, Array, Array], tuple[Array, Array, Array], sp.bsr_matrix]:
        """Pairs (i, j, D, r) within the cutoff; φ, ψ, F with their derivatives; the rows g_i."""
        self._check(atoms)
        i, j, d, r = self._pairs.distances(atoms)
        inside = r < self.cutoff
        i, j, d, r = i[inside], j[inside], d[inside], r[inside]
        n = len(atoms)
        phi, psi = self.functions.pair(r), self.functions.density(r)
        embedded = self.functions.embedding(_sum_to_atoms(i, j, psi[0], n))
        near = (psi[1] != 0.0) | (psi[0] != 0.0)
        gradient = _density_gradient(i[near], j[near], d[near], r[near], psi[1][near], n)
        return (i, j, d, r), (phi, psi, embedded), gradient
