"""Bad input ends with one sentence, exit status 2 or 1, no traceback, nothing half-written."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write

from thiry_calc.cli import main


@pytest.fixture
def folder(tmp_path, iron, make_potential, monkeypatch, rattled):
    """A working folder with a sound model, sound structures and spoilt ones."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("THIRY_DEBUG", raising=False)
    iron.save("iron.thiry")
    make_potential(targets=("energy",)).save("energy.thiry")
    data = Path("iron.thiry").read_bytes()
    Path("truncated.thiry").write_bytes(data[: len(data) // 2])
    write("good.xyz", rattled)
    for name, spoil in _SPOIL.items():
        atoms = rattled.copy()
        spoil(atoms)
        write(f"{name}.xyz", [rattled, atoms])
    Path("cut.xyz").write_text("\n".join(Path("good.xyz").read_text().splitlines()[:7]))
    Path("prose.xyz").write_text("this is no structure\n")
    Path("empty.xyz").write_text("")
    write("flat.cif", rattled)
    Path("unknown.toml").write_text(_RECIPE.replace("seed = 1", "sead = 1"))
    Path("broken.toml").write_text("[reference\n")
    Path("unit.toml").write_text(_RECIPE.replace("radius = [3.2, 9.0]", 'radius = "3.2 nm"'))
    return tmp_path


def _nan(atoms):
    atoms.positions[2, 1] = np.nan


def _overlap(atoms):
    atoms.positions[1] = atoms.positions[0] + 0.01


def _element(atoms):
    atoms.symbols[0] = "U"


def _no_volume(atoms):
    atoms.cell[2] = atoms.cell[1]


def _small_units(atoms):
    atoms.set_cell(0.1 * atoms.cell.array, scale_atoms=True)


_SPOIL = {
    "nan": _nan,
    "overlap": _overlap,
    "element": _element,
    "volume": _no_volume,
    "units": _small_units,
}
_RECIPE = """
[reference]
potential = "AM04"
[cells]
lattice = "bcc"
sizes = [4]
[[family]]
kind = "random_cluster"
vacancies = [1, 1]
interstitials = [0, 0]
radius = [3.2, 9.0]
count = 1
[hessian]
method = "analytic"
labels = ["total"]
[output]
folder = "database"
seed = 1
"""
PREDICT = ["predict", "--model", "iron.thiry", "-o", "out.extxyz"]
CASES = {
    "missing file": ([*PREDICT, "none.xyz"], "none.xyz"),
    "a folder": ([*PREDICT, "."], "cannot read structures"),
    "no structure": ([*PREDICT, "prose.xyz"], "prose.xyz"),
    "empty file": ([*PREDICT, "empty.xyz"], "empty.xyz"),
    "truncated file": ([*PREDICT, "cut.xyz"], "cut.xyz"),
    "not finite": ([*PREDICT, "nan.xyz"], "nan.xyz, frame 1 has non-finite positions"),
    "overlap": ([*PREDICT, "overlap.xyz"], "overlap.xyz, frame 1: atoms 0 and 1 overlap"),
    "unknown element": ([*PREDICT, "element.xyz"], "element U is not described by this model"),
    "no volume": ([*PREDICT, "volume.xyz"], "volume.xyz, frame 1 is periodic along"),
    "wrong units": ([*PREDICT, "units.xyz"], "units.xyz, frame 1"),
    "negative temperature": ([*PREDICT, "good.xyz", "--temperature=-1"], "temperature must be"),
    "temperature not finite": ([*PREDICT, "good.xyz", "--temperature", "nan"], "temperature"),
    "no entropy": (
        ["predict", "--model", "energy.thiry", "good.xyz", "--temperature", "300"],
        "has no entropy part",
    ),
    "missing model": (["predict", "good.xyz", "--model", "Fe-AM05"], "no model file 'Fe-AM05'"),
    "truncated model": (["predict", "good.xyz", "--model", "truncated.thiry"], "truncated.thiry"),
    "a structure as model": (["predict", "good.xyz", "--model", "good.xyz"], "good.xyz"),
    "info of nothing": (["info", "none.thiry"], "no model file 'none.thiry'"),
    "info of a truncated model": (["info", "truncated.thiry", "--json"], "truncated.thiry"),
    "check of a truncated model": (["check", "truncated.thiry"], "truncated.thiry"),
    "check at no temperature": (["check", "iron.thiry", "--temperature", "0"], "temperature"),
    "check on bad structures": (["check", "iron.thiry", "--structures", "nan.xyz"], "nan.xyz"),
    "unknown key": (["generate", "unknown.toml", "--workers", "0"], "seed"),
    "wrong unit in a config": (["generate", "unit.toml", "--workers", "0"], "radius"),
    "broken config": (["generate", "broken.toml", "--workers", "0"], "broken.toml"),
    "missing config": (["generate", "none.toml", "--workers", "0"], "none.toml"),
    "entropy of an unrelaxed structure": (
        ["entropy", "good.xyz", "--model", "iron.thiry"], "force",
    ),
    "entropy without a volume": (["entropy", "volume.xyz", "--model", "iron.thiry"], "volume.xyz"),
    "entropy at a negative temperature": (
        ["entropy", "good.xyz", "--model", "iron.thiry", "--temperature=-5"], "temperature",
    ),
}  # fmt: skip


def _sentence(text):
    """The one line of an error, which begins as promised and ends without a traceback."""
    lines = text.strip().splitlines()
    assert len(lines) == 1, text
    assert lines[0].startswith("thiry: error: ")
    assert "Traceback" not in text
    return lines[0]


@pytest.mark.parametrize(("arguments", "said"), CASES.values(), ids=CASES.keys())
def test_one_sentence(folder, arguments, said, capsys):
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    status = main(arguments)
    out, err = capsys.readouterr()
    assert status in (1, 2)
    assert said in _sentence(err)
    assert out == ""
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before


def test_output_that_cannot_be_written(folder, capsys):
    assert main(["predict", "good.xyz", "--model", "iron.thiry", "-o", "no/such/out.xyz"]) in (1, 2)
    assert "no/such" in _sentence(capsys.readouterr().err)


def test_old_output_survives_a_failure(folder, capsys):
    Path("out.extxyz").write_text("precious")
    assert main([*PREDICT, "overlap.xyz"]) == 2
    assert Path("out.extxyz").read_text() == "precious"
    assert main([*PREDICT, "good.xyz"]) == 0
    assert Path("out.extxyz").read_text().startswith("16\n")


@pytest.mark.parametrize(
    "arguments",
    [["predict"], ["predict", "good.xyz", "--temperature", "hot"], ["surely-not"], []],
)
def test_usage_errors(folder, arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_the_installed_command(folder):
    """The same through a process: nothing else on stderr, the status of the shell."""
    code = "import sys; from thiry_calc.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, *PREDICT, "overlap.xyz"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "overlap" in _sentence(done.stderr)
    assert done.stdout == ""


def test_debug_shows_the_traceback(folder, monkeypatch):
    monkeypatch.setenv("THIRY_DEBUG", "1")
    with pytest.raises(ValueError, match="overlap"):
        main([*PREDICT, "overlap.xyz"])


def test_isolated_atoms_are_no_error(folder, capsys):
    write("atom.xyz", Atoms("Fe"))
    write("crystal.xyz", bulk("Fe", "bcc", 2.87))
    for name in ("atom.xyz", "crystal.xyz"):
        assert main(["predict", name, "--model", "iron.thiry"]) == 0
    assert capsys.readouterr().err == ""
