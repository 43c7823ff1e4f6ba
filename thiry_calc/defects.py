"""Point defects and small clusters in cubic metals, unrelaxed, by name.

Positions are built in units of the lattice constant around the lattice site nearest the centre of
a periodic supercell of size³ cubic cells. A defect is a set of sites emptied and of atoms inserted,
so that the number of atoms is N0 + interstitials − vacancies.

The C15 clusters follow Marinica, Willaime and Crocombette, Phys. Rev. Lett. 108, 025501 (2012):
with a C15 lattice constant of 2 a0 and parallel axes, the A (diamond) sites of the Laves phase fall
on bcc sites. A Z16 Frank–Kasper polyhedron around one A site keeps its four A neighbours, empties
the other four first and all six second neighbours, and inserts twelve B atoms: 12 − 10 = 2
interstitials; k of them on neighbouring A sites make 2k (18 − 14 = 4, 24 − 18 = 6, 30 − 22 = 8) and
a single B atom of one more polyhedron makes odd numbers. Of the fillings we tried, these relax to
the lowest energies. Formation energies at 1024 sites for 2 to 8 interstitials: M07 6.59, 8.58, 9.02
(2 eV below parallel dumbbells, as published), 11.12, 12.12, 14.23 and 15.28 eV; AM04 7.62, 9.62,
10.83, 12.93, 14.39, 16.53 and 18.01 eV.
"""

import numpy as np
from ase import Atoms
from ase.build import bulk
from numpy.typing import NDArray

Array = NDArray[np.float64]
Shape = tuple[Array, Array]  # sites emptied, atoms inserted: (n, 3) each, in a0, about the centre

STANDARD: tuple[str, ...] = (
    "vacancy",
    "divacancy_1nn",
    "divacancy_2nn",
    "divacancy_3nn",
    "trivacancy",
    "tetravacancy",
    "dumbbell_110",
    "dumbbell_111",
    "dumbbell_100",
    "octahedral",
    "cluster_110_2",
    "cluster_110_3",
    "cluster_110_4",
    "cluster_111_2",
    "cluster_111_3",
    "cluster_111_4",
    "c15_2",
    "c15_3",
    "c15_4",
)
"""The standard set of defects of bcc crystals, in the order in which scans print them."""

STANDARD_FCC: tuple[str, ...] = (
    "vacancy",
    "divacancy_1nn",
    "divacancy_2nn",
    "divacancy_3nn",
    "trivacancy",
    "tetravacancy",
    "dumbbell_110",
    "dumbbell_111",
    "dumbbell_100",
    "octahedral",
)
"""Those of them that fcc crystals have."""

LARGER_CLUSTERS: tuple[str, ...] = tuple(
    f"{kind}_{n}" for kind in ("cluster_110", "cluster_111", "c15") for n in (5, 6, 7, 8)
)
"""Further interstitial clusters of bcc crystals that have a name."""

NAMES = {"bcc": (*STANDARD, *LARGER_CLUSTERS), "fcc": STANDARD_FCC}
"""All named defects of each lattice."""

_DIVACANCY = {
    "bcc": ([0.5, 0.5, 0.5], [1, 0, 0], [1, 1, 0]),
    "fcc": ([0.5, 0.5, 0], [1, 0, 0], [1, 0.5, 0.5]),
}
_COMPACT_VACANCIES = {  # bcc: bonds 1nn, 1nn, 2nn and a tetrahedron; fcc: all first neighbours
    "bcc": ([0, 0, 0], [0.5, 0.5, 0.5], [1, 0, 0], [0.5, 0.5, -0.5]),
    "fcc": ([0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]),
}
_OCTAHEDRAL = {"bcc": [0.5, 0.5, 0.0], "fcc": [0.5, 0.5, 0.5]}
# Direction and half length, in a0, of the dumbbells before relaxation.
DUMBBELLS = {
    "bcc": {"110": ([1, 1, 0], 0.38), "111": ([1, 1, 1], 0.42), "100": ([1, 0, 0], 0.36)},
    "fcc": {"110": ([1, 1, 0], 0.28), "111": ([1, 1, 1], 0.36), "100": ([1, 0, 0], 0.30)},
}
# Sites of compact bundles: rows that are neighbours in the plane normal to the dumbbells' axis.
_BUNDLE = {
    "110": (
        [0, 0, 0], [0.5, -0.5, 0.5], [0.5, -0.5, -0.5], [1, -1, 0],
        [0, 0, 1], [1, -1, 1], [0, 0, -1], [1, -1, -1],
    ),
    "111": (  # 7 is a row with its six neighbours
        [0, 0, 0], [0.5, 0.5, -0.5], [1, 0, 0], [0.5, -0.5, 0.5],
        [0, 0, 1], [-0.5, 0.5, 0.5], [0, 1, 0], [1, 0, -1],
    ),
}  # fmt: skip
# C15 clusters: A sites that get a Z16 polyhedron and their orientation, and the atom of odd numbers
_Z16_SITES = (([0, 0, 0], 1), ([0.5, 0.5, 0.5], -1), ([0.5, -0.5, -0.5], -1), ([1, 0, 1], 1))
_ODD = {3: [1.25, 0.75, 0.75], 5: [-1.25, -0.25, 0.25], 7: [1.25, -0.25, 1.75]}


def supercell(a0: float, size: int, element: str = "Fe", lattice: str = "bcc") -> Atoms:
    """Perfect crystal of size×size×size cubic cells.

    Parameters
    ----------
    a0 : float
        Lattice constant, Å.
    size : int
        Cubic cells per side.
    element : str
        Chemical symbol.
    lattice : {"bcc", "fcc"}
        Crystal structure.

    Returns
    -------
    Atoms
        Periodic, with ``info["n_sites"]``.

    Raises
    ------
    ValueError
        Lattice constant or size not positive, unknown lattice.
    """
    if lattice not in _DIVACANCY:
        raise ValueError(f"unknown lattice {lattice!r}; expected 'bcc' or 'fcc'")
    if not (np.isfinite(a0) and a0 > 0):
        raise ValueError(f"the lattice constant is {a0} Å; give a positive number in Å")
    if size < 1:
        raise ValueError(f"the size is {size} cubic cells; give a positive integer")
    atoms = bulk(element, lattice, a=a0, cubic=True) * (size, size, size)
    atoms.info = {"n_sites": len(atoms)}
    return atoms


def bcc_supercell(a0: float, size: int, element: str = "Fe") -> Atoms:
    """Perfect bcc crystal of size×size×size cubic cells; see `supercell`."""
    return supercell(a0, size, element, "bcc")


def build(name: str, a0: float, size: int, element: str = "Fe", lattice: str = "bcc") -> Atoms:
    """Build an unrelaxed defect in a periodic supercell.

    Parameters
    ----------
    name : str
        One of `NAMES` of the lattice.
    a0 : float
        Lattice constant, Å.
    size : int
        Cubic cells per side, at least 4.
    element : str
        Chemical symbol.
    lattice : {"bcc", "fcc"}
        Crystal structure.

    Returns
    -------
    Atoms
        ``info`` has ``name`` and ``n_sites`` (sites of the perfect crystal of the same box).

    Raises
    ------
    ValueError
        Unknown name, or a box too small to hold the defect.
    """
    known = NAMES.get(lattice, STANDARD_FCC)
    if name not in known:
        raise ValueError(f"unknown {lattice} defect {name!r}; expected one of {', '.join(known)}")
    if size < 4:
        raise ValueError(
            f"a box of {size} cubic cells is too small for {name}; give a size of at least 4"
        )
    perfect = supercell(a0, size, element, lattice)
    emptied, inserted = _shape(name, lattice)
    atoms = insert(perfect, _centre(perfect), emptied * a0, inserted * a0)
    atoms.info["name"] = name
    return atoms


def _shape(name: str, lattice: str) -> Shape:
    """Sites emptied and atoms inserted by the defect `name`, in a0 about the central site."""
    kind, _, rest = name.partition("_")
    none = np.zeros((0, 3))
    if kind == "divacancy":
        return np.array([[0, 0, 0], _DIVACANCY[lattice][int(rest[0]) - 1]], float), none
    if kind in ("vacancy", "trivacancy", "tetravacancy"):
        n = {"vacancy": 1, "trivacancy": 3, "tetravacancy": 4}[kind]
        return np.array(_COMPACT_VACANCIES[lattice][:n], float), none
    if kind == "octahedral":
        return none, np.array([_OCTAHEDRAL[lattice]])
    if kind == "dumbbell":
        return _dumbbells(*DUMBBELLS[lattice][rest], np.zeros((1, 3)))
    if kind == "cluster":
        axis, number = rest.split("_")
        return _dumbbells(*DUMBBELLS[lattice][axis], np.array(_BUNDLE[axis][: int(number)], float))
    return _c15(int(rest))


def _dumbbells(direction: list[int], half: float, sites: Array) -> Shape:
    """Parallel dumbbells on `sites`."""
    arm = half * np.array(direction) / np.linalg.norm(direction)
    return sites, np.concatenate([sites + arm, sites - arm])


def z16(sign: int) -> Shape:
    """Z16 polyhedron about an A site of a C15 lattice.

    Parameters
    ----------
    sign : int
        +1 or −1: the two diamond sublattices see mirror images.

    Returns
    -------
    emptied, inserted : ndarray, shapes (10, 3) and (12, 3)
        Sites emptied and atoms inserted about the central site, in a0.
    """
    quarter = 0.25 * np.array(
        [[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=float
    )
    spokes = np.concatenate([quarter * (1 + 2 * np.eye(3)[a]) for a in range(3)])
    away = np.sign(quarter).prod(axis=1) == -sign  # the A neighbours sit where the product is sign
    axes = np.concatenate([np.eye(3), -np.eye(3)])
    inserted = spokes[np.sign(spokes).prod(axis=1) == -sign]
    return np.concatenate([2 * quarter[away], axes]), inserted


def _c15(n: int) -> Shape:
    """C15 cluster of n = 2 to 8 interstitials."""
    shapes = [np.array(site) + np.vstack(z16(sign)) for site, sign in _Z16_SITES[: n // 2]]
    emptied = _distinct(np.concatenate([shape[:10] for shape in shapes]))
    inserted = _distinct(np.concatenate([shape[10:] for shape in shapes]))
    return emptied, np.vstack([inserted, _ODD[n]]) if n % 2 else inserted


def _distinct(points: Array) -> Array:
    return np.unique(np.round(points, 6), axis=0)


def _centre(perfect: Atoms) -> Array:
    """Position of the lattice site nearest the middle of the box, Å."""
    middle = perfect.cell.array.sum(axis=0) / 2
    return np.array(perfect.positions[np.argmin(image_distances(perfect, middle))])


def image_distances(atoms: Atoms, point: Array) -> Array:
    """Distances of the atoms from a point, to their nearest images in a nearly cubic box.

    Parameters
    ----------
    atoms : Atoms
        N atoms.
    point : ndarray, shape (3,)
        Å.

    Returns
    -------
    ndarray, shape (N,)
        Å.
    """
    scaled = np.linalg.solve(atoms.cell.array.T, (atoms.positions - point).T).T
    scaled -= np.round(scaled)
    return np.linalg.norm(scaled @ atoms.cell.array, axis=1)


def insert(perfect: Atoms, centre: Array, emptied: Array, inserted: Array) -> Atoms:
    """Empty lattice sites and insert atoms.

    Parameters
    ----------
    perfect : Atoms
        The perfect crystal of one element.
    centre : ndarray, shape (3,)
        Origin of the two sets below, Å.
    emptied : ndarray, shape (n, 3)
        Sites to empty, Å.
    inserted : ndarray, shape (m, 3)
        Atoms to insert, Å.

    Returns
    -------
    Atoms

    Raises
    ------
    ValueError
        When a site to empty is not a site of the crystal.
    """
    drop = []
    for site in emptied:
        distance = image_distances(perfect, centre + site)
        if distance.min() > 0.1:
            raise ValueError(f"there is no lattice site at {centre + site} Å to empty")
        drop.append(int(np.argmin(distance)))
    atoms = perfect.copy()
    del atoms[sorted(set(drop))]
    if len(inserted):
        atoms += Atoms([perfect.symbols[0]] * len(inserted), positions=centre + inserted)
    return atoms
