import numpy as np
import pytest

from thiry_calc.linear import (
    TSQR,
    cross_validate,
    error_table,
    evidence,
    learning_curve,
    merge,
    ridge,
)
from thiry_calc.linear.validate import left_out


def data(n_blocks=6, k=5, seed=0):
    rng = np.random.default_rng(seed)
    w = rng.normal(size=k)
    parts = []
    for b in range(n_blocks):
        X = rng.normal(size=(4 + 2 * b, k))
        parts.append((X, X @ w + 0.5 * rng.normal(size=len(X)), rng.uniform(0.5, 2, len(X))))
    return parts, [TSQR(k).update(*part) for part in parts]


def test_equals_brute_force_refits():
    parts, blocks = data()
    penalties = [1e-3, 0.1, 1.0, 30.0]
    found = cross_validate(blocks, penalties)
    total = np.zeros(4)
    for b, (X, y, s) in enumerate(parts):
        rest = [p for i, p in enumerate(parts) if i != b]
        A = np.vstack([p[0] * p[2][:, None] for p in rest])
        t = np.concatenate([p[1] * p[2] for p in rest])
        for m, lam in enumerate(penalties):
            w = np.linalg.solve(A.T @ A + lam * np.eye(5), A.T @ t)
            rss = np.sum((s * (X @ w - y)) ** 2)
            assert found.rss[b, m] == pytest.approx(rss, rel=1e-9)
            total[m] += rss
    weight = sum(np.sum(s**2) for _, _, s in parts)
    np.testing.assert_allclose(found.rmse, np.sqrt(total / weight), rtol=1e-9)
    assert found.best == penalties[int(np.argmin(total))]
    assert "<- best" in str(found)


@pytest.mark.parametrize("count", [2, 3, 7])
def test_left_out_merges_all_the_others(count):
    _, blocks = data(count)
    seen = set()
    for b, rest in left_out(blocks):
        expected = merge(blocks[:b] + blocks[b + 1 :])
        np.testing.assert_allclose(rest.gram, expected.gram, rtol=1e-12, atol=1e-12)
        assert rest.n == expected.n
        seen.add(b)
    assert seen == set(range(count))


def test_solvers_and_folds():
    _, blocks = data()
    solvers = {
        "ridge": lambda s: ridge(s, 0.1),
        "evidence": evidence,
        "mean": lambda s: ridge(s, 1e9),
    }
    found = cross_validate(blocks, solvers)
    np.testing.assert_allclose(found.rss[:, 0], cross_validate(blocks, [0.1]).rss[:, 0], rtol=1e-9)
    assert found.best in ("ridge", "evidence")
    folds = cross_validate(blocks, [0.1, 1.0], n_folds=3, seed=5)
    assert folds.rss.shape == (3, 2)
    np.testing.assert_array_equal(
        folds.rss, cross_validate(blocks, [0.1, 1.0], n_folds=3, seed=5).rss
    )
    assert folds.weight2.sum() == pytest.approx(sum(b.weight2 for b in blocks))


def test_unpenalised_features_by_prior():
    _, blocks = data()
    prior = np.array([0.0, 1, 1, 2, 2])
    found = cross_validate(blocks, [0.5], prior)
    expected = cross_validate(blocks, {"r": lambda s: ridge(s, 0.5 * prior)})
    np.testing.assert_allclose(found.rss, expected.rss, rtol=1e-9)


def test_validation_refuses():
    _, blocks = data()
    with pytest.raises(ValueError, match="at least two"):
        cross_validate(blocks[:1], [1.0])
    with pytest.raises(ValueError, match="block 6 has no rows"):
        cross_validate([*blocks, TSQR(5)], [1.0])
    with pytest.raises(ValueError, match="no candidates"):
        cross_validate(blocks, [])
    with pytest.raises(ValueError, match=r"2\.\.6"):
        cross_validate(blocks, [1.0], n_folds=7)


def test_learning_curve():
    parts, blocks = data(40)
    test = TSQR(5).update(*data(10, seed=0)[0][9])
    rng = np.random.default_rng(0)
    curve = learning_curve(blocks, test, [40, 1, 5], lambda s: ridge(s, 1e-3), seed=3, repeats=4)
    np.testing.assert_array_equal(curve.sizes, [1, 5, 40])
    everything = ridge(merge(blocks), 1e-3).coefficients
    expected = np.sqrt(test.rss(everything) / test.weight2)
    np.testing.assert_allclose(curve.test_rmse[-1], expected, rtol=1e-9)
    assert curve.n_rows[-1] == sum(len(p[0]) for p in parts)
    assert (np.diff(curve.n_rows) > 0).all()
    # the middle size, by hand: the first five blocks of the first order
    first = np.random.default_rng(3).permutation(40)[:5]
    w = ridge(merge([blocks[b] for b in first]), 1e-3).coefficients
    assert curve.test_rmse[1, 0] == pytest.approx(np.sqrt(test.rss(w) / test.weight2), rel=1e-9)
    assert "test RMSE" in str(curve)
    again = learning_curve(blocks, test, [5], lambda s: ridge(s, 1e-3), seed=3)
    assert again.test_rmse[0, 0] == pytest.approx(curve.test_rmse[1, 0], rel=1e-12)
    with pytest.raises(ValueError, match=r"1\.\.40"):
        learning_curve(blocks, test, [41], evidence)
    with pytest.raises(ValueError, match="no rows"):
        learning_curve(blocks, TSQR(5), [rng.integers(1, 40)], evidence)


def test_error_table():
    actual = np.array([1.0, 2.0, 3.0, 4.0])
    predicted = actual + np.array([0.1, -0.3, 0.0, 1.0])
    table = error_table(predicted, actual, ["b", "a", "b", "a"], unit="k_B")
    assert table.groups == ("a", "b", "all")
    assert table["a"]["mae"] == pytest.approx(0.65)
    assert table["a"]["rmse"] == pytest.approx(np.sqrt((0.09 + 1.0) / 2))
    assert table["b"] == pytest.approx({"n": 2, "mae": 0.05, "rmse": np.sqrt(0.005), "max": 0.1})
    assert table["all"]["max"] == pytest.approx(1.0)
    assert table["all"]["n"] == 4
    assert "k_B" in str(table)
    assert len(str(table).splitlines()) == 4
    components = error_table(np.ones((5, 3)), np.zeros((5, 3)), list("aabbb"))
    assert components["b"]["n"] == 9
    with pytest.raises(ValueError, match="equal shapes"):
        error_table(actual, actual[:3])
    with pytest.raises(ValueError, match="not finite"):
        error_table(actual, actual * np.nan)
    with pytest.raises(ValueError, match="group names"):
        error_table(actual, actual, ["a"])
