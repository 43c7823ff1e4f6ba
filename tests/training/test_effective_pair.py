import numpy as np
from ase.build import bulk

from thiry_calc.descriptors.local_log_det import spline_basis
from training.effective_pair import effective_pair
from training.references.am04 import LATTICE_CONSTANT, AM04Functions


def test_spline_follows_the_effective_pair_potential():
    functions = AM04Functions()
    found = effective_pair(functions, bulk("Fe", "bcc", LATTICE_CONSTANT), 1.6, 200, 2.06)
    basis = spline_basis(1.6, functions.cutoff, 200)
    # the density of the crystal by its three shells
    shells = LATTICE_CONSTANT * np.array([np.sqrt(3) / 2, 1, np.sqrt(2)])
    density = functions.density(shells)[0] @ [8, 6, 12]
    slope = functions.embedding(np.array([density]))[1, 0]
    r = np.linspace(2.1, 5.3, 1000)
    phi, psi = functions.pair(r), functions.density(r)
    for order, bar in ((1, 5e-3), (2, 0.5)):
        exact = phi[order] + 2 * slope * psi[order]
        np.testing.assert_allclose(basis.derivative(order)(r) @ np.array(found), exact, atol=bar)
    close = np.linspace(1.6, 2.0, 200)  # before the kink at 2.05 Å: roughly, but never wildly
    phi, psi = functions.pair(close), functions.density(close)
    exact = phi[2] + 2 * slope * psi[2]
    np.testing.assert_allclose(basis.derivative(2)(close) @ np.array(found), exact, rtol=0.05)
    bonds = shells[:2]
    phi, psi = functions.pair(bonds), functions.density(bonds)
    exact = phi[2] + 2 * slope * psi[2]
    np.testing.assert_allclose(basis.derivative(2)(bonds) @ np.array(found), exact, atol=0.03)
