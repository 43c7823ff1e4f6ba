"""The command ``thiry scan``: its two outputs, its files, its refusals."""

import json

import pytest
from ase import units
from ase.io import write

from thiry_calc.cli import main
from thiry_calc.commands.scan import parse_temperatures
from thiry_calc.defects import build, supercell


@pytest.fixture(scope="module")
def model_file(make_potential, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "test.thiry"
    make_potential("afs").save(path)
    return str(path)


def run(capsys, *arguments):
    status = main(["scan", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_command_json_contract(model_file, capsys, tmp_path):
    structure = build("dumbbell_110", 2.87, 4)
    write(tmp_path / "mine.xyz", structure)
    status, out, err = run(
        capsys, "vacancy", tmp_path / "mine.xyz", "--model", model_file, "--size", 4,
        "--temperatures", "0:600:250", "--json", "--plot", tmp_path / "p.png",
        "-o", tmp_path / "relaxed",
    )  # fmt: skip
    assert status == 0
    found = json.loads(out)
    vacancy, mine = found["configurations"]
    assert (vacancy["name"], vacancy["n_atoms"], vacancy["n_negative_modes"]) == (
        "vacancy", 127, None,
    )  # fmt: skip
    assert mine["name"] == "mine.xyz"
    assert list(vacancy["formation_free_energy_eV"]) == ["0", "250", "500", "600"]
    expected = vacancy["formation_energy_eV"] - units.kB * 600 * vacancy["formation_entropy_kB"]
    assert vacancy["formation_free_energy_eV"]["600"] == pytest.approx(expected, abs=1e-12)
    assert found["migration"] is None
    assert (tmp_path / "p.png").read_bytes()[:4] == b"\x89PNG"
    assert len(list(tmp_path.iterdir())) == 3  # nothing half-written beside it
    assert (tmp_path / "relaxed" / "mine.xyz.xyz").exists()
    assert "structure" in err  # progress


def test_command_prints_tables(model_file, capsys):
    status, out, _ = run(
        capsys, "vacancy", "--model", model_file, "--size", 4, "--temperatures", 300
    )
    assert status == 0
    for words in ("E_f", "A_f(300 K)", "stable configuration", "equilibrium concentrations"):
        assert words in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["vacency"], "did you mean 'vacancy'"),
        (["nowhere.xyz"], "no such file"),
        (["vacancy", "--temperatures", "0:1200"], "start:end:step"),
        (["vacancy", "--temperatures", "300:100:50"], "start:end:step"),
        (["vacancy", "--temperatures", "0:100:0"], "start:end:step"),
        (["vacancy", "--temperatures=-5"], "0 or more"),
        (["vacancy", "--temperatures", "300,hot"], "0 or more"),
        (["vacancy", "--temperatures", "nan"], "0 or more"),
        (["vacancy", "--temperatures", "0:1e9:1e-3"], "larger step"),
        (["vacancy", "--element", "W"], "does not know the element 'W'"),
        (["vacancy", "--lattice", "fcc"], "the crystal of model"),
        (["vacancy", "--size", "2"], "too small"),
        (["vacancy", "--plot", "scan.txt"], "expected a name ending"),
        (["vacancy", "--plot", "no/such/scan.png"], "no folder"),
        (["vacancy", "--plot", "p.png", "--temperatures", "300"], "at least two"),
        (["vacancy", "--reference", "AM04"], "give both"),
        (["vacancy", "--exact", "--reference", "AM40"], "did you mean 'AM04'"),
    ],
)
def test_bad_input_is_one_sentence(arguments, words, model_file, capsys):
    status, out, err = run(capsys, *arguments, "--model", model_file)
    assert status == 2
    assert out == ""
    assert words in err
    assert err.count("\n") == 1


def test_a_structure_that_fails_gives_status_1(model_file, tmp_path, capsys):
    atoms = supercell(2.855313, 4)
    atoms.positions[1] = atoms.positions[0] + 0.1
    write(tmp_path / "bad.xyz", atoms)
    arguments = ["scan", str(tmp_path / "bad.xyz"), "vacancy", "--model", str(model_file)]
    assert main([*arguments, "--size", "4", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)["configurations"]
    assert found[0]["formation_energy_eV"] is None
    assert found[1]["formation_energy_eV"] is not None


def test_temperature_specifications():
    assert parse_temperatures("0:1200:100") == [100.0 * n for n in range(13)]
    assert parse_temperatures("0:1000:300") == [0, 300, 600, 900, 1000]
    assert parse_temperatures("0:0.3:0.1") == pytest.approx([0, 0.1, 0.2, 0.3], abs=1e-9)
    assert len(parse_temperatures("0:0.3:0.1")) == 4
    assert parse_temperatures("600,300,600") == [300, 600]
    assert parse_temperatures("300:300:10") == [300]
    assert parse_temperatures("450") == [450]
