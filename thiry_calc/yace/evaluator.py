"""A small evaluator of .yace files, written from the format and not from our kernels.

    E = Σ_i E0_s + Σ_f Σ_m c̃_fm Re Π_t A_{μ_t n_t l_t m_t}(i)

with A of `thiry_calc.yace.expansion`. Harmonics are the textbook's Legendre functions by
`numpy.polynomial`, neighbours ASE's: it shares nothing with what it checks, and is slow.
Only the features that our files use: linear embedding, radial family ChebPow, no core repulsion.
"""

from math import factorial
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms
from ase.neighborlist import primitive_neighbor_list
from numpy.polynomial import chebyshev, legendre
from numpy.typing import NDArray

from thiry_calc.yace.text import check_supported

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]


class Values(NamedTuple):
    """Of one structure of N atoms.

    Attributes
    ----------
    energy : float
        eV.
    forces : ndarray, shape (N, 3)
        eV/Å.
    virial : ndarray, shape (3, 3)
        −∂E/∂ε, eV.
    magnitude : float
        Sum of the absolute values of all terms, eV: 1e-16 of it is lost to rounding.
    """

    energy: float
    forces: Array
    virial: Array
    magnitude: float


def evaluate(tree: dict[str, Any], atoms: Atoms, splines: bool = False) -> Values:
    """Energy, forces and virial of a structure.

    Parameters
    ----------
    tree : dict
        From `thiry_calc.yace.text.read`.
    atoms : Atoms
    splines : bool
        Take radial functions from cubic splines on a grid of ``deltaSplineBins``, as LAMMPS does.

    Returns
    -------
    Values
    """
    check_supported(tree)
    species = np.array([tree["elements"].index(s) for s in atoms.get_chemical_symbols()])
    bond = tree["bonds"][0, 0]
    i, j, vectors = primitive_neighbor_list(
        "ijD", atoms.pbc, atoms.cell, atoms.positions, float(bond["rcut"]), self_interaction=False
    )
    r = np.linalg.norm(vectors, axis=1)
    bins = float(tree["deltaSplineBins"]) if splines else None
    pairs = Pairs(
        species[j],
        vectors / r[:, None],
        r,
        *_radial(r, float(bond["rcut"]), int(bond["nradbasemax"]), bins),
        *_harmonics(vectors / r[:, None], int(bond["lmax"])),
    )
    energy, magnitude, on_pairs = 0.0, 0.0, np.zeros((len(i), 3))
    for center in range(len(atoms)):
        mine = np.flatnonzero(i == center)
        energy += tree["E0"][species[center]]
        if len(mine):
            value, size, on_pairs[mine] = _site(tree, species[center], pairs.of(mine))
            energy, magnitude = energy + value, magnitude + size
    forces = np.zeros((len(atoms), 3))
    np.add.at(forces, i, on_pairs)
    np.subtract.at(forces, j, on_pairs)
    return Values(float(energy), forces, -vectors.T @ on_pairs, magnitude)


class Pairs(NamedTuple):
    """Neighbours of atoms: species (J,), unit vectors (J, 3), distances (J,), and their functions.

    g_k and dg_k/dr have the shape (J, K); Y_lm (J, l, m) and their gradients (J, l, m, 3).
    """

    species: NDArray[np.int64]
    unit: Array
    r: Array
    g: Array
    dg: Array
    y: Complex
    dy: Complex

    def of(self, some: NDArray[np.int64]) -> "Pairs":
        """Return some of the pairs."""
        return Pairs(
            self.species[some],
            self.unit[some],
            self.r[some],
            self.g[some],
            self.dg[some],
            self.y[some],
            self.dy[some],
        )


def _site(tree: dict[str, Any], center: int, near: Pairs) -> tuple[float, float, Array]:
    """Energy of one atom without E0, its magnitude, and its derivatives by its pairs."""
    n_elements = len(tree["elements"])
    bonds = [tree["bonds"][center, a] for a in range(n_elements)]
    radial = np.array([b["radcoefficients"] for b in bonds], dtype=float)[near.species]  # (j,n,l,k)
    rnl, drnl = (np.einsum("jnlk,jk->jnl", radial, x) for x in (near.g, near.dg))
    highest = radial.shape[2] - 1
    one = np.eye(n_elements)[near.species]
    density = np.einsum("ja,jnl,jlm->anlm", one, rnl, near.y)
    slope = np.zeros(density.shape, dtype=complex)  # E = Re(...), dE = Re(slope·dA)
    on_g = np.zeros((n_elements, near.g.shape[1]))
    energy = magnitude = 0.0
    for f in tree["functions"].get(center, []):
        rank, mus, ls = f["rank"], np.array(f["mus"]), np.array(f["ls"])
        ns = np.array(f["ns"]) - 1
        c = np.array(f["ctildes"], dtype=float)
        if rank == 1:
            term = c[0] * float(near.g[near.species == mus[0], ns[0]].sum())
            energy, magnitude = energy + term, magnitude + abs(term)
            on_g[mus[0], ns[0]] += c[0]
            continue
        ms = np.array(f["ms_combs"]).reshape(-1, rank) + highest
        factors = density[mus, ns, ls, ms]  # (combinations, rank)
        terms = c * factors.prod(axis=1).real
        energy, magnitude = energy + float(terms.sum()), magnitude + float(np.abs(terms).sum())
        for t in range(rank):
            others = np.delete(factors, t, axis=1).prod(axis=1)
            np.add.at(slope, (mus[t], ns[t], ls[t], ms[:, t]), c * others)
    per_pair = slope[near.species]  # (j, n, l, m)
    along = np.einsum("jnlm,jnl,jlm->j", per_pair, drnl, near.y).real
    along += np.einsum("jk,jk->j", on_g[near.species], near.dg)
    across = np.einsum("jnlm,jnl,jlmc->jc", per_pair, rnl, near.dy).real
    across -= np.einsum("jc,jc->j", across, near.unit)[:, None] * near.unit
    return energy, magnitude, along[:, None] * near.unit + across / near.r[:, None]


def _radial(r: Array, r_cut: float, n: int, bins: float | None) -> tuple[Array, Array]:
    """Return g_k and dg_k/dr, shape (J, n), or their cubic Hermite splines."""
    if bins is None:
        return _chebyshev_power(r, r_cut, n)
    h = r_cut / int(r_cut / bins)
    left = np.floor(r / h)
    s = (r / h - left)[:, None]
    (f0, d0), (f1, d1) = (_chebyshev_power(h * (left + k), r_cut, n) for k in (0, 1))
    c2 = 3 * (f1 - f0) - h * (2 * d0 + d1)
    c3 = 2 * (f0 - f1) + h * (d0 + d1)
    value = f0 + s * (h * d0 + s * (c2 + s * c3))
    return value, d0 + s * (2 * c2 + 3 * s * c3) / h


def _chebyshev_power(r: Array, r_cut: float, n: int) -> tuple[Array, Array]:
    """Return g_k and dg_k/dr of the family ChebPow with exponent 1, shape (J, n)."""
    x = 2 * r / r_cut - 1  # 1 − 2u
    g = (1 - chebyshev.chebvander(x, n)[:, 1:]) / 2
    slopes = chebyshev.chebder(np.eye(n + 1)[1:].T)  # (n, n): of each T_k
    return g, -(chebyshev.chebvander(x, n - 1) @ slopes) / r_cut


def _harmonics(unit: Array, l_max: int) -> tuple[Complex, Complex]:
    """Y_lm with Y_00 = 1, m from −l_max, and their gradients in x, y, z off the sphere."""
    x, y, z = unit.T
    out = np.zeros((len(unit), l_max + 1, 2 * l_max + 1), dtype=complex)
    slopes = np.zeros((*out.shape, 3), dtype=complex)
    for l in range(l_max + 1):  # noqa: E741
        for m in range(l + 1):
            scale = np.sqrt((2 * l + 1) * factorial(l - m) / factorial(l + m)) * (-1) ** m
            series = legendre.legder(np.eye(l + 1)[l], m)
            p = scale * legendre.legval(z, series)
            dp = scale * legendre.legval(z, legendre.legder(series))
            power = (x + 1j * y) ** m
            lower = m * (x + 1j * y) ** max(m - 1, 0)
            value = p * power
            gradient = np.array([p * lower, 1j * p * lower, dp * power]).T
            out[:, l, l_max + m], slopes[:, l, l_max + m] = value, gradient
            if m:
                sign = (-1) ** m
                out[:, l, l_max - m] = sign * value.conj()
                slopes[:, l, l_max - m] = sign * gradient.conj()
    return out, slopes
