import numpy as np
import pytest

from thiry_calc.linear import TSQR, Gram, definite, reduced_rank, ridge, ridge_path
from thiry_calc.linear.normal import ridge_of_rows


def problem(n=120, k=9, seed=0, targets=1):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, k)) @ rng.normal(size=(k, k))
    y = rng.normal(size=n if targets == 1 else (n, targets))
    s = rng.uniform(0.5, 2.0, n)
    return X, y, s, TSQR(k, targets).update(X, y, s)


def stacked(X, y, s, lam):
    """Least squares with the penalties as rows: no normal equations."""
    A = np.vstack([X * s[:, None], np.diag(np.sqrt(lam))])
    b = np.concatenate([(y.T * s).T, np.zeros((X.shape[1], *y.shape[1:]))])
    return np.linalg.lstsq(A, b, rcond=None)[0]


@pytest.mark.parametrize("targets", [1, 3])
def test_least_squares_and_ridge_are_exact(targets):
    X, y, s, stats = problem(targets=targets)
    some = np.array([0, 1e-6, 1.0, 0, 1e4, 1, 2, 3, 4])
    for lam in (np.zeros(9), np.full(9, 0.3), some):
        model = ridge(stats, lam)
        np.testing.assert_allclose(model.coefficients, stacked(X, y, s, lam), rtol=1e-10)
        normal = np.linalg.inv((X * s[:, None] ** 2).T @ X + np.diag(lam))
        L = model.leverage_factor
        np.testing.assert_allclose(L @ L.T, normal, rtol=1e-8, atol=1e-12)
        gamma = 9 - np.sum(lam * np.diag(normal))
        assert model.effective_parameters == pytest.approx(gamma, rel=1e-10)
    ols = ridge(stats, 0.0)
    residual = s * (X @ ols.coefficients - y).T
    np.testing.assert_allclose(ols.noise**2, np.sum(residual**2, axis=-1) / (120 - 9), rtol=1e-10)


def test_gram_agrees_with_tsqr():
    X, y, s, stats = problem()
    gram = Gram(9).update(X, y, s)
    a, b = ridge(stats, 0.5), ridge(gram, 0.5)
    np.testing.assert_allclose(a.coefficients, b.coefficients, rtol=1e-9)
    assert a.noise == pytest.approx(b.noise, rel=1e-9)
    assert a.log_evidence == pytest.approx(b.log_evidence, rel=1e-9)


def test_columns_of_any_size():
    X, y, s, stats = problem()
    size = 10.0 ** np.linspace(-9, 9, 9)
    scaled = TSQR(9).update(X * size, y, s)
    lam = np.full(9, 0.1)
    np.testing.assert_allclose(
        ridge(scaled, lam * size**2).coefficients * size, ridge(stats, lam).coefficients, rtol=1e-9
    )
    # with penalties in the units of the features the fit does not know the units
    np.testing.assert_allclose(
        ridge(scaled, 1e-3 * scaled.mean_square).coefficients * size,
        ridge(stats, 1e-3 * stats.mean_square).coefficients,
        rtol=1e-9,
    )


def test_path_equals_single_fits():
    _, _, _, stats = problem()
    prior = np.linspace(0.1, 3, 9)
    prior[[0, 4]] = 0.0
    for p in (None, prior):
        factors = [0.0, 1e-8, 1e-2, 1.0, 1e5]
        for lam, model in zip(factors, ridge_path(stats, factors, p), strict=True):
            one = ridge(stats, lam * (np.ones(9) if p is None else p))
            np.testing.assert_allclose(model.coefficients, one.coefficients, rtol=1e-8, atol=1e-12)
            assert model.noise == pytest.approx(one.noise, rel=1e-9)
            assert model.effective_parameters == pytest.approx(one.effective_parameters, rel=1e-9)
            np.testing.assert_array_equal(model.penalty, one.penalty)


def test_ill_conditioned_fit_keeps_the_residual():
    # condition 1e14: coefficients are lost, predictions must not be
    t = np.linspace(0, 1, 300)
    X, y = np.vander(t, 18), np.exp(t)
    model = ridge(TSQR(18).update(X, y), 0.0)
    assert np.abs(model.predict(X) - y).max() < 1e-12


def test_collinear_columns_share_without_penalty():
    X, y, _, _ = problem(k=4)
    doubled = np.column_stack([X, X[:, 0], np.zeros(len(X))])
    model = ridge(TSQR(6).update(doubled, y), 0.0)
    np.testing.assert_allclose(
        model.predict(doubled), X @ np.linalg.lstsq(X, y, rcond=None)[0], atol=1e-10
    )
    assert model.coefficients[4] == pytest.approx(model.coefficients[0], rel=1e-8)
    assert model.coefficients[5] == 0.0
    assert model.effective_parameters == pytest.approx(4, abs=1e-9)
    residual = y - model.predict(doubled)
    assert model.noise**2 == pytest.approx(residual @ residual / (len(y) - 4), rel=1e-9)
    path = ridge_path(TSQR(6).update(doubled, y), [0.0])[0]
    np.testing.assert_allclose(path.predict(doubled), model.predict(doubled), atol=1e-9)


def test_fewer_rows_than_features():
    X, y, s, stats = problem(n=5)
    lam = np.full(9, 0.2)
    np.testing.assert_allclose(ridge(stats, lam).coefficients, stacked(X, y, s, lam), rtol=1e-9)
    exact = ridge(stats, 0.0)
    np.testing.assert_allclose(exact.predict(X), y, atol=1e-10)
    assert np.isnan(exact.noise)
    nothing = ridge(TSQR(3), 1.0)
    np.testing.assert_array_equal(nothing.coefficients, np.zeros(3))
    np.testing.assert_array_equal(ridge(TSQR(3), 0.0).coefficients, np.zeros(3))


def test_reduced_rank_is_the_best_of_its_rank():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 6))
    W = rng.normal(size=(6, 2)) @ rng.normal(size=(2, 5))
    Y = X @ W + 0.01 * rng.normal(size=(100, 5))
    stats = TSQR(6, 5).update(X, Y)
    model = reduced_rank(stats, 2, 1e-3)
    assert np.linalg.matrix_rank(model.coefficients, tol=1e-9) == 2
    assert np.abs(model.coefficients - W).max() < 0.02

    def cost(w, lam=0.7):
        return np.sum((X @ w - Y) ** 2) + lam * np.sum(w**2)

    full = reduced_rank(stats, 5, 0.7).coefficients
    np.testing.assert_allclose(full, ridge(stats, 0.7).coefficients, rtol=1e-9)
    best = reduced_rank(stats, 1, 0.7).coefficients
    u, v, e = best[:, 0] / best[0, 0], best[0], 1e-3
    for _ in range(50):
        other = np.outer(u + e * rng.normal(size=6), v + e * rng.normal(size=5))
        assert cost(other) > cost(best)
    with pytest.raises(ValueError, match=r"1\.\.5"):
        reduced_rank(stats, 6)


def test_bad_penalties_are_refused():
    stats = problem()[3]
    for bad in (-1.0, np.nan, np.ones(3)):
        with pytest.raises(ValueError, match="penalt"):
            ridge(stats, bad)
    with pytest.raises(ValueError, match="penalty factors"):
        ridge_path(stats, [1.0, -2.0])


@pytest.mark.parametrize("targets", [1, 3])
def test_normal_equations_of_a_gram_agree_with_orthogonal_factorisation(targets):
    X, y, s, stats = problem(targets=targets)
    gram = Gram(9, targets)
    for rows in np.array_split(np.arange(120), 4):
        gram.update(X[rows], y[rows], s[rows])
    lam = np.array([0, 0.2, 1.0, 2, 3, 1, 2, 3, 4])
    quick, exact = ridge(gram, lam, covariance=False), ridge(stats, lam)
    np.testing.assert_allclose(quick.coefficients, exact.coefficients, rtol=1e-9)
    np.testing.assert_allclose(quick.noise, exact.noise, rtol=1e-9)
    assert quick.leverage_factor is None
    if targets == 3:
        low = reduced_rank(gram, 2, lam).coefficients
        np.testing.assert_allclose(low, reduced_rank(stats, 2, lam).coefficients, rtol=1e-8)


def test_normal_equations_refuse_collinear_features():
    X = np.ones((5, 2))
    with pytest.raises(ValueError, match="larger penalty"):
        ridge(Gram(2).update(X, np.arange(5.0)), 0.0, covariance=False)


def test_products_in_single_precision():
    X, y, s, stats = problem()
    gram = Gram(9, dtype=np.float32).update(X, y, s)
    np.testing.assert_allclose(gram.gram, gram.gram.T, rtol=0)
    np.testing.assert_allclose(gram.gram, stats.gram, rtol=1e-5, atol=1e-4)
    # small whole numbers are exact
    whole = np.random.default_rng(0).integers(0, 200, (300, 9))
    exact = Gram(9, dtype=np.float32).update(whole, y[:1].repeat(300))
    np.testing.assert_array_equal(exact.gram, whole.T @ whole)
    with pytest.raises(ValueError, match="float64 or float32"):
        Gram(9, dtype=np.float16)


def test_large_systems_are_solved_in_blocks(monkeypatch):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 23)), rng.normal(size=(60, 3))
    expected = np.linalg.solve(X.T @ X + np.eye(23), X.T @ y)
    for block in (1, 4, 22, 23, 100):
        monkeypatch.setattr(definite, "_BLOCK", block)
        model = ridge(Gram(23, 3).update(X, y), 1.0, covariance=False)
        np.testing.assert_allclose(model.coefficients, expected, rtol=1e-10)
        dual = ridge_of_rows(X, y, 1.0)
        np.testing.assert_allclose(dual, expected, rtol=1e-9)
    few = ridge_of_rows(X[:9], y[:9], 0.5, rank=2)
    full = ridge_of_rows(X[:9], y[:9], 0.5)
    assert np.linalg.matrix_rank(few) == 2
    right = np.linalg.svd(np.vstack([X[:9] @ full, np.sqrt(0.5) * full]))[2][:2]
    np.testing.assert_allclose(few, full @ right.T @ right, atol=1e-12)
    with pytest.raises(ValueError, match="rank 4"):
        ridge_of_rows(X, y, 1.0, rank=4)
