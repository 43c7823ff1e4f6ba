"""Free-energy scans of boxes of 10⁴ to 10⁶ atoms, relaxed and summed by LAMMPS in parallel.

    mpirun -np 2 python scan_large.py

Every process runs the same script; each has a part of the box, and all have the result.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from thiry_calc.engines import Measured
from thiry_calc.lammps.box import Box, start
from thiry_calc.lammps.bridge import attach, threads_of
from thiry_calc.potential import Potential
from thiry_calc.relax import Relaxation, relax
from thiry_calc.scan import Scan, scan

_FAR = 3.0  # Å; atoms that go farther at once may be lost between domains
_FIRST, _NEXT = "run 0 post no", "run 1 pre no post no"  # nothing integrates: no atom moves


class LammpsEngine(Calculator):
    """Relaxes and measures by LAMMPS; see `thiry_calc.engines.Engine`.

    An ASE calculator of E, whose forces LAMMPS gathers from its domains. The descent is
    `thiry_calc.relax`, which takes 24 evaluations where LAMMPS' conjugate gradients take 82 (⟨110⟩
    dumbbell of iron, 1025 atoms, to 1e-4 eV/Å).

    Parameters
    ----------
    potential : Potential
        With energy and entropy.
    comm : mpi4py.MPI.Comm, optional
        Processes that share a box; by default all of ``mpirun``.
    threads : int, optional
        Of each process; see `attach`.
    """

    implemented_properties = ("energy", "free_energy", "forces")

    def __init__(self, potential: Potential, comm: Any = None, threads: int | None = None) -> None:
        super().__init__()
        self.potential = potential
        self._comm, self._threads = comm, threads
        self._held: Atoms | None = None  # what the instance was made for
        self._run = _FIRST

    def relax(self, atoms: Atoms, fmax: float) -> Relaxation:
        """Relax the positions on E, in place."""
        atoms.calc = self
        return relax(atoms, fmax)

    def energy(self, atoms: Atoms) -> float:
        """Return E, eV."""
        return float(self.get_property("energy", atoms))

    def measure(self, atoms: Atoms) -> Measured:
        """Return energy, formation entropy, and their uncertainties."""
        self._evaluate(atoms)
        energy = float(self._box.lmp.get_thermo("pe"))
        return Measured(energy, self._bridge.total("entropy"), self._bridge.uncertainties())

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Compute energy (eV) and forces (N, 3; eV/Å)."""
        super().calculate(atoms, properties, system_changes)
        self._evaluate(self.atoms)
        energy, forces = float(self._box.lmp.get_thermo("pe")), self._box.forces()
        self.results = {"energy": energy, "free_energy": energy, "forces": forces}

    def close(self) -> None:
        """End the instance of LAMMPS; the next calculation starts another."""
        if self._held is not None:
            self._box.lmp.close()
        self._held = None

    def _evaluate(self, atoms: Atoms) -> None:
        """Let LAMMPS have a structure; the same instance, where only positions have changed."""
        held = self._held
        if (
            held is None
            or not np.array_equal(held.numbers, atoms.numbers)
            or not np.array_equal(held.cell.array, atoms.cell.array)
            or not np.array_equal(held.pbc, atoms.pbc)
            or np.abs(held.positions - atoms.positions).max() > _FAR
        ):
            self._start(atoms)
        else:
            self._box.set_positions(atoms.get_positions())
        try:
            self._box.lmp.command(self._run)
        except ValueError:
            self._run = _FIRST
            raise
        except Exception as error:  # LAMMPS has no narrower class
            self.close()
            raise RuntimeError(f"LAMMPS fails: {' '.join(str(error).split())}") from error
        self._run = _NEXT

    def _start(self, atoms: Atoms) -> None:
        self.close()
        lmp = start(comm=self._comm)
        try:
            self._box = Box(lmp, atoms, self.potential.elements, sort=True)
            self._bridge = attach(lmp, self.potential, threads=self._threads)
        except BaseException:
            lmp.close()
            raise
        lmp.commands_string("neigh_modify every 1 delay 0 check yes\nthermo 1")
        self._held, self._run = atoms.copy(), _FIRST


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
    lmp = start(comm=comm)
    first = lmp.extract_setting("world_rank") == 0
    lmp.close()
    threads_of(threads)  # refuses what the engine could not do with
    engine = LammpsEngine(potential, comm, threads)
    try:
        return scan(
            structures,
            potential,
            temperatures,
            size=size,
            element=element,
            progress=progress and first,
            engine=engine,
        )
    finally:
        engine.close()
