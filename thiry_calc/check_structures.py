"""Structures on which a calculator is checked: made to be awkward, from elements and a lattice.

``bulk``     a rattled crystal, compressed by 2 %: the relative error of no stress is rounding
``skewed``   a cell much smaller than the cutoff, sheared: atoms meet their own images
``slab``     periodic in two directions, with atoms outside the cell
``cluster``  no cell at all
"""

import itertools

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_numbers, covalent_radii

from thiry_calc.neighbors import neighbors_of
from thiry_calc.potential import Potential

RATTLE = 0.05  # Å
# no pair is so close to a cutoff that differences would step over the jump of a third derivative
MARGIN = 0.022  # Å


def structures_of(potential: Potential, seed: int = 0) -> dict[str, Atoms]:
    """Make the structures for a potential, with its elements and its crystal.

    Parameters
    ----------
    potential : Potential
        Without a crystal, bcc at the distance of the covalent radii is taken.
    seed : int
        Of the displacements and of the places of the elements.

    Returns
    -------
    dict of str to Atoms
    """
    rng = np.random.default_rng(seed)
    crystal = perfect_crystal(potential)
    compressed = crystal.copy()
    compressed.set_cell(0.98 * crystal.cell.array, scale_atoms=True)
    slab = crystal.copy()
    slab.pbc = (True, True, False)
    slab.positions[:, 2] -= 0.4 * slab.cell.lengths()[2]
    skewed = crystal[:2]
    skewed.cell = np.array([[1.0, 0.1, 0.0], [0.9, 1.1, 0.1], [-0.8, 0.7, 1.0]]) @ (
        crystal.cell.array / 2
    )
    out = {
        "bulk": compressed,
        "skewed": skewed,
        "slab": slab,
        "cluster": Atoms(crystal.symbols[:9], positions=crystal.positions[:9]),
    }
    for atoms in out.values():
        atoms.symbols = _assign(potential.elements, len(atoms), rng)
        _rattle(atoms, potential, rng)
    return out


def _rattle(atoms: Atoms, potential: Potential, rng: np.random.Generator) -> None:
    """Displace the atoms so that no pair is near a cutoff, as far as some trials allow."""
    cutoffs = {part.cutoff for part in potential.descriptor.parts}
    sites, best = atoms.positions.copy(), -1.0
    for _ in range(50):
        positions = sites + RATTLE * rng.uniform(-1, 1, sites.shape)
        trial = Atoms(atoms.symbols, positions=positions, cell=atoms.cell, pbc=atoms.pbc)
        r = np.linalg.norm(neighbors_of(trial, potential.cutoff + MARGIN).vectors, axis=1)
        gap = min(float(np.min(np.abs(r - r_cut), initial=1.0)) for r_cut in cutoffs)
        if gap > best:
            best, atoms.positions = gap, positions
        if best > MARGIN:
            return


def perfect_crystal(potential: Potential) -> Atoms:
    """Make 2×2×2 cubic cells of the crystal of a potential, of its first element."""
    crystal = potential.crystal
    if crystal is not None:
        lattice, a0 = crystal.lattice, crystal.a0
    else:
        radii = [covalent_radii[atomic_numbers[e]] for e in potential.elements]
        lattice, a0 = "bcc", 4 / np.sqrt(3) * float(np.mean(radii))
    return bulk(potential.elements[0], lattice, a=a0, cubic=True) * (2, 2, 2)


def _assign(elements: tuple[str, ...], n_atoms: int, rng: np.random.Generator) -> list[str]:
    """Put every element somewhere, at random places."""
    symbols = list(itertools.islice(itertools.cycle(elements), n_atoms))
    return [str(s) for s in rng.permutation(symbols)]


def trimers(elements: tuple[str, ...], r_cut: float) -> list[Atoms]:
    """Trimers of every composition whose last atom is at the cutoff of the first.

    Parameters
    ----------
    elements : tuple of str
    r_cut : float
        Å.

    Returns
    -------
    list of Atoms
        The third atom is at (r_cut, 0, 0) from the first; the second is 0.5 r_cut from the
        first and 0.87 r_cut from the third, so that three-body terms see all of them, but not
        within the smallest covalent radius, where nothing is smooth enough for differences.
    """
    smallest = min(covalent_radii[atomic_numbers[e]] for e in elements)
    distance = max(0.5 * r_cut, min(r_cut, smallest))
    corner = distance * np.array([0.5, np.sqrt(0.75), 0.0])
    positions = [np.zeros(3), corner, np.array([r_cut, 0.0, 0.0])]
    return [Atoms(list(s), positions=positions) for s in itertools.product(elements, repeat=3)]


def equivalents(atoms: Atoms, rng: np.random.Generator) -> dict[str, tuple[Atoms, int]]:
    """Make structures that are the same matter as `atoms`, and the number of copies in each.

    Parameters
    ----------
    atoms : Atoms
    rng : numpy Generator

    Returns
    -------
    dict of str to (Atoms, int)
        "translation", "inversion", and where it is periodic "supercell" and "equivalent cell";
        the atoms keep their order.
    """
    moved = atoms.copy()
    moved.positions += rng.normal(scale=3.0, size=3)
    inverted = atoms.copy()
    inverted.positions *= -1
    inverted.cell = -inverted.cell.array
    out = {"translation": (moved, 1), "inversion": (inverted, 1)}
    periodic = np.flatnonzero(atoms.pbc)
    if len(periodic) == 0:
        return out
    repeats = np.ones(3, dtype=int)
    repeats[periodic[0]] = 3
    repeats[periodic[-1]] = 2
    out["supercell"] = (atoms.repeat(repeats), int(np.prod(repeats)))
    other = atoms.copy()
    for a, b in itertools.pairwise(periodic):
        # adding one lattice vector to another leaves the lattice as it is
        other.cell[b] += 2 * other.cell[a]
    other.positions += rng.integers(-2, 3, size=(len(atoms), 3)) * atoms.pbc @ atoms.cell.array
    out["equivalent cell"] = (other, 1)
    return out
