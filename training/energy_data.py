"""Structures with energies, forces and stresses of a reference potential, by family.

Families of a bcc crystal, each with its own use: `rattled` and `strained` cells (elasticity,
phonons, equation of state), `md_T` (snapshots of Langevin dynamics at T kelvin), `liquid` (melted,
then held at 2000-3500 K), `defects` (random vacancy and interstitial clusters on their way to a
minimum, and shaken at it) and `close_pairs` (the repulsive wall). Test sets are made with another
seed: independent trajectories.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from thiry_calc.clusters import random_cluster
from thiry_calc.defects import supercell
from thiry_calc.relax import relax
from training.anneal import anneal
from training.perturbations import perturb, strain

Generator = np.random.Generator


def label(atoms: Atoms, calc: Any, family: str) -> Atoms:
    """Copy of a structure with its energy, forces and stress attached.

    Parameters
    ----------
    atoms : Atoms
    calc : Calculator
    family : str
        Goes to ``info["family"]``.

    Returns
    -------
    Atoms
    """
    out = atoms.copy()
    out.set_velocities(np.zeros((len(out), 3)))
    del out.arrays["momenta"]
    out.info = {"family": family}
    work = out.copy()
    work.calc = calc
    out.calc = SinglePointCalculator(
        out,
        energy=float(work.get_potential_energy()),
        forces=work.get_forces(),
        stress=work.get_stress(),
    )
    return out


def rattled(a0: float, calc: Any, rng: Generator) -> Iterator[Atoms]:
    """Make one 54- or 128-site cell, strained by up to 3 %, atoms displaced by 0.02-0.2 Å."""
    cell = supercell(a0, int(rng.choice([3, 4])))
    strain(cell, 0.03, rng)
    perturb(cell, float(rng.uniform(0.02, 0.2)), rng)
    yield cell


def strained(a0: float, calc: Any, rng: Generator) -> Iterator[Atoms]:
    """One 16-site cell, strained by up to 8 %, atoms displaced by at most 0.05 Å."""
    cell = supercell(a0, 2)
    strain(cell, float(rng.uniform(0.0, 0.08)), rng)
    perturb(cell, float(rng.uniform(0.0, 0.05)), rng)
    yield cell


def molecular_dynamics(temperature: float, snapshots: int = 5) -> Callable[..., Iterator[Atoms]]:
    """Family of snapshots, 100 fs apart, of a 128-site cell after 400 fs at `temperature` (K).

    Every other trajectory starts from a cell with one or two vacancies.
    """

    def family(a0: float, calc: Any, rng: Generator) -> Iterator[Atoms]:
        cell = supercell(a0 * float(rng.uniform(0.995, 1.015)), 4)
        if rng.random() < 0.5:
            cell = random_cluster(cell, int(rng.integers(1, 3)), 0, 5.0, rng)
        cell.calc = calc
        if anneal(cell, temperature, 200, rng):
            return
        for _ in range(snapshots):
            if anneal(cell, temperature, 50, rng):
                return
            yield cell

    return family


def liquid(a0: float, calc: Any, rng: Generator) -> Iterator[Atoms]:
    """Snapshots of a 128-atom melt: 2 ps at 5000 K, 1 ps at 2000-3500 K, then five 100 fs apart."""
    cell = supercell(a0 * float(rng.uniform(1.0, 1.05)), 4)
    cell.calc = calc
    held = float(rng.uniform(2000, 3500))
    for temperature, steps in ((5000.0, 1000), (held, 500)):
        if anneal(cell, temperature, steps, rng):
            return
    for _ in range(5):
        if anneal(cell, held, 50, rng):
            return
        yield cell


def defects(a0: float, calc: Any, rng: Generator) -> Iterator[Atoms]:
    """Make a random cluster of 1-4 vacancies or interstitials in 128 or 250 sites.

    As built, relaxed to 5, 0.3 and 1e-3 eV/Å, and then shaken by 0.02-0.1 Å: starts of
    relaxations are high on the repulsive wall, where a model must know its way down.
    """
    perfect = supercell(a0, int(rng.choice([4, 5])))
    n, vacancy = int(rng.integers(1, 5)), rng.random() < 0.4
    radius = float(rng.uniform(3.2, 7.0))
    try:
        cell = random_cluster(perfect, n * vacancy, n * (not vacancy), radius, rng, 0.1)
    except ValueError:  # no room for this cluster in the cell
        return
    cell.calc = calc
    perturb(cell, 0.01, rng)
    if not vacancy:
        yield cell
    for fmax in (0.3, 1e-3) if vacancy else (5.0, 0.3, 1e-3):
        if not relax(cell, fmax=fmax).converged:
            return
        yield cell
    perturb(cell, float(rng.uniform(0.02, 0.1)), rng)
    yield cell


def close_pairs(a0: float, calc: Any, rng: Generator) -> Iterator[Atoms]:
    """Make one 54-site cell in which an atom is pushed to 1.1-2.2 Å from another."""
    cell = supercell(a0, 3)
    strain(cell, 0.02, rng)
    perturb(cell, 0.05, rng)
    i, j = 0, int(rng.integers(1, len(cell)))
    direction = rng.normal(size=3)
    direction /= np.linalg.norm(direction)
    cell.positions[i] = cell.positions[j] + float(rng.uniform(1.1, 2.2)) * direction
    if cell.get_all_distances(mic=True)[i, np.arange(len(cell)) != i].min() > 1.05:
        yield cell


FAMILIES: dict[str, Callable[..., Iterator[Atoms]]] = {
    "rattled": rattled,
    "strained": strained,
    "md_300": molecular_dynamics(300.0),
    "md_900": molecular_dynamics(900.0),
    "md_1500": molecular_dynamics(1500.0),
    "liquid": liquid,
    "defects": defects,
    "close_pairs": close_pairs,
}


def make_family(name: str, count: int, a0: float, calc: Any, seed: int) -> list[Atoms]:
    """Labelled structures of one family.

    Parameters
    ----------
    name : str
        One of `FAMILIES`.
    count : int
        Structures wanted.
    a0 : float
        Lattice constant of the reference potential, Å.
    calc : Calculator
        The reference potential.
    seed : int
        The same seed gives the same structures.

    Returns
    -------
    list of Atoms
        With energies, forces and stresses attached.

    Raises
    ------
    ValueError
        For an unknown family.
    """
    if name not in FAMILIES:
        raise ValueError(f"unknown family {name!r}; choose one of {', '.join(FAMILIES)}")
    frames: list[Atoms] = []
    index = 0
    while len(frames) < count:
        rng = np.random.default_rng([seed, list(FAMILIES).index(name), index])
        frames += [label(cell, calc, name) for cell in FAMILIES[name](a0, calc, rng)]
        index += 1
    return frames[:count]
