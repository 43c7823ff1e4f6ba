"""Walks over saddles: the lowest mode, and the way from one minimum to another."""

import numpy as np

from thiry_calc.defects import build, supercell
from thiry_calc.relax import relax
from training.references.am04 import AM04, LATTICE_CONSTANT
from training.saddle_walk import defective, lowest_mode, walk


def test_lowest_mode_of_a_quadratic_form_without_translations():
    rng = np.random.default_rng(0)
    n = 8
    shifts = np.kron(np.ones((n, 1)), np.eye(3)) / np.sqrt(n)
    basis = np.linalg.qr(np.hstack([shifts, rng.normal(size=(3 * n, 3 * n - 3))]))[0]
    values = np.concatenate([np.zeros(3), np.linspace(2.0, 30.0, 3 * n - 3)])
    hessian = basis * values @ basis.T

    def landscape(x):
        return 0.5 * x.ravel() @ hessian @ x.ravel(), -(hessian @ x.ravel()).reshape(-1, 3)

    guess = rng.normal(size=(n, 3)) + 5.0  # mostly a translation, whose eigenvalue is lower
    value, mode = lowest_mode(landscape, np.zeros((n, 3)), guess, steps=3 * n)
    assert abs(value - 2.0) < 1e-6
    assert abs(abs(np.vdot(mode, basis[:, 3].reshape(-1, 3))) - 1) < 1e-5


def test_defective_atoms_surround_the_defect():
    atoms = build("vacancy", LATTICE_CONSTANT, 4)
    odd = defective(atoms)
    assert len(odd) == 14  # two shells about the empty site
    assert len(defective(supercell(LATTICE_CONSTANT, 4))) == 128


def test_a_vacancy_jumps_to_an_equal_site():
    jumps = 0
    for seed in (3, 5, 6):
        atoms = build("vacancy", LATTICE_CONSTANT, 4)
        atoms.calc = AM04()
        relax(atoms, 1e-4)
        start, energy = atoms.get_positions(), atoms.get_potential_energy()
        reason = walk(atoms, np.random.default_rng(seed))
        if reason:
            np.testing.assert_array_equal(atoms.positions, start)
            continue
        assert atoms.get_potential_energy() > energy + 0.1
        relax(atoms, 1e-4)
        moved = np.linalg.norm(atoms.positions - start, axis=1)
        if moved.max() > 2.0:
            jumps += 1
            assert abs(atoms.get_potential_energy() - energy) < 1e-5
            assert (moved > 1.0).sum() == 1
    assert jumps == 2


def test_a_walk_follows_its_seed():
    ends = []
    for seed in (5, 5, 6):
        atoms = build("divacancy_2nn", LATTICE_CONSTANT, 4)
        atoms.calc = AM04()
        relax(atoms, 1e-3)
        walk(atoms, np.random.default_rng(seed))
        ends.append(atoms.get_positions())
    np.testing.assert_array_equal(ends[0], ends[1])
    assert np.abs(ends[0] - ends[2]).max() > 1e-3
