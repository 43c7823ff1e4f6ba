"""Rows of relaxed defects: features and labels against the perfect crystal of the same box.

    x = Σ_i φ_i − N φ_box,    y = E_f or S_f

φ_box are the features of an atom of the perfect crystal in the strain of the defect's box, so that
a row holds the defect alone.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.spatial import KDTree
from tqdm import tqdm

from thiry_calc.defects import supercell
from thiry_calc.descriptors import Descriptor
from training.assemble import feature_sums
from training.database import kept_attempts, load_shard
from training.kept import kept_arrays

Array = NDArray[np.float64]

_VERSION = 2  # of the rows kept in files


class Source(NamedTuple):
    """Where a configuration lies: `training.database.load_shard` takes it from there.

    Attributes
    ----------
    folder : Path
        Of the database.
    shard : str
    attempt : int
    """

    folder: Path
    shard: str
    attempt: int


@dataclass(frozen=True, eq=False)
class DefectRows:
    """Relaxed defects of a database as rows of the linear problem.

    Parameters
    ----------
    features : ndarray, shape (n, K)
    formation_energy, formation_entropy : ndarray, shape (n,)
        eV and k_B.
    family, group : list of str
        Of `training.database.frame`.
    held_out : ndarray of bool, shape (n,)
    source : list of Source
    """

    features: Array
    formation_energy: Array
    formation_entropy: Array
    family: list[str]
    group: list[str]
    held_out: NDArray[np.bool_]
    source: list[Source]

    @property
    def strained(self) -> NDArray[np.bool_]:
        """Which configurations are in a strained cell, shape (n,)."""
        return np.array([family == "strained" for family in self.family])


def _box_crystal(atoms: Atoms, a0: float) -> Atoms:
    """Two cubic cells a side of the perfect crystal in the strain of a defect's box."""
    size = round((atoms.info["n_sites"] / 2) ** (1 / 3))
    crystal = supercell(a0, 2)
    crystal.set_cell(atoms.cell.array * 2 / size, scale_atoms=True)
    return crystal


def relative_features(frames: Sequence[Atoms], descriptor: Descriptor, a0: float) -> Array:
    """Σ_i φ_i − N φ_box of relaxed defects.

    Parameters
    ----------
    frames : sequence of Atoms
        With ``info["n_sites"]``.
    descriptor : Descriptor
    a0 : float
        Lattice constant of the crystal, Å.

    Returns
    -------
    ndarray, shape (number of frames, K)
    """
    boxes = [_box_crystal(atoms, a0) for atoms in frames]
    per_atom = feature_sums(boxes, descriptor) / len(boxes[0])
    counts = np.array([len(atoms) for atoms in frames])
    return feature_sums(frames, descriptor) - counts[:, None] * per_atom


def defect_rows(
    folders: Sequence[str | Path],
    descriptor: Descriptor,
    a0: float,
    executor: Executor,
    seed: int,
) -> DefectRows:
    """Features and labels of databases of bcc defects, one tenth of all held out.

    The rows of each shard are kept beside the database, in ``features``, so that an interrupted run
    resumes and another model on the same descriptors starts at once.

    Parameters
    ----------
    folders : sequence of str or Path
        Of databases (`training.database`). What a later one repeats of an earlier one is left out.
    descriptor : Descriptor
    a0 : float
        Lattice constant of the databases, Å.
    executor : Executor
    seed : int
        Chooses the tenth.

    Returns
    -------
    DefectRows
    """
    shards = [
        (folder, name, tuple(kept))
        for folder in (Path(f).expanduser() for f in folders)
        for name, kept in kept_attempts(folder).items()
    ]
    tasks = [executor.submit(_shard_rows, *shard, descriptor, a0) for shard in shards]
    pieces = [task.result() for task in tqdm(tasks, desc="database", unit="shard")]
    joined = {key: np.concatenate([piece[key] for piece in pieces]) for key in pieces[0]}
    source = [Source(folder, name, k) for folder, name, kept in shards for k in kept]
    if len(folders) > 1:
        new = ~repeats(joined["formation_energy_eV"], joined["formation_entropy_kB"])
        joined = {key: values[new] for key, values in joined.items()}
        source = list(compress(source, new))
    n = len(joined["features"])
    held_out = np.zeros(n, dtype=bool)
    held_out[np.random.default_rng(seed).permutation(n)[: n // 10]] = True
    return DefectRows(
        joined["features"],
        joined["formation_energy_eV"],
        joined["formation_entropy_kB"],
        joined["family"].tolist(),
        joined["group"].tolist(),
        held_out,
        source,
    )


def repeats(energy: Array, entropy: Array) -> NDArray[np.bool_]:
    """Tell which configurations have the energy and entropy of an earlier one.

    Parameters
    ----------
    energy, entropy : ndarray, shape (n,)
        Of formation, eV and k_B. Two relaxations of one defect in one box agree to 1e-6; different
        ones within 1e-4 eV and 1e-3 k_B of each other are rare enough to be lost.

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    points = np.stack([energy / 1e-4, entropy / 1e-3], axis=1)
    later = np.zeros(len(points), dtype=bool)
    pairs = KDTree(points).query_pairs(1.0, p=np.inf, output_type="ndarray")
    later[pairs.max(axis=1, initial=0)] = len(pairs) > 0
    return later


def _shard_rows(
    folder: Path, name: str, kept: tuple[int, ...], descriptor: Descriptor, a0: float
) -> dict[str, NDArray[Any]]:
    """Rows of one shard, from its file or (in a worker) anew."""

    def rows() -> dict[str, NDArray[Any]]:
        frames = load_shard(folder, name, kept)
        labels = ("formation_energy_eV", "formation_entropy_kB", "family", "group")
        return {"features": relative_features(frames, descriptor, a0)} | {
            label: np.array([atoms.info[label] for atoms in frames]) for label in labels
        }

    return kept_in_file(folder, name, [_VERSION, descriptor.to_dict(), a0, kept], rows)


def kept_in_file(
    folder: Path, name: str, key: list[Any], make: Callable[[], dict[str, NDArray[Any]]]
) -> dict[str, NDArray[Any]]:
    """Arrays of a shard, made once and kept in the sub-folder ``features`` of the database.

    Parameters
    ----------
    folder : Path
    name : str
        Of the shard.
    key : list
        What the arrays depend on, JSON-compatible.
    make : callable

    Returns
    -------
    dict of str to ndarray
    """
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return kept_arrays(folder / "features" / f"{name}-{digest[:16]}.npz", make)
