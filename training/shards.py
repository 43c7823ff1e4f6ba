"""Shards of a database: files named by the hash of what they hold, written whole or not at all.

A shard holds the attempts `start` to `stop` of one family. Its name is the sha256 of the part of
the recipe that decides its contents, so that a run that was interrupted, or extended by new
families, finds what it has already done; and a changed recipe never picks up old files.
"""

import hashlib
import io
import json
import zipfile
import zlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from thiry_calc.linear.files import write_atomically
from thiry_calc.references import reference_files
from thiry_calc.symmetry import LENGTH
from training.label import Label
from training.recipe import Recipe
from training.sampling import Attempt, attempt

VERSION = 2  # of the contents: raised when the same recipe would give other numbers
SIZE = 20  # attempts to a shard

# what zipfile, zlib and numpy raise on damaged bytes
_DAMAGE = (zipfile.BadZipFile, zlib.error, OSError, KeyError, IndexError, ValueError, EOFError)


_EXTRAS = {
    "eigenvalues_eV_per_A2": "eigenvalues",
    "site_entropies_kB": "site_entropies",
    "entropy_gradient_kB_per_A": "gradient",
}  # array of a shard: field of a label
_UNSTABLE = "unstable_eigenvalue_eV_per_A2"


@dataclass(frozen=True)
class Shard:
    """A range of attempts.

    Attributes
    ----------
    family : int
    start, stop : int
    name : str
        File name without suffix.
    """

    family: int
    start: int
    stop: int
    name: str


def digest(recipe: Recipe, family: int | None, start: int = 0, stop: int = 0) -> str:
    """Sixteen hexadecimal digits of the sha256 of what decides a shard's contents.

    Parameters
    ----------
    recipe : Recipe
    family : int or None
        None for what does not depend on any family.
    start, stop : int

    Returns
    -------
    str
    """
    parts = _given(recipe, ("families", "folder", "file"))
    if family is not None:
        parts["family"] = _given(recipe.families[family], ("count",))
    if recipe.file is not None:
        files = reference_files(recipe.potential, recipe.file)
        parts["file"] = hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()
    key = json.dumps([VERSION, parts, family, start, stop], sort_keys=True)
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def _given(table: Any, without: tuple[str, ...]) -> dict[str, Any]:
    """Fields that differ from their defaults: a key that a later version adds does not count."""
    return {
        f.name: getattr(table, f.name)
        for f in fields(table)
        if f.name not in without and getattr(table, f.name) != f.default
    }


def plan(recipe: Recipe) -> list[Shard]:
    """All shards of a recipe, in order.

    Parameters
    ----------
    recipe : Recipe

    Returns
    -------
    list of Shard
    """
    shards = []
    for f, family in enumerate(recipe.families):
        for start in range(0, family.count, SIZE):
            stop = min(start + SIZE, family.count)
            shards.append(Shard(f, start, stop, digest(recipe, f, start, stop)))
    return shards


def make_shard(recipe: Recipe, shard: Shard, path: Path) -> str:
    """Make the attempts of a shard and write them, unless the file is there.

    Parameters
    ----------
    recipe : Recipe
    shard : Shard
    path : Path
        ``.npz`` file.

    Returns
    -------
    str
        The shard's name.
    """
    if not path.exists():
        attempts = [attempt(recipe, shard.family, n) for n in range(shard.start, shard.stop)]
        write_shard(path, attempts)
    return shard.name


def write_shard(path: Path, attempts: list[Attempt]) -> None:
    """Write attempts to an ``.npz`` file.

    Parameters
    ----------
    path : Path
    attempts : list of Attempt
    """
    buffer = io.BytesIO()
    arrays: dict[str, Any] = _arrays(attempts)
    np.savez_compressed(buffer, **arrays)
    write_atomically(path, buffer.getvalue())


def _arrays(attempts: list[Attempt]) -> dict[str, NDArray[Any]]:
    """Arrays of a shard: one row per attempt, or per atom of all of them in order."""
    good = [a for a in attempts if a.atoms is not None and a.label is not None]
    frames = [a.atoms for a in good if a.atoms is not None]
    labels = [a.label for a in good if a.label is not None]
    arrays: dict[str, NDArray[Any]] = {
        "attempt": np.array([[a.family, a.index] for a in attempts], dtype=np.int64).reshape(-1, 2),
        "failure": np.array([a.failure for a in attempts], dtype=np.str_),
        "info": np.array([json.dumps(f.info, sort_keys=True) for f in frames], dtype=np.str_),
        "n_atoms": np.array([len(f) for f in frames], dtype=np.int64),
        "numbers": np.concatenate([np.zeros(0, np.int64), *(f.numbers for f in frames)]),
        "positions_A": np.concatenate([np.zeros((0, 3)), *(f.positions for f in frames)]),
        "forces_eV_per_A": np.concatenate(
            [np.zeros((0, 3)), *(f.arrays["forces"] for f in frames)]
        ),
        "cell_A": np.array([f.cell.array for f in frames]).reshape(-1, 3, 3),
        "energy_eV": np.array([x.energy for x in labels]),
        "formation_energy_eV": np.array([x.formation_energy for x in labels]),
        "formation_entropy_kB": np.array([x.formation_entropy_kB for x in labels]),
        "fingerprint": np.array([a.fingerprint for a in good]).reshape(len(good), LENGTH),
    }
    if any(x.unstable_eigenvalue is not None for x in labels):
        arrays[_UNSTABLE] = np.array([x.unstable_eigenvalue for x in labels], dtype=float)
    for key, name in _EXTRAS.items():
        found = [getattr(x, name) for x in labels if getattr(x, name) is not None]
        if found:
            arrays[key] = np.concatenate(found)
    return arrays


def read_shard(path: Path) -> list[Attempt]:
    """Read the attempts of a shard.

    Parameters
    ----------
    path : Path

    Returns
    -------
    list of Attempt

    Raises
    ------
    RuntimeError
        When the file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as data:
            return _attempts({key: data[key] for key in data.files})
    except _DAMAGE as error:
        raise RuntimeError(
            f"the shard {str(path)!r} is missing or damaged ({error}); delete it and run "
            "`thiry generate` again"
        ) from error


def _attempts(data: dict[str, NDArray[Any]]) -> list[Attempt]:
    ends = np.cumsum(data["n_atoms"])
    good = 0
    attempts = []
    for (family, index), failure in zip(data["attempt"], data["failure"], strict=True):
        if failure:
            attempts.append(Attempt(int(family), int(index), str(failure)))
            continue
        here = slice(int(ends[good] - data["n_atoms"][good]), int(ends[good]))
        attempts.append(
            Attempt(int(family), int(index), "", _frame(data, good, here), _label(data, good, here),
                    data["fingerprint"][good])
        )  # fmt: skip
        good += 1
    return attempts


def _frame(data: dict[str, NDArray[Any]], n: int, here: slice) -> Atoms:
    atoms = Atoms(
        numbers=data["numbers"][here],
        positions=data["positions_A"][here],
        cell=data["cell_A"][n],
        pbc=True,
        info=json.loads(str(data["info"][n])),
    )
    atoms.set_array("forces", data["forces_eV_per_A"][here])
    return atoms


def _label(data: dict[str, NDArray[Any]], n: int, here: slice) -> Label:
    extras = {}
    for key, name in _EXTRAS.items():
        rows = 3 if name == "eigenvalues" else 1
        if key in data:
            extras[name] = data[key][rows * here.start : rows * here.stop]
    return Label(
        float(data["energy_eV"][n]),
        float(data["formation_energy_eV"][n]),
        float(data["formation_entropy_kB"][n]),
        unstable_eigenvalue=float(data[_UNSTABLE][n]) if _UNSTABLE in data else None,
        **extras,
    )
