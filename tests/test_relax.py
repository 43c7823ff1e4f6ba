"""Relaxation in a fixed cell, and moving close pairs apart before it."""

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.constraints import FixAtoms

from thiry_calc.crystals import crystal_of_box
from thiry_calc.defects import build, supercell
from thiry_calc.equilibrium import degeneracy
from thiry_calc.references import load_reference
from thiry_calc.relax import relax, separate

A0 = 2.855313
SITES = 10.0 * np.arange(6)[:, None] * np.ones(3)


class Anharmonic(Calculator):
    """Σ ½ k x² + x⁴ about sites 10 Å apart, with stiffnesses over four decades."""

    implemented_properties = ("energy", "forces")

    def calculate(self, atoms=None, properties=("energy",), system_changes=tuple(all_changes)):
        super().calculate(atoms, properties, system_changes)
        x = self.atoms.positions - SITES
        k = np.geomspace(1e-2, 1e2, x.size).reshape(x.shape)
        self.results = {
            "energy": float((0.5 * k * x**2 + x**4).sum()),
            "forces": -(k * x + 4 * x**3),
        }


class Smeared(Anharmonic):
    """Its energy has another minimum than the free energy that forces derive from."""

    implemented_properties = ("energy", "free_energy", "forces")

    def calculate(self, atoms=None, properties=("energy",), system_changes=tuple(all_changes)):
        super().calculate(atoms, properties, system_changes)
        free_energy = self.results["energy"]
        self.results["free_energy"] = free_energy
        self.results["energy"] = free_energy - 100.0 * self.atoms.positions.sum()


def test_the_free_energy_is_followed_where_forces_derive_from_it():
    atoms = Atoms("Fe6", positions=SITES + np.random.default_rng(1).normal(size=(6, 3)))
    atoms.calc = Smeared()
    assert relax(atoms, fmax=1e-8).converged
    assert np.abs(atoms.positions - SITES).max() < 1e-5


def test_an_ill_conditioned_minimum_is_found():
    atoms = Atoms("Fe6", positions=SITES + np.random.default_rng(0).normal(size=(6, 3)))
    atoms.calc = Anharmonic()
    result = relax(atoms, fmax=1e-8)
    assert result.converged
    assert result.fmax <= 1e-8
    assert np.abs(atoms.positions - SITES).max() < 1e-5


def test_a_defect_relaxes_to_the_force_goal_with_its_centre_of_mass_at_rest():
    atoms = build("vacancy", A0, 4)
    atoms.calc = load_reference("AM04")
    centre = atoms.positions.mean(axis=0)
    start = atoms.get_potential_energy()
    result = relax(atoms, 1e-5)
    assert result.converged
    assert result.steps < 80
    assert np.linalg.norm(atoms.get_forces(), axis=1).max() <= 1e-5
    assert atoms.get_potential_energy() < start
    np.testing.assert_allclose(atoms.positions.mean(axis=0), centre, atol=1e-9)


def test_a_rattled_start_finds_the_same_minimum():
    energies = []
    for seed in (None, 0, 1):
        atoms = build("dumbbell_110", A0, 4)
        if seed is not None:
            atoms.rattle(0.03, seed=seed)
        atoms.calc = load_reference("AM04")
        assert relax(atoms, 1e-5).converged
        energies.append(atoms.get_potential_energy())
    assert np.ptp(energies) < 1e-8


def test_relaxation_finds_the_minimum_of_a_shaken_crystal():
    atoms = supercell(A0, 4)
    atoms.calc = load_reference("AM04")
    energy = atoms.get_potential_energy()
    atoms.rattle(0.1, seed=1)
    outcome = relax(atoms, 1e-4)
    assert outcome.converged
    assert outcome.reason == ""
    assert np.linalg.norm(atoms.get_forces(), axis=1).max() == outcome.fmax < 1e-4
    assert atoms.get_potential_energy() == pytest.approx(energy, abs=1e-6)


def test_relaxation_that_runs_out_of_steps_says_so():
    atoms = supercell(A0, 4)
    atoms.calc = load_reference("AM04")
    atoms.rattle(0.1, seed=1)
    outcome = relax(atoms, 1e-9, max_steps=3)
    assert not outcome.converged
    assert "3 steps" in outcome.reason
    assert not outcome.lost


def test_relaxation_stops_when_atoms_fall_into_each_other():
    class Collapse:
        """An attraction between atoms 0 and 1 without a core."""

        def get_potential_energy(self, atoms=None, force_consistent=False):
            return float(2.0 * np.linalg.norm(atoms.positions[1] - atoms.positions[0]))

        def get_forces(self, atoms=None, **_):
            direction = atoms.positions[1] - atoms.positions[0]
            forces = np.zeros((len(atoms), 3))
            forces[0] = 2.0 * direction / np.linalg.norm(direction)
            forces[1] = -forces[0]
            return forces

    atoms = supercell(A0, 4)
    atoms.calc = Collapse()
    outcome = relax(atoms, 1e-4)
    assert outcome.lost
    assert "1 Å" in outcome.reason


def test_a_rejected_step_into_the_core_does_not_lose_the_structure():
    class Stiff(Calculator):
        """A dimer with its minimum at 1.1 Å, steeper than the first step expects."""

        implemented_properties = ("energy", "forces")

        def calculate(self, atoms=None, properties=("energy",), system_changes=tuple(all_changes)):
            super().calculate(atoms, properties, system_changes)
            d = self.atoms.positions[1] - self.atoms.positions[0]
            r = np.linalg.norm(d)
            pull = 2000.0 * (r - 1.1) * d / r
            self.results = {"energy": 1000.0 * (r - 1.1) ** 2, "forces": np.array([pull, -pull])}

    atoms = Atoms("Fe2", positions=[[0, 0, 0], [1.2, 0, 0]], calculator=Stiff())
    assert relax(atoms, 1e-4).converged
    assert atoms.get_distance(0, 1) == pytest.approx(1.1, abs=1e-6)


def test_constraints_are_ignored():
    atoms = build("vacancy", A0, 4)
    atoms.set_constraint(FixAtoms([0, 1]))
    atoms.calc = load_reference("AM04")
    assert relax(atoms, 1e-4).converged
    assert np.abs(atoms.get_forces(apply_constraint=False)).max() < 1e-4


@pytest.mark.parametrize("distance", [0.0, 0.3])
def test_a_start_with_overlapping_atoms_is_refused_or_lost(distance):
    atoms = supercell(A0, 3)
    atoms += Atoms("Fe", positions=[atoms.positions[0] + np.array([distance, 0, 0])])
    atoms.calc = load_reference("AM04")
    if distance == 0.0:
        with pytest.raises(ValueError, match="overlap"):
            relax(atoms)
    else:
        assert relax(atoms).lost


def test_separate_keeps_symmetry_and_ends_all_short_pairs():
    atoms = build("dumbbell_111", A0, 4)
    assert separate(atoms, 2.0)
    distances = atoms.get_all_distances(mic=True)[np.triu_indices(len(atoms), 1)]
    assert distances.min() >= 0.99 * 2.0
    assert degeneracy(atoms, crystal_of_box(atoms, "bcc", A0, "Fe")) == 4
    before = atoms.get_positions()
    assert not separate(atoms, 1.9)
    assert np.array_equal(atoms.positions, before)
