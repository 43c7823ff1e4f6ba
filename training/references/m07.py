"""M07: a Finnis–Sinclair potential of iron from its table, here Marinica 2007.

The table (LAMMPS ``eam/fs``, one element) gives F(ρ), ψ(r) and r φ(r) on regular grids. Each
becomes a quintic spline, whose second derivative is smooth; φ = (rφ)/r and its derivatives follow
analytically. Only a table with clean digits gives clean second derivatives. That of Marinica 2007
does, to better than 0.01 k_B in entropies: Malerba et al., J. Nucl. Mater. 406, 19 (2010);
Marinica, Willaime, Crocombette, Phys. Rev. Lett. 108, 025501 (2012); OpenKIM MO_466808877130_000.

Checked: a0 = 2.85528 Å, cohesive energy −4.122398 eV.
"""

from pathlib import Path

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline

from training.references.eam import EAM

Array = NDArray[np.float64]


@njit(cache=True)
def _evaluate(x: Array, step: float, coefficients: Array, outside: bool) -> Array:
    """Value and three derivatives (4, n) of a piecewise quintic on a regular grid from 0.

    Beyond the grid the last piece continues if `outside`, and the function is 0 otherwise.
    """
    out = np.zeros((4, len(x)))
    n = len(coefficients)
    for p in range(len(x)):
        k = int(x[p] / step)
        if k >= n:
            if not outside:
                continue
            k = n - 1
        t = x[p] - k * step
        c = coefficients[k]
        out[0, p] = c[0] + t * (c[1] + t * (c[2] + t * (c[3] + t * (c[4] + t * c[5]))))
        out[1, p] = c[1] + t * (2 * c[2] + t * (3 * c[3] + t * (4 * c[4] + t * 5 * c[5])))
        out[2, p] = 2 * c[2] + t * (6 * c[3] + t * (12 * c[4] + t * 20 * c[5]))
        out[3, p] = 6 * c[3] + t * (24 * c[4] + t * 60 * c[5])
    return out


def _pieces(values: Array, step: float) -> Array:
    """Taylor coefficients (n − 1, 6) of the quintic spline through `values` at each grid point."""
    grid = step * np.arange(len(values))
    spline = make_interp_spline(grid, values, k=5)
    factorial = np.array([1.0, 1.0, 2.0, 6.0, 24.0, 120.0])
    return np.stack([spline(grid[:-1], nu=k) / factorial[k] for k in range(6)], axis=1)


class TabulatedFunctions:
    """φ, ψ and F from a one-element Finnis–Sinclair table.

    Parameters
    ----------
    file : str or Path
        LAMMPS ``eam/fs`` table of one element.

    Raises
    ------
    FileNotFoundError
        No such file.
    ValueError
        Not a complete table of one element.
    """

    def __init__(self, file: str | Path) -> None:
        lines = Path(file).read_text(encoding="utf-8", errors="replace").splitlines()
        try:
            self.element, self.cutoff, tables = _parse(lines)
        except (IndexError, ValueError) as error:
            raise ValueError(
                f"cannot read {str(file)!r} as a potential table ({error}); "
                "give a LAMMPS eam/fs file of one element"
            ) from error
        (self._drho, embedding), (self._dr, density), (_, r_phi) = tables
        self._embedding = _pieces(embedding, self._drho)
        self._density = _pieces(density, self._dr)
        self._r_phi = _pieces(r_phi, self._dr)

    def pair(self, r: Array) -> Array:
        """φ to φ‴ (eV, eV/Å, eV/Å², eV/Å³), shape (4, n), at the distances r (Å)."""
        u0, u1, u2, u3 = _evaluate(r, self._dr, self._r_phi, False)
        phi = u0 / r
        slope = (u1 - phi) / r
        curvature = (u2 - 2 * slope) / r
        return np.stack([phi, slope, curvature, (u3 - 3 * curvature) / r])

    def density(self, r: Array) -> Array:
        """ψ to ψ‴, shape (4, n), at the distances r (Å)."""
        return np.asarray(_evaluate(r, self._dr, self._density, False))

    def embedding(self, rho: Array) -> Array:
        """F to F‴ (eV), shape (4, n), at the densities rho."""
        return np.asarray(_evaluate(rho, self._drho, self._embedding, True))


def _parse(lines: list[str]) -> tuple[str, float, list[tuple[float, Array]]]:
    """Element, cutoff and the (step, values) of F, ψ and rφ."""
    names = lines[3].split()
    if names[0] != "1" or len(names) != 2:
        raise ValueError(f"its line of elements is {lines[3].strip()[:40]!r}, not one element")
    n_rho, d_rho, n_r, d_r, cutoff = (float(x) for x in lines[4].split())
    numbers = np.array(" ".join(lines[6:]).split(), dtype=float)
    need = int(n_rho) + 2 * int(n_r)
    if len(numbers) < need or not np.isfinite(numbers).all():
        raise ValueError(f"{len(numbers)} numbers where {need} were announced")
    embedding, density, r_phi = np.split(numbers[:need], [int(n_rho), int(n_rho) + int(n_r)])
    return names[1], cutoff, [(d_rho, embedding), (d_r, density), (d_r, r_phi)]


class M07(EAM):
    """ASE calculator of a tabulated Finnis–Sinclair potential.

    Parameters
    ----------
    file : str or Path
        LAMMPS ``eam/fs`` table of one element, for instance Marinica 2007.
    skin : float
        Å by which the neighbour list exceeds the cutoff.
    """

    def __init__(self, file: str | Path, skin: float = 0.4) -> None:
        super().__init__(TabulatedFunctions(file), skin)
