"""The shipped models Fe-AM04 and Fe-AM04-AFS: energy and formation entropy of iron, one command.

    thiry generate training/recipes/iron_entropy_3k.toml --workers 2
    python -m training.recipes.fe_am04 --workers 2

Energies, forces and stresses are those of AM04 on the families of `training.energy_data`, entropies
and formation energies those of the relaxed defects of the database. One tenth of the database is
held out, and the test sets of the energy families are independent trajectories; the shipped models
have seen neither. Writes the model files, cards, parity plots and reference values.
"""

import argparse
from collections.abc import Iterable
from concurrent.futures import Executor
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from thiry_calc.crystals import crystal_of_box
from thiry_calc.defects import supercell
from thiry_calc.descriptors import AFS, Combined, LocalLogDet, Pair, PowerSpectrum
from thiry_calc.linear import TSQR, LinearModel, error_table, ridge
from thiry_calc.linear.errors import ErrorTable
from thiry_calc.potential import Crystal, Potential, Target
from training.assemble import Reference, Sigma, energy_statistics
from training.crystal import hbar_omega
from training.database import load_database
from training.defect_rows import DefectRows, defect_rows, strained_crystals
from training.effective_pair import effective_pair
from training.energy_data import FAMILIES, label, make_family
from training.energy_test import compare_energy
from training.executors import make_executor
from training.fit import calibrated, compacted, fit, penalty_groups
from training.recipes.fe_am04_card import plot_entropies, plot_forces, write_model
from training.references.am04 import AM04, LATTICE_CONSTANT, AM04Functions

Array = NDArray[np.float64]

# The springs of the local log-determinants: 200 functions resolve 0.02 Å, for the force constants
# of AM04 change slope every 0.1 Å and entropies feel it (40 functions: errors twice as large).
R_MIN, R_FIT, N_FUNCTIONS = 1.6, 2.06, 200
SPRINGS = effective_pair(AM04Functions(), supercell(LATTICE_CONSTANT, 3), R_MIN, N_FUNCTIONS, R_FIT)
# 0 and 1 carry the energy, and with 3 the entropy of Fe-AM04; 2 is the published descriptor
PARTS = (
    PowerSpectrum(r_cut=5.0, n_max=12, l_max=6, elements=("Fe",)),
    Pair(r_cut=5.3, n_max=40, elements=("Fe",)),
    AFS(r_cut=5.0, n_max=20, l_max=10, elements=("Fe",)),
    LocalLogDet(
        AM04Functions.cutoff, R_MIN, SPRINGS, ((0.1, 0.2), (3.0, 4.0), (4.8, 5.3)), shift=0.3
    ),
)
SHARED, PUBLISHED, ENTROPY = (0, 1), (2,), (0, 1, 3)
ALL = Combined(PARTS)
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
SIGMA_BULK_ENTROPY = 5.0  # k_B at 1024 sites, of the strained perfect crystal; 1 costs defects 8 %
# λ of the energy's ridge. The labels have no noise, so that evidence wants no penalty at all and
# pays with coefficients of 1e7 that cancel to eight digits: forces then err by 1e-5 eV/Å from
# rounding. With 1, the terms of an atom's energy add up to 500 eV in modulus.
PENALTY_ENERGY = 1.0
WEIGHT_STRAINED = 0.3  # of defects in strained cells, whose entropies scatter several times more
BULK_STRAINS, BULK_ATOMS = 60, 1024
LEVERAGE_FRAMES = 200  # relaxed defects among which the largest leverage is sought


def columns_of(parts: tuple[int, ...]) -> NDArray[np.int64]:
    """Columns of `ALL` that belong to some of its parts, shape (K of the parts,)."""
    return np.concatenate([np.arange(ALL.n_features)[ALL.columns[p]] for p in parts])


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
    shared = Combined(tuple(PARTS[p] for p in SHARED))
    frames = [*frames, label(supercell(LATTICE_CONSTANT, 3), AM04(), "crystal")]
    statistics = energy_statistics(frames, shared, reference, SIGMA, "energy rows")
    use = ~data.held_out
    statistics.update(
        data.features[use][:, columns_of(SHARED)],
        data.formation_energy[use],
        np.full(use.sum(), 1 / SIGMA_FORMATION),
    )
    return _calibrated(compacted(ridge(statistics, PENALTY_ENERGY)), data, "energy", SHARED)


def fit_entropy(
    data: DefectRows, use: NDArray[np.bool_], bulk: tuple[Array, Array], parts: tuple[int, ...]
) -> LinearModel:
    """Entropy model of the given parts.

    Parameters
    ----------
    data : DefectRows
    use : ndarray of bool
        Rows to fit.
    bulk : tuple of ndarray
        Features and entropies of `strained_crystals`.
    parts : tuple of int

    Returns
    -------
    LinearModel
    """
    columns = columns_of(parts)
    statistics = TSQR(len(columns))
    weight = np.where(data.strained[use], WEIGHT_STRAINED, 1.0)
    statistics.update(data.features[use][:, columns], data.formation_entropy[use], weight)
    statistics.update(bulk[0][:, columns], bulk[1], np.full(len(bulk[1]), 1 / SIGMA_BULK_ENTROPY))
    return _calibrated(fit(statistics, penalty_groups(ALL, parts)), data, "entropy", parts)


def entropy_rows_model(features: Array, entropy: Array, parts: tuple[int, ...]) -> LinearModel:
    """Entropy model of plain rows, without strained crystals or calibration.

    Parameters
    ----------
    features : ndarray, shape (n, K of the parts)
    entropy : ndarray, shape (n,)
        k_B.
    parts : tuple of int

    Returns
    -------
    LinearModel
    """
    statistics = TSQR(features.shape[1])
    statistics.update(features, entropy)
    return fit(statistics, penalty_groups(ALL, parts))


def _calibrated(
    model: LinearModel, data: DefectRows, target: str, parts: tuple[int, ...]
) -> LinearModel:
    """Std by the errors of held-out, unstrained defects."""
    rows = data.held_out & ~data.strained
    exact = data.formation_energy if target == "energy" else data.formation_entropy
    return calibrated(model, data.features[rows][:, columns_of(parts)], exact[rows])


def _largest_leverage(
    model: LinearModel, frames: Iterable[Atoms], parts: tuple[int, ...], phi_0: Array
) -> float:
    """Largest leverage of a single atom of training structures."""
    descriptor = Combined(tuple(PARTS[p] for p in parts))
    reference = phi_0[columns_of(parts)]
    return max(
        float(model.leverage(descriptor.values(atoms) - reference).max())
        for atoms in tqdm(list(frames), desc="leverage")
    )


def cross_validated_entropy(
    data: DefectRows, bulk: tuple[Array, Array], parts: tuple[int, ...], left_out: str | None
) -> Array:
    """Predictions of S_f by models that have not seen them, shape (n,).

    Parameters
    ----------
    data : DefectRows
    bulk : tuple of ndarray
    parts : tuple of int
    left_out : {"family", None}
        "family" leaves out a whole family at a time; None five random folds.

    Returns
    -------
    ndarray
    """
    n = len(data.formation_entropy)
    if left_out == "family":
        fold = np.unique(np.array(data.family), return_inverse=True)[1]
    else:
        fold = np.random.default_rng(0).permutation(n) % 5
    out = np.empty(n)
    for k in np.unique(fold):
        model = fit_entropy(data, fold != k, bulk, parts)
        out[fold == k] = model.predict(data.features[fold == k][:, columns_of(parts)])
    return out


def entropy_tables(
    potential: Potential, data: DefectRows, bulk: tuple[Array, Array], parts: tuple[int, ...]
) -> dict[str, ErrorTable]:
    """Errors on relaxed defects: held out, and in cross-validation.

    Parameters
    ----------
    potential : Potential
    data : DefectRows
    bulk : tuple of ndarray
    parts : tuple of int
        Of the entropy.

    Returns
    -------
    dict of str to ErrorTable
    """
    held, exact = data.held_out, data.formation_entropy
    groups = held_out_groups(data)
    tables = {}
    for title, target, own, expected in (
        ("formation energy of held-out relaxed defects (eV)", "energy", SHARED,
         data.formation_energy),
        ("formation entropy, held out (k_B)", "entropy", parts, exact),
    ):  # fmt: skip
        found = predicted(potential, data, target, own)
        tables[title] = error_table(found[held], expected[held], groups)
    for title, left_out in (("5 random folds", None), ("one family left out", "family")):
        tables[f"formation entropy, {title} (k_B)"] = error_table(
            cross_validated_entropy(data, bulk, parts, left_out), exact, data.family
        )
    return tables


def predicted(potential: Potential, data: DefectRows, target: str, parts: tuple[int, ...]) -> Array:
    """Predict formation energies (eV) or entropies (k_B) from those parts of `ALL`, shape (n,)."""
    return potential.target(target).model.predict(data.features[:, columns_of(parts)])


def held_out_groups(data: DefectRows) -> list[str]:
    """Return "strained cells", or the number of defects, of each held-out configuration."""
    held = np.flatnonzero(data.held_out)
    return ["strained cells" if data.strained[k] else data.group[k] for k in held]


def main() -> None:
    """Fit, test and write both models."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--database", default="~/.cache/thiry_calc/iron_entropy_3k")
    parser.add_argument("--output", type=Path, default=Path("potentials"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with make_executor(args.workers) as executor:
        data = defect_rows(args.database, ALL, LATTICE_CONSTANT, executor, args.seed)
        training = make_frames(TRAIN, executor, args.seed)
        test = make_frames(TEST, executor, args.seed + 1)
    relaxed = load_database(args.database)
    fitted = np.flatnonzero(~data.held_out)
    sample = [relaxed[k] for k in fitted[:: max(1, len(fitted) // LEVERAGE_FRAMES)]]
    perfect = supercell(LATTICE_CONSTANT, 6)
    perfect.calc = AM04()
    phi_0 = ALL.values(perfect)[0]
    energy_0 = perfect.get_potential_energy() / len(perfect)
    bulk = strained_crystals(AM04(), LATTICE_CONSTANT, ALL, BULK_ATOMS, BULK_STRAINS, args.seed)
    shared = phi_0[columns_of(SHARED)]
    energy = fit_energy(data, training, Reference(shared, energy_0))
    limit = _largest_leverage(energy, training, SHARED, phi_0)
    energy_target = Target(energy, SHARED, shared[None], np.array([energy_0]), limit)
    box = crystal_of_box(perfect, "bcc", LATTICE_CONSTANT, "Fe")
    crystal = Crystal("bcc", LATTICE_CONSTANT, {"Fe": hbar_omega(box, AM04())})
    for name, parts in (("Fe-AM04", ENTROPY), ("Fe-AM04-AFS", PUBLISHED)):
        entropy = fit_entropy(data, ~data.held_out, bulk, parts)
        limit = _largest_leverage(entropy, sample, parts, phi_0)
        reference = phi_0[None, columns_of(parts)]
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
        energy_test = compare_energy(potential, test)
        tables = energy_test.tables() | entropy_tables(potential, data, bulk, parts)
        plot_forces(energy_test, folder / "parity_forces.png")
        held = data.held_out
        plot_entropies(
            held_out_groups(data),
            data.formation_entropy[held],
            predicted(potential, data, "entropy", parts)[held],
            folder / "parity_entropy.png",
        )
        write_model(potential, tables, len(training), int((~held).sum()), folder)


if __name__ == "__main__":
    with threadpool_limits(1):  # the same numbers on every machine
        main()
