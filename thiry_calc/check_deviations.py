"""How far a calculator is from its contract, one number for each check (see `thiry_calc.check`).

Every function takes an ASE calculator, or a function that evaluates it, and yields pairs of a
check's name and a deviation; what a calculator lacks is left out. Molecular dynamics measures the
drift of the shadow energy of velocity Verlet,

    H + h² (vᵀ(∂²E/∂R²)v/12 − FᵀM⁻¹F/24),

which the integrator conserves to h⁴ (Hairer, Lubich & Wanner, Geometric Numerical Integration,
IX.3), so that a short run resolves a drift that the fluctuations of H itself would hide.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse
from ase import Atoms, units
from ase.calculators.calculator import BaseCalculator, PropertyNotImplementedError
from ase.md.velocitydistribution import Stationary
from ase.md.verlet import VelocityVerlet
from numpy.typing import NDArray

from thiry_calc.check_structures import equivalents
from thiry_calc.differences import jumps, richardson
from thiry_calc.neighbors import VOIGT
from thiry_calc.relax import potential_of_forces

Array = NDArray[np.float64]
Path = Callable[[float], tuple[float, float]]  # from x to Y and dY/dx

# Half the length of a path: long where Y is rounded (coefficients of thousands of eV cancel in fits
# of a thousand functions), short where Y bends, or jumps in its third derivative as a pair crosses
# the cutoff. An error of the slope shows on all.
PATHS, _NODES = (1e-3, 5e-3, 2e-2), 4  # Å; of Gauss and Legendre
RANGE = 5.0  # Å: by a strain of x, pairs of this length change by RANGE x
STEPS_OF_FORCES = (5e-5, 2e-4)  # Å, the largest displacements of differences, likewise
N_ATOMS = 3  # atoms whose forces and Hessian rows are checked, at random


@dataclass(frozen=True)
class State:
    """What a calculator says of a structure: Y, its forces, and stress (3×3) if it has one."""

    value: float
    forces: Array
    stress: Array | None


def evaluate(calc: BaseCalculator, atoms: Atoms) -> State:
    """Evaluate a calculator: the energy is the one that forces derive from."""
    atoms = atoms.copy()
    atoms.calc = calc
    forces = atoms.get_forces(apply_constraint=False)
    value = potential_of_forces(atoms)
    stress = None
    if atoms.cell.rank == 3 and atoms.pbc.all():
        try:
            stress = atoms.get_stress(voigt=False, apply_constraint=False)
        except PropertyNotImplementedError:
            stress = None
    return State(value, forces, stress)


def errors_of(
    calc: BaseCalculator, atoms: Atoms, rng: np.random.Generator
) -> Iterator[tuple[str, float]]:
    """Yield every check of one structure and its deviation.

    Parameters
    ----------
    calc : ASE calculator
    atoms : Atoms
        Off equilibrium.
    rng : numpy Generator
        Chooses the rotation and the atoms displaced.

    Yields
    ------
    name : str
    deviation : float
    """
    yield from _derivatives(calc, atoms, rng)
    yield from _invariances(calc, atoms, rng)
    if hasattr(calc, "get_hessian"):
        yield from _hessian(calc, atoms, rng)
    yield from _sum_of_sites(calc, atoms)


def _derivatives(
    calc: BaseCalculator, atoms: Atoms, rng: np.random.Generator
) -> Iterator[tuple[str, float]]:
    directions = []
    for a in rng.choice(len(atoms), min(N_ATOMS, len(atoms)), replace=False):
        directions += list(np.eye(3 * len(atoms)).reshape(-1, len(atoms), 3)[3 * a : 3 * a + 3])
    together = rng.normal(size=(len(atoms), 3))
    directions.append(together / np.linalg.norm(together))
    errors = [min(_unpaid_work(_moving(calc, atoms, d), h) for h in PATHS) for d in directions]
    yield "forces", float(np.max(errors))
    if evaluate(calc, atoms).stress is None:
        return
    errors = []
    for a, b in VOIGT:
        path = _straining(calc, atoms, a, b)
        errors.append(min(_unpaid_work(path, h / RANGE) for h in PATHS) / atoms.get_volume())
    yield "stress", float(np.max(errors))


def _moving(calc: BaseCalculator, atoms: Atoms, direction: Array) -> Path:
    """Y and its slope as atoms move along a direction."""

    def at(x: float) -> tuple[float, float]:
        moved = atoms.copy()
        moved.positions += x * direction
        state = evaluate(calc, moved)
        return state.value, -float(np.sum(state.forces * direction))

    return at


def _straining(calc: BaseCalculator, atoms: Atoms, a: int, b: int) -> Path:
    """Y and its slope as a component of the strain grows: dε = ė dx (1 + x ė)⁻¹."""
    rate = np.zeros((3, 3))
    rate[a, b] += 0.5
    rate[b, a] += 0.5

    def at(x: float) -> tuple[float, float]:
        deformation = np.eye(3) + x * rate
        other = atoms.copy()
        other.set_cell(atoms.cell.array @ deformation, scale_atoms=True)
        state = evaluate(calc, other)
        push = np.sum(state.stress * (rate @ np.linalg.inv(deformation)))
        return state.value, float(other.get_volume() * push)

    return at


def _unpaid_work(path: Path, half: float) -> float:
    """|ΔY − ∫ Y′ dx| over the length of a path: the mean error of Y′ along it."""
    change = path(half)[0] - path(-half)[0]
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    slope = weights @ [path(half * x)[1] for x in nodes] / 2
    return float(abs(change / (2 * half) - slope))


def _invariances(
    calc: BaseCalculator, atoms: Atoms, rng: np.random.Generator
) -> Iterator[tuple[str, float]]:
    state = evaluate(calc, atoms)
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    rotation *= np.sign(np.linalg.det(rotation))
    rotated = atoms.copy()
    rotated.positions = atoms.positions @ rotation.T
    rotated.set_cell(atoms.cell.array @ rotation.T)
    turned = None if state.stress is None else rotation @ state.stress @ rotation.T
    expected = State(state.value, state.forces @ rotation.T, turned)
    yield "rotation", deviation(evaluate(calc, rotated), expected)

    order = rng.permutation(len(atoms))
    expected = replace(state, forces=state.forces[order])
    yield "permutation", deviation(evaluate(calc, atoms[order]), expected)

    for name, (other, copies) in equivalents(atoms, rng).items():
        sign = -1 if name == "inversion" else 1
        forces = sign * np.tile(state.forces, (copies, 1))
        expected = State(copies * state.value, forces, state.stress)
        yield name, deviation(evaluate(calc, other), expected)
    yield "same answer again", deviation(evaluate(calc, atoms), state)


def deviation(found: State, expected: State) -> float:
    """Largest relative deviation of Y, forces and stress."""
    errors = [abs(found.value - expected.value) / max(abs(expected.value), 1.0)]
    pairs: list[tuple[Any, Any]] = [(found.forces, expected.forces)]
    if found.stress is not None and expected.stress is not None:
        pairs.append((found.stress, expected.stress))
    for a, b in pairs:
        errors.append(np.max(np.abs(a - b)) / max(np.max(np.abs(b)), 1e-3))
    return float(np.max(errors))


def _hessian(calc: Any, atoms: Atoms, rng: np.random.Generator) -> Iterator[tuple[str, float]]:
    n = len(atoms)
    try:
        raw = calc.get_hessian(atoms)
    except NotImplementedError:  # what calculators with a method for it raise where it is lacking
        return
    hessian = raw.toarray() if scipy.sparse.issparse(raw) else np.asarray(raw, float)
    hessian = hessian.reshape(3 * n, 3 * n)
    worst = float(np.max(np.abs(hessian - hessian.T)))
    for row in rng.choice(3 * n, min(N_ATOMS, 3 * n), replace=False):

        def forces(x: float, row: int = row) -> Array:
            moved = atoms.copy()
            moved.positions[row // 3, row % 3] += x
            return evaluate(calc, moved).forces.ravel()

        slopes = [richardson(forces, step, 3) for step in STEPS_OF_FORCES]
        worst = max(worst, float(np.max(np.min(np.abs(hessian[row] + slopes), axis=0))))
    yield "Hessian", worst
    yield "acoustic sum", float(np.max(np.abs(hessian.reshape(3 * n, n, 3).sum(axis=1))))


def _sum_of_sites(calc: BaseCalculator, atoms: Atoms) -> Iterator[tuple[str, float]]:
    atoms = atoms.copy()
    atoms.calc = calc
    try:
        sites, total = atoms.get_potential_energies(), atoms.get_potential_energy()
    except PropertyNotImplementedError:
        return
    yield "sum of sites", abs(float(np.sum(sites)) - total) / max(float(np.sum(abs(sites))), 1.0)


def jumps_of(calc: BaseCalculator, atoms: Atoms) -> Iterator[tuple[str, float]]:
    """Yield the jumps as the last atom of `trimers` moves along x through the cutoff."""

    def value_and_slope(x: float) -> Array:
        moved = atoms.copy()
        moved.positions[-1, 0] += x
        state = evaluate(calc, moved)
        return np.array([state.value, -state.forces[-1, 0]])

    # high radial functions change within r_cut/n² of the cutoff: 2e-3 Å for n = 40
    value, slope = jumps(value_and_slope, step=2e-4)
    yield "jump at the cutoff", abs(float(value[0]))
    yield "jump of slope", abs(float(value[1]))
    yield "jump of curvature", abs(float(slope[1]))


def nve_drift(
    calc: BaseCalculator,
    atoms: Atoms,
    temperature: float = 600.0,
    timestep: float = 1.0,
    steps: int = 1000,
    seed: int = 0,
) -> float:
    """Drift of the energy in molecular dynamics at constant energy.

    Parameters
    ----------
    calc : ASE calculator
    atoms : Atoms
        At rest near a minimum: velocities are drawn for twice the temperature.
    temperature : float
        K.
    timestep : float
        fs.
    steps : int
    seed : int
        Of the velocities.

    Returns
    -------
    float
        Slope of the shadow energy, whose mean slope is that of H; eV/atom/ps.
    """
    atoms = atoms.copy()
    atoms.calc = calc
    spread = np.sqrt(2 * units.kB * temperature * atoms.get_masses())
    momenta = np.random.default_rng(seed).normal(size=(len(atoms), 3)) * spread[:, None]
    atoms.set_momenta(momenta)
    Stationary(atoms)
    dynamics = VelocityVerlet(atoms, timestep * units.fs)
    energies, velocities, forces = [], [], []
    for _ in dynamics.irun(steps):
        energies.append(atoms.get_total_energy())
        velocities.append(atoms.get_velocities())
        forces.append(atoms.get_forces())
    v, f = np.array(velocities[1:-1]), np.array(forces)
    # the Hessian along v is the time derivative of the forces
    bend = -np.sum(v * (f[2:] - f[:-2]), axis=(1, 2)) / (2 * timestep * units.fs)
    push = np.sum(f[1:-1] ** 2 / atoms.get_masses()[:, None], axis=(1, 2))
    shadow = np.array(energies[1:-1]) + (timestep * units.fs) ** 2 * (bend / 12 - push / 24)
    time = timestep * 1e-3 * np.arange(len(shadow))
    return float(abs(np.polyfit(time, shadow / len(atoms), 1)[0]))
