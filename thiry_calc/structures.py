"""Structures from files: anything `ase.io.read` reads, compressed files in one pass.

`ase.io.read` seeks backwards in extended xyz, which is very slow on a compressed stream;
``.xz``, ``.gz`` and ``.bz2`` files are therefore decompressed to memory first.
"""

import bz2
import gzip
import io
import lzma
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.db import connect
from ase.io import read, write
from ase.io.formats import filetype, string2index

from thiry_calc.linear.files import replacing

R_OVERLAP = 0.5  # Å; no pair of atoms is closer in matter
_OPEN = {".xz": lzma.open, ".gz": gzip.open, ".bz2": bz2.open}


def read_structures(path: str | Path, index: str = ":") -> list[Atoms]:
    """Read structures and check that they can be computed.

    Parameters
    ----------
    path : str or Path
        A file that `ase.io.read` understands, possibly compressed.
    index : str
        ASE's frame selection; all frames by default.

    Returns
    -------
    list of Atoms

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When the file is not a structure file, is damaged, holds no atoms, or a frame fails
        `check_structure`; the message names the file and the frame.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(2, "no such file", str(path))
    try:
        frames = [f for f in _read(path, index) if f is not None]
    except Exception as error:  # the readers of some 80 formats raise anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"cannot read structures from {str(path)!r} ({reason[:200]}); "
            "give a complete file in a format of ase.io (extxyz, POSCAR, cif, ...)"
        ) from error
    if not frames:
        raise ValueError(f"{str(path)!r} holds no structure; give a file with at least one frame")
    for n, atoms in enumerate(frames):
        check_structure(atoms, where=f"{path}, frame {n}")
    return frames


def _read(path: Path, index: str) -> list[Atoms]:
    if path.suffix == ".db":
        return _read_database(path, index)
    if path.suffix not in _OPEN:
        found = read(path, index=index, do_not_split_by_at_sign=True)
    else:
        opener: Any = _OPEN[path.suffix]
        with opener(path, "rt", encoding="utf-8") as stream:
            text = io.StringIO(stream.read())
        inner = Path(path.stem)
        xyz = inner.suffix in (".xyz", ".extxyz")
        kind = "extxyz" if xyz else filetype(str(inner), read=False)
        found = read(text, index=index, format=kind)
    return [found] if isinstance(found, Atoms) else list(found)


def _read_database(path: Path, index: str) -> list[Atoms]:
    """Read an ASE database, with the key-value pairs of its rows, which `ase.io.read` drops."""
    frames = []
    for row in connect(path, type="db").select():
        atoms = row.toatoms()
        atoms.info |= row.key_value_pairs
        frames.append(atoms)
    found = frames[string2index(index)]
    return [found] if isinstance(found, Atoms) else found


def write_structures(path: str | Path, frames: list[Atoms]) -> None:
    """Write structures and their results as extended xyz, atomically.

    Parameters
    ----------
    path : str or Path
        Compressed when it ends in ``.xz``, ``.gz`` or ``.bz2``.
    frames : list of Atoms

    Raises
    ------
    OSError
        When the folder does not exist or cannot be written.
    """
    with replacing(path) as partial:
        write(partial, frames, format="extxyz")


def check_structure(atoms: Atoms, where: str = "the structure") -> None:
    """Refuse structures that no calculator can treat.

    Parameters
    ----------
    atoms : Atoms
    where : str
        Named in the message.

    Raises
    ------
    ValueError
        No atoms, or of no element; positions or cell not finite; periodic directions without a
        volume.
    """
    if len(atoms) == 0:
        raise ValueError(f"{where} has no atoms")
    if (atoms.numbers < 1).any():
        raise ValueError(
            f"{where} has an atom of no element, atom {int(np.argmin(atoms.numbers))}; "
            "give chemical symbols such as 'Fe'"
        )
    bad = ~np.isfinite(atoms.positions).all(axis=1)
    if bad.any():
        raise ValueError(
            f"{where} has non-finite positions, first at atom {int(np.argmax(bad))}; "
            "remove or repair these atoms"
        )
    cell = atoms.cell.array
    if not np.isfinite(cell).all():
        raise ValueError(f"{where} has a non-finite cell; repair its lattice vectors")
    periodic = cell[np.asarray(atoms.pbc)]
    if len(periodic) == 0:
        return
    size = float(np.prod(np.linalg.svd(periodic, compute_uv=False)))
    if size < 1e-6:
        raise ValueError(
            f"{where} is periodic along lattice vectors without a volume; "
            "set the cell, or pbc=False"
        )
    # the densest lattices of points R_OVERLAP apart: beyond them, neighbours without number
    if size < R_OVERLAP ** len(periodic) * (1.0, np.sqrt(3) / 2, np.sqrt(0.5))[len(periodic) - 1]:
        raise ValueError(
            f"{where} has a cell so small that atoms overlap with their own images; "
            "check the units (Å) of the cell"
        )
