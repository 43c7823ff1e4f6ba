"""Export to LAMMPS, checked by our reader; tests/external has a third party's."""

import json

import numpy as np
import pytest
from yace_cases import MODELS, NAMES, STRUCTURES, structure

from thiry_calc import AFS, Pair, Potential, PowerSpectrum, ThiryCalculator
from thiry_calc.cli import main
from thiry_calc.descriptors import ACE, ZBL, Combined, OneBody
from thiry_calc.linear import LinearModel
from thiry_calc.potential import Target
from thiry_calc.yace import export
from thiry_calc.yace.evaluator import evaluate
from thiry_calc.yace.text import read

BARS = {"energy": 1e-8, "forces": 1e-7, "virial": 1e-6}


def potential_of(parts, elements=("Fe",), seed=0, targets=("energy",)):
    """A potential of some descriptors with random coefficients."""
    descriptor = Combined(tuple(parts))
    size = np.abs(descriptor.values(structure("bulk", elements))).max(axis=0) + 1e-2
    coefficients = 0.1 * np.random.default_rng(seed).normal(size=len(size)) / size
    for part, columns in zip(descriptor.parts, descriptor.columns, strict=True):
        if part.type == "zbl":
            coefficients[columns] = 1.0
    reference = np.zeros((len(elements), len(size)))
    values = -3.0 - np.arange(len(elements))
    own = Target(LinearModel(coefficients), tuple(range(len(parts))), reference, values)
    return Potential("test", elements, descriptor, {t: own for t in targets})


def assert_same(files, potential, temperature, atoms):
    """The files, added up, are the calculator."""
    atoms.calc = ThiryCalculator(potential, temperature, extrapolation_warning=False)
    values = [evaluate(read(file), atoms) for file in files]
    energy = sum(v.energy for v in values)
    assert abs(energy - atoms.get_potential_energy(force_consistent=True)) < BARS["energy"]
    forces = sum(v.forces for v in values)
    assert np.abs(forces - atoms.get_forces()).max() < BARS["forces"]
    if atoms.cell.rank == 3:
        virial = -atoms.get_stress(voigt=False) * atoms.get_volume()
        assert np.abs(sum(v.virial for v in values) - virial).max() < BARS["virial"]


@pytest.mark.parametrize("temperature", [None, 600.0])
@pytest.mark.parametrize(("kind", "elements"), MODELS, ids=NAMES)
def test_file_is_the_calculator(kind, elements, temperature, make_potential, tmp_path):
    potential = make_potential(kind, elements)
    done = export(potential, tmp_path / "model.yace", temperature)
    assert done.exact
    assert len(done.files) == 1
    for name in STRUCTURES:
        assert_same(done.files, potential, temperature, structure(name, elements))


@pytest.mark.parametrize(
    ("parts", "elements"),
    [
        ([AFS(4.6, 3, 3, elements=("W", "Fe"), products="full")], ("Fe", "W")),
        ([AFS(4.6, 3, 3, elements=None)], ("Fe", "W")),
        ([PowerSpectrum(4.6, 3, 2, radial="bartok"), Pair(4.6, 5, ("W", "Fe"))], ("Fe", "W")),
        ([ACE(4.6, (5, 4, 4), elements=None), AFS(4.6, 3, 2, ("Fe", "W"))], ("Fe", "W")),
        ([ACE(4.6, (5, 4, 4, 3), l_weight=1.5, radial="bartok")], ("Fe",)),
        ([OneBody(("Fe", "W")), Pair(4.6, 3)], ("Fe", "W")),
    ],
    ids=["full products", "blind to elements", "mixed radials", "two kinds", "order 4", "pair"],
)
def test_variants_of_descriptors(parts, elements, tmp_path):
    potential = potential_of(parts, elements)
    done = export(potential, tmp_path / "model.yace")
    for name in STRUCTURES:
        assert_same(done.files, potential, None, structure(name, elements))


def test_cutoffs_become_files_that_add_up(split, tmp_path):
    done = export(split, tmp_path / "model.yace", 600.0)
    assert [f.name for f in done.files] == ["model.yace", "model.2.yace"]
    assert "pair_style hybrid/overlay pace pace" in done.commands
    assert "pair_coeff * * pace 2 model.2.yace Fe W" in done.commands
    for name in STRUCTURES:
        assert_same(done.files, split, 600.0, structure(name, ("Fe", "W")))


def test_one_file_is_a_fit_that_says_its_error(split, tmp_path):
    errors = []
    for n in (40, 160):
        done = export(split, tmp_path / f"n{n}.yace", 600.0, one_file=n)
        assert done.files == (tmp_path / f"n{n}.yace",)
        assert not done.exact
        errors.append((done.radial_error, done.force_error))
    assert errors[0][0] > 10 * errors[1][0] > 0
    assert errors[0][1] > 10 * errors[1][1] > 0


def test_core_is_lammps_zbl(tmp_path):
    potential = potential_of([Pair(4.6, 4), ZBL(0.8, 1.6)])
    done = export(potential, tmp_path / "model.yace")
    assert "pair_style hybrid/overlay pace zbl 0.8 1.6" in done.commands
    assert "pair_coeff 1 1 zbl 26 26" in done.commands
    atoms = structure("cluster", ("Fe",))
    assert_same(done.files, potential_of([Pair(4.6, 4)]), None, atoms)  # the file has no core


def test_lammps_splines_are_fine_enough(make_potential, tmp_path):
    done = export(make_potential("ace3"), tmp_path / "model.yace")
    assert 0 < done.spline_force_error < 1e-7
    tree = read(done.files[0])
    atoms = structure("bulk", ("Fe",))
    exact = evaluate(tree, atoms)
    wrong = []
    for bins in (0.04, 0.02):
        tree["deltaSplineBins"] = bins
        wrong.append(np.abs(evaluate(tree, atoms, splines=True).forces - exact.forces).max())
    assert 5 < wrong[0] / wrong[1] < 12  # derivatives of cubic splines are of third order


def test_rewriting_gives_the_same_file(alloy, tmp_path):
    texts = [export(alloy, tmp_path / "a.yace", 300.0).files[0].read_text() for _ in range(2)]
    assert texts[0] == texts[1]
    assert texts[0].startswith("# free energy A(T) = E - T S at T = 300 K of model test-power-Fe-W")
    assert "# units metal" in texts[0]
    assert "# needs LAMMPS 23Jun2022 or later with the ML-PACE package" in texts[0]


def test_a_wrong_file_is_not_kept(iron, tmp_path, monkeypatch):
    from thiry_calc.yace import expansion

    monkeypatch.setattr(expansion, "U_CUBED", expansion.U_CUBED * (1 + 1e-7))
    with pytest.raises(RuntimeError, match="does not reproduce model 'test-afs-Fe'"):
        export(iron, tmp_path / "model.yace")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "temperature", "file", "match"),
    [
        ("Fe-AM04", 600.0, "a.yace", "local_log_det of model 'Fe-AM04' is no sum of products"),
        ("Fe-AM04", None, "a.txt", "should end with .yace"),
        ("Fe-AM04", -1.0, "a.yace", "temperature must be 0 K or more"),
        ("Fe-AM04", None, "nowhere/a.yace", "there is no folder"),
        ("Fe-AM04", None, "my model.yace", "LAMMPS cannot read the name 'my model.yace'"),
    ],
)
def test_bad_input(name, temperature, file, match, tmp_path):
    with pytest.raises(ValueError, match=match):
        export(name, tmp_path / file, temperature)
    assert not list(tmp_path.iterdir())


def test_models_without_what_is_asked(tmp_path):
    energy = potential_of([Pair(4.6, 3)])
    with pytest.raises(ValueError, match="has no entropy part"):
        export(energy, tmp_path / "a.yace", 300.0)
    both = potential_of([Pair(4.6, 3)], targets=("energy", "entropy"))
    with pytest.raises(ValueError, match="stores no reference crystal"):
        export(both, tmp_path / "a.yace", 300.0)
    for n in (3, 100_000):
        with pytest.raises(ValueError, match=f"cannot fit by {n} radial functions; give 40 to"):
            export(energy, tmp_path / "a.yace", one_file=n)


def test_command(tmp_path, capsys):
    file = tmp_path / "Fe.yace"
    arguments = ["export", "Fe-AM04-AFS", "--to", "yace", "-o", str(file), "--temperature", "600"]
    assert main([*arguments, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["files"] == [str(file), str(tmp_path / "Fe.2.yace")]
    assert result["energy_error_eV"] < 5e-8  # the published descriptor: terms of 1e5 eV cancel
    assert result["active_set"] is None
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert "pair_coeff * * pace 1 Fe.yace Fe" in text
    assert "pace/extrapolation" in text


def test_reader_says_which_line_is_not_ours(iron, tmp_path):
    (file,) = export(iron, tmp_path / "a.yace").files
    file.write_text(file.read_text().replace("elements: [Fe]", "elements: [Fe"))
    with pytest.raises(ValueError, match=r"line .* is not as `thiry export` writes it"):
        read(file)
