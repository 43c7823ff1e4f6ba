"""The effective pair potential of a material: the springs of `LocalLogDet`, fitted to forces.

    F_i ≈ Σ_j u'(r_ij) n_ij,    u(r) = Σ_k c_k B_k(r)

by least squares over atoms of structures not far from the crystal, with a penalty on the third
derivative where distances are rare. For an embedded-atom potential it finds φ + 2 F'(ρ_0) ψ, its
effective pair potential at the density of the crystal (Johnson, Phys. Rev. B 37, 3924 (1988)),
without being told the parts. Checked: AM04 within 2 % in u'' at the bonds of the crystal.
"""

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from thiry_calc.descriptors.local_log_det import spline_basis
from thiry_calc.neighbors import neighbors_of

Array = NDArray[np.float64]


def fit_effective_pair(
    frames: Sequence[Atoms], r_cut: float, r_min: float, n_functions: int, smoothness: float = 1e-4
) -> tuple[float, ...]:
    """Coefficients of an effective pair potential.

    Parameters
    ----------
    frames : sequence of Atoms
        With forces, eV/Å.
    r_cut, r_min : float
        Å.
    n_functions : int
        Of `thiry_calc.descriptors.local_log_det.spline_basis`.
    smoothness : float
        Weight of (u''')² (eV/Å³) over the interval beside the squares of the forces (eV/Å).

    Returns
    -------
    tuple of float
        eV.

    Raises
    ------
    ValueError
        Without frames.
    """
    if not frames:
        raise ValueError("an effective pair potential needs structures with forces; none given")
    basis = spline_basis(r_min, r_cut, n_functions)
    gram, projection, n_rows = np.zeros((n_functions, n_functions)), np.zeros(n_functions), 0
    for atoms in frames:
        rows = _rows(atoms, basis.derivative(), r_cut)
        gram += rows.T @ rows
        projection += rows.T @ atoms.get_forces().ravel()
        n_rows += len(rows)
    points = np.linspace(r_min, r_cut, 4 * n_functions)
    bend = basis.derivative(3)(points)
    gram += smoothness * n_rows / len(points) * bend.T @ bend
    return tuple(np.linalg.solve(gram, projection).tolist())


def _rows(atoms: Atoms, slope: object, r_cut: float) -> Array:
    """Return the forces of each basis function, shape (3N, n_functions)."""
    nl = neighbors_of(atoms, r_cut)
    r = np.linalg.norm(nl.vectors, axis=1)
    values = slope(r)  # type: ignore[operator]
    out = np.zeros((len(atoms), 3, values.shape[1]))
    np.add.at(out, nl.center, (nl.vectors / r[:, None])[:, :, None] * values[:, None, :])
    return out.reshape(3 * len(atoms), -1)
