import numpy as np
import pytest

from thiry_calc.linear import TSQR, LinearModel, evidence, load, ridge, save


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 6)) * 10.0 ** np.arange(-3, 3)
    return X, X @ rng.normal(size=6) + 0.2 * rng.normal(size=50)


def test_leverage_and_std(data):
    X, y = data
    model = ridge(TSQR(6).update(X, y), 0.4)
    inverse = np.linalg.inv(X.T @ X + 0.4 * np.eye(6))
    leverage = np.diag(X @ inverse @ X.T)
    np.testing.assert_allclose(model.leverage(X), leverage, rtol=1e-9)
    np.testing.assert_allclose(model.std(X), model.noise * np.sqrt(leverage), rtol=1e-9)
    np.testing.assert_allclose(
        model.std(X, noise=True), model.noise * np.sqrt(1 + leverage), rtol=1e-9
    )
    np.testing.assert_allclose(model.predict(X[3]), model.predict(X)[3], rtol=1e-12)
    assert model.leverage(X[3]) == pytest.approx(model.leverage(X)[3], rel=1e-12)
    np.testing.assert_allclose(
        model.covariance_factor @ model.covariance_factor.T, model.noise**2 * inverse, rtol=1e-8
    )
    # leverages of the training rows sum to the effective number of parameters
    assert model.leverage(X).sum() == pytest.approx(model.effective_parameters, rel=1e-10)


def test_std_is_calibrated():
    rng = np.random.default_rng(1)
    z = []
    for _ in range(200):
        X, new = rng.normal(size=(20, 10)), rng.normal(size=(10, 10))
        w = rng.normal(size=10)
        model = evidence(TSQR(10).update(X, X @ w + 0.5 * rng.normal(size=20)), noise=0.5)
        z.append((model.predict(new) - new @ w) / model.std(new))
    assert np.std(z) == pytest.approx(1.0, abs=0.1)


def test_low_rank_keeps_the_dominant_directions(data):
    X, y = data
    stats = TSQR(6).update(X, y)
    model = ridge(stats, 1e-6)
    last = model.std(X)
    for rank in (6, 4, 2, 1):
        small = model.low_rank(rank, scale=np.sqrt(stats.mean_square))
        assert small.leverage_factor.shape == (6, rank)
        assert (small.std(X) <= last * (1 + 1e-12)).all()
        np.testing.assert_array_equal(small.predict(X), model.predict(X))
        last = small.std(X)
    L, full = model.low_rank(3).leverage_factor, model.leverage_factor
    values = np.linalg.eigvalsh(full @ full.T)[::-1]
    np.testing.assert_allclose(np.linalg.eigvalsh(L @ L.T)[::-1][:3], values[:3], rtol=1e-9)
    with pytest.raises(ValueError, match="at least one"):
        model.low_rank(0)
    with pytest.raises(ValueError, match="scale"):
        model.low_rank(2, scale=np.ones(3))


@pytest.mark.parametrize("targets", [1, 2])
def test_arrays_and_file_round_trip(tmp_path, targets):
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(30, 4)), rng.normal(size=(30, targets))
    model = evidence(TSQR(4, targets).update(X, Y))
    assert model.std(X).shape == ((30,) if targets == 1 else (30, 2))
    save(tmp_path / "m.thiry", {}, model.to_arrays(), "linear-model", 1)
    copy = LinearModel.from_arrays(load(tmp_path / "m.thiry", "linear-model")[1])
    for name, value in vars(model).items():
        np.testing.assert_array_equal(getattr(copy, name), value)
    bare = LinearModel(np.arange(3.0))
    np.testing.assert_array_equal(
        LinearModel.from_arrays(bare.to_arrays()).coefficients, bare.coefficients
    )


def test_reads_well_and_refuses_well(data):
    X, y = data
    text = str(ridge(TSQR(6).update(X, y), 0.1))
    assert "6 features" in text
    assert "50 rows" in text
    bare = LinearModel(np.ones(6))
    with pytest.raises(ValueError, match="covariance=True"):
        bare.std(X)
    with pytest.raises(ValueError, match=r"expected \(n, 6\)"):
        bare.predict(X[:, :5])
    assert bare.covariance_factor is None
