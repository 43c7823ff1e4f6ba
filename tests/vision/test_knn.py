"""Patches, whitening, dictionaries and the k-nearest-neighbour code, against plain definitions."""

import numpy as np
import pytest
import torch

from vision.knn import PatchCode, PatchDictionary
from vision.knn_kernels import threshold
from vision.nearest import nearest
from vision.patches import Whitening, draw_patches, patch_moments, unfold
from vision.pooling import Cells


def all_patches(images, P):
    """(N, h, w, D), by loops."""
    n, H, W, _ = images.shape
    return np.array(
        [
            [
                [images[i, y : y + P, x : x + P].ravel() for x in range(W - P + 1)]
                for y in range(H - P + 1)
            ]
            for i in range(n)
        ]
    )


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_unfold_is_every_patch(small, stride):
    images = small.images[:3]
    found = unfold(torch.from_numpy(images), 4, stride).numpy()
    np.testing.assert_array_equal(found, all_patches(images, 4)[:, ::stride, ::stride])
    # a view that is not contiguous
    turned = torch.from_numpy(images).flip(2)
    np.testing.assert_array_equal(unfold(turned, 4), all_patches(images[:, :, ::-1], 4))


def test_moments_are_those_of_all_patches(small):
    images = small.images[:40]
    flat = all_patches(images, 3).reshape(-1, 27) / 255
    mean, covariance, n = patch_moments(images, 3)
    assert n == len(flat)
    np.testing.assert_allclose(mean, flat.mean(0), atol=1e-6)
    np.testing.assert_allclose(covariance, np.cov(flat.T, bias=True), atol=1e-6)


def test_whitened_patches_have_unit_covariance(small):
    basis = Whitening.fit(small.images, 3, 1e-3)
    flat = all_patches(small.images, 3).reshape(-1, 27) / 255
    white = basis(torch.from_numpy(flat)).numpy()
    np.testing.assert_allclose(white.mean(0), 0, atol=1e-5)
    expected = basis.eigenvalues / (basis.eigenvalues + 1e-3)
    np.testing.assert_allclose(np.cov(white.T, bias=True), np.diag(expected), atol=1e-4)
    with pytest.raises(ValueError, match="regularization"):
        Whitening.fit(small.images, 3, -1.0)
    with pytest.raises(ValueError, match="no variance"):
        Whitening.fit(np.full((5, 8, 8, 1), 7, np.uint8), 3, 0.0)


def test_drawn_patches_are_distinct_places_of_their_images(small):
    for count in (50, 18_000):  # by rejection, and by permutation
        patches, source = draw_patches(small.images, 4, count, np.random.default_rng(0))
        again, _ = draw_patches(small.images, 4, count, np.random.default_rng(0))
        np.testing.assert_array_equal(patches, again)
        assert patches.shape == (count, 4, 4, 3)
        assert len(np.unique(patches.reshape(count, -1), axis=0)) == count
    every = all_patches(small.images[source[:5]], 4)
    for patch, mine in zip(patches[:5], every, strict=True):
        assert (mine == patch.ravel()).all(-1).any()
    with pytest.raises(ValueError, match="asked of"):
        draw_patches(small.images, 4, 150 * 121 + 1, np.random.default_rng(0))
    with pytest.raises(ValueError, match="do not fit"):
        draw_patches(small.images, 15, 1, np.random.default_rng(0))


def dictionary(small, metric="released", count=30, **options):
    return PatchDictionary.fit(small.images, 4, count, np.random.default_rng(1), metric, **options)


@pytest.mark.parametrize("metric", ["mahalanobis", "l2"])
@pytest.mark.parametrize("whiten", [True, False])
def test_codes_name_the_nearest_patches(small, metric, whiten):
    words = dictionary(small, metric, whiten=whiten)
    code = PatchCode(words, 7)
    images = small.images[:2]
    found = code.evaluate(torch.from_numpy(images)).numpy()
    basis = Whitening.fit(small.images, 4, 1e-3, whiten=whiten and metric != "l2", mirror=True)
    x = (all_patches(images, 4) / 255 - basis.mean) @ basis.matrix
    d = (words.patches.reshape(30, -1) / 255 - basis.mean) @ basis.matrix
    for sign in (0, 1):
        distance = np.linalg.norm(x[:, :, :, None] - (1 - 2 * sign) * d, axis=-1)
        near = distance <= np.sort(distance, -1)[..., 6:7]
        # rounding may exchange neighbours at equal distance
        assert (near == found[:, :, :, sign]).mean() > 0.9995
    np.testing.assert_array_equal(found.sum(-1), 7)


def test_released_metric_scales_the_image_alone(small):
    words = dictionary(small)
    flat = small.images.reshape(-1, 3) / 255
    np.testing.assert_allclose(words.offset[:3], flat.mean(0), atol=1e-6)
    np.testing.assert_allclose(words.scale[:3], flat.std(0), atol=1e-6)
    x = (all_patches(small.images[:1], 4) / 255 - words.offset) / words.scale
    products = PatchCode(words, 7).products(torch.from_numpy(small.images[:1]))
    np.testing.assert_allclose(products, x @ words.kernel, rtol=1e-4, atol=1e-3)


def test_soft_code_is_the_sigmoid_of_the_distance_to_the_threshold(small):
    words = dictionary(small)
    images = torch.from_numpy(small.images[:2])
    hard, soft = PatchCode(words, 7), PatchCode(words, 7, 3.0)
    products = soft.products(images).numpy()
    codes = soft.evaluate(images).numpy()
    for sign, u in enumerate((products - words.bias, -products - words.bias)):
        tau = np.sort(u, -1)[..., -7:-6]
        np.testing.assert_allclose(codes[:, :, :, sign], 1 / (1 + np.exp((tau - u) / 3)), atol=1e-6)
    np.testing.assert_array_equal(codes >= 0.5, hard.evaluate(images).numpy() == 1)


@pytest.mark.parametrize(("temperature", "code"), [(0.0, "knn"), (2.0, "knn"), (0, "rectified")])
def test_compiled_kernels_give_the_same_codes(small, temperature, code):
    module = PatchCode(dictionary(small), 7, temperature, code)
    images = torch.from_numpy(small.images[:2])
    np.testing.assert_allclose(module(images), module.evaluate(images), atol=1e-6, rtol=1e-6)


def test_pixels_are_bytes_or_floats(small):
    module = PatchCode(dictionary(small), 7)
    with pytest.raises(ValueError, match="int64"):
        module(torch.from_numpy(small.images[:1]).long())


def test_soft_codes_are_differentiable(small):
    module = PatchCode(dictionary(small), 7, 3.0).double()
    x = torch.from_numpy(small.images[:1, :5, :5] / 255.0).requires_grad_()
    assert torch.autograd.gradcheck(module, x, eps=1e-7, atol=1e-5)


@pytest.mark.parametrize("temperature", [0.0, 2.0])
@pytest.mark.parametrize("pooling", [1, 2, 3, (5, 3)])
def test_pooled_codes_are_averages(small, temperature, pooling):
    code = PatchCode(dictionary(small), 7, temperature)
    images = torch.from_numpy(small.images[:20])  # more than a batch
    cells = Cells.build((11, 11), pooling)
    pooled = code.pooled(images, cells)
    codes = code(images)
    for a in range(cells.side):
        for b in range(cells.side):
            rows = slice(cells.starts[0, a], cells.stops[0, a])
            columns = slice(cells.starts[1, b], cells.stops[1, b])
            expected = codes[:, rows, columns].mean((1, 2))
            np.testing.assert_allclose(pooled[:, a, b], expected, atol=1e-5)


def test_cells_are_those_of_torch():
    maps = torch.rand(2, 11, 11, 3)
    first = maps.permute(0, 3, 1, 2)
    ours = Cells.build((11, 11), 4).average(maps).permute(0, 3, 1, 2)
    np.testing.assert_allclose(ours, torch.nn.functional.adaptive_avg_pool2d(first, 4), atol=1e-6)
    pool = torch.nn.AvgPool2d(5, 3, ceil_mode=True)
    ours = Cells.build((11, 11), (5, 3)).average(maps).permute(0, 3, 1, 2)
    np.testing.assert_allclose(ours, pool(first), atol=1e-6)
    assert Cells.build((11, 11), 4).symmetric
    assert not Cells.build((12, 12), (5, 3)).symmetric
    for wrong in (0, 12, (5,), (3, 4), (12, 1), "two"):
        with pytest.raises(ValueError, match="pooling"):
            Cells.build((11, 11), wrong)


def test_mirrored_images_have_permuted_codes(small):
    code = PatchCode(dictionary(small), 7)
    a = code(torch.from_numpy(small.images[:5]))
    b = code(torch.from_numpy(small.images[:5]).flip(2))
    assert (b.flip(2).roll(15, -1) == a).float().mean() > 0.999


def test_thresholds_are_exact_for_ties_and_odd_scores():
    rng = np.random.default_rng(0)
    rows = [
        rng.normal(size=200), rng.exponential(size=130) ** 6, np.round(rng.normal(size=200)),
        np.zeros(64), np.r_[np.zeros(99), 1e4], rng.normal(size=200) * 1e-6 + 3, np.arange(5.0),
    ]  # fmt: skip
    for row in rows:
        u = row.astype(np.float32)
        for k in {1, 2, len(u) // 3, len(u) // 2, len(u) - 1}:
            for start in (np.float32(u.mean()), np.float32(u.max() + 1), np.float32(-50)):
                t = threshold(u, k, start, np.float32(u.std() + 1e-6))
                np.testing.assert_array_equal(u >= t, u >= np.sort(u)[-k])


@pytest.mark.parametrize("k", [0, 30, -1])
def test_neighbours_out_of_range(small, k):
    with pytest.raises(ValueError, match="neighbours"):
        PatchCode(dictionary(small), k)
    with pytest.raises(ValueError, match="temperature"):
        PatchCode(dictionary(small), 3, -1.0)
    with pytest.raises(ValueError, match="metric"):
        dictionary(small, "cosine")
    with pytest.raises(ValueError, match="even"):
        dictionary(small, count=31)


def test_nearest_is_exact_over_any_blocks():
    data = torch.from_numpy(np.random.default_rng(0).normal(size=(700, 5)).astype(np.float32))
    queries = data[:20] + 0.1
    squared, index = nearest(queries, data.split(90), 6)
    expected = torch.cdist(queries, data) ** 2
    best = expected.topk(6, largest=False, sorted=True)
    np.testing.assert_array_equal(index, best.indices)
    np.testing.assert_allclose(squared, best.values, atol=1e-4)
    few, _ = nearest(queries, data[:4].split(3), 6)
    assert few.shape == (20, 4)
