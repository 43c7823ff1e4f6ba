"""Relaxation of positions in a fixed cell to the nearest stationary point.

Limited-memory BFGS (Nocedal, Math. Comp. 35, 773 (1980)), started with the stiffness k = 70 eV/Å².
A step moves no atom by more than 0.15 Å, because a long step along a soft direction leads a fitted
model out of its data, and is shortened when the energy rises by more than the rounding noise of a
fitted energy (1e-9 of it). 15 to 40 evaluations bring point defects of iron to 1e-4 eV/Å, half as
many as ASE's `LBFGS`; SciPy's L-BFGS-B takes as few but has neither limit.

Unrelaxed defects have pairs as near as half a bond, where a fitted model knows nothing. `separate`
moves them apart first, by a repulsion Σ ½ k (r_min − r)² of pairs below r_min. Forces of a
symmetric structure are symmetric in both steps, so that a saddle is kept: nothing is perturbed.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from numpy.typing import NDArray

from thiry_calc.hessian import largest_norm, max_force
from thiry_calc.neighbors import neighbors_of

Array = NDArray[np.float64]
Landscape: TypeAlias = Callable[[Array], tuple[float, Array]]  # (N, 3) Å -> eV, (N, 3) eV/Å

_STIFFNESS = 70.0  # eV/Å²
_MAX_STEP = 0.15  # Å
_NOISE = 1e-9  # of the energy
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


def potential_of_forces(atoms: Atoms) -> float:
    """Energy that the forces derive from: ASE's ``free_energy`` where the calculator has one.

    Parameters
    ----------
    atoms : Atoms
        With a calculator.

    Returns
    -------
    float
        eV.
    """
    try:
        value = atoms.get_potential_energy(force_consistent=True, apply_constraint=False)
    except PropertyNotImplementedError:
        value = atoms.get_potential_energy(apply_constraint=False)
    return float(value)


def relax(
    atoms: Atoms, fmax: float = 1e-4, max_steps: int = 600, closest: float = 1.0
) -> Relaxation:
    """Relax the positions in place.

    Parameters
    ----------
    atoms : Atoms
        N atoms, with a calculator. Constraints are ignored: a harmonic entropy belongs to a
        stationary point of all atoms.
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
    potential_of_forces(atoms)  # refuses here what it cannot treat
    lost, probe = False, Atoms(atoms.numbers, cell=atoms.cell, pbc=atoms.pbc)

    def landscape(positions: Array) -> tuple[float, Array]:
        atoms.set_positions(positions, apply_constraint=False)
        try:
            forces = atoms.get_forces(apply_constraint=False)
            return potential_of_forces(atoms), forces
        except ValueError:  # overlapping atoms
            return np.inf, np.zeros(positions.shape)

    def finished(positions: Array, forces: Array) -> bool:
        nonlocal lost
        probe.set_positions(positions)
        lost = len(neighbors_of(probe, closest).neighbor) > 0
        return lost or largest_norm(forces) <= fmax

    positions, steps = descend(landscape, atoms.get_positions(), finished, max_steps)
    atoms.set_positions(positions, apply_constraint=False)
    largest = max_force(atoms)
    if lost:
        reason = f"atoms came within {closest:g} Å of each other"
    elif largest <= fmax:
        reason = ""
    else:
        reason = f"not relaxed in {steps} steps" if steps >= max_steps else "no further descent"
    return Relaxation(not reason, reason, steps, largest, lost)


def separate(atoms: Atoms, r_min: float) -> bool:
    """Move atoms apart, in place, until no pair is nearer than 0.99 of a distance.

    Parameters
    ----------
    atoms : Atoms
    r_min : float
        Å.

    Returns
    -------
    bool
        Whether there was such a pair.
    """

    def landscape(positions: Array) -> tuple[float, Array]:
        atoms.set_positions(positions, apply_constraint=False)
        nl = neighbors_of(atoms, r_min)
        d = np.linalg.norm(nl.vectors, axis=1)
        gap = r_min - d
        push = -_STIFFNESS * (gap / np.maximum(d, 1e-6))[:, None] * nl.vectors
        forces = np.zeros(positions.shape)
        np.add.at(forces, nl.center, push)
        return float(_STIFFNESS * np.sum(gap**2) / 4), forces  # each pair is listed twice

    def finished(positions: Array, forces: Array) -> bool:
        atoms.set_positions(positions, apply_constraint=False)
        return len(neighbors_of(atoms, 0.99 * r_min).neighbor) == 0

    positions, steps = descend(landscape, atoms.get_positions(), finished, max_steps=200)
    atoms.set_positions(positions, apply_constraint=False)
    return steps > 1


def descend(
    landscape: Landscape, x: Array, finished: Callable[[Array, Array], bool], max_steps: int
) -> tuple[Array, int]:
    """Limited-memory BFGS until `finished`.

    Parameters
    ----------
    landscape : callable
        (N, 3) positions in Å → energy in eV and forces in eV/Å; where there is no energy, infinity.
    x : ndarray, shape (N, 3)
        Start, Å.
    finished : callable
        Asked with the positions and forces of each iterate.
    max_steps : int
        Evaluations allowed.

    Returns
    -------
    x : ndarray, shape (N, 3)
        Last iterate, Å.
    steps : int
        Evaluations; `max_steps` of them, or fewer where no step lowers the energy.
    """
    history: deque[tuple[Array, Array]] = deque(maxlen=_MEMORY)
    energy, forces = landscape(x)
    steps, shrink = 1, 1.0
    while not finished(x, forces) and steps < max_steps and shrink > 1e-6:
        step = _quasi_newton(history, forces)
        if np.vdot(step, forces) <= 0.0:
            history.clear()
            step = forces / _STIFFNESS
        step = step * shrink * min(1.0, _MAX_STEP / largest_norm(step))
        new_energy, new_forces = landscape(x + step)
        steps += 1
        if new_energy > energy + _NOISE * (1.0 + abs(energy)):
            shrink *= 0.3
            if shrink < 0.02:  # what the steps before have taught does not hold here
                history.clear()
            continue
        shrink = min(1.0, 3.0 * shrink)
        if np.vdot(step, forces - new_forces) > 1e-12 * np.vdot(step, step):
            history.append((step, forces - new_forces))
        x, energy, forces = x + step, new_energy, new_forces
    return x, steps


def _quasi_newton(history: deque[tuple[Array, Array]], forces: Array) -> Array:
    """Inverse Hessian of the last steps s and force differences y, times the forces (Å)."""
    q = forces.copy()
    alphas = []
    for s, y in reversed(history):
        alphas.append(np.vdot(s, q) / np.vdot(s, y))
        q -= alphas[-1] * y
    s, y = history[-1] if history else (np.ones(1), np.full(1, _STIFFNESS))
    q *= np.vdot(s, y) / np.vdot(y, y)
    for (s, y), alpha in zip(history, reversed(alphas), strict=True):
        q += (alpha - np.vdot(y, q) / np.vdot(s, y)) * s
    return q
