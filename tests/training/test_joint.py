"""Rows of sites and gradients beside totals."""

import numpy as np
import pytest

from thiry_calc.defects import supercell
from thiry_calc.descriptors import Pair
from thiry_calc.linear import TSQR
from thiry_calc.neighbors import neighbors_of
from training.database import load_database
from training.defect_rows import defect_rows
from training.executors import make_executor
from training.generate import generate
from training.joint import Fold, choose_times, joint_statistics
from training.local_rows import local_rows
from training.recipe import read_recipe
from training.recipes.fe_am04_parts import ALL, PUBLISHED, columns_of
from training.recipes.local_labels import fitted
from training.references.am04 import LATTICE_CONSTANT

K = 30


@pytest.fixture
def law():
    """Rows of a linear law: 40 totals, many local rows, and rows that contradict it."""
    rng = np.random.default_rng(0)
    w = rng.normal(size=K)

    def rows(n, noise=0.0):
        X = rng.normal(size=(n, K))
        return X, X @ w + noise * rng.normal(size=n)

    return rows


def test_rows_that_help_count_and_rows_that_mislead_do_not(law):
    groups = np.zeros(K, dtype=int)
    totals = TSQR(K).update(*law(40, noise=1.0))
    good, bad = TSQR(K).update(*law(500, noise=0.1)), TSQR(K).update(*law(500, noise=300.0))
    times = choose_times([Fold(totals, {"good": good, "bad": bad}, *law(60))], groups)
    assert list(times) == ["good"]
    joined = joint_statistics(totals, {"good": good}, times)
    assert joined.n == 40 + np.ceil(500 * times["good"])
    assert choose_times([Fold(totals, {}, *law(60))], groups) == {}
    assert joint_statistics(totals, {}, {}) is totals


def test_slack_lets_rows_count_that_cost_little(law):
    groups = np.zeros(K, dtype=int)
    totals = TSQR(K).update(*law(200, noise=0.01))
    other = {"other": TSQR(K).update(*law(500, noise=1.0))}
    folds = [Fold(totals, other, *law(60)) for _ in range(2)]
    strict = choose_times(folds, groups)
    loose = choose_times(folds, groups, slack=100.0)
    assert strict.get("other", 0.0) < loose["other"] == 1.0


def _database(path, tmp_path):
    with make_executor(0) as executor:
        generate(read_recipe(path), executor)
    return tmp_path / "database"


def test_local_rows_of_a_database(tmp_path, recipe_file, monkeypatch):
    pair = Pair(r_cut=5.3, n_max=5)
    folder = _database(recipe_file(4, (3, 3), labels=("total", "sites", "gradient")), tmp_path)
    with make_executor(0) as executor:
        first = local_rows(folder, pair, LATTICE_CONSTANT, executor)
        totals = defect_rows([folder], pair, LATTICE_CONSTANT, executor, seed=0)
        monkeypatch.setattr("training.local_rows._rows", None)  # must not be called
        again = local_rows(folder, pair, LATTICE_CONSTANT, executor)
    frames = load_database(folder)
    assert len(first) == len(again) == len(frames) == len(totals.formation_entropy) > 0
    w, crystal = (
        np.random.default_rng(1).normal(size=5),
        pair.values(supercell(LATTICE_CONSTANT, 3))[0],
    )
    for rows, same, atoms, total in zip(first, again, frames, totals.features, strict=True):
        np.testing.assert_array_equal(rows.sites.factor(), same.sites.factor())
        assert (rows.sites.n, rows.gradient.n) == (len(atoms), 3 * len(atoms))
        nl = neighbors_of(atoms, pair.cutoff)
        sites = (pair.values(nl) - crystal) @ w
        np.testing.assert_allclose(sites.sum(), total @ w, rtol=1e-9)
        misfit = atoms.arrays["site_entropies_kB"] - sites
        np.testing.assert_allclose(rows.sites.rss(w), misfit @ misfit, rtol=1e-9)
        forces = pair.push(nl)[1] @ w
        misfit = atoms.arrays["entropy_gradient_kB_per_A"].ravel() + forces
        np.testing.assert_allclose(rows.gradient.rss(w), misfit @ misfit, rtol=1e-9)


def test_a_database_without_the_labels(tmp_path, recipe_file):
    folder = _database(recipe_file(4, (3, 3)), tmp_path)
    with make_executor(0) as executor, pytest.raises(ValueError, match="has no entropy_gradient"):
        local_rows(folder, Pair(r_cut=5.3, n_max=5), LATTICE_CONSTANT, executor)


class _Rows:
    def __init__(self, rows, w):
        self.sites = TSQR(ALL.n_features).update(rows, rows @ w)


def test_site_rows_help_where_totals_are_few():
    rng = np.random.default_rng(1)
    w, columns = np.zeros(ALL.n_features), columns_of(PUBLISHED)
    w[columns] = rng.normal(size=len(columns))
    rows = rng.normal(size=(20, 60, ALL.n_features))
    features = rows.sum(axis=1)
    local = [_Rows(one, w) for one in rows]
    new = rng.normal(size=(50, ALL.n_features))
    errors = []
    for kinds in ((), ("sites",)):
        model = fitted(features, features @ w, local, kinds, PUBLISHED)
        errors.append(np.abs(model.predict(new[:, columns]) - new @ w).mean())
    assert errors[1] < 0.01 * errors[0]
