"""Descriptors that need nothing but the data: `fast`, `balanced`, `accurate`.

Cluster expansions of order three, functions chosen by total degree n − 1 + l, as many as the preset
allows per element, cut at multiples of the distance of nearest neighbours. Several cutoffs are
tried by cross-validation: close-packed metals want less than two such distances, open structures
more.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from thiry_calc.descriptors import ACE
from thiry_calc.neighbors import neighbors_of

_LONGEST = 4.0  # Å, of the distance of nearest neighbours
_MOST_STRUCTURES = 200
_HIGHEST_DEGREE = 20


@dataclass(frozen=True)
class Preset:
    """What a preset allows.

    Attributes
    ----------
    n_functions : int
        Per element, at most.
    cutoffs : tuple of float
        To try, in units of the distance of nearest neighbours.
    """

    n_functions: int
    cutoffs: tuple[float, ...]


PRESETS = {
    "fast": Preset(200, (1.85,)),
    "balanced": Preset(600, (1.85, 2.15)),
    "accurate": Preset(1400, (1.75, 1.95, 2.35)),
}


def nearest_distance(structures: Sequence[Atoms]) -> float:
    """Median distance of an atom's nearest neighbour, Å.

    Parameters
    ----------
    structures : sequence of Atoms
        Of which 200 at most are looked at, evenly spread.

    Raises
    ------
    ValueError
        When no atom has a neighbour within 4 Å.
    """
    step = max(1, len(structures) // _MOST_STRUCTURES)
    nearest = [d for atoms in structures[::step] for d in _nearest(atoms)]
    if not nearest:
        raise ValueError(
            f"no two atoms are within {_LONGEST:g} Å of each other, so that the cutoff cannot be "
            "chosen; give r_cut"
        )
    return float(np.median(nearest))


def _nearest(atoms: Atoms) -> list[float]:
    nl = neighbors_of(atoms, _LONGEST)
    lengths = np.linalg.norm(nl.vectors, axis=1)
    return [
        float(lengths[a:b].min()) for a, b in zip(nl.first[:-1], nl.first[1:], strict=True) if b > a
    ]


def cluster_expansion(n_functions: int, r_cut: float, elements: tuple[str, ...]) -> ACE:
    """Largest cluster expansion of order three, or less, within a number of functions.

    Many elements leave no room for products of three, or two, projections.

    Parameters
    ----------
    n_functions : int
        Per element.
    r_cut : float
        Å.
    elements : tuple of str

    Returns
    -------
    ACE
        Of degrees (d + 1, d + 1, d), (d + 1, d + 1) or (d + 1,).

    Raises
    ------
    ValueError
        When not even degree 1 of pairs fits.
    """
    channels = elements if len(elements) > 1 else None
    for order in (3, 2, 1):
        best = None
        for degree in range(1, _HIGHEST_DEGREE):
            trial = ACE(r_cut, (degree + 1, degree + 1, degree)[:order], elements=channels)
            if trial.n_features > n_functions * len(elements):
                break
            best = trial
        if best is not None:
            return best
    raise ValueError(
        f"{n_functions} functions are too few for {len(elements)} elements; give descriptors"
    )


def candidates(
    preset: str, structures: Sequence[Atoms], elements: tuple[str, ...], r_cut: float | None
) -> list[ACE]:
    """Descriptors that a preset tries.

    Parameters
    ----------
    preset : str
        One of `PRESETS`.
    structures : sequence of Atoms
    elements : tuple of str
    r_cut : float or None
        Å; None tries several.

    Returns
    -------
    list of ACE

    Raises
    ------
    ValueError
        An unknown preset; no neighbours to choose a cutoff by.
    """
    if preset not in PRESETS:
        raise ValueError(f"unknown preset {preset!r}; choose one of {', '.join(PRESETS)}")
    chosen = PRESETS[preset]
    if r_cut is not None:
        cutoffs = [r_cut]
    else:
        unit = nearest_distance(structures)
        cutoffs = [round(unit * c, 2) for c in chosen.cutoffs]
    return [cluster_expansion(chosen.n_functions, r, elements) for r in cutoffs]
