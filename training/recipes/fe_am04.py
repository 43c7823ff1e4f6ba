"""The shipped models Fe-AM04 and Fe-AM04-AFS: energy and formation entropy of iron, one command.

    thiry generate training/recipes/iron_entropy_31k.toml --attempts 12600 --workers 2
    for r in entropy_3k clusters saddles sites
    do thiry generate training/recipes/iron_$r.toml --workers 2; done
    python -m training.recipes.fe_am04 --workers 2

Energies, forces and stresses are those of AM04 on the families of `training.energy_data`, entropies
and formation energies those of the relaxed defects and saddles of the databases, sites and
gradients of entropies those of the last one. One tenth of the defects is held out, and the test
sets of the energy families are independent trajectories; the shipped models have seen neither.
Writes the model files, cards, parity plots and reference values.
"""

import argparse
from concurrent.futures import Executor
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from thiry_calc.crystals import crystal_of_box
from thiry_calc.defects import supercell
from thiry_calc.descriptors import Combined
from thiry_calc.linear import TSQR, LinearModel, error_table, ridge
from thiry_calc.linear.errors import ErrorTable
from thiry_calc.potential import Crystal, Potential, Target
from training.assemble import Reference, Sigma, energy_statistics
from training.crystal import hbar_omega
from training.database import load_shard
from training.dataset import labelled
from training.defect_rows import DefectRows, defect_rows, repeats
from training.energy_data import FAMILIES, label, make_family
from training.evaluate import evaluate
from training.executors import make_executor
from training.local_rows import local_rows
from training.recipes.fe_am04_card import plot_entropies, plot_forces, write_model
from training.recipes.fe_am04_entropy import (
    EntropyRows,
    counts_of,
    entropy_tables,
    fit_entropy,
    held_out_groups,
)
from training.recipes.fe_am04_parts import (
    ALL,
    ENTROPY,
    PARTS,
    PUBLISHED,
    SHARED,
    columns_of,
    parts_of,
)
from training.references.am04 import AM04, LATTICE_CONSTANT
from training.regression import calibrated, compacted, largest_leverage
from training.strained_crystals import expansion_row, strained_crystals

Array = NDArray[np.float64]

TRAIN = {"rattled": 80, "strained": 120, "md_300": 30, "md_900": 40, "md_1500": 50,
         "liquid": 60, "defects": 300, "close_pairs": 150}  # fmt: skip
TEST = {"rattled": 30, "strained": 40, "md_300": 30, "md_900": 30, "md_1500": 30,
        "liquid": 30, "defects": 90, "close_pairs": 30}  # fmt: skip
SIGMA = {name: Sigma() for name in FAMILIES} | {
    "liquid": Sigma(energy=0.02, force=0.1),
    "strained": Sigma(energy=0.002, virial=0.02),
    "defects": Sigma(energy=0.002, force=0.01),
    "close_pairs": Sigma(energy=0.1, force=0.1),
    "crystal": Sigma(virial=0.001),  # the perfect crystal: no pressure at its lattice constant
}
SIGMA_FORMATION = 0.01  # eV, formation energies of the relaxed defects
SIGMA_BULK = 5.0  # k_B at 1024 sites, of the strained perfect crystal; 1 costs defects 8 %
SIGMA_EXPANSION = 0.1  # k_B at 1024 sites, of its slope: expanded less compressed by 0.2 %
# λ of the energy's ridge. The labels have no noise, so that evidence wants no penalty at all and
# pays with coefficients of 1e7 that cancel to eight digits: forces then err by 1e-5 eV/Å from
# rounding. With 1, the terms of an atom's energy add up to 500 eV in modulus.
PENALTY_ENERGY = 1.0
BULK_STRAINS, BULK_ATOMS = 60, 1024
TOTALS = ("iron_entropy_31k", "iron_entropy_3k", "iron_clusters", "iron_saddles")
LOCAL = "iron_sites"
PARTS_OF = {"Fe-AM04": ENTROPY, "Fe-AM04-AFS": PUBLISHED}
LEVERAGE_FRAMES = 200  # relaxed defects among which the largest leverage is sought


def make_frames(counts: dict[str, int], executor: Executor, seed: int) -> list[Atoms]:
    """Labelled structures of all families, made in the workers.

    Parameters
    ----------
    counts : dict of str to int
    executor : Executor
    seed : int

    Returns
    -------
    list of Atoms
    """
    tasks = [
        executor.submit(make_family, name, count, LATTICE_CONSTANT, AM04(), seed)
        for name, count in counts.items()
    ]
    return [atoms for task in tqdm(tasks, desc="energy data") for atoms in task.result()]


def fit_energy(data: DefectRows, frames: list[Atoms], reference: Reference) -> LinearModel:
    """Energy model of the parts `SHARED`.

    Parameters
    ----------
    data : DefectRows
    frames : list of Atoms
        With energies, forces and stresses.
    reference : Reference
        Of the shared parts.

    Returns
    -------
    LinearModel
    """
    shared = parts_of(SHARED)
    frames = [*frames, label(supercell(LATTICE_CONSTANT, 3), AM04(), "crystal")]
    statistics = energy_statistics(frames, shared, reference, SIGMA, "energy rows")
    use = ~data.held_out
    statistics.update(
        data.features[use][:, columns_of(SHARED)],
        data.formation_energy[use],
        np.full(use.sum(), 1 / SIGMA_FORMATION),
    )
    model = compacted(ridge(statistics, PENALTY_ENERGY), statistics.mean_square)
    test = data.held_out & ~data.strained
    return calibrated(
        model, data.features[test][:, columns_of(SHARED)], data.formation_energy[test]
    )


def fitted_frames(data: DefectRows, count: int, seed: int) -> list[Atoms]:
    """Relaxed configurations chosen at random among those not held out.

    Parameters
    ----------
    data : DefectRows
    count : int
    seed : int

    Returns
    -------
    list of Atoms
    """
    chosen = np.random.default_rng(seed).choice(np.flatnonzero(~data.held_out), count, False)
    sources = [data.source[k] for k in chosen]
    return [load_shard(folder, shard, [attempt])[0] for folder, shard, attempt in sources]


def entropy_rows(defects: DefectRows, folder: Path, executor: Executor, seed: int) -> EntropyRows:
    """Rows of defects, of strained crystals, and of the sites and gradients of a database.

    Configurations of that database which are also among the defects are left out: some of those
    are held out.

    Parameters
    ----------
    defects : DefectRows
    folder : Path
        Of the database with sites and gradients.
    executor : Executor
    seed : int

    Returns
    -------
    EntropyRows
    """
    bulk = TSQR(ALL.n_features)
    for features, entropy, sigma in (
        (*strained_crystals(AM04(), LATTICE_CONSTANT, ALL, BULK_ATOMS, BULK_STRAINS, seed),
         SIGMA_BULK),
        (*expansion_row(AM04(), LATTICE_CONSTANT, ALL, BULK_ATOMS), SIGMA_EXPANSION),
    ):  # fmt: skip
        bulk.update(features, entropy, np.full(len(entropy), 1 / sigma))
    labelled = defect_rows([folder], ALL, LATTICE_CONSTANT, executor, seed)
    n = len(defects.held_out)
    new = ~repeats(
        np.concatenate([defects.formation_energy, labelled.formation_energy]),
        np.concatenate([defects.formation_entropy, labelled.formation_entropy]),
    )[n:]
    local = local_rows(folder, ALL, LATTICE_CONSTANT, executor)
    kept = [local[k] for k in np.flatnonzero(new)]
    kinds = {
        "gradient": reduce(add, (one.gradient for one in kept)),
        "sites": reduce(add, (one.sites for one in kept)),
    }
    return EntropyRows(defects, bulk, kinds)


def energy_table(potential: Potential, data: DefectRows) -> dict[str, ErrorTable]:
    """Errors of formation energies of held-out defects, by title."""
    held = data.held_out
    found = potential.target("energy").model.predict(data.features[held][:, columns_of(SHARED)])
    return {
        "formation energy of held-out relaxed defects (eV)": error_table(
            found, data.formation_energy[held], held_out_groups(data)
        )
    }


def main() -> None:
    """Fit, test and write both models."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--databases", type=Path, default=Path("~/.cache/thiry_calc"))
    parser.add_argument("--totals", nargs="+", default=TOTALS, help="names of databases")
    parser.add_argument("--models", nargs="+", default=list(PARTS_OF), choices=list(PARTS_OF))
    parser.add_argument("--output", type=Path, default=Path("potentials"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    folders = [args.databases.expanduser() / name for name in args.totals]
    with make_executor(args.workers) as executor:
        data = defect_rows(folders, ALL, LATTICE_CONSTANT, executor, args.seed)
        rows = entropy_rows(data, args.databases.expanduser() / LOCAL, executor, args.seed)
        training = make_frames(TRAIN, executor, args.seed)
        test = make_frames(TEST, executor, args.seed + 1)
    sample = fitted_frames(data, LEVERAGE_FRAMES, args.seed)
    perfect = supercell(LATTICE_CONSTANT, 6)
    perfect.calc = AM04()
    phi_0 = ALL.values(perfect)[0]
    energy_0 = perfect.get_potential_energy() / len(perfect)
    shared = phi_0[columns_of(SHARED)]
    energy = fit_energy(data, training, Reference(shared, energy_0))
    limit = largest_leverage(energy, parts_of(SHARED), training, shared)
    energy_target = Target(energy, SHARED, shared[None], np.array([energy_0]), limit)
    box = crystal_of_box(perfect, "bcc", LATTICE_CONSTANT, "Fe")
    crystal = Crystal("bcc", LATTICE_CONSTANT, {"Fe": hbar_omega(box, AM04())})
    held = data.held_out
    for name in args.models:
        parts = PARTS_OF[name]
        times = counts_of(rows, parts) if parts is ENTROPY else {}  # totals alone, as published
        print(f"{name}: rows of sites and gradients count {times or 'nothing'}")
        entropy = fit_entropy(rows, ~held, parts, times)
        reference = phi_0[None, columns_of(parts)]
        limit = largest_leverage(entropy, parts_of(parts), sample, reference[0])
        used = [p for p in range(len(PARTS)) if p in SHARED or p in parts]
        own = tuple(used.index(p) for p in parts)
        entropy_target = Target(entropy, own, reference, np.zeros(1), limit)
        potential = Potential(
            name,
            ("Fe",),
            Combined(tuple(PARTS[p] for p in used)),
            {"energy": energy_target, "entropy": entropy_target},
            crystal,
        )
        folder = args.output / name
        folder.mkdir(parents=True, exist_ok=True)
        energy_test = evaluate(potential, labelled(test))
        tables = energy_test.tables() | energy_table(potential, data)
        tables |= entropy_tables(rows, entropy, parts, times)
        plot_forces(energy_test, folder / "parity_forces.png")
        plot_entropies(
            held_out_groups(data),
            data.formation_entropy[held],
            entropy.predict(data.features[held][:, columns_of(parts)]),
            folder / "parity_entropy.png",
        )
        write_model(potential, tables, len(training), int((~held).sum()), times, folder)


if __name__ == "__main__":
    with threadpool_limits(1):  # the same numbers on every machine
        main()
