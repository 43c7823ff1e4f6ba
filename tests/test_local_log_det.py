"""Local log-determinants against dense matrices, and their derivatives."""

import numpy as np
import pytest

from thiry_calc.defects import supercell
from thiry_calc.descriptors import LocalLogDet, make_descriptor
from thiry_calc.descriptors.local_hessian import local_hessian
from thiry_calc.descriptors.local_log_det import spline_basis
from thiry_calc.differences import richardson
from thiry_calc.neighbors import (
    neighbors_of,
    pair_forces_to_forces,
    strain_derivative,
    sublist,
)

R_CUT, R_MIN, A0 = 4.6, 1.6, 2.87


WINDOWS = ((2.6, 3.2), (3.0, 4.2), (4.0, 4.6))  # the last reaches beyond the core, 3 to 4 Å


def potential(windows=WINDOWS, shift=0.3):
    """A Morse-like pair potential: stiff first shell, tension in the second."""
    basis = spline_basis(R_MIN, R_CUT, 30)
    r = np.linspace(1.8, R_CUT, 400)
    u = (np.exp(-3.2 * (r - 2.6)) - 2 * np.exp(-1.6 * (r - 2.6))) * (1 - r / R_CUT) ** 2
    coefficients = np.linalg.lstsq(basis(r), u, rcond=None)[0]
    return LocalLogDet(R_CUT, R_MIN, tuple(coefficients), windows, shift)


@pytest.fixture
def atoms():
    cell = supercell(A0, 3)
    del cell[5]
    cell.positions += np.random.default_rng(1).normal(scale=0.06, size=cell.positions.shape)
    return cell


def _slopes(descriptor, r):
    """u' and u'' by the spline's own basis."""
    basis = spline_basis(R_MIN, R_CUT, len(descriptor.coefficients))
    return [basis.derivative(k)(r) @ np.array(descriptor.coefficients) for k in (1, 2)]


def _block(descriptor, d):
    r = np.linalg.norm(d)
    if r >= R_CUT:
        return np.zeros((3, 3))
    first, second = _slopes(descriptor, r)
    n = np.outer(d, d) / r**2
    return second * n + first / r * (np.eye(3) - n)


def _smooth_step(x):
    """∫ y⁴ (1 − y)⁴ dy from 0 to x over that to 1."""
    return 630 * sum(c * x**k / k for k, c in zip(range(5, 10), (1, -4, 6, -4, 1), strict=True))


def _dense(descriptor, atoms, i, window):
    """The feature of one atom from two determinants."""
    nl = neighbors_of(atoms, R_CUT)

    def on_site(j):
        return sum(_block(descriptor, d) for d in nl.vectors[nl.first[j] : nl.first[j + 1]])

    own = slice(nl.first[i], nl.first[i + 1])
    near = [k for k in range(own.start, own.stop) if np.linalg.norm(nl.vectors[k]) < window[1]]
    places = [*nl.vectors[near], np.zeros(3)]
    members = [*nl.neighbor[near], i]
    x = np.clip((np.linalg.norm(places, axis=1) - window[0]) / (window[1] - window[0]), 0, 1)
    h = np.repeat(1 - _smooth_step(x), 3)
    y = np.clip((np.linalg.norm(places, axis=1) - 3.0) / (4.0 - 3.0), 0, 1)
    outside = _smooth_step(y)
    matrix = np.block([
        [
            on_site(members[a])
            if a == b
            else (outside[a] * outside[b] - 1) * _block(descriptor, places[b] - places[a])
            for b in range(len(places))
        ]
        for a in range(len(places))
    ])  # fmt: skip
    matrix = (
        h[:, None] * matrix * h + np.diag(5.0 * (1 - h**2)) + 1j * descriptor.shift * np.eye(len(h))
    )
    return np.linalg.slogdet(matrix)[1] - np.linalg.slogdet(matrix[:-3, :-3])[1]


def test_against_dense_determinants(atoms):
    descriptor = potential()
    values = descriptor.values(atoms)
    for i in (0, 7, 30):
        for k, window in enumerate(descriptor.windows):
            assert values[i, k] == pytest.approx(_dense(descriptor, atoms, i, window), abs=1e-11)


def test_without_neighbours_it_is_the_determinant_of_an_atom():
    """Springs of the eight neighbours of a bcc site: isotropic, (8/3)(u'' + 2 u'/r)."""
    descriptor = potential(windows=((0.1, 0.2),), shift=1e-9)
    stiffness = 0.0
    for count, r in ((8, np.sqrt(3) / 2 * A0), (6, A0), (12, np.sqrt(2) * A0)):
        first, second = _slopes(descriptor, r)
        stiffness += count / 3 * (second + 2 * first / r)
    found = descriptor.values(supercell(A0, 3))
    np.testing.assert_allclose(found, 3 * np.log(stiffness), rtol=1e-10)


@pytest.mark.parametrize("size", [2, 3])
def test_gradients(size):
    """Of positions and strain, by Richardson differences; own images are neighbours for size 2."""
    cell = supercell(A0, size)
    del cell[1]
    cell.positions += np.random.default_rng(size).normal(scale=0.06, size=cell.positions.shape)
    descriptor, weights = potential(), np.array([0.7, -1.3, 0.9])

    def total(atoms):
        return float((descriptor.values(atoms) @ weights).sum())

    nl = neighbors_of(cell, R_CUT)
    sites, pair_forces = descriptor.pull(nl, weights)
    np.testing.assert_allclose(sites, descriptor.values(cell) @ weights, rtol=1e-13)
    forces = pair_forces_to_forces(nl.first, nl.neighbor, pair_forces)
    for atom, axis in ((0, 0), (3, 1), (len(cell) - 1, 2)):

        def moved(h, atom=atom, axis=axis):
            other = cell.copy()
            other.positions[atom, axis] += h
            return total(other)

        assert -forces[atom, axis] == pytest.approx(richardson(moved, 2e-3), abs=2e-8)

    def sheared(h):
        other = cell.copy()
        strain = np.array([[0, h / 2, 0], [h / 2, 0, 0], [0, 0, 0]])
        other.set_cell(cell.cell.array @ (np.eye(3) + strain), scale_atoms=True)
        return total(other)

    strain = strain_derivative(nl.vectors, pair_forces)
    assert strain[5] == pytest.approx(richardson(sheared, 1e-3), rel=1e-7)


def test_rows_are_unit_pulls(atoms):
    descriptor = potential()
    nl = neighbors_of(atoms, R_CUT)
    total, rows, strain = descriptor.push(nl)
    weights = np.array([0.4, 1.1, -0.6])
    sites, pair_forces = descriptor.pull(nl, weights)
    forces = pair_forces_to_forces(nl.first, nl.neighbor, pair_forces)
    assert total @ weights == pytest.approx(sites.sum(), rel=1e-12)
    np.testing.assert_allclose(rows @ weights, forces.ravel(), atol=1e-10)
    np.testing.assert_allclose(
        strain @ weights, strain_derivative(nl.vectors, pair_forces), rtol=1e-10
    )


def test_finite_where_the_network_is_unstable():
    """Compressed bonds pull across: indefinite clusters, and atoms without neighbours."""
    cell = supercell(A0, 3)
    cell.positions += np.random.default_rng(0).normal(scale=0.4, size=cell.positions.shape)
    lonely = supercell(30.0, 1)
    for atoms in (cell, lonely):
        assert np.isfinite(potential().values(atoms)).all()
    np.testing.assert_allclose(potential(shift=0.2).values(lonely), 3 * np.log(0.2), rtol=1e-12)


def test_round_trip_and_bad_input():
    descriptor = potential()
    assert make_descriptor(descriptor.to_dict()) == descriptor
    with pytest.raises(ValueError, match="windows"):
        LocalLogDet(4.0, 1.5, (1.0,), ((3.0, 2.0),))
    with pytest.raises(ValueError, match="r_min"):
        LocalLogDet(4.0, 4.5, (1.0,), ((1.0, 2.0),))
    with pytest.raises(ValueError, match="coefficients"):
        LocalLogDet(4.0, 1.5, (np.nan,), ((1.0, 2.0),))
    with pytest.raises(ValueError, match="core"):
        LocalLogDet(4.0, 1.5, (1.0,), ((1.0, 2.0),), core=(3.0, 3.0))


@pytest.fixture
def short_sighted():
    """Springs of the first shell alone: most of a box is out of the sight of an atom."""
    return LocalLogDet(2.7, 1.6, tuple(np.linspace(1, 0, 8) ** 3), ((0.1, 0.2), (2.3, 2.7)))


def test_hessian_where_some_atoms_have_no_part_in_it(short_sighted):
    atoms = supercell(A0, 6)
    atoms.positions += np.random.default_rng(2).normal(scale=0.02, size=atoms.positions.shape)
    weights = np.array([1.0, -0.7])
    nl = neighbors_of(atoms, short_sighted.cutoff + 0.01)
    hessian = local_hessian(short_sighted, nl, weights).toarray()

    def forces(x, row=7):
        moved = atoms.copy()
        moved.positions[row // 3, row % 3] += x
        nl = neighbors_of(moved, short_sighted.cutoff)
        slopes = short_sighted.pull(nl, weights)[1]
        return pair_forces_to_forces(nl.first, nl.neighbor, slopes).ravel()

    expected = -richardson(forces, 1e-4, 3)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(hessian[7], expected, atol=1e-6 * scale)
    assert (np.abs(expected) < 1e-9 * scale).mean() > 0.3  # there are such atoms


def test_a_list_without_the_neighbours_lists_is_refused(short_sighted):
    nl = neighbors_of(supercell(A0, 6), short_sighted.cutoff)
    part = sublist(nl, np.arange(5), hops=1)[2]
    with pytest.raises(ValueError, match="hops=2"):
        short_sighted.values(part)
