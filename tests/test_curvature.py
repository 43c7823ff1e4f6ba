"""Analytic Hessians against differences of pair forces."""

import numpy as np
import pytest
from ase.build import bulk

from thiry_calc.descriptors import ACE, AFS, ZBL, Combined, OneBody, Pair, PowerSpectrum
from thiry_calc.descriptors.base import MARGIN
from thiry_calc.descriptors.local_hessian import local_hessian
from thiry_calc.neighbors import neighbors_of

R_CUT = 4.2
TWO = ("Fe", "W")
DESCRIPTORS = {
    "pair": Pair(R_CUT, 5),
    "pair of two elements": Pair(R_CUT, 4, TWO),
    "power spectrum": PowerSpectrum(R_CUT, 3, 4),
    "power spectrum of two elements": PowerSpectrum(R_CUT, 2, 2, TWO),
    "AFS": AFS(R_CUT, 4, 3),
    "AFS, all products": AFS(R_CUT, 3, 2, TWO, products="full"),
    "ACE of order 1": ACE(R_CUT, (4,)),
    "ACE of order 3": ACE(R_CUT, (5, 5, 4)),
    "ACE of order 4": ACE(R_CUT, (3, 3, 3, 3)),
    "ACE without order 1": ACE(R_CUT, (-1, 4)),
    "ACE of two elements": ACE(R_CUT, (2, 2, 2), elements=TWO),
    "ZBL": ZBL(1.0, R_CUT),
    "several": Combined((OneBody(TWO), Pair(3.5, 3, TWO), PowerSpectrum(R_CUT, 2, 2, TWO))),
}


def _structure(size):
    atoms = bulk("Fe", "bcc", 2.87, cubic=True) * size
    atoms.symbols[::3] = "W"
    del atoms[1]
    atoms.rattle(0.15, seed=4)
    strain = 0.05 * np.random.default_rng(0).normal(size=(3, 3))
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    return atoms


@pytest.mark.parametrize("name", list(DESCRIPTORS))
@pytest.mark.parametrize("size", [(2, 2, 2), (1, 1, 2)], ids=["cell", "images of images"])
def test_against_differences(name, size):
    descriptor = DESCRIPTORS[name]
    nl = neighbors_of(_structure(size), R_CUT + MARGIN)
    weights = np.random.default_rng(1).normal(size=descriptor.n_features)
    exact = descriptor.curve(nl, weights).toarray()
    expected = local_hessian(descriptor, nl, weights).toarray()
    scale = np.abs(expected).max()
    np.testing.assert_allclose(exact, expected, atol=1e-7 * scale)
    np.testing.assert_allclose(exact, exact.T, atol=1e-11 * scale)
    sums = exact.reshape(len(exact), -1, 3).sum(axis=1)
    np.testing.assert_allclose(sums, 0, atol=1e-10 * scale)


def test_an_atom_without_neighbours_has_no_curvature():
    atoms = bulk("Fe", "bcc", 12.0)
    for descriptor in (
        ACE(R_CUT, (3, 3)),
        PowerSpectrum(R_CUT, 2, 2),
        Pair(R_CUT, 2),
        ZBL(1.0, 3.0),
    ):
        nl = neighbors_of(atoms, R_CUT)
        assert not descriptor.curve(nl, np.ones(descriptor.n_features)).toarray().any()
