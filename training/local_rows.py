"""Rows of sites and gradients: what one configuration tells beyond its total.

    sites       x = φ_i − φ_0,             y = S_i
    gradient    x = ∂(Σ_i φ_i)/∂R_jα,      y = ∂S/∂R_jα

with φ_0 of an atom of the perfect crystal. A configuration of N atoms has N and 3N such rows, kept
as one triangle each (`TSQR`).
"""

from concurrent.futures import Executor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from tqdm import tqdm

from thiry_calc.defects import supercell
from thiry_calc.descriptors import Descriptor
from thiry_calc.linear import TSQR
from thiry_calc.neighbors import neighbors_of
from training.database import kept_attempts, load_shard
from training.defect_rows import kept_in_file

Array = NDArray[np.float64]

_VERSION = 1  # of the rows kept in files


class LocalRows(NamedTuple):
    """Statistics of the rows of one configuration.

    Attributes
    ----------
    sites, gradient : TSQR
        k_B, and k_B/Å.
    """

    sites: TSQR
    gradient: TSQR


def local_rows(
    folder: str | Path, descriptor: Descriptor, a0: float, executor: Executor
) -> list[LocalRows]:
    """Statistics of every configuration of a database with both labels.

    They are kept beside the database like those of `training.defect_rows.defect_rows`, and come in
    the same order.

    Parameters
    ----------
    folder : str or Path
        Of a database with the labels "sites" and "gradient".
    descriptor : Descriptor
    a0 : float
        Lattice constant of the database, Å.
    executor : Executor

    Returns
    -------
    list of LocalRows

    Raises
    ------
    ValueError
        When the database lacks a label.
    """
    folder = Path(folder).expanduser()
    tasks = [
        executor.submit(_shard_rows, folder, name, tuple(kept), descriptor, a0)
        for name, kept in kept_attempts(folder).items()
    ]
    out = []
    for task in tqdm(tasks, desc="sites and gradients", unit="shard"):
        rows = task.result()
        for sites, gradient, n in zip(
            rows["sites"], rows["gradient"], rows["n_atoms"], strict=True
        ):
            out.append(LocalRows(_unpacked(sites, int(n)), _unpacked(gradient, 3 * int(n))))
    return out


def _shard_rows(
    folder: Path, name: str, kept: tuple[int, ...], descriptor: Descriptor, a0: float
) -> dict[str, NDArray[Any]]:
    """Triangles of one shard, packed, from its file or (in a worker) anew."""
    key = ["local rows", _VERSION, descriptor.to_dict(), a0, kept]
    return kept_in_file(
        folder, name, key, lambda: _rows(load_shard(folder, name, kept), descriptor, a0)
    )


def _rows(frames: list[Atoms], descriptor: Descriptor, a0: float) -> dict[str, NDArray[Any]]:
    phi_0 = descriptor.values(supercell(a0, 2))[0]
    sites, gradient = [], []
    for atoms in frames:
        missing = {"site_entropies_kB", "entropy_gradient_kB_per_A"} - set(atoms.arrays)
        if missing:
            raise ValueError(
                f'the database has no {", ".join(sorted(missing))}; add "sites" and '
                '"gradient" to the labels of its recipe and generate it again'
            )
        nl = neighbors_of(atoms, descriptor.cutoff)
        values = descriptor.values(nl) - phi_0
        slopes = -descriptor.push(nl)[1]
        sites.append(_packed(values, atoms.arrays["site_entropies_kB"]))
        gradient.append(_packed(slopes, atoms.arrays["entropy_gradient_kB_per_A"].ravel()))
    counts = np.array([len(atoms) for atoms in frames])
    return {"sites": np.array(sites), "gradient": np.array(gradient), "n_atoms": counts}


def _packed(X: Array, y: Array) -> Array:
    triangle = TSQR(X.shape[1]).update(X, y).factor()
    return triangle[np.triu_indices(len(triangle))]


def _unpacked(packed: Array, n_rows: int) -> TSQR:
    width = int(np.sqrt(2 * len(packed)))
    triangle = np.zeros((width, width))
    triangle[np.triu_indices(width)] = packed
    counts = np.array([width - 1, 1, n_rows])
    return TSQR.from_arrays({"state": triangle, "counts": counts, "weight2": np.array(n_rows)})
