import numpy as np
import pytest

from thiry_calc.defects import supercell
from thiry_calc.descriptors import Combined, Pair, PowerSpectrum
from thiry_calc.linear import TSQR, ridge
from training.assemble import Reference, Sigma, energy_statistics, feature_sums
from training.energy_data import FAMILIES, label, make_family
from training.references.am04 import AM04, LATTICE_CONSTANT
from training.regression import bayesian_ridge, calibrated, fit_heavy_tailed, penalty_groups

DESCRIPTOR = Combined((PowerSpectrum(4.0, 2, 2, elements=("Fe",)), Pair(4.0, 4, elements=("Fe",))))


class LinearReference:
    """Labels that the descriptor reproduces exactly: E = N e + w·(Σφ − N φ_0)."""

    def __init__(self):
        self.w = np.random.default_rng(0).normal(size=DESCRIPTOR.n_features)
        self.phi_0 = DESCRIPTOR.values(supercell(LATTICE_CONSTANT, 2))[0]

    def attach(self, atoms):
        from ase.calculators.singlepoint import SinglePointCalculator

        from thiry_calc.neighbors import neighbors_of

        total, forces, strain = DESCRIPTOR.push(neighbors_of(atoms, 4.0))
        energy = -4.0 * len(atoms) + (total - len(atoms) * self.phi_0) @ self.w
        atoms.calc = SinglePointCalculator(
            atoms,
            energy=energy,
            forces=(forces @ self.w).reshape(-1, 3),
            stress=strain @ self.w / atoms.get_volume(),
        )
        return atoms


def test_rows_of_energy_forces_and_stress_agree_on_one_set_of_coefficients():
    exact = LinearReference()
    frames = [exact.attach(a) for a in make_family("strained", 12, LATTICE_CONSTANT, AM04(), 3)]
    reference = Reference(exact.phi_0, -4.0)
    statistics = energy_statistics(frames, DESCRIPTOR, reference, {"strained": Sigma()})
    assert statistics.n == 12 * (1 + 6 + 3 * 16)
    found = ridge(statistics, 0.0).coefficients
    np.testing.assert_allclose(found, exact.w, rtol=1e-6)


def test_frames_without_forces_count_with_their_energy_only():
    exact = LinearReference()
    atoms = exact.attach(supercell(2.9, 2))
    del atoms.calc.results["forces"]
    atoms.info["family"] = "strained"
    statistics = energy_statistics(
        [atoms], DESCRIPTOR, Reference(exact.phi_0, -4.0), {"strained": Sigma()}
    )
    assert statistics.n == 1


def test_evidence_fit_keeps_its_covariance():
    exact = LinearReference()
    frames = [exact.attach(a) for a in make_family("strained", 12, LATTICE_CONSTANT, AM04(), 3)]
    statistics = energy_statistics(
        frames, DESCRIPTOR, Reference(exact.phi_0, -4.0), {"strained": Sigma()}
    )
    groups = penalty_groups(DESCRIPTOR, (0, 1))
    assert list(np.bincount(groups)) == [9, 4]
    model = bayesian_ridge(statistics, groups)
    assert model.leverage_factor.shape == (13, 13)
    np.testing.assert_allclose(model.coefficients, exact.w, rtol=1e-3)


def test_penalties_have_a_floor():
    """Labels without noise want none, and pay with coefficients that cancel."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 1)) + 1e-7 * rng.normal(size=(60, 5))
    y = X @ np.array([3e4, -1e4, -2e4, 1e4, -1e4])
    groups = np.array([0, 0, 0, 1, 1])
    stats = TSQR(5).update(X, y)
    size, floor = stats.mean_square, np.array([1e-5, 1e-5, 1e-5, 1e-2, 1e-2])
    free, bound = (
        bayesian_ridge(stats, groups, least=0.0),
        bayesian_ridge(stats, groups, least=floor),
    )
    assert np.all(free.penalty < 1e-12 * size)
    assert np.all(bound.penalty > 0.95 * floor * size)
    assert np.abs(bound.coefficients).max() < 1.0 < 1e3 < np.abs(free.coefficients).max()


def test_heavy_tails_do_not_pull_the_fit():
    rng = np.random.default_rng(0)
    X, w = rng.normal(size=(600, 20)), rng.normal(size=20)
    y = X @ w + 0.01 * rng.standard_t(1.5, size=600)
    groups, tail = np.zeros(20, dtype=int), rng.normal(size=(3, 20))
    prior = TSQR(20).update(tail, tail @ w)  # other rows, which keep their weight
    seen = []

    def weighted(weights):
        seen.append(weights)
        return TSQR(20).update(X, y, weights) + prior

    robust = fit_heavy_tailed(weighted, X, y, groups)
    plain = bayesian_ridge(weighted(np.ones(600)), groups)
    errors = [np.abs(model.coefficients - w).max() for model in (robust, plain)]
    assert errors[0] < 0.3 * errors[1]
    np.testing.assert_array_equal(seen[0], 1.0)
    np.testing.assert_allclose(seen[1].max(), np.sqrt(5 / 4), rtol=1e-3)  # where r = 0
    exact = fit_heavy_tailed(lambda s: TSQR(20).update(X, X @ w, s), X, X @ w, groups)
    np.testing.assert_allclose(exact.coefficients, w, rtol=1e-6)


def test_calibrated_std_covers_the_errors():
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(400, 4)), np.arange(4.0)
    statistics = TSQR(4)
    statistics.update(x, x @ w, np.ones(400))
    model = ridge(statistics, 1e-3, covariance=True)
    new = rng.normal(size=(300, 4))
    y = new @ w + 0.3 * rng.normal(size=300)
    scaled = calibrated(model, new, y)
    errors = np.abs(y - scaled.predict(new)) / scaled.std(new)
    assert np.mean(errors < 1) == pytest.approx(0.683, abs=0.05)
    assert np.mean(errors < 1.96) == pytest.approx(0.95, abs=0.05)
    np.testing.assert_array_equal(scaled.leverage(new), model.leverage(new))


def test_feature_sums_add_atoms():
    atoms = supercell(2.9, 2)
    atoms.rattle(0.1, seed=1)
    rows = feature_sums([atoms, atoms], DESCRIPTOR)
    np.testing.assert_allclose(rows[0], DESCRIPTOR.values(atoms).sum(axis=0))
    np.testing.assert_array_equal(rows[0], rows[1])


@pytest.mark.parametrize("name", ["rattled", "strained", "md_300", "defects"])
def test_families_repeat_with_the_seed_and_differ_without(name):
    a, b = (make_family(name, 2, LATTICE_CONSTANT, AM04(), seed)[1] for seed in (5, 5))
    other = make_family(name, 2, LATTICE_CONSTANT, AM04(), 6)[1]
    np.testing.assert_array_equal(a.positions, b.positions)
    assert a.info["family"] == name
    assert a.get_potential_energy() == b.get_potential_energy()
    assert a.get_potential_energy() != other.get_potential_energy()


def test_labels_are_the_reference_potentials():
    atoms = FAMILIES["rattled"](LATTICE_CONSTANT, AM04(), np.random.default_rng(1))
    cell = label(next(iter(atoms)), AM04(), "rattled")
    work = cell.copy()
    work.calc = AM04()
    np.testing.assert_array_equal(cell.get_forces(), work.get_forces())
    np.testing.assert_array_equal(cell.get_stress(), work.get_stress())


def test_unknown_family_is_named():
    with pytest.raises(ValueError, match="unknown family 'gas'"):
        make_family("gas", 1, LATTICE_CONSTANT, AM04(), 1)
