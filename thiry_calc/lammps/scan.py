"""Free-energy scans of boxes of 10⁴ to 10⁶ atoms, relaxed and summed by LAMMPS in parallel.

    mpirun -np 2 python scan_large.py

Every process runs the same script; each has a part of the box, and all have the result.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from thiry_calc.blocks import Uncertainty
from thiry_calc.engines import Measured
from thiry_calc.lammps.box import Box, start
from thiry_calc.lammps.bridge import Bridge, attach
from thiry_calc.neighbors import neighbors_of
from thiry_calc.potential import Potential
from thiry_calc.relax import Relaxation
from thiry_calc.scan import Scan, scan

Array = NDArray[np.float64]

_CLOSEST = 1.0  # Å: nearer atoms are lost to the core of the potential
_STYLES = ("cg", "fire")  # the second where the line search of the first finds nothing any more
_STEPS = 2000


class LammpsEngine:
    """Relaxes and measures by LAMMPS; see `thiry_calc.engines.Engine`.

    Parameters
    ----------
    potential : Potential
        With energy and entropy.
    comm : mpi4py.MPI.Comm, optional
        Processes that share a box; by default all of ``mpirun``.
    threads : int, optional
        Of each process; see `attach`.
    """

    def __init__(self, potential: Potential, comm: Any = None, threads: int | None = None) -> None:
        self.potential = potential
        self._comm, self._threads = comm, threads
        self._held: Atoms | None = None  # what the instance was made for
        self._box: Box | None = None
        self._bridge: Bridge | None = None

    def relax(self, atoms: Atoms, fmax: float) -> Relaxation:
        """Relax the positions on E, in place, by conjugate gradients."""
        box, _ = self._placed(atoms)
        box.lmp.command("min_modify norm max")
        before = box.lmp.extract_global("ntimestep")
        largest = np.inf
        for style in _STYLES:
            box.lmp.commands_string(
                f"min_style {style}\nminimize 0 {fmax!r} {_STEPS} {10 * _STEPS}"
            )
            largest = float(np.linalg.norm(box.forces(), axis=1).max())
            if largest <= fmax:
                break
        steps = box.lmp.extract_global("ntimestep") - before
        atoms.positions = box.positions()
        lost = len(neighbors_of(atoms, _CLOSEST).neighbor) > 0
        if lost:
            reason = f"atoms came within {_CLOSEST:g} Å of each other"
        else:
            reason = "" if largest <= fmax else f"not relaxed in {steps} steps"
        return Relaxation(not reason, reason, steps, largest, lost)

    def energy(self, atoms: Atoms) -> float:
        """Return E, eV."""
        box, _ = self._placed(atoms)
        box.lmp.command("run 0 post no")
        return float(box.lmp.get_thermo("pe"))

    def measure(self, atoms: Atoms) -> Measured:
        """Return energy, formation entropy, and their uncertainties."""
        energy = self.energy(atoms)
        assert self._bridge is not None
        found: dict[str, Uncertainty] = self._bridge.uncertainties()
        return Measured(energy, self._bridge.total("entropy"), found)

    def _placed(self, atoms: Atoms) -> tuple[Box, Bridge]:
        """Box with a structure in it; the one before, where only positions have changed."""
        held = self._held
        if (
            self._box is not None
            and self._bridge is not None
            and held is not None
            and np.array_equal(held.numbers, atoms.numbers)
            and np.array_equal(held.cell.array, atoms.cell.array)
        ):
            self._box.set_positions(atoms.get_positions())
            return self._box, self._bridge
        if self._box is not None:
            self._box.lmp.close()
        lmp = start(comm=self._comm)
        self._box = Box(lmp, atoms, self.potential.elements, sort=True)
        self._bridge = attach(lmp, self.potential, threads=self._threads)
        self._held = atoms.copy()
        return self._box, self._bridge


def run_scan(
    structures: str | Atoms | Sequence[str | Atoms] = (),
    model: str | Path | Potential = "Fe-AM04",
    temperatures: Sequence[float] = tuple(range(0, 1201, 100)),
    *,
    size: int = 20,
    element: str | None = None,
    comm: Any = None,
    threads: int | None = None,
    progress: bool = False,
) -> Scan:
    """Relax configurations in large boxes, and compare their formation free energies.

    Parameters
    ----------
    structures, model, temperatures, element
        See `thiry_calc.scan.scan`.
    size : int
        Cubic cells per side for the names: 20 has 16,000 sites of bcc, 80 a million.
    comm : mpi4py.MPI.Comm, optional
        Processes that share each box; by default all of ``mpirun``.
    threads : int, optional
        Of each process; by default the cores of the machine shared among its processes.
    progress : bool
        Show progress on stderr (of one process).

    Returns
    -------
    Scan
        The same in every process.

    Raises
    ------
    ValueError, FileNotFoundError
        Bad input.
    ImportError
        Without LAMMPS, or the MPI library that it needs.
    """
    potential = model if isinstance(model, Potential) else Potential.load(model)
    potential.target("entropy")
    engine = LammpsEngine(potential, comm, threads)
    shown = progress and _is_first(comm)
    return scan(
        structures,
        potential,
        temperatures,
        size=size,
        element=element,
        progress=shown,
        engine=engine,
    )


def _is_first(comm: Any) -> bool:
    lmp = start(comm=comm)
    rank = lmp.extract_setting("world_rank")
    lmp.close()
    return bool(rank == 0)
