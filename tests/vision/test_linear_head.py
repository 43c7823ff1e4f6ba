"""Closed-form heads against scikit-learn's ridge, in both forms."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from vision.linear_head import fit_head


def problem(n, K=30, T=4, seed=0):
    rng = np.random.default_rng(seed)
    classes = np.arange(n) % T
    centres = rng.normal(size=(T, K))
    X = (centres[classes] + rng.normal(size=(n, K)) * 2) * rng.uniform(0.1, 9, K) + 5
    return X.astype(np.float32), classes


def blocks_of(X, size=40):
    return lambda rows: (X[rows[i : i + size]] for i in range(0, len(rows), size))


def scale_of(X):
    """Deviations in the first block of the seed's order."""
    first = X[np.random.default_rng(0).permutation(len(X))[:40]]
    return np.maximum(first.std(0), 0.1 * np.median(first.std(0)))


@pytest.mark.parametrize("n", [200, 25])  # more images than features, and fewer
def test_ridge_is_that_of_scikit_learn(n):
    X, classes = problem(n)
    head = fit_head(blocks_of(X), classes, 4, 0.1)
    scale = scale_of(X)
    theirs = Ridge(0.1 * n).fit(X / scale, np.eye(4)[classes])
    np.testing.assert_allclose(head(X), theirs.predict(X / scale), atol=2e-4)
    assert head.penalty == 0.1


@pytest.mark.parametrize("n", [200, 25])
def test_rank_of_weights(n):
    X, classes = problem(n)
    full = fit_head(blocks_of(X), classes, 4, 0.1)
    low = fit_head(blocks_of(X), classes, 4, 0.1, rank=2)
    values = np.linalg.svd(low.weights, compute_uv=False)
    assert values[2] < 1e-4 * values[0]
    # the scores of centred targets sum to zero over the classes, so rank T-1 is no restriction
    nearly = fit_head(blocks_of(X), classes, 4, 0.1, rank=3)
    np.testing.assert_allclose(nearly(X), full(X), atol=5e-3)
    with pytest.raises(ValueError, match=r"1\.\.4"):
        fit_head(blocks_of(X), classes, 4, 0.1, rank=5)


def test_penalty_is_chosen_on_images_held_out():
    X, classes = problem(300)
    head = fit_head(blocks_of(X), classes, 4, (1e-3, 1.0, 1e4))
    assert set(head.validation) == {1e-3, 1.0, 1e4}
    assert head.penalty == max(head.validation, key=head.validation.get)
    assert head.penalty < 1e4
    alone = fit_head(blocks_of(X), classes, 4, head.penalty)
    np.testing.assert_allclose(head(X), alone(X), atol=1e-2)  # all images are fitted in the end
    for wrong in (0.0, -1.0, np.nan, ()):
        with pytest.raises(ValueError, match="penalty"):
            fit_head(blocks_of(X), classes, 4, wrong)


def test_copies_of_an_image_are_held_out_together():
    X, classes = problem(100)
    seen = []

    def blocks(rows):
        seen.append(set(rows % 100))
        return blocks_of(np.concatenate([X, X]))(rows)

    fit_head(blocks, np.r_[classes, classes], 4, (0.1, 1.0), copies=2)
    fitted, held = seen[:2]
    assert len(held) == 10
    assert not fitted & held


def test_logistic_loss_is_that_of_scikit_learn():
    X, classes = problem(200)
    head = fit_head(blocks_of(X), classes, 4, 0.01, loss="logistic")
    scale = scale_of(X)
    theirs = LogisticRegression(C=1 / (0.01 * 200), tol=1e-8, max_iter=5000).fit(X / scale, classes)
    expected = theirs.decision_function(X / scale)
    found = head(X)
    found -= found.mean(1, keepdims=True)
    np.testing.assert_allclose(found, expected - expected.mean(1, keepdims=True), atol=2e-2)
    with pytest.raises(ValueError, match="squares"):
        fit_head(blocks_of(X), classes, 4, 0.01, loss="hinge")
    with pytest.raises(ValueError, match="least squares only"):
        fit_head(blocks_of(X), classes, 4, 0.01, rank=2, loss="logistic")


@pytest.mark.parametrize("loss", ["squares", "logistic"])
def test_images_may_be_sorted_by_class(loss):
    X, classes = problem(200)
    X[classes == 0] = 5.0  # one class is blank, and fills the first block
    order = np.argsort(classes, kind="stable")
    head = fit_head(blocks_of(X[order]), classes[order], 4, 0.01, loss=loss)
    assert (head(X).argmax(1) == classes).mean() > 0.9


def test_constant_features_do_no_harm():
    X, classes = problem(200)
    X[:, 3] = 7.0
    scores = fit_head(blocks_of(X), classes, 4, 0.1)(X)
    without = fit_head(blocks_of(np.delete(X, 3, 1)), classes, 4, 0.1)(np.delete(X, 3, 1))
    np.testing.assert_allclose(scores, without, atol=1e-3)
