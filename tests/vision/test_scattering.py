"""Scattering against kymatio, and by its own laws: dtype, gradients, shifts, oversampling."""

import numpy as np
import pytest
import scipy.special
import torch

from vision import Scattering2D
from vision.filters import gaussian, morlet


@pytest.fixture(scope="module")
def kymatio():
    """kymatio 0.3 asks scipy for a function that was renamed, its arguments reordered."""
    if not hasattr(scipy.special, "sph_harm"):
        scipy.special.sph_harm = lambda m, n, theta, phi: scipy.special.sph_harm_y(n, m, phi, theta)
    return pytest.importorskip("kymatio.torch")


CASES = [
    (2, (32, 32), 8, 2), (3, (28, 28), 8, 2), (1, (17, 20), 6, 2), (3, (32, 48), 4, 1),
    (4, (64, 40), 5, 2), (3, (8, 8), 8, 2), (2, (30, 33), 8, 2),
]  # fmt: skip


@pytest.mark.parametrize(("J", "shape", "L", "order"), CASES)
def test_coefficients_are_those_of_kymatio(kymatio, J, shape, L, order):
    x = torch.rand(2, 3, *shape, generator=torch.Generator().manual_seed(0))
    theirs = kymatio.Scattering2D(J, shape=shape, L=L, max_order=order)(x)
    ours = Scattering2D(J, shape, L, order)
    assert ours(x).shape == theirs.shape == (2, 3, ours.n_paths, *ours.grid())
    assert (ours(x) - theirs).abs().max() < 1e-6
    assert (ours.evaluate(x) - theirs).abs().max() < 1e-6
    assert (ours(x.double()) - theirs).abs().max() < 1e-6


def test_dtype_and_device_are_those_of_the_input():
    S = Scattering2D(2, (16, 16))
    x = torch.rand(1, 16, 16, dtype=torch.float64)
    assert S(x).dtype == torch.float64
    assert S(x.float()).dtype == torch.float32
    assert (S(x.float()) - S(x)).abs().max() < 1e-6
    with pytest.raises(ValueError, match="float32 or float64"):
        S(torch.zeros(1, 16, 16, dtype=torch.uint8))
    with pytest.raises(ValueError, match="16, 16"):
        S(torch.zeros(1, 16, 15))


def test_gradients_are_right_and_finite_at_zero():
    S = Scattering2D(2, (8, 8), L=4)
    x = torch.rand(1, 8, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(S, x, eps=1e-6, atol=1e-7)
    zero = torch.zeros(1, 8, 8, requires_grad=True)
    S(zero).sum().backward()
    assert torch.isfinite(zero.grad).all()


@pytest.mark.parametrize(("J", "alpha"), [(2, 0), (3, 0), (3, 1)])
def test_compiled_kernels_give_the_same_coefficients(J, alpha):
    S = Scattering2D(J, (24, 17), L=5, oversampling=alpha)
    x = torch.rand(3, 2, 24, 17, dtype=torch.float64, requires_grad=True)
    found = S.evaluate(x)
    assert not found.requires_grad
    assert (found - S(x)).abs().max() < 1e-12
    assert (S.evaluate(x.transpose(0, 1)) - found.transpose(0, 1)).abs().max() < 1e-12
    assert (S.evaluate(x.float()) - found).abs().max() < 1e-6
    assert torch.isnan(S.evaluate(torch.full_like(x, torch.nan))).all()


def test_transforms_of_functions_apply():
    S = Scattering2D(2, (8, 8), L=4)
    x, v = torch.rand(2, 3, 8, 8, dtype=torch.float64)
    assert (torch.func.vmap(S)(x) - S(x)).abs().max() < 1e-14
    derivative = torch.func.jvp(S, (x,), (v,))[1]
    assert (derivative - (S(x + 1e-6 * v) - S(x - 1e-6 * v)) / 2e-6).abs().max() < 1e-8


@pytest.mark.parametrize("alpha", [1, 2])
def test_oversampling_adds_points_between_the_same_ones(alpha):
    x = torch.rand(2, 32, 32, dtype=torch.float64)
    coarse, fine = Scattering2D(3, (32, 32)), Scattering2D(3, (32, 32), oversampling=alpha)
    step = 2**alpha
    a, b = coarse(x), fine(x)
    assert b.shape[-1] == step * a.shape[-1]
    np.testing.assert_allclose(b[:, 0, ::step, ::step], a[:, 0], atol=1e-12)
    # what is subsampled early differs by aliasing only
    assert (b[..., ::step, ::step] - a).abs().max() < 2e-2 * a.abs().max()
    assert (b[:, 1:, ::step, ::step] - a[:, 1:]).abs().max() > 0


def test_fully_oversampled_coefficients_move_with_the_image():
    S = Scattering2D(2, (24, 24), oversampling=2)
    x = torch.zeros(24, 24, dtype=torch.float64)
    x[8:14, 9:13] = torch.rand(6, 4, dtype=torch.float64)
    moved = torch.roll(x, (2, -1), (0, 1))
    a, b = S(x), S(moved)
    inner = (slice(None), slice(6, 18), slice(6, 18))
    np.testing.assert_allclose(torch.roll(a, (2, -1), (1, 2))[inner], b[inner], atol=1e-6)


def test_filters_have_no_mean_and_unit_mass():
    psi = morlet((32, 32), 1, 0.3, 0.5)
    assert abs(psi[0, 0]) < 1e-12
    assert gaussian(32, 2)[0] == pytest.approx(1.0, abs=1e-3)
    assert psi.max() > 0.5


@pytest.mark.parametrize(
    "wrong", [{"J": 0}, {"J": 2, "L": 0}, {"J": 2, "max_order": 3}, {"J": 2, "oversampling": 3}]
)
def test_parameters_out_of_range(wrong):
    with pytest.raises(ValueError, match="given; expected"):
        Scattering2D(shape=(16, 16), **wrong)
    with pytest.raises(ValueError, match="lower J"):
        Scattering2D(5, (16, 16))
