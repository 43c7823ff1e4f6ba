"""The ASE calculator: properties, caching, temperature, uncertainty, input and output."""

import copy
import pickle
import warnings
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import PropertyNotImplementedError
from ase.io import read, write
from ase.optimize import BFGS

from thiry_calc import ThiryCalculator
from thiry_calc.calculator import ExtrapolationWarning


@pytest.fixture
def calc(iron):
    return ThiryCalculator(iron)


def _fresh(potential, atoms, name, temperature=None):
    return ThiryCalculator(potential, temperature).get_property(name, atoms.copy())


# -- definitions -----------------------------------------------------------------------------


def test_free_energy_as_defined(iron, rattled):
    """A(T) = E − k_B T S_f − 3N k_B T ln(k_B T/ħω̄), S_vib = k_B {S_f + 3N [ln(…) + 1]}."""
    t, n, kt = 450.0, len(rattled), units.kB * 450.0
    rattled.calc = calc = ThiryCalculator(iron, temperature=t)
    log = np.log(kt / iron.crystal.hbar_omega["Fe"])
    s_f = calc.get_property("formation_entropy", rattled)
    energy = rattled.get_potential_energy()
    free_energy = rattled.get_potential_energy(force_consistent=True)
    assert energy == _fresh(iron, rattled, "energy")
    assert free_energy == pytest.approx(energy - kt * s_f - 3 * n * kt * log, rel=1e-14)
    s_vib = calc.get_property("vibrational_entropy", rattled)
    assert s_vib == pytest.approx(units.kB * (s_f + 3 * n * (log + 1)), rel=1e-13)
    assert free_energy == pytest.approx(energy + 3 * n * kt - t * s_vib, rel=1e-13)


def test_two_elements_have_their_own_frequencies(alloy):
    atoms = Atoms("FeW", positions=[[0, 0, 0], [2.4, 0, 0]])
    t, kt = 500.0, units.kB * 500.0
    calc = ThiryCalculator(alloy, temperature=t)
    logs = sum(np.log(kt / alloy.crystal.hbar_omega[s]) for s in atoms.symbols)
    difference = calc.get_property("free_energy", atoms) - calc.get_property("energy", atoms)
    s_f = calc.get_property("formation_entropy", atoms)
    assert difference == pytest.approx(-kt * s_f - 3 * kt * logs, rel=1e-12)


def test_perfect_crystal_is_the_reference(iron, calc):
    crystal = bulk("Fe", "bcc", iron.crystal.a0) * (3, 1, 2)
    assert calc.get_property("formation_entropy", crystal) == pytest.approx(0, abs=1e-10)
    assert calc.get_property("energy", crystal) == pytest.approx(-4.0 * 6, abs=1e-10)


def test_sites_sum_to_totals(iron, rattled):
    calc = ThiryCalculator(iron, temperature=300)
    for sites, total in (("energies", "energy"), ("site_entropies", "formation_entropy")):
        values = calc.get_property(sites, rattled)
        assert values.shape == (16,)
        assert values.sum() == pytest.approx(calc.get_property(total, rattled), rel=1e-12)


def test_vibrational_entropy_is_at_300_kelvin_without_a_temperature(iron, rattled):
    at_300 = _fresh(iron, rattled, "vibrational_entropy", 300)
    assert _fresh(iron, rattled, "vibrational_entropy") == at_300
    assert _fresh(iron, rattled, "vibrational_entropy", 0) == at_300
    assert _fresh(iron, rattled, "vibrational_entropy", 301) > at_300


@pytest.mark.parametrize("temperature", [None, 0, 0.0])
def test_zero_temperature_is_the_energy(iron, rattled, temperature):
    rattled.calc = ThiryCalculator(iron, temperature=temperature)
    energy = rattled.get_potential_energy()
    assert rattled.get_potential_energy(force_consistent=True) == energy
    assert np.array_equal(rattled.get_forces(), _fresh(iron, rattled, "forces"))


def test_view_whose_energy_is_the_free_energy(iron, rattled):
    calc = ThiryCalculator(iron, temperature=700)
    view = calc.as_free_energy()
    free_energy = calc.get_property("free_energy", rattled)
    assert view.get_property("energy", rattled) == free_energy
    assert view.get_property("free_energy", rattled) == free_energy
    assert view.get_property("energies", rattled).sum() == pytest.approx(free_energy, rel=1e-13)
    for name in ("forces", "stress", "formation_entropy"):
        expected = calc.get_property(name, rattled)
        assert np.array_equal(view.get_property(name, rattled), expected)
    assert calc.get_property("energy", rattled) != free_energy


# -- caching ---------------------------------------------------------------------------------


def test_temperature_changes_recompute(iron, rattled):
    rattled.calc = calc = ThiryCalculator(iron)
    cold = rattled.get_forces()
    calc.set(temperature=600)
    hot = rattled.get_forces()
    assert np.array_equal(hot, _fresh(iron, rattled, "forces", 600))
    assert np.max(np.abs(hot - cold)) > 0.01
    calc.temperature = None
    assert np.array_equal(rattled.get_forces(), cold)


def test_any_change_of_the_structure_recomputes(alloy):
    atoms = bulk("Fe", "bcc", 3.0, cubic=True) * (2, 2, 2)
    atoms.rattle(0.1, seed=1)
    atoms.calc = ThiryCalculator(alloy)
    seen = {atoms.get_potential_energy()}
    changes = [
        lambda: atoms.positions.__setitem__((0, 0), 0.3),
        lambda: atoms.set_cell(atoms.cell * 1.01),
        lambda: setattr(atoms, "pbc", (True, True, False)),
        lambda: atoms.numbers.__setitem__(3, 74),
        lambda: atoms.__delitem__(5),
    ]
    for change in changes:
        change()
        energy = atoms.get_potential_energy()
        assert energy == pytest.approx(_fresh(alloy, atoms, "energy"), rel=1e-13)
        seen.add(energy)
    assert len(seen) == 1 + len(changes)


def test_one_calculator_for_several_structures(iron, calc, rattled):
    other = rattled.copy()
    other.positions[0] += 0.1
    rattled.calc = other.calc = calc
    energies = [a.get_potential_energy() for a in (rattled, other, rattled, other)]
    assert energies[:2] == pytest.approx(energies[2:], rel=1e-14)
    assert energies[0] != energies[1]


def test_direct_calls_of_calculate_are_not_stale(calc, rattled):
    calc.calculate(rattled, ["energy"])
    before = calc.results["energy"]
    rattled.positions[0] += 0.1
    calc.calculate(rattled, ["energy"])
    assert calc.results["energy"] != before


def test_results_are_computed_once(calc, rattled, monkeypatch):
    calls = []
    original = type(calc.potential).evaluate
    monkeypatch.setattr(
        type(calc.potential), "evaluate", lambda *a: calls.append(1) or original(*a)
    )
    rattled.calc = calc
    rattled.get_potential_energy(), rattled.get_forces(), rattled.get_stress()
    calc.get_property("leverage", rattled)
    assert len(calls) == 1  # the energy alone
    calc.get_property("formation_entropy", rattled), calc.get_property("site_entropies", rattled)
    rattled.get_potential_energy()
    assert len(calls) == 2


def test_returned_arrays_are_copies(calc, rattled):
    rattled.calc = calc
    rattled.get_forces()[:] = 0
    rattled.get_stress()[:] = 0
    assert np.any(rattled.get_forces())
    assert np.any(rattled.get_stress())


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))])
def test_copies_are_independent(iron, rattled, clone):
    calc = ThiryCalculator(iron, temperature=300)
    forces = calc.get_property("forces", rattled)
    other = clone(calc)
    other.temperature = 0
    assert not np.array_equal(other.get_property("forces", rattled), forces)
    assert np.array_equal(calc.get_property("forces", rattled), forces)


def test_relaxation_reuses_the_neighbour_list(iron, rattled):
    rattled.calc = calc = ThiryCalculator(iron)
    assert BFGS(rattled, logfile=None).run(fmax=1e-3, steps=200)
    assert calc._neighbors.n_builds < 5
    assert rattled.get_potential_energy() == pytest.approx(
        _fresh(iron, rattled, "energy"), rel=1e-13
    )


# -- special structures ----------------------------------------------------------------------


def test_isolated_atom_and_dimer(iron):
    atom = Atoms("Fe")
    atom.calc = ThiryCalculator(iron, temperature=300)
    assert np.isfinite(atom.get_potential_energy(force_consistent=True))
    assert not atom.get_forces().any()
    assert not atom.calc.get_hessian(atom).toarray().any()
    dimer = Atoms("Fe2", positions=[[0, 0, 0], [0, 0, 2.2]])
    dimer.calc = ThiryCalculator(iron)
    forces = dimer.get_forces()
    assert forces[0, 2] == -forces[1, 2] != 0


def test_stress_needs_a_cell(iron, rattled):
    slab = rattled.copy()
    slab.pbc = (True, True, False)
    slab.cell[2] = 0
    slab.calc = ThiryCalculator(iron)
    assert np.isfinite(slab.get_potential_energy())
    with pytest.raises(ValueError, match="stress needs a cell with a volume"):
        slab.get_stress()


def test_integer_positions(iron):
    atoms = Atoms("Fe2", positions=[[0, 0, 0], [0, 0, 2]], cell=[6, 6, 6], pbc=1)
    assert np.isfinite(_fresh(iron, atoms, "energy"))


# -- models with less ------------------------------------------------------------------------


def test_energy_only(make_potential, rattled):
    potential = make_potential(targets=("energy",))
    rattled.calc = calc = ThiryCalculator(potential)
    assert rattled.get_potential_energy(force_consistent=True) == rattled.get_potential_energy()
    assert np.isfinite(calc.get_property("energy_std", rattled))
    for name in ("formation_entropy", "site_entropies", "vibrational_entropy", "entropy_std"):
        with pytest.raises(ValueError, match="has no entropy part"):
            calc.get_property(name, rattled)
    with pytest.raises(ValueError, match="has no entropy part"):
        ThiryCalculator(potential, temperature=300)


def test_entropy_only(make_potential, iron, rattled):
    potential = make_potential(targets=("entropy",))
    calc = ThiryCalculator(potential, temperature=300)
    assert np.isfinite(calc.get_property("formation_entropy", rattled))
    assert np.isfinite(calc.get_property("vibrational_entropy", rattled))
    for name in ("energy", "forces", "stress", "free_energy", "energy_std"):
        with pytest.raises(PropertyNotImplementedError):
            calc.get_property(name, rattled)
    with pytest.raises(ValueError, match="has no energy part"):
        calc.get_hessian(rattled)


def test_without_a_crystal_there_is_no_absolute_entropy(iron, rattled):
    bare = replace(iron, crystal=None)
    assert _fresh(bare, rattled, "formation_entropy") == _fresh(iron, rattled, "formation_entropy")
    with pytest.raises(PropertyNotImplementedError):
        _fresh(bare, rattled, "vibrational_entropy")
    with pytest.raises(ValueError, match="stores no reference crystal"):
        _fresh(bare, rattled, "free_energy", 300)


def test_foreign_properties(calc, rattled):
    for name in ("magmom", "dipole", "entropy"):
        with pytest.raises(PropertyNotImplementedError):
            calc.get_property(name, rattled)
    assert calc.get_property("energy", rattled, allow_calculation=False) is None


# -- uncertainty -----------------------------------------------------------------------------


def test_uncertainty_as_defined(iron, calc, rattled):
    x = iron.descriptor.values(rattled) - iron.targets["energy"].reference_features[0]
    factor = iron.targets["energy"].model.leverage_factor
    leverage = np.sum((x @ factor) ** 2, axis=1)
    np.testing.assert_allclose(calc.get_property("leverage", rattled), leverage, rtol=1e-12)
    std = 0.3 * np.linalg.norm(x.sum(axis=0) @ factor)
    assert calc.get_property("energy_std", rattled) == pytest.approx(std, rel=1e-12)
    assert calc.get_property("entropy_std", rattled) > 0


def test_force_std_and_committee(iron, rattled):
    """The spread of a committee is the std: within 4 of its own errors for 400 members."""
    members = [_fresh(p, rattled, "forces") for p in iron.committee(400, seed=1)]
    std = _fresh(iron, rattled, "force_std")
    assert std.shape == (len(rattled), 3)
    np.testing.assert_allclose(np.std(members, axis=0), std, rtol=4 / np.sqrt(800))
    energies = [_fresh(p, rattled, "energy") for p in iron.committee(400, seed=1)]
    assert np.std(energies) == pytest.approx(_fresh(iron, rattled, "energy_std"), rel=0.15)
    leverage = (std / 0.3) ** 2
    low, high = np.quantile(leverage, [0.3, 0.7])
    own = replace(iron.targets["energy"], force_std=np.array([[low, high], [0.01, 0.04]]))
    found = _fresh(replace(iron, targets={"energy": own}), rattled, "force_std")
    np.testing.assert_allclose(found[leverage < low], 0.01)
    above = leverage > high
    np.testing.assert_allclose(found[above], 0.04 * np.sqrt(leverage[above] / high))
    between = (leverage > low) & ~above
    slope = np.log(4) / np.log(high / low)
    np.testing.assert_allclose(found[between], 0.01 * (leverage[between] / low) ** slope)


def test_without_covariance(iron, rattled):
    targets = {k: replace(t, model=replace(t.model, leverage_factor=None))
               for k, t in iron.targets.items()}  # fmt: skip
    calc = ThiryCalculator(replace(iron, targets=targets))
    assert not calc.has_uncertainty
    assert np.isfinite(calc.get_property("energy", rattled))
    with pytest.raises(ValueError, match="without its covariance"):
        calc.get_property("leverage", rattled)
    with pytest.raises(ValueError, match="no covariance"):
        calc.get_property("force_std", rattled)
    with pytest.raises(ValueError, match="no covariance to sample"):
        calc.potential.committee(2)


def test_extrapolation_warning(iron, rattled):
    leverage = _fresh(iron, rattled, "leverage")
    energy = replace(iron.targets["energy"], max_leverage=0.9 * leverage.max())
    limited = replace(iron, targets={**iron.targets, "energy": energy})
    with pytest.warns(ExtrapolationWarning, match=f"atom {leverage.argmax()} is outside"):
        _fresh(limited, rattled, "energy")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ThiryCalculator(limited, extrapolation_warning=False).get_property("energy", rattled)
        _fresh(replace(iron, targets={**iron.targets}), rattled, "energy")


def test_dynamics_on_the_free_energy_warn_once(iron, rattled):
    rattled.set_velocities(1e-2 * np.random.default_rng(1).normal(size=(16, 3)))
    rattled.calc = ThiryCalculator(iron, temperature=300)
    with pytest.warns(UserWarning, match="counts vibrations twice"):
        rattled.get_forces()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rattled.positions[0] += 0.01
        rattled.get_forces()
        rattled.calc = ThiryCalculator(iron)
        rattled.get_forces()


# -- Hessian ---------------------------------------------------------------------------------


def test_hessian_is_of_what_forces_derive_from(split, alloy):
    atoms = bulk("Fe", "bcc", 3.0, cubic=True)
    atoms.symbols[1] = "W"
    atoms.rattle(0.1, seed=2)
    for potential in (split, alloy):
        cold, hot = (ThiryCalculator(potential, t).get_hessian(atoms) for t in (None, 900))
        assert np.max(np.abs((hot - cold).toarray())) > 1e-3
        as_energy = ThiryCalculator(potential, 900).as_free_energy().get_hessian(atoms)
        assert np.array_equal(as_energy.toarray(), hot.toarray())


# -- input and output ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x.extxyz", "x.traj", "x.json", "x.db"])
def test_files_keep_the_results_that_ase_knows(iron, rattled, tmp_path, name):
    rattled.calc = calc = ThiryCalculator(iron, temperature=400)
    forces, stress = rattled.get_forces(), rattled.get_stress()
    calc.get_property("site_entropies", rattled), calc.get_property("leverage", rattled)
    write(tmp_path / name, rattled)
    back = read(tmp_path / name)
    assert back.get_potential_energy() == pytest.approx(rattled.get_potential_energy(), abs=1e-7)
    np.testing.assert_allclose(back.get_forces(), forces, atol=1e-7)
    np.testing.assert_allclose(back.get_stress(), stress, atol=1e-7)
    free_energy = back.get_potential_energy(force_consistent=True)
    assert free_energy == pytest.approx(calc.results["free_energy"], abs=1e-7)


def test_exported_properties_are_known_to_ase(calc, rattled):
    calc.get_property("leverage", rattled)
    exported = calc.export_properties()
    assert exported["energy"] == calc.results["energy"]
    assert "leverage" not in exported
    assert "site_entropies" not in exported
