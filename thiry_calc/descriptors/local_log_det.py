"""Local log-determinants of a spring network: the entropy of an atom among its clamped neighbours.

An effective pair potential u(r) makes of a structure a network of springs,

    A_ij = −K(D_ij),    A_ii = Σ_j K(D_ij),    K(D) = u''(r) n nᵀ + (u'(r)/r) (1 − n nᵀ)

and the feature of atom i is the logarithm of its Schur complement in the cluster C of atoms around
it, all others being clamped,

    s_i = ln|det(Ã_C + iε)| − ln|det(Ã_{C∖i} + iε)|,    Ã = h A h + κ (1 − h²)

where h_j = h(r_ij) falls from 1 to 0 over a window, so that atoms leave the cluster smoothly, and
the imaginary shift ε keeps s_i finite and smooth where the network is unstable. Bonds between two
atoms beyond a core are left out (A_jk → f_jk A_jk, f_jk = 1 − (1 − g_j)(1 − g_k), g falling from 1
to 0 at the border of the core), which changes s_i little and saves most of the time where clusters
are large. −½ s_i is the entropy of atom i with the atoms beyond the window held; summed over all
atoms one after the other, those already counted held as well, such terms give −½ ln det A exactly
(the chain rule of Gaussians). One conditional entropy per atom knows the force constants and the
logarithm, which polynomials of the neighbour density learn slowly; a linear model does the rest.

A change of position is felt by s_i within r_out + r_cut, not only within the list of
neighbours of i. u is a spline of degree 9 on equal intervals (so smooth that S has a Hessian, which
is five derivatives further on), with a ninefold zero at r_cut, below r_min continued by its first
piece. The elements are not told apart. Checked: against dense determinants, 1e-11; gradients, 2e-8.
"""

from dataclasses import dataclass
from functools import cached_property
from math import factorial
from typing import ClassVar

import numpy as np
import scipy.sparse
from ase import Atoms
from scipy.interpolate import BSpline

from thiry_calc.descriptors.base import Array, HyperParameters, as_neighbors, as_targets, chunks
from thiry_calc.descriptors.local_hessian import local_hessian
from thiry_calc.descriptors.log_det_kernels import add_diagonals, local_log_dets, on_site
from thiry_calc.neighbors import NeighborList, pair_forces_to_forces, strain_derivative

_CLAMP = 5.0  # κ, eV/Å²: any positive stiffness does
_DEGREE = 9


def spline_basis(r_min: float, r_cut: float, n_functions: int) -> BSpline:
    """B-splines of degree 9 on equal intervals, those that vanish smoothly at r_cut.

    Parameters
    ----------
    r_min, r_cut : float
        Å.
    n_functions : int

    Returns
    -------
    BSpline
        Its coefficients are the unit vectors: evaluated at r (M,) it gives (M, n_functions).
    """
    step = (r_cut - r_min) / n_functions
    knots = r_min + step * np.arange(-_DEGREE, n_functions + _DEGREE + 1)
    return BSpline(knots, np.eye(n_functions + _DEGREE)[:, :n_functions], _DEGREE)


@dataclass(frozen=True)
class LocalLogDet(HyperParameters):
    """Logarithms of local Schur complements of a spring network.

    Parameters
    ----------
    r_cut : float
        Range of the springs, Å.
    r_min : float
        Where the spline of u begins, Å.
    coefficients : tuple of float
        Of u in `spline_basis`, eV.
    windows : tuple of (float, float)
        r_in and r_out of each feature, Å: h is 1 below, 0 above.
    shift : float
        ε, eV/Å².
    core : (float, float)
        Radii between which g falls from 1 to 0, Å.

    Raises
    ------
    ValueError
        For hyper-parameters outside their range.
    """

    r_cut: float
    r_min: float
    coefficients: tuple[float, ...]
    windows: tuple[tuple[float, float], ...]
    shift: float = 0.3
    core: tuple[float, float] = (3.0, 4.0)

    type: ClassVar[str] = "local_log_det"
    hops: ClassVar[int] = 2

    def __post_init__(self) -> None:
        """Check the hyper-parameters."""
        windows = tuple((float(a), float(b)) for a, b in self.windows)
        if not 0 < self.r_min < self.r_cut < np.inf:
            raise ValueError(f"need 0 < r_min < r_cut, not {self.r_min!r} and {self.r_cut!r}")
        if not windows or not all(0 <= a < b <= self.r_cut for a, b in windows):
            raise ValueError(
                f"windows are pairs r_in < r_out up to r_cut = {self.r_cut:g} Å, "
                f"not {self.windows!r}"
            )
        core = (float(self.core[0]), float(self.core[1]))
        if not 0 < core[0] < core[1] < np.inf:
            raise ValueError(f"the core needs two radii 0 < r_in < r_out, not {core!r}")
        if not self.coefficients or not np.isfinite(self.coefficients).all() or self.shift <= 0:
            raise ValueError("need finite coefficients of u, and a shift above 0")
        object.__setattr__(self, "windows", windows)
        object.__setattr__(self, "core", core)
        object.__setattr__(self, "coefficients", tuple(float(c) for c in self.coefficients))

    @property
    def cutoff(self) -> float:
        """Length of the pairs it needs, Å."""
        return self.r_cut

    @property
    def n_features(self) -> int:
        """Number K of features."""
        return len(self.windows)

    @property
    def names(self) -> list[str]:
        """Names of the features, in order."""
        return [f"*: log det, {a:g}-{b:g} Å" for a, b in self.windows]

    @cached_property
    def _tables(self) -> tuple[float, float, float, Array]:
        """r_cut, r_min, the interval, and Taylor coefficients of u about the middles (n, 10)."""
        n = len(self.coefficients)
        basis = spline_basis(self.r_min, self.r_cut, n)
        u = BSpline(basis.t, basis.c @ np.array(self.coefficients), _DEGREE)
        step = (self.r_cut - self.r_min) / n
        middles = self.r_min + step * (np.arange(n) + 0.5)  # inside, where no derivative jumps
        taylor = [u(middles, nu=k) / factorial(k) for k in range(_DEGREE + 1)]
        return self.r_cut, self.r_min, step, np.stack(taylor, axis=1)

    def _evaluate(self, nl: NeighborList, mixed: Array) -> tuple[Array, Array]:
        """Features (N, K), and the pair forces of a mixture of them."""
        if nl.neighbor[: nl.first[nl.n_sites]].max(initial=-1) >= len(nl.first) - 1:
            raise ValueError(
                "the neighbours of some sites have no neighbour lists of their own; cut the list "
                "with sublist(..., hops=2)"
            )
        own = on_site(nl.first, nl.vectors, *self._tables)
        values, pair_forces, on_pairs, on_centers = local_log_dets(
            nl.first_of_sites, nl.neighbor, nl.vectors, own, *self._tables,
            np.array(self.windows), np.array(self.core), _CLAMP, self.shift, mixed,
            chunks(nl.n_sites),
        )  # fmt: skip
        if mixed.any():
            add_diagonals(
                nl.first, nl.neighbor, nl.vectors, *self._tables, on_pairs, on_centers, pair_forces
            )
        return values, pair_forces

    def values(self, structure: NeighborList | Atoms) -> Array:
        """Per-atom features.

        Parameters
        ----------
        structure : NeighborList or Atoms
            A neighbour list complete to at least `cutoff`.

        Returns
        -------
        ndarray, shape (N, K)
        """
        return self._evaluate(as_neighbors(structure, self.cutoff), np.zeros(self.n_features))[0]

    def pull(
        self, nl: NeighborList, weights: Array, mix: Array | None = None
    ) -> tuple[Array, Array]:
        """Site values and pair forces; see `Descriptor.pull`."""
        weights, mix, many = as_targets(weights, mix, self.n_features)
        values, pair_forces = self._evaluate(nl, mix @ weights)
        sites = values @ weights.T
        return (sites if many else sites[:, 0]), pair_forces

    def push(self, nl: NeighborList) -> tuple[Array, Array, Array]:
        """Return the summed design rows; see `Descriptor.push`."""
        total = np.empty(self.n_features)
        forces = np.empty((3 * len(nl), self.n_features))
        strain = np.empty((6, self.n_features))
        for k, unit in enumerate(np.eye(self.n_features)):
            values, slopes = self._evaluate(nl, unit)
            total[k] = values[:, k].sum()
            forces[:, k] = pair_forces_to_forces(nl.first, nl.neighbor, slopes).ravel()
            strain[:, k] = strain_derivative(nl.vectors, slopes)
        return total, forces, strain

    def curve(self, nl: NeighborList, weights: Array) -> scipy.sparse.csr_array:
        """Return the Hessian, by differences; see `local_hessian`."""
        return local_hessian(self, nl, weights)
