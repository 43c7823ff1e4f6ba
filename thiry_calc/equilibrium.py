"""Equilibrium concentrations of defects, and how many ways a defect has to sit on a site.

    c(T) = g exp(−A_f(T) / k_B T)        per lattice site, for c ≪ 1

(at constant volume, harmonic). A defect whose symmetry group has the order |G| among the 48
operations of the cubic point group has g = 48/|G| distinct orientations and positions per site:
its orbit under the space group. In bcc: vacancy 1, ⟨110⟩, ⟨111⟩ and ⟨100⟩ dumbbells 6, 4 and 3,
octahedral interstitial 3, first-neighbour divacancy 4.

The symmetry is that of the relaxed structure, seen through its coarse shape: the sites left empty
and the atoms that sit on no site.
"""

from itertools import permutations, product

import numpy as np
from ase import Atoms, units
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from thiry_calc.crystals import Box

Array = NDArray[np.float64]

_OFF_SITE = 0.25  # an atom farther than this from all sites is on none, in nearest distances
_MATCH = 0.06  # two points of a shape are the same, in lattice constants


def cubic_operations() -> Array:
    """Return the 48 operations of the cubic point group, shape (48, 3, 3)."""
    signs = [np.diag(s) for s in product((1.0, -1.0), repeat=3)]
    return np.array([s @ np.eye(3)[list(p)] for p in permutations(range(3)) for s in signs])


def degeneracy(atoms: Atoms, box: Box) -> int:
    """Count the distinct orientations and positions of a defect per lattice site.

    Parameters
    ----------
    atoms : Atoms
        The relaxed defect; one compact defect, smaller than the box.
    box : Box
        Its commensurate crystal, see `thiry_calc.crystals.crystal_of_box`.

    Returns
    -------
    int
        48/|G|, from 1 to 48; 1 for a perfect crystal.
    """
    empty, extra = _shape(atoms, box)
    points = np.concatenate([empty, extra])
    if len(points) == 0:
        return 1
    centre = points.mean(axis=0)
    primitive = box.primitive @ np.linalg.inv(box.conventional)
    kinds = (empty - centre, extra - centre)
    order = 0
    for operation in cubic_operations():
        # it keeps the lattice when, about the centre, it moves the origin by a lattice vector
        shift = np.linalg.solve(primitive.T, centre - operation @ centre)
        on_lattice = np.linalg.norm((shift - np.rint(shift)) @ primitive) < _MATCH
        order += bool(on_lattice and all(_same_points(k @ operation.T, k) for k in kinds))
    return 48 // order


def _shape(atoms: Atoms, box: Box) -> tuple[Array, Array]:
    """Empty sites (n, 3) and atoms on no site (m, 3), in cubic lattice constants from a site."""
    inverse = np.linalg.inv(atoms.cell.array)
    sites = (box.perfect.positions - box.origin) @ inverse % 1.0 % 1.0
    placed = (atoms.positions - box.origin) @ inverse % 1.0 % 1.0
    nearest = np.linalg.norm(box.primitive, axis=1).min()
    # 27 images make distances right in skewed cells too
    images = np.array(list(product((-1, 0, 1), repeat=3)))
    radius = _OFF_SITE * nearest
    metric = atoms.cell.array
    occupied = _near(sites, placed, images, metric, radius)
    on_site = _near(placed, sites, images, metric, radius)
    points = np.concatenate([sites[~occupied], placed[~on_site]])
    if len(points):
        middle = np.angle(np.exp(2j * np.pi * points).mean(axis=0)) / (2 * np.pi)
        points = points - np.rint(points - middle)  # no defect across the boundary
    cubic = points @ metric @ np.linalg.inv(box.conventional)
    n_empty = int((~occupied).sum())
    return cubic[:n_empty], cubic[n_empty:]


def _near(
    points: Array, others: Array, images: NDArray[np.int64], metric: Array, radius: float
) -> NDArray[np.bool_]:
    """Whether each of the fractional `points` has one of `others` within `radius` (Å)."""
    reach = radius * np.linalg.norm(np.linalg.inv(metric), axis=0)  # of fractional coordinates
    shown = []
    for image in images:
        placed = others + image
        shown.append(placed[np.all((placed >= -reach) & (placed <= 1 + reach), axis=1)])
    tree = cKDTree(np.concatenate(shown) @ metric)
    distances, _ = tree.query(points @ metric, distance_upper_bound=radius)
    return np.isfinite(distances)


def _same_points(first: Array, second: Array) -> bool:
    """Whether two sets of points, of equal number, coincide within the tolerance."""
    if len(first) == 0:
        return True
    distances, partners = cKDTree(second).query(first)
    return bool(distances.max() < _MATCH and len(set(partners)) == len(second))


def concentration(free_energy: float, temperature: float, multiplicity: int = 1) -> float:
    """Return g exp(−A_f / k_B T), per lattice site.

    Parameters
    ----------
    free_energy : float
        A_f(T), eV.
    temperature : float
        K; at 0 K the concentration is 0.
    multiplicity : int
        g.

    Returns
    -------
    float
    """
    if temperature == 0:
        return 0.0
    # the bound keeps the exponential of an unstable crystal (A_f < 0) a finite number
    exponent = min(-free_energy / (units.kB * temperature), 500.0)
    return float(multiplicity * np.exp(exponent))
