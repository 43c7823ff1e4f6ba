"""The shipped models give what their cards promise, from the installed package."""

import json
from pathlib import Path

import numpy as np
import pytest

from thiry_calc import Potential, ThiryCalculator, list_potentials
from thiry_calc.defects import build, supercell
from thiry_calc.potential import find_potential

NAMES = ("Fe-AM04", "Fe-AM04-AFS")


def test_both_models_are_shipped():
    assert set(NAMES) <= set(list_potentials())


@pytest.mark.parametrize("name", NAMES)
def test_model_file_is_small_and_has_its_card_and_plots(name):
    path = find_potential(name)
    assert path.stat().st_size < 5e6
    assert {"card.md", "parity_entropy.png", "parity_forces.png"} <= {
        p.name for p in path.parent.iterdir()
    }


@pytest.mark.parametrize("name", NAMES)
def test_reference_values(name):
    values = json.loads((find_potential(name).parent / "reference_values.json").read_text())
    crystal = Potential.load(name).crystal
    for defect in ("vacancy", "dumbbell_110", "c15_3"):
        atoms = build(defect, crystal.a0, 5)
        atoms.calc = ThiryCalculator(name, extrapolation_warning=False)
        expected = values[defect]
        assert atoms.get_potential_energy() == pytest.approx(expected["energy_eV"], abs=1e-7)
        assert atoms.calc.get_property("formation_entropy", atoms) == pytest.approx(
            expected["formation_entropy_kB"], abs=1e-6
        )
        assert np.abs(atoms.get_forces()).max() == pytest.approx(
            expected["max_force_eV_per_A"], abs=1e-7
        )


@pytest.mark.parametrize("name", NAMES)
def test_perfect_crystal_is_the_reference(name):
    crystal = supercell(Potential.load(name).crystal.a0, 3)
    crystal.calc = ThiryCalculator(name)
    assert abs(crystal.calc.get_property("formation_entropy", crystal)) < 1e-8
    assert crystal.get_potential_energy() / len(crystal) == pytest.approx(-4.012982, abs=2e-6)
    assert np.abs(crystal.get_forces()).max() < 1e-9
    assert np.abs(crystal.get_stress()).max() < 2e-4
    assert crystal.calc.get_property("energy_std", crystal) < 1e-6


def test_the_entropy_of_the_default_model_adds_to_the_descriptors_of_its_energy():
    potential = Potential.load("Fe-AM04")
    shared, entropic = (potential.target(name).parts for name in ("energy", "entropy"))
    assert entropic[: len(shared)] == shared
    added = [potential.descriptor.parts[p].to_dict()["type"] for p in entropic[len(shared) :]]
    assert added == ["local_log_det"]


def test_the_published_model_uses_the_published_descriptor():
    potential = Potential.load("Fe-AM04-AFS")
    (part,) = (potential.descriptor.parts[p] for p in potential.target("entropy").parts)
    spec = part.to_dict()
    assert (spec["type"], spec["n_max"], spec["l_max"], spec["r_cut"]) == ("afs", 20, 10, 5.0)
    assert (spec["radial"], spec["products"]) == ("bartok", "diagonal")


def test_files_hold_no_pickle_and_no_paths():
    for name in NAMES:
        header = Potential.load(name).info
        assert str(Path.home()) not in json.dumps(header)
