"""Degeneracies, concentrations, perfect crystals of boxes, and lower envelopes."""

import numpy as np
import pytest
from ase import units
from ase.build import bulk, make_supercell

from thiry_calc.crystals import crystal_of_box
from thiry_calc.defects import build, supercell
from thiry_calc.equilibrium import concentration, cubic_operations, degeneracy
from thiry_calc.stability import stable_ranges

A0 = 2.86


def test_cubic_operations_form_the_group_of_order_48():
    operations = {tuple(np.rint(o).astype(int).ravel()) for o in cubic_operations()}
    assert len(operations) == 48
    products = {
        tuple(np.rint(a @ b).astype(int).ravel())
        for a in cubic_operations()
        for b in cubic_operations()[:7]
    }
    assert products <= operations


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vacancy", 1), ("divacancy_1nn", 4), ("divacancy_2nn", 3), ("divacancy_3nn", 6),
        ("trivacancy", 12), ("tetravacancy", 6), ("dumbbell_110", 6), ("dumbbell_111", 4),
        ("dumbbell_100", 3), ("octahedral", 3), ("c15_2", 2), ("c15_4", 4),
    ],
)  # fmt: skip
def test_degeneracy_in_bcc(name, expected):
    atoms = build(name, A0, 4)
    # the origin, the order of atoms and periodic images do not matter
    atoms.positions += [0.4, -3.1, 7.7]
    atoms = atoms[np.random.default_rng(0).permutation(len(atoms))]
    atoms.wrap()
    assert degeneracy(atoms, crystal_of_box(atoms, "bcc", A0, "Fe")) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("vacancy", 1), ("divacancy_1nn", 6), ("trivacancy", 8), ("tetravacancy", 2),
     ("dumbbell_100", 3), ("octahedral", 1)],
)  # fmt: skip
def test_degeneracy_in_fcc(name, expected):
    atoms = build(name, 3.6, 4, "Cu", "fcc")
    assert degeneracy(atoms, crystal_of_box(atoms, "fcc", 3.6, "Cu")) == expected


def test_degeneracy_of_a_perfect_crystal_and_of_a_low_symmetry():
    perfect = supercell(A0, 4)
    box = crystal_of_box(perfect, "bcc", A0, "Fe")
    assert degeneracy(perfect, box) == 1
    atoms = perfect.copy()
    atoms.append("Fe")
    atoms.positions[-1] = atoms.positions[0] + A0 * np.array([0.31, 0.22, 0.47])
    assert degeneracy(atoms, box) == 48


def test_concentration():
    assert concentration(1.0, 0.0) == 0.0
    expected = 6 * np.exp(-1.7 / (units.kB * 900))
    assert concentration(1.7, 900.0, 6) == pytest.approx(expected, rel=1e-12)
    assert np.isfinite(concentration(-50.0, 10.0))


@pytest.mark.parametrize("strain", [0.0, 0.02])
def test_crystal_of_a_strained_box(strain):
    atoms = build("vacancy", A0, 4)
    deformation = (1 + strain) * np.eye(3)
    deformation[0, 1] = strain
    atoms.set_cell(atoms.cell.array @ deformation, scale_atoms=True)
    atoms.positions += [0.3, 0.2, 1.9]
    box = crystal_of_box(atoms, "bcc", A0, "Fe")
    assert box.commensurate
    assert box.n_sites == 128
    assert np.array_equal(box.perfect.cell.array, atoms.cell.array)
    # every atom has its site
    scaled = (atoms.positions[:, None] - box.perfect.positions) @ np.linalg.inv(atoms.cell.array)
    scaled -= np.rint(scaled)
    nearest = np.linalg.norm(scaled @ atoms.cell.array, axis=2).min(axis=1)
    assert nearest.max() < 1e-6


def test_crystal_of_a_skewed_primitive_supercell():
    cell = bulk("Fe", "bcc", a=2.80)
    atoms = make_supercell(cell, [[4, 0, 0], [1, 4, 0], [0, -1, 5]])
    del atoms[3]
    box = crystal_of_box(atoms, "bcc", A0, "Fe")
    assert box.commensurate
    assert box.n_sites == 80
    assert box.primitive == pytest.approx(cell.cell.array, abs=1e-9)


def test_a_rotated_box_is_not_taken_for_a_supercell():
    from ase.lattice.cubic import BodyCenteredCubic

    directions = [[1, -1, 0], [1, 1, 0], [0, 0, 1]]
    atoms = BodyCenteredCubic("Fe", directions=directions, size=(5, 5, 7), latticeconstant=A0)
    del atoms[0]
    box = crystal_of_box(atoms, "bcc", A0, "Fe")
    assert not box.commensurate
    assert box.n_sites == len(atoms) + 1


def test_a_slab_has_no_crystal():
    atoms = supercell(A0, 4)
    atoms.pbc = (True, True, False)
    with pytest.raises(ValueError, match="thiry predict"):
        crystal_of_box(atoms, "bcc", A0, "Fe")


def test_crossing_is_where_two_lines_meet():
    low, high = ("a", 1.0, 2.0), ("b", 1.1, 4.0)
    crossing = 0.1 / (units.kB * 2.0)
    first, second = stable_ranges([low, high], 0.0, 1200.0)
    assert (first.name, first.start) == ("a", 0.0)
    assert first.end == second.start == pytest.approx(crossing, rel=1e-12)
    assert (second.name, second.end) == ("b", 1200.0)
    assert stable_ranges([low, high], 0.0, crossing - 1)[-1].name == "a"
    assert [r.name for r in stable_ranges([low, high], crossing + 1, 1200.0)] == ["b"]


def test_envelope_against_brute_force():
    rng = np.random.default_rng(4)
    entropies = rng.uniform(0, 8, 30)
    energies = 3 + 0.006 * entropies**2 + rng.uniform(0, 0.02, 30)
    lines = [(str(n), e, s) for n, (e, s) in enumerate(zip(energies, entropies, strict=True))]
    ranges = stable_ranges(lines, 100.0, 1500.0)
    assert len(ranges) > 3
    for t in np.linspace(100.5, 1499.5, 300):
        brute = min(lines, key=lambda c: c[1] - units.kB * t * c[2])[0]
        assert next(r.name for r in ranges if r.start <= t <= r.end) == brute


def test_no_lines_and_one_temperature():
    assert stable_ranges([], 0.0, 100.0) == ()
    (only,) = stable_ranges([("a", 1.0, 0.0), ("b", 0.9, 0.0)], 300.0, 300.0)
    assert only.name == "b"
