"""Springs fitted to Hessians."""

import numpy as np
import pytest
from ase import Atoms
from numpy.polynomial import Polynomial
from scipy.interpolate import BSpline

from thiry_calc import ThiryCalculator
from thiry_calc.defects import supercell
from thiry_calc.descriptors import Combined, Pair
from thiry_calc.descriptors.local_log_det import spline_basis
from thiry_calc.linear import LinearModel
from thiry_calc.potential import Potential, Target
from training.springs import fitted_springs

R_MIN, R_CUT, N = 1.8, 5.0, 60


def bond(r):
    """u, u' and u'' of a bond that ends softly, eV, Å."""
    shape = Polynomial([1, -1 / R_CUT]) ** 6 * 200 * Polynomial([-1, 0.4])
    return np.stack([shape(r), shape.deriv(1)(r), shape.deriv(2)(r)])


@pytest.fixture
def pairs():
    descriptor = Pair(R_CUT, 6)
    r = np.linspace(2.0, R_CUT, 200)
    dimers = [Atoms("Fe2", [(0, 0, 0), (one, 0, 0)]) for one in r]
    g = np.stack([descriptor.values(dimer).sum(axis=0) for dimer in dimers])
    w = np.linalg.lstsq(g, bond(r)[0], rcond=None)[0]
    np.testing.assert_allclose(g @ w, bond(r)[0], atol=1e-10)
    target = Target(LinearModel(w), (0,), np.zeros((1, 6)), np.zeros(1))
    return Potential("pairs", ("Fe",), Combined((descriptor,)), {"energy": target})


def test_springs_of_pairs_are_their_own_derivatives(pairs):
    calc = ThiryCalculator(pairs, extrapolation_warning=False)
    structures = []
    for seed in range(4):
        atoms = supercell(2.83, 4)
        atoms.rattle(0.15, seed=seed)
        structures.append((atoms, calc.get_hessian(atoms)))
    springs = np.array(fitted_springs(structures, R_MIN, R_CUT, N))
    basis = spline_basis(R_MIN, R_CUT, N)
    u = BSpline(basis.t, basis.c @ springs, 9)
    r = np.linspace(2.2, 4.8, 60)
    _, slope, curvature = bond(r)
    np.testing.assert_allclose(u.derivative(1)(r), slope, atol=1e-3 * np.abs(slope).max())
    np.testing.assert_allclose(u.derivative(2)(r), curvature, atol=1e-3 * np.abs(curvature).max())


def test_structures_without_bonds_are_refused():
    atoms = Atoms("Fe", cell=[20, 20, 20], pbc=True)
    with pytest.raises(ValueError, match="no two atoms are within 5 Å"):
        fitted_springs([(atoms, np.zeros((3, 3)))], R_MIN, R_CUT, N)
