"""Cost of the bridge to LAMMPS beside SNAP of the same build, each on its own lattice.

    python -m training.benchmarks.lammps_speed --cells 10 25
    mpirun -np 2 python -m training.benchmarks.lammps_speed --cells 10 25

One thread for each process, atoms at rest off their sites, neighbour lists kept: microseconds per
atom and step. AFS with n_max = l_max = 6 at 5 Å in iron; SNAP 2J = 6 (Ta06A) and 2J = 8 (tungsten)
with the wheel's coefficients.
"""

import argparse
import json
from typing import Any

import numpy as np
from ase.build import bulk

from thiry_calc.descriptors import AFS, Combined
from thiry_calc.lammps import Box, attach, start
from thiry_calc.linear import LinearModel
from thiry_calc.potential import Potential, Target
from training.benchmarks.snap import timed_run
from training.references.lammps_commands import lammps_folders

_SNAP = {"SNAP 2J=6": ("Ta06A", "Ta", 3.316), "SNAP 2J=8": ("W_2940_2017_2", "W", 3.1803)}


def afs() -> Potential:
    """Return a potential with random coefficients, on which the time does not depend."""
    descriptor = Combined((AFS(5.0, 6, 6),))
    k = descriptor.n_features
    model = LinearModel(1e-3 * np.random.default_rng(0).normal(size=k))
    target = Target(model, (0,), np.zeros((1, k)), np.zeros(1))
    return Potential("AFS n6 l6", ("Fe",), descriptor, {"energy": target})


def instance(element: str, a0: float, cells: int) -> tuple[Any, int]:
    """LAMMPS with a bcc crystal, and its number of atoms."""
    atoms = bulk(element, "bcc", a0, cubic=True) * (cells, cells, cells)
    atoms.rattle(0.05, seed=1)
    lmp = start()
    Box(lmp, atoms, [element], sort=True)
    return lmp, len(atoms)


def measure(cells: int) -> dict[str, Any]:
    """Time all at one size."""
    lmp, n = instance("Fe", 2.8553, cells)
    processes = lmp.extract_setting("world_size")
    attach(lmp, afs(), threads=1)
    times = {"bridge, AFS n6 l6": timed_run(lmp, n)}
    (folder,) = lammps_folders()[-1:]
    for name, (file, element, a0) in _SNAP.items():
        lmp, n_snap = instance(element, a0, cells)
        lmp.commands_string(
            f"""pair_style snap
            pair_coeff * * {folder}/{file}.snapcoeff {folder}/{file}.snapparam {element}"""
        )
        times[name] = timed_run(lmp, n_snap)
    ratio = times["bridge, AFS n6 l6"] / times["SNAP 2J=6"]
    rounded = {name: round(t, 1) for name, t in times.items()}
    return {"atoms": n, "processes": processes, **rounded, "of SNAP 2J=6": round(ratio, 2)}


def main() -> None:
    """Print a line for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, nargs="+", default=[10, 25], help="per side")
    args = parser.parse_args()
    lmp = start()
    first = lmp.extract_setting("world_rank") == 0
    lmp.close()
    for cells in args.cells:
        result = measure(cells)
        if first:
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
