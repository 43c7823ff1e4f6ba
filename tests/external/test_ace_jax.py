"""Exported files in a third party's reader: pip install ".[ace-jax]"; pytest -m external."""

import numpy as np
import pytest
from yace_cases import MODELS, NAMES, STRUCTURES, structure

from thiry_calc import ThiryCalculator
from thiry_calc.yace import export

ace_jax = pytest.importorskip("ace_jax")
jax = pytest.importorskip("jax")
jax.config.update("jax_enable_x64", True)
pytestmark = pytest.mark.external


@pytest.mark.parametrize("temperature", [None, 600.0])
@pytest.mark.parametrize(("kind", "elements"), MODELS, ids=NAMES)
def test_ace_jax_agrees(kind, elements, temperature, make_potential, tmp_path):
    potential = make_potential(kind, elements)
    (file,) = export(potential, tmp_path / "model.yace", temperature).files
    theirs = ace_jax.ACECalculator(str(file))
    ours = ThiryCalculator(potential, temperature, extrapolation_warning=False)
    for name in STRUCTURES:
        atoms, again = structure(name, elements), structure(name, elements)
        if again.cell.rank < 3:
            again.center(vacuum=8.0)  # it divides by the cell
        atoms.calc, again.calc = ours, theirs
        energy = atoms.get_potential_energy(force_consistent=True)
        assert abs(again.get_potential_energy() - energy) < 1e-8
        assert np.abs(again.get_forces() - atoms.get_forces()).max() < 1e-7
        if atoms.pbc.all():
            difference = again.get_stress() - atoms.get_stress()
            assert np.abs(difference).max() * atoms.get_volume() < 1e-6
