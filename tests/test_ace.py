"""The atomic cluster expansion against other descriptors, explicit sums, and group theory."""

from itertools import combinations_with_replacement, product

import numpy as np
import pytest
from ase import Atoms
from scipy.spatial.transform import Rotation

from thiry_calc.descriptors import ACE, Pair, PowerSpectrum, make_descriptor
from thiry_calc.descriptors.coupling import couplings, real_harmonics, triple
from thiry_calc.neighbors import neighbors_of

R_CUT = 4.2


@pytest.fixture(scope="module")
def atoms():
    rng = np.random.default_rng(5)
    cell = np.array([[3.9, 0.2, 0.0], [1.5, 3.6, 0.1], [-0.6, 0.9, 4.4]])
    return Atoms("Fe3W2", scaled_positions=rng.random((5, 3)), cell=cell, pbc=True)


def test_harmonics_obey_the_addition_theorem():
    a, b = Rotation.random(2, random_state=0).apply([0, 0, 1])
    ya, yb = real_harmonics(np.array([a, b]), 6).T
    for degree in range(7):
        part = slice(degree**2, (degree + 1) ** 2)
        expected = np.polynomial.legendre.Legendre.basis(degree)(a @ b)
        assert ya[part] @ yb[part] == pytest.approx(expected, abs=1e-13)


def test_mean_of_three_harmonics():
    assert triple(0, 0, 0) == pytest.approx(1)
    np.testing.assert_allclose(triple(0, 3, 3)[0], np.eye(7) / 7, atol=1e-14)
    assert not triple(1, 1, 3).any()
    assert not triple(1, 1, 1).any()


def _rotated(degree, rotation):
    """The matrix that takes Y_l of directions to Y_l of the rotated ones."""
    points = Rotation.random(60, random_state=1).apply([0, 0, 1])
    part = slice(degree**2, (degree + 1) ** 2)
    before = real_harmonics(points, degree)[part]
    after = real_harmonics(rotation.apply(points), degree)[part]
    return np.linalg.lstsq(before.T, after.T, rcond=None)[0].T


@pytest.mark.parametrize("degrees", [(2, 3, 3), (1, 1, 2, 2), (3, 2, 2, 1), (2, 2, 2, 2)])
def test_couplings_are_invariant(degrees):
    rotation = Rotation.random(random_state=2)
    found = couplings(degrees, tuple(range(len(degrees))))
    assert found
    for c in found:
        turned = c
        for axis, degree in enumerate(degrees):
            turned = np.moveaxis(
                np.tensordot(_rotated(degree, rotation), turned, axes=(1, axis)), 0, axis
            )
        np.testing.assert_allclose(turned, c, atol=1e-12)


def _count_by_characters(degrees, equal):
    """Number of invariants of O(3) in a (partly symmetric) product, by averaging characters."""
    z, w = np.polynomial.legendre.leggauss(80)
    angle = np.pi * (z + 1) / 2
    measure = w * (1 - np.cos(angle)) / 2  # Haar measure of the rotation angle

    def character(degree, factor):
        return sum(np.cos(m * factor * angle) for m in range(-degree, degree + 1))

    if equal:  # the symmetric square of the last two factors
        last = (character(degrees[2], 1) ** 2 + character(degrees[2], 2)) / 2
    else:
        last = character(degrees[2], 1) * character(degrees[3], 1)
    return round(np.sum(measure * character(degrees[0], 1) * character(degrees[1], 1) * last))


QUADRUPLES = [d for d in combinations_with_replacement(range(4), 4) if d != (3, 3, 3, 3)]


@pytest.mark.parametrize("degrees", QUADRUPLES)
def test_number_of_functions_of_order_four(degrees):
    even = sum(degrees) % 2 == 0
    expected = _count_by_characters(degrees, False) if even else 0
    assert len(couplings(degrees, (0, 1, 2, 3))) == expected
    if degrees[2] == degrees[3] and even:
        assert len(couplings(degrees, (0, 1, 2, 2))) == _count_by_characters(degrees, True)


def test_first_order_is_the_pair_descriptor(atoms):
    ace = ACE(R_CUT, (4,), elements=("Fe", "W"))
    np.testing.assert_allclose(
        ace.values(atoms), Pair(R_CUT, 5, ("Fe", "W")).values(atoms), atol=1e-12
    )


def test_second_order_is_the_power_spectrum(atoms):
    ace = ACE(R_CUT, (-1, 6), l_max=2, elements=("Fe", "W"))
    power = PowerSpectrum(R_CUT, 7, 2, ("Fe", "W"))
    columns = {tuple(sorted(n.replace(":", ",").split(", "))): k for k, n in enumerate(power.names)}
    values, expected = ace.values(atoms), power.values(atoms)
    for k, name in enumerate(ace.names):
        center, rest = name.split(": ")
        first, second = (f.rsplit(" ", 1) for f in rest.split(", "))
        key = tuple(sorted([center, first[0], second[0], first[1]]))
        np.testing.assert_allclose(values[:, k], expected[:, columns[key]], rtol=1e-11, atol=1e-12)


def test_third_order_is_a_sum_over_triplets(atoms):
    ace = ACE(R_CUT, (-1, -1, 4), l_max=2)
    nl = neighbors_of(atoms, R_CUT)
    own = slice(nl.first[0], nl.first[1])
    vectors = nl.vectors[own]
    r = np.linalg.norm(vectors, axis=1)
    g = ace._radial.values(r)
    y = real_harmonics(vectors / r[:, None], 2)
    row = []
    for channels, coupling in ace._functions:
        factors = [g[n] * y[degree**2 : (degree + 1) ** 2] for n, degree in channels]
        total = 0.0
        for a, b, c in product(range(len(r)), repeat=3):
            total += np.einsum(
                "abc,a,b,c", coupling, factors[0][:, a], factors[1][:, b], factors[2][:, c]
            )
        row.append(total)
    np.testing.assert_allclose(ace.values(atoms)[0], row, rtol=1e-11, atol=1e-11)


def test_fourth_order_sees_what_three_bodies_cannot():
    """Four neighbours at one distance, in a plane and not."""
    plane = np.array([[0.6, 0.0], [-0.6, 0.0], [0.0, 1.0], [0.0, -1.0]])
    ring = np.column_stack([plane, np.zeros(4)]) * 2.5
    other = ring.copy()
    other[3] = [0, 0, 2.5]
    found = []
    for shell in (ring, other):
        a = Atoms("Fe5", positions=np.vstack([[0, 0, 0], shell]))
        found.append(ACE(R_CUT, (-1, -1, -1, 4), l_max=2).values(a)[0])
    assert np.abs(found[0] - found[1]).max() > 1e-4


def test_bad_hyper_parameters():
    for degrees in ((), (1, 2, 3, 4, 5), (-1,), (40,)):
        with pytest.raises(ValueError, match="degrees"):
            ACE(R_CUT, degrees)
    with pytest.raises(ValueError, match="l_weight"):
        ACE(R_CUT, (4,), l_weight=0)
    with pytest.raises(ValueError, match="r_cut"):
        ACE(-1.0, (4,))
    with pytest.raises(ValueError, match="not of 5"):
        couplings((0,) * 5, (0,) * 5)


def test_round_trip():
    ace = ACE(R_CUT, (6, 4, 3), 1.5, 3, ("Fe",))
    assert make_descriptor(ace.to_dict()) == ace
