"""``thiry entropy``: its numbers, its JSON keys, and one sentence for every bad input."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.io import write
from ase.optimize import FIRE

from thiry_calc.cli import main
from thiry_calc.harmonic import HarmonicThermodynamics, formation_entropy, log_determinant
from thiry_calc.hessian import finite_difference_hessian


class FastEMT(EMT):
    """EMT with a Hessian of its own, as reference potentials have it."""

    def get_hessian(self, atoms):
        return finite_difference_hessian(atoms, EMT(), order=2, step=0.005)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Perfect and relaxed vacancy cells of EMT copper, 32 sites, with Hessians in files."""
    folder = tmp_path_factory.mktemp("entropy")
    perfect = bulk("Cu", cubic=True, a=3.6) * (2, 2, 2)
    vacancy = perfect.copy()
    del vacancy[0]
    write(folder / "unrelaxed.xyz", vacancy)
    vacancy.calc = EMT()
    FIRE(vacancy, logfile=None).run(fmax=1e-5)
    hessians = [FastEMT().get_hessian(atoms) for atoms in (perfect, vacancy)]
    vacancy.calc = None
    write(folder / "bulk.xyz", perfect)
    write(folder / "vacancy.xyz", vacancy)
    write(folder / "both.xyz", [vacancy, vacancy])
    sp.save_npz(folder / "bulk.npz", hessians[0])
    sp.save_npz(folder / "vacancy.npz", hessians[1])
    np.save(folder / "vacancy.npy", hessians[1].toarray())
    np.savetxt(folder / "vacancy.txt", hessians[1].toarray(), fmt="%.17e")
    return SimpleNamespace(
        folder=folder, perfect=perfect, vacancy=vacancy, bulk=hessians[0], hessian=hessians[1]
    )


@pytest.fixture(autouse=True)
def _emt_is_a_reference_potential(monkeypatch):
    entry = SimpleNamespace(name="EMT", load=lambda: FastEMT)
    monkeypatch.setattr("thiry_calc.references.entry_points", lambda group: [entry])


def run(capsys, *arguments):
    status = main(["entropy", *map(str, arguments)])
    return status, *capsys.readouterr()


def expected_formation(files):
    return formation_entropy(log_determinant(files.hessian), 31, log_determinant(files.bulk), 32)


def test_reference_potential_and_json_keys(files, capsys):
    status, out, err = run(
        capsys,
        files.folder / "vacancy.xyz",
        *("--reference-potential", "EMT", "--reference", files.folder / "bulk.xyz"),
        *("--temperature", 450, "--json"),
    )
    assert (status, err) == (0, "")
    (found,) = json.loads(out)["structures"]
    thermo = HarmonicThermodynamics.from_hessian(files.hessian, files.vacancy)
    # the file has eight digits of the positions
    assert found["vibrational_entropy_kB"] == pytest.approx(thermo.entropy_kB(450.0), abs=1e-4)
    assert found["formation_entropy_kB"] == pytest.approx(expected_formation(files), abs=1e-4)
    assert (found["n_atoms"], found["n_zero_modes"], found["n_negative_modes"]) == (31, 3, 0)


@pytest.mark.parametrize("name", ["vacancy.npz", "vacancy.npy", "vacancy.txt"])
def test_hessian_from_a_file(files, capsys, name):
    arguments = (files.folder / "vacancy.xyz", "--hessian", files.folder / name, "--json")
    status, out, _ = run(capsys, *arguments, "--reference", files.folder / "bulk.npz")
    assert status == 0
    (found,) = json.loads(out)["structures"]
    assert found["formation_entropy_kB"] == pytest.approx(expected_formation(files), abs=1e-9)
    status, out, _ = run(capsys, *arguments)
    assert json.loads(out)["structures"][0]["formation_entropy_kB"] is None


def test_phonopy_files(files, capsys, tmp_path):
    pytest.importorskip("phonopy")
    from thiry_calc.phonopy_io import to_phonopy, write_force_constants

    for name, hessian in (("FORCE_CONSTANTS", files.hessian), ("BULK_FC", files.bulk)):
        write_force_constants(tmp_path / name, hessian)
    to_phonopy(files.vacancy, files.hessian).save(
        tmp_path / "phonopy_params.yaml", settings={"force_constants": True, "force_sets": False}
    )
    for option, name in (
        ("--phonopy", "FORCE_CONSTANTS"),
        ("--hessian", "FORCE_CONSTANTS"),
        ("--phonopy", "phonopy_params.yaml"),
    ):
        arguments = (option, tmp_path / name, "--reference", tmp_path / "BULK_FC", "--json")
        status, out, _ = run(capsys, files.folder / "vacancy.xyz", *arguments)
        assert status == 0
        (found,) = json.loads(out)["structures"]
        assert found["formation_entropy_kB"] == pytest.approx(expected_formation(files), abs=1e-7)


def test_modes_quantum_and_table(files, capsys):
    arguments = (files.folder / "vacancy.xyz", "--hessian", files.folder / "vacancy.npz")
    _, out, _ = run(capsys, *arguments, "--quantum", "--temperature", 80, "--json")
    (found,) = json.loads(out)["structures"]
    thermo = HarmonicThermodynamics.from_hessian(files.hessian, files.vacancy, modes=True)
    assert found["vibrational_entropy_kB"] == pytest.approx(thermo.entropy_kB(80.0, True))
    assert found["vibrational_free_energy_eV"] == pytest.approx(thermo.free_energy(80.0, True))
    assert found["lowest_frequencies_THz"] == pytest.approx(thermo.frequencies_THz()[:6])
    status, out, _ = run(capsys, *arguments, "--modes")
    assert status == 0
    assert f"{thermo.entropy_kB(300.0):.6f}" in out
    assert "THz" in out


def test_saddle_reports_its_negative_modes_and_no_entropy(files, capsys, tmp_path):
    values, vectors = np.linalg.eigh(files.hessian.toarray())
    for mode in (7, 20):
        values[mode] *= -1
    np.save(tmp_path / "saddle.npy", vectors * values @ vectors.T)
    status, out, err = run(
        capsys,
        files.folder / "vacancy.xyz",
        *("--hessian", tmp_path / "saddle.npy", "--reference", files.folder / "bulk.npz"),
        "--json",
    )
    (found,) = json.loads(out)["structures"]
    assert status == 0
    assert found["n_negative_modes"] == 2
    assert found["vibrational_entropy_kB"] is None
    assert found["formation_entropy_kB"] is None
    assert "2 negative and 0 near-zero modes" in err


def test_molecules_have_their_rotations(capsys, tmp_path):
    water = molecule("H2O")
    write(tmp_path / "water.xyz", water)
    generators = [np.tile(np.eye(3), (3, 1))]
    generators += [np.cross(axis, water.positions).reshape(-1, 1) for axis in np.eye(3)]
    basis, _ = np.linalg.qr(np.hstack([*generators, np.eye(9)[:, [0, 4, 8]]]))
    np.save(tmp_path / "h.npy", 20.0 * basis[:, 6:] @ basis[:, 6:].T)
    _, out, _ = run(capsys, tmp_path / "water.xyz", "--hessian", tmp_path / "h.npy", "--json")
    assert json.loads(out)["structures"][0]["n_zero_modes"] == 6


def test_unrelaxed_structure_fails_or_is_relaxed(files, capsys):
    arguments = (files.folder / "unrelaxed.xyz", "--reference-potential", "EMT", "--json")
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (1, "")
    assert "is not at a minimum: its largest force is 0." in err
    assert err.count("\n") == 1
    status, out, _ = run(capsys, *arguments, "--relax", "--reference", files.folder / "bulk.xyz")
    assert status == 0
    (found,) = json.loads(out)["structures"]
    assert found["formation_entropy_kB"] == pytest.approx(expected_formation(files), abs=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("absent.xyz", "--hessian", "vacancy.npz"), "no such file"),
        (("vacancy.xyz", "--hessian", "absent.npz"), "no such file"),
        (("vacancy.xyz", "--hessian", "bulk.npz"), "the Hessian of 31 atoms"),
        (("vacancy.xyz", "--hessian", "bulk.xyz"), "is not a Hessian"),
        (("both.xyz", "--hessian", "vacancy.npz"), "holds 2 structures"),
        (("vacancy.xyz", "--reference-potential", "QUIP"), "installed: EMT"),
        (("vacancy.xyz", "--hessian", "vacancy.npz", "--temperature", "-5"), "temperature"),
        (("vacancy.xyz", "--hessian", "vacancy.npz", "--reference", "small.npz"), "boxes"),
        (("vacancy.xyz", "--phonopy", "bulk.xyz"), "not a complete FORCE_CONSTANTS"),
        (("vacancy.xyz", "--hessian", "pickled.npy"), "is not a Hessian"),
        (("vacancy.xyz", "--hessian", "truncated.npz"), "is not a Hessian"),
        (("vacancy.xyz", "--hessian", "nan.npy"), "non-finite"),
    ],
)
def test_bad_input_is_one_sentence_with_status_2(files, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(files.folder)
    sp.save_npz("small.npz", FastEMT().get_hessian(bulk("Cu", cubic=True)))
    np.save("pickled.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with open("vacancy.npz", "rb") as source, open("truncated.npz", "wb") as target:
        target.write(source.read()[:2000])
    np.save("nan.npy", np.full((93, 93), np.nan))
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert "Traceback" not in err


def test_sources_exclude_each_other(files):
    with pytest.raises(SystemExit) as stop:
        main(["entropy", "x.xyz", "--hessian", "a", "--model", "b"])
    assert stop.value.code == 2
