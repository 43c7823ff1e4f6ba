"""Wigner–Kirkwood corrections against oscillators and exact modes."""

import numpy as np
import pytest
from ase import units

from thiry_calc.defects import build, supercell
from thiry_calc.harmonic import HarmonicThermodynamics
from thiry_calc.quantum import quantum_entropy_kB, quantum_free_energy, site_moments
from thiry_calc.relax import relax
from training.references.am04 import AM04, LATTICE_CONSTANT


def _corrections(thermo, temperature):
    return [
        thermo.free_energy(temperature, True) - thermo.free_energy(temperature),
        thermo.entropy_kB(temperature, True) - thermo.entropy_kB(temperature),
    ]


@pytest.mark.parametrize(("n_terms", "power"), [(1, 4), (2, 6), (3, 8)])
def test_error_falls_as_the_first_term_left_out(n_terms, power):
    eigenvalues = np.array([0.1, 0.2, 0.3])
    thermo = HarmonicThermodynamics.from_eigenvalues(eigenvalues)
    moments = np.array([np.sum(eigenvalues**k) for k in range(1, n_terms + 1)])
    errors = []
    for temperature in (600.0, 1200.0):
        exact = _corrections(thermo, temperature)
        kt = units.kB * temperature
        errors.append(
            [
                quantum_free_energy(moments, temperature) / kt - exact[0] / kt,
                quantum_entropy_kB(moments, temperature) - exact[1],
            ]
        )
    # rounding of the exact functions is near the error of three terms
    ratio = np.abs(np.divide(*errors))
    np.testing.assert_allclose(ratio, 2.0**power, rtol=0.05)


@pytest.fixture(scope="module")
def vacancy():
    atoms = build("vacancy", LATTICE_CONSTANT, 4)
    atoms.calc = AM04()
    assert relax(atoms, 1e-4).converged
    return atoms, atoms.calc.get_hessian(atoms)


def test_moments_are_traces_of_powers(vacancy):
    atoms, hessian = vacancy
    masses = atoms.get_masses()
    dense = hessian.toarray() / masses[0]
    found = site_moments(hessian, masses, 3)
    power = np.eye(len(dense))
    for k in range(3):
        power = power @ dense
        expected = np.diag(power).reshape(-1, 3).sum(axis=1)
        np.testing.assert_allclose(found[k], expected, rtol=1e-10)


def test_formation_free_energy_of_a_vacancy_in_iron(vacancy):
    perfect = supercell(LATTICE_CONSTANT, 4)
    exact, moments = [], []
    for atoms, hessian in (vacancy, (perfect, AM04().get_hessian(perfect))):
        thermo = HarmonicThermodynamics.from_hessian(hessian, atoms, modes=True)
        exact.append(_corrections(thermo, 150.0)[0] / thermo.n_modes)
        moments.append(site_moments(hessian, atoms.get_masses(), 3))
    n_atoms = len(vacancy[0])
    expected = (3 * n_atoms - 3) * (exact[0] - exact[1])
    assert expected == pytest.approx(-9.25e-3, abs=5e-4)
    formation = moments[0].sum(axis=1) - n_atoms * moments[1][:, 0]
    for n_terms, bound in ((1, 1e-3), (2, 2e-4), (3, 1e-4)):
        found = quantum_free_energy(formation[:n_terms], 150.0)
        assert found == pytest.approx(expected, abs=bound)


def test_bad_input(vacancy):
    atoms, hessian = vacancy
    with pytest.raises(ValueError, match="1, 2 or 3 terms"):
        site_moments(hessian, atoms.get_masses(), 4)
    with pytest.raises(ValueError, match="positive"):
        quantum_free_energy(np.ones(2), 0.0)
