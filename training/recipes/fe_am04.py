"""The shipped models Fe-AM04 and Fe-AM04-AFS: energy and formation entropy of iron, one command.

    thiry generate training/recipes/iron_entropy_3k.toml --workers 2
    python -m training.recipes.fe_am04 --workers 2

Energies, forces and stresses are those of AM04 on the families of `training.energy_data`, entropies
and formation energies those of the relaxed defects of the database. One tenth of the database is
held out, and the test sets of the energy families are independent trajectories; the shipped models
have seen neither. Writes the model files, cards, parity plots and reference values.
"""

import argparse
import json
from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from tqdm import tqdm

from thiry_calc.calculator import ThiryCalculator
from thiry_calc.defects import STANDARD, build, supercell
from thiry_calc.descriptors import AFS, Combined, Pair, PowerSpectrum
from thiry_calc.linear import TSQR, LinearModel, error_table, ridge
from thiry_calc.linear.errors import ErrorTable
from thiry_calc.potential import Crystal, Potential, Target
from training.assemble import Reference, Sigma, energy_statistics, feature_sums
from training.crystal import hbar_omega
from training.database import load_database
from training.energy_data import FAMILIES, label, make_family
from training.executors import make_executor
from training.fit import compacted, fit, penalty_groups
from training.references.am04 import AM04, LATTICE_CONSTANT
from training.report import markdown_table, parity_plot

Array = NDArray[np.float64]

# 0 and 1 make Fe-AM04 (both targets share them); 2 is the published descriptor of the entropy
PARTS = (
    PowerSpectrum(r_cut=5.0, n_max=12, l_max=6, elements=("Fe",)),
    Pair(r_cut=5.3, n_max=40, elements=("Fe",)),
    AFS(r_cut=5.0, n_max=20, l_max=10, elements=("Fe",)),
)
SHARED, PUBLISHED = (0, 1), (2,)
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
SIGMA_BULK_ENTROPY = 20.0  # k_B at 1024 sites, entropy of the strained perfect crystal
# λ of the energy's ridge. The labels have no noise, so that evidence wants no penalty at all and
# pays with coefficients of 1e7 that cancel to eight digits: forces then err by 1e-5 eV/Å from
# rounding. With 1, the terms of an atom's energy add up to 500 eV in modulus.
PENALTY_ENERGY = 1.0
WEIGHT_STRAINED = 0.1  # of defects in strained cells, whose entropies scatter ten times more
BULK_STRAINS = 60


@dataclass(frozen=True, eq=False)
class Database:
    """Rows of the relaxed defects: features against the perfect crystal of the same box."""

    features: Array
    formation_energy: Array
    formation_entropy: Array
    family: list[str]
    group: list[str]
    held_out: NDArray[np.bool_]

    @property
    def strained(self) -> NDArray[np.bool_]:
        """Which configurations are in a strained cell, shape (n,)."""
        return np.array([family == "strained" for family in self.family])


def _box_crystal(atoms: Atoms) -> Atoms:
    """Two cubic cells a side of the perfect crystal in the strain of a defect's box."""
    size = round((atoms.info["n_sites"] / 2) ** (1 / 3))
    crystal = supercell(LATTICE_CONSTANT, 2)
    crystal.set_cell(atoms.cell.array * 2 / size, scale_atoms=True)
    return crystal


def _relative_features(frames: list[Atoms]) -> Array:
    """Σ_i φ_i − N φ_box of each frame (done in a worker)."""
    descriptor = Combined(PARTS)
    boxes = [_box_crystal(atoms) for atoms in frames]
    per_atom = feature_sums(boxes, descriptor) / len(boxes[0])
    counts = np.array([len(atoms) for atoms in frames])
    return feature_sums(frames, descriptor) - counts[:, None] * per_atom


def database_rows(frames: list[Atoms], executor: Executor, seed: int) -> Database:
    """Features and labels of the database.

    Parameters
    ----------
    frames : list of Atoms
        Of `training.generate.load_database`.
    executor : Executor
    seed : int
        Chooses the tenth that is held out.

    Returns
    -------
    Database
    """
    pieces = [frames[k : k + 10] for k in range(0, len(frames), 10)]
    for piece in pieces:
        for atoms in piece:
            atoms.calc.results.pop("forces", None)  # nothing that the workers need
    rows = list(tqdm(executor.map(_relative_features, pieces), total=len(pieces), desc="database"))
    order = np.random.default_rng(seed).permutation(len(frames))
    held_out = np.zeros(len(frames), dtype=bool)
    held_out[order[: len(frames) // 10]] = True
    return Database(
        np.concatenate(rows),
        np.array([atoms.info["formation_energy"] for atoms in frames]),
        np.array([atoms.info["formation_entropy_kB"] for atoms in frames]),
        [atoms.info["family"] for atoms in frames],
        [atoms.info["group"] for atoms in frames],
        held_out,
    )


def strained_bulk(seed: int, phi_0: Array, count: int = BULK_STRAINS) -> tuple[Array, Array]:
    """Rows of the perfect crystal under strains of up to 2 %: features and entropy at 1024 sites.

    Parameters
    ----------
    seed : int
    phi_0 : ndarray, shape (K,)
        Features per atom at zero strain.
    count : int
        Number of strains.

    Returns
    -------
    features : ndarray, shape (n, K)
    entropy : ndarray, shape (n,)
        −3 ln(ω̄ / ω̄_0) per atom times 1024, k_B.
    """
    rng, calc, descriptor = np.random.default_rng(seed), AM04(), Combined(PARTS)
    zero = np.log(hbar_omega(supercell(LATTICE_CONSTANT, 6), calc, 16))
    features, entropy = [], []
    for _ in tqdm(range(count), desc="strained crystals"):
        strain = rng.uniform(-0.02, 0.02, (3, 3))
        cell = supercell(LATTICE_CONSTANT, 6)
        cell.set_cell(cell.cell.array @ (np.eye(3) + (strain + strain.T) / 2), scale_atoms=True)
        change = np.log(hbar_omega(cell, calc, 16)) - zero
        entropy.append(-3 * 1024 * change)
        features.append(1024 * (descriptor.values(cell)[0] - phi_0))
    return np.array(features), np.array(entropy)


def _subset(descriptor: Combined, parts: tuple[int, ...]) -> NDArray[np.int64]:
    return np.concatenate([np.arange(descriptor.n_features)[descriptor.columns[p]] for p in parts])


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


def fit_energy(data: Database, frames: list[Atoms], reference: Reference) -> LinearModel:
    """Energy model of the parts `SHARED`.

    Parameters
    ----------
    data : Database
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
    columns = _subset(Combined(PARTS), SHARED)
    statistics.update(
        data.features[use][:, columns],
        data.formation_energy[use],
        np.full(use.sum(), 1 / SIGMA_FORMATION),
    )
    return compacted(ridge(statistics, PENALTY_ENERGY), statistics)


def fit_entropy(
    data: Database, use: NDArray[np.bool_], bulk: tuple[Array, Array], parts: tuple[int, ...]
) -> LinearModel:
    """Entropy model of the given parts.

    Parameters
    ----------
    data : Database
    use : ndarray of bool
        Rows to fit.
    bulk : tuple of ndarray
        Of `strained_bulk`.
    parts : tuple of int

    Returns
    -------
    LinearModel
    """
    descriptor = Combined(PARTS)
    columns = _subset(descriptor, parts)
    statistics = TSQR(len(columns))
    weight = np.where(data.strained[use], WEIGHT_STRAINED, 1.0)
    statistics.update(data.features[use][:, columns], data.formation_entropy[use], weight)
    statistics.update(bulk[0][:, columns], bulk[1], np.full(len(bulk[1]), 1 / SIGMA_BULK_ENTROPY))
    return fit(statistics, penalty_groups(descriptor, parts))


def _largest_leverage(model: LinearModel, frames: Iterable[Atoms], reference: Array) -> float:
    """Largest leverage of a single atom of the training structures."""
    shared = Combined(tuple(PARTS[p] for p in SHARED))
    return max(
        float(model.leverage(shared.values(atoms) - reference).max())
        for atoms in tqdm(list(frames), desc="leverage")
    )


@dataclass(frozen=True, eq=False)
class EnergyTest:
    """Exact and predicted values of the test structures of the energy."""

    families: list[str]
    per_atom: tuple[Array, Array]
    force_families: list[str]
    forces: tuple[Array, Array]
    stress: tuple[Array, Array]


def compare_energy(potential: Potential, frames: list[Atoms]) -> EnergyTest:
    """Compare the model with AM04 on structures it has not seen.

    Parameters
    ----------
    potential : Potential
    frames : list of Atoms
        With energies, forces and stresses of AM04.

    Returns
    -------
    EnergyTest
    """
    families = [atoms.info["family"] for atoms in frames]
    force_families: list[str] = []
    columns: list[list[Array]] = [[] for _ in range(6)]
    for atoms in tqdm(frames, desc="energy test"):
        work = atoms.copy()
        work.calc = ThiryCalculator(potential, extrapolation_warning=False)
        n = len(atoms)
        values = (
            np.array([atoms.get_potential_energy() / n]),
            np.array([work.get_potential_energy() / n]),
            atoms.get_forces().ravel(), work.get_forces().ravel(),
            atoms.get_stress(), work.get_stress(),
        )  # fmt: skip
        for column, value in zip(columns, values, strict=True):
            column.append(value)
        force_families += [atoms.info["family"]] * (3 * n)
    e, e_hat, f, f_hat, s, s_hat = (np.concatenate(column) for column in columns)
    return EnergyTest(families, (e, e_hat), force_families, (f, f_hat), (s, s_hat))


def _by(names: list[str], values: Array) -> dict[str, Array]:
    labels = np.array(names)
    return {name: values[labels == name] for name in dict.fromkeys(names)}


def cross_validated_entropy(
    data: Database, bulk: tuple[Array, Array], parts: tuple[int, ...], left_out: str | None
) -> Array:
    """Predictions of S_f by models that have not seen them, shape (n,).

    Parameters
    ----------
    data : Database
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
        out[fold == k] = model.predict(data.features[fold == k][:, _subset(Combined(PARTS), parts)])
    return out


def reference_values(potential: Potential) -> dict[str, Any]:
    """Predictions on unrelaxed standard defects at 5×5×5 cells, for regression tests."""
    out = {}
    for name in STANDARD:
        atoms = build(name, LATTICE_CONSTANT, 5)
        atoms.calc = ThiryCalculator(potential, extrapolation_warning=False)
        out[name] = {
            "energy_eV": atoms.get_potential_energy(),
            "formation_entropy_kB": atoms.calc.get_property("formation_entropy", atoms),
            "max_force_eV_per_A": float(np.abs(atoms.get_forces()).max()),
        }
    return out


def main() -> None:
    """Fit, test and write both models."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--database", default="~/.cache/thiry_calc/iron_entropy_3k")
    parser.add_argument("--output", type=Path, default=Path("potentials"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    frames = load_database(args.database)
    with make_executor(args.workers) as executor:
        data = database_rows(frames, executor, args.seed)
        training = make_frames(TRAIN, executor, args.seed)
        test = make_frames(TEST, executor, args.seed + 1)
    perfect = supercell(LATTICE_CONSTANT, 6)
    perfect.calc = AM04()
    phi_0 = Combined(PARTS).values(perfect)[0]
    energy_0 = perfect.get_potential_energy() / len(perfect)
    bulk = strained_bulk(args.seed, phi_0)
    shared, afs = (_subset(Combined(PARTS), parts) for parts in (SHARED, PUBLISHED))
    energy = fit_energy(data, training, Reference(phi_0[shared], energy_0))
    limit = _largest_leverage(energy, training, phi_0[shared])
    energy_target = Target(energy, SHARED, phi_0[None, shared], np.array([energy_0]), limit)
    crystal = Crystal("bcc", LATTICE_CONSTANT, {"Fe": hbar_omega(perfect, AM04())})
    for name, parts, columns in (
        ("Fe-AM04", SHARED, shared),
        ("Fe-AM04-AFS", PUBLISHED, afs),
    ):
        entropy = fit_entropy(data, ~data.held_out, bulk, parts)
        potential = Potential(
            name,
            ("Fe",),
            Combined(PARTS if parts is PUBLISHED else PARTS[:2]),
            {
                "energy": energy_target,
                "entropy": Target(entropy, parts, phi_0[None, columns], np.zeros(1)),
            },
            crystal,
        )
        _write(potential, data, bulk, compare_energy(potential, test), args.output / name)


def _write(
    potential: Potential, data: Database, bulk: tuple[Array, Array], test: EnergyTest, folder: Path
) -> None:
    """Test a model and write its file, card, plots and reference values."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = potential.target("entropy").parts
    tables = {
        "energy (meV/atom)": error_table(
            1e3 * test.per_atom[1], 1e3 * test.per_atom[0], test.families
        ),
        "forces (eV/Å)": error_table(test.forces[1], test.forces[0], test.force_families),
        "stress (eV/Å³)": error_table(
            test.stress[1], test.stress[0], list(np.repeat(test.families, 6))
        ),
    }
    held = data.held_out
    columns = _subset(Combined(PARTS), parts)
    exact = data.formation_entropy
    predicted = potential.target("entropy").model.predict(data.features[:, columns])
    formation = potential.target("energy").model.predict(
        data.features[:, _subset(Combined(PARTS), SHARED)]
    )
    groups = ["strained cells" if data.strained[k] else data.group[k] for k in np.flatnonzero(held)]
    tables["formation energy of held-out relaxed defects (eV)"] = error_table(
        formation[held], data.formation_energy[held], groups
    )
    tables["formation entropy, held out (k_B)"] = error_table(predicted[held], exact[held], groups)
    for title, left_out in (("5 random folds", None), ("one family left out", "family")):
        tables[f"formation entropy, {title} (k_B)"] = error_table(
            cross_validated_entropy(data, bulk, parts, left_out), exact, data.family
        )
    parity_plot(
        folder / "parity_forces.png", _by(test.force_families, test.forces[0]),
        _by(test.force_families, test.forces[1]), "force", "eV/Å",
    )  # fmt: skip
    parity_plot(
        folder / "parity_entropy.png", _by(groups, exact[held]), _by(groups, predicted[held]),
        "formation entropy, held out", "k_B",
    )  # fmt: skip
    info = {
        "purpose": "defects of bcc iron: energies, formation entropies, free energies",
        "reference": "AM04, J. Phys.: Condens. Matter 16, S2629 (2004), analytic form",
        "entropy_training_configurations": int((~held).sum()),
        "mae": {title: table["all"]["mae"] for title, table in tables.items()},
    }
    final = Potential(
        potential.name, potential.elements, potential.descriptor, potential.targets,
        potential.crystal, info,
    )  # fmt: skip
    final.save(folder / f"{potential.name}.thiry")
    (folder / "reference_values.json").write_text(json.dumps(reference_values(final), indent=1))
    (folder / "card.md").write_text(_card(final, tables), encoding="utf-8")


def _card(potential: Potential, tables: dict[str, ErrorTable]) -> str:
    sections = "\n\n".join(
        f"### {title[0].upper()}{title[1:]}\n\n{markdown_table(table, title.split('(')[-1][:-1])}"
        for title, table in tables.items()
    )
    entropy = [potential.descriptor.parts[p] for p in potential.target("entropy").parts]
    return CARD.format(
        name=potential.name,
        entropy=" + ".join(str(p) for p in entropy),
        energy=" + ".join(str(PARTS[p]) for p in SHARED),
        n_entropy=potential.info["entropy_training_configurations"],
        n_energy=sum(TRAIN.values()),
        r_cut=potential.cutoff,
        a0=LATTICE_CONSTANT,
        tables=sections,
    )


CARD = """# {name}

Energy and vibrational formation entropy of bcc iron and its defects, learned from the embedded-atom
potential AM04 (Ackland, Mendelev, Srolovitz, Han, Barashev, J. Phys.: Condens. Matter 16, S2629
(2004)) in its analytic form.

**For**: free-energy scans of vacancies, interstitials and small clusters (1-4 defects) in bcc iron
at constant volume, lattice constant {a0} Å, and strains up to 2 %; a model of AM04, not of
experiment. **Not for**: surfaces, cracks, grain boundaries, collision cascades (pairs closer than
about 1.8 Å), other phases; compact clusters of more than 4 defects extrapolate. `energy_std`,
`entropy_std` and `leverage` tell when a structure is far from the training data.

- energy: {energy}, {n_energy} structures with forces and stresses, and the formation energies of
  the relaxed defects below
- entropy: {entropy}, {n_entropy} relaxed defects at 1024 sites with exact entropies, and strained
  perfect crystals
- cutoff {r_cut} Å; classical harmonic entropies
- made by `python -m training.recipes.fe_am04` from `training/recipes/iron_entropy_3k.toml`

The structures of the standard scan are not among the training data. Parity plots stand beside this
file.

## Errors on structures not seen in training

{tables}
"""

if __name__ == "__main__":
    main()
