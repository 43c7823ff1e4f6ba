"""Walks over saddles: a structure leaves its minimum along a random direction and enters another.

The activation–relaxation technique (Malek and Mousseau, Phys. Rev. E 62, 7723 (2000)), roughly:

    activation     steps of 0.1 Å along a random direction on the atoms around a defect, relaxed
                   across it, until the Hessian has an eigenvalue below −0.5 eV/Å²
    climb          up along the lowest mode, down across it, until the forces are below 0.1 eV/Å
    descent        a push of 0.2 Å away from the minimum left behind; the caller relaxes

The lowest mode comes from a short Lanczos recursion on differences of forces. Saddles need not be
exact: the walk is after the minimum behind them. Several in a row take clusters to arrangements
that neither random placement nor short annealing reaches.
"""

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from thiry_calc.hessian import largest_norm
from thiry_calc.neighbors import neighbors_of
from thiry_calc.relax import Landscape, descend

Array = NDArray[np.float64]

_STEP = 0.1  # Å, norm of a step of the activation, and longest of the climb
_UNSTABLE = -0.5  # eV/Å²
_FLAT = 0.1  # eV/Å, largest force on an atom at an accepted saddle
_PUSH = 0.2  # Å
_ACTIVATION, _CLIMB, _LANCZOS = 50, 40, 12  # steps
_ACROSS = 8  # evaluations to relax across the direction after each step along it
_REACH = 3.2  # Å about the chosen atom that the random direction moves


def walk(atoms: Atoms, rng: np.random.Generator, push: float = _PUSH) -> str:
    """Take a minimum over a saddle, in place; relax afterwards.

    Parameters
    ----------
    atoms : Atoms
        N atoms of a crystal with a defect, relaxed roughly, with a calculator.
    rng : numpy.random.Generator
        Source of the direction.
    push : float
        Length of the last step, away from the minimum left behind, Å; 0 stays near the saddle.

    Returns
    -------
    str
        Why there is no new start; empty when a saddle was passed.
    """

    def landscape(positions: Array) -> tuple[float, Array]:
        atoms.set_positions(positions)
        try:
            return float(atoms.get_potential_energy()), atoms.get_forces()
        except ValueError:  # overlapping atoms
            return np.inf, np.full(positions.shape, np.nan)

    start = atoms.get_positions()
    direction = _direction(atoms, rng)
    x, mode, curvature = start, direction, np.inf
    for _ in range(_ACTIVATION):
        x = _across(landscape, x + _STEP * direction, direction)
        curvature, mode = lowest_mode(landscape, x, mode + direction)
        if not curvature > _UNSTABLE:  # unstable, or NaN
            break
    else:
        return _back(atoms, start, "no unstable mode found")
    mode = mode if np.vdot(mode, x - start) >= 0 else -mode
    for _ in range(_CLIMB):
        _, forces = landscape(x)
        if largest_norm(forces) < _FLAT:
            atoms.set_positions(x + push * mode)
            return ""
        along = float(np.vdot(forces, mode))
        x = x - np.clip(along / max(abs(curvature), 1.0), -_STEP, _STEP) * mode
        x = _across(landscape, x, mode)
        curvature, new = lowest_mode(landscape, x, mode)
        if not curvature < 0:  # fallen back into a well, or lost
            break
        mode = new if np.vdot(new, mode) >= 0 else -new
    return _back(atoms, start, "no saddle found")


def _back(atoms: Atoms, start: Array, reason: str) -> str:
    atoms.set_positions(start)
    return reason


def defective(atoms: Atoms) -> NDArray[np.int64]:
    """Atoms without the usual number of neighbours up to the second shell of bcc.

    Parameters
    ----------
    atoms : Atoms
        Mostly a bcc crystal.

    Returns
    -------
    ndarray of int
        All atoms when there is none.
    """
    spacing = (2 * atoms.get_volume() / len(atoms)) ** (1 / 3)
    counts = np.diff(neighbors_of(atoms, 0.5 * (1 + np.sqrt(2)) * spacing).first)
    odd = np.flatnonzero(counts != int(np.median(counts)))
    return odd if len(odd) else np.arange(len(atoms))


def _direction(atoms: Atoms, rng: np.random.Generator) -> Array:
    """Random unit vector on the atoms around one atom of the defect, (N, 3)."""
    chosen = int(rng.choice(defective(atoms)))
    nl = neighbors_of(atoms, _REACH)
    moved = np.append(nl.neighbor[nl.first[chosen] : nl.first[chosen + 1]], chosen)
    out = np.zeros((len(atoms), 3))
    out[moved] = rng.normal(size=(len(moved), 3))
    out -= out.mean(axis=0)
    return out / np.linalg.norm(out)


def _across(landscape: Landscape, x: Array, direction: Array) -> Array:
    """Relax a few steps in the hyperplane across a unit vector, where forces are projected ones."""

    def restricted(positions: Array) -> tuple[float, Array]:
        energy, forces = landscape(positions)
        return energy, forces - np.vdot(forces, direction) * direction

    return descend(restricted, x, lambda _, forces: largest_norm(forces) < _FLAT / 2, _ACROSS)[0]


def lowest_mode(
    landscape: Landscape, x: Array, guess: Array, steps: int = _LANCZOS, h: float = 1e-3
) -> tuple[float, Array]:
    """Lowest eigenvalue and eigenvector of the Hessian, by Lanczos on differences of forces.

    Parameters
    ----------
    landscape : callable
        (N, 3) positions in Å → energy in eV, forces in eV/Å.
    x : ndarray, shape (N, 3)
        Å.
    guess : ndarray, shape (N, 3)
        Start of the recursion.
    steps : int
        Of the recursion; fewer where the Krylov space is exhausted.
    h : float
        Step of the one-sided differences, Å.

    Returns
    -------
    eigenvalue : float
        eV/Å²; NaN where forces are.
    mode : ndarray, shape (N, 3)
        Unit vector.
    """
    f0 = landscape(x)[1]
    guess = guess - guess.mean(axis=0)  # translations have eigenvalue 0, and would be the lowest
    basis = [guess.ravel() / np.linalg.norm(guess)]
    alphas, betas = [], []
    for _ in range(steps):
        v = basis[-1]
        w = (f0 - landscape(x + h * v.reshape(x.shape))[1]) / h
        w = (w - w.mean(axis=0)).ravel()
        alphas.append(float(v @ w))
        w -= np.array(basis).T @ (np.array(basis) @ w)
        w -= np.array(basis).T @ (np.array(basis) @ w)  # twice is enough
        beta = float(np.linalg.norm(w))
        if not beta > 1e-4:  # eV/Å²; exhausted, or NaN
            break
        betas.append(beta)
        basis.append(w / beta)
    size = len(alphas)
    off = np.array(betas[: size - 1])
    tridiagonal = np.diag(alphas) + np.diag(off, 1) + np.diag(off, -1)
    if not np.isfinite(tridiagonal).all():
        return float("nan"), guess
    values, vectors = np.linalg.eigh(tridiagonal)
    mode = np.array(basis[:size]).T @ vectors[:, 0]
    return float(values[0]), mode.reshape(x.shape)
