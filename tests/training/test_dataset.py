"""Labelled structures from files, under whatever names."""

import lzma

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect
from ase.io import write

from training.dataset import read_dataset
from training.labels import labels_of

RNG = np.random.default_rng(0)
FORCES = RNG.normal(size=(2, 3))
STRESS = np.array([1.0, 2.0, 3.0, 0.4, 0.5, 0.6])
TENSOR = np.array([[1.0, 0.6, 0.5], [0.6, 2.0, 0.4], [0.5, 0.4, 3.0]])


def _cell():
    atoms = bulk("Fe", "bcc", 2.87, cubic=True)
    atoms.calc = SinglePointCalculator(atoms, energy=-8.0, forces=FORCES, stress=STRESS)
    return atoms


def _bare():
    return bulk("Fe", "bcc", 2.87, cubic=True)


def test_labels_of_the_calculator():
    labels = labels_of(_cell(), {}, "here")
    assert labels.energy == -8.0
    np.testing.assert_array_equal(labels.forces, FORCES)
    np.testing.assert_array_equal(labels.stress, STRESS)
    assert labels.names == {"energy": "energy", "forces": "forces", "stress": "stress"}
    nothing = labels_of(_bare(), {}, "here")
    assert (nothing.energy, nothing.forces, nothing.stress) == (None, None, None)


def test_names_with_a_prefix_and_the_free_energy_go_first():
    atoms = _cell()
    atoms.calc.results["free_energy"] = -8.1
    assert labels_of(atoms, {}, "here").energy == -8.1
    atoms.info["REF_energy"] = -9.0
    atoms.arrays["dft_forces"] = 2 * FORCES
    labels = labels_of(atoms, {}, "here")
    assert labels.energy == -9.0
    np.testing.assert_array_equal(labels.forces, 2 * FORCES)
    assert labels.names["forces"] == "dft_forces"
    assert labels_of(atoms, {"energy": "energy"}, "here").energy == -8.0


@pytest.mark.parametrize("value", [STRESS, TENSOR, TENSOR.ravel(), TENSOR.tolist()])
def test_stress_in_every_shape(value):
    atoms = _bare()
    atoms.info["stress"] = value
    np.testing.assert_allclose(labels_of(atoms, {}, "here").stress, STRESS)


def test_a_virial_is_minus_the_stress_times_the_volume():
    atoms = _bare()
    atoms.info["virial"] = -TENSOR * atoms.get_volume()
    np.testing.assert_allclose(labels_of(atoms, {}, "here").stress, STRESS)
    atoms.info["stress"] = 2 * STRESS  # goes before the virial, unless that is asked for
    np.testing.assert_allclose(labels_of(atoms, {}, "here").stress, 2 * STRESS)
    chosen = labels_of(atoms, {"virial": "virial"}, "here").stress
    np.testing.assert_allclose(chosen, STRESS)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("energy", np.nan, r"a.xyz, frame 3: 'energy' is not finite; repair"),
        ("energy", "low", r"'energy' is 'low'; expected numbers"),
        ("forces", np.full((2, 3), np.inf), r"'forces' is not finite at atom 0"),
        ("forces", np.zeros((3, 3)), r"'forces' has shape \(3, 3\); expected \(2, 3\)"),
        ("stress", np.arange(9.0), r"'stress' is not symmetric"),
        ("stress", np.arange(5.0), r"'stress' has shape \(5,\); expected \(3, 3\)"),
    ],
)
def test_labels_that_are_wrong(name, value, message):
    atoms = _bare()
    atoms.info[name] = value
    with pytest.raises(ValueError, match=message):
        labels_of(atoms, {}, "a.xyz, frame 3")


def test_a_stress_without_a_volume():
    atoms = Atoms("Fe2", positions=[(0, 0, 0), (0, 0, 2)], info={"virial": TENSOR})
    with pytest.raises(ValueError, match="'virial' is given, but the cell has no volume"):
        labels_of(atoms, {}, "here")


@pytest.fixture
def files(tmp_path):
    """Three formats of the same structures, two of them in groups."""
    frames = []
    for k in range(4):
        atoms = _cell()
        atoms.info |= {"config_type": f"type{k % 2}", "split": "test" if k == 3 else "train"}
        frames.append(atoms)
    write(tmp_path / "plain.xyz", frames, format="extxyz")
    with lzma.open(tmp_path / "packed.xyz.xz", "wt") as stream:
        stream.write((tmp_path / "plain.xyz").read_text())
    with connect(tmp_path / "some.db") as database:
        for atoms in frames:
            database.write(atoms, split=atoms.info["split"])
    return tmp_path


@pytest.mark.parametrize("pattern", ["plain.xyz", "packed*", "some.db"])
def test_formats(files, pattern):
    data = read_dataset([pattern], folder=files)
    assert len(data.structures) == 4
    assert data.elements == ("Fe",)
    one = data.structures[3]
    assert one.energy == -8.0
    np.testing.assert_allclose(one.forces, FORCES, atol=1e-7)
    np.testing.assert_allclose(one.stress, STRESS)
    assert one.source.endswith("frame 3")
    assert one.atoms.info == {}
    if pattern != "some.db":
        assert data.groups == {"type0": 2, "type1": 2}
        assert "energy       4 of 4  (from 'energy')" in str(data)
    else:
        assert data.groups == {"some": 4}


def test_selection(files):
    data = read_dataset(["plain.xyz"], select={"split": "train"}, folder=files)
    assert len(data.structures) == 3
    both = read_dataset(["plain.xyz"], select={"split": ["train", "test"]}, folder=files)
    assert len(both.structures) == 4
    with pytest.raises(ValueError, match=r"no structure has .*among those read, split = .train."):
        read_dataset(["plain.xyz"], select={"split": "tset"}, folder=files)
    with pytest.raises(ValueError, match=r"no structure has .*known are .'config_type', 'split'.:"):
        read_dataset(["plain.xyz"], select={"spilt": "test"}, folder=files)


def test_selection_in_a_database(files):
    assert len(read_dataset(["some.db"], select={"split": "train"}, folder=files).structures) == 3


def test_atoms_that_overlap_are_named(files):
    atoms = _cell()
    atoms.positions[1] = atoms.positions[0]
    write(files / "overlap.xyz", [_cell(), atoms], format="extxyz")
    with pytest.raises(ValueError, match=r"overlap.xyz, frame 1: atoms 0 and 1 overlap"):
        read_dataset(["overlap.xyz"], folder=files)


def test_a_file_that_two_patterns_find_is_read_once(files):
    assert len(read_dataset(["*.xyz", "plain.xyz"], folder=files).structures) == 4


def test_files_that_are_not_there(files):
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_dataset(["other.xyz"], folder=files)
    with pytest.raises(FileNotFoundError, match="no file matches the pattern"):
        read_dataset(["*.cif"], folder=files)


def test_a_key_that_no_structure_has(files):
    with pytest.raises(ValueError, match="no structure has the label energy = 'E_tot'"):
        read_dataset(["plain.xyz"], keys={"energy": "E_tot"}, folder=files)


def test_files_of_one_name_are_grouped_by_their_folders(files):
    for folder in ("slab", "bulk"):
        (files / folder).mkdir()
        write(files / folder / "run.xyz", _cell(), format="extxyz")
    data = read_dataset(["*/run.xyz"], folder=files)
    assert data.groups == {"slab": 1, "bulk": 1}
