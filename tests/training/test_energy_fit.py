"""From labelled structures to a potential."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from thiry_calc import ThiryCalculator
from thiry_calc.descriptors import ACE, ZBL, Combined, OneBody, Pair
from thiry_calc.linear import TSQR
from thiry_calc.neighbors import neighbors_of
from training.dataset import Structure
from training.energy_fit import FOLDS, fit_energy, rank_and_condition
from training.executors import make_executor
from training.folds import deal, penalty_groups, smoothness

SMALL, LARGE = ACE(4.5, (4, 3)), ACE(4.5, (8, 7, 6))


def _labelled(n, seed):
    rng = np.random.default_rng(seed)
    out = []
    for k in range(n):
        atoms = bulk("Cu", "fcc", 3.6, cubic=True) * (2, 2, 2)
        if k % 2:
            del atoms[0]
        strain = 0.03 * rng.normal(size=(3, 3))
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + (strain + strain.T) / 2), scale_atoms=True)
        atoms.positions += 0.1 * rng.normal(size=(len(atoms), 3))
        atoms.calc = EMT()
        labels = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()
        bare = atoms.copy()
        out.append(Structure(bare, *labels, "vacancy" if k % 2 else "bulk", f"frame {k}"))
    return out


@pytest.fixture(scope="module")
def fit(tmp_path_factory):
    structures = _labelled(40, seed=0)
    with make_executor(0) as executor:
        return fit_energy(
            [*structures, structures[3]], [SMALL, LARGE], None, {}, executor,
            tmp_path_factory.mktemp("rows"), "Cu",
        )  # fmt: skip


def test_the_better_descriptor_is_chosen_and_copies_left_out(fit):
    assert fit.potential.cutoff == 4.5
    assert fit.potential.descriptor.parts[1] == LARGE
    assert (fit.n_structures, fit.n_copies) == (40, 1)
    assert fit.reference == "fit"
    assert fit.best.score <= 1.02 * min(choice.score for _, choice in fit.choices)
    assert fit.rank == fit.potential.descriptor.n_features
    assert 10 < fit.condition < 1e9
    assert {d.parts[1] for d, _ in fit.choices} == {SMALL, LARGE}


@pytest.mark.parametrize("stress", [0.0, 1.0])
def test_stresses_without_weight_are_mentioned(fit, stress):
    best = replace(fit.best, factors={**fit.best.factors, "stress": stress})
    assert ("stresses are left out" in str(replace(fit, best=best))) == (stress == 0)


def test_structures_it_has_not_seen(fit):
    for one in _labelled(6, seed=1):
        atoms = one.atoms.copy()
        atoms.calc = ThiryCalculator(fit.potential)
        assert atoms.get_potential_energy() / len(atoms) == pytest.approx(
            one.energy / len(atoms), abs=2e-3
        )
        assert np.abs(atoms.get_forces() - one.forces).mean() < 0.02
        assert np.abs(atoms.get_stress() - one.stress).max() < 3e-3


def test_a_core_repels_where_there_are_no_data(fit, tmp_path):
    core = ZBL(0.9, 1.8)
    with make_executor(0) as executor:
        cored = fit_energy(
            _labelled(24, seed=0), [LARGE], None, {}, executor, tmp_path, "Cu", core=core
        )
    model = cored.potential.target("energy").model
    assert cored.potential.descriptor.parts[-1] == core
    assert model.coefficients[-1] == 1.0
    errors: dict[str, list[float]] = {"cored": [], "plain": []}
    for one in _labelled(6, seed=1):
        atoms = one.atoms.copy()
        for name, potential in (("cored", cored.potential), ("plain", fit.potential)):
            atoms.calc = ThiryCalculator(potential)
            errors[name].append(np.abs(atoms.get_forces() - one.forces).mean())
    assert np.mean(errors["cored"]) < 0.01
    assert np.mean(errors["plain"]) < 0.005
    assert np.isfinite(atoms.calc.get_property("energy_std", atoms))
    pair = Atoms("Cu2", [[0, 0, 0], [0.6, 0, 0]])
    forces = {}
    for name, potential in (("cored", cored.potential), ("plain", fit.potential)):
        pair.calc = ThiryCalculator(potential, extrapolation_warning=False)
        forces[name] = -pair.get_forces()[0, 0]
    _, expected, _ = core.push(neighbors_of(pair, 1.8))
    assert forces["cored"] == pytest.approx(expected[3, 0], rel=0.3)
    assert abs(forces["plain"] / expected[3, 0] - 1) > 0.5


def test_error_bars_of_forces_cover_the_errors(fit):
    ratios = []
    for one in _labelled(20, seed=3):
        atoms = one.atoms.copy()
        atoms.calc = ThiryCalculator(fit.potential, extrapolation_warning=False)
        std = atoms.calc.get_property("force_std", atoms)
        ratios.append(np.abs(atoms.get_forces() - one.forces) / std)
    ratios = np.concatenate([r.ravel() for r in ratios])
    assert np.mean(ratios < 1) == pytest.approx(0.683, abs=0.06)
    assert np.mean(ratios < 1.96) == pytest.approx(0.95, abs=0.04)


def test_as_many_functions_as_wanted(fit, tmp_path):
    with make_executor(0) as executor:
        few = fit_energy(
            _labelled(40, seed=0), [LARGE], None, {}, executor, tmp_path, "Cu", n_functions=60
        )
    model = few.potential.target("energy").model
    assert np.count_nonzero(model.coefficients[1:]) == 60
    errors = {}
    for name, potential in (("few", few.potential), ("all", fit.potential)):
        misses = []
        for one in _labelled(6, seed=1):
            atoms = one.atoms.copy()
            atoms.calc = ThiryCalculator(potential, extrapolation_warning=False)
            misses.append(np.abs(atoms.get_forces() - one.forces).mean())
            assert np.isfinite(atoms.calc.get_property("force_std", atoms)).all()
        errors[name] = np.mean(misses)
    assert errors["few"] < 1.5 * errors["all"]


def test_more_structures_fewer_errors(fit):
    learning = fit.learning
    np.testing.assert_allclose(learning.n_structures, [5, 10, 20, 30])
    assert set(learning.rmse) == {"energy", "forces", "stress"}
    for rmse in learning.rmse.values():
        assert rmse.shape == (4, FOLDS)
        assert rmse[-1].mean() < rmse[0].mean()
    assert np.all(np.diff(learning.rmse["forces"].mean(axis=1)) < 0)
    forces = np.sqrt(np.mean(learning.rmse["forces"][-1] ** 2))
    assert forces == pytest.approx(fit.best.rmse["forces"], rel=0.1)


def test_constants_have_no_penalty_and_every_order_its_own(fit):
    groups = penalty_groups(fit.potential.descriptor)
    assert groups[0] == -1
    assert set(groups[1:]) == {0, 1, 2}
    np.testing.assert_array_equal(groups[1:], LARGE.orders - 1)


def test_functions_that_oscillate_are_wanted_small():
    descriptor = Combined((OneBody(("Fe",)), ACE(4.0, (3, 2), l_weight=1.5), Pair(4.0, 2)))
    size = np.arange(1.0, descriptor.n_features + 1)
    found = smoothness(descriptor, size)
    np.testing.assert_array_equal(found[[0, -2, -1]], size[[0, -2, -1]])
    own = slice(1, -2)
    assert found[own].mean() == pytest.approx(size[own].mean())
    degrees = descriptor.parts[1].total_degrees
    assert list(degrees[:4]) == [0, 1, 2, 3]  # of the pair functions
    assert 1.5 * 2 + 0 not in degrees[4:]  # two factors of l = 1 cost 3, above the limit
    assert max(degrees[4:]) == 2
    np.testing.assert_allclose(found[own] / found[1], (1 + degrees) ** 4)


def test_groups_are_dealt_evenly():
    groups = ["a"] * 8 + ["b"] * 4 + ["c"]
    folds = deal(groups, FOLDS, seed=1)
    assert sorted(np.bincount(folds)) == [3, 3, 3, 4]
    assert [np.bincount(folds[:8]).tolist(), np.bincount(folds[8:12]).tolist()] == [
        [2] * 4,
        [1] * 4,
    ]
    np.testing.assert_array_equal(folds, deal(groups, FOLDS, seed=1))
    assert (folds != deal(groups, FOLDS, seed=2)).any()


def test_rank_and_condition_of_known_rows():
    rng = np.random.default_rng(0)
    q, _ = np.linalg.qr(rng.normal(size=(50, 3)))
    rows = q @ np.array([[1.0, 1.0, 0.0], [0.0, 1e-3, 0.0], [0.0, 0.0, 5.0]])
    assert rank_and_condition(TSQR(3).update(rows, np.ones(50))) == (
        3, pytest.approx(2 / 1e-3, rel=1e-3),
    )  # fmt: skip
    twice = np.column_stack([rows, rows[:, 0]])
    assert rank_and_condition(TSQR(4).update(twice, np.ones(50)))[0] == 3
