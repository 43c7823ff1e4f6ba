"""The shipped model Fe-DFT: iron by density functional theory, with entropies of its own Hessians.

    python -m training.recipes.fe_dft_energy DATA
    thiry generate training/recipes/iron_dft.toml --workers 2
    python -m training.recipes.fe_dft DATA

Formation entropies are exact for the fitted energy, and learned like those of Fe-AM04: power
spectrum, pairs and local log-determinants, here of springs fitted to Hessians of relaxed defects.
One tenth of the defects is held out. Writes the model file, card, parity plots and reference
values.
"""

import argparse
from concurrent.futures import Executor
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from thiry_calc import ThiryCalculator
from thiry_calc.descriptors import Combined, Descriptor, LocalLogDet, Pair, PowerSpectrum
from thiry_calc.linear import TSQR, LinearModel
from thiry_calc.potential import Potential, Target
from training.database import load_database
from training.defect_rows import DefectRows, defect_rows
from training.executors import make_executor
from training.recipes.fe_dft_card import write_model
from training.recipes.fe_dft_energy import ENERGY_FILE
from training.regression import calibrated, fit_heavy_tailed, largest_leverage, penalty_groups
from training.springs import fitted_springs
from training.strained_crystals import expansion_row, strained_crystals

Array = NDArray[np.float64]

DATABASE = Path("~/.cache/thiry_calc/iron_dft")
R_MIN, N_SPRINGS = 1.8, 60  # Å; functions of 0.05 Å
WINDOWS = ((0.1, 0.2), (3.0, 4.0), (4.4, 4.9))  # Å
LEAST = (1e-2, 1e-2, 1e-8)  # smallest penalties, as in Fe-AM04
CELLS = 8  # a side of crystals under strain: wider than twice the range of the Hessian
BULK_STRAINS, BULK_ATOMS = 40, 1024
SIGMA_BULK, SIGMA_EXPANSION = 5.0, 0.1  # k_B at 1024 sites, as in Fe-AM04
SPRING_FRAMES, LEVERAGE_FRAMES = 12, 100


def evenly(frames: list[Atoms], count: int) -> list[Atoms]:
    """Return some of the frames, from first to last."""
    return [frames[k] for k in np.linspace(0, len(frames) - 1, count).astype(int)]


def entropy_parts(energy: Potential, frames: list[Atoms]) -> tuple[Descriptor, ...]:
    """Descriptors of the entropy, the springs from Hessians of some relaxed defects.

    Parameters
    ----------
    energy : Potential
    frames : list of Atoms

    Returns
    -------
    tuple of Descriptor
    """
    calc = ThiryCalculator(energy, extrapolation_warning=False)
    smallest = min(len(atoms) for atoms in frames)
    chosen = evenly([a for a in frames if len(a) < 1.1 * smallest], SPRING_FRAMES)
    r_cut, elements = energy.cutoff, energy.elements
    springs = fitted_springs(((a, calc.get_hessian(a)) for a in chosen), R_MIN, r_cut, N_SPRINGS)
    return (
        PowerSpectrum(r_cut=r_cut, n_max=12, l_max=6, elements=elements),
        Pair(r_cut=r_cut, n_max=40, elements=elements),
        LocalLogDet(r_cut, R_MIN, springs, WINDOWS, shift=0.3),
    )


def crystal_statistics(energy: Potential, descriptor: Descriptor, seed: int) -> TSQR:
    """Rows of the perfect crystal under strain, and of its expansion.

    Parameters
    ----------
    energy : Potential
    descriptor : Descriptor
    seed : int

    Returns
    -------
    TSQR
    """
    calc, crystal = ThiryCalculator(energy, extrapolation_warning=False), energy.crystal
    assert crystal is not None
    given = calc, crystal.a0, descriptor, BULK_ATOMS
    strained = strained_crystals(*given, BULK_STRAINS, seed, CELLS)
    slope = expansion_row(*given, cells=CELLS)
    out = TSQR(descriptor.n_features)
    for (x, y), sigma in ((strained, SIGMA_BULK), (slope, SIGMA_EXPANSION)):
        out.update(x, y, np.full(len(y), 1 / sigma))
    return out


def entropy_model(
    rows: DefectRows, use: NDArray[np.bool_], bulk: TSQR, descriptor: Combined
) -> LinearModel:
    """Fit to some of the defects and to the crystals.

    Parameters
    ----------
    rows : DefectRows
    use : ndarray of bool
        Defects to fit.
    bulk : TSQR
    descriptor : Combined

    Returns
    -------
    LinearModel
        Its std calibrated by the errors of the held-out tenth.
    """
    X, y, groups = rows.features, rows.formation_entropy, penalty_groups(descriptor, (0, 1, 2))

    def weighted(weights: Array) -> TSQR:
        return TSQR(X.shape[1]).update(X[use], y[use], weights) + bulk

    model = fit_heavy_tailed(weighted, X[use], y[use], groups, np.array(LEAST)[groups])
    return calibrated(model, X[rows.held_out], y[rows.held_out])


def group_left_out(rows: DefectRows, bulk: TSQR, descriptor: Combined) -> Array:
    """Entropies predicted by models that have seen no defect of the same numbers, shape (n,).

    Parameters
    ----------
    rows : DefectRows
    bulk : TSQR
    descriptor : Combined

    Returns
    -------
    ndarray
        k_B.
    """
    out, group = np.empty(len(rows.group)), np.array(rows.group)
    for name in np.unique(group):
        own = group == name
        out[own] = entropy_model(rows, ~own, bulk, descriptor).predict(rows.features[own])
    return out


def combined(
    energy: Potential, model: LinearModel, parts: tuple[Descriptor, ...], frames: list[Atoms]
) -> Potential:
    """Potential with energy and entropy.

    Parameters
    ----------
    energy : Potential
    model : LinearModel
        Of the entropy.
    parts : tuple of Descriptor
        Of the entropy.
    frames : list of Atoms
        Relaxed defects, among which the largest leverage is sought.

    Returns
    -------
    Potential
    """
    every = energy.descriptor.parts + parts
    own = tuple(range(len(every) - len(parts), len(every)))
    crystal = energy.crystal
    assert crystal is not None
    whole = Combined(parts)
    reference = whole.values(Atoms(energy.elements, cell=_primitive(crystal.a0), pbc=True))
    limit = largest_leverage(model, whole, evenly(frames, LEVERAGE_FRAMES), reference[0])
    entropy = Target(model, own, reference, np.zeros(1), limit)
    targets = {"energy": energy.target("energy"), "entropy": entropy}
    return Potential("Fe-DFT", energy.elements, Combined(every), targets, crystal)


def _primitive(a0: float) -> Array:
    return a0 / 2 * (1 - 2 * np.eye(3))


def fitted_rows(
    energy: Potential, parts: tuple[Descriptor, ...], executor: Executor, seed: int
) -> DefectRows:
    """Rows of the database, one tenth held out."""
    assert energy.crystal is not None
    return defect_rows([DATABASE], Combined(parts), energy.crystal.a0, executor, seed)


def main() -> None:
    """Fit, test and write the model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of the data that the energy is fitted to")
    parser.add_argument("--output", type=Path, default=Path("potentials/Fe-DFT"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    energy = Potential.load(ENERGY_FILE.expanduser())
    frames = load_database(DATABASE.expanduser())
    parts = entropy_parts(energy, frames)
    descriptor = Combined(parts)
    bulk = crystal_statistics(energy, descriptor, args.seed)
    with make_executor(args.workers) as executor:
        rows = fitted_rows(energy, parts, executor, args.seed)
    model = entropy_model(rows, ~rows.held_out, bulk, descriptor)
    potential = combined(energy, model, parts, frames)
    others = group_left_out(rows, bulk, descriptor)
    write_model(potential, rows, others, args.data, args.output)


if __name__ == "__main__":
    with threadpool_limits(1):  # the same numbers on every machine
        main()
