"""Short molecular dynamics that takes a structure to another basin.

Langevin dynamics in the BAOAB splitting (Leimkuhler and Matthews, J. Chem. Phys. 138, 174102
(2013)): half a kick, half a drift, friction and noise exactly, half a drift, half a kick. One run
in some hundred loses atoms or blows up: it ends with a reason, not with an exception.
"""

import numpy as np
from ase import Atoms, units
from numpy.typing import NDArray

Array = NDArray[np.float64]

_TIMESTEP = 2.0  # fs
_FRICTION = 0.02  # 1/fs


def anneal(atoms: Atoms, temperature: float, steps: int, rng: np.random.Generator) -> str:
    """Langevin dynamics in place at constant volume; relax afterwards.

    Parameters
    ----------
    atoms : Atoms
        With a calculator.
    temperature : float
        K.
    steps : int
        Time steps of 2 fs.
    rng : numpy.random.Generator
        Source of velocities and noise.

    Returns
    -------
    str
        Why the structure is lost; empty when all went well.
    """
    masses = atoms.get_masses()[:, None]
    thermal = np.sqrt(units.kB * temperature / masses)
    dt, keep = _TIMESTEP * units.fs, float(np.exp(-_FRICTION * _TIMESTEP))
    x = atoms.get_positions()
    v = thermal * rng.normal(size=x.shape)
    forces = _forces(atoms, x)
    for _ in range(steps):
        v += 0.5 * dt * forces / masses
        x = x + 0.5 * dt * v
        v = keep * v + np.sqrt(1.0 - keep**2) * thermal * rng.normal(size=x.shape)
        x = x + 0.5 * dt * v
        forces = _forces(atoms, x)
        # An atom that crosses a bond length in one step is lost.
        if not np.isfinite(forces).all() or np.abs(v).max() * dt > 1.0:
            return "blew up in annealing"
        v += 0.5 * dt * forces / masses
    return ""


def _forces(atoms: Atoms, positions: Array) -> Array:
    """Compute the forces at new positions, eV/Å; NaN where atoms overlap."""
    atoms.set_positions(positions)
    try:
        return np.asarray(atoms.get_forces())
    except ValueError:
        return np.full(positions.shape, np.nan)
