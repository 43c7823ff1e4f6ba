"""Free-energy scans of boxes of 10⁴ to 10⁶ atoms, relaxed and summed by LAMMPS in parallel.

    mpirun -np 2 python scan_large.py

Every process runs the same script; each has a part of the box, and all have the result.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from thiry_calc.engines import Measured
from thiry_calc.lammps.box import Box, start
from thiry_calc.lammps.bridge import attach, threads_of
from thiry_calc.lammps.kept import KeptBox
from thiry_calc.potential import Potential
from thiry_calc.relax import Relaxation, relax
from thiry_calc.scan import Scan, scan

_FAR = 3.0  # Å


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
        self._kept = KeptBox(self._make, _FAR)

    def relax(self, atoms: Atoms, fmax: float) -> Relaxation:
        """Relax the positions on E, in place."""
        atoms.calc = self
        return relax(atoms, fmax)

    def energy(self, atoms: Atoms) -> float:
        """Return E, eV."""
        return float(self.get_property("energy", atoms))

    def measure(self, atoms: Atoms) -> Measured:
        """Return energy, formation entropy, and their uncertainties."""
        energy = float(self._evaluate(atoms).lmp.get_thermo("pe"))
        return Measured(energy, self._bridge.total("entropy"), self._bridge.uncertainties())

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Compute energy (eV) and forces (N, 3; eV/Å)."""
        super().calculate(atoms, properties, system_changes)
        box = self._evaluate(self.atoms)
        energy, forces = float(box.lmp.get_thermo("pe")), box.forces()
        self.results = {"energy": energy, "free_energy": energy, "forces": forces}

    def close(self) -> None:
        """End the instance of LAMMPS; the next calculation starts another."""
        self._kept.close()

    def _evaluate(self, atoms: Atoms) -> Box:
        try:
            return self._kept.evaluate(atoms)
        except (ValueError, ImportError):
            raise
        except Exception as error:  # LAMMPS has no narrower class
            self.close()
            raise RuntimeError(f"LAMMPS fails: {' '.join(str(error).split())}") from error

    def _make(self, atoms: Atoms) -> Box:
        lmp = start(comm=self._comm)
        try:
            box = Box(lmp, atoms, self.potential.elements, sort=True)
            self._bridge = attach(lmp, self.potential, threads=self._threads)
        except BaseException:
            lmp.close()
            raise
        lmp.commands_string("neigh_modify every 1 delay 0 check yes\nthermo 1")
        return box


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
