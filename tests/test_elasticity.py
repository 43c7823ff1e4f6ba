"""Elastic constants, dipoles and image energies: closed forms and AM04."""

import numpy as np
import pytest
from ase import units
from ase.build import bulk

from thiry_calc.defects import build, supercell
from thiry_calc.elasticity import (
    dipole_tensor,
    elastic_constants,
    image_energy,
    relaxation_strain,
)
from thiry_calc.relax import relax
from training.references.am04 import AM04, LATTICE_CONSTANT


def _isotropic(bulk, shear):
    constants = np.zeros((6, 6))
    constants[:3, :3] = bulk - 2 / 3 * shear
    constants[np.diag_indices(6)] += [2 * shear] * 3 + [shear] * 3
    return constants


@pytest.fixture(scope="module")
def constants():
    return elastic_constants(supercell(LATTICE_CONSTANT, 2), AM04())


def test_constants_of_AM04(constants):
    """Published (Mendelev et al. 2003 and Ackland et al. 2004): 243, 145 and 116 GPa."""
    found = constants / units.GPa
    np.testing.assert_allclose(np.diag(found)[:3], 243.3, atol=0.1)
    np.testing.assert_allclose(found[0, 1:3], 145.1, atol=0.1)
    np.testing.assert_allclose(np.diag(found)[3:], 116.2, atol=0.1)
    np.testing.assert_allclose(found[:3, 3:], 0, atol=1e-6)


def test_dilatation_centre_in_an_isotropic_medium():
    """F(k) = p²/C11 in all directions, and ΔE = p²/(2 V C11) in any cell."""
    constants, p = _isotropic(1.0, 0.5), 7.0
    cell = np.array([[12.0, 0, 0], [3.0, 15.0, 0], [-2.0, 1.0, 9.0]])
    expected = p**2 / (2 * np.linalg.det(cell) * constants[0, 0])
    assert image_energy(p * np.eye(3), constants, cell) == pytest.approx(expected, rel=1e-6)


def test_image_energy_turns_with_the_cell(constants):
    """Exchanging two axes of a cubic medium exchanges those of dipole and cell."""
    rng = np.random.default_rng(0)
    dipole = rng.normal(size=(3, 3))
    dipole += dipole.T
    cell = np.diag([10.0, 13.0, 16.0]) + rng.normal(size=(3, 3)) * 0.3
    turn = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1.0]])
    found = image_energy(dipole, constants, cell)
    turned = image_energy(turn @ dipole @ turn.T, constants, cell @ turn.T)
    assert turned == pytest.approx(found, rel=1e-9)
    doubled = image_energy(dipole, constants, 2 * cell)
    assert doubled == pytest.approx(found / 8, rel=1e-9)
    with pytest.raises(ValueError, match="no stable crystal"):
        image_energy(dipole, -constants, cell)


def test_strain_frees_a_box(constants):
    rng = np.random.default_rng(1)
    strain = rng.normal(size=(3, 3)) * 1e-3
    strain += strain.T
    voigt = np.array([*np.diag(strain), 2 * strain[1, 2], 2 * strain[0, 2], 2 * strain[0, 1]])
    s = constants @ voigt * 500.0
    dipole = np.array([[s[0], s[5], s[4]], [s[5], s[1], s[3]], [s[4], s[3], s[2]]])
    np.testing.assert_allclose(relaxation_strain(dipole, constants, 500.0), strain, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "energy", "volume"), [("vacancy", 1.7212, -0.217), ("dumbbell_110", 3.5281, 1.244)]
)
def test_defects_of_small_boxes_have_the_energies_of_large_ones(constants, name, energy, volume):
    crystal, calc = supercell(LATTICE_CONSTANT, 4), AM04()
    crystal.calc = calc
    per_atom = crystal.get_potential_energy() / len(crystal)
    raw, corrected = [], []
    for size in (5, 6):
        atoms = build(name, LATTICE_CONSTANT, size)
        atoms.calc = calc
        assert relax(atoms, 1e-4).converged
        dipole = dipole_tensor(atoms, calc, crystal)
        formation = atoms.get_potential_energy() - len(atoms) * per_atom
        raw.append(formation - energy)
        corrected.append(formation - image_energy(dipole, constants, atoms.cell.array) - energy)
    assert np.all(np.abs(corrected) < [2.5e-3, 1e-3])
    assert np.all(np.abs(corrected) < 0.25 * np.abs(raw))
    strain = relaxation_strain(dipole, constants, atoms.get_volume())
    assert np.trace(strain) * 2 * size**3 == pytest.approx(volume, abs=5e-3)


def test_atoms_that_are_no_centres_of_symmetry_yield():
    """Stillinger-Weber silicon, Balamane et al., Phys. Rev. B 46, 2250 (1992)."""
    from matscipy.calculators.manybody import Manybody
    from matscipy.calculators.manybody.explicit_forms.stillinger_weber import (
        Stillinger_Weber_PRB_31_5262_Si,
        StillingerWeber,
    )

    calc = Manybody(**StillingerWeber(Stillinger_Weber_PRB_31_5262_Si))
    found = elastic_constants(bulk("Si", "diamond", 5.431), calc) / units.GPa
    np.testing.assert_allclose(np.diag(found)[:3], 151.4, atol=0.5)
    np.testing.assert_allclose(found[0, 1:3], 76.4, atol=0.5)
    np.testing.assert_allclose(np.diag(found)[3:], 56.4, atol=0.5)  # 117.2 if clamped
