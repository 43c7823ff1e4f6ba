"""Potentials: weights and references, the file, the shipped names."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk

import thiry_calc.shipped as module
from thiry_calc import Potential, ThiryCalculator, list_potentials
from thiry_calc.descriptors.base import species_of
from thiry_calc.neighbors import neighbors_of
from thiry_calc.shipped import find_potential


@pytest.fixture
def folder(tmp_path, monkeypatch, iron, alloy):
    """A folder of two shipped potentials."""
    for potential in (iron, alloy):
        (tmp_path / potential.name).mkdir()
        potential.save(tmp_path / potential.name / f"{potential.name}.thiry")
    monkeypatch.setattr(module, "_folder", lambda: tmp_path)
    return tmp_path


@pytest.mark.parametrize("fixture", ["iron", "alloy", "split"])
def test_site_values_are_linear_in_the_features(fixture, request):
    potential = request.getfixturevalue(fixture)
    atoms = _atoms_of(potential)
    nl = neighbors_of(atoms, potential.cutoff)
    species = species_of(nl, potential.elements)
    values = potential.descriptor.values(nl)
    sites, _ = potential.evaluate(nl, species, {"energy": 1.0, "entropy": -0.05})
    for name, target in potential.targets.items():
        x = potential.centered(name, values, species)
        expected = target.reference_values[species] + target.model.predict(x)
        np.testing.assert_allclose(sites[name], expected, rtol=1e-11, atol=1e-11)


def _atoms_of(potential):
    atoms = bulk(potential.elements[0], "bcc", potential.crystal.a0, cubic=True) * (2, 1, 2)
    atoms.symbols[1::3] = potential.elements[-1]
    atoms.rattle(0.1, seed=1)
    return atoms


def test_targets_of_their_own_descriptors_ignore_the_others(split):
    weights = split.weights("entropy")
    own = split.columns("entropy")
    assert len(own) < split.descriptor.n_features
    assert not weights[np.setdiff1d(np.arange(len(weights)), own)].any()
    assert split.weights("energy")[own].any() == bool(set(own) & set(split.columns("energy")))


@pytest.mark.parametrize("fixture", ["iron", "alloy", "split"])
def test_save_and_load(fixture, request, tmp_path):
    potential = request.getfixturevalue(fixture)
    potential.save(tmp_path / "a.thiry")
    again = Potential.load(tmp_path / "a.thiry")
    assert (again.name, again.elements, again.cutoff) == (
        potential.name, potential.elements, potential.cutoff
    )  # fmt: skip
    assert again.descriptor == potential.descriptor
    assert again.crystal == potential.crystal
    assert again.info["purpose"] == "tests"
    assert again.info["provenance"]["kind"] == "potential"
    for name in potential.targets:
        assert np.array_equal(again.weights(name), potential.weights(name))
        assert np.array_equal(again.constants(name), potential.constants(name))
    atoms = _atoms_of(potential)
    energies = [ThiryCalculator(p).get_property("energy", atoms) for p in (potential, again)]
    assert energies[0] == energies[1]
    assert [p.name for p in tmp_path.iterdir()] == ["a.thiry"]


def test_saving_twice_gives_the_same_bytes(iron, tmp_path):
    for name in ("a", "b"):
        iron.save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_optional_parts_survive(iron, tmp_path):
    energy = replace(iron.targets["energy"], max_leverage=0.7, force_std=np.ones((2, 3)))
    energy = replace(energy, model=replace(energy.model, leverage_factor=None))
    replace(iron, crystal=None, targets={"energy": energy}).save(tmp_path / "a.thiry")
    again = Potential.load(tmp_path / "a.thiry")
    assert again.crystal is None
    assert list(again.targets) == ["energy"]
    assert again.targets["energy"].max_leverage == 0.7
    np.testing.assert_array_equal(again.targets["energy"].force_std, np.ones((2, 3)))
    iron.save(tmp_path / "b.thiry")
    assert Potential.load(tmp_path / "b.thiry").targets["energy"].force_std is None
    assert again.targets["energy"].model.leverage_factor is None


@pytest.mark.parametrize("keep", [0, 100, 0.5, -1])
def test_truncated_files_are_refused(iron, tmp_path, keep):
    path = tmp_path / "a.thiry"
    iron.save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if 0 < keep < 1 else keep])
    with pytest.raises(ValueError, match=r"a\.thiry"):
        Potential.load(path)


def test_altered_files_are_refused(iron, tmp_path):
    path = tmp_path / "a.thiry"
    iron.save(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(ValueError, match=r"a\.thiry"):
        Potential.load(path)


def test_shipped_names(folder, iron, alloy):
    assert list_potentials() == sorted([iron.name, alloy.name])
    assert find_potential(iron.name) == folder / iron.name / f"{iron.name}.thiry"
    assert Potential.load(alloy.name).elements == ("Fe", "W")
    assert ThiryCalculator(iron.name).potential.name == iron.name
    with pytest.raises(FileNotFoundError, match=f"no model file 'Fe-AM05'.*{alloy.name}"):
        Potential.load("Fe-AM05")


def test_a_file_goes_before_a_shipped_name(folder, iron, alloy, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    alloy.save(elsewhere / iron.name)
    assert Potential.load(iron.name).name == alloy.name


def test_missing_target(make_potential):
    with pytest.raises(ValueError, match="has no entropy part"):
        make_potential(targets=("energy",)).target("entropy")


def test_summary(alloy):
    text = str(alloy)
    for word in ("test-power-Fe-W", "Fe, W", "power_spectrum", "energy (eV)", "bcc"):
        assert word in text
