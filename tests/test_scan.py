"""Free-energy scans: families, exact values, output, bad input."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
from ase import units
from ase.constraints import FixAtoms
from ase.io import read

from thiry_calc.calculator import ThiryCalculator
from thiry_calc.defects import build, supercell
from thiry_calc.plot import plot_scan
from thiry_calc.references import load_reference
from thiry_calc.relax import relax
from thiry_calc.scan import scan
from thiry_calc.scan_report import to_json, write_structures

KELVINS = (0.0, 300.0, 900.0)


@pytest.fixture(scope="module")
def model(make_potential):
    return make_potential("afs")


@pytest.fixture(scope="module")
def result(model):
    names = ["vacancy", "divacancy_1nn", "divacancy_2nn", "dumbbell_110"]
    return scan(names, model, KELVINS, size=4)


def by_name(scan_result):
    return {c.name: c for c in scan_result.configurations}


def test_formation_energy_and_entropy_by_hand(result, model):
    c = by_name(result)["vacancy"]
    calc = ThiryCalculator(model, extrapolation_warning=False)
    perfect = supercell(model.crystal.a0, 4)
    for prop, value in (
        ("energy", c.formation_energy_eV),
        ("formation_entropy", c.formation_entropy_kB),
    ):
        bulk = calc.get_property(prop, perfect) * c.n_atoms / 128
        assert value == pytest.approx(calc.get_property(prop, c.atoms) - bulk, abs=1e-9)
    atoms = c.atoms.copy()
    atoms.calc = calc
    assert np.linalg.norm(atoms.get_forces(), axis=1).max() < 1e-4
    expected = c.formation_energy_eV - units.kB * 900 * c.formation_entropy_kB
    assert c.formation_free_energy_eV(900) == pytest.approx(expected, abs=1e-12)


def test_families_and_crossing(result):
    assert {n: [c.name for c in f] for n, f in result.families.items()} == {
        -1: ["vacancy"],
        -2: ["divacancy_1nn", "divacancy_2nn"],
        1: ["dumbbell_110"],
    }
    first, second = result.stable(-2)
    found = by_name(result)
    a, b = (found[r.name] for r in (first, second))
    assert first.end == second.start
    t = first.end
    assert a.formation_free_energy_eV(t) == pytest.approx(b.formation_free_energy_eV(t), abs=1e-12)
    assert a.formation_free_energy_eV(t - 5) < b.formation_free_energy_eV(t - 5)


def test_concentration_sums_the_states_of_a_family(result):
    t = 300.0
    expected = sum(
        c.multiplicity * np.exp(-c.formation_free_energy_eV(t) / (units.kB * t))
        for c in result.families[-2]
    )
    assert [c.multiplicity for c in result.families[-2]] == [4, 3]
    assert result.concentration(-2, t) == pytest.approx(expected, rel=1e-12)


def test_a_collapsed_structure_is_named(model):
    shaken = build("vacancy", model.crystal.a0, 4)
    shaken.rattle(0.02, seed=2)
    shaken.info["name"] = "mine"
    found = scan(["vacancy", shaken], model, KELVINS, size=4)
    mine = by_name(found)["mine"]
    assert mine.same_as == "vacancy"
    assert "relaxed to vacancy" in mine.notes
    assert [r.name for r in found.stable(-1)] == ["vacancy"]
    assert "relaxed to vacancy" in str(found)


def test_a_saddle_of_the_model_falls_to_a_lower_state(model):
    found = scan(["dumbbell_111"], model, KELVINS, size=4)
    built, below = found.configurations
    assert (below.name, built.falls_to) == ("dumbbell_111*", "dumbbell_111*")
    assert below.formation_energy_eV < built.formation_energy_eV - 1e-3
    assert built.multiplicity == 4  # not perturbed before it was relaxed
    assert not built.competes
    assert [r.name for r in found.stable(1)] == ["dumbbell_111*"]
    assert "asterisk" in str(found)
    listed = to_json(found)["configurations"]
    assert listed[0]["falls_to"] == "dumbbell_111*"
    assert listed[0]["formation_entropy_kB"] is not None  # null is for the exact check
    # a state that is there already is not listed twice
    again = scan(["dumbbell_111", below.atoms], model, KELVINS, size=4)
    assert len(again.configurations) == 2
    assert again.configurations[0].falls_to == again.configurations[1].name


def test_short_pairs_of_a_file_are_moved_apart_with_a_note(model):
    atoms = build("octahedral", model.crystal.a0, 4)  # pairs of a0/2
    c = scan([atoms], model, KELVINS).configurations[0]
    assert any("moved apart" in note for note in c.notes)
    built = scan(["octahedral"], model, KELVINS, size=4).configurations[0]
    assert c.formation_energy_eV == pytest.approx(built.formation_energy_eV, abs=1e-4)


def test_one_failure_does_not_end_the_scan(model):
    broken = supercell(model.crystal.a0, 4)
    broken.append("Fe")
    broken.positions[-1] = broken.positions[0] + [0.2, 0.0, 0.0]
    broken.info["name"] = "broken"
    found = scan([broken, "vacancy"], model, KELVINS, size=4)
    assert np.isnan(by_name(found)["broken"].formation_energy_eV)
    assert "overlap" in by_name(found)["broken"].notes[0]
    assert np.isfinite(by_name(found)["vacancy"].formation_energy_eV)
    assert to_json(found)["configurations"][0]["formation_energy_eV"] is None
    json.dumps(to_json(found), allow_nan=False)


def test_a_strained_file_is_compared_to_the_crystal_of_its_own_box(model):
    atoms = build("vacancy", 1.01 * model.crystal.a0, 4)
    c = scan([atoms], model, KELVINS).configurations[0]
    calc = ThiryCalculator(model, extrapolation_warning=False)
    perfect = supercell(1.01 * model.crystal.a0, 4)
    bulk = calc.get_property("formation_entropy", perfect)
    assert abs(bulk) > 0.1  # strained: it does matter
    entropy = calc.get_property("formation_entropy", c.atoms) - 127 / 128 * bulk
    assert c.formation_entropy_kB == pytest.approx(entropy, abs=1e-9)
    assert c.n_sites == 128
    assert c.multiplicity == 1


def test_a_rotated_file_is_compared_to_a0_with_a_note(model):
    from ase.lattice.cubic import BodyCenteredCubic

    a0 = model.crystal.a0
    directions = [[1, -1, 0], [1, 1, 0], [0, 0, 1]]
    atoms = BodyCenteredCubic("Fe", directions=directions, size=(3, 3, 5), latticeconstant=a0)
    del atoms[0]
    c = scan([atoms], model, KELVINS).configurations[0]
    assert c.net == -1
    assert c.multiplicity is None
    assert "a0" in c.notes[0]
    straight = scan(["vacancy"], model, KELVINS, size=4).configurations[0]
    assert c.formation_energy_eV == pytest.approx(straight.formation_energy_eV, abs=0.1)


@pytest.fixture(scope="module")
def exact(model):
    names = ["vacancy", "dumbbell_110", "dumbbell_111", "dumbbell_100"]
    return scan(names, model, KELVINS, size=4, exact=True, reference="AM04")


def test_exact_values_are_those_of_the_reference_potential(exact):
    from training.label import bulk_reference, label

    calc = load_reference("AM04")
    atoms = build("vacancy", calc.lattice_constant, 4)
    atoms.calc = calc
    relax(atoms, 1e-6)
    expected = label(atoms, calc, bulk_reference(supercell(calc.lattice_constant, 4), calc))
    found = by_name(exact)["vacancy"].exact
    assert found.formation_energy_eV == pytest.approx(expected.formation_energy, abs=1e-6)
    assert found.formation_entropy_kB == pytest.approx(expected.formation_entropy_kB, abs=1e-3)
    assert found.n_negative_modes == 0


def test_saddles_are_recognised(exact):
    found = by_name(exact)
    assert not found["dumbbell_110"].is_saddle
    assert not {r.name for r in exact.stable(1)} & {"dumbbell_111", "dumbbell_100"}
    listed = {c["name"]: c for c in to_json(exact)["configurations"]}
    for name in ("dumbbell_111", "dumbbell_100"):
        assert found[name].exact.n_negative_modes > 0
        assert np.isnan(found[name].exact.formation_entropy_kB)
        assert any(note.startswith("saddle") for note in found[name].notes)
        assert listed[name]["formation_entropy_kB"] is None
        assert set(listed[name]["formation_free_energy_eV"].values()) == {None}
        assert listed[name]["n_negative_modes"] > 0
    assert "exact E_f" in str(exact)


def test_the_model_can_be_its_own_reference(make_potential):
    found = scan(["vacancy"], make_potential("pair"), KELVINS, size=4, exact=True)
    assert found.reference == "model"
    c = found.configurations[0]
    assert c.exact.formation_energy_eV == pytest.approx(c.formation_energy_eV, abs=1e-6)
    assert np.isfinite(c.exact.formation_entropy_kB)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Fe-AM04", "AM04"), ("Fe-AM04-AFS", "AM04"), ("W-AM04", "model")],
)
def test_the_reference_is_the_one_the_model_is_named_for(name, expected, make_potential):
    named = replace(make_potential("pair"), name=name)
    found = scan("vacancy", named, KELVINS, size=4, exact=True)
    assert found.reference == expected


def test_migration_of_model_and_reference(model, monkeypatch):
    monkeypatch.setattr("thiry_calc.scan.MIGRATION_SIZE", {"bcc": 4})
    seen = []

    def jump(make, perfect, lattice, a0):
        seen.append((type(make()).__name__, len(perfect), a0))
        raise RuntimeError("no path here")

    monkeypatch.setattr("thiry_calc.scan.vacancy_migration", jump)
    found = scan(["vacancy"], model, KELVINS, size=4, exact=True, reference="AM04", migration=True)
    assert seen == [("ThiryCalculator", 128, model.crystal.a0), ("AM04", 128, 2.855313)]
    assert found.migration is None
    assert "no path here" in str(found)


def test_structures_of_one_name_are_told_apart(model, tmp_path):
    twins = [build(name, model.crystal.a0, 4) for name in ("dumbbell_110", "vacancy")]
    for atoms in twins:
        atoms.info["name"] = "CONTCAR"
    found = scan(twins, model, KELVINS)
    assert [c.name for c in found.configurations[:2]] == ["CONTCAR", "CONTCAR (2)"]
    assert len(set(write_structures(found, tmp_path))) == len(found.configurations)


def test_constraints_of_a_file_are_ignored(model):
    atoms = build("vacancy", model.crystal.a0, 4)
    free = scan([atoms], model, KELVINS).configurations[0]
    atoms.set_constraint(FixAtoms([0, 1, 2]))
    fixed = scan([atoms], model, KELVINS).configurations[0]
    assert fixed.formation_energy_eV == pytest.approx(free.formation_energy_eV, abs=1e-7)
    assert fixed.notes == free.notes


def test_concentrations_without_a_state_are_unknown(result):
    assert np.isnan(result.concentration(3, 300.0))
    assert np.isnan(result.concentration(-1, 300.0, exact=True))


def test_exact_diffusivities_take_exact_concentrations(exact):
    c = next(c for c in exact.configurations if c.name == "vacancy")
    expected = np.exp(-c.formation_free_energy_eV(900.0, exact=True) / (units.kB * 900.0))
    assert exact.concentration(-1, 900.0, exact=True) == pytest.approx(expected)
    assert exact.concentration(-1, 900.0) != pytest.approx(expected, rel=1e-6)


def test_a_plot_of_low_temperatures_is_drawn(model, tmp_path):
    cold = scan(["vacancy"], model, (0.0, 30.0), size=4, migration=True)
    plot_scan(cold, tmp_path / "cold.png")
    assert (tmp_path / "cold.png").read_bytes()[:4] == b"\x89PNG"


def test_wrong_units_are_refused(model):
    atoms = build("vacancy", model.crystal.a0, 4)
    atoms.set_cell(atoms.cell.array * 1.8897, scale_atoms=True)  # bohr, read as Å
    with pytest.raises(ValueError, match="check the units"):
        scan([atoms], model, KELVINS)


def test_structures_are_written_whole(result, tmp_path):
    paths = write_structures(result, tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(p.name for p in paths)
    assert [p.name for p in paths] == [f"{c.name}.xyz" for c in result.configurations]
    back = read(tmp_path / "out" / "vacancy.xyz")
    assert back.info["formation_energy_eV"] == pytest.approx(
        by_name(result)["vacancy"].formation_energy_eV
    )


def test_models_that_cannot_scan(make_potential, model):
    with pytest.raises(ValueError, match="no entropy part"):
        scan("vacancy", make_potential(targets=("energy",)), KELVINS)
    with pytest.raises(ValueError, match="no reference crystal"):
        scan("vacancy", replace(model, crystal=None), KELVINS)
    with pytest.raises(ValueError, match="one element"):
        scan("vacancy", make_potential("power", ("Fe", "W")), KELVINS)
    with pytest.raises(ValueError, match="temperatures"):
        scan("vacancy", model, [-1.0])


def test_one_element_of_an_alloy_model(make_potential):
    found = scan("vacancy", make_potential("power", ("Fe", "W")), KELVINS, size=4, element="W")
    assert set(found.configurations[0].atoms.get_chemical_symbols()) == {"W"}
    assert found.element == "W"


def test_no_warnings(model):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scan("vacancy", model, KELVINS, size=4)
