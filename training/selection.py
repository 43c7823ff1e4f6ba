"""Choose the most informative structures of a pool: those that labels would be worth most of.

With the posterior covariance σ² A⁻¹ of the coefficients, A = XᵀX + Λ = (L Lᵀ)⁻¹, labels of a
structure whose weighted rows are G (energy, forces and stress, as the fit weighs them) are worth

    ½ ln det(I + G A⁻¹ Gᵀ)      and lead to      A + GᵀG

D-optimal design (Fedorov, Theory of Optimal Experiments (1972)), which needs no labels. Structures
are taken greedily, within 1 − 1/e of the best set (Nemhauser, Wolsey, Fisher, Math. Program. 14,
265 (1978)); gains only shrink, so that a structure is looked at again only when its last gain is
the largest (Minoux, Lect. Notes Control Inf. Sci. 7, 234 (1978)).
"""

import heapq
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from ase import Atoms
from numpy.typing import NDArray
from tqdm import tqdm

from thiry_calc.descriptors.base import species_of
from thiry_calc.neighbors import neighbors_of
from thiry_calc.potential import Potential
from training.rows import SCALES

Array = NDArray[np.float64]

_CHUNK = 16  # structures of one task


@dataclass(frozen=True, eq=False)
class Selection:
    """Structures of a pool, the most informative first.

    Attributes
    ----------
    indices : ndarray of int, shape (n,)
        Of the pool.
    gains : ndarray, shape (n,)
        Information that each adds to those before it, in nats.
    """

    indices: NDArray[np.int64]
    gains: Array


def select(
    pool: Sequence[Atoms], potential: Potential, count: int, executor: Executor
) -> Selection:
    """Choose structures whose energies, forces and stresses would teach a potential most.

    Parameters
    ----------
    pool : sequence of Atoms
        Labels are not looked at.
    potential : Potential
        With an energy, fitted by `training.fit`: the weights of its rows are on its card.
    count : int
    executor : Executor
        Makes the first pass.

    Returns
    -------
    Selection

    Raises
    ------
    ValueError
        More structures wanted than there are, or a potential without covariance or weights.
    """
    if not 0 < count <= len(pool):
        raise ValueError(
            f"{count} structures wanted from a pool of {len(pool)}; ask for 1 to {len(pool)}"
        )
    factor = _leverage_factor(potential)
    chunks = [pool[k : k + _CHUNK] for k in range(0, len(pool), _CHUNK)]
    tasks = [executor.submit(_gains, chunk, potential, factor) for chunk in chunks]
    first = [g for t in tqdm(tasks, "pool", unit="chunk", disable=None) for g in t.result()]
    heap = [(-gain, k, 0) for k, gain in enumerate(first)]
    heapq.heapify(heap)
    indices: list[int] = []
    gains: list[float] = []
    with tqdm(total=count, desc="chosen", disable=None) as bar:
        while len(indices) < count:
            gain, k, seen = heapq.heappop(heap)
            if seen < len(indices):
                heapq.heappush(heap, (-_gains([pool[k]], potential, factor)[0], k, len(indices)))
                continue
            indices.append(k)
            gains.append(-gain)
            factor = _learned(factor, weighted_rows(pool[k], potential))
            bar.update()
    return Selection(np.array(indices), np.array(gains))


def _leverage_factor(potential: Potential) -> Array:
    """L of the energy model."""
    factor = potential.target("energy").model.leverage_factor
    if factor is None:
        raise ValueError(f"model {potential.name!r} has no covariance; fit it with one")
    if "weights" not in potential.info:
        raise ValueError(
            f"the card of model {potential.name!r} has no weights of energies and forces; "
            "use a model made by `thiry fit`"
        )
    return factor


def weighted_rows(atoms: Atoms, potential: Potential) -> Array:
    """Rows that labels of a structure would add to the fit of the energy.

    Parameters
    ----------
    atoms : Atoms
    potential : Potential
        Predicts the forces by which rows of forces are weighed.

    Returns
    -------
    ndarray, shape (rows, K)
    """
    weights, columns = potential.info["weights"], potential.columns("energy")
    nl = neighbors_of(atoms, potential.cutoff)
    total, forces, strain = potential.descriptor.push(nl)
    species = species_of(nl, potential.elements)
    references = potential.target("energy").reference_features[species].sum(axis=0)
    predicted = (forces @ potential.weights("energy")).reshape(-1, 3)
    size = np.linalg.norm(predicted, axis=1) / SCALES.force
    root = np.sqrt(len(atoms))
    rows = [
        (weights["energy"] / root * (total[columns] - references))[None],
        np.repeat(weights["forces"] / np.hypot(1.0, size), 3)[:, None] * forces[:, columns],
    ]
    if weights["stress"] > 0 and atoms.cell.rank == 3:
        rows.append(weights["stress"] / root * strain[:, columns])
    return np.vstack(rows)


def _gains(pool: Sequence[Atoms], potential: Potential, factor: Array) -> list[float]:
    """Information that each of some structures would add."""
    out = []
    for atoms in pool:
        G = weighted_rows(atoms, potential) @ factor
        gram = G @ G.T if len(G) < G.shape[1] else G.T @ G
        out.append(0.5 * float(np.linalg.slogdet(np.eye(len(gram)) + gram)[1]))
    return out


def _learned(factor: Array, rows: Array) -> Array:
    """L once rows have been added: L R⁻¹ with RᵀR = I + (rows L)ᵀ(rows L)."""
    G = rows @ factor
    upper = scipy.linalg.cholesky(np.eye(G.shape[1]) + G.T @ G)
    new: Array = scipy.linalg.solve_triangular(upper, factor.T, trans="T").T
    return new
