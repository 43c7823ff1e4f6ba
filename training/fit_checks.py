"""Data that a fit could not do with are refused before it begins."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from thiry_calc.descriptors import Descriptor
from thiry_calc.neighbors import neighbors_of
from training.dataset import Structure
from training.rows import GroupWeight


def check_test_elements(tested: Sequence[Structure], elements: tuple[str, ...]) -> None:
    """Refuse test structures with elements that no fitted structure has.

    Parameters
    ----------
    tested : sequence of Structure
    elements : tuple of str
        Of the fitted ones.

    Raises
    ------
    ValueError
        Naming file and frame.
    """
    for one in tested:
        unknown = sorted(set(one.atoms.symbols) - set(elements))
        if unknown:
            raise ValueError(
                f"{one.source} is to be tested with and has {unknown[0]}, which no structure to be "
                f"fitted has; leave it out, or fit structures with {unknown[0]} too"
            )


def check_cutoffs(descriptors: Sequence[Descriptor], structures: Sequence[Structure]) -> None:
    """Refuse cutoffs within which no atom has a neighbour.

    Parameters
    ----------
    descriptors : sequence of Descriptor
    structures : sequence of Structure

    Raises
    ------
    ValueError
        Naming the cutoff.
    """
    for r_cut in {descriptor.cutoff for descriptor in descriptors}:
        if not any(len(neighbors_of(one.atoms, r_cut).neighbor) for one in structures):
            raise ValueError(
                f"no atom has a neighbour within the cutoff of {r_cut:g} Å; give a larger one"
            )


def check_energies_suffice(
    structures: Sequence[Structure],
    folds: NDArray[np.int64],
    elements: Sequence[str],
    groups: Mapping[str, GroupWeight],
) -> None:
    """Refuse energies that do not tell an element's constant once a fold is left out.

    Parameters
    ----------
    structures : sequence of n Structure
    folds : ndarray, shape (n,)
    elements : sequence of str
        Those whose constants are fitted.
    groups : mapping of str to GroupWeight

    Raises
    ------
    ValueError
        Naming the element.
    """
    weighed = [
        one.energy is not None and groups.get(one.group, GroupWeight()).energy > 0
        for one in structures
    ]
    for element in elements:
        own = [
            int(fold)
            for fold, one, used in zip(folds, structures, weighed, strict=True)
            if used and element in one.atoms.symbols
        ]
        if len(set(own)) < 2:
            raise ValueError(
                f"too few energies of {element} to leave some out in turn: {len(own)} of distinct "
                "structures to be fitted, with a weight above 0; add some, or give e0"
            )
