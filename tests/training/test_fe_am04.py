import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator

from thiry_calc.defects import build, supercell
from thiry_calc.linear import TSQR
from training.database import load_database
from training.defect_rows import DefectRows, defect_rows, relative_features, repeats
from training.executors import make_executor
from training.generate import generate
from training.perturbations import strain
from training.recipe import read_recipe
from training.recipes.fe_am04 import TEST, TRAIN, fitted_frames
from training.recipes.fe_am04_entropy import EntropyRows, counts_of, fit_entropy
from training.recipes.fe_am04_parts import ALL, PARTS, PUBLISHED, SHARED, columns_of
from training.references.am04 import AM04, LATTICE_CONSTANT
from training.strained_crystals import expansion_row, strained_crystals

K = ALL.n_features


def _frames():
    sheared = np.array([[1.01, 0.0, 0.004], [0.0, 0.99, 0.0], [0.004, 0.0, 1.0]])
    crystal = supercell(LATTICE_CONSTANT, 4)
    vacancy = build("vacancy", LATTICE_CONSTANT, 4)
    frames = []
    for atoms, family in ((crystal, "strained"), (vacancy, "strained"), (vacancy, "mixed")):
        frame = atoms.copy()
        if family == "strained":
            frame.set_cell(frame.cell.array @ sheared, scale_atoms=True)
        frame.info.update(
            n_sites=128,
            family=family,
            group="V1",
            formation_energy_eV=1.7,
            formation_entropy_kB=2.6,
        )
        frame.calc = SinglePointCalculator(frame, energy=0.0)
        frames.append(frame)
    return frames


def test_rows_are_relative_to_the_crystal_of_the_same_box():
    features = relative_features(_frames(), ALL, LATTICE_CONSTANT)
    assert features.shape == (3, K)
    scale = np.abs(features[2]).max()
    assert np.abs(features[0]).max() < 1e-9 * scale
    assert np.abs(features[1] - features[2]).max() > 1e-6 * scale


def test_rows_of_a_database_are_kept_and_found_again(tmp_path, recipe_file, monkeypatch):
    with make_executor(0) as executor:
        generate(read_recipe(recipe_file(24, (2, 3), strained=4)), executor)
        first = defect_rows([tmp_path / "database"], PARTS[1], LATTICE_CONSTANT, executor, seed=1)
        other = defect_rows([tmp_path / "database"], PARTS[2], LATTICE_CONSTANT, executor, seed=1)
        frames = load_database(tmp_path / "database")
        expected = relative_features(frames, PARTS[1], LATTICE_CONSTANT)
        monkeypatch.setattr("training.defect_rows.relative_features", None)  # must not be called
        again = defect_rows([tmp_path / "database"], PARTS[1], LATTICE_CONSTANT, executor, seed=1)
    assert other.features.shape[1] == PARTS[2].n_features
    np.testing.assert_array_equal(first.features, expected)
    np.testing.assert_array_equal(again.features, expected)
    entropies = [atoms.info["formation_entropy_kB"] for atoms in frames]
    np.testing.assert_array_equal(again.formation_entropy, entropies)
    assert again.group == [atoms.info["group"] for atoms in frames]
    assert again.strained.any()
    assert not again.strained.all()
    assert again.held_out.sum() == len(frames) // 10
    for atoms in fitted_frames(again, 5, seed=0):
        same = [k for k, e in enumerate(entropies) if e == atoms.info["formation_entropy_kB"]]
        assert not again.held_out[same].any()


def test_entropy_fit_recovers_a_linear_law_with_held_out_rows_untouched():
    rng = np.random.default_rng(0)
    descriptor_columns = columns_of(PUBLISHED)
    features = rng.normal(size=(400, K))
    w = np.zeros(K)
    w[descriptor_columns] = rng.normal(size=PARTS[2].n_features)
    held_out = np.arange(400) % 10 == 0
    entropy = features @ w
    entropy[held_out] = 1e6  # must not matter
    data = DefectRows(features, entropy, entropy, ["mixed"] * 400, ["V1"] * 400, held_out, [])
    rows = EntropyRows(data, TSQR(K), {"gradient": _random_rows(rng, w), "sites": _noise(rng)})
    times = counts_of(rows, PUBLISHED)
    assert "sites" not in times  # they know nothing of the law
    model = fit_entropy(rows, ~held_out, PUBLISHED, times)
    np.testing.assert_allclose(model.coefficients, w[descriptor_columns], atol=1e-4)


def _random_rows(rng, w):
    X = rng.normal(size=(900, K))
    return TSQR(K).update(X, X @ w)


def _noise(rng):
    return TSQR(K).update(rng.normal(size=(900, K)), 100 * rng.normal(size=900))


def test_a_configuration_found_again_is_known_by_energy_and_entropy():
    energy = np.array([1.0, 2.0, 1.00005, 1.0, 3.0])
    entropy = np.array([5.0, 5.0, 5.0005, 6.0, 5.0])
    np.testing.assert_array_equal(repeats(energy, entropy), [False, False, True, False, False])
    assert not repeats(energy[:2], entropy[:2]).any()


def test_strained_crystals_have_the_entropy_of_their_modes():
    features, entropy = strained_crystals(AM04(), LATTICE_CONSTANT, ALL, 1024, count=2, seed=1)
    assert features.shape == (2, K)
    rng, rest, found = np.random.default_rng(1), supercell(LATTICE_CONSTANT, 5), []
    for _ in range(2):
        cell = rest.copy()
        strain(cell, 0.02, rng)
        found.append(_entropy_per_atom(cell) - _entropy_per_atom(rest))
    # the modes of a box instead of those of the infinite crystal
    np.testing.assert_allclose(entropy / 1024, found, rtol=0.01)


def _entropy_per_atom(crystal):
    modes = np.linalg.eigvalsh(AM04().get_hessian(crystal).toarray())
    return -0.5 * np.log(modes[3:]).sum() / len(crystal)


def test_expanded_crystal_has_the_slope_of_grueneisen():
    features, entropy = expansion_row(AM04(), LATTICE_CONSTANT, ALL, 1024)
    assert features.shape == (1, K)
    # γ = 0.24 of AM04 at rest: 3γ ΔV/V per atom with ΔV/V = 0.012
    np.testing.assert_allclose(entropy, 3 * 0.24 * 0.012 * 1024, rtol=0.1)


def test_tests_and_training_cover_the_same_families():
    assert set(TRAIN) == set(TEST)
    assert SHARED == (0, 1)
