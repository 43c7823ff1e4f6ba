import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator

from thiry_calc.defects import bcc_supercell, build
from thiry_calc.relax import relax
from training.label import (
    Bulk,
    NotAMinimumError,
    bulk_reference,
    entropy_gradient,
    hessian,
    label,
    log_det,
    softest_mode,
)  # fmt: skip
from training.references.am04 import AM04, LATTICE_CONSTANT


def relaxed(name, size):
    atoms = build(name, LATTICE_CONSTANT, size)
    atoms.calc = AM04()
    assert relax(atoms, fmax=1e-6).converged
    return atoms


@pytest.fixture(scope="module")
def vacancy():
    return relaxed("vacancy", 4)


@pytest.fixture(scope="module")
def perfect():
    return bulk_reference(bcc_supercell(LATTICE_CONSTANT, 4), AM04())


def dense_log_det(atoms):
    values = np.linalg.eigvalsh(AM04().get_hessian(atoms).toarray())
    assert np.abs(values[:3]).max() < 1e-10
    return np.log(values[3:]).sum()


def test_labels_equal_those_of_dense_eigenvalues(vacancy, perfect):
    bulk = dense_log_det(bcc_supercell(LATTICE_CONSTANT, 4))
    expected = -0.5 * (dense_log_det(vacancy) - 126 / 127 * bulk)
    result = label(vacancy, AM04(), perfect)
    assert result.formation_entropy_kB == pytest.approx(expected, abs=1e-9)
    assert result.energy == pytest.approx(vacancy.get_potential_energy(), abs=1e-10)
    assert result.formation_energy == pytest.approx(result.energy + 127 * 4.01298231, abs=1e-5)
    assert result.eigenvalues is None


def test_eigenvalues_are_kept_when_asked_for(vacancy, perfect):
    result = label(vacancy, AM04(), perfect, extras=("eigenvalues",))
    assert result.eigenvalues.shape == (3 * 127,)
    expected = -0.5 * (np.log(result.eigenvalues[3:]).sum() - 126 / 127 * perfect.log_det)
    assert result.formation_entropy_kB == pytest.approx(expected, abs=1e-9)


def test_site_entropies_sum_to_the_total(vacancy, perfect):
    result = label(vacancy, AM04(), perfect, extras=("sites",))
    assert result.site_entropies.shape == (127,)
    assert result.site_entropies.sum() == pytest.approx(result.formation_entropy_kB, abs=1e-9)
    assert result.eigenvalues is None
    assert result.gradient is None


def test_the_gradient_is_the_slope_of_the_label(vacancy, perfect):
    gradient = label(vacancy, AM04(), perfect, extras=("gradient",)).gradient
    uphill = gradient / np.linalg.norm(gradient)

    def entropy(h):
        moved = vacancy.copy()
        moved.positions += h * uphill
        return label(moved, AM04(), perfect).formation_entropy_kB

    slope = (entropy(1e-4) - entropy(-1e-4)) / 2e-4
    assert slope == pytest.approx(np.linalg.norm(gradient), rel=1e-5)


def test_a_gradient_needs_third_derivatives(vacancy, perfect):
    class WithoutThird:
        """A calculator that knows forces at most."""

    with pytest.raises(ValueError, match="no third derivatives"):
        entropy_gradient(vacancy, WithoutThird(), hessian(vacancy, AM04()))


def test_the_perfect_crystal_has_no_formation_entropy(perfect):
    result = label(bcc_supercell(LATTICE_CONSTANT, 4), AM04(), perfect)
    assert result.formation_entropy_kB == pytest.approx(0.0, abs=1e-9)
    assert result.formation_energy == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("method", ["finite-differences", "phonopy"])
def test_numerical_routes_agree_with_the_analytic_one(method):
    if method == "phonopy":
        pytest.importorskip("phonopy")
    perfect = bcc_supercell(LATTICE_CONSTANT, 3)
    atoms = perfect.copy()
    del atoms[0]
    atoms.calc = AM04()
    assert relax(atoms, fmax=1e-6).converged
    results = [
        label(atoms, AM04(), bulk_reference(perfect, AM04(), m), m).formation_entropy_kB
        for m in ("analytic", method)
    ]
    # AM04 is piecewise cubic: third derivatives jump, and no stencil of 0.01 Å does much better.
    assert results[1] == pytest.approx(results[0], abs=5e-3)
    assert results[1] != results[0]


def test_a_saddle_has_no_label_and_a_soft_mode(perfect):
    saddle = relaxed("dumbbell_100", 4)
    with pytest.raises(NotAMinimumError, match="negative"):
        label(saddle, AM04(), perfect)
    mode = softest_mode(saddle, AM04())
    matrix = AM04().get_hessian(saddle)
    curvature = mode.ravel() @ (matrix @ mode.ravel())
    assert curvature < -0.1
    assert curvature == pytest.approx(np.linalg.eigvalsh(matrix.toarray())[0], abs=1e-6)


def test_an_isolated_atom_far_away_is_not_hidden(perfect):
    # A free atom adds three zero modes: it must not count as a minimum with a huge entropy.
    atoms = bcc_supercell(LATTICE_CONSTANT, 4)
    atoms.set_cell(atoms.cell.array + np.diag([0, 0, 14.0]))
    atoms += atoms[:1]
    atoms.positions[-1] += [0, 0, -7.0]
    with pytest.raises(NotAMinimumError):
        log_det(AM04().get_hessian(atoms), atoms)


def test_what_cannot_be_done_is_said(vacancy):
    with pytest.raises(ValueError, match="unknown Hessian method"):
        hessian(vacancy, AM04(), "analytical")
    with pytest.raises(ValueError, match="no analytic Hessian"):
        hessian(vacancy, SinglePointCalculator(vacancy, energy=0.0))


@pytest.mark.slow
def test_known_values_at_1024_sites():
    bulk = bulk_reference(bcc_supercell(LATTICE_CONSTANT, 8), AM04())
    assert isinstance(bulk, Bulk)
    for name, energy, entropy in (("vacancy", 1.7213, 2.613), ("dumbbell_110", 3.534, 1.725)):
        result = label(relaxed(name, 8), AM04(), bulk)
        assert result.formation_energy == pytest.approx(energy, abs=1e-3)
        assert result.formation_entropy_kB == pytest.approx(entropy, abs=1e-3)


def test_the_softest_mode_is_never_a_translation():
    atoms = relaxed("vacancy", 4)
    mode = softest_mode(atoms, AM04())
    assert np.abs(mode.sum(axis=0)).max() < 1e-6
    matrix = AM04().get_hessian(atoms)
    value = mode.ravel() @ (matrix @ mode.ravel())
    values = np.linalg.eigvalsh(matrix.toarray())
    assert value == pytest.approx(values[3], rel=1e-6)
