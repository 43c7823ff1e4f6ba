"""The shipped models give what their cards promise, from the installed package."""

import json
from pathlib import Path

import numpy as np
import pytest
from ase import units

from thiry_calc import Potential, ThiryCalculator, list_potentials
from thiry_calc.defects import build, supercell
from thiry_calc.elasticity import elastic_constants
from thiry_calc.scan import scan
from thiry_calc.shipped import find_potential

CRYSTAL = {  # energy per atom, eV; its error bar, eV/atom
    "Fe-AM04": (-4.012982, 1e-7),
    "Fe-AM04-AFS": (-4.012982, 1e-7),
    "Fe-DFT": (-3460.933913, 4e-3),
}
NAMES = tuple(CRYSTAL)


def test_the_models_are_shipped():
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
    energy, error_bar = CRYSTAL[name]
    assert crystal.get_potential_energy() / len(crystal) == pytest.approx(energy, abs=2e-6)
    assert np.abs(crystal.get_forces()).max() < 1e-9
    assert np.abs(crystal.get_stress()).max() < 2e-4
    assert crystal.calc.get_property("energy_std", crystal) / len(crystal) < error_bar


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


def test_the_model_of_dft_has_its_elastic_constants_and_its_interstitial():
    """Elastic constants within 5 % of PBE; the dumbbell along ⟨110⟩ is the stable interstitial."""
    potential = Potential.load("Fe-DFT")
    crystal = supercell(potential.crystal.a0, 2)
    stiffness = elastic_constants(crystal, ThiryCalculator(potential))
    found = stiffness[[0, 0, 3], [0, 1, 3]] / units.GPa
    np.testing.assert_allclose(found, [296.7, 151.4, 104.7], rtol=0.05)
    scanned = scan(["dumbbell_110", "octahedral"], potential, [0, 600], size=4)
    dumbbell, octahedral = scanned.configurations[:2]
    assert dumbbell.formation_energy_eV == pytest.approx(4.3, abs=0.3)
    assert octahedral.falls_to == "dumbbell_110"
