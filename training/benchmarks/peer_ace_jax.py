"""Linear ACE of ace-jax: fitted, tested and timed as `front` does with presets and SNAP.

    PYTHONPATH=. PYTHON training/benchmarks/peer_ace_jax.py mlearn_Mo.xyz.xz --degree 16

PYTHON has ace-jax 0.4 (and not this package); of one element. Witt et al., J. Chem. Phys. 159,
164101 (2023); https://github.com/ACEsuit/ace-jax. Basis, rows, smoothness prior and the potential
are those of ace-jax. Its evidence takes the error of the basis for noise and neglects the energies,
so cutoff, weight of the energies and strength of the prior are those with the least product of the
errors of energies and forces left out, in the same four folds as SNAP's. Times are of its ASE
calculator in double precision with tabulated radial functions, compiled, on one thread, with
neighbour lists kept (a skin of 1 Å); it computes stresses too. ``--yace MODEL`` times a potential
instead of fitting it.
"""

import argparse
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["NPROC"] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import numpy as np
from ace_jax import ACECalculator
from ace_jax.basis.model import BasisSpec
from ace_jax.fit.pipeline import FitConfig, load_fit_data
from ace_jax.fit.pipeline.export import linear_arrays_from_mean
from ace_jax.fit.pipeline.problem import build_problem
from ace_jax.fit.rows import linear_rows
from ase import Atoms
from ase.io import read
from numpy.typing import NDArray

from training.benchmarks.peer_data import deal, nearest_distance, read_frames, timed_structure

Array = NDArray[np.float64]

jax.config.update("jax_enable_x64", True)

_CUTOFFS = (1.75, 1.95, 2.35)  # in units of the distance of nearest neighbours
_ENERGY_FACTORS = (3.0, 10.0, 30.0, 100.0, 300.0)  # of rows per √atom, forces having 1
_STRENGTHS = tuple(10.0**k for k in range(-13, 1))  # of the prior
_FOLDS, _STEPS, _RUNS = 4, 5, 3


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of the least squares of one cutoff, the target in the last column.

    Attributes
    ----------
    r_cut : float
        Å.
    energy, forces : list of ndarray, shape (m, K + 1)
        Of each fold, up to rotations among the rows; energies per √atom.
    prior : ndarray, shape (K,)
        How small the coefficients are wanted; that of the constant, the last, hardly matters.
    data, problem : Any
        What ace-jax needs to make a potential of coefficients.
    """

    r_cut: float
    energy: list[Array]
    forces: list[Array]
    prior: Array
    data: Any
    problem: Any


def compute_rows(frames: list[Atoms], order: int, degree: int, r_cut: float) -> Rows:
    """Build the basis and the rows of all folds."""
    spec = BasisSpec(order=order, max_degree=degree, rcut=r_cut)
    config = FitConfig(model=spec, arm="linear", batch=1, batch_pack="off", r0=None)
    data = load_fit_data(config, train=frames)
    problem = build_problem(config, data).prob
    rows_of = jax.jit(lambda batch: linear_rows(problem.model, problem.cfg, batch)[0][:2])
    folds = deal(len(frames), _FOLDS)
    energy: list[list[Array]] = [[] for _ in range(_FOLDS)]
    forces: list[list[Array]] = [[] for _ in range(_FOLDS)]
    for k, atoms in enumerate(frames):
        batch = jax.tree.map(lambda a, k=k: a[k], data.ds_train)
        total, pushes = (np.asarray(part) for part in rows_of(batch))
        n = len(atoms)
        energy[folds[k]].append(np.append(total[0], batch.y_E[0])[None] / np.sqrt(n))
        targets = np.asarray(batch.y_F)[:n].reshape(-1, 1)
        forces[folds[k]].append(np.hstack([pushes[:n].reshape(3 * n, -1), targets]))
    return Rows(
        r_cut,
        [np.vstack(rows) for rows in energy],
        [np.asarray(np.linalg.qr(np.vstack(rows), mode="r")) for rows in forces],
        np.append(np.asarray(problem.gamma), 1.0),
        data,
        problem,
    )


def solve(rows: Rows, folds: Sequence[int], factor: float, strengths: Sequence[float]) -> Array:
    """Coefficients of some folds, shape (number of strengths, K)."""
    stacked = np.vstack([factor * rows.energy[k] for k in folds] + [rows.forces[k] for k in folds])
    u, s, vt = np.linalg.svd(stacked[:, :-1] / rows.prior, full_matrices=False)
    filtered = s / (s**2 + np.array(strengths)[:, None]) * (u.T @ stacked[:, -1])
    out: Array = filtered @ vt / rows.prior
    return out


def left_out(rows: Rows, factor: float) -> Array:
    """Product of the errors of energies and forces left out, of each strength of the prior."""
    squares = np.zeros((2, len(_STRENGTHS)))
    for k in range(_FOLDS):
        rest = [other for other in range(_FOLDS) if other != k]
        found = solve(rows, rest, factor, _STRENGTHS)
        both = np.column_stack([found, -np.ones(len(found))])
        for i, part in enumerate((rows.energy[k], rows.forces[k])):
            squares[i] += np.sum((part @ both.T) ** 2, axis=0)
    out: Array = np.sqrt(squares.prod(axis=0))
    return out


def fit(frames: list[Atoms], order: int, degree: int, path: Path) -> int:
    """Fit with the best cutoff, weight and strength, and write the potential.

    Returns
    -------
    int
        Number of coefficients.
    """
    unit = nearest_distance(frames)
    best: tuple[float, Rows, float, float] | None = None
    for times in _CUTOFFS:
        rows = compute_rows(frames, order, degree, round(times * unit, 3))
        for factor in _ENERGY_FACTORS:
            scores = left_out(rows, factor)
            least = int(np.argmin(scores))
            print(f"{rows.r_cut} Å, energies {factor}, prior {_STRENGTHS[least]}: {scores[least]}")
            if best is None or scores[least] < best[0]:
                best = float(scores[least]), rows, factor, _STRENGTHS[least]
    assert best is not None
    _, rows, factor, strength = best
    coefficients = solve(rows, range(_FOLDS), factor, [strength])[0]
    arrays = linear_arrays_from_mean(rows.data.z, rows.data.E0, rows.problem.cfg, coefficients)
    np.savez(path, **arrays)
    return len(coefficients)


def errors(calc: Any, frames: Sequence[Atoms]) -> tuple[float, float]:
    """Mean absolute errors: meV/atom and eV/Å."""
    energies, forces = [], []
    for atoms in frames:
        copy = atoms.copy()
        copy.calc = calc
        forces.append((copy.get_forces() - atoms.get_forces()).ravel())
        difference = copy.get_potential_energy() - atoms.get_potential_energy()
        energies.append(difference / len(atoms))
    return 1e3 * float(np.abs(energies).mean()), float(np.abs(np.concatenate(forces)).mean())


def time_per_atom(calc: Any, atoms: Atoms) -> float:
    """Microseconds per atom of energies and forces; the least of several."""
    copy = atoms.copy()
    copy.calc = calc
    copy.get_forces()
    times = []
    for _ in range(_RUNS):
        start = time.perf_counter()
        for _ in range(_STEPS):
            copy.positions[0, 0] += 1e-6
            copy.get_forces()
        times.append((time.perf_counter() - start) / _STEPS)
    return 1e6 * min(times) / len(copy)


def main() -> None:
    """Fit or read, test, time, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--order", type=int, default=3)
    parser.add_argument("--degree", type=int, default=16)
    parser.add_argument("--yace", type=Path, help="potential to time instead, on a structure")
    args = parser.parse_args()
    if args.yace:
        atoms = read(args.file)
        calc = ACECalculator(args.yace, radial_table=True)
        atoms.calc = calc
        timed = time_per_atom(calc, atoms)
        print(json.dumps({"energy_eV": atoms.get_potential_energy(), "us_per_atom": timed}))
        return
    test = read_frames(args.file, "test")
    with TemporaryDirectory() as folder:
        path = Path(folder, "model.npz")
        functions = fit(read_frames(args.file, "train"), args.order, args.degree, path)
        calc = ACECalculator(path, radial_table=True)
    energy, force = errors(calc, test)
    result = {
        "name": f"ace-jax {args.order},{args.degree}",
        "functions": functions,
        "r_cut": calc.cutoff,
        "energy_mae_meV": energy,
        "force_mae": force,
        "us_per_atom": time_per_atom(calc, timed_structure(test)),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
