"""Intrinsic dimensions: closed forms, clouds of known dimension, and a plain search."""

import numpy as np
import pytest
import torch

from vision.dimension import covariance_dimension, levina_bickel, patch_dimension
from vision.patches import Whitening


def test_covariance_dimension_counts_eigenvalues():
    assert covariance_dimension(np.array([1.0, 1, 1, 1])) == 4
    assert covariance_dimension(np.array([1e-9, 5.0, 1e-9, 3.0])) == 2
    assert covariance_dimension(np.array([0.9989, 0.0009, 0.0002])) == 2
    assert covariance_dimension(np.array([0.9, 0.1]), lost=0.1) == 1
    with pytest.raises(ValueError, match="equal"):
        covariance_dimension(np.zeros(3))


@pytest.mark.parametrize("d", [2.0, 7.5])
def test_levina_bickel_of_distances_in_d_dimensions(d):
    k = 50
    squared = (np.arange(1, k + 1) / k) ** (2 / d)
    expected = d * (k - 1) / np.log(k / np.arange(1, k)).sum()
    np.testing.assert_allclose(levina_bickel(np.stack([squared, 9 * squared]), k), expected)


def test_colours_of_pixels_have_three_dimensions():
    images = np.random.default_rng(0).integers(0, 256, (40, 20, 20, 3), dtype=np.uint8)
    found = patch_dimension(images, 1, n_neighbors=30, n_centers=300)
    assert found.covariance == 3
    assert found.levina_bickel == pytest.approx(3, abs=0.2)
    assert found.n_reference_patches == 16000
    assert list(found.by_neighbors) == [10, 20, 30]
    # whitening is an affine map of colours: it changes no dimension here
    white = patch_dimension(images, 1, True, n_neighbors=30, n_centers=300)
    assert white.levina_bickel == pytest.approx(found.levina_bickel, abs=0.1)
    assert "1 x 1 patches, whitened: covariance 3" in str(white)


def test_flat_patches_lie_on_a_plane():
    """Patches a + b x of two random numbers each, in 16 dimensions."""
    rng = np.random.default_rng(0)
    a, b = rng.uniform(80, 170, (2, 3000, 1, 1))
    images = (a + (b - 125) * np.linspace(-0.5, 0.5, 4)).repeat(4, 1)[..., None]
    found = patch_dimension(images.round().astype(np.uint8), 4, n_neighbors=100, n_centers=200)
    assert found.levina_bickel == pytest.approx(2, abs=0.2)
    assert found.covariance == 2


def test_neighbours_are_those_of_a_plain_search(small):
    images = small.images[:20]
    found = patch_dimension(images, 4, True, n_neighbors=12, n_centers=15, seed=3)
    from vision.patches import draw_patches, patch_blocks

    basis = Whitening.fit(images, 4, 1e-4)
    every = basis(torch.cat(list(patch_blocks(images, 4)))).double()
    centers, _ = draw_patches(images, 4, 15, np.random.default_rng(3))
    at = basis(torch.from_numpy(centers.reshape(15, -1)).float() / 255).double()
    near = torch.cdist(at, every).sort(1).values[:, 1:13].numpy()
    inverse = np.log(near[:, -1:] / near[:, :-1]).mean(1)
    assert found.levina_bickel == pytest.approx((1 / inverse).mean(), rel=1e-6)


def test_bad_numbers_are_refused(small):
    with pytest.raises(ValueError, match="at least 3"):
        patch_dimension(small.images, 4, n_neighbors=2)
    with pytest.raises(ValueError, match="give more images"):
        patch_dimension(small.images[:1], 4, n_neighbors=121, n_centers=5)
    with pytest.raises(ValueError, match="copies"):
        patch_dimension(np.full((9, 9, 9, 1), 3, np.uint8), 4, n_neighbors=5, n_centers=5)
