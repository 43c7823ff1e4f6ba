"""Phonopy's force constants as Hessians, and phonopy's displacements as a way to make them.

A defect cell is its own 1 x 1 x 1 supercell: phonopy then displaces only the atoms that symmetry
does not relate (Togo & Tanaka, Scr. Mater. 108, 1 (2015)), for any calculator. Checked against
finite differences of the same calculator to the error of a 0.01 Å displacement, and reading
against writing to 1e-14.

The only module that imports phonopy (``pip install thiry_calc[phonopy]``).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from ase import Atoms
from numpy.typing import NDArray
from tqdm import tqdm

from thiry_calc.hessian import get_hessian, with_calculator
from thiry_calc.hessian_files import (
    blocks,
    optional,
    read_constants,
    to_hessian,
    unit_factor,
    write_force_constants,
)

__all__ = [
    "Bands",
    "band_structure",
    "displacements",
    "force_constants",
    "read_phonopy",
    "to_phonopy",
    "write_force_constants",
]

Array = NDArray[np.float64]


def read_phonopy(path: str | Path, atoms: Atoms | None = None) -> tuple[sp.csr_array, Atoms]:
    """Read force constants of phonopy.

    Parameters
    ----------
    path : str or Path
        ``FORCE_CONSTANTS`` (text), ``*.hdf5``, or ``phonopy_params.yaml`` / ``phonopy.yaml``
        with force constants or with displacements and forces.
    atoms : Atoms, optional
        The supercell, in phonopy's order (SPOSCAR). Needed except for yaml files, which hold it.

    Returns
    -------
    hessian : (3N, 3N) sparse array, eV/Å²
        Symmetrised, with the acoustic sum rule enforced on the diagonal blocks.
    atoms : Atoms
        The supercell; its masses are phonopy's.

    Raises
    ------
    FileNotFoundError
    ValueError
        A damaged file, another number of atoms, unknown units, force constants that are neither
        symmetric nor invariant to 1 %.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(2, "no such file", str(path))
    if path.suffix in (".yaml", ".yml"):
        constants, atoms = _read_yaml(path, atoms)
    else:
        if atoms is None:
            raise ValueError(f"{str(path)!r} holds no structure: give its supercell (SPOSCAR)")
        constants = read_constants(path, atoms)
    return to_hessian(constants, path), atoms


def _read_yaml(path: Path, atoms: Atoms | None) -> tuple[Array, Atoms]:
    phonopy = optional("phonopy")
    calculators = optional("phonopy.interface.calculator")
    try:
        data = optional("phonopy.interface.phonopy_yaml").PhonopyYaml()
        data.read(path)
        model = phonopy.Phonopy(
            data.unitcell,
            data.supercell_matrix,
            primitive_matrix=np.eye(3) if data.primitive_matrix is None else data.primitive_matrix,
            calculator=data.calculator,
        )
        if data.force_constants is not None:
            model.force_constants = data.force_constants
        elif data.dataset is not None:
            model.dataset = data.dataset
            model.produce_force_constants(show_drift=False)
    except Exception as error:  # phonopy and its yaml reader raise many kinds on damaged files
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise ValueError(f"{str(path)!r} is not a complete phonopy yaml file ({reason})") from error
    if model.force_constants is None:
        raise ValueError(
            f"{str(path)!r} holds neither force constants nor forces; "
            "write it with phonopy --include-all"
        )
    constants = np.asarray(model.force_constants, dtype=float)
    if constants.shape[0] != constants.shape[1]:
        expand = optional("phonopy.harmonic.force_constants").compact_fc_to_full_fc
        constants = expand(model.primitive, constants)
    known = calculators.get_calculator_physical_units(data.calculator)
    supercell = _to_ase(model.supercell, known.distance_to_A)
    if atoms is not None and (
        len(atoms) != len(supercell) or (atoms.numbers != supercell.numbers).any()
    ):
        raise ValueError(
            f"{str(path)!r} describes a supercell {supercell.get_chemical_formula()} in another "
            f"order or number of atoms than the structure {atoms.get_chemical_formula()}; give "
            "the supercell phonopy used"
        )
    return constants * unit_factor(known.force_constants_unit, path), supercell


def force_constants(
    atoms: Atoms,
    calc: Any = None,
    distance: float = 0.01,
    supercell: tuple[int, int, int] = (1, 1, 1),
    progress: bool = False,
) -> tuple[sp.csr_array, Atoms]:
    """Hessian of any ASE calculator by phonopy's symmetry-reduced displacements.

    Parameters
    ----------
    atoms : Atoms
        A unit cell, or a defect cell with ``supercell=(1, 1, 1)``.
    calc : ASE calculator, optional
        ``atoms.calc`` when absent.
    distance : float
        Displacement, Å; the error of the force constants is quadratic in it where phonopy takes
        both signs (always, unless symmetry relates them).
    supercell : three int
        Repetitions.
    progress : bool
        Show a progress bar on stderr.

    Returns
    -------
    hessian : (3N, 3N) sparse array, eV/Å²
        Of the supercell; symmetrised, acoustic sum rule enforced.
    atoms : Atoms
        The supercell, in phonopy's order.

    Raises
    ------
    ValueError
        Without a calculator or a periodic cell.
    """
    model, displaced = displacements(atoms, distance, supercell)
    forces = [
        with_calculator(frame, atoms.calc if calc is None else calc).get_forces()
        for frame in tqdm(displaced, desc="displacements", disable=not progress)
    ]
    model.forces = forces
    model.produce_force_constants(show_drift=False)
    constants = np.asarray(model.force_constants, dtype=float)
    cell = atoms.copy() if tuple(supercell) == (1, 1, 1) else _to_ase(model.supercell, 1.0)
    return to_hessian(constants, "phonopy"), cell


def displacements(
    atoms: Atoms, distance: float = 0.01, supercell: tuple[int, int, int] = (1, 1, 1)
) -> tuple[Any, list[Atoms]]:
    """Phonopy's displaced supercells, for forces computed elsewhere.

    Parameters
    ----------
    atoms : Atoms
    distance : float
        Å.
    supercell : three int

    Returns
    -------
    model : phonopy.Phonopy
        Call its ``produce_force_constants(forces=...)`` with the forces of the frames in order.
    frames : list of Atoms
        Displaced supercells.

    Raises
    ------
    ValueError
        When the cell is not periodic in three directions, or the distance not positive.
    """
    if not distance > 0:
        raise ValueError(f"displacement {distance!r} Å: expected a positive length")
    model = _model(atoms, supercell)
    model.generate_displacements(distance=distance)
    return model, [_to_ase(frame, 1.0) for frame in model.supercells_with_displacements]


def to_phonopy(atoms: Atoms, hessian: sp.csr_array | Array) -> Any:
    """Hand a Hessian to phonopy, for band structures, thermal properties and its file formats.

    Parameters
    ----------
    atoms : Atoms
        N atoms, taken as a 1 x 1 x 1 supercell.
    hessian : (3N, 3N) array or sparse array, eV/Å²

    Returns
    -------
    phonopy.Phonopy
        With full force constants.
    """
    model = _model(atoms, (1, 1, 1))
    model.force_constants = blocks(hessian, len(atoms))
    return model


@dataclass(frozen=True, eq=False)
class Bands:
    """Phonon frequencies along a path through the Brillouin zone.

    Attributes
    ----------
    distances : ndarray, shape (Q,)
        Along the path, 1/Å.
    frequencies : ndarray, shape (Q, 3n)
        THz; imaginary ones are negative.
    ticks : ndarray, shape (M,)
        Distances of the special points.
    labels : tuple of M str
    """

    distances: Array
    frequencies: Array
    ticks: Array
    labels: tuple[str, ...]


def band_structure(
    unit: Atoms, calc: Any, supercell: tuple[int, int, int], n_points: int = 200
) -> Bands:
    """Phonon dispersion of a crystal from the Hessian of a supercell.

    Parameters
    ----------
    unit : Atoms
        Primitive cell of n atoms.
    calc : ASE calculator
    supercell : three int
        Repetitions, large enough that atoms a cutoff apart are no images of one another.
    n_points : int
        Of the path that `ase.cell.Cell.bandpath` gives for the lattice.

    Returns
    -------
    Bands
    """
    model = _model(unit, supercell)
    large = _to_ase(model.supercell, 1.0)
    model.force_constants = blocks(get_hessian(large, calc), len(large))
    path = unit.cell.bandpath(npoints=n_points)
    model.run_qpoints(path.kpts)
    distances, ticks, labels = path.get_linear_kpoint_axis()
    frequencies = np.asarray(model.qpoints.frequencies)
    return Bands(distances, frequencies, ticks, tuple(labels))


def _model(atoms: Atoms, supercell: tuple[int, int, int]) -> Any:
    if not (atoms.pbc.all() and atoms.cell.rank == 3):
        raise ValueError("phonopy needs a cell that is periodic in three directions; set cell, pbc")
    phonopy = optional("phonopy")
    cell = optional("phonopy.structure.atoms").PhonopyAtoms(
        numbers=atoms.numbers,
        cell=atoms.cell.array,
        scaled_positions=atoms.get_scaled_positions(),
        masses=atoms.get_masses(),
    )
    return phonopy.Phonopy(cell, np.diag(supercell), primitive_matrix=np.eye(3))


def _to_ase(cell: Any, length: float) -> Atoms:
    return Atoms(
        numbers=cell.numbers,
        cell=cell.cell * length,
        scaled_positions=cell.scaled_positions,
        masses=cell.masses,
        pbc=True,
    )
