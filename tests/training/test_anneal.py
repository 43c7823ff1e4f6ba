import numpy as np
import pytest

from thiry_calc.clusters import random_cluster
from thiry_calc.defects import bcc_supercell
from training.anneal import anneal
from training.references.am04 import AM04, LATTICE_CONSTANT


def test_annealing_holds_its_temperature_and_follows_its_seed():
    ends = []
    for seed in (1, 1, 2):
        atoms = bcc_supercell(LATTICE_CONSTANT, 3)
        atoms.calc = AM04()
        start = atoms.get_potential_energy()
        assert anneal(atoms, 600.0, 200, np.random.default_rng(seed)) == ""
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
    assert "blew up" in anneal(atoms, 300.0, 50, np.random.default_rng(0))
