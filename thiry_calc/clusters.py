"""Random clusters of vacancies and interstitials of varied compactness, unrelaxed.

Sites are drawn without repetition from the sphere of a given radius about a lattice site. An
interstitial is a dumbbell along ⟨110⟩, ⟨111⟩, ⟨100⟩ or any direction, or an atom at an octahedral,
a tetrahedral or any position; two interstitials can be one Z16 unit of a C15 cluster.
"""

from collections.abc import Callable, Sequence

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from thiry_calc.defects import DUMBBELLS, image_distances, insert, z16

Array = NDArray[np.float64]

CLOSEST = 1.2  # Å between any two atoms of an unrelaxed cluster
_TRIALS = 200


def random_cluster(
    perfect: Atoms,
    n_vacancies: int,
    n_interstitials: int,
    radius: float,
    rng: np.random.Generator,
    c15_share: float = 0.0,
) -> Atoms:
    """Vacancies and interstitials at random inside a sphere.

    Parameters
    ----------
    perfect : Atoms
        Perfect bcc crystal of cubic cells, possibly strained, with ``info["n_sites"]``.
    n_vacancies, n_interstitials : int
        Numbers of each.
    radius : float
        Of the sphere about a lattice site, Å; small spheres give compact clusters.
    rng : numpy.random.Generator
        Source of every choice.
    c15_share : float
        Chance that two of the interstitials are a Z16 unit of a C15 cluster.

    Returns
    -------
    Atoms
        No two atoms nearer than 1.2 Å; ``info`` has ``name`` and ``n_sites``.

    Raises
    ------
    ValueError
        When the sphere has fewer sites than defects, or no acceptable place is found.
    """
    centre = perfect.positions[rng.integers(len(perfect))]
    sites = perfect.positions[image_distances(perfect, centre) < radius]
    if len(sites) < n_vacancies + n_interstitials:
        raise ValueError(
            f"a sphere of {radius:.2f} Å holds {len(sites)} sites, fewer than "
            f"{n_vacancies + n_interstitials} defects; give a larger radius"
        )
    for _ in range(_TRIALS):
        chosen = list(rng.permutation(sites))
        atoms = perfect.copy()
        atoms.info["name"] = f"random_v{n_vacancies}_i{n_interstitials}"
        left = n_interstitials
        spacing = _spacing(perfect)
        if left >= 2 and rng.random() < c15_share:
            atoms, left = _add_z16(atoms, chosen.pop(), rng), left - 2
        try:
            atoms = insert(atoms, np.zeros(3), np.array(chosen[:n_vacancies]), np.zeros((0, 3)))
        except ValueError:
            continue  # the C15 unit has already emptied this site
        done: Atoms | None = atoms
        for site in chosen[n_vacancies : n_vacancies + left]:
            done = None if done is None else _add_interstitial(done, site, spacing, rng)
        if done is not None:
            return done
    raise ValueError(
        f"found no place for {n_interstitials} interstitials {CLOSEST} Å from all atoms within "
        f"{radius:.2f} Å; give a larger radius"
    )


def _spacing(perfect: Atoms) -> float:
    """Edge of the cubic cell that has the volume per atom of `perfect`; Å."""
    return float((2 * perfect.get_volume() / len(perfect)) ** (1 / 3))


def _equivalents(vector: Sequence[float] | Array) -> Callable[[np.random.Generator], Array]:
    """Return a drawer of equivalents of `vector` under permutations and changes of sign."""

    def draw(rng: np.random.Generator) -> Array:
        return np.array(rng.permutation(vector) * rng.choice([-1.0, 1.0], 3))

    return draw


def _anywhere(rng: np.random.Generator) -> Array:
    return np.array(rng.uniform(-0.5, 0.5, 3))


def _any_direction(rng: np.random.Generator) -> Array:
    vector = rng.normal(size=3)
    return np.array(0.36 * vector / np.linalg.norm(vector))


_ARMS = (
    *(
        _equivalents(half * np.array(d) / np.linalg.norm(d))
        for d, half in DUMBBELLS["bcc"].values()
    ),
    _any_direction,
)
_HOLES = (_equivalents([0.5, 0.5, 0.0]), _equivalents([0.5, 0.25, 0.0]), _anywhere)


def _add_z16(atoms: Atoms, site: Array, rng: np.random.Generator) -> Atoms:
    """Replace ten sites about `site` by twelve B atoms, in one of the two orientations."""
    emptied, inserted = z16(int(rng.choice([-1, 1])))
    # Strained cells: the unit follows the cell, so that its empty sites are lattice sites.
    cells = (atoms.info["n_sites"] / 2) ** (1 / 3)
    frame = atoms.cell.array / cells
    return insert(atoms, site, emptied @ frame, inserted @ frame)


def _add_interstitial(
    atoms: Atoms, site: Array, spacing: float, rng: np.random.Generator
) -> Atoms | None:
    """Insert one atom at or beside a site; None where no trial keeps its distance."""
    for _ in range(_TRIALS):
        kind = int(rng.integers(len(_ARMS) + len(_HOLES)))
        trial = atoms.copy()
        if kind < len(_ARMS):
            distances = image_distances(atoms, site)
            here = int(np.argmin(distances))
            if distances[here] > 0.1:
                continue  # an earlier interstitial has taken this site
            arm = spacing * _ARMS[kind](rng)
            moved = [site + arm, site - arm]
            trial.positions[here] = moved[0]
        else:
            moved = [site + spacing * _HOLES[kind - len(_ARMS)](rng)]
        trial += Atoms([atoms.symbols[0]], positions=moved[-1:])
        # Each moved atom finds itself at distance 0: the next one counts.
        if min(np.partition(image_distances(trial, p), 1)[1] for p in moved) > CLOSEST:
            return trial
    return None
