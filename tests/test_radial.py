"""Radial bases against quadrature and against the published formulas."""

import numpy as np
import pytest
import scipy.linalg

from thiry_calc.descriptors.radial import RadialBasis, make_radial

R_CUT = 4.7


def _overlaps(basis):
    """∫_0^rc g_m g_n dr by Gauss-Legendre, exact for polynomials of this degree."""
    x, w = np.polynomial.legendre.leggauss(64)
    g = basis.values((x + 1) * R_CUT / 2)
    return (g * w) @ g.T * R_CUT / 2


@pytest.mark.parametrize("n_max", [1, 6, 12, 20])
def test_bartok_functions_are_orthonormal(n_max):
    overlaps = _overlaps(make_radial("bartok", R_CUT, n_max))
    np.testing.assert_allclose(overlaps, np.eye(n_max), atol=1e-11)


def test_double_precision_would_not_be_enough():
    """The released regularisation leaves functions that are not orthonormal: we must differ."""
    released = make_radial("bartok", R_CUT, 20, regularization=1e-14)
    assert np.max(np.abs(_overlaps(released) - np.eye(20))) > 1e-3


@pytest.mark.parametrize("n_max", [2, 7])
def test_chebyshev_and_bartok_span_the_same_functions(n_max):
    r = np.linspace(0, R_CUT, 200)
    chebyshev = make_radial("chebyshev", R_CUT, n_max).values(r).T
    bartok = make_radial("bartok", R_CUT, n_max).values(r).T
    fitted = chebyshev @ np.linalg.lstsq(chebyshev, bartok, rcond=None)[0]
    np.testing.assert_allclose(fitted, bartok, atol=1e-10)
    # and not that of one function fewer
    fewer = chebyshev[:, :-1]
    assert np.max(np.abs(fewer @ np.linalg.lstsq(fewer, bartok, rcond=None)[0] - bartok)) > 1e-3


def test_regularization_is_that_of_the_released_code():
    """W = (S + 1e-15)^(−1/2) in double precision, g_n = Σ_α W_nα φ_α evaluated as it stands."""
    n_max = 7
    alpha = np.arange(1, n_max + 1)
    s = np.sqrt(np.outer(5 + 2 * alpha, 5 + 2 * alpha)) / (5 + np.add.outer(alpha, alpha))
    w = np.linalg.inv(scipy.linalg.sqrtm(s + 1e-15 * np.eye(n_max)).real)
    r = np.linspace(0.3, R_CUT, 50)
    norm = np.sqrt(R_CUT ** (2 * alpha + 5) / (2 * alpha + 5))
    phi = (R_CUT - r) ** (alpha[:, None] + 2) / norm[:, None]
    basis = make_radial("bartok", R_CUT, n_max, regularization=1e-15)
    # cond(S) is 3e11 here, so that W itself is good to 1e-5 only
    np.testing.assert_allclose(basis.values(r), w @ phi, atol=1e-3)
    exact = make_radial("bartok", R_CUT, n_max).values(r)
    np.testing.assert_allclose(basis.values(r), exact, atol=1e-3)


@pytest.mark.parametrize("kind", ["bartok", "chebyshev"])
def test_three_derivatives_from_the_cutoff_on_vanish(kind):
    basis = make_radial(kind, R_CUT, 5)
    h = 1e-3
    inside = basis.values(np.array([R_CUT - h, R_CUT - 2 * h]))
    assert np.all(basis.values(np.array([R_CUT, R_CUT + 0.1])) == 0)
    # a triple zero: eight times the value at twice the distance
    np.testing.assert_allclose(inside[:, 1], 8 * inside[:, 0], rtol=0.1)


def test_values_have_one_row_for_each_function():
    basis = make_radial("chebyshev", R_CUT, 3)
    assert isinstance(basis, RadialBasis)
    assert basis.values(np.array([1.0, 2.0])).shape == (3, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("gaussian", 5.0, 4), "unknown radial basis"),
        (("bartok", -1.0, 4), "r_cut"),
        (("bartok", float("nan"), 4), "r_cut"),
        (("bartok", 5.0, 0), "n_max"),
        (("chebyshev", 5.0, 4, 1e-15), "regularization"),
        (("bartok", 5.0, 20, 1e-25), "negative eigenvalue"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_radial(*arguments)
