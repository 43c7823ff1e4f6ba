"""The recipe of `thiry generate`: a checked TOML file.

[reference] potential, file      [cells] lattice, sizes, element, a0
[[family]]  kind, vacancies, interstitials, radius, count; by kind temperature, steps, walks, strain
[hessian]   method, distance, labels    [output] folder, seed
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.config import (
    REQUIRED,
    Checker,
    Key,
    check_table,
    integer,
    listing,
    read_toml,
    real,
    span,
    text,
)
from training.label import DISTANCE, EXTRAS, METHODS

KINDS = ("random_cluster", "annealed", "saddle_walk", "saddle", "strained", "mixed")
LABELS = ("total", *EXTRAS)

_REFERENCE = {"potential": Key(text()), "file": Key(text(), None)}
_CELLS = {
    "lattice": Key(text("bcc"), "bcc"),
    "sizes": Key(listing(integer(4, 64))),
    "element": Key(text(), "Fe"),
    "a0": Key(real(1.0, 10.0, "Å"), None),
}
_COMMON = {
    "kind": Key(text(*KINDS)),
    "vacancies": Key(span(integer(0, 1000)), (0, 0)),
    "interstitials": Key(span(integer(0, 1000)), (0, 0)),
    "radius": Key(span(real(0.5, 100.0, "Å")), (3.2, 9.0)),
    "count": Key(integer(1)),
    "c15_share": Key(real(0.0, 1.0), 0.0),
}
_BY_KIND: dict[str, dict[str, Key]] = {
    "random_cluster": {},
    "mixed": {},
    "saddle": {},
    "annealed": {
        "temperature": Key(span(real(1.0, 5000.0, "K")), (300.0, 1200.0)),
        "steps": Key(span(integer(1, 1_000_000)), (100, 300)),
    },
    "saddle_walk": {"walks": Key(span(integer(1, 1000)), (1, 3))},
    "strained": {"strain": Key(real(1e-6, 0.1), 0.02)},
}
_HESSIAN = {
    "method": Key(text(*METHODS), "analytic"),
    "distance": Key(real(1e-4, 0.1, "Å"), DISTANCE),
    "labels": Key(listing(text(*LABELS)), ("total",)),
}
_OUTPUT = {"folder": Key(text()), "seed": Key(integer(0), 1)}


@dataclass(frozen=True)
class Family:
    """Configurations of one kind.

    Attributes
    ----------
    kind : str
        "random_cluster", "annealed", "saddle_walk", "saddle", "strained" or "mixed".
    vacancies, interstitials : (int, int)
        Lowest and highest numbers.
    radius : (float, float)
        Of the sphere that holds the defects, Å.
    count : int
        Attempts; duplicates and failures are among them.
    c15_share : float
        Chance that two interstitials start as a C15 unit.
    temperature : (float, float)
        Of the annealing, K.
    steps : (int, int)
        Time steps of the annealing, 2 fs each.
    walks : (int, int)
        Saddles tried in a row (`training.saddle_walk`).
    strain : float
        Largest component of the strain tensor; 0 for the perfect crystal's own cell.
    """

    kind: str
    vacancies: tuple[int, int]
    interstitials: tuple[int, int]
    radius: tuple[float, float]
    count: int
    c15_share: float = 0.0
    temperature: tuple[float, float] = (0.0, 0.0)
    steps: tuple[int, int] = (0, 0)
    walks: tuple[int, int] = (0, 0)
    strain: float = 0.0


@dataclass(frozen=True)
class Recipe:
    """What to generate.

    Attributes
    ----------
    potential : str
        Name of a registered reference potential.
    file : str or None
        Its table, for those that need one.
    element, lattice : str
    a0 : float or None
        Lattice constant, Å; the potential's own when None.
    sizes : tuple of int
        Cubic cells per side; drawn with equal chance.
    families : tuple of Family
    method : str
        Of the Hessian.
    eigenvalues : bool
        Whether to keep its eigenvalues.
    folder : str
        Where to write, relative to the current directory.
    seed : int
    distance : float
        Displacement of the Hessian's differences, Å.
    sites, gradient : bool
        Whether to make site entropies, and gradients of the entropy.
    """

    potential: str
    file: str | None
    element: str
    lattice: str
    a0: float | None
    sizes: tuple[int, ...]
    families: tuple[Family, ...]
    method: str
    eigenvalues: bool
    folder: str
    seed: int
    distance: float = DISTANCE
    sites: bool = False
    gradient: bool = False

    @property
    def extras(self) -> tuple[str, ...]:
        """Labels beyond the total, of `training.label.EXTRAS`."""
        return tuple(name for name in EXTRAS if getattr(self, name))

    @property
    def hessian(self) -> tuple[str, float]:
        """Method and distance of the Hessian."""
        return self.method, self.distance


def read_recipe(path: str | Path) -> Recipe:
    """Read and check a recipe.

    Parameters
    ----------
    path : str or Path
        TOML file. A relative ``file`` of the potential is looked for beside it, ``~`` is the
        user's home.

    Returns
    -------
    Recipe

    Raises
    ------
    FileNotFoundError
        No such recipe, or no such table.
    ValueError
        Anything else that is wrong with it, in one sentence.
    """
    recipe = parse_recipe(read_toml(path))
    if recipe.file is None:
        return recipe
    table = Path(path).parent / Path(recipe.file).expanduser()
    if not table.is_file():
        raise FileNotFoundError(2, "no such potential table", str(table))
    return Recipe(**{**vars(recipe), "file": str(table.resolve())})


def parse_recipe(document: Mapping[str, Any]) -> Recipe:
    """Check the contents of a recipe.

    Parameters
    ----------
    document : mapping
        Tables as read from TOML.

    Returns
    -------
    Recipe

    Raises
    ------
    ValueError
        Unknown, missing or wrong keys; families without defects; labels that saddles do not have.
    """

    def table(schema: dict[str, Key]) -> Checker:
        return lambda value, where: check_table(value, schema, f"[{where.split(chr(39))[1]}]")

    top = check_table(
        document,
        {
            "reference": Key(table(_REFERENCE)),
            "cells": Key(table(_CELLS)),
            "family": Key(listing(_family)),
            "hessian": Key(table(_HESSIAN), check_table({}, _HESSIAN, "[hessian]")),
            "output": Key(table(_OUTPUT)),
        },
        "the recipe",
    )
    labels = set(top["hessian"]["labels"])
    if labels - {"total"} and any(family.kind == "saddle" for family in top["family"]):
        raise ValueError(
            f"saddles have no label {min(labels - {'total'})!r}; give families of saddles a recipe "
            "of their own, with total alone"
        )
    return Recipe(
        **top["reference"],
        **top["cells"],
        families=top["family"],
        method=top["hessian"]["method"],
        distance=top["hessian"]["distance"],
        eigenvalues="eigenvalues" in labels,
        sites="sites" in labels,
        gradient="gradient" in labels,
        **top["output"],
    )


def _family(value: Any, where: str) -> Family:
    if not isinstance(value, Mapping) or value.get("kind", REQUIRED) is REQUIRED:
        raise ValueError(f"{where} has no kind; expected one of {', '.join(KINDS)}")
    kind = _COMMON["kind"].check(value["kind"], f"'kind' in {where}")
    family = Family(**check_table(value, {**_COMMON, **_BY_KIND[kind]}, where))
    if family.vacancies[1] + family.interstitials[1] == 0:
        raise ValueError(f"{where} has no vacancies and no interstitials; give at least one")
    if kind == "mixed" and 0 in (family.vacancies[0], family.interstitials[0]):
        raise ValueError(f"{where} is mixed; give at least one vacancy and one interstitial")
    return family
