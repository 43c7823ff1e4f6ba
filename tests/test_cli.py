"""The command line: every subcommand's help, and predict, check, info, list."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from ase.build import bulk
from ase.io import read, write

import thiry_calc.shipped
from thiry_calc import ThiryCalculator
from thiry_calc.check import Check
from thiry_calc.cli import PROGRAM, main
from thiry_calc.commands import check as check_command
from thiry_calc.linear.command_line import build_parser

KEYS = {
    "energy_eV", "formation_entropy_kB", "vibrational_entropy_eV_per_K", "free_energy_eV",
    "energy_std_eV", "entropy_std_kB",
}  # fmt: skip


@pytest.fixture
def model(iron, tmp_path):
    iron.save(tmp_path / "iron.thiry")
    return str(tmp_path / "iron.thiry")


@pytest.fixture
def structures(tmp_path, rattled):
    smaller = bulk("Fe", "bcc", 2.87, cubic=True)
    write(tmp_path / "two.xyz.xz", [rattled, smaller])
    return str(tmp_path / "two.xyz.xz")


def _json(capsys, *arguments):
    assert main([*arguments, "--json"]) == 0
    out, err = capsys.readouterr()
    return json.loads(out), err


# -- the parser ------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["check", "predict", "info", "list", "entropy", "generate"])
def test_help_has_an_example(command, capsys):
    with pytest.raises(SystemExit) as exit_:
        main([command, "--help"])
    assert exit_.value.code == 0
    out = capsys.readouterr().out
    assert f"example:\n  thiry {command}" in out
    assert "--json" in out


def test_version_and_usage(capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["list", "--surely-not"])
    assert exit_.value.code == 2
    assert "thiry: error" in capsys.readouterr().err
    with pytest.raises(SystemExit) as exit_:
        build_parser(PROGRAM, ["list"]).parse_args(["--version"])
    assert exit_.value.code == 0
    assert thiry_calc.__version__ in capsys.readouterr().out


def test_only_the_chosen_command_is_imported():
    code = (
        "import sys; from thiry_calc.cli import PROGRAM;"
        "from thiry_calc.linear.command_line import build_parser; build_parser(PROGRAM, ['list']);"
        "print([m for m in sys.modules if m.startswith(('thiry_calc.commands.', 'training'))])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "['thiry_calc.commands.list']"


# -- predict ---------------------------------------------------------------------------------


def test_predict_json(model, structures, iron, rattled, capsys):
    result, _ = _json(capsys, "predict", structures, "--model", model, "--temperature", "500")
    assert list(result) == ["structures"]
    assert len(result["structures"]) == 2
    first = result["structures"][0]
    assert set(first) == KEYS | {"temperature_K"}
    assert first["temperature_K"] == 500
    calc = ThiryCalculator(iron, temperature=500)
    for key, name in (
        ("energy_eV", "energy"), ("free_energy_eV", "free_energy"),
        ("formation_entropy_kB", "formation_entropy"), ("entropy_std_kB", "entropy_std"),
        ("vibrational_entropy_eV_per_K", "vibrational_entropy"), ("energy_std_eV", "energy_std"),
    ):  # fmt: skip
        # extxyz keeps 8 decimals of the positions
        assert first[key] == pytest.approx(calc.get_property(name, rattled), abs=1e-6)


@pytest.mark.parametrize(
    ("target", "null"),
    [
        ("energy", {"formation_entropy_kB", "vibrational_entropy_eV_per_K", "entropy_std_kB"}),
        ("entropy", {"energy_eV", "free_energy_eV", "energy_std_eV"}),
    ],
)
def test_predict_gives_null_for_what_a_model_lacks(
    make_potential, tmp_path, structures, capsys, target, null
):
    make_potential(targets=(target,)).save(tmp_path / "part.thiry")
    arguments = ("predict", structures, "--model", str(tmp_path / "part.thiry"))
    result, _ = _json(capsys, *arguments)
    for row in result["structures"]:
        assert {k for k, v in row.items() if v is None} == null
    assert main(list(arguments)) == 0
    assert " - " in capsys.readouterr().out


def test_predict_table(model, structures, capsys):
    assert main(["predict", structures, "--model", model]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert "max leverage" in lines[0]
    assert lines[1].startswith("0 Fe16")
    assert lines[2].startswith("1 Fe2")
    assert not err


@pytest.mark.parametrize("name", ["out.extxyz", "out.extxyz.gz"])
def test_predict_writes_values_of_atoms(model, structures, tmp_path, iron, capsys, name):
    output = tmp_path / name
    arguments = ["predict", structures, "--model", model, "--temperature", "300"]
    assert main([*arguments, "-o", str(output)]) == 0
    atoms = read(output, index=0)
    calc = ThiryCalculator(iron, temperature=300)
    for found, property_ in (
        (atoms.get_forces(), "forces"), (atoms.arrays["leverage"], "leverage"),
        (atoms.arrays["site_entropies_kB"], "site_entropies"),
        (atoms.get_potential_energies(), "energies"), (atoms.get_stress(), "stress"),
        (atoms.info["formation_entropy_kB"], "formation_entropy"),
        (atoms.get_potential_energy(force_consistent=True), "free_energy"),
    ):  # fmt: skip
        np.testing.assert_allclose(found, calc.get_property(property_, atoms), atol=1e-6)
    assert not [p for p in tmp_path.iterdir() if "partial" in p.name]


# -- check, info, list -----------------------------------------------------------------------


@pytest.mark.parametrize("passed", [True, False, None])
def test_check_reports_and_fails(model, monkeypatch, capsys, passed):
    value = None if passed is None else 2e-9
    checks = [Check("forces", "E", value, 1e-8, "eV/Å", passed, "bulk")]
    monkeypatch.setattr(check_command, "run_checks", lambda *a, **k: checks)
    status = 1 if passed is False else 0
    assert main(["check", model]) == status
    word = {True: "ok", False: "FAILED", None: "skipped"}[passed]
    assert word in capsys.readouterr().out
    assert main(["check", model, "--json"]) == status
    result = json.loads(capsys.readouterr().out)
    assert result["passed"] is (passed is not False)
    assert result["checks"][0]["value"] == value


def test_check_on_structures(model, structures, capsys):
    result, _ = _json(capsys, "check", model, "--structures", structures)
    assert result["passed"]
    where = {c["where"] for c in result["checks"] if c["name"] == "forces"}
    assert where <= {"Fe16 (0)", "Fe2 (1)"}


def test_info(model, capsys):
    card, _ = _json(capsys, "info", model)
    assert card["elements"] == ["Fe"]
    assert [d["type"] for d in card["targets"]["energy"]["descriptors"]] == [
        "one_body", "pair", "afs"
    ]  # fmt: skip
    assert card["crystal"]["a0_A"] == 2.87
    assert card["info"]["purpose"] == "tests"
    assert card["provenance"]["provenance"]["thiry_calc"]
    assert main(["info", model]) == 0
    out = capsys.readouterr().out
    assert "purpose: tests" in out
    assert "r_cut=4.6" in out


def test_list(iron, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(thiry_calc.shipped, "_folder", lambda: tmp_path)
    result, _ = _json(capsys, "list")
    assert result == {"models": []}
    (tmp_path / "Fe-x").mkdir()
    iron.save(tmp_path / "Fe-x" / "Fe-x.thiry")
    result, _ = _json(capsys, "list")
    assert [(m["name"], m["elements"], m["targets"]) for m in result["models"]] == [
        ("Fe-x", ["Fe"], ["energy", "entropy"])
    ]
    assert main(["list"]) == 0
    assert capsys.readouterr().out.startswith("Fe-x ")


def test_a_reader_that_leaves_early():
    """`thiry list | head -0` ends quietly."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    code = "from thiry_calc.cli import main; import sys; sys.exit(main(['list', '--json']))"
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=write_end, stderr=subprocess.PIPE, text=True
    )
    os.close(write_end)
    assert (done.returncode, done.stderr) == (1, "")
