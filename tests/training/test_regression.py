"""Rounding of leverage factors."""

import zlib

import numpy as np

from thiry_calc.linear import TSQR, ridge
from training.regression import compacted


def test_rounded_factors_keep_leverages_of_collinear_features():
    rng = np.random.default_rng(0)
    k, n = 120, 400
    smooth = np.exp(-0.02 * np.arange(k)[:, None] * np.linspace(0, 1, k))
    smooth *= 10.0 ** rng.integers(-3, 4, k)
    X = rng.normal(size=(n, k)) @ smooth
    statistics = TSQR(k)
    statistics.update(X, rng.normal(size=n))
    model = ridge(statistics, 1e-14 * statistics.mean_square)
    exact = model.leverage(X)
    rounded = compacted(model, statistics.mean_square)
    np.testing.assert_allclose(rounded.leverage(X), exact, rtol=1e-3)
    single = model.leverage_factor.astype(np.float32)
    assert np.abs(np.sum((X @ single) ** 2, axis=1) / exact - 1).max() > 0.1
    packed = [len(zlib.compress(m.leverage_factor.tobytes())) for m in (model, rounded)]
    assert packed[1] < 0.9 * packed[0]


def test_features_without_data_are_not_rounded():
    statistics = TSQR(2)
    statistics.update(np.array([[1.0, 0.0], [2.0, 0.0]]), np.array([1.0, 2.0]))
    model = ridge(statistics, np.array([0.1, 3e-20]))
    rounded = compacted(model, statistics.mean_square)
    np.testing.assert_allclose(rounded.leverage_factor, model.leverage_factor, rtol=1e-5)
