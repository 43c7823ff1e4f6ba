"""Thermal expansion and zero pressure of the shipped model, against AM04 and against itself."""

import numpy as np
import pytest

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
    assert found.lattice_strain[0] == pytest.approx(0, abs=1e-5)
    assert np.all(np.diff(found.lattice_strain) > 0)
    for strain, temperature in zip(found.lattice_strain, found.temperatures, strict=True):
        atoms = supercell(A0 * (1 + strain), 1)
        atoms.calc = ThiryCalculator("Fe-AM04", temperature, extrapolation_warning=False)
        np.testing.assert_allclose(atoms.get_stress()[:3], 0, atol=2e-7)
    slopes = np.gradient(found.lattice_strain, found.temperatures)
    assert found.expansion_per_K[1] == pytest.approx(slopes[1], rel=0.05)


def test_grueneisen_parameter_of_AM04(calc):
    """0.24: from exact frequencies of the strained crystal."""
    found = thermal_expansion(supercell(A0, 1), calc, np.array([300.0]))
    assert found.gruneisen == pytest.approx(0.24, abs=0.04)


@pytest.mark.parametrize(
    ("name", "volume", "entropy"), [("vacancy", -0.217, -0.158), ("dumbbell_110", 1.244, 0.97)]
)
def test_zero_pressure_against_exact_values_of_AM04(calc, name, volume, entropy):
    """Exact: S_f 2.613 at fixed cell and 2.455 at P = 0; 1.725 and 2.698 k_B."""
    atoms = build(name, A0, 6)
    atoms.calc = calc
    assert relax(atoms, 1e-3).converged
    found = pressure_free(atoms, calc, supercell(A0, 2))
    assert found.relaxation_volume / (A0**3 / 2) == pytest.approx(volume, abs=0.05)
    assert found.energy_change_eV < 0
    assert found.entropy_change_kB == pytest.approx(entropy, abs=0.2 * abs(entropy))
    assert abs(image_entropy_kB(atoms, calc, supercell(A0, 2))) < 0.2


def test_what_expands_too_far_is_refused(calc):
    with pytest.raises(ValueError, match="expands by more than 2 %"):
        thermal_expansion(supercell(1.1 * A0, 1), calc, np.array([300.0]))
