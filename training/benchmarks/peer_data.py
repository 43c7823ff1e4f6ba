"""What potentials of other packages are fitted, tested and timed with: no more than ASE and numpy.

`front` runs them by interpreters that lack this package, with its folder on their path.
"""

import io
import lzma
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import read
from ase.neighborlist import neighbor_list
from numpy.typing import NDArray

_LEAST_ATOMS = 400


def read_frames(path: Path, split: str) -> list[Atoms]:
    """Structures of one part of the data.

    Parameters
    ----------
    path : Path
        Extended xyz, compressed by xz.
    split : str
    """
    with lzma.open(path, "rt") as file:
        frames = read(io.StringIO(file.read()), ":", format="extxyz")
    return [atoms for atoms in frames if atoms.info["split"] == split]


def timed_structure(frames: Sequence[Atoms]) -> Atoms:
    """Repeat the largest structure, and rattle it."""
    largest = max(frames, key=len)
    copies = 1
    while len(largest) * copies**3 < _LEAST_ATOMS:
        copies += 1
    atoms = largest.repeat(copies)
    atoms.rattle(0.01, seed=1)
    return atoms


def nearest_distance(frames: Sequence[Atoms]) -> float:
    """Median distance of nearest neighbours, Å."""
    nearest = []
    for atoms in frames:
        i, d = neighbor_list("id", atoms, 4.0)
        nearest += [d[i == k].min() for k in np.unique(i)]
    return float(np.median(nearest))


def deal(n: int, n_folds: int) -> NDArray[np.int64]:
    """Fold of each of n structures, as `training.folds.deal` of one group."""
    folds = np.empty(n, dtype=np.int64)
    folds[np.random.default_rng(0).permutation(n)] = np.arange(n) % n_folds
    return folds
