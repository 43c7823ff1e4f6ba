"""Rows of relaxed defects: features and labels against the perfect crystal of the same box.

    x = Σ_i φ_i − N φ_box,    y = E_f or S_f

φ_box are the features of an atom of the perfect crystal in the strain of the defect's box, so that
a row holds the defect alone. The strained crystals themselves give rows against the crystal at rest
for the entropy: y = −3 ln(ω̄/ω̄_0) per atom.
"""

import hashlib
import io
import json
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from tqdm import tqdm

from thiry_calc.crystals import crystal_of_box
from thiry_calc.defects import supercell
from thiry_calc.descriptors import Descriptor
from thiry_calc.files import write_atomically
from training.assemble import feature_sums
from training.crystal import hbar_omega
from training.database import kept_attempts, load_shard
from training.perturbations import strain

Array = NDArray[np.float64]

_VERSION = 2  # of the rows kept in files
_SIZE, _N_K = 7, 16  # cubic cells a side, wider than twice the range of a Hessian; k points


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
    """

    features: Array
    formation_energy: Array
    formation_entropy: Array
    family: list[str]
    group: list[str]
    held_out: NDArray[np.bool_]

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
    folder: str | Path, descriptor: Descriptor, a0: float, executor: Executor, seed: int
) -> DefectRows:
    """Features and labels of a database of bcc defects, one tenth of it held out.

    The rows of each shard are kept beside the database, in ``features``, so that an interrupted run
    resumes and another model on the same descriptors starts at once.

    Parameters
    ----------
    folder : str or Path
        Of a database (`training.database`).
    descriptor : Descriptor
    a0 : float
        Lattice constant of the database, Å.
    executor : Executor
    seed : int
        Chooses the tenth.

    Returns
    -------
    DefectRows
    """
    folder = Path(folder).expanduser()
    (folder / "features").mkdir(exist_ok=True)
    tasks = [
        executor.submit(_shard_rows, folder, name, tuple(kept), descriptor, a0)
        for name, kept in kept_attempts(folder).items()
    ]
    pieces = [task.result() for task in tqdm(tasks, desc="database", unit="shard")]
    joined = {key: np.concatenate([piece[key] for piece in pieces]) for key in pieces[0]}
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
    )


def _shard_rows(
    folder: Path, name: str, kept: tuple[int, ...], descriptor: Descriptor, a0: float
) -> dict[str, NDArray[Any]]:
    """Rows of one shard, from its file or (in a worker) anew."""
    key = json.dumps([_VERSION, descriptor.to_dict(), a0, kept], sort_keys=True)
    path = folder / "features" / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npz"
    if path.exists():
        with np.load(path, allow_pickle=False) as data:
            return {key: data[key] for key in data.files}
    frames = load_shard(folder, name, kept)
    rows: dict[str, Any] = {"features": relative_features(frames, descriptor, a0)}
    for label in ("formation_energy_eV", "formation_entropy_kB", "family", "group"):
        rows[label] = np.array([atoms.info[label] for atoms in frames])
    buffer = io.BytesIO()
    np.savez(buffer, **rows)
    write_atomically(path, buffer.getvalue())
    return rows


def strained_crystals(
    calc: Any, a0: float, descriptor: Descriptor, n_atoms: int, count: int, seed: int
) -> tuple[Array, Array]:
    """Rows of the perfect bcc crystal under random strains of up to 2 %.

    Parameters
    ----------
    calc : Calculator
        The reference potential, with ``get_hessian``.
    a0 : float
        Å.
    descriptor : Descriptor
    n_atoms : int
        Atoms that a row stands for.
    count : int
        Number of strains.
    seed : int

    Returns
    -------
    features : ndarray, shape (count, K)
    entropy : ndarray, shape (count,)
        −3 ln(ω̄ / ω̄_0) per atom times `n_atoms`, k_B.
    """
    rng = np.random.default_rng(seed)
    rest = supercell(a0, _SIZE)
    zero, phi_0 = _log_frequency(rest, calc, a0), descriptor.values(rest)[0]
    features, entropy = [], []
    for _ in tqdm(range(count), desc="strained crystals"):
        cell = supercell(a0, _SIZE)
        strain(cell, 0.02, rng)
        entropy.append(-3 * n_atoms * (_log_frequency(cell, calc, a0) - zero))
        features.append(n_atoms * (descriptor.values(cell)[0] - phi_0))
    return np.array(features), np.array(entropy)


def _log_frequency(crystal: Atoms, calc: Any, a0: float) -> float:
    box = crystal_of_box(crystal, "bcc", a0, crystal.symbols[0])
    return float(np.log(hbar_omega(box, calc, _N_K)))
