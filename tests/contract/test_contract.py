"""The contract (DESIGN, section 6) for every kind of model: E, A(600 K) and S."""

from dataclasses import replace

import numpy as np
import pytest

from thiry_calc.calculator import ThiryCalculator
from thiry_calc.check import format_table, run_checks
from thiry_calc.descriptors import AFS, Combined
from thiry_calc.linear import LinearModel

FAST = [
    ("afs", ("Fe",), False),
    ("power", ("Fe", "W"), False),
    ("pair", ("Fe", "W"), True),
    ("pair", ("Fe",), "log_det"),
]
SLOW = [
    ("afs", ("Fe", "W"), False),
    ("afs_only", ("Fe",), False),
    ("power", ("Fe",), False),
    ("power", ("Fe", "W"), True),
    ("pair", ("Fe",), False),
]
names = [f"{k} {'-'.join(e)}{f' split {s}' if s else ''}" for k, e, s in FAST + SLOW]
slow = [pytest.param(*case, marks=pytest.mark.slow) for case in SLOW]


def _assert_complete(checks):
    """Everything passed, and nothing was skipped."""
    assert {c.quantity for c in checks} == {"E", "A(600 K)", "S"}
    assert all(c.passed for c in checks), format_table(checks)


@pytest.mark.parametrize(("kind", "elements", "split"), [*FAST, *slow], ids=names)
def test_contract(kind, elements, split, make_potential):
    checks = run_checks(ThiryCalculator(make_potential(kind, elements, split=split)))
    _assert_complete(checks)


@pytest.mark.parametrize("name", ["Fe-AM04", "Fe-AM04-AFS", "Fe-DFT"])
def test_contract_of_the_shipped_models(name):
    _assert_complete(run_checks(ThiryCalculator(name)))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["afs", "power"])
def test_molecular_dynamics_conserves_energy(kind, make_potential):
    elements = ("Fe",) if kind == "afs" else ("Fe", "W")
    checks = run_checks(ThiryCalculator(make_potential(kind, elements)), nve=True)
    drift = {c.quantity: c for c in checks if c.name == "NVE drift"}
    assert drift["E"].passed, str(drift["E"])


@pytest.mark.slow
def test_contract_of_the_published_descriptor(make_potential):
    """AFS n20 l10: high radial functions make the differences hard, not the derivatives wrong."""
    base = make_potential("afs_only")
    descriptor = Combined((AFS(5.0, 20, 10),))
    rng = np.random.default_rng(0)

    def target(t, scale):
        weights = scale * rng.normal(size=descriptor.n_features)
        return replace(t, model=LinearModel(weights), reference_features=np.zeros((1, 220)))

    targets = {"energy": target(base.targets["energy"], 2e-4),
               "entropy": target(base.targets["entropy"], 5e-4)}  # fmt: skip
    potential = replace(base, descriptor=descriptor, targets=targets)
    _assert_complete(run_checks(ThiryCalculator(potential)))
