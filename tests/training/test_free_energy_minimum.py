"""Relaxing on A(T): the shipped model against exact harmonic free energies and their gradients."""

import numpy as np
import pytest
from ase import units

from thiry_calc import ThiryCalculator
from thiry_calc.defects import build, supercell
from thiry_calc.hessian import largest_norm
from thiry_calc.relax import descend, potential_of_forces, relax
from training.label import bulk_reference, label
from training.references.am04 import AM04, LATTICE_CONSTANT

T = 300.0


def moved(atoms, start):
    shift = atoms.positions - start
    return shift - shift.mean(axis=0)


def exact_step(atoms):
    """Displacement and change of A(T) from the minimum of E to that of A(T)."""
    bulk = bulk_reference(supercell(LATTICE_CONSTANT, 4), AM04())

    def landscape(positions):
        atoms.positions = positions
        found = label(atoms, AM04(), bulk, extras=("gradient",))
        forces = atoms.get_forces() + units.kB * T * found.gradient
        return found.energy - units.kB * T * found.formation_entropy_kB, forces

    start = atoms.get_positions()
    before = landscape(start)[0]
    positions, _ = descend(landscape, start, lambda _, f: largest_norm(f) < 1e-3, 40)
    after, forces = landscape(positions)
    assert largest_norm(forces) < 1e-3
    return moved(atoms, start), after - before


def learned_step(atoms):
    start = atoms.get_positions()
    atoms.calc = ThiryCalculator("Fe-AM04", temperature=T)
    before = potential_of_forces(atoms)
    assert relax(atoms, 1e-3).converged
    return moved(atoms, start), potential_of_forces(atoms) - before


@pytest.mark.slow
def test_the_vacancy_relaxes_on_its_free_energy_as_the_exact_one_does():
    steps = []
    for calc, step in ((AM04(), exact_step), (ThiryCalculator("Fe-AM04"), learned_step)):
        atoms = build("vacancy", LATTICE_CONSTANT, 4)
        atoms.calc = calc
        assert relax(atoms, 1e-4).converged
        steps.append(step(atoms))
    (exact, gain), (learned, learned_gain) = steps
    assert -0.01 < gain < -0.001  # eV
    assert learned_gain == pytest.approx(gain, abs=0.001)
    cosine = np.vdot(exact, learned) / np.linalg.norm(exact) / np.linalg.norm(learned)
    assert cosine > 0.9
    assert np.abs(learned - exact).max() < 0.003  # Å
