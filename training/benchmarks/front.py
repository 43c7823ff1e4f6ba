"""Accuracy against cost: presets, SNAP and other potentials on the same data, in the same run.

    python -m training.benchmarks.front FOLDER --elements Mo Cu --output front.json --plot front.png

FOLDER has ``mlearn_Mo.xyz.xz`` and so on (Zuo et al., J. Phys. Chem. A 124, 731 (2020)), with
``info["split"]``. SNAP and quadratic SNAP have rows from LAMMPS; they choose cutoff, weights and
penalties by the same cross-validation as the presets. Times are of energies and forces on one
thread and the same rattled structure, the least of several. ``--peer PYTHON SCRIPT`` adds the last
line that ``PYTHON SCRIPT FILE`` prints, JSON of the same keys: `peer_ace_jax`, `peer_uf3`.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numba
import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from tqdm import tqdm

from thiry_calc.linear import TSQR, ridge
from thiry_calc.linear.files import write_atomically
from thiry_calc.structures import read_structures
from training.benchmarks.peer_data import timed_structure
from training.benchmarks.potential_speed import time_of_model
from training.benchmarks.snap import Snap, rows, time_per_atom
from training.dataset import labelled
from training.executors import make_executor
from training.fitting import fit
from training.folds import deal
from training.presets import PRESETS, nearest_distance
from training.rows import KINDS
from training.weighing import best_choice, joined, weigh

Array = NDArray[np.float64]

_FOLDS = 4
_ROOT = Path(__file__).resolve().parents[2]
_CUTOFFS = PRESETS["accurate"].cutoffs
SNAPS = ((8, False), (6, True))  # 2J, quadratic


def of_snap(train: list[Atoms], test: list[Atoms], twojmax: int, quadratic: bool) -> dict[str, Any]:
    """Fit SNAP with the best of some cutoffs, and test it."""
    folds = deal([one.group for one in labelled(train)], _FOLDS, 0)
    mean = float(np.mean([a.get_potential_energy() / len(a) for a in train]))
    best = None
    for times in _CUTOFFS:
        snap = Snap(twojmax, round(times * nearest_distance(train), 3), quadratic)
        parts = [{kind: TSQR(snap.n_features) for kind in KINDS} for _ in range(_FOLDS)]
        for atoms, k in zip(tqdm(train, desc=snap.name), folds, strict=True):
            total, forces = rows(atoms, snap)
            energy = atoms.get_potential_energy() - mean * len(atoms)
            parts[k]["energy"].update(total[None], [energy], [1 / np.sqrt(len(atoms))])
            parts[k]["forces"].update(forces, atoms.get_forces().ravel())
        of_penalty = np.zeros(snap.n_features, dtype=np.int64)
        of_penalty[0] = -1
        tried = weigh(parts, of_penalty)
        choice = tried[best_choice(tried)]
        if best is None or choice.score < best[0].score:
            best = choice, snap, parts
    assert best is not None
    choice, snap, parts = best
    model = ridge(reduce(add, (joined(p, choice.factors) for p in parts)), choice.penalty)
    energies, errors = [], []
    for atoms in test:
        total, forces = rows(atoms, snap)
        predicted = float(total @ model.coefficients) / len(atoms) + mean
        energies.append(predicted - atoms.get_potential_energy() / len(atoms))
        errors.append(forces @ model.coefficients - atoms.get_forces().ravel())
    return {
        "name": snap.name,
        "functions": snap.n_features,
        "r_cut": snap.r_cut,
        "energy_mae_meV": 1e3 * float(np.abs(energies).mean()),
        "force_mae": float(np.abs(np.concatenate(errors)).mean()),
        "us_per_atom": time_per_atom(timed_structure(test), snap),
    }


def of_preset(path: Path, preset: str, test: list[Atoms], workers: int) -> dict[str, Any]:
    """Fit a preset and test it."""
    splits = {"train_select": {"split": "train"}, "test_select": {"split": "test"}}
    with make_executor(workers) as executor:
        result = fit(path, preset=preset, executor=executor, **splits)  # type: ignore[arg-type]
    errors = result.test.summary()
    energy, force = errors["energy_mae_eV_per_atom"], errors["force_mae_eV_per_A"]
    assert energy is not None
    assert force is not None
    return {
        "name": preset,
        "functions": result.potential.descriptor.n_features,
        "r_cut": result.potential.cutoff,
        "energy_mae_meV": 1e3 * energy,
        "force_mae": force,
        "us_per_atom": time_of_model(result.potential, timed_structure(test)),
    }


def of_peer(python: str, script: str, path: Path) -> dict[str, Any]:
    """Run a script by another interpreter."""
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    run = subprocess.run(
        [python, script, path], capture_output=True, text=True, check=False, env=environment
    )
    if run.returncode:
        sys.exit(f"{script} failed:\n{run.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(run.stdout.strip().splitlines()[-1])
    return found


def below_front(found: Sequence[dict[str, Any]]) -> list[str]:
    """Names of the others that no preset beats in time, energy and force at once."""
    keys = ("us_per_atom", "energy_mae_meV", "force_mae")
    own = [one for one in found if one["name"] in PRESETS]
    return [
        one["name"]
        for one in found
        if one["name"] not in PRESETS
        and not any(all(o[key] < one[key] for key in keys) for o in own)
    ]


def plot(results: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Errors against time, a column for each element."""
    import matplotlib.pyplot as plt

    axes = plt.subplots(2, len(results), figsize=(4 * len(results), 7), squeeze=False)[1]
    for column, (element, found) in zip(axes.T, results.items(), strict=True):
        for ax, key, label in zip(
            column, ("energy_mae_meV", "force_mae"), ("meV/atom", "eV/Å"), strict=True
        ):
            for one in found:
                own = one["name"] in PRESETS
                ax.loglog(
                    one["us_per_atom"], one[key], "o" if own else "s", c="C0" if own else "C1"
                )
                ax.annotate(one["name"], (one["us_per_atom"], one[key]), fontsize=8)
            ax.set(title=element, xlabel="µs per atom and step", ylabel=f"MAE ({label})")
    plt.tight_layout()
    plt.savefig(path, dpi=120)


def main() -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--elements", nargs="+", default=["Mo", "Si", "Cu"])
    parser.add_argument("--peer", nargs=2, action="append", default=[], metavar=("PYTHON", "FILE"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--output", type=Path, help="JSON")
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    results: dict[str, list[dict[str, Any]]] = {}
    for element in args.elements:
        path = args.folder / f"mlearn_{element}.xyz.xz"
        frames = list(read_structures(path))
        train, test = ([a for a in frames if a.info["split"] == s] for s in ("train", "test"))
        numba.set_num_threads(1)
        found = [of_preset(path, preset, test, args.workers) for preset in PRESETS]
        found += [of_snap(train, test, *snap) for snap in SNAPS]
        found += [of_peer(python, script, path) for python, script in args.peer]
        results[element] = found
        for one in found:
            print(
                f"{element:<3}{one['name']:<14}{one['functions']:6d}{one['energy_mae_meV']:9.2f} "
                f"meV/atom{one['force_mae']:9.4f} eV/Å{one['us_per_atom']:9.1f} µs/atom"
            )
        print(
            f"{element}: not beaten in all by a preset: {below_front(found) or 'none'}", flush=True
        )
        if args.output:
            write_atomically(args.output, json.dumps(results, indent=1))
        if args.plot:
            plot(results, args.plot)


if __name__ == "__main__":
    main()
