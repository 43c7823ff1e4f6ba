"""Thermal expansion and zero pressure of the shipped model."""

import numpy as np
import pytest
from ase import units
from ase.filters import FrechetCellFilter
from ase.optimize import LBFGS

from thiry_calc import ThiryCalculator
from thiry_calc.defects import build, supercell
from thiry_calc.quasi_harmonic import image_entropy_kB, pressure_free, thermal_expansion
from thiry_calc.relax import relax

A0 = 2.855313


@pytest.fixture(scope="module")
def calc():
    return ThiryCalculator("Fe-AM04", extrapolation_warning=False)


def test_there_is_no_pressure_at_the_expanded_lattice_constant(calc):
    crystal = supercell(A0, 1)
    found = thermal_expansion(crystal, calc, np.array([0.0, 300.0, 600.0]))
    assert found.lattice_strain[0] == pytest.approx(0, abs=5e-5)
    assert np.all(np.diff(found.lattice_strain) > 0)
    for strain, temperature in zip(found.lattice_strain, found.temperatures, strict=True):
        atoms = supercell(A0 * (1 + strain), 1)
        atoms.calc = ThiryCalculator("Fe-AM04", temperature, extrapolation_warning=False)
        np.testing.assert_allclose(atoms.get_stress()[:3], 0, atol=2e-7)
    slopes = np.gradient(found.lattice_strain, found.temperatures)
    assert found.expansion_per_K[1] == pytest.approx(slopes[1], rel=0.05)


def test_grueneisen_parameter_is_the_slope_of_thermal_pressure(calc):
    """γ from entropies; from the stress of A(T), P = 3 γ k_B T N/V."""
    crystal, temperature = supercell(A0, 1), 100.0
    found = thermal_expansion(crystal, calc, np.array([300.0]))
    stresses = []
    for t in (0.0, temperature):
        crystal.calc = ThiryCalculator("Fe-AM04", t, extrapolation_warning=False)
        stresses.append(np.mean(crystal.get_stress()[:3]))
    pressure = stresses[0] - stresses[1]
    per_atom = crystal.get_volume() / len(crystal)
    expected = pressure * per_atom / (3 * units.kB * temperature)
    assert found.gruneisen == pytest.approx(expected, rel=5e-3)


@pytest.mark.parametrize(
    ("name", "volume", "bar"), [("vacancy", -0.217, 0.1), ("dumbbell_110", 1.244, 0.3)]
)
def test_zero_pressure_against_a_relaxed_cell(calc, name, volume, bar):
    """Volumes are those of AM04; energies and entropies those of the cell relaxed directly.

    The limit of large boxes rests on the crystal alone, whose γ is 0.23 in this model, 0.24 in
    AM04: the dumbbell's change is 0.88 so, 1.13 in the relaxed cell, 0.97 k_B exactly.
    """
    atoms = build(name, A0, 6)
    atoms.calc = calc
    assert relax(atoms, 1e-3).converged
    found = pressure_free(atoms, calc, supercell(A0, 2))
    assert found.relaxation_volume / (A0**3 / 2) == pytest.approx(volume, abs=0.05)
    before = [calc.get_property(p, atoms) for p in ("energy", "formation_entropy")]
    LBFGS(FrechetCellFilter(atoms), logfile=None).run(fmax=1e-3, steps=200)
    after = [calc.get_property(p, atoms) for p in ("energy", "formation_entropy")]
    change = np.subtract(after, before)
    assert found.energy_change_eV == pytest.approx(change[0], abs=0.003)
    assert found.entropy_change_kB == pytest.approx(change[1], abs=bar)


@pytest.mark.parametrize(("name", "bar"), [("vacancy", 0.008), ("dumbbell_110", 0.08)])
def test_without_images_small_boxes_give_the_limit_of_large_ones(calc, name, bar):
    """The limit is that of S_f in boxes of 7 and 8 cells, extrapolated in 1/N."""
    entropies = {}
    for cells in (5, 7, 8):
        atoms = build(name, A0, cells)
        atoms.calc = calc
        assert relax(atoms, 1e-4).converged
        entropies[cells] = calc.get_property("formation_entropy", atoms)
        if cells == 5:
            images = image_entropy_kB(atoms, calc, supercell(A0, 1))
    limit = (8**3 * entropies[8] - 7**3 * entropies[7]) / (8**3 - 7**3)
    assert abs(entropies[5] - limit) > 1.5 * bar
    assert entropies[5] - images == pytest.approx(limit, abs=bar)


def test_what_expands_too_far_is_refused(calc):
    with pytest.raises(ValueError, match="at no strain within 2 %"):
        thermal_expansion(supercell(1.1 * A0, 1), calc, np.array([300.0]))
