"""Reference energies of the elements, which a potential's energies are counted from.

Given; those of the isolated atoms among the structures; or fitted, E ≈ Σ_s N_s E_s by least
squares, which puts the mean cohesive energy into E_s and leaves isolated atoms out.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from thiry_calc.neighbors import neighbors_of
from training.dataset import Structure

Array = NDArray[np.float64]
Method = Literal["given", "isolated", "fit"]
E0 = Mapping[str, float] | Literal["fit", "isolated"] | None

_ITERATIONS = 30
_ALONE = 5.0  # Å: a single atom without a neighbour (or image) within is free


def is_free_atom(structure: Structure) -> bool:
    """Tell whether a structure is one atom without neighbours, not even its own images."""
    atoms = structure.atoms
    return len(atoms) == 1 and len(neighbors_of(atoms, _ALONE).neighbor) == 0


def free_atom_energies(
    structures: Sequence[Structure],
    elements: tuple[str, ...],
    e0: E0,
) -> tuple[Array, Method]:
    """Energies E_s of the elements.

    Parameters
    ----------
    structures : sequence of Structure
    elements : tuple of str
    e0 : mapping of str to float, "fit", "isolated" or None
        Energies in eV, or how to find them; None takes isolated atoms when there is one of every
        element, and fits otherwise.

    Returns
    -------
    energies : ndarray, shape (S,)
        eV.
    method : str
        "given", "isolated" or "fit".

    Raises
    ------
    ValueError
        An element without an energy, or no energies at all.
    """
    if isinstance(e0, Mapping):
        missing = [s for s in elements if s not in e0]
        if missing:
            raise ValueError(f"e0 has no energy of {missing[0]}, which the data contain; add it")
        return np.array([float(e0[s]) for s in elements]), "given"
    labelled = [one for one in structures if one.energy is not None]
    alone = {one.atoms.symbols[0]: one for one in labelled if is_free_atom(one)}
    missing = [s for s in elements if s not in alone]
    if e0 == "isolated" and missing:
        raise ValueError(
            f"no structure is an isolated atom of {missing[0]} with an energy; add one (a cell of "
            f'more than {_ALONE:g} Å), or say e0 = "fit"'
        )
    if e0 != "fit" and not missing:
        return np.array([alone[s].energy for s in elements], dtype=float), "isolated"
    return _fitted([one for one in labelled if not is_free_atom(one)], elements), "fit"


def _fitted(structures: Sequence[Structure], elements: tuple[str, ...]) -> Array:
    return _least_squares(*_per_atom(structures, elements))


def _least_squares(rows: Array, values: Array) -> Array:
    return np.asarray(np.linalg.lstsq(rows, values)[0], dtype=np.float64)


def usual_energies(structures: Sequence[Structure], elements: tuple[str, ...]) -> Array:
    """Usual energies of an atom of each element: of least absolute deviations.

    Parameters
    ----------
    structures : sequence of Structure
        Those without an energy are left out.
    elements : tuple of str

    Returns
    -------
    ndarray, shape (S,)
        eV; half the structures of an element alone are above.
    """
    shares, energies = _per_atom([one for one in structures if one.energy is not None], elements)
    weights: Array = np.ones(len(energies))
    found: Array = np.zeros(len(elements))
    for _ in range(_ITERATIONS):
        found = _least_squares(shares * weights[:, None], energies * weights)
        weights = 1 / np.sqrt(np.abs(energies - shares @ found) + 1e-6)
    return found


def _per_atom(structures: Sequence[Structure], elements: tuple[str, ...]) -> tuple[Array, Array]:
    """Share of each element (n, S), and energy per atom (n,)."""
    if not structures:
        raise ValueError("no structure has an energy; a potential cannot be fitted without")
    symbols = [np.array(one.atoms.get_chemical_symbols()) for one in structures]
    shares = np.array([[np.mean(s == e) for e in elements] for s in symbols], dtype=float)
    energies = np.array([float(one.energy or 0.0) for one in structures])
    return shares, energies / [len(one.atoms) for one in structures]
