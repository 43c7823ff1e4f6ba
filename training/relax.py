"""Relaxation in a fixed cell and short annealing, for many structures and few seconds.

Relaxation is limited-memory BFGS (Nocedal, Math. Comp. 35, 773 (1980)) with a limited step and
backtracking on the energy. An entropy label errs by about 2 k_B per eV/Å of the largest force left,
so structures are brought to 1e-5 eV/Å. Annealing is Langevin dynamics in the BAOAB splitting
(Leimkuhler and Matthews, J. Chem. Phys. 138, 174102 (2013)). Both end with a status, never with an
exception, when a structure blows up.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np
from ase import Atoms, units
from numpy.typing import NDArray

Array = NDArray[np.float64]

CLOSEST = 1.2  # Å; two atoms nearer than this have been lost to the core


@dataclass(frozen=True)
class Relaxation:
    """Outcome of a relaxation or an annealing.

    Attributes
    ----------
    converged : bool
        Whether the goal was reached.
    reason : str
        Why not; empty when converged.
    steps : int
        Evaluations of energy and forces.
    fmax : float
        Largest force on an atom at the end, eV/Å.
    """

    converged: bool
    reason: str
    steps: int
    fmax: float


class _History:
    """The last steps and force differences, for the inverse Hessian of L-BFGS."""

    def __init__(self, memory: int, stiffness: float) -> None:
        self.pairs: deque[tuple[Array, Array, float]] = deque(maxlen=memory)
        self.stiffness = stiffness

    def add(self, step: Array, dgradient: Array) -> None:
        curvature = float(np.dot(step, dgradient))
        if curvature > 1e-12 * float(np.dot(step, step)):
            self.pairs.append((step, dgradient, 1.0 / curvature))

    def direction(self, forces: Array) -> Array:
        """Return the quasi-Newton step for the flattened forces."""
        q = forces.copy()
        alphas = []
        for s, y, rho in reversed(self.pairs):
            alphas.append(rho * float(np.dot(s, q)))
            q -= alphas[-1] * y
        if self.pairs:
            s, y, rho = self.pairs[-1]
            q /= rho * float(np.dot(y, y))
        else:
            q /= self.stiffness
        for (s, y, rho), alpha in zip(self.pairs, reversed(alphas), strict=True):
            q += (alpha - rho * float(np.dot(y, q))) * s
        return q


def _evaluate(atoms: Atoms, positions: Array) -> tuple[float, Array]:
    """Energy (eV) and flattened forces (eV/Å); infinite energy where the potential gives up."""
    atoms.set_positions(positions.reshape(-1, 3))
    try:
        energy, forces = float(atoms.get_potential_energy()), atoms.get_forces().ravel()
    except ValueError:  # overlapping or non-finite positions
        return np.inf, np.zeros(positions.size)
    return (energy, forces) if np.isfinite(forces).all() else (np.inf, forces * 0.0)


def _largest(vectors: Array) -> float:
    return float(np.sqrt((vectors.reshape(-1, 3) ** 2).sum(axis=1).max()))


def relax(
    atoms: Atoms,
    fmax: float = 1e-5,
    max_steps: int = 1500,
    max_step: float = 0.15,
    memory: int = 30,
) -> Relaxation:
    """Relax the positions in place, the cell fixed.

    Parameters
    ----------
    atoms : Atoms
        With a calculator.
    fmax : float
        Goal: largest force on an atom, eV/Å.
    max_steps : int
        Evaluations allowed.
    max_step : float
        Largest displacement of an atom in a step, Å.
    memory : int
        Steps remembered by L-BFGS.

    Returns
    -------
    Relaxation
    """
    # Forces keep the centre of mass where it is; atoms are wrapped only by their users.
    history = _History(memory, stiffness=70.0)
    x = atoms.get_positions().ravel()
    energy, forces = _evaluate(atoms, x)
    steps, shrink = 1, 1.0
    while steps < max_steps:
        if not np.isfinite(energy):
            return Relaxation(False, "overlapping or lost atoms", steps, np.inf)
        if _largest(forces) <= fmax:
            return Relaxation(True, "", steps, _largest(forces))
        step = history.direction(forces)
        if np.dot(step, forces) <= 0.0:
            history.pairs.clear()
            step = history.direction(forces)
        step *= shrink * min(1.0, max_step / _largest(step))
        new_energy, new_forces = _evaluate(atoms, x + step)
        steps += 1
        if new_energy > energy + 1e-9 * (1.0 + abs(energy)):
            # Too long a step: forget what misled it where shortening has not helped.
            shrink *= 0.3
            if shrink < 0.02:
                history.pairs.clear()
            if shrink < 1e-6:
                return Relaxation(False, "no descent", steps, _largest(forces))
            continue
        shrink = min(1.0, 3.0 * shrink)
        history.add(step, forces - new_forces)
        x, energy, forces = x + step, new_energy, new_forces
    _evaluate(atoms, x)
    return Relaxation(False, f"not relaxed in {max_steps} steps", steps, _largest(forces))


def anneal(
    atoms: Atoms,
    temperature: float,
    steps: int,
    rng: np.random.Generator,
    timestep: float = 2.0,
    friction: float = 0.02,
) -> Relaxation:
    """Langevin dynamics in place at constant volume; relax afterwards.

    Parameters
    ----------
    atoms : Atoms
        With a calculator.
    temperature : float
        K.
    steps : int
        Time steps.
    rng : numpy.random.Generator
        Source of velocities and noise.
    timestep : float
        fs.
    friction : float
        1/fs.

    Returns
    -------
    Relaxation
        Not converged when the structure blew up.
    """
    masses = atoms.get_masses()[:, None]
    thermal = np.sqrt(units.kB * temperature / masses)
    dt, keep = timestep * units.fs, float(np.exp(-friction * timestep))
    x = atoms.get_positions()
    v = thermal * rng.normal(size=x.shape)
    energy, forces = _evaluate(atoms, x.ravel())
    for step in range(1, steps + 1):
        v += 0.5 * dt * forces.reshape(-1, 3) / masses
        x = x + 0.5 * dt * v
        v = keep * v + np.sqrt(1.0 - keep**2) * thermal * rng.normal(size=x.shape)
        x = x + 0.5 * dt * v
        energy, forces = _evaluate(atoms, x.ravel())
        # An atom that crosses a bond length in one step is lost.
        if not np.isfinite(energy) or np.abs(v).max() * dt > 1.0:
            return Relaxation(False, "blew up in annealing", step, np.inf)
        v += 0.5 * dt * forces.reshape(-1, 3) / masses
    return Relaxation(True, "", steps, _largest(forces))


def perturb(atoms: Atoms, amplitude: float, rng: np.random.Generator) -> None:
    """Displace every coordinate in place by noise of standard deviation `amplitude` (Å).

    Parameters
    ----------
    atoms : Atoms
    amplitude : float
        Å.
    rng : numpy.random.Generator
    """
    atoms.set_positions(atoms.get_positions() + amplitude * rng.normal(size=(len(atoms), 3)))
