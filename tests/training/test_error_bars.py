"""Error bars of forces."""

import numpy as np
import pytest

from training.error_bars import std_by_leverage


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
