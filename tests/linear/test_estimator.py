import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from thiry_calc.linear import LinearRegressor

FOLDS = "rows are dealt to folds one by one, so a repeated row may be in another fold"


def data(n=80, k=6, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, k)) * 10.0 ** np.arange(k) + 5.0
    return X, X @ (rng.normal(size=k) / 10.0 ** np.arange(k)) + 3.0 + 0.1 * rng.normal(size=n)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("penalty", ["evidence", "cv", 1.0])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_check_estimator(penalty, fit_intercept):
    known = {"check_sample_weight_equivalence_on_dense_data": FOLDS} if penalty == "cv" else {}
    check_estimator(LinearRegressor(penalty, fit_intercept), expected_failed_checks=known)


def test_given_penalty_is_ridge_on_standardised_features():
    X, y = data()
    ours = LinearRegressor(2.5).fit(X, y)
    theirs = make_pipeline(StandardScaler(), Ridge(2.5)).fit(X, y)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-9)
    assert ours.coef_.shape == (6,)


@pytest.mark.parametrize("penalty", ["evidence", "cv", 0.1])
def test_units_do_not_matter_and_blocks_do_not_either(penalty):
    X, y = data()
    one = LinearRegressor(penalty).fit(X, y)
    other = LinearRegressor(penalty).fit(X * 1e5, y)
    np.testing.assert_allclose(one.predict(X), other.predict(X * 1e5), rtol=1e-6)
    parts = LinearRegressor(penalty)
    for start in range(0, 80, 27):
        parts.partial_fit(X[start : start + 27], y[start : start + 27])
    np.testing.assert_allclose(parts.predict(X), one.predict(X), rtol=1e-6)
    parts.fit(X[:40], y[:40])
    np.testing.assert_allclose(
        parts.predict(X), LinearRegressor(penalty).fit(X[:40], y[:40]).predict(X), rtol=1e-12
    )


def test_std_targets_groups_and_validation():
    X, y = data()
    mean, std = LinearRegressor().fit(X, y).predict(X, return_std=True)
    assert 0.05 < np.sqrt(np.mean((mean - y) ** 2)) < 0.15
    assert (std > 0.08).all()
    Y = np.column_stack([y, -2 * y, y**2])
    many = LinearRegressor().fit(X, Y)
    assert many.coef_.shape == (3, 6)
    mean, std = many.predict(X, return_std=True)
    assert mean.shape == std.shape == (80, 3)
    groups = np.arange(80) // 10
    grouped = LinearRegressor("cv", n_folds=4).fit(X, y, groups=groups)
    assert [s.n for s in grouped.statistics_] == [20] * 4
    assert cross_val_score(LinearRegressor("cv"), X, y).min() > 0.99
    with pytest.raises(ValueError, match="expected 'evidence'"):
        LinearRegressor("bayes").fit(X, y)
