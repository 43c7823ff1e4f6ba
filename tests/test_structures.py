"""Reading and writing of structures."""

import bz2
import gzip
import lzma

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write

from thiry_calc.crystals import repeats_itself
from thiry_calc.structures import check_structure, read_structures, write_structures

OPEN = {"": open, ".xz": lzma.open, ".gz": gzip.open, ".bz2": bz2.open}


@pytest.fixture
def frames():
    first = bulk("Fe", "bcc", 2.87, cubic=True) * (2, 1, 1)
    first.info["formation_entropy_kB"] = 2.5
    return [first, bulk("W", "bcc", 3.16)]


@pytest.mark.parametrize("name", ["a.extxyz", "a.xyz", "a.traj", "a.json", "a@1.xyz"])
def test_formats(frames, tmp_path, name):
    plain = name.replace("@", "-")
    write(tmp_path / plain, frames)
    (tmp_path / plain).rename(tmp_path / name)
    found = read_structures(tmp_path / name)
    assert [len(a) for a in found] == [4, 1]
    np.testing.assert_allclose(found[0].positions, frames[0].positions, atol=1e-7)


@pytest.mark.parametrize("suffix", [".xz", ".gz", ".bz2"])
@pytest.mark.parametrize("name", ["a.extxyz", "POSCAR", "a.cif"])
def test_compressed_formats(frames, tmp_path, name, suffix):
    one = name != "a.extxyz"
    write(tmp_path / name, frames[0] if one else frames)
    with OPEN[suffix](tmp_path / (name + suffix), "wb") as stream:
        stream.write((tmp_path / name).read_bytes())
    found = read_structures(tmp_path / (name + suffix))
    assert len(found) == (1 if one else 2)
    assert found[0].get_chemical_formula() == "Fe4"
    if not one:
        assert found[0].info["formation_entropy_kB"] == 2.5


def test_index(frames, tmp_path):
    write(tmp_path / "a.xyz", frames)
    assert read_structures(tmp_path / "a.xyz", "-1")[0].symbols[0] == "W"


@pytest.mark.parametrize("suffix", ["", ".xz", ".gz"])
def test_write_and_read_back(frames, tmp_path, suffix):
    path = tmp_path / f"out.extxyz{suffix}"
    write_structures(path, frames)
    with OPEN[suffix](path, "rb") as stream:
        assert stream.read().startswith(b"4\n")
    assert len(read_structures(path)) == 2
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_failed_write_leaves_the_old_file(frames, tmp_path):
    path = tmp_path / "out.extxyz"
    write_structures(path, frames)
    before = path.read_bytes()
    with pytest.raises((TypeError, AttributeError, ValueError)):
        write_structures(path, [frames[0], "no structure"])
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


CONTENT = {
    "text.xyz": b"hello world\n",
    "empty.xyz": b"",
    "cut.xyz": b'4\nLattice="1 0 0 0 1 0 0 0 1"\nFe 0 0 0\n',
    "noise.extxyz": bytes(range(256)),
    "noise.xyz.xz": bytes(range(256)),
    "noise.xyz.gz": bytes(range(256)),
    "text.cif": b"hello world\n",
    "POSCAR": b"hello\nworld\n1 2 3\n",
    "text.json": b'{"a": 1}',
    "text.phonon": b"hello world\n",
    "noise": bytes(range(256)),
}


@pytest.mark.parametrize("name", CONTENT)
def test_files_that_are_no_structures(tmp_path, name):
    (tmp_path / name).write_bytes(CONTENT[name])
    with pytest.raises(
        ValueError, match=f"(cannot read structures from|holds no).*{name}|{name}.*"
    ):
        read_structures(tmp_path / name)


def test_truncated_compressed_file(frames, tmp_path):
    path = tmp_path / "a.xyz.xz"
    write_structures(path, frames)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match="cannot read structures"):
        read_structures(path)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_structures(tmp_path / "none.xyz")
    with pytest.raises(ValueError, match="cannot read structures"):
        read_structures(tmp_path)


def test_the_frame_is_named(frames, tmp_path):
    frames[1].positions[0] = np.nan
    write(tmp_path / "a.xyz", frames)
    with pytest.raises(ValueError, match=r"a\.xyz, frame 1 has non-finite positions"):
        read_structures(tmp_path / "a.xyz")


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        (Atoms(), "no atoms"),
        (Atoms("Fe", positions=[[np.inf, 0, 0]]), "non-finite positions"),
        (Atoms("FeX"), "an atom of no element, atom 1"),
        (Atoms("Fe", cell=[np.nan, 3, 3]), "non-finite cell"),
        (Atoms("Fe", pbc=True), "without a volume"),
        (Atoms("Fe", cell=[3, 3, 0], pbc=True), "without a volume"),
        (Atoms("Fe", cell=[[3, 0, 0], [6, 0, 0], [0, 0, 3]], pbc=True), "without a volume"),
        (Atoms("Fe", cell=[0.1, 3, 0], pbc=[1, 0, 0]), "own images"),
        (Atoms("Fe", cell=[0.4, 0.4, 0.4], pbc=True), "own images"),
    ],
)
def test_structures_that_are_refused(atoms, message):
    with pytest.raises(ValueError, match=message):
        check_structure(atoms)


@pytest.mark.parametrize(
    "atoms",
    [
        Atoms("Fe"),
        Atoms("Fe", cell=[3, 3, 0], pbc=[1, 1, 0]),
        Atoms("Fe", cell=[0.1, 0.1, 3], pbc=[0, 0, 1]),
        Atoms("Fe", cell=[[0, 3, 0], [3, 0, 0], [0, 0, 3]], pbc=True),
    ],
)
def test_structures_that_are_accepted(atoms):
    check_structure(atoms)


def test_crystals_repeat_themselves_and_defects_do_not():
    crystal = bulk("Fe", cubic=True) * 3
    crystal.rattle(0.01, seed=0)
    assert repeats_itself(crystal)
    assert repeats_itself(bulk("NaCl", "rocksalt", a=5.6, cubic=True))
    assert not repeats_itself(crystal[1:])
    interstitial = crystal + Atoms("Fe", positions=[[1.4, 1.4, 0.0]])
    assert not repeats_itself(interstitial)
