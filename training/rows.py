"""From labelled structures to statistics of weighted rows, one kind of label at a time.

    energy   x = (Σ_i φ_i − Σ_s N_s φ_s) w / √N,    y = (E − Σ_s N_s E_s) w / √N
    forces   x = −w ∂(Σ_k φ_k)/∂R_i,                y = w F_i
    stress   x = w ∂(Σ_i φ_i)/∂ε / √N,              y = w V σ / √N

with φ_s, E_s of a reference environment of each element s: errors of extensive quantities grow as
√N. What is large is wanted to a fraction of itself, w = 1/√(1 + (size/scale)²), size being the
energy per atom above the usual one, |F_i|, or the largest component of V σ per atom. Times the
weight of the structure's group. A repulsive core takes its part off every y, not off these sizes,
and has rows of its own (`training.collisions`). The kinds stay apart, so that one pass over the
structures serves any weights of energy, forces and stress, and so do the folds of a validation.

Structures are dealt into shards, whose triangles are kept in files: a killed run resumes, memory is
a few (K+1)² per worker whatever the amount of data, and sums in the order of the shards do not
depend on the number of workers.
"""

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from tqdm import tqdm

from thiry_calc.descriptors import ZBL, Descriptor
from thiry_calc.linear import TSQR
from thiry_calc.neighbors import neighbors_of
from training.collisions import collisions
from training.dataset import Structure
from training.kept import keep_arrays, loaded_arrays

Array = NDArray[np.float64]

KINDS = ("energy", "forces", "stress", "core")
_VERSION = 4
_SHARD_ATOMS, _MOST_SHARDS = 2000, 64


@dataclass(frozen=True, eq=False)
class Baseline:
    """What is known before the fit: reference environments, and a repulsive core.

    Attributes
    ----------
    elements : tuple of str
    energies : ndarray, shape (S,)
        E_s, eV.
    features : ndarray, shape (S, K)
        φ_s; zeros for free atoms.
    core : ZBL or None
    usual : ndarray, shape (S,), optional
        Usual energies of an atom of each element, eV; without them none is above.
    """

    elements: tuple[str, ...]
    energies: Array
    features: Array
    core: ZBL | None = None
    usual: Array | None = None

    def excess(self, structure: Structure) -> float:
        """Energy per atom above the usual one, eV; 0 below."""
        if self.usual is None or structure.energy is None:
            return 0.0
        usual = float(self.counts(structure.atoms) @ self.usual)
        return max((structure.energy - usual) / len(structure.atoms), 0.0)

    def counts(self, atoms: Atoms) -> NDArray[np.int64]:
        """N_s of a structure, shape (S,)."""
        symbols = np.array(atoms.get_chemical_symbols())
        return np.array([np.count_nonzero(symbols == s) for s in self.elements])

    def centered(self, total: Array, atoms: Atoms) -> Array:
        """Σ_i φ_i − Σ_s N_s φ_s, shape (K,)."""
        return total - self.counts(atoms) @ self.features

    def learned_forces(self, structure: Structure) -> Array:
        """F less those of the core, shape (3N,), eV/Å."""
        assert structure.forces is not None
        forces: Array = structure.forces.ravel() - self._core(structure)[0]
        return forces

    def learned_virial(self, structure: Structure) -> Array:
        """Stress times volume less that of the core, shape (6,), eV."""
        assert structure.stress is not None
        virial: Array = structure.stress * structure.atoms.get_volume() - self._core(structure)[1]
        return virial

    def _core(self, structure: Structure) -> tuple[Array, Array]:
        """Return forces (3N,) and strain derivative (6,) of the core."""
        if self.core is None:
            return np.zeros(3 * len(structure.atoms)), np.zeros(6)
        _, forces, strain = self.core.push(neighbors_of(structure.atoms, self.core.cutoff))
        return forces[:, 0], strain[:, 0]

    def learned_energy(self, structure: Structure) -> float:
        """E − Σ_s N_s E_s, less that of the core, eV."""
        assert structure.energy is not None
        energy = structure.energy - float(self.counts(structure.atoms) @ self.energies)
        if self.core is not None:
            energy -= float(self.core.values(structure.atoms).sum())
        return energy


@dataclass(frozen=True)
class GroupWeight:
    """Factors of the weights of one group's rows; 0 leaves a kind out.

    Attributes
    ----------
    energy, forces, stress, entropy : float
    """

    energy: float = 1.0
    forces: float = 1.0
    stress: float = 1.0
    entropy: float = 1.0


@dataclass(frozen=True)
class Scales:
    """From what size on rows count less, to be wanted to a fraction of themselves.

    Attributes
    ----------
    energy : float
        eV per atom above the usual energy.
    force : float
        eV/Å.
    virial : float
        eV per atom.
    """

    energy: float = float("inf")
    force: float = float("inf")
    virial: float = float("inf")


SCALES = Scales(energy=1.0, force=10.0, virial=10.0)


class Rows(NamedTuple):
    """Rows of one kind, before their weights.

    Attributes
    ----------
    kind : {"energy", "forces", "stress", "core"}
    x : ndarray, shape (n, K)
    y, weights : ndarray, shape (n,)
    """

    kind: str
    x: Array
    y: Array
    weights: Array


@dataclass(frozen=True, eq=False)
class RowMaker:
    """How rows are made; everything that a shard's file depends on but its structures.

    Attributes
    ----------
    descriptor : Descriptor
    baseline : Baseline
    scales : Scales
        Equal weights by default.
    weights : mapping of str to GroupWeight
        Groups that differ from the usual 1.
    """

    descriptor: Descriptor
    baseline: Baseline
    scales: Scales = Scales()
    weights: Mapping[str, GroupWeight] = field(default_factory=dict)

    def statistics(self, structures: Sequence[Structure]) -> dict[str, TSQR]:
        """Statistics of some structures, by kind."""
        out = {kind: TSQR(self.descriptor.n_features) for kind in KINDS}
        for one in structures:
            for rows in self.rows(one):
                out[rows.kind].update(rows.x, rows.y, rows.weights)
        return out

    def rows(self, one: Structure) -> Iterator[Rows]:
        """Rows of a structure."""
        weight = self.weights.get(one.group, GroupWeight())
        forces = one.forces if weight.forces > 0 else None
        stress = one.stress if weight.stress > 0 else None
        nl = neighbors_of(one.atoms, self.descriptor.cutoff)
        if forces is None and stress is None:
            total = self.descriptor.values(nl).sum(axis=0)
        else:
            total, force_rows, strain_rows = self.descriptor.push(nl)
        root = np.sqrt(len(one.atoms))
        if forces is not None:
            size = np.linalg.norm(forces, axis=1) / self.scales.force
            factors = np.repeat(weight.forces / np.hypot(1.0, size), 3)
            yield Rows("forces", force_rows, self.baseline.learned_forces(one), factors)
        if stress is not None:
            virial = self.baseline.learned_virial(one)
            size = np.abs(stress).max() * one.atoms.get_volume() / len(one.atoms)
            factor = weight.stress / np.hypot(1.0, size / self.scales.virial)
            yield Rows("stress", strain_rows, virial, np.full(6, factor / root))
        if one.energy is not None and weight.energy > 0:
            x = self.baseline.centered(total, one.atoms)
            y = self.baseline.learned_energy(one)
            factor = weight.energy / np.hypot(1.0, self.baseline.excess(one) / self.scales.energy)
            yield Rows("energy", x[None], np.array([y]), np.array([factor / root]))
            yield from self._collisions(one.atoms, y)

    def _collisions(self, atoms: Atoms, learned: float) -> Iterator[Rows]:
        """Rows of collisions in a structure of given energy without the core."""
        if self.baseline.core is None:
            return
        for one in collisions(atoms, self.baseline.core):
            x = self.baseline.centered(self.descriptor.values(one.atoms).sum(axis=0), one.atoms)
            y = one.times * learned + one.learned
            yield Rows("core", x[None], np.array([y]), np.array([1 / (1 + one.repulsion)]))

    def key(self, structures: Sequence[Structure]) -> str:
        """Digest of all that the statistics of some structures depend on."""
        digest = hashlib.sha256()
        header = [_VERSION, self.descriptor.to_dict(), vars(self.scales), self.baseline.elements]
        header += [None if self.baseline.core is None else self.baseline.core.to_dict()]
        header += [sorted((g, vars(w)) for g, w in self.weights.items())]
        digest.update(json.dumps(header, sort_keys=True).encode())
        digest.update(self.baseline.energies.tobytes() + self.baseline.features.tobytes())
        digest.update(b"-" if self.baseline.usual is None else self.baseline.usual.tobytes())
        for one in structures:
            digest.update(json.dumps([one.group, one.energy, one.atoms.pbc.tolist()]).encode())
            for array in (one.atoms.numbers, one.atoms.positions, one.atoms.cell.array,
                          one.forces, one.stress):  # fmt: skip
                digest.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]


def fold_statistics(
    structures: Sequence[Structure],
    folds: NDArray[np.int64],
    maker: RowMaker,
    executor: Executor,
    folder: Path,
) -> list[dict[str, TSQR]]:
    """Statistics of each fold, by kind.

    Parameters
    ----------
    structures : sequence of n Structure
    folds : ndarray, shape (n,)
        0 to F − 1.
    maker : RowMaker
    executor : Executor
    folder : Path
        Where the shards are kept.

    Returns
    -------
    list of F dict of str to TSQR
    """
    folder.mkdir(parents=True, exist_ok=True)
    shards = [
        (fold, shard)
        for fold in range(int(folds.max()) + 1)
        for shard in _shards([structures[int(k)] for k in np.flatnonzero(folds == fold)])
    ]
    memory = memory_per_worker([one.atoms for one in structures], maker.descriptor.n_features)
    tqdm.write(
        f"{sum(len(one.atoms) for one in structures)} atoms in {len(structures)} structures, "
        f"{maker.descriptor.n_features} features, {len(shards)} shards: about "
        f"{memory / 1e6:.0f} MB a worker",
        file=sys.stderr,
    )
    tasks = [executor.submit(_shard, folder, maker, shard) for _, shard in shards]
    out: list[dict[str, TSQR]] = []
    for (fold, _), task in zip(shards, tqdm(tasks, desc="rows", unit="shard"), strict=True):
        new = _loaded(task.result())
        if fold == len(out):
            out.append(new)
        else:
            out[fold] = {kind: out[fold][kind] + new[kind] for kind in KINDS}
    return out


def memory_per_worker(structures: Sequence[Atoms], n_features: int) -> int:
    """Bytes that a worker needs at most for rows and statistics.

    Parameters
    ----------
    structures : sequence of Atoms
    n_features : int
    """
    rows = 3 * max(len(atoms) for atoms in structures) + 7
    return 8 * (2 * rows * n_features + 2 * len(KINDS) * (n_features + 1) ** 2)


def _shards(structures: list[Structure]) -> list[list[Structure]]:
    """Cut into runs of some 2000 atoms, or more where these were too many."""
    atoms = np.cumsum([len(one.atoms) for one in structures])
    size = max(_SHARD_ATOMS, atoms[-1] / _MOST_SHARDS)
    number = np.floor((atoms - 1) / size).astype(int)
    return [[structures[int(k)] for k in np.flatnonzero(number == n)] for n in np.unique(number)]


def _shard(folder: Path, maker: RowMaker, structures: list[Structure]) -> Path:
    """File of the statistics of a shard, which (in a worker) are made unless it is there.

    Futures hold their results until the end, so that the results are names.
    """
    path = folder / f"{maker.key(structures)}.npz"

    def make() -> dict[str, NDArray[np.float64]]:
        return {
            f"{kind} {name}": array
            for kind, statistics in maker.statistics(structures).items()
            for name, array in statistics.to_arrays().items()
        }

    keep_arrays(path, make)
    return path


def _loaded(path: Path) -> dict[str, TSQR]:
    arrays = loaded_arrays(path)
    return {
        kind: TSQR.from_arrays(
            {key.removeprefix(f"{kind} "): a for key, a in arrays.items() if key.startswith(kind)}
        )
        for kind in KINDS
    }
