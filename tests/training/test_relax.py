import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from thiry_calc.clusters import random_cluster
from thiry_calc.defects import bcc_supercell, build
from training.references.am04 import AM04, LATTICE_CONSTANT
from training.relax import anneal, perturb, relax


class Anharmonic(Calculator):
    """Σ ½ k x² + x⁴ about the origin, with stiffnesses over four decades."""

    implemented_properties = ("energy", "forces")

    def calculate(self, atoms=None, properties=("energy",), system_changes=tuple(all_changes)):
        super().calculate(atoms, properties, system_changes)
        x = self.atoms.positions
        k = np.geomspace(1e-2, 1e2, x.size).reshape(x.shape)
        self.results = {
            "energy": float((0.5 * k * x**2 + x**4).sum()),
            "forces": -(k * x + 4 * x**3),
        }


def test_an_ill_conditioned_minimum_is_found():
    atoms = Atoms("Fe6", positions=np.random.default_rng(0).normal(size=(6, 3)))
    atoms.calc = Anharmonic()
    result = relax(atoms, fmax=1e-8)
    assert result.converged
    assert result.fmax <= 1e-8
    assert np.abs(atoms.positions).max() < 1e-5


def test_a_defect_relaxes_to_the_force_goal_with_its_centre_of_mass_at_rest():
    atoms = build("vacancy", LATTICE_CONSTANT, 4)
    atoms.calc = AM04()
    centre = atoms.positions.mean(axis=0)
    start = atoms.get_potential_energy()
    result = relax(atoms)
    assert result.converged
    assert result.steps < 80
    assert np.linalg.norm(atoms.get_forces(), axis=1).max() <= 1e-5
    assert atoms.get_potential_energy() < start
    np.testing.assert_allclose(atoms.positions.mean(axis=0), centre, atol=1e-9)


def test_a_rattled_start_finds_the_same_minimum():
    energies = []
    for seed in (None, 0, 1):
        atoms = build("dumbbell_110", LATTICE_CONSTANT, 4)
        if seed is not None:
            perturb(atoms, 0.03, np.random.default_rng(seed))
        atoms.calc = AM04()
        assert relax(atoms).converged
        energies.append(atoms.get_potential_energy())
    assert np.ptp(energies) < 1e-8


@pytest.mark.parametrize("distance", [0.0, 1e-5])
def test_overlapping_atoms_are_a_status_not_an_exception(distance):
    atoms = bcc_supercell(LATTICE_CONSTANT, 3)
    atoms += Atoms("Fe", positions=[atoms.positions[0] + np.array([distance, 0, 0])])
    atoms.calc = AM04()
    result = relax(atoms)
    assert not result.converged
    assert "overlapping" in result.reason


def test_violent_starts_end_in_a_minimum_or_a_status():
    atoms = bcc_supercell(LATTICE_CONSTANT, 3)
    atoms += Atoms("Fe", positions=[atoms.positions[0] + np.array([0.3, 0.1, 0.0])])
    atoms.calc = AM04()
    assert np.abs(atoms.get_forces()).max() > 1e3
    result = relax(atoms)
    assert result.converged
    assert np.isfinite(atoms.get_potential_energy())


def test_running_out_of_steps_is_said():
    atoms = build("vacancy", LATTICE_CONSTANT, 4)
    atoms.calc = AM04()
    result = relax(atoms, max_steps=5)
    assert not result.converged
    assert "5 steps" in result.reason
    assert result.fmax > 1e-5


def test_annealing_holds_its_temperature_and_follows_its_seed():
    ends = []
    for seed in (1, 1, 2):
        atoms = bcc_supercell(LATTICE_CONSTANT, 3)
        atoms.calc = AM04()
        start = atoms.get_potential_energy()
        assert anneal(atoms, 600.0, 200, np.random.default_rng(seed)).converged
        ends.append(atoms.get_positions())
        # Half of the thermal energy is potential: 3/2 k_B T an atom, within its fluctuations.
        potential = (atoms.get_potential_energy() - start) / len(atoms)
        assert potential == pytest.approx(1.5 * 8.617e-5 * 600, rel=0.35)
    np.testing.assert_array_equal(ends[0], ends[1])
    assert np.abs(ends[0] - ends[2]).max() > 0.01


def test_annealing_that_blows_up_is_a_status():
    atoms = random_cluster(bcc_supercell(LATTICE_CONSTANT, 3), 0, 1, 3.0, np.random.default_rng(0))
    atoms.positions[-1] = atoms.positions[0] + [0.2, 0.0, 0.0]
    atoms.calc = AM04()
    result = anneal(atoms, 300.0, 50, np.random.default_rng(0))
    assert not result.converged
    assert "blew up" in result.reason
