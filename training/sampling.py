"""One attempt at a configuration: draw, anneal, relax, label.

Attempt t of family f of a recipe with seed s takes its random numbers from sha256(s/f/t), so that
it does not depend on the number of workers, nor on families that are appended to the recipe.
"""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from thiry_calc.clusters import random_cluster
from thiry_calc.defects import supercell
from thiry_calc.references import load_reference
from thiry_calc.relax import relax
from thiry_calc.saddles import to_saddle
from thiry_calc.symmetry import fingerprint
from training.anneal import anneal
from training.label import Bulk, Label, NotAMinimumError, bulk_reference, label, softest_mode
from training.perturbations import perturb, strain
from training.recipe import Family, Recipe
from training.saddle_walk import walk

_FMAX = 1e-5  # eV/Å; a label errs by about 2 k_B per eV/Å of the largest force left
_MAX_STEPS = 1500
_RATTLE = 0.01  # Å, takes the symmetry off a start, which would relax to a saddle
_KICK = 0.05  # Å, largest displacement of an atom along the softest mode of a saddle
_CLIMBS = 8  # tries to reach a saddle
_PERFECT = 1e-3  # eV, formation energy below which nothing is left of a Frenkel pair


@dataclass(frozen=True)
class Attempt:
    """What came of an attempt.

    Attributes
    ----------
    family, index : int
        Which one.
    failure : str
        Why there is no configuration; empty when there is one.
    atoms : Atoms or None
        Relaxed, with forces of the reference potential in ``arrays["forces"]`` (eV/Å).
    label : Label or None
    fingerprint : ndarray, shape (218,), or None
    """

    family: int
    index: int
    failure: str
    atoms: Atoms | None = None
    label: Label | None = None
    fingerprint: NDArray[np.float64] | None = None


def lattice_constant(recipe: Recipe) -> float:
    """Lattice constant of a recipe, Å: given there, or the potential's own at zero pressure.

    Parameters
    ----------
    recipe : Recipe

    Returns
    -------
    float
    """
    calc = load_reference(recipe.potential, recipe.file)
    if recipe.a0 is not None:
        return recipe.a0
    if hasattr(calc, "lattice_constant"):
        return float(calc.lattice_constant)
    raise ValueError(
        f"the reference potential {recipe.potential} has no lattice constant of its own; "
        "give 'a0' in [cells]"
    )


@lru_cache(maxsize=8)
def bulk_of(recipe: Recipe, size: int) -> Bulk:
    """Perfect crystal of a recipe's unstrained box.

    Parameters
    ----------
    recipe : Recipe
    size : int
        Cubic cells per side.

    Returns
    -------
    Bulk
    """
    perfect = supercell(lattice_constant(recipe), size, recipe.element, recipe.lattice)
    return bulk_reference(perfect, load_reference(recipe.potential, recipe.file), *recipe.hessian)


def generator(*key: object) -> np.random.Generator:
    """Random numbers that depend on `key` only.

    Parameters
    ----------
    *key : object
        Printed and hashed.

    Returns
    -------
    numpy.random.Generator
    """
    digest = hashlib.sha256("/".join(map(str, key)).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype=np.uint32))


def attempt(recipe: Recipe, family: int, index: int) -> Attempt:
    """Make one configuration.

    Parameters
    ----------
    recipe : Recipe
    family : int
        Number of the family.
    index : int
        Number of the attempt in it.

    Returns
    -------
    Attempt
        With a reason where the structure was lost, not relaxed, or a saddle for good.
    """
    rng = generator(recipe.seed, family, index)
    kind = recipe.families[family]
    # A calculator of its own: a neighbour list left over would change the order of sums.
    calc = load_reference(recipe.potential, recipe.file)
    size = int(rng.choice(recipe.sizes))
    perfect = supercell(lattice_constant(recipe), size, recipe.element, recipe.lattice)
    if kind.strain:
        strain(perfect, kind.strain, rng)
    try:
        atoms = _draw(perfect, kind, rng)
    except ValueError as error:
        return Attempt(family, index, f"not built: {error}")
    bulk = bulk_reference(perfect, calc, *recipe.hessian) if kind.strain else bulk_of(recipe, size)
    atoms.calc = calc
    perturb(atoms, _RATTLE, rng)
    failure = _heat(atoms, kind, rng) or _walk(atoms, kind, rng)
    if failure:
        return Attempt(family, index, failure)
    if kind.kind == "saddle":
        labelled, failure = _settle_on_saddle(atoms, calc, bulk, recipe.hessian, rng)
    else:
        labelled, failure = settle(atoms, calc, bulk, recipe.hessian, recipe.extras, rng)
    if labelled is None:
        return Attempt(family, index, failure)
    if len(atoms) == len(perfect) and labelled.formation_energy < _PERFECT:
        return Attempt(family, index, "recombined to the perfect crystal")
    return Attempt(family, index, "", _finished(atoms, kind.kind), labelled, fingerprint(atoms))


def _draw(perfect: Atoms, kind: Family, rng: np.random.Generator) -> Atoms:
    n_vacancies, n_interstitials = 0, 0
    while n_vacancies + n_interstitials == 0:
        n_vacancies = int(rng.integers(kind.vacancies[0], kind.vacancies[1] + 1))
        n_interstitials = int(rng.integers(kind.interstitials[0], kind.interstitials[1] + 1))
    radius = float(rng.uniform(*kind.radius))
    return random_cluster(perfect, n_vacancies, n_interstitials, radius, rng, kind.c15_share)


def _heat(atoms: Atoms, kind: Family, rng: np.random.Generator) -> str:
    """Anneal in place where the family asks for it; the reason of a failure, or nothing."""
    if not kind.steps[1]:
        return ""
    temperature = float(rng.uniform(*kind.temperature))
    # A start with overlapping atoms would explode: dynamics begins from a rough relaxation.
    relax(atoms, fmax=0.5, max_steps=100)
    return anneal(atoms, temperature, int(rng.integers(kind.steps[0], kind.steps[1] + 1)), rng)


def _walk(atoms: Atoms, kind: Family, rng: np.random.Generator) -> str:
    """Pass saddles in place where the family asks for it; the reason of a failure, or nothing."""
    if not kind.walks[1]:
        return ""
    reasons = []
    for _ in range(int(rng.integers(kind.walks[0], kind.walks[1] + 1))):
        relaxed = relax(atoms, fmax=1e-2, max_steps=300)
        if not relaxed.converged:
            return "overlapping or lost atoms" if relaxed.lost else "not relaxed"
        reasons.append(walk(atoms, rng))
    return "" if "" in reasons else reasons[0]


def settle(
    atoms: Atoms,
    calc: Any,
    bulk: Bulk,
    hessian: tuple[str, float],
    extras: Collection[str],
    rng: np.random.Generator,
) -> tuple[Label | None, str]:
    """Relax in place to a minimum and label it; a saddle gets one push along its softest mode.

    Parameters
    ----------
    atoms : Atoms
        With a calculator.
    calc : Calculator
    bulk : Bulk
    hessian : (str, float)
        Method and distance, as in `training.label.hessian`.
    extras : collection of str
        Of `training.label.EXTRAS`.
    rng : numpy.random.Generator
        Decides the side of the push.

    Returns
    -------
    label : Label or None
    failure : str
        Why there is none.
    """
    for push in (True, False):
        relaxed = relax(atoms, _FMAX, _MAX_STEPS)
        if not relaxed.converged:
            return None, "overlapping or lost atoms" if relaxed.lost else "not relaxed"
        try:
            return label(atoms, calc, bulk, *hessian, extras), ""
        except NotAMinimumError:
            if push:
                mode = softest_mode(atoms, calc, *hessian)
                kick = rng.choice([-1.0, 1.0]) * _KICK / np.linalg.norm(mode, axis=1).max()
                atoms.set_positions(atoms.get_positions() + kick * mode)
    return None, "saddle"


def _settle_on_saddle(
    atoms: Atoms, calc: Any, bulk: Bulk, hessian: tuple[str, float], rng: np.random.Generator
) -> tuple[Label | None, str]:
    """Relax, climb to a saddle nearby in place, and label it; see `settle`."""
    relaxed = relax(atoms, fmax=1e-2, max_steps=_MAX_STEPS)
    if not relaxed.converged:
        return None, "overlapping or lost atoms" if relaxed.lost else "not relaxed"
    start = atoms.get_positions()
    for _ in range(_CLIMBS):
        atoms.set_positions(start)
        if walk(atoms, rng, push=0.0):
            continue
        try:
            to_saddle(atoms, _FMAX)
            return label(atoms, calc, bulk, *hessian, saddle=True), ""
        except (NotAMinimumError, RuntimeError, ValueError):  # a minimum, a higher saddle, or lost
            continue
    return None, "no saddle of first order"


def _finished(atoms: Atoms, kind: str) -> Atoms:
    """Copy without calculator, wrapped into the cell, forces in an array."""
    forces = atoms.get_forces()
    done = atoms.copy()
    done.calc = None
    done.wrap()
    done.set_array("forces", forces)
    done.info["family"] = kind
    return done
