"""What the calculator refuses, and in which words."""

import numpy as np
import pytest
from ase import Atoms

from thiry_calc import ThiryCalculator


@pytest.fixture
def calc(iron):
    return ThiryCalculator(iron)


@pytest.mark.parametrize("temperature", [-1, float("nan"), float("inf"), "hot", [300]])
def test_bad_temperature(iron, calc, temperature):
    with pytest.raises(ValueError, match="temperature must be 0 K or more"):
        ThiryCalculator(iron, temperature=temperature)
    with pytest.raises(ValueError, match="temperature must be 0 K or more"):
        calc.set(temperature=temperature)
    assert calc.temperature is None


def test_unknown_parameter(calc):
    with pytest.raises(ValueError, match="unknown parameter 'temprature'"):
        calc.set(temprature=300)


def _overlap(atoms):
    atoms.positions[1] = atoms.positions[0] + [0.1, 0, 0]


def _not_finite(atoms):
    atoms.positions[3] = np.nan


def _copper(atoms):
    atoms.symbols[3] = "Cu"


def _no_volume(atoms):
    atoms.cell[2] = 0


def _tiny_cell(atoms):
    atoms.cell[2] = [0, 0, 1e-3]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_overlap, "atoms 0 and 1 overlap"),
        (_not_finite, "non-finite positions, first at atom 3"),
        (_copper, "element Cu is not described"),
        (_no_volume, "without a volume"),
        (_tiny_cell, "so small that atoms overlap"),
    ],
)
def test_bad_structures_are_refused_every_time(calc, rattled, spoil, message):
    calc.get_property("energy", rattled)
    spoil(rattled)
    for _ in range(2):
        for name in ("energy", "forces", "formation_entropy", "leverage"):
            with pytest.raises(ValueError, match=message):
                calc.get_property(name, rattled)
        with pytest.raises(ValueError, match=message):
            calc.get_hessian(rattled)


def test_overlap_within_the_skin(iron):
    atoms = Atoms("Fe2", positions=[[0, 0, 0], [0, 0, 0.6]])
    atoms.calc = ThiryCalculator(iron, extrapolation_warning=False)
    atoms.get_potential_energy()
    atoms.positions[1, 2] = 0.4
    with pytest.raises(ValueError, match="overlap"):
        atoms.get_potential_energy()


def test_no_atoms(calc):
    with pytest.raises(ValueError, match="no atoms"):
        calc.get_property("energy", Atoms())
