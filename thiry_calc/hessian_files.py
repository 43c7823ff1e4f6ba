"""Hessians in files: NumPy, SciPy sparse, text, and phonopy's force constants (without phonopy).

    H[iα, jβ] = Φ_αβ(i, j)    force constants of a supercell, eV/Å²

Phonopy's files hold them in full (N, N, 3, 3), or compact (n, N, 3, 3): one row of blocks for each
atom of the primitive cell, which the lattice translations of the supercell complete. Checked
against files that phonopy 4.10 wrote, to the digits of the file.
"""

import importlib
import os
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import scipy.sparse as sp
from ase import Atoms, units
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from thiry_calc.hessian import enforce_sum_rule

_ENERGY = {"eV": 1.0, "Ry": units.Ry, "mRy": 1e-3 * units.Ry, "hartree": units.Hartree}
_LENGTH = {"angstrom": 1.0, "au": units.Bohr}

Array = NDArray[np.float64]


def read_hessian(path: str | Path, atoms: Atoms | None = None) -> sp.csr_array:
    """Read a Hessian.

    Parameters
    ----------
    path : str or Path
        ``*.npy`` (dense), ``*.npz`` (`scipy.sparse.save_npz`), ``*.hdf5`` or a text
        ``FORCE_CONSTANTS`` of phonopy, or else a text matrix as `numpy.savetxt` writes it.
    atoms : Atoms, optional
        Its structure, checked against the size; compact force constants need it.

    Returns
    -------
    (3N, 3N) sparse array, eV/Å²

    Raises
    ------
    FileNotFoundError
    ValueError
        A damaged file, pickled content, not square, or of another number of atoms.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(2, "no such file", str(path))
    if path.suffix in (".hdf5", ".h5") or _is_force_constants(path):
        return to_hessian(read_constants(path, atoms), path)
    try:
        if path.suffix == ".npy":
            matrix = np.load(path, allow_pickle=False)
        elif path.suffix == ".npz":
            matrix = sp.load_npz(path)
        else:
            matrix = np.loadtxt(path, ndmin=2)
        hessian = sp.csr_array(matrix, dtype=float)
    except (ValueError, OSError, EOFError, KeyError, TypeError, BadZipFile) as error:
        reason = " ".join(str(error).split())[:120]
        raise ValueError(
            f"{str(path)!r} is not a Hessian ({reason}); give .npy, .npz of scipy.sparse.save_npz, "
            "a text matrix, or FORCE_CONSTANTS"
        ) from error
    n = hessian.shape[0] if atoms is None else 3 * len(atoms)
    if hessian.shape != (n, n) or n % 3:
        of = "a structure" if atoms is None else f"{len(atoms)} atoms"
        raise ValueError(
            f"{str(path)!r} has shape {hessian.shape}; the Hessian of {of} in eV/Å² has one row "
            "and one column for each of the 3N coordinates"
        )
    return hessian


def _is_force_constants(path: Path) -> bool:
    """Tell phonopy's text format by its first line, "N" or "n N", and its second, "1 1"."""
    if path.suffix in (".npy", ".npz"):
        return False
    with path.open(encoding="ascii", errors="replace") as file:
        first, second = file.readline().split(), file.readline().split()
    return len(first) in (1, 2) and len(second) == 2 and all(w.isdigit() for w in first + second)


def read_constants(path: Path, atoms: Atoms | None) -> Array:
    """Read full force constants from ``FORCE_CONSTANTS`` (text) or ``*.hdf5``.

    Parameters
    ----------
    path : Path
    atoms : Atoms, optional
        The supercell, in phonopy's order; compact files need it.

    Returns
    -------
    (N, N, 3, 3) array, eV/Å²

    Raises
    ------
    ValueError
        A damaged file, unknown units, or another supercell.
    """
    read = _read_hdf5 if path.suffix in (".hdf5", ".h5") else _read_text
    return _full(*read(path), atoms, path)


def _read_text(path: Path) -> tuple[Array, NDArray[np.intp] | None]:
    """Parse FORCE_CONSTANTS: "n N", then for each pair "i j" and three rows of three numbers."""
    try:
        head, _, body = path.read_text(encoding="ascii").partition("\n")
        shape = [int(word) for word in head.split()]
        n, n_super = shape if len(shape) == 2 else shape * 2
        numbers = np.array(body.split(), dtype=float)
        table = numbers.reshape(n, n_super, 11)
    except (ValueError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise ValueError(
            f"{str(path)!r} is not a complete FORCE_CONSTANTS file ({reason}); "
            "write it again with phonopy --writefc"
        ) from error
    return table[..., 2:].reshape(n, n_super, 3, 3), table[:, 0, 0].astype(np.intp) - 1


def _read_hdf5(path: Path) -> tuple[Array, NDArray[np.intp] | None]:
    h5py = optional("h5py")
    try:
        with h5py.File(path, "r") as file:
            key = "fc2" if "fc2" in file else "force_constants"
            constants = np.asarray(file[key], dtype=float)
            rows = np.asarray(file["p2s_map"], dtype=np.intp) if "p2s_map" in file else None
            unit = file["physical_unit"][0].decode() if "physical_unit" in file else None
    except (OSError, KeyError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise ValueError(
            f"{str(path)!r} is not a force-constants file of phonopy ({reason}); "
            "write it again with phonopy --writefc --hdf5"
        ) from error
    return constants * (1.0 if unit is None else unit_factor(unit, path)), rows


def _full(
    constants: Array, rows: NDArray[np.intp] | None, atoms: Atoms | None, path: Path
) -> Array:
    """Complete compact force constants by the translations of the supercell."""
    if atoms is None:
        if constants.ndim == 4 and len(constants) == constants.shape[1]:
            return constants
        raise ValueError(f"{str(path)!r} is compact: give its supercell (SPOSCAR) with it")
    n_super = len(atoms)
    if constants.ndim != 4 or constants.shape[1:] != (n_super, 3, 3):
        raise ValueError(
            f"{str(path)!r} has force constants of shape {constants.shape}, and the structure "
            f"{n_super} atoms; give the supercell phonopy used (SPOSCAR)"
        )
    if len(constants) == n_super:
        return constants
    if rows is None or len(np.unique(rows)) != len(constants):
        raise ValueError(
            f"{str(path)!r} is compact and does not say for which different atoms; "
            "write full force constants (phonopy --full-fc)"
        )
    full = np.full((n_super, n_super, 3, 3), np.nan)
    scaled = np.mod(atoms.get_scaled_positions(), 1.0) % 1.0  # twice: -1e-17 % 1 is 1
    tree = cKDTree(scaled, boxsize=1.0)
    tolerance = 1e-3 / atoms.cell.lengths().max()
    for source, row in zip(rows, constants, strict=True):
        for image in np.flatnonzero(atoms.numbers == atoms.numbers[source]):
            distance, target = tree.query((scaled + scaled[image] - scaled[source]) % 1.0 % 1.0)
            same = (atoms.numbers[target] == atoms.numbers).all()
            if same and distance.max() < tolerance:  # this translation is one of the lattice
                full[image, target] = row
    if np.isnan(full).any():
        raise ValueError(
            f"{str(path)!r} is compact, and the structure is no supercell of {len(rows)} atoms; "
            "give the supercell phonopy used (SPOSCAR)"
        )
    return full


def unit_factor(name: str, path: Path) -> float:
    """Return the factor to eV/Å² of a unit such as "Ry/au^2" or "eV/angstrom.au".

    Parameters
    ----------
    name : str
    path : Path
        Named in the message.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        An unknown unit.
    """
    energy, _, lengths = name.partition("/")
    first, _, second = lengths.replace("^2", f".{lengths.removesuffix('^2')}").partition(".")
    if energy not in _ENERGY or first not in _LENGTH or second not in _LENGTH:
        raise ValueError(
            f"{str(path)!r} has force constants in {name!r}; expected a unit such as eV/angstrom^2"
        )
    return _ENERGY[energy] / (_LENGTH[first] * _LENGTH[second])


def to_hessian(constants: Array, path: Path | str) -> sp.csr_array:
    """Turn full force constants into a Hessian with its symmetries.

    Parameters
    ----------
    constants : (N, N, 3, 3) array, eV/Å²
    path : Path or str
        Named in the messages.

    Returns
    -------
    (3N, 3N) sparse array, eV/Å²
        Symmetrised, with the acoustic sum rule enforced on the diagonal blocks.

    Raises
    ------
    ValueError
        Not finite, or neither symmetric nor invariant to 1 %.
    """
    n = len(constants)
    matrix = constants.transpose(0, 2, 1, 3).reshape(3 * n, 3 * n)
    if not np.isfinite(matrix).all():
        raise ValueError(f"{str(path)!r} has non-finite force constants; compute them again")
    scale = float(np.abs(matrix).max(initial=0.0))
    drift = float(np.abs(matrix.reshape(3 * n, n, 3).sum(axis=1)).max(initial=0.0))
    asymmetry = float(np.abs(matrix - matrix.T).max(initial=0.0))
    if max(drift, asymmetry) > 1e-2 * scale:
        raise ValueError(
            f"{str(path)!r} has force constants that break symmetry by {asymmetry:.1e} and the "
            f"acoustic sum rule by {drift:.1e} eV/Å²; is the structure the supercell phonopy used?"
        )
    return enforce_sum_rule(sp.csr_array((matrix + matrix.T) / 2))


def write_force_constants(path: str | Path, hessian: sp.csr_array | Array) -> None:
    """Write a Hessian as phonopy's full FORCE_CONSTANTS text file.

    Parameters
    ----------
    path : str or Path
    hessian : (3N, 3N) array or sparse array, eV/Å²
    """
    constants = blocks(hessian, hessian.shape[0] // 3)
    n = len(constants)
    path = Path(path)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with scratch.open("w", encoding="ascii") as file:
            file.write(f"{n:4d} {n:4d}\n")
            for i, j in np.ndindex(n, n):
                rows = "\n".join(" ".join(f"{v:22.15e}" for v in row) for row in constants[i, j])
                file.write(f"{i + 1} {j + 1}\n{rows}\n")
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def blocks(hessian: sp.csr_array | Array, n: int) -> Array:
    """Turn a Hessian into full force constants.

    Parameters
    ----------
    hessian : (3N, 3N) array or sparse array, eV/Å²
    n : int
        N.

    Returns
    -------
    (N, N, 3, 3) array, eV/Å²

    Raises
    ------
    ValueError
        Another shape.
    """
    dense = np.asarray(hessian.toarray() if isinstance(hessian, sp.sparray) else hessian)
    if dense.shape != (3 * n, 3 * n):
        raise ValueError(f"expected a Hessian of shape ({3 * n}, {3 * n}), got {dense.shape}")
    return np.ascontiguousarray(dense.reshape(n, 3, n, 3).transpose(0, 2, 1, 3))


def optional(name: str) -> Any:
    """Import a module of the extra ``phonopy``.

    Parameters
    ----------
    name : str

    Returns
    -------
    module

    Raises
    ------
    ImportError
        With the way to install it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"phonopy files need {name}: pip install 'thiry_calc[phonopy]'"
        ) from error
