"""Jumps whose rates are compared with exact ones."""

import numpy as np
import pytest
from ase import units

from thiry_calc import ThiryCalculator
from training.recipes.rates import Rate, exact_rate, jumps, learned_rates, table
from training.references.am04 import LATTICE_CONSTANT


def test_the_atoms_that_jump():
    made = jumps(4)
    moved = {
        name: np.linalg.norm(jump.after.positions - jump.before.positions, axis=1)
        for name, jump in made.items()
    }
    assert {name: len(jump.before) for name, jump in made.items()} == {
        "vacancy": 127, "divacancy": 126, "dumbbell": 129,
    }  # fmt: skip
    for name in ("vacancy", "divacancy"):
        np.testing.assert_allclose(
            np.sort(moved[name])[-2:], [0, LATTICE_CONSTANT * np.sqrt(0.75)], atol=1e-9
        )
    assert (moved["dumbbell"] > 0.1).sum() == 3


def test_rates_and_their_table():
    rate = Rate(2.0, 6.0, 0.6, 1e14)
    assert rate.at(600) == pytest.approx(1e14 * np.exp(-0.6 / (units.kB * 600)))
    text = table({"vacancy": {"AM04": rate}})
    assert "| vacancy | AM04 | 0.600 | 2.000 | 6.000 | 100.0 |" in text


@pytest.mark.slow
def test_the_dumbbell_of_am04_by_the_shipped_model():
    exact, minimum, saddle = exact_rate(jumps(4)["dumbbell"], 4)
    assert exact.barrier == pytest.approx(0.30, abs=0.02)  # AM04: 0.31 eV in large cells
    given, own = learned_rates(minimum, saddle, exact, ThiryCalculator("Fe-AM04"))
    assert given.barrier == exact.barrier
    assert own.barrier == pytest.approx(exact.barrier, abs=0.03)
