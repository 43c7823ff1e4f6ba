"""Copies up to symmetry."""

import numpy as np
import pytest
from ase.build import bulk, make_supercell

from training.copies import classes, invariants


def _strained(direction, size):
    atoms = bulk("Fe", "bcc", 2.87, cubic=True) * (2, 2, 2)
    strain = np.eye(3)
    strain[direction] += size
    atoms.set_cell(atoms.cell.array @ ((strain + strain.T) / 2), scale_atoms=True)
    return atoms


def _turned(atoms):
    turned = atoms.copy()
    turned.rotate(33, (1, 2, 3), rotate_cell=True)
    return turned[np.random.default_rng(0).permutation(len(atoms))]


def test_copies_are_found_and_others_kept():
    rattled = _strained((0, 0), 0.0)
    rattled.rattle(0.05, seed=1)
    again = rattled.copy()
    again.rattle(0.01, seed=2)
    primitive = make_supercell(bulk("Fe", "bcc", 2.87), [[2, 1, 0], [0, 1, 0], [0, 1, 3]])
    structures = [
        _strained((0, 0), 0.0), primitive,  # the crystal in two cells
        _strained((0, 0), 0.01), _strained((1, 1), 0.01), _strained((2, 2), 0.01),  # symmetry
        _strained((0, 1), 0.01), _strained((1, 2), -0.01), _strained((0, 0), 0.011),
        rattled, _turned(rattled), rattled * (2, 1, 1), again,
    ]  # fmt: skip
    found = classes(invariants(structures, ("Fe",)))
    np.testing.assert_array_equal(found, [0, 0, 1, 1, 1, 2, 2, 3, 4, 4, 4, 5])


def test_elements_tell_structures_apart():
    alloys = [bulk("NiAl", "cesiumchloride", 2.9), bulk("AlNi", "cesiumchloride", 2.9)]
    other = alloys[0].copy()
    other.symbols[:] = ["Ni", "Ni"]
    found = classes(invariants([*alloys, other], ("Al", "Ni")))
    np.testing.assert_array_equal(found, [0, 0, 1])


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_to_compare(n):
    structures = [_strained((0, 0), 0.0)] * n
    np.testing.assert_array_equal(classes(invariants(structures, ("Fe",))), np.zeros(n))
