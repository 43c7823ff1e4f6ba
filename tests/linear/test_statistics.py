import pickle

import numpy as np
import pytest

from thiry_calc.linear import TSQR, Gram, merge

KINDS = [TSQR, Gram]


def rows(n, k, targets=1, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=n) if targets == 1 else rng.normal(size=(n, targets))
    return rng.normal(size=(n, k)), y, rng.uniform(0.5, 2.0, n)


def built(kind, X, y, weight=None, block=None):
    stats = kind(X.shape[1], 1 if y.ndim == 1 else y.shape[1])
    for start in range(0, len(X), block or len(X)):
        part = slice(start, start + (block or len(X)))
        stats.update(X[part], y[part], None if weight is None else weight[part])
    return stats


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("targets", [1, 3])
def test_matches_dense_algebra(kind, targets):
    X, y, s = rows(80, 7, targets)
    stats = built(kind, X, y, s)
    A, b = X * s[:, None], y.reshape(80, -1) * s[:, None]
    Q, R = np.linalg.qr(A)
    sign = np.sign(np.diag(R))
    np.testing.assert_allclose(stats.R, sign[:, None] * R, atol=1e-12)
    np.testing.assert_allclose(stats.Qty, sign[:, None] * (Q.T @ b), atol=1e-12)
    np.testing.assert_allclose(stats.gram, A.T @ A, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(stats.xty, A.T @ b, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(stats.yty, b.T @ b, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(stats.mean_square, (A**2).mean(axis=0), rtol=1e-12)
    assert stats.n == 80
    assert stats.weight2 == pytest.approx(np.sum(s**2), rel=1e-14)
    assert (np.diag(stats.R) >= 0).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("block", [1, 3, 64, 65, 1000])
def test_any_block_size(kind, block):
    X, y, s = rows(300, 12)
    one, many = built(kind, X, y, s), built(kind, X, y, s, block)
    scale = np.abs(one.gram).max()
    assert np.abs(one.gram - many.gram).max() < 1e-12 * scale
    assert np.abs(one.xty - many.xty).max() < 1e-12 * scale
    assert one.n == many.n


@pytest.mark.parametrize("kind", KINDS)
def test_merge_order(kind):
    X, y, s = rows(400, 15)
    X *= 10.0 ** -np.linspace(0, 8, 15)
    parts = [built(kind, X[i::7], y[i::7], s[i::7]) for i in range(7)]
    whole = built(kind, X, y, s)
    left = merge(parts)
    right = parts[6]
    for part in parts[5::-1]:
        right = part + right
    shuffled = (parts[3] + parts[0]) + ((parts[6] + parts[1]) + (parts[2] + (parts[5] + parts[4])))
    norms = np.sqrt(np.outer(*[np.diag(whole.gram)] * 2))
    for other in (left, right, shuffled):
        assert np.abs((other.gram - whole.gram) / norms).max() < 1e-12
        assert other.n == whole.n
        assert other.weight2 == pytest.approx(whole.weight2, rel=1e-14)


def test_merge_leaves_operands_alone():
    X, y, _ = rows(50, 4)
    a, b = built(TSQR, X[:20], y[:20]), built(TSQR, X[20:], y[20:])
    before = a.gram.copy()
    both = a + b
    both.update(X[:3], y[:3])
    np.testing.assert_array_equal(a.gram, before)
    a.update(X[20:], y[20:])
    np.testing.assert_allclose(a.gram, X.T @ X, rtol=1e-12)
    np.testing.assert_allclose(both.gram, X.T @ X + X[:3].T @ X[:3], rtol=1e-12)
    assert (a.n, both.n) == (50, 53)


@pytest.mark.parametrize("kind", KINDS)
def test_zero_and_few_rows(kind):
    empty = kind(5)
    assert np.array_equal(empty.R, np.zeros((5, 5)))
    assert empty.rss(np.ones(5)) == 0.0
    X, y, s = rows(3, 5)
    few = built(kind, X, y, s)
    np.testing.assert_allclose(few.gram, (X * s[:, None] ** 2).T @ X, atol=1e-14)
    w = np.arange(5.0)
    assert few.rss(w) == pytest.approx(np.sum((s * (X @ w - y)) ** 2), rel=1e-12)
    factor = (empty + few).factor()
    np.testing.assert_allclose((factor.T @ factor)[:5, :5], few.gram, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_rss_of_any_coefficients(kind):
    X, y, s = rows(60, 6, targets=2)
    stats = built(kind, X, y, s)
    w = np.random.default_rng(1).normal(size=(6, 2))
    expected = np.sum((s[:, None] * (X @ w - y)) ** 2, axis=0)
    np.testing.assert_allclose(stats.rss(w), expected, rtol=1e-12)


def test_small_residuals_survive():
    # 1e-9 residuals of targets of size 1: |T|² keeps them, yᵀy − zᵀz would not
    X, _, _ = rows(200, 5)
    w = np.arange(1.0, 6.0)
    noise = 1e-9 * np.random.default_rng(3).normal(size=200)
    stats = built(TSQR, X, X @ w + noise)
    assert stats.rss(w) == pytest.approx(np.sum(noise**2), rel=1e-5)


def test_tsqr_keeps_digits_that_gram_loses():
    t = np.linspace(-1, 1, 200)
    X = np.vander(t, 24)
    R = built(TSQR, X, t).R
    smallest = np.linalg.svd(X, compute_uv=False)[-1]
    assert np.linalg.svd(R, compute_uv=False)[-1] == pytest.approx(smallest, rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_subset_equals_fewer_columns(kind):
    X, y, s = rows(70, 9, targets=2)
    columns = [5, 0, 8]
    part = built(kind, X, y, s).subset(columns)
    direct = built(kind, X[:, columns], y, s)
    np.testing.assert_allclose(part.factor(), direct.factor(), atol=1e-12)
    assert (part.n, part.weight2) == (direct.n, direct.weight2)
    with pytest.raises(ValueError, match="columns"):
        part.subset([0, 0])
    with pytest.raises(ValueError, match="column 3"):
        part.subset([3])


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_and_pickle_round_trip(kind):
    X, y, s = rows(33, 4)
    stats = built(kind, X, y, s, block=10)
    for copy in (kind.from_arrays(stats.to_arrays()), pickle.loads(pickle.dumps(stats))):
        np.testing.assert_array_equal(copy.factor(), stats.factor())
        assert (copy.n, copy.weight2) == (stats.n, stats.weight2)
        copy.update(X, y)
        assert copy.n == 66
    assert stats.n == 33


def test_weight_zero_rows_do_not_count():
    X, y, s = rows(30, 4)
    s[::3] = 0.0
    stats = built(TSQR, X, y, s)
    kept = built(TSQR, X[s > 0], y[s > 0], s[s > 0])
    assert stats.n == kept.n == 20
    np.testing.assert_allclose(stats.factor(), kept.factor(), atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", ["X", "y", "weight"])
def test_non_finite_rows_are_named(kind, where):
    X, y, s = rows(10, 3)
    stats = built(kind, X, y, s)
    before = stats.factor().copy()
    {"X": X[:, 1], "y": y, "weight": s}[where][4] = np.nan
    with pytest.raises(ValueError, match=rf"row 4 of {where} .*row 14 in all"):
        stats.update(X, y, s)
    np.testing.assert_array_equal(stats.factor(), before)
    assert stats.n == 10


def test_wrong_shapes_are_refused():
    X, y, s = rows(10, 3)
    stats = TSQR(3)
    with pytest.raises(ValueError, match=r"expected \(n, 3\)"):
        stats.update(X[:, :2], y)
    with pytest.raises(ValueError, match=r"expected \(10, 1\)"):
        stats.update(X, y[:9])
    with pytest.raises(ValueError, match="one per row"):
        stats.update(X, y, s[:5])
    with pytest.raises(ValueError, match="row 2 is negative"):
        stats.update(X, y, np.where(np.arange(10) == 2, -1.0, 1.0))
    with pytest.raises(ValueError, match="cannot merge"):
        stats + TSQR(4)
    with pytest.raises(TypeError):
        stats + Gram(3)
    with pytest.raises(ValueError, match="no statistics"):
        merge([])
    with pytest.raises(ValueError, match="at least one"):
        TSQR(0)


def test_memory_does_not_grow_with_rows():
    stats = TSQR(8)
    X, y, _ = rows(1000, 8)
    sizes = set()
    for _ in range(20):
        stats.update(X, y)
        sizes.add(sum(a.nbytes for a in stats.__dict__.values() if isinstance(a, np.ndarray)))
    assert max(sizes) < 10 * 8 * max(9**2, 64 * 9)


@pytest.mark.parametrize("kind", KINDS)
def test_repeated_rows_are_rows_given_again(kind):
    X, y, s = rows(30, 4)
    stats = built(kind, X, y, s)
    thrice = stats + stats + stats
    again = stats.repeated(3)
    np.testing.assert_allclose(again.gram, thrice.gram, rtol=1e-12)
    np.testing.assert_allclose(again.factor(), thrice.factor(), rtol=1e-9, atol=1e-9)
    assert again.n == thrice.n == 90
    assert again.weight2 == pytest.approx(thrice.weight2)
    assert stats.repeated(0.01).n == 1
    with pytest.raises(ValueError, match="cannot count 0 times"):
        stats.repeated(0)
