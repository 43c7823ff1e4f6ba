import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.stats import multivariate_normal

from thiry_calc.linear import TSQR, evidence, ridge
from thiry_calc.linear.bayes import _Problem


def problem(n=60, k=8, noise=0.3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, k))
    w = rng.normal(size=k)
    return X, w, X @ w + noise * rng.normal(size=n)


def gaussian(X, y, noise, penalty):
    """ln N(y | 0, σ² (1 + X Λ⁻¹ Xᵀ)): the definition, in data space."""
    covariance = noise**2 * (np.eye(len(y)) + X / penalty @ X.T)
    return multivariate_normal(cov=covariance).logpdf(y)


@pytest.mark.parametrize("n", [60, 5])
def test_log_evidence_is_the_density_of_the_data(n):
    X, _, y = problem(n=n)
    groups = np.array([0, 0, 0, 1, 1, 1, 1, 1])
    s = np.random.default_rng(1).uniform(0.5, 2, n)
    stats = TSQR(8).update(X, y, s)
    for model in (evidence(stats, groups), ridge(stats, np.linspace(0.1, 2, 8)),
                  evidence(stats, noise=0.7)):  # fmt: skip
        expected = gaussian(X * s[:, None], y * s, model.noise, model.penalty)
        assert model.log_evidence == pytest.approx(expected, abs=1e-8)


def test_one_group_matches_scikit_learn():
    linear_model = pytest.importorskip("sklearn.linear_model")
    X, _, y = problem()
    reference = linear_model.BayesianRidge(
        fit_intercept=False, alpha_1=0, alpha_2=0, lambda_1=0, lambda_2=0,
        compute_score=True, tol=1e-10, max_iter=10000,
    ).fit(X, y)  # fmt: skip
    model = evidence(TSQR(8).update(X, y))
    np.testing.assert_allclose(model.coefficients, reference.coef_, rtol=1e-6)
    assert model.noise == pytest.approx(reference.alpha_**-0.5, rel=1e-6)
    assert model.log_evidence == pytest.approx(reference.scores_[-1], abs=1e-6)
    L = model.covariance_factor
    np.testing.assert_allclose(L @ L.T, reference.sigma_, rtol=1e-5, atol=1e-9)
    assert model.converged


@pytest.mark.parametrize("targets", [1, 2])
def test_gradient_is_exact_and_vanishes_at_the_optimum(targets):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 9))
    groups = np.array([-1, 0, 0, 1, 1, 2, 2, 0, 1])
    Y = X @ rng.normal(size=(9, targets)) + 0.5 * rng.normal(size=(40, targets))
    stats = TSQR(9, targets).update(X, Y)
    prior = rng.uniform(0.5, 2, 9)
    for noise, least in ((None, 0.0), (None, 0.8), (0.4, 0.0)):
        task = _Problem.build(stats, groups, prior, noise, least, 40.0)
        theta = np.array([0.3, -1.0, 1.5])
        numeric = approx_fprime(theta, lambda t, p=task: p.value_and_slope(t)[0], 1e-6)
        np.testing.assert_allclose(task.value_and_slope(theta)[1], numeric, rtol=1e-4, atol=1e-5)
        model = evidence(stats, groups, prior, noise=noise, min_noise=least)
        best = np.log([(model.penalty / prior)[groups == g][0] for g in range(3)])
        assert np.abs(task.value_and_slope(best)[1]).max() < 1e-4
        assert model.converged
        value = task.value_and_slope(best)[0]
        for step in rng.normal(size=(20, 3)):
            assert task.value_and_slope(best + step)[0] >= value - 1e-9


def test_groups_find_what_matters():
    rng = np.random.default_rng(2)
    X = rng.normal(size=(80, 30))
    groups = np.repeat([0, 1, 2], 10)
    w = np.where(groups == 1, rng.normal(size=30), 0.0)
    y = X @ w + 0.1 * rng.normal(size=80)
    stats = TSQR(30).update(X, y)
    model, single = evidence(stats, groups), evidence(stats)
    assert model.penalty[0] > 1e3 * model.penalty[10]
    assert model.penalty[-1] > 1e3 * model.penalty[10]
    assert model.log_evidence > single.log_evidence + 10
    assert np.linalg.norm(model.coefficients - w) < 0.8 * np.linalg.norm(single.coefficients - w)
    assert model.noise == pytest.approx(0.1, rel=0.2)


def test_flat_features_are_free():
    # an unpenalised constant: shifting the data shifts it and nothing else
    X, _, y = problem()
    A = np.column_stack([X, np.ones(len(X))])
    groups = np.r_[np.zeros(8, int), -1]
    a = evidence(TSQR(9).update(A, y), groups)
    b = evidence(TSQR(9).update(A, y + 1000.0), groups)
    np.testing.assert_allclose(a.coefficients[:8], b.coefficients[:8], atol=1e-8)
    assert b.coefficients[8] - a.coefficients[8] == pytest.approx(1000.0, rel=1e-10)
    assert a.log_evidence == pytest.approx(b.log_evidence, abs=1e-6)
    assert a.penalty[8] == 0.0
    # and the penalised part is the fit to the projected data (restricted maximum likelihood)
    Q = np.linalg.qr(np.column_stack([np.ones(len(X)), np.eye(len(X))[:, 1:]]))[0][:, 1:]
    c = evidence(TSQR(8).update(Q.T @ X, Q.T @ y))
    np.testing.assert_allclose(a.coefficients[:8], c.coefficients, atol=1e-6)
    assert a.noise == pytest.approx(c.noise, rel=1e-6)


def test_everything_flat_is_least_squares():
    X, _, y = problem()
    stats = TSQR(8).update(X, y)
    model, ols = evidence(stats, -np.ones(8, int)), ridge(stats, 0.0)
    np.testing.assert_allclose(model.coefficients, ols.coefficients, rtol=1e-12)
    assert model.noise == pytest.approx(ols.noise, rel=1e-12)


def test_noiseless_data_are_reproduced():
    X, w, y = problem(noise=0.0)
    model = evidence(TSQR(8).update(X, y))
    np.testing.assert_allclose(model.coefficients, w, atol=1e-11)
    assert model.noise < 1e-8
    assert model.converged
    floor = evidence(TSQR(8).update(X, y), min_noise=0.01)
    assert floor.noise == 0.01
    np.testing.assert_allclose(floor.coefficients, w, atol=1e-3)
    assert evidence(TSQR(8).update(X, y), noise=0.5).noise == pytest.approx(0.5, rel=1e-14)


def test_targets_of_zero_and_fewer_rows_than_features():
    X, _, y = problem(n=5)
    still = evidence(TSQR(8).update(X, 0 * y))
    np.testing.assert_array_equal(still.coefficients, np.zeros(8))
    assert np.isfinite(still.noise)
    few = evidence(TSQR(8).update(X, y))
    assert np.isfinite(few.coefficients).all()
    assert np.isfinite(few.log_evidence)
    assert np.isfinite(few.std(X)).all()


@pytest.mark.parametrize("seed", range(5))
def test_wildly_ill_conditioned(seed):
    # monomials in random units: condition far above 1e16
    rng = np.random.default_rng(seed)
    t = np.linspace(-1, 1, 300)
    X = np.vander(t, 40) * 10.0 ** rng.uniform(-8, 8, 40)
    truth = np.sin(5 * t)
    noisy = TSQR(40).update(X, truth + 1e-3 * rng.normal(size=300))
    model = evidence(noisy, prior=noisy.mean_square)
    assert model.converged
    assert np.sqrt(np.mean((model.predict(X) - truth) ** 2)) < 5e-4
    assert model.noise == pytest.approx(1e-3, rel=0.15)
    z = (model.predict(X) - truth) / model.std(X)
    assert 0.3 < np.sqrt(np.mean(z**2)) < 2.5
    exact = TSQR(40).update(X, truth)
    assert np.abs(evidence(exact, prior=exact.mean_square).predict(X) - truth).max() < 1e-9


def test_one_group_finds_the_global_maximum():
    rng = np.random.default_rng(4)
    for _ in range(30):
        n, k = rng.integers(2, 40), rng.integers(1, 20)
        X = rng.normal(size=(n, k)) * 10.0 ** -rng.uniform(0, 6, k)
        y = X @ rng.normal(size=k) + rng.choice([0, 1e-6, 1e-2, 1.0]) * rng.normal(size=n)
        stats = TSQR(k).update(X, y)
        model = evidence(stats)
        task = _Problem.build(stats, np.zeros(k, int), np.ones(k), None, 0.0, float(n))
        grid = np.linspace(*task.bounds[0], 400)
        best = min(task.value_and_slope(np.array([t]))[0] for t in grid)
        assert -model.log_evidence <= best + 1e-6 * (1 + abs(best))


def test_fewer_independent_rows_mean_more_uncertainty():
    X, _, y = problem(n=200)
    doubled = TSQR(8).update(np.vstack([X, X]), np.r_[y, y])
    once, twice = evidence(TSQR(8).update(X, y)), evidence(doubled, n_rows=200)
    assert twice.noise == pytest.approx(np.sqrt(2) * once.noise, rel=1e-6)
    np.testing.assert_allclose(twice.std(X), once.std(X), rtol=1e-4)
    np.testing.assert_allclose(twice.coefficients, once.coefficients, rtol=1e-5)


def test_bad_input_is_refused():
    X, _, y = problem()
    stats = TSQR(8).update(X, y)
    with pytest.raises(ValueError, match="no rows"):
        evidence(TSQR(8))
    with pytest.raises(ValueError, match="without gaps"):
        evidence(stats, np.array([0, 0, 0, 0, 2, 2, 2, 2]))
    with pytest.raises(ValueError, match=r"expected \(8,\) integers"):
        evidence(stats, np.zeros(8))
    with pytest.raises(ValueError, match="group -1"):
        evidence(stats, prior=np.zeros(8))
    with pytest.raises(ValueError, match="min_noise -1"):
        evidence(stats, min_noise=-1.0)
