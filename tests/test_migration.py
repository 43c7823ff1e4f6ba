"""The vacancy's jump: path, saddle and Vineyard's rate against dense eigenvalues."""

import numpy as np
import pytest
from ase import units

from thiry_calc.defects import supercell
from thiry_calc.harmonic import formation_entropy
from thiry_calc.hessian import get_hessian
from thiry_calc.migration import CORRELATION, vacancy_migration
from thiry_calc.references import load_reference
from thiry_calc.saddles import attempt_frequency, vineyard_rate

A0 = 2.855313


@pytest.fixture(scope="module")
def jump():
    perfect = supercell(A0, 4)
    return vacancy_migration(lambda: load_reference("AM04"), perfect, "bcc", A0)


def eigenvalues(atoms):
    """Of D without the three zeros, eV/Å²/amu, with the dense solver."""
    hessian = get_hessian(atoms, load_reference("AM04")).toarray()
    values = np.linalg.eigvalsh(hessian / atoms.get_masses()[0])
    keep = np.argsort(np.abs(values))[3:]
    return np.sort(values[keep])


def test_barrier_of_iron(jump):
    assert jump.barrier_eV == pytest.approx(0.640, abs=0.01)  # 0.640 in 8 cells
    assert jump.n_negative_modes == 1
    assert jump.n_saddles == 2  # AM04 has a shallow minimum in the middle


def test_path_is_symmetric_with_a_dip_in_the_middle(jump):
    middle = len(jump.path_eV) // 2
    assert jump.path_fraction[middle] == pytest.approx(0.5, abs=0.02)
    assert jump.path_eV[0] == 0.0
    assert jump.path_eV[-1] == pytest.approx(0.0, abs=1e-5)
    assert jump.path_eV[middle] < jump.barrier_eV - 0.05
    assert np.all(np.diff(jump.path_fraction) > 0)
    assert jump.path_eV.max() == pytest.approx(jump.barrier_eV, abs=0.01)


def test_both_ends_of_the_rate_are_stationary(jump):
    for atoms, energy in ((jump.minimum, 0.0), (jump.saddle, jump.barrier_eV)):
        atoms = atoms.copy()
        atoms.calc = load_reference("AM04")
        assert np.linalg.norm(atoms.get_forces(), axis=1).max() < 1e-4
        reference = jump.minimum.copy()
        reference.calc = load_reference("AM04")
        height = atoms.get_potential_energy() - reference.get_potential_energy()
        assert height == pytest.approx(energy, abs=1e-9)


def test_prefactor_against_dense_eigenvalues(jump):
    low, high = eigenvalues(jump.minimum), eigenvalues(jump.saddle)
    assert (low < 0).sum() == 0
    assert (high < 0).sum() == 1
    log_ratio = 0.5 * (np.log(low).sum() - np.log(high[1:]).sum())
    frequency = np.exp(log_ratio) * units.s / (2 * np.pi)
    assert jump.attempt_frequency_THz == pytest.approx(1e-12 * frequency, rel=1e-7)
    unstable = np.sqrt(-high[0]) * units.s / (2 * np.pi)
    assert jump.unstable_frequency_THz == pytest.approx(1e-12 * unstable, rel=1e-7)


def test_rate_and_diffusivities(jump):
    t = 700.0
    expected = jump.attempt_frequency_THz * 1e12 * np.exp(-jump.barrier_eV / (units.kB * t)) / 2
    assert jump.rate(t) == pytest.approx(expected, rel=1e-12)
    assert jump.rate(0) == 0.0
    # random walk with 8 neighbours at √3/2 a0
    walk = 8 / 6 * (np.sqrt(3) / 2 * A0 * 1e-10) ** 2 * expected
    assert jump.vacancy_diffusivity(t) == pytest.approx(walk, rel=1e-12)
    tracer = CORRELATION["bcc"] * 1e-7 * walk
    assert jump.self_diffusivity(t, 1e-7) == pytest.approx(tracer, rel=1e-12)


def test_one_saddle_in_the_middle(make_potential):
    from thiry_calc.calculator import ThiryCalculator

    potential = make_potential("pair")
    a0 = potential.crystal.a0
    jump = vacancy_migration(
        lambda: ThiryCalculator(potential, extrapolation_warning=False),
        supercell(a0, 4), "bcc", a0, n_images=3,
    )  # fmt: skip
    assert jump.n_saddles == 1
    assert "1 negative mode" in str(jump)
    t = 500.0
    exponent = np.exp(-jump.barrier_eV / (units.kB * t))
    assert jump.rate(t) == pytest.approx(1e12 * jump.attempt_frequency_THz * exponent, rel=1e-12)


def test_a_vacancy_that_cannot_relax_is_an_error():
    class Pull:
        """Forces that never vanish."""

        def get_potential_energy(self, atoms=None, force_consistent=False):
            return 0.0

        def get_forces(self, atoms=None):
            return np.eye(len(atoms), 3)

    with pytest.raises(RuntimeError, match="vacancy for the migration path"):
        vacancy_migration(Pull, supercell(A0, 4), "bcc", A0)


def test_prefactor_from_formation_entropies_is_vineyards():
    """ln det′H of both, with the same bulk reference and equal masses."""
    n_atoms, mass, unstable = 31, 55.845, -0.7
    log_dets, bulk = (201.3, 199.1), 210.0  # of H: minimum and saddle; of the crystal of 32
    entropies = [formation_entropy(value, n_atoms, bulk, 32) for value in log_dets]
    found = attempt_frequency(*entropies, unstable / mass)
    of_d = [value - (3 * n_atoms - 3) * np.log(mass) for value in log_dets]
    expected = vineyard_rate(*of_d, unstable / mass, barrier=0.6, temperature=np.inf)
    assert found == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ValueError, match="negative"):
        attempt_frequency(*entropies, 0.1)
