"""Structures with labels from any files that ASE reads: names, groups, selection.

Files are named, or found by patterns; each is read once, decompressed in memory. A structure's
group is its ``group``, ``config_type`` or ``family``, or else the name of its file; of its folder,
when files in several folders have the same name (``OUTCAR``).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from tqdm import tqdm

from thiry_calc.neighbors import check_overlap, neighbors_of
from thiry_calc.structures import R_OVERLAP, check_structure, read_structures
from training.config import Key, check_table, text
from training.labels import QUANTITIES, labels_of

Array = NDArray[np.float64]

GROUP_NAMES = ("group", "config_type", "family")
LABEL_NAMES = {quantity: Key(text(), None) for quantity in QUANTITIES}


@dataclass(frozen=True, eq=False)
class Structure:
    """A structure and what is known of it.

    Attributes
    ----------
    atoms : Atoms
    energy : float or None
        eV.
    forces : ndarray or None, shape (N, 3)
        eV/Å.
    stress : ndarray or None, shape (6,)
        Voigt order and sign of ASE, eV/Å³.
    group : str
    source : str
        File and frame.
    entropy : float or None
        Of formation, k_B.
    """

    atoms: Atoms
    energy: float | None
    forces: Array | None
    stress: Array | None
    group: str
    source: str
    entropy: float | None = None


@dataclass(frozen=True, eq=False)
class Dataset:
    """Structures of one or more files.

    Attributes
    ----------
    structures : sequence of Structure
    names : mapping of str to Counter
        Under which names each of `training.labels.QUANTITIES` was found, and how often.
    """

    structures: Sequence[Structure]
    names: Mapping[str, Counter[str]]

    @property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols that occur, sorted."""
        return tuple(sorted({s for one in self.structures for s in one.atoms.symbols}))

    @property
    def groups(self) -> Counter[str]:
        """Number of structures of each group."""
        return Counter(one.group for one in self.structures)

    def __str__(self) -> str:
        """Say what was found, in how many structures."""
        n = len(self.structures)
        atoms = sum(len(one.atoms) for one in self.structures)
        lines = [f"{n} structures, {atoms} atoms of {', '.join(self.elements)}"]
        for quantity in QUANTITIES:
            found = self.names.get(quantity, Counter())
            if found or quantity in ("energy", "forces", "stress"):
                total = sum(found.values())
                names = ", ".join(repr(name) for name in sorted(found))
                lines.append(f"  {quantity:<8}{total:6d} of {n}{names and f'  (from {names})'}")
        lines += [f"  group {name}: {count}" for name, count in sorted(self.groups.items())]
        return "\n".join(lines)


def read_dataset(
    patterns: Iterable[str | Path],
    keys: Mapping[str, str] | None = None,
    select: Mapping[str, Any] | None = None,
    folder: str | Path = ".",
) -> Dataset:
    """Read labelled structures.

    Parameters
    ----------
    patterns : iterable of str or Path
        Files, or patterns with ``*``, ``?``, ``[...]`` and ``**``; ``~`` is the user's home.
    keys : mapping of str to str, optional
        Names of the labels, by `training.labels.QUANTITIES`.
    select : mapping, optional
        Keeps the structures whose ``info`` has these values (or one of a list of values); a
        string also stands for the number that it spells.
    folder : str or Path
        What relative paths are relative to.

    Returns
    -------
    Dataset

    Raises
    ------
    FileNotFoundError
        No such file, or nothing matches a pattern.
    ValueError
        Unreadable files, labels that are wrong, a key that no structure has, or a selection that
        keeps none; the message names file and frame.
    """
    keys, select = dict(keys or {}), dict(select or {})
    check_table(keys, LABEL_NAMES, "the names of labels")
    structures, seen, known = [], Counter[str](), set[str]()
    names = {quantity: Counter[str]() for quantity in QUANTITIES}
    files = _files(patterns, Path(folder))
    titles = _titles(files)
    for path in tqdm(files, desc="reading", unit="file", disable=None):
        for n, atoms in enumerate(read_structures(path)):
            known |= set(atoms.info)
            seen.update(f"{key} = {atoms.info[key]!r}" for key in select if key in atoms.info)
            if all(_matches(atoms.info.get(key), value) for key, value in select.items()):
                one, found = _labelled(atoms, keys, titles[path], f"{path}, frame {n}")
                structures.append(one)
                for quantity, name in found.items():
                    names[quantity][name] += 1
    if not structures:
        common = "; ".join(value for value, _ in seen.most_common(8))
        there = f"among those read, {common}" if common else f"known are {sorted(known)}"
        raise ValueError(f"no structure has {select!r}; {there}: correct the selection")
    missing = [f"{q} = {name!r}" for q, name in keys.items() if not names[q]]
    if missing:
        raise ValueError(f"no structure has the label {missing[0]}; correct its name")
    return Dataset(structures, names)


def labelled(frames: Iterable[Atoms]) -> list[Structure]:
    """Labelled structures of the current program instead of a file's.

    Parameters
    ----------
    frames : iterable of Atoms
        With labels in their calculators, ``info`` or ``arrays``.

    Returns
    -------
    list of Structure
    """
    return [_labelled(atoms, {}, "all", f"frame {n}")[0] for n, atoms in enumerate(frames)]


def _labelled(
    atoms: Atoms, keys: Mapping[str, str], title: str, source: str
) -> tuple[Structure, Mapping[str, str]]:
    """Structure, and the names of its labels."""
    check_structure(atoms, source)
    check_overlap(neighbors_of(atoms, R_OVERLAP), f"{source}: ")
    labels = labels_of(atoms, keys, source)
    group = next((str(atoms.info[name]) for name in GROUP_NAMES if name in atoms.info), title)
    bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    known = labels.energy, labels.forces, labels.stress
    return Structure(bare, *known, group, source, labels.entropy), labels.names


def _files(patterns: Iterable[str | Path], folder: Path) -> list[Path]:
    found: dict[Path, None] = {}
    for pattern in patterns:
        path = folder / Path(pattern).expanduser()
        if has_magic(str(pattern)):
            matches = [Path(m) for m in sorted(glob(str(path), recursive=True))]
            matches = [m for m in matches if m.is_file()]
            if not matches:
                raise FileNotFoundError(2, "no file matches the pattern", str(path))
        else:
            matches = [path]
        found.update(dict.fromkeys(matches))
    if not found:
        raise ValueError("no file of structures is given; name one, or a pattern")
    return list(found)


def _matches(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, list | tuple):
        return any(_matches(value, one) for one in wanted)
    return bool(value == wanted) or str(value) == wanted


def _titles(files: Sequence[Path]) -> dict[Path, str]:
    """Name each file by itself, or by its folder where that tells more."""
    together = Counter(path.name for path in files)
    return {
        path: path.name.split(".")[0] if together[path.name] == 1 else path.resolve().parent.name
        for path in files
    }
