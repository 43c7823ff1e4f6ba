"""Errors of a model on labelled structures."""

import json

import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from thiry_calc import ThiryCalculator
from thiry_calc.cli import main
from thiry_calc.defects import supercell
from training.dataset import labelled, read_dataset
from training.evaluate import evaluate


@pytest.fixture(scope="module")
def potential(make_potential):
    return make_potential("pair")


@pytest.fixture(scope="module")
def frames(potential):
    """Labels that are the model's own, but for known errors."""
    out = []
    for k in range(4):
        atoms = supercell(2.87, 2)
        atoms.rattle(0.05, seed=k)
        atoms.calc = ThiryCalculator(potential)
        labels = {
            "energy": atoms.get_potential_energy() - 0.01 * len(atoms) * (k + 1),
            "forces": atoms.get_forces() + 0.1,
            "stress": atoms.get_stress() - 0.002,
        }
        entropy = atoms.calc.get_property("formation_entropy", atoms) + 0.5
        if k == 3:
            del labels["stress"]
        frame = atoms.copy()
        frame.calc = SinglePointCalculator(frame, **labels)
        frame.info = {"config_type": "even" if k % 2 == 0 else "odd", "number": k}
        if k != 1:
            frame.info["formation_entropy_kB"] = entropy
        out.append(frame)
    return out


@pytest.fixture
def files(frames, potential, tmp_path):
    write(tmp_path / "data.xyz", frames, format="extxyz")
    potential.save(tmp_path / "model.thiry")
    return tmp_path


def test_errors_are_those_that_were_put_in(frames, potential):
    result = evaluate(potential, labelled(frames))
    summary = result.summary()
    assert summary["n_structures"] == 4
    assert summary["energy_mae_eV_per_atom"] == pytest.approx(0.025)
    assert summary["energy_rmse_eV_per_atom"] == pytest.approx(0.01 * np.sqrt(30 / 4))
    assert summary["force_mae_eV_per_A"] == pytest.approx(0.1)
    assert summary["stress_rmse_eV_per_A3"] == pytest.approx(0.002)
    assert summary["entropy_mae_kB"] == pytest.approx(0.5)
    tables = result.tables()
    assert tables["energy (meV/atom)"]["odd"]["mae"] == pytest.approx(30)
    assert tables["stress (eV/Å³)"]["all"]["n"] == 18
    assert tables["formation entropy (k_B)"]["odd"]["n"] == 1


def test_the_largest_errors_name_their_structures(frames, potential):
    structures = labelled(frames)
    result = evaluate(potential, structures)
    found = result.largest(2)["energy (meV/atom)"]
    assert [source for source, _ in found] == [structures[3].source, structures[2].source]
    assert [error for _, error in found] == pytest.approx([40, 30])
    assert f"largest: 40 in {structures[3].source}; 30 in {structures[2].source};" in repr(result)


def test_labels_that_are_missing_are_null(frames, potential):
    bare = labelled([atoms.copy() for atoms in frames[:1]])
    summary = evaluate(potential, bare).summary()
    assert summary["energy_mae_eV_per_atom"] is None
    assert summary["entropy_mae_kB"] == pytest.approx(0.5)
    with pytest.raises(ValueError, match=r"no structure has a label .*\(energy, entropy\)"):
        evaluate(potential, labelled([frames[1].copy()]))


def test_an_element_that_the_model_does_not_know(frames, potential):
    other = frames[0].copy()
    other.symbols[3] = "W"
    with pytest.raises(ValueError, match=r"frame 0: .*W"):
        evaluate(potential, labelled([other]))


def test_the_command(files, capsys):
    command = ["evaluate", str(files / "model.thiry"), str(files / "data.xyz")]
    assert main([*command, "--select", "number=2", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["n_structures"] == 1
    assert summary["energy_mae_eV_per_atom"] == pytest.approx(0.03)
    assert main([*command, "--select", "number=2", "--select", "number=3"]) == 0
    printed = capsys.readouterr().out
    assert "2 structures" in printed
    assert "formation entropy (k_B)" in printed
    assert main([*command, "--key", "energy=E_tot"]) == 2
    assert "energy = 'E_tot'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*command, "--select", "number"])
    assert "not of the form key=value" in capsys.readouterr().err


def test_names_of_labels_can_be_given(files):
    data = read_dataset(["data.xyz"], keys={"entropy": "formation_entropy_kB"}, folder=files)
    assert [one.entropy is None for one in data.structures] == [False, True, False, False]
