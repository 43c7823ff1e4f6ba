"""Phonopy's force constants as Hessians, both ways and against finite differences."""

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.optimize import FIRE

from thiry_calc.hessian import finite_difference_hessian, with_calculator
from thiry_calc.hessian_files import unit_factor
from thiry_calc.phonopy_io import (
    band_structure,
    displacements,
    force_constants,
    read_phonopy,
    to_phonopy,
    write_force_constants,
)

phonopy = pytest.importorskip("phonopy")


@pytest.fixture(scope="module")
def crystal():
    """Phonopy's model of Cu3Au with force constants by EMT, and its supercell."""
    atoms = bulk("Cu", cubic=True, a=3.74)
    atoms.numbers[0] = 79
    model, frames = displacements(atoms, 0.01, (2, 2, 1))
    forces = []
    for frame in frames:
        frame.calc = EMT()
        forces.append(frame.get_forces())
    model.forces = forces
    model.produce_force_constants(show_drift=False)
    supercell = Atoms(
        numbers=model.supercell.numbers,
        cell=model.supercell.cell,
        scaled_positions=model.supercell.scaled_positions,
        pbc=True,
    )
    return model, supercell


def test_displacements_agree_with_finite_differences_in_a_defect_cell():
    atoms = bulk("Cu", cubic=True) * (2, 2, 2)
    del atoms[0]
    atoms.calc = EMT()
    FIRE(atoms, logfile=None).run(fmax=1e-6)
    hessian, supercell = force_constants(atoms)
    assert len(displacements(atoms)[1]) < 2 * len(atoms)  # symmetry spares calculations
    assert supercell.positions == pytest.approx(atoms.positions)
    exact = finite_difference_hessian(atoms)
    coarse = abs(hessian - exact).max()
    assert coarse < 5e-3  # the error of a displacement of 0.01 Å
    finer, _ = force_constants(atoms, distance=0.002)
    assert abs(finer - exact).max() < coarse / 20  # quadratic
    assert np.abs(hessian @ np.tile(np.eye(3), (len(atoms), 1))).max() < 1e-12


@pytest.mark.parametrize("compact", [False, True])
@pytest.mark.parametrize("kind", ["FORCE_CONSTANTS", "force_constants.hdf5"])
def test_reads_full_and_compact_files(crystal, tmp_path, kind, compact):
    from phonopy.file_IO import write_FORCE_CONSTANTS, write_force_constants_to_hdf5
    from phonopy.harmonic.force_constants import full_fc_to_compact_fc

    model, supercell = crystal
    expected, _ = force_constants(
        Atoms(
            numbers=model.unitcell.numbers,
            cell=model.unitcell.cell,
            scaled_positions=model.unitcell.scaled_positions,
            pbc=True,
        ),
        EMT(),
        supercell=(2, 2, 1),
    )
    constants, rows = model.force_constants, None
    if compact:
        rows = model.primitive.p2s_map
        constants = full_fc_to_compact_fc(model.primitive, constants)
        assert len(constants) == 4
    path = tmp_path / kind
    write = write_FORCE_CONSTANTS if kind == "FORCE_CONSTANTS" else write_force_constants_to_hdf5
    write(constants, filename=path, p2s_map=rows)
    hessian, atoms = read_phonopy(path, supercell)
    assert abs(hessian - expected).max() < 1e-10
    assert atoms is supercell


@pytest.mark.parametrize("settings", [{"force_constants": True}, {"force_sets": True}])
def test_reads_yaml(crystal, tmp_path, settings):
    model, supercell = crystal
    model.masses = [200.0, 60.0, 60.0, 60.0]
    path = tmp_path / "phonopy_params.yaml"
    other = {"force_sets": False, "force_constants": False} | settings
    model.save(path, settings=other)
    hessian, atoms = read_phonopy(path)
    assert len(atoms) == 16
    assert sorted(set(atoms.get_masses())) == [60.0, 200.0]
    full = model.force_constants
    n = len(full)
    raw = full.transpose(0, 2, 1, 3).reshape(3 * n, 3 * n)
    assert np.abs(hessian.toarray() - raw).max() < 2e-2  # the sum rule, enforced when reading
    assert np.abs(hessian @ np.tile(np.eye(3), (n, 1))).max() < 1e-10
    again, _ = read_phonopy(path, supercell)
    assert abs(again - hessian).max() == 0.0
    with pytest.raises(ValueError, match="another order or number"):
        read_phonopy(path, bulk("Cu"))


def test_yaml_units_of_other_codes(crystal, tmp_path):
    model, _ = crystal
    path = tmp_path / "phonopy.yaml"
    model.save(path, settings={"force_constants": True, "force_sets": False})
    plain, cell = read_phonopy(path)
    other = phonopy.Phonopy(model.unitcell, model.supercell_matrix, calculator="qe")
    other.force_constants = model.force_constants
    other.save(path, settings={"force_constants": True, "force_sets": False})
    converted, bohr_cell = read_phonopy(path)
    factor = units.Ry / units.Bohr**2
    assert abs(converted - factor * plain).max() < 1e-9
    assert bohr_cell.cell.lengths() == pytest.approx(units.Bohr * cell.cell.lengths())
    assert unit_factor("eV/angstrom^2", path) == 1.0
    assert unit_factor("hartree/angstrom.au", path) == pytest.approx(units.Hartree / units.Bohr)


def test_written_force_constants_are_read_back_by_phonopy(tmp_path):
    from phonopy.file_IO import parse_FORCE_CONSTANTS

    atoms = bulk("Cu", cubic=True)
    hessian = finite_difference_hessian(atoms, EMT())
    path = tmp_path / "FORCE_CONSTANTS"
    write_force_constants(path, hessian)
    blocks = parse_FORCE_CONSTANTS(path)
    assert blocks[0, 1] == pytest.approx(hessian.toarray()[:3, 3:6], rel=1e-14)
    again, _ = read_phonopy(path, atoms)
    assert abs(again - hessian).max() < 1e-14
    assert [entry.name for entry in tmp_path.iterdir()] == ["FORCE_CONSTANTS"]


def test_bands_at_points_that_fit_the_supercell():
    unit = bulk("Cu", "fcc", 3.6)
    bands = band_structure(unit, EMT(), (2, 2, 2), n_points=60)
    assert bands.labels[:2] == ("G", "X")
    assert bands.frequencies.shape == (60, 3)
    large = unit * (2, 2, 2)
    hessian = finite_difference_hessian(with_calculator(large, EMT())).toarray()
    squares = np.linalg.eigvalsh(hessian) / units._amu * units._e * 1e20 / large.get_masses()[0]
    modes = np.sqrt(squares.clip(0)) / (2 * np.pi) / 1e12
    at = [int(np.argmin(np.abs(bands.distances - tick))) for tick in bands.ticks[:2]]
    np.testing.assert_allclose(bands.frequencies[at[0]], 0, atol=1e-2)
    for frequency in bands.frequencies[at[1]]:
        assert np.abs(modes - frequency).min() < 1e-3


def test_phonopy_gets_the_same_frequencies():
    atoms = bulk("Cu", cubic=True) * (2, 1, 1)
    atoms.calc = EMT()
    hessian = finite_difference_hessian(atoms)
    model = to_phonopy(atoms, hessian)
    model.run_qpoints([[0, 0, 0]])
    frequencies = np.asarray(model.qpoints.frequencies[0])
    mass = atoms.get_masses()[0]
    expected = np.sqrt(np.abs(np.linalg.eigvalsh(hessian.toarray() / mass)))
    expected *= units.s / (2 * np.pi) / 1e12
    assert np.sort(np.abs(frequencies))[3:] == pytest.approx(np.sort(expected)[3:], rel=1e-5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a complete FORCE_CONSTANTS"),
        ("4 4\n1 1\n1 2 3\n", "not a complete FORCE_CONSTANTS"),
        ("hello world\n", "not a complete FORCE_CONSTANTS"),
        ("1 1\n1 1\n1 0 0\n0 1 0\n0 0 1\n", "give the supercell"),
        ("4 4\n" + "1 1\n1 0 0\n0 nan 0\n0 0 1\n" * 16, "non-finite"),
        ("4 4\n" + "1 1\n1 0 0\n0 1 0\n0 0 1\n" * 16, "acoustic sum rule"),
        ("2 4\n" + "1 1\n1 0 0\n0 1 0\n0 0 1\n" * 8, "for which different atoms"),
    ],
)
def test_damaged_text_is_refused_in_one_sentence(tmp_path, text, message):
    path = tmp_path / "FORCE_CONSTANTS"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_phonopy(path, bulk("Cu", cubic=True))


def test_a_structure_that_is_no_supercell_is_refused(crystal, tmp_path):
    from phonopy.file_IO import write_FORCE_CONSTANTS
    from phonopy.harmonic.force_constants import full_fc_to_compact_fc

    model, supercell = crystal
    path = tmp_path / "FORCE_CONSTANTS"
    rows = model.primitive.p2s_map
    compact = full_fc_to_compact_fc(model.primitive, model.force_constants)
    write_FORCE_CONSTANTS(compact, filename=path, p2s_map=rows)
    supercell = supercell.copy()
    supercell.positions[3] += 0.1
    with pytest.raises(ValueError, match="no supercell of 4 atoms"):
        read_phonopy(path, supercell)


@pytest.mark.parametrize("name", ["fc.hdf5", "phonopy.yaml"])
def test_damaged_binary_and_yaml_are_refused(tmp_path, name):
    path = tmp_path / name
    path.write_text("nothing: [of the kind\n")
    with pytest.raises(ValueError, match="is not a"):
        read_phonopy(path, bulk("Cu"))
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + b"\x00" * 50)
    with pytest.raises(ValueError, match="is not a"):
        read_phonopy(path, bulk("Cu"))


def test_other_bad_input(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_phonopy(tmp_path / "absent")
    with pytest.raises(ValueError, match="periodic in three directions"):
        displacements(Atoms("Cu", pbc=False))
    with pytest.raises(ValueError, match="positive length"):
        displacements(bulk("Cu"), distance=-1)
    path = tmp_path / "FORCE_CONSTANTS"
    path.write_text("1 1\n1 1\n0 0 0\n0 0 0\n0 0 0\n")
    with pytest.raises(ValueError, match="holds no structure"):
        read_phonopy(path)
    with pytest.raises(ValueError, match="Hessian of shape"):
        write_force_constants(path, np.zeros((5, 5)))
