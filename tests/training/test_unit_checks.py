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


def _frames(elements=("Cu",)):
    rng = np.random.default_rng(0)
    out = []
    for _ in range(24):
        atoms = bulk("Cu", "fcc", 3.6, cubic=True) * (2, 2, 1)
        atoms.set_cell(atoms.cell.array * (1 + 0.02 * rng.normal()), scale_atoms=True)
        atoms.positions += 0.1 * rng.normal(size=(len(atoms), 3))
        atoms.symbols = rng.choice(elements, size=len(atoms))
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


def test_collisions_do_not_hide_the_others():
    """Rows of a few huge forces, which no expansion of this size fits, are not what is judged."""
    frames = _frames()
    for k, atoms in enumerate(frames[::6]):
        first = atoms.positions[0] + [0.5 + 0.1 * k, 0.2, 0.1]
        atoms.positions[1] = first
        atoms.calc = EMT()
        atoms.info["energy"] = atoms.get_potential_energy()
        atoms.arrays["forces"] = atoms.get_forces()
        atoms.info["stress"] = -atoms.get_stress()  # would be believed
        atoms.calc = None
    check_units(labelled(frames), ("Cu",))


@pytest.mark.parametrize(
    ("label", "factor", "message"),
    [
        ("energy", 1 / units.Ha, "they agree if energies are in Hartree; convert all to eV and Å"),
        ("energy", units.mol / units.kJ, "they agree if energies are in kJ/mol"),
        ("energy", 1e3, "they agree if energies are in meV"),
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


def test_positions_in_Bohr():
    frames = _frames()
    for atoms in frames:
        atoms.set_cell(atoms.cell.array / units.Bohr, scale_atoms=True)
        del atoms.info["stress"]
    with pytest.raises(ValueError, match="they agree if positions are in Bohr"):
        check_units(labelled(frames), ("Cu",))


def test_energies_and_forces_in_one_other_unit():
    frames = _frames()
    for atoms in frames:
        atoms.info["energy"] *= units.mol / units.kcal
        atoms.arrays["forces"] *= units.mol / units.kcal
    with pytest.raises(ValueError, match="if energies are in kcal/mol and forces in kcal/mol/Å"):
        check_units(labelled(frames), ("Cu",))


@pytest.mark.parametrize("elements", [("Au", "Cu", "Ni"), ("Ag", "Al", "Au", "Cu", "Ni")])
def test_many_elements(elements):
    frames = _frames(elements)
    check_units(labelled(frames), elements)
    for atoms in frames:
        atoms.info["energy"] /= units.Ha
    with pytest.raises(ValueError, match="energies and forces contradict one another"):
        check_units(labelled(frames), elements)


def test_a_fit_refuses_them():
    frames = _frames()
    for atoms in frames:
        atoms.info["energy"] /= units.Ha
    with pytest.raises(ValueError, match="agree if energies are in Hartree"):
        fit(frames, preset="fast", r_cut=4.0)


@pytest.mark.parametrize(("factor", "name"), [(1 / units.Ry, "Rydberg"), (1e3, "meV")])
def test_one_frame_in_another_unit(factor, name):
    structures = [replace(one, energy=one.energy - 3455.7 * 16) for one in labelled(_frames())]
    check_energies(structures, ("Cu",))
    structures[7] = replace(structures[7], energy=structures[7].energy * factor)
    with pytest.raises(ValueError, match=rf"frame 7: the energy is .* as if in {name}"):
        check_energies(structures, ("Cu",))


def test_most_frames_in_another_unit():
    structures = [replace(one, energy=one.energy - 3455.7 * 16) for one in labelled(_frames())]
    for k in range(14):
        structures[k] = replace(structures[k], energy=structures[k].energy / units.Ha)
    with pytest.raises(ValueError, match=r"frame 14: the energy is .* as if others were in Hart"):
        check_energies(structures, ("Cu",))


def test_atoms_far_apart_may_have_any_energy():
    structures = labelled(_frames())
    far = structures[3].atoms.copy()
    far.set_cell(2 * far.cell.array, scale_atoms=True)
    usual = np.median([one.energy for one in structures])
    structures[3] = replace(structures[3], atoms=far, energy=usual / units.Ry)
    check_energies(structures, ("Cu",))


def test_energies_of_zero_pass():
    check_energies([replace(one, energy=0.0) for one in labelled(_frames())], ("Cu",))
