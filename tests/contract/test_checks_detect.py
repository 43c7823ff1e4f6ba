"""Checks must fail where a calculator is wrong: each defect is caught under its own name."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones

from thiry_calc.calculator import ThiryCalculator
from thiry_calc.check import TOLERANCES, format_table, run_checks
from thiry_calc.defects import supercell
from thiry_calc.differences import jumps, richardson

R_CUT = 4.0


class Defective(Calculator):
    """Lennard-Jones (smooth at the cutoff), with a defect."""

    implemented_properties = ["energy", "energies", "forces", "stress"]  # noqa: RUF012

    def __init__(self, defect, **kwargs):
        super().__init__(**kwargs)
        self.defect = defect
        self.inner = LennardJones(sigma=2.2, epsilon=0.3, rc=R_CUT, smooth=True)
        self.calls = 0

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.calls += 1
        copy = atoms.copy()
        copy.calc = self.inner
        r = {p: copy.calc.get_property(p, copy) for p in ("energy", "energies", "forces")}
        r["stress"] = copy.get_stress() if copy.cell.rank == 3 else None
        _DEFECTS[self.defect](r, copy, self.calls)
        self.results = {k: v for k, v in r.items() if v is not None}


def _wrong_forces(r, atoms, calls):
    r["forces"] = r["forces"] + 1e-6


def _wrong_shear(r, atoms, calls):
    if r["stress"] is not None:
        r["stress"] = r["stress"] * [1, 1, 1, 2, 1, 1]


def _direction(r, atoms, calls):
    r["energy"] += 1e-6 * atoms.positions[0, 0] ** 2


def _order(r, atoms, calls):
    r["energy"] += 1e-6 * r["energies"][0]


def _not_extensive(r, atoms, calls):
    r["energy"] += 1e-3 * np.sqrt(len(atoms))


def _cell_shape(r, atoms, calls):
    if atoms.cell.rank == 3:
        r["energy"] += 1e-6 * atoms.cell.lengths().sum()


def _handed(r, atoms, calls):
    r["energy"] += 1e-4 * np.linalg.det(atoms.positions[:3])


def _memory(r, atoms, calls):
    r["energy"] += 1e-9 * calls


def _sites(r, atoms, calls):
    r["energies"] = r["energies"] + 1e-6


def _jump(r, atoms, calls):
    distances = atoms.get_all_distances()
    r["energy"] += 1e-6 * np.sum(distances < R_CUT)


def _nothing(r, atoms, calls):
    pass


_DEFECTS = {
    "forces": _wrong_forces,
    "stress": _wrong_shear,
    "rotation": _direction,
    "translation": _direction,
    "permutation": _order,
    "supercell": _not_extensive,
    "equivalent cell": _cell_shape,
    "inversion": _handed,
    "same answer again": _memory,
    "sum of sites": _sites,
    "jump at the cutoff": _jump,
    "": _nothing,
}


def _crystal():
    atoms = bulk("Cu", "fcc", 3.6, cubic=True)
    atoms.rattle(0.1, seed=1)
    return atoms


def _failed(defect):
    checks = run_checks(Defective(defect), _crystal(), cutoff=R_CUT)
    return {c.name for c in checks if c.passed is False}


@pytest.mark.parametrize("defect", [d for d in _DEFECTS if d])
def test_defect_is_caught(defect):
    assert defect in _failed(defect)


def test_sound_calculator_passes():
    # its smoothing polynomial has a jump in curvature at the cutoff, which is found too
    assert _failed("") <= {"jump of curvature"}


class Springs(Calculator):
    """Harmonic bonds, with a Hessian that may be wrong."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012

    def __init__(self, error=0.0):
        super().__init__()
        self.error = error

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        d = atoms.positions[1] - atoms.positions[0]
        self.results = {"energy": d @ d, "forces": np.array([2 * d, -2 * d])}

    def get_hessian(self, atoms):
        hessian = np.kron([[2.0, -2.0], [-2.0, 2.0]], np.eye(3))
        hessian[0, 0] += self.error
        return hessian.reshape(6, 2, 3)


@pytest.mark.parametrize(("error", "passed"), [(0.0, True), (1e-5, False)])
def test_hessian_of_any_shape(error, passed):
    atoms = Atoms("H2", positions=[[0, 0, 0], [0.3, 0.4, 0.6]])
    checks = {c.name: c for c in run_checks(Springs(error), atoms)}
    assert checks["Hessian"].passed is passed
    assert checks["acoustic sum"].passed is passed
    assert checks["stress"].passed is None


def test_emt():
    checks = run_checks(EMT(), _crystal())
    assert {c.name for c in checks if c.passed is None} >= {"Hessian", "jump at the cutoff"}
    assert all(c.passed is not False for c in checks), format_table(checks)
    assert "skipped" in format_table(checks)


def test_structures_are_asked_for():
    with pytest.raises(ValueError, match="no structures given for EMT"):
        run_checks(EMT())
    with pytest.raises(ValueError, match="empty list"):
        run_checks(EMT(), [])


def test_tolerances_are_those_of_the_design():
    bars = {name: bar for name, (bar, _) in TOLERANCES.items()}
    assert bars["forces"] == bars["stress"] == bars["acoustic sum"] == 1e-8
    assert bars["rotation"] == bars["supercell"] == bars["equivalent cell"] == 1e-10
    jump = [bars[k] for k in ("jump at the cutoff", "jump of slope", "jump of curvature")]
    assert jump == [1e-9, 1e-7, 1e-5]
    assert bars["Hessian"] == bars["NVE drift"] == 1e-6
    assert bars["A(0) = E"] == bars["dA/dT = -S_vib"] == bars["save and load"] == 1e-12


def test_richardson():
    slope = richardson(lambda x: [np.exp(3 * x) * np.sin(5 * x), np.cos(x)], 0.05)
    np.testing.assert_allclose(slope, [5, 0], atol=1e-11)


def test_jumps():
    value, slope = jumps(lambda x: np.sin(x) + (x > 0) * (0.25 + 2 * x + x**3), 1e-2)
    np.testing.assert_allclose([value, slope], [0.25, 2], atol=1e-10)


def test_a_structure_at_rest_is_displaced(make_potential):
    calc = ThiryCalculator(make_potential("afs"))
    checks = run_checks(calc, supercell(calc.potential.crystal.a0, 3))
    assert all(c.passed is not False for c in checks), format_table(checks)
    assert any("displaced" in c.where for c in checks)
