"""Error bars of energies and forces."""

import numpy as np
import pytest
from ase.build import bulk

from thiry_calc.descriptors import Combined, OneBody, Pair
from thiry_calc.linear import ridge
from training.dataset import Structure
from training.error_bars import std_by_leverage, with_error_bars
from training.regression import rescaled
from training.rows import Baseline, GroupWeight, RowMaker
from training.weighing import joined

FACTORS = {"energy": 10.0, "stress": 0.1}


def _structures(count):
    rng = np.random.default_rng(1)
    out = []
    for k in range(count):
        atoms = bulk("Fe", cubic=True).repeat(2)
        atoms.rattle(0.2, rng=rng)
        forces = None if k % 5 == 1 else rng.normal(size=(len(atoms), 3))
        stress = None if k % 3 == 1 else rng.normal(size=6) / 100
        energy = None if k % 7 == 2 else rng.normal()
        out.append(Structure(atoms, energy, forces, stress, f"group{k % 2}", f"frame {k}"))
    return out


def test_errors_are_those_of_a_fit_without_the_structure():
    descriptor = Combined((OneBody(("Fe",)), Pair(4.0, 6, ("Fe",))))
    baseline = Baseline(("Fe",), np.zeros(1), np.zeros((1, descriptor.n_features)))
    maker = RowMaker(descriptor, baseline, weights={"group1": GroupWeight(forces=3.0)})
    structures, penalty = _structures(12), np.full(descriptor.n_features, 0.3)
    penalty[0] = 0.0
    whole = ridge(joined(maker.statistics(structures), FACTORS), penalty)
    energies, errors, leverages = [], [], []
    for k, one in enumerate(structures):
        others = maker.statistics(structures[:k] + structures[k + 1 :])
        without = ridge(joined(others, FACTORS), penalty)
        for rows in maker.rows(one):
            miss = np.abs(rows.y - without.predict(rows.x))
            if rows.kind == "energy":
                energies.append(miss / (whole.noise * np.sqrt(without.leverage(rows.x))))
            elif rows.kind == "forces":
                errors.append(miss)
                leverages.append(without.leverage(rows.x))
    model, std = with_error_bars(whole, structures, maker, FACTORS)
    assert model.noise == pytest.approx(rescaled(whole, np.concatenate(energies)).noise, rel=1e-6)
    expected = std_by_leverage(np.concatenate(errors), np.concatenate(leverages))
    np.testing.assert_allclose(std, expected, rtol=1e-5)


def test_what_a_structure_alone_tells_is_uncertain_without_it():
    """The constant of an element of one structure: its leverage is one, and no number overflows."""
    descriptor = Combined((OneBody(("Cr", "Fe")), Pair(4.0, 6, ("Cr", "Fe"))))
    baseline = Baseline(("Cr", "Fe"), np.zeros(2), np.zeros((2, descriptor.n_features)))
    maker = RowMaker(descriptor, baseline)
    structures = _structures(12)
    structures[0].atoms.symbols[0] = "Cr"
    penalty = np.full(descriptor.n_features, 0.3)
    penalty[:2] = 0.0
    whole = ridge(joined(maker.statistics(structures), FACTORS), penalty)
    with np.errstate(all="raise"):
        model, std = with_error_bars(whole, structures, maker, FACTORS)
    assert 0 < model.noise < 1000 * whole.noise
    assert np.isfinite(std).all()


def test_without_energies_the_noise_stays():
    descriptor = Combined((OneBody(("Fe",)), Pair(4.0, 6, ("Fe",))))
    baseline = Baseline(("Fe",), np.zeros(1), np.zeros((1, descriptor.n_features)))
    maker = RowMaker(descriptor, baseline, weights={"group0": GroupWeight(energy=0.0)})
    structures = _structures(6)[::2]
    whole = ridge(joined(maker.statistics(structures), {}), np.ones(descriptor.n_features))
    model, std = with_error_bars(whole, structures, maker, {})
    assert model is whole
    assert std is not None


def test_errors_are_covered_whatever_their_leverage():
    """Heavy-tailed errors, of label noise alone where the leverage vanishes."""
    rng = np.random.default_rng(0)
    leverages = np.where(rng.random(20000) < 0.3, 0.0, 10 ** rng.uniform(-4, -1, 20000))
    size = np.sqrt(leverages**0.6 + 0.01**2)
    errors = np.abs(rng.standard_t(4, 20000)) * size
    known, std = std_by_leverage(errors, leverages)
    assert np.all(np.diff(known) >= 0)
    assert np.all(np.diff(std) >= 0)
    found = np.exp(np.interp(np.log(np.maximum(leverages, known[0])), np.log(known), np.log(std)))
    for some in (leverages == 0, (leverages > 0) & (leverages < 0.01), leverages > 0.01):
        assert np.mean(errors[some] < found[some]) == pytest.approx(0.683, abs=0.05)
        assert np.mean(errors[some] < 1.96 * found[some]) == pytest.approx(0.95, abs=0.05)


def test_no_forces_no_std():
    assert std_by_leverage(np.zeros(0), np.zeros(0)) is None
