"""The files of a database: raw shards, extended xyz for everyone, and an index of what was kept.

    folder/attempts/<hash>.npz    every attempt, at full precision (`training.shards`)
    folder/<hash>.xyz.xz          the kept ones of a shard, with their labels
    folder/index.json             names of the shards and numbers of the kept attempts

The index is written last: a folder without one is unfinished.
"""

import json
import lzma
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from thiry_calc.linear.files import write_atomically
from training.label import Label
from training.recipe import Recipe
from training.sampling import Attempt, lattice_constant
from training.shards import Shard, read_shard

INDEX = "index.json"
RAW = "attempts"
"""Sub-folder of the shards as the workers wrote them."""


@dataclass(frozen=True)
class Outcome:
    """What became of one attempt.

    Attributes
    ----------
    shard : Shard
    attempt : Attempt
    fate : str
        "kept", "duplicate", "standard scan", or the reason of a failure.
    """

    shard: Shard
    attempt: Attempt
    fate: str


def kept(outcomes: Sequence[Outcome]) -> Iterator[tuple[Shard, Attempt, Label]]:
    """Go through the kept attempts.

    Parameters
    ----------
    outcomes : sequence of Outcome

    Yields
    ------
    Shard, Attempt, Label
    """
    for o in outcomes:
        if o.fate == "kept" and o.attempt.label is not None:
            yield o.shard, o.attempt, o.attempt.label


def group_of(attempt: Attempt) -> str:
    """Net number of defects: "V2" for two vacancies, "I3" for three interstitials, or "balanced".

    Parameters
    ----------
    attempt : Attempt
        With atoms.

    Returns
    -------
    str
    """
    if attempt.atoms is None:
        raise ValueError(f"attempt {attempt.index} of family {attempt.family} has no structure")
    net = len(attempt.atoms) - int(attempt.atoms.info["n_sites"])
    if net == 0:
        return "balanced"
    return f"{'I' if net > 0 else 'V'}{abs(net)}"


def frame(attempt: Attempt) -> Atoms:
    """Structure of a kept attempt with its labels.

    Parameters
    ----------
    attempt : Attempt
        With atoms and label.

    Returns
    -------
    Atoms
        ``info`` has ``formation_entropy_kB``, ``formation_energy_eV``, ``family``, ``group`` (see
        `group_of`), ``name``, ``n_sites``; the calculator holds energy (eV) and forces (eV/Å).
    """
    if attempt.atoms is None or attempt.label is None:
        raise ValueError(f"attempt {attempt.index} of family {attempt.family} has no structure")
    atoms = attempt.atoms.copy()
    forces = atoms.arrays.pop("forces")
    atoms.info["group"] = group_of(attempt)
    atoms.info["formation_energy_eV"] = attempt.label.formation_energy
    atoms.info["formation_entropy_kB"] = attempt.label.formation_entropy_kB
    if attempt.label.eigenvalues is not None:
        atoms.info["hessian_eigenvalues_eV_per_A2"] = attempt.label.eigenvalues
    if attempt.label.unstable_eigenvalue is not None:
        atoms.info["unstable_eigenvalue_eV_per_A2"] = attempt.label.unstable_eigenvalue
    if attempt.label.site_entropies is not None:
        atoms.set_array("site_entropies_kB", attempt.label.site_entropies)
    if attempt.label.gradient is not None:
        atoms.set_array("entropy_gradient_kB_per_A", attempt.label.gradient)
    atoms.calc = SinglePointCalculator(atoms, energy=attempt.label.energy, forces=forces)
    return atoms


def load_database(folder: str | Path) -> list[Atoms]:
    """Read the configurations that a finished run has kept.

    Parameters
    ----------
    folder : str or Path

    Returns
    -------
    list of Atoms
        As `frame` makes them, in the order of the recipe.

    Raises
    ------
    FileNotFoundError
        No finished database there.
    RuntimeError
        A shard is missing or damaged.
    """
    shards = kept_attempts(folder)
    return [atoms for name, kept in shards.items() for atoms in load_shard(folder, name, kept)]


def kept_attempts(folder: str | Path) -> dict[str, list[int]]:
    """Names of the shards of a finished database, and the attempts kept of each.

    Parameters
    ----------
    folder : str or Path

    Returns
    -------
    dict of str to list of int

    Raises
    ------
    FileNotFoundError
        No finished database there.
    """
    path = Path(folder).expanduser() / INDEX
    if not path.is_file():
        raise FileNotFoundError(2, "no finished database (index.json)", str(path))
    entries = json.loads(path.read_text(encoding="utf-8"))["shards"]
    return {entry["name"]: entry["kept"] for entry in entries}


def load_shard(folder: str | Path, name: str, kept: Sequence[int]) -> list[Atoms]:
    """Read some configurations of one shard.

    Parameters
    ----------
    folder : str or Path
        Of the database.
    name : str
        Of the shard.
    kept : sequence of int
        Numbers of the attempts.

    Returns
    -------
    list of Atoms
        As `frame` makes them.

    Raises
    ------
    RuntimeError
        The shard is missing or damaged.
    """
    attempts = read_shard(Path(folder).expanduser() / RAW / f"{name}.npz")
    by_number = {attempt.index: attempt for attempt in attempts}
    return [frame(by_number[n]) for n in kept]


def write_frames(outcomes: Sequence[Outcome], folder: Path) -> None:
    """Write a compressed extended xyz file per shard with anything left.

    What the index of an earlier run lists is there already, and removed where it is not wanted.

    Parameters
    ----------
    outcomes : sequence of Outcome
    folder : Path
    """
    earlier = kept_attempts(folder) if (folder / INDEX).exists() else {}
    (folder / INDEX).unlink(missing_ok=True)  # it would not be true of what is written now
    groups: dict[str, list[Attempt]] = {}
    for shard, attempt, _ in kept(outcomes):
        groups.setdefault(shard.name, []).append(attempt)
    for name, attempts in groups.items():
        path = folder / f"{name}.xyz.xz"
        if path.exists() and earlier.get(name) == [attempt.index for attempt in attempts]:
            continue
        text = StringIO()
        write(text, [frame(attempt) for attempt in attempts], format="extxyz")
        write_atomically(path, lzma.compress(text.getvalue().encode(), preset=1))
    for name in earlier.keys() - groups.keys():
        (folder / f"{name}.xyz.xz").unlink(missing_ok=True)


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write a JSON file, whole or not at all.

    Parameters
    ----------
    path : Path
    document : dict
    """
    write_atomically(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def index(recipe: Recipe, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """List the kept attempts by shard, with what made them.

    Parameters
    ----------
    recipe : Recipe
    outcomes : sequence of Outcome

    Returns
    -------
    dict
    """
    indices: dict[str, list[int]] = {}
    for shard, attempt, _ in kept(outcomes):
        indices.setdefault(shard.name, []).append(attempt.index)
    return {
        "n_configurations": sum(map(len, indices.values())),
        "reference": {
            "potential": recipe.potential,
            "lattice": recipe.lattice,
            "a0_A": lattice_constant(recipe),
            "sizes": list(recipe.sizes),
            "hessian": recipe.method,
        },
        "shards": [{"name": name, "kept": numbers} for name, numbers in indices.items()],
    }
