"""The effective pair potential of an embedded-atom potential: the springs of `LocalLogDet`.

    u(r) = φ(r) + 2 F'(ρ_0) ψ(r),    ρ_0 the density of an atom of the crystal

(Johnson, Phys. Rev. B 37, 3924 (1988)): what is left of the forces when densities stay near ρ_0,
and invariant under the gauge φ → φ − 2 g ψ, F → F + g ρ. It becomes a spline by least squares on u
and u'', from which entropies come. Pair potentials fitted to forces instead mix in the many-body
terms: held-out entropies then err three times as much.

Checked: AM04 with 200 functions from 2.1 Å on, 1e-3 eV/Å in u' and 0.3 eV/Å² in u'', at its kinks.
"""

import numpy as np
from ase import Atoms

from thiry_calc.descriptors.local_log_det import spline_basis
from thiry_calc.neighbors import neighbors_of
from training.references.eam import EAMFunctions

_POINTS = 3000
_CURVATURE = 0.1  # Å², weight of u'' beside u
_RIDGE = 1e-6
_LOOSE = 0.02  # weight below r_fit


def effective_pair(
    functions: EAMFunctions, crystal: Atoms, r_min: float, n_functions: int, r_fit: float
) -> tuple[float, ...]:
    """Coefficients of the effective pair potential.

    Parameters
    ----------
    functions : EAMFunctions
    crystal : Atoms
        The perfect crystal.
    r_min : float
        Where the spline begins, Å.
    n_functions : int
        Of `thiry_calc.descriptors.local_log_det.spline_basis`, up to the potential's cutoff.
    r_fit : float
        Distance from which the spline follows u closely, Å: below it u is steep, and may have
        kinks that no spline can follow.

    Returns
    -------
    tuple of float
        eV.
    """
    nl = neighbors_of(crystal, functions.cutoff)
    own = nl.vectors[nl.first[0] : nl.first[1]]
    density = functions.density(np.linalg.norm(own, axis=1))[0].sum()
    slope = functions.embedding(np.array([density]))[1, 0]
    r = np.linspace(r_min, functions.cutoff, _POINTS)
    weight = np.where(r < r_fit, _LOOSE, 1.0)
    phi, psi = functions.pair(r), functions.density(r)
    basis = spline_basis(r_min, functions.cutoff, n_functions)
    rows = [
        weight[:, None] * basis(r),
        _CURVATURE * weight[:, None] * basis.derivative(2)(r),
        _RIDGE * np.eye(n_functions),
    ]
    u, curvature = phi[0] + 2 * slope * psi[0], phi[2] + 2 * slope * psi[2]
    aim = np.concatenate([weight * u, _CURVATURE * weight * curvature, np.zeros(n_functions)])
    return tuple(np.linalg.lstsq(np.vstack(rows), aim, rcond=None)[0].tolist())
