"""Path of the vacancy on A(T): LAMMPS' ``neb`` through the bridge, and ASE's band.

    python -m training.benchmarks.lammps_neb --temperatures 0 300 600 900

runs both (LAMMPS under ``mpirun``, one process for each image) and prints the path of ASE, and the
largest difference of LAMMPS' images.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from ase import Atoms
from ase.io import read, write
from ase.mep.neb import NEB, NEBOptimizer
from numpy.typing import NDArray

from thiry_calc.calculator import ThiryCalculator
from thiry_calc.defects import supercell
from thiry_calc.lammps import Box, attach, start
from thiry_calc.potential import Potential
from thiry_calc.relax import relax

Array = NDArray[np.float64]
IMAGES = 7  # with the ends
_STEPS = 3000
_FMAX, _FMAX_LAMMPS = 1e-5, 5e-5  # eV/Å: the images are then where the springs want them


def ends(model: str, temperature: float, size: int) -> tuple[Atoms, Atoms]:
    """Relax the vacancy before and after a jump to a neighbour, on A(T)."""
    crystal = Potential.load(model).crystal
    assert crystal is not None
    perfect = supercell(crystal.a0, size, "Fe", crystal.lattice)
    jumper = 1 + int(np.argmin(perfect.get_distances(0, range(1, len(perfect)), mic=True)))
    before, after = perfect.copy(), perfect.copy()
    after.positions[jumper] += perfect.get_distance(jumper, 0, mic=True, vector=True)
    for atoms in (before, after):
        del atoms[0]
        atoms.calc = ThiryCalculator(model, temperature, extrapolation_warning=False)
        relax(atoms, 1e-4)
    return before, after


def path_by_ase(model: str, temperature: float, before: Atoms, after: Atoms) -> Array:
    """A(T) of the images above the first, shape (IMAGES,), eV, by ASE's band."""
    images = [before.copy() for _ in range(IMAGES - 1)] + [after.copy()]
    for image in images:
        calc = ThiryCalculator(model, temperature, extrapolation_warning=False)
        image.calc = calc.as_free_energy()
    band = NEB(images, k=1.0, climb=False, method="improvedtangent")
    band.interpolate(mic=True)
    NEBOptimizer(band, logfile=None).run(fmax=_FMAX, steps=_STEPS)
    path = np.array([image.get_potential_energy() for image in images])
    return np.asarray(path - path[0])


def path_by_lammps(model: str, temperature: float, before: Atoms, after: Atoms) -> Array:
    """Return the same by LAMMPS, with one process for each image."""
    with TemporaryDirectory() as folder:
        write(f"{folder}/ends.traj", [before, after])
        mpirun = Path(sys.executable).with_name("mpirun")
        command = f"-np {IMAGES} {sys.executable} -m training.benchmarks.lammps_neb".split()
        options = ["--model", model, "--replica", folder, "--temperatures", str(temperature)]
        subprocess.run([str(mpirun), *command, *options], check=True)
        path = np.load(f"{folder}/path.npy")
    return np.asarray(path - path[0])


def replica(model: str, temperature: float, folder: str) -> None:
    """Run one image of LAMMPS' band; every process calls it."""
    from mpi4py import MPI

    world = MPI.COMM_WORLD
    before, after = read(f"{folder}/ends.traj", ":")
    none = ("-screen", "none", "-log", "none", "-pscreen", "none", "-plog", "none", "-in", "none")
    lmp = start("-partition", f"{world.size}x1", *none)
    atoms = before.copy()
    atoms.positions += world.rank / (world.size - 1) * (after.positions - before.positions)
    Box(lmp, atoms, ["Fe"], sort=True)
    attach(lmp, model, temperature, threads=1)
    # A(T) means nothing far from the path: no wide steps, as those of fire are
    lmp.commands_string(
        """fix band all neb 1.0
        min_style quickmin
        min_modify dmax 0.02"""
    )
    lmp.command(f"neb 0.0 {_FMAX_LAMMPS} {_STEPS} 0 10 none")
    path = world.gather(float(lmp.get_thermo("pe")))
    lmp.close()
    if world.rank == 0:
        np.save(f"{folder}/path.npy", np.array(path))


def compare(model: str, temperature: float, size: int) -> dict[str, Any]:
    """Compare both at one temperature; energies in eV."""
    before, after = ends(model, temperature, size)
    path = path_by_ase(model, temperature, before, after)
    by_lammps = path_by_lammps(model, temperature, before, after)
    return {
        "temperature_K": temperature,
        "path_eV": path.round(6).tolist(),
        "largest_difference_eV": float(np.abs(by_lammps - path).max()),
    }


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="Fe-AM04")
    parser.add_argument("--temperatures", type=float, nargs="+", default=[0, 300, 600, 900])
    parser.add_argument("--size", type=int, default=4, help="cubic cells per side")
    parser.add_argument("--replica", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.replica:
        replica(args.model, args.temperatures[0], args.replica)
        return
    for temperature in args.temperatures:
        print(json.dumps(compare(args.model, temperature, args.size)), flush=True)


if __name__ == "__main__":
    main()
