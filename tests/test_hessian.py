"""Finite-difference Hessians against closed forms and an analytic Hessian."""

import numpy as np
import pytest
import scipy.sparse as sp
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.calculators.morse import MorsePotential
from ase.constraints import FixAtoms

from thiry_calc.hessian import (
    enforce_sum_rule,
    finite_difference_hessian,
    get_hessian,
    max_force,
)


def morse_dimer(distance):
    atoms = Atoms("Cu2", [[0, 0, 0], [distance, 0, 0]])
    atoms.calc = MorsePotential(epsilon=1.3, r0=2.5, rho0=4.0, rcut1=50.0, rcut2=60.0)
    return atoms


def morse_derivatives(r, depth=1.3, r0=2.5, rho0=4.0):
    """First and second derivative of depth (e^(2a) − 2 e^a), a = rho0 (1 − r/r0)."""
    e, k = np.exp(rho0 * (1 - r / r0)), rho0 / r0
    return depth * (-2 * k * e**2 + 2 * k * e), depth * (4 * k**2 * e**2 - 2 * k**2 * e)


@pytest.mark.parametrize(("order", "tolerance"), [(2, 2e-4), (4, 1e-7)])
def test_dimer_has_the_second_derivative(order, tolerance):
    r = 2.7
    first, second = morse_derivatives(r)
    hessian = finite_difference_hessian(morse_dimer(r), order=order).toarray()
    expected = np.diag([second, first / r, first / r])
    assert hessian[:3, :3] == pytest.approx(expected, abs=tolerance)
    assert hessian[:3, 3:] == pytest.approx(-expected, abs=tolerance)


def test_order_four_converges_as_the_fourth_power():
    exact = morse_derivatives(2.7)[1]

    def error(step, order):
        hessian = finite_difference_hessian(morse_dimer(2.7), step=step, order=order)
        return hessian[0, 0] - exact

    assert error(0.04, 4) / error(0.02, 4) == pytest.approx(16, rel=0.05)
    assert error(0.04, 2) / error(0.02, 2) == pytest.approx(4, rel=0.05)


def test_sum_rule_symmetry_and_untouched_structure():
    atoms = bulk("Cu", cubic=True) * (2, 2, 2)
    atoms.rattle(0.05, seed=3)
    atoms.calc = EMT()
    before = atoms.positions.copy()
    hessian = finite_difference_hessian(atoms, step=0.02, order=2)
    assert np.array_equal(atoms.positions, before)
    assert np.abs(hessian @ np.tile(np.eye(3), (len(atoms), 1))).max() < 1e-12
    assert abs(hessian - hessian.T).max() < 1e-12
    raw = finite_difference_hessian(atoms, step=0.02, order=2, sum_rule=False)
    assert abs(raw - raw.T).max() == 0.0
    drift = np.abs(raw @ np.tile(np.eye(3), (len(atoms), 1))).max()
    assert 1e-6 < drift < 1e-2  # what the sum rule repairs is a real, small error
    assert abs(raw - hessian).max() < 1.01 * drift


def test_indices_are_a_block_of_the_whole():
    atoms = bulk("Cu", cubic=True) * (2, 2, 1)
    atoms.rattle(0.05, seed=3)
    whole = finite_difference_hessian(atoms, EMT(), sum_rule=False).toarray()
    part = finite_difference_hessian(atoms, EMT(), indices=[5, 2]).toarray()
    rows = np.r_[15:18, 6:9]
    assert part == pytest.approx(whole[np.ix_(rows, rows)], abs=1e-6)


def test_constraints_do_not_matter():
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.1, seed=1)
    atoms.calc = EMT()
    free = finite_difference_hessian(atoms).toarray()
    expected = np.linalg.norm(atoms.get_forces(), axis=1).max()
    atoms.set_constraint(FixAtoms([0, 1, 2, 3]))
    assert finite_difference_hessian(atoms).toarray() == pytest.approx(free, abs=1e-12)
    assert max_force(atoms) == pytest.approx(expected)
    assert expected > 0.1


def test_get_hessian_prefers_the_calculators_own():
    class WithHessian(LennardJones):
        def get_hessian(self, atoms):
            n = len(atoms)
            return np.arange(9.0 * n * n).reshape(3 * n, n, 3)

    atoms = Atoms("Ar2", [[0, 0, 0], [0, 0, 1.12]])
    own = get_hessian(atoms, WithHessian())
    assert own.toarray() == pytest.approx(np.arange(36.0).reshape(6, 6))
    differences = get_hessian(atoms, LennardJones())
    assert differences.toarray() == pytest.approx(
        finite_difference_hessian(atoms, LennardJones()).toarray()
    )

    class Wrong(LennardJones):
        def get_hessian(self, atoms):
            return np.zeros((3, 3))

    with pytest.raises(ValueError, match=r"returned shape \(3, 3\)"):
        get_hessian(atoms, Wrong())


def test_sum_rule_leaves_an_invariant_hessian_alone():
    block = np.array([[2.0, 0.3, 0], [0.3, 1.0, 0], [0, 0, 3.0]])
    hessian = np.block([[block, -block], [-block, block]])
    kept = enforce_sum_rule(sp.csr_array(hessian))
    assert kept.toarray() == pytest.approx(hessian, abs=1e-15)


def test_sum_rule_repairs_any_symmetric_matrix():
    rng = np.random.default_rng(1)
    hessian = sp.random_array((60, 60), density=0.1, rng=rng).toarray()
    hessian = sp.csr_array(hessian + hessian.T)
    repaired = enforce_sum_rule(hessian)
    assert np.abs(repaired @ np.tile(np.eye(3), (20, 1))).max() < 1e-11
    assert abs(repaired - repaired.T).max() < 1e-14


def test_sum_rule_of_a_hessian_that_obeys_it_but_for_noise():
    """In two parts, whose noise sums to nothing but for rounding."""
    rng = np.random.default_rng(3)
    n = 40
    blocks = rng.normal(size=(n, n, 3, 3))
    blocks = blocks + blocks.transpose(1, 0, 3, 2)
    blocks[: n // 2, n // 2 :] = blocks[n // 2 :, : n // 2] = 0.0
    exact = blocks.transpose(0, 2, 1, 3).reshape(3 * n, 3 * n)
    exact = enforce_sum_rule(sp.csr_array(exact)).toarray()
    noise = 1e-13 * rng.normal(size=exact.shape) * (exact != 0)
    repaired = enforce_sum_rule(sp.csr_array(exact + noise + noise.T))
    assert np.abs(repaired @ np.tile(np.eye(3), (n, 1))).max() < 1e-12
    assert np.abs(repaired.toarray() - exact).max() < 1e-11


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": 3}, "expected 2 or 4"),
        ({"step": 0.0}, "positive length"),
        ({"indices": [7]}, "between 0 and 1"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(ValueError, match=message):
        finite_difference_hessian(morse_dimer(2.5), **options)
    with pytest.raises(ValueError, match="no calculator"):
        max_force(Atoms("Ar"))
