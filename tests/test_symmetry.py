import itertools

import numpy as np
import pytest

from thiry_calc.clusters import random_cluster
from thiry_calc.defects import bcc_supercell, build
from thiry_calc.symmetry import TOLERANCE, fingerprint, first_equals, remove_duplicates, same

A0 = 2.855313


def operations():
    for axes in itertools.permutations(range(3)):
        for signs in itertools.product((-1.0, 1.0), repeat=3):
            matrix = np.zeros((3, 3))
            matrix[range(3), axes] = signs
            yield matrix


def moved(atoms, operation, rng, noise=0.0):
    copy = atoms[rng.permutation(len(atoms))]
    copy.positions = copy.positions @ operation + rng.uniform(0, 20, 3)
    copy.positions += noise * rng.normal(size=copy.positions.shape)
    copy.wrap()
    return copy


def test_fingerprint_is_invariant_under_all_48_operations_translation_and_permutation():
    rng = np.random.default_rng(0)
    atoms = random_cluster(bcc_supercell(A0, 5), 1, 2, 5.0, rng)
    reference = fingerprint(atoms)
    images = [moved(atoms, operation, rng) for operation in operations()]
    assert len(images) == 48
    for image in images:
        np.testing.assert_allclose(fingerprint(image), reference, atol=1e-9)


def test_fingerprint_bears_the_noise_of_a_relaxation():
    rng = np.random.default_rng(1)
    atoms = random_cluster(bcc_supercell(A0, 5), 0, 3, 5.0, rng)
    image = moved(atoms, np.eye(3), rng, noise=1e-5)
    difference = np.abs(fingerprint(image) - fingerprint(atoms)).max()
    assert 0 < difference < TOLERANCE / 5


def test_near_misses_are_told_apart():
    # Divacancies that differ by one shell, up to 13 Å apart: each pair of shells is distinct.
    perfect = bcc_supercell(A0, 8)
    shells = [(1, 1, 1), (2, 0, 0), (2, 2, 0), (3, 1, 1), (2, 2, 2), (4, 0, 0), (3, 3, 1),
              (4, 2, 0), (4, 2, 2), (3, 3, 3), (5, 1, 1), (4, 4, 0), (5, 3, 1)]  # fmt: skip
    prints = []
    for shell in shells:
        atoms = perfect.copy()
        other = np.argmin(np.linalg.norm(atoms.positions - 0.5 * A0 * np.array(shell), axis=1))
        del atoms[[0, int(other)]]
        prints.append(fingerprint(atoms))
    # Among them (3,3,3) and (5,1,1), which are equally long: the atoms around tell them apart.
    for first, second in itertools.combinations(prints, 2):
        assert not same(first, second)


def test_a_displacement_of_a_hundredth_of_an_angstrom_is_a_difference():
    atoms = build("dumbbell_110", A0, 5)
    other = atoms.copy()
    other.positions[-1] += [0.01, 0.0, 0.0]
    assert not same(fingerprint(atoms), fingerprint(other))


def test_duplicates_are_removed_in_order():
    rng = np.random.default_rng(2)
    first, second = (random_cluster(bcc_supercell(A0, 5), 0, 2, 5.0, rng) for _ in range(2))
    copies = [moved(first, op, rng, 1e-6) for op in itertools.islice(operations(), 7, 9)]
    structures = [first, copies[0], second, copies[1], moved(second, -np.eye(3), rng)]
    assert remove_duplicates(structures) == [0, 2]
    assert first_equals([fingerprint(a) for a in structures]) == [0, 0, 2, 0, 2]


@pytest.mark.parametrize(
    ("energies", "entropies", "expected"),
    [
        ([1.0, 1.0 + 1e-7], None, [0, 0]),
        ([1.0, 1.0 + 1e-4], None, [0, 1]),
        ([1.0, 1.0], [2.0, 2.0 + 1e-5], [0, 0]),
        ([1.0, 1.0], [2.0, 2.01], [0, 1]),
        ([1.0, 1.0], [2.0, float("nan")], [0, 0]),
    ],
)
def test_energies_and_entropies_must_agree_too(energies, entropies, expected):
    print_ = fingerprint(build("vacancy", A0, 4))
    assert first_equals([print_, print_], energies, entropies) == expected


def test_strained_copies_are_not_duplicates():
    atoms = build("vacancy", A0, 5)
    strained = atoms.copy()
    strained.set_cell(atoms.cell.array * 1.001, scale_atoms=True)
    assert remove_duplicates([atoms, strained]) == [0, 1]
