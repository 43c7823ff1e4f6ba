"""Which relaxed structures are the same up to translation, cubic symmetry and order of atoms.

Every atom gets a smooth density of neighbours and a weight that vanishes in the perfect crystal,

    f_i = Σ_j (1 − r_ij²/r_c²)³₊,    v_i = (f_i − median f)²,    w_i = (v_i − max v/100)₊,

and the fingerprint is, with N and the volume, the sorted extremes of f and the weighted
distribution of distances between the atoms that stand out,

    G(R) = Σ_{i≠j} w_i w_j exp(−(r_ij − R)²/2σ²) / (Σ_i w_i)².

All of it depends on distances only, and continuously, so that rotated, mirrored, translated and
permuted copies agree to rounding and two relaxations of one minimum (1e-5 eV/Å) to 1e-5.
Two structures count as the same when their fingerprints agree and, where known, their energies and
entropies do: distances between pairs alone can, in principle, agree by chance.
"""

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from matscipy.neighbours import neighbour_list
from numpy.typing import NDArray

Array = NDArray[np.float64]

_REACH = 4.0  # Å, r_c
_WIDTH = 0.25  # Å, σ, and the spacing of R
_FARTHEST = 30.0  # Å, last R
_EXTREMES = 48  # values of f kept from either end
LENGTH = 2 + 2 * _EXTREMES + int(_FARTHEST / _WIDTH)
"""Length of a fingerprint."""

TOLERANCE = 5e-4  # largest difference of fingerprints
ENERGY_TOLERANCE = 1e-5  # eV
ENTROPY_TOLERANCE = 1e-3  # k_B


def fingerprint(atoms: Atoms) -> Array:
    """Invariants of a relaxed defect structure.

    Parameters
    ----------
    atoms : Atoms
        Periodic, nearly cubic box.

    Returns
    -------
    ndarray, shape (218,)
        N, volume (Å³ / 100), sorted extremes of f, and G.
    """
    i, r = neighbour_list("id", atoms, _REACH)
    f = np.bincount(i, (1 - (r / _REACH) ** 2) ** 3, minlength=len(atoms))
    ranked = np.sort(f)
    take = min(_EXTREMES, len(f) // 2)
    extremes = np.full(2 * _EXTREMES, np.median(f))
    extremes[:take], extremes[2 * _EXTREMES - take :] = ranked[:take], ranked[len(f) - take :]
    weights = (f - np.median(f)) ** 2
    header = [len(atoms), atoms.get_volume() / 100]
    return np.concatenate([header, extremes, _distribution(atoms, weights)])


def _distribution(atoms: Atoms, weights: Array) -> Array:
    """G at R = 0, σ, 2σ, …; zero for a perfect crystal."""
    centres = np.arange(0.0, _FARTHEST, _WIDTH)
    if weights.max() < 1e-6:
        return np.zeros(len(centres))
    # Most atoms are only strained: what exceeds a hundredth of the largest weight counts.
    weights = np.maximum(weights - 0.01 * weights.max(), 0.0)
    marked = np.flatnonzero(weights)
    w = weights[marked]
    first, second = np.triu_indices(len(marked), 1)
    scaled = atoms.get_scaled_positions()[marked]
    difference = scaled[first] - scaled[second]
    difference -= np.round(difference) * np.asarray(atoms.pbc)
    distances = np.linalg.norm(difference @ atoms.cell.array, axis=1)
    gauss = np.exp(-0.5 * ((distances[:, None] - centres) / _WIDTH) ** 2)
    return np.asarray(2 * (w[first] * w[second]) @ gauss / weights.sum() ** 2)


def same(first: Array, second: Array, tolerance: float = TOLERANCE) -> bool:
    """Whether two fingerprints belong to one structure.

    Parameters
    ----------
    first, second : ndarray, shape (218,)
        From `fingerprint`.
    tolerance : float
        Largest difference of any component.

    Returns
    -------
    bool
    """
    return bool(np.abs(first - second).max() <= tolerance)


def first_equals(
    fingerprints: Sequence[Array],
    energies: Sequence[float] | None = None,
    entropies: Sequence[float] | None = None,
) -> list[int]:
    """Find for each structure the first one that it equals: itself if it is new.

    Parameters
    ----------
    fingerprints : sequence of ndarray, shape (218,)
        From `fingerprint`.
    energies : sequence of float, optional
        eV; equal structures agree to 1e-5 eV.
    entropies : sequence of float, optional
        k_B; equal structures agree to 1e-3 k_B. NaN where unknown: then not compared.

    Returns
    -------
    list of int
    """
    prints = np.array(fingerprints).reshape(len(fingerprints), LENGTH)
    e = np.zeros(len(prints)) if energies is None else np.asarray(energies, float)
    s = np.full(len(prints), np.nan) if entropies is None else np.asarray(entropies, float)
    new = np.zeros(len(prints), bool)
    first = []
    for n in range(len(prints)):
        apart = np.abs(s[:n] - s[n]) > ENTROPY_TOLERANCE  # NaN is never apart
        near = np.flatnonzero(new[:n] & (np.abs(e[:n] - e[n]) <= ENERGY_TOLERANCE) & ~apart)
        first.append(next((int(k) for k in near if same(prints[k], prints[n])), n))
        new[n] = first[n] == n
    return first


def remove_duplicates(
    structures: Sequence[Atoms],
    energies: Sequence[float] | None = None,
    entropies: Sequence[float] | None = None,
) -> list[int]:
    """Find the structures that repeat no earlier one.

    Parameters
    ----------
    structures : sequence of Atoms
        Relaxed; of equal ones the first is kept.
    energies, entropies : sequence of float, optional
        eV and k_B, as in `first_equals`.

    Returns
    -------
    list of int
        Their indices, ascending.
    """
    first = first_equals([fingerprint(atoms) for atoms in structures], energies, entropies)
    return [n for n, k in enumerate(first) if k == n]
