"""Reference energies of the elements."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from training.dataset import Structure
from training.free_atoms import free_atom_energies, is_free_atom

ELEMENTS = ("Al", "Ni")


def _labelled(atoms, energy):
    return Structure(atoms, energy, None, None, "group", "frame")


def _alone(symbol, energy, side=12.0, pbc=True):
    return _labelled(Atoms(symbol, cell=[side] * 3, pbc=pbc), energy)


COMPOUNDS = [
    _labelled(bulk("NiAl", "cesiumchloride", 2.9), -3.0 - 5.0),
    _labelled(bulk("Ni", "fcc", 3.5, cubic=True), -4 * 5.0),
    _labelled(bulk("Al", "fcc", 4.0), -3.0),
]


def test_energies_that_are_given():
    energies, method = free_atom_energies(COMPOUNDS, ELEMENTS, {"Ni": -2, "Al": -1.0})
    assert method == "given"
    np.testing.assert_array_equal(energies, [-1.0, -2.0])
    with pytest.raises(ValueError, match="e0 has no energy of Ni"):
        free_atom_energies(COMPOUNDS, ELEMENTS, {"Al": -1.0})


def test_isolated_atoms_are_found():
    structures = [*COMPOUNDS, _alone("Al", -0.2), _alone("Ni", -0.4, pbc=False)]
    for e0 in (None, "isolated"):
        energies, method = free_atom_energies(structures, ELEMENTS, e0)
        assert method == "isolated"
        np.testing.assert_array_equal(energies, [-0.2, -0.4])
    assert not is_free_atom(_alone("Al", -0.2, side=4.0))


@pytest.mark.parametrize("e0", [None, "fit"])
def test_energies_are_fitted_without_isolated_atoms(e0):
    energies, method = free_atom_energies([*COMPOUNDS, _alone("Al", -0.2)], ELEMENTS, e0)
    assert method == "fit"
    np.testing.assert_allclose(energies, [-3.0, -5.0], rtol=1e-12)


def test_nothing_to_learn_from():
    with pytest.raises(ValueError, match="no structure is an isolated atom of Al"):
        free_atom_energies(COMPOUNDS, ELEMENTS, "isolated")
    with pytest.raises(ValueError, match="no structure has an energy"):
        free_atom_energies([_labelled(bulk("Al"), None)], ("Al",), None)
