"""The rational logarithm keeps its promises."""

import numpy as np
import pytest

from thiry_calc.rational_log import rational_log


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.5), (1e-3, 30.0), (1e-6, 1.0)])
@pytest.mark.parametrize("tolerance", [1e-3, 1e-6, 1e-9])
def test_error_is_below_the_tolerance(low, high, tolerance):
    found = rational_log(low, high, tolerance)
    x = np.geomspace(low, high, 100_000)
    assert np.abs(found(x) - np.log(x)).max() <= 1.1 * tolerance
    assert np.all(found.poles > 0)


def test_few_poles():
    assert len(rational_log(3e-3, 30, 6e-7).poles) == 14
    assert len(rational_log(3e-3, 30, 1e-9).poles) <= 22


@pytest.mark.parametrize("interval", [(0.0, 1.0), (2.0, 1.0), (1.0, np.inf), (-1.0, 1.0)])
def test_refuses_other_intervals(interval):
    with pytest.raises(ValueError, match="0 < low < high"):
        rational_log(*interval)


def test_refuses_what_rounding_forbids():
    with pytest.raises(ValueError, match="poles reach"):
        rational_log(1e-3, 1.0, 1e-18)
