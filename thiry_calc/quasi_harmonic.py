"""Quasi-harmonic crystals and defects: thermal expansion, zero pressure, infinite boxes.

    a(T) = argmin_a A(a, T),    α = (1/a) da/dT,    γ = ∂S/∂ln V / 3k_B   per atom

for the free energy A of the crystal in its classical harmonic approximation. Defects are relaxed in
boxes of the crystal's cell; with P their dipole (`thiry_calc.elasticity`) and ε = S:P/V the strain
that frees a box of N atoms,

    E_f(P=0) = E_f − ½ P:ε,    S_f(P=0) = S_f + N [s(ε) − s(0)]   → S_f + 3γ ΔV/Ω

s being the entropy per atom of the strained crystal. A box in its periodic images errs by the image
energy ΔA(T) of the dipole and the elastic constants of A(T), hence S_f by −[ΔA(T) − ΔA(0)]/T.
"""

from dataclasses import dataclass

import numpy as np
from ase import Atoms, units
from numpy.typing import NDArray
from scipy.optimize import brentq

from thiry_calc.calculator import ThiryCalculator
from thiry_calc.elasticity import (
    dipole_tensor,
    elastic_constants,
    image_energy,
    relaxation_strain,
)
from thiry_calc.relax import relax

Array = NDArray[np.float64]

_LARGEST_STRAIN = 0.02  # of the search for a(T): that of the training data
_STEP = 1e-3  # relative volume, of γ; temperature step in units of T of α
_FMAX = 2e-5  # eV/Å: the dipoles are subtracted
_SLOPE_TEMPERATURE = 10.0  # K: ΔA is nearly linear in T


@dataclass(frozen=True)
class Expansion:
    """Thermal expansion of a crystal at zero pressure.

    Attributes
    ----------
    temperatures : (n,) array, K
    lattice_strain : (n,) array
        a(T)/a(0) − 1.
    expansion_per_K : (n,) array
        Linear coefficient α.
    gruneisen : float
        γ at T = 0.
    """

    temperatures: Array
    lattice_strain: Array
    expansion_per_K: Array
    gruneisen: float


def thermal_expansion(crystal: Atoms, calc: ThiryCalculator, temperatures: Array) -> Expansion:
    """Isotropic thermal expansion from the minima of A(a, T), where its pressure vanishes.

    Parameters
    ----------
    crystal : Atoms
        Perfect cubic crystal at the model's lattice constant.
    calc : ThiryCalculator
        Of a model with energy and entropy.
    temperatures : (n,) array
        K.

    Returns
    -------
    Expansion

    Raises
    ------
    ValueError
        When the minimum lies outside strains of ±2 %, where the model knows nothing.
    """
    temperatures = np.asarray(temperatures, dtype=float)
    strains = np.array([_rest(crystal, calc, t) for t in temperatures])
    step = np.maximum(temperatures, 10.0) * _STEP
    slopes = [
        (_rest(crystal, calc, t + h) - _rest(crystal, calc, max(t - h, 0.0))) / (h + min(t, h))
        for t, h in zip(temperatures, step, strict=True)
    ]
    entropies = [_crystal_entropy(crystal, calc, sign * _STEP / 3 * np.eye(3)) for sign in (1, -1)]
    return Expansion(
        temperatures,
        strains,
        np.array(slopes) / (1 + strains),
        float((entropies[0] - entropies[1]) / (2 * _STEP) / 3),
    )


def _rest(crystal: Atoms, calc: ThiryCalculator, temperature: float) -> float:
    """Lattice strain of zero pressure at a temperature."""
    work = _with_temperature(calc, temperature)

    def pressure(strain: float) -> float:
        atoms = _strained(crystal, strain * np.eye(3))
        return -float(np.mean(work.get_property("stress", atoms)[:3]))

    bound = _LARGEST_STRAIN
    if pressure(-bound) < 0 or pressure(bound) > 0:
        raise ValueError(
            f"at {temperature:g} K the crystal is without pressure at no strain within "
            f"{100 * bound:g} %, beyond which the model was not fitted; check its lattice "
            "constant, or lower the temperature"
        )
    return float(brentq(pressure, -bound, bound, xtol=1e-12))


@dataclass(frozen=True)
class PressureFree:
    """A defect whose box was freed from its stress, in the limit of large boxes.

    Attributes
    ----------
    relaxation_volume : float
        Å³.
    energy_change_eV : float
        E_f(P = 0) − E_f(V).
    entropy_change_kB : float
        S_f(P = 0) − S_f(V).
    """

    relaxation_volume: float
    energy_change_eV: float
    entropy_change_kB: float


def pressure_free(atoms: Atoms, calc: ThiryCalculator, crystal: Atoms) -> PressureFree:
    """Give the box of a defect relaxed at fixed cell a shape without stress: what changes.

    Parameters
    ----------
    atoms : Atoms
        N atoms, relaxed on E in a supercell of `crystal`.
    calc : ThiryCalculator
    crystal : Atoms
        The perfect crystal at the model's lattice constant.

    Returns
    -------
    PressureFree
    """
    cold = _with_temperature(calc, None)
    volume = atoms.get_volume()
    dipole = dipole_tensor(atoms, cold, crystal)
    strain = relaxation_strain(dipole, elastic_constants(crystal, cold), volume)
    at_rest = _crystal_entropy(crystal, cold, np.zeros((3, 3)))
    entropy = len(atoms) * (_crystal_entropy(crystal, cold, strain) - at_rest)
    gain = -0.5 * float(np.sum(dipole * strain))
    return PressureFree(float(np.trace(strain)) * volume, gain, entropy)


def image_entropy_kB(atoms: Atoms, calc: ThiryCalculator, crystal: Atoms) -> float:
    """Entropy of a defect in its box, at fixed cell, above that in the infinite crystal.

    Parameters
    ----------
    atoms, calc, crystal
        As in `pressure_free`; copies are relaxed on E and A(T), for the dipole follows the atoms.

    Returns
    -------
    float
        k_B, −∂ΔA/∂T of the image energy: subtract it from S_f of the box.

    Raises
    ------
    RuntimeError
        When the defect does not relax.
    """
    energies = []
    for t in (None, _SLOPE_TEMPERATURE):
        work, relaxed = _with_temperature(calc, t), atoms.copy()
        relaxed.calc = work
        outcome = relax(relaxed, _FMAX)
        if not outcome.converged:
            raise RuntimeError(f"the defect at {t or 0:g} K: {outcome.reason}")
        dipole = dipole_tensor(relaxed, work, crystal)
        energies.append(image_energy(dipole, elastic_constants(crystal, work), atoms.cell.array))
    return -(energies[1] - energies[0]) / (units.kB * _SLOPE_TEMPERATURE)


def _with_temperature(calc: ThiryCalculator, temperature: float | None) -> ThiryCalculator:
    return ThiryCalculator(calc.potential, temperature, extrapolation_warning=False)


def _strained(crystal: Atoms, strain: Array) -> Atoms:
    atoms = crystal.copy()
    atoms.set_cell(crystal.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    return atoms


def _crystal_entropy(crystal: Atoms, calc: ThiryCalculator, strain: Array) -> float:
    """S_f per atom of the strained crystal, k_B."""
    atoms = _strained(crystal, strain)
    return float(calc.get_property("formation_entropy", atoms)) / len(atoms)
