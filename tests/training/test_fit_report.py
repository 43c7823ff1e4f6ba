"""The report of a fit, and the properties of a crystal."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.emt import EMT

from thiry_calc import Potential, ThiryCalculator
from thiry_calc.descriptors import Combined, Pair
from thiry_calc.elasticity import elastic_constants
from thiry_calc.linear import LinearModel
from thiry_calc.potential import Target
from training.crystal_properties import crystal_properties
from training.dataset import labelled
from training.fit_report import dimer_curves, error_bars
from training.fitting import fit


def _frames(n):
    """Strained, rattled crystals, vacancies and slabs of copper."""
    rng = np.random.default_rng(0)
    out = []
    for k in range(n):
        atoms = bulk("Cu", "fcc", 3.59, cubic=True) * (2, 2, 2)
        strain = 0.04 * rng.normal(size=(3, 3))
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + (strain + strain.T) / 2), scale_atoms=True)
        atoms.positions += 0.05 * (k % 4) * rng.normal(size=(len(atoms), 3))
        if k % 3 == 1:
            del atoms[0]
        if k % 3 == 2:
            atoms.center(vacuum=6.0, axis=k % 2)
        atoms.calc = EMT()
        atoms.get_forces()
        atoms.get_stress()
        atoms.info = {"config_type": ("bulk", "vacancy", "slab")[k % 3]}
        out.append(atoms)
    return out


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "Cu"
    frames = _frames(42)
    return fit(frames, preset="fast", r_cut=4.6, report=folder), folder


def test_numbers_and_figures(fitted):
    result, folder = fitted
    page = (folder / "report.html").read_text()
    assert "<h2>Errors, test</h2>" in page
    assert len(re.findall('<img src="data:image/png;base64,', page)) == 10
    assert 'src="http' not in page
    numbers = json.loads((folder / "report.json").read_text())
    mae = numbers["errors"]["test"]["forces (eV/Å)"]["all"]["mae"]
    assert mae == pytest.approx(result.test.summary()["force_mae_eV_per_A"])
    assert set(numbers["errors"]["training"]["energy (meV/atom)"]) == {
        "bulk", "vacancy", "slab", "all",
    }  # fmt: skip
    inner, outer = numbers["coverage"]["training"]["forces"]
    assert inner == pytest.approx(0.683, abs=0.1)
    assert outer == pytest.approx(0.95, abs=0.08)
    assert len(numbers["learning_curve"]["n_structures"]) == 4
    assert numbers["leverage_quantiles"]["training"]["1.0"] <= result.potential.target(
        "energy"
    ).max_leverage * (1 + 1e-9)


def test_crystal_against_the_calculator_that_made_the_data(fitted):
    found = crystal_properties(fitted[0].potential)
    assert (found.lattice, found.c0) == ("fcc", None)
    assert found.a0 == pytest.approx(3.59, abs=0.01)
    exact = elastic_constants(bulk("Cu", "fcc", 3.5900), EMT()) / units.GPa
    np.testing.assert_allclose(found.elastic, exact, atol=12)
    perfect = bulk("Cu", "fcc", 3.59, cubic=True) * (3, 3, 3)
    perfect.calc = EMT()
    defect = perfect.copy()
    del defect[0]
    defect.calc = EMT()
    energy = perfect.get_potential_energy() / len(perfect)
    unrelaxed = defect.get_potential_energy() - len(defect) * energy
    assert found.vacancy_energy == pytest.approx(unrelaxed, abs=0.15)
    assert set(found.surface_energies) == {"100", "110", "111"}
    assert found.surface_energies["111"] < found.surface_energies["110"]
    lowest = np.argmin(found.energies)
    assert found.volumes[lowest] == pytest.approx(found.a0**3 / 4, rel=0.02)
    if found.bands is not None:
        assert found.bands.frequencies.min() > -0.05
        assert 5 < found.bands.frequencies.max() < 12  # THz


def test_error_bars_of_one_standard_deviation(fitted):
    """Energies 0.9 std and forces 1.5 std off."""
    potential = fitted[0].potential
    structures = []
    for one in labelled(_frames(4)):
        atoms = one.atoms.copy()
        atoms.calc = calc = ThiryCalculator(potential, extrapolation_warning=False)
        std = calc.get_property("energy_std", atoms)
        force_std = calc.get_property("force_std", atoms)
        moved = {
            "energy": atoms.get_potential_energy() + 0.9 * std,
            "forces": atoms.get_forces() - 1.5 * force_std,
        }
        structures.append(replace(one, **moved))
    found = error_bars(potential, structures)
    assert found.coverage["energy"] == (1.0, 1.0)
    assert found.coverage["forces"] == (0.0, 1.0)
    assert len(found.leverage) == sum(len(one.atoms) for one in structures)


def test_a_free_atom_is_certain():
    """Its given energy has no error bar to be compared with, and does not stop a report."""
    pair = Combined((Pair(4.0, 2),))
    model = LinearModel(np.ones(2), np.eye(2), 1.0)
    target = Target(model, (0,), np.zeros((1, 2)), np.array([-3.0]))
    potential = Potential("Cu", ("Cu",), pair, {"energy": target})
    free = Atoms("Cu", cell=[20] * 3, pbc=True, info={"energy": -3.0})
    dimer = Atoms("Cu2", [[0, 0, 0], [0, 0, 2.5]], cell=[20] * 3, pbc=True, info={"energy": -6.0})
    assert error_bars(potential, labelled([free])).coverage == {}
    assert list(error_bars(potential, labelled([free, dimer])).coverage) == ["energy"]


def test_dimers_count_from_free_atoms():
    descriptor = Combined((Pair(4.0, 1, ("Cu", "Ni")),))
    model = LinearModel(np.array([1.0, 2.0, 2.0, 3.0]))
    target = Target(model, (0,), np.zeros((2, 4)), np.array([-1.0, -5.0]))
    curves = dimer_curves(Potential("pairs", ("Cu", "Ni"), descriptor, {"energy": target}))
    assert set(curves) == {"Cu-Cu", "Cu-Ni", "Ni-Ni"}
    for name, factor in (("Cu-Cu", 1.0), ("Cu-Ni", 2.0), ("Ni-Ni", 3.0)):
        r, energies = curves[name]
        expected = 2 * factor * np.clip(1 - r / 4.0, 0, None) ** 3
        np.testing.assert_allclose(energies, expected, atol=1e-12)


@pytest.mark.parametrize(("element", "coefficient"), [("Ga", -1.0), ("Cu", 1.0)])
def test_no_crystal(element, coefficient):
    """An element of another lattice has none; a crystal that flies apart is named."""
    target = Target(LinearModel(np.array([coefficient])), (0,), np.zeros((1, 1)), np.zeros(1))
    potential = Potential("p", (element,), Combined((Pair(4.0, 1),)), {"energy": target})
    if element == "Ga":
        assert crystal_properties(potential) is None
        return
    with pytest.raises(RuntimeError, match="the Cu crystal does not hold"):
        crystal_properties(potential)


def test_several_elements_have_no_crystal():
    descriptor = Combined((Pair(4.0, 1, ("Cu", "Ni")),))
    target = Target(LinearModel(np.ones(4)), (0,), np.zeros((2, 4)), np.zeros(2))
    assert crystal_properties(Potential("p", ("Cu", "Ni"), descriptor, {"energy": target})) is None
