"""Labels in the wrong unit are named."""

from dataclasses import replace

import numpy as np
import pytest
from ase import units
from ase.build import bulk
from ase.calculators.emt import EMT

from training.dataset import labelled
from training.fitting import fit
from training.unit_checks import check_energies, check_units


def _frames():
    rng = np.random.default_rng(0)
    out = []
    for _ in range(24):
        atoms = bulk("Cu", "fcc", 3.6, cubic=True) * (2, 2, 1)
        atoms.set_cell(atoms.cell.array * (1 + 0.02 * rng.normal()), scale_atoms=True)
        atoms.positions += 0.1 * rng.normal(size=(len(atoms), 3))
        atoms.calc = EMT()
        labels = {
            "energy": atoms.get_potential_energy(),
            "forces": atoms.get_forces(),
            "stress": atoms.get_stress(),
        }
        atoms.calc = None
        atoms.info["energy"], atoms.info["stress"] = labels["energy"], labels["stress"]
        atoms.arrays["forces"] = labels["forces"]
        out.append(atoms)
    return out


def test_labels_in_eV_pass():
    check_units(labelled(_frames()), ("Cu",))


@pytest.mark.parametrize(
    ("label", "factor", "message"),
    [
        ("energy", 1 / units.Ha, "they agree if energies are in Hartree; convert them to eV"),
        ("energy", units.mol / units.kJ, "they agree if energies are in kJ/mol"),
        ("forces", units.Bohr / units.Ha, "they agree if forces are in Hartree/Bohr"),
        ("stress", 1 / units.GPa, "they agree if they are in GPa; convert"),
        ("stress", -10 / units.GPa, "they agree if they are in kbar with the opposite"),
        ("stress", -1.0, "agree if they have the opposite sign"),
    ],
)
def test_a_label_in_another_unit(label, factor, message):
    frames = _frames()
    for atoms in frames:
        place = atoms.arrays if label == "forces" else atoms.info
        place[label] = factor * place[label]
    with pytest.raises(ValueError, match=message):
        check_units(labelled(frames), ("Cu",))


def test_a_fit_refuses_them():
    frames = _frames()
    for atoms in frames:
        atoms.info["energy"] /= units.Ha
    with pytest.raises(ValueError, match="agree if energies are in Hartree"):
        fit(frames, preset="fast", r_cut=4.0)


def test_one_frame_in_another_unit():
    structures = [replace(one, energy=one.energy - 3455.7 * 16) for one in labelled(_frames())]
    check_energies(structures, ("Cu",))
    structures[7] = replace(structures[7], energy=structures[7].energy / units.Ry)
    with pytest.raises(ValueError, match=r"frame 7: the energy is .* as if in Rydberg"):
        check_energies(structures, ("Cu",))


def test_atoms_far_apart_may_have_any_energy():
    structures = labelled(_frames())
    far = structures[3].atoms.copy()
    far.set_cell(2 * far.cell.array, scale_atoms=True)
    usual = np.median([one.energy for one in structures])
    structures[3] = replace(structures[3], atoms=far, energy=usual / units.Ry)
    check_energies(structures, ("Cu",))
