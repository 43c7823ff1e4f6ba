"""Contract checks for any ASE calculator, as a table.

Every quantity Y a calculator offers (the energy E; for ours also the free energy A(T) and the
formation entropy S) is checked as a function of positions R and strain ε on awkward structures:

    ΔY = −∫ F·dR,  ΔY = ∫ V σ·dε                         along short paths
    Y(same matter in another description) = Y            rotation, translation, …, supercell
    Y, Y′, Y″ continuous                                 as an atom of a trimer crosses the cutoff
    H = ∂²Y/∂R², Σ_b H_ab = 0                            against differences of the forces
    Σ_i Y_i = Y,  A(0) = E,  dA/dT = −S_vib              identities

`TOLERANCES` is the whole contract; `run_checks(EMT(), atoms)` works as well as
`run_checks(ThiryCalculator(...))`.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import BaseCalculator

from thiry_calc.calculator import ThiryCalculator
from thiry_calc.check_deviations import deviation, errors_of, evaluate, jumps_of, nve_drift
from thiry_calc.check_structures import RATTLE, perfect_crystal, structures_of, trimers
from thiry_calc.differences import richardson
from thiry_calc.potential import Potential

TOLERANCES: dict[str, tuple[float, str]] = {
    "forces": (1e-8, "Y/Å"),
    "stress": (1e-8, "Y/Å³"),
    "rotation": (1e-10, "relative"),
    "translation": (1e-10, "relative"),
    "permutation": (1e-10, "relative"),
    "inversion": (1e-10, "relative"),
    "supercell": (1e-10, "relative"),
    "equivalent cell": (1e-10, "relative"),
    "jump at the cutoff": (1e-9, "Y"),
    "jump of slope": (1e-7, "Y/Å"),
    "jump of curvature": (1e-5, "Y/Å²"),
    "Hessian": (1e-6, "Y/Å²"),
    "acoustic sum": (1e-8, "Y/Å²"),
    "sum of sites": (1e-12, "relative"),
    "same answer again": (1e-12, "relative"),
    "A(0) = E": (1e-12, "relative"),
    "dA/dT = -S_vib": (1e-12, "relative"),
    "save and load": (1e-12, "relative"),
    "NVE drift": (1e-6, "eV/atom/ps"),
}
_AT_REST = 0.1  # eV/Å, largest component of the forces
_GENERAL = list(TOLERANCES)[: list(TOLERANCES).index("A(0) = E")]  # of any calculator


@dataclass(frozen=True)
class Check:
    """The outcome of one check.

    Parameters
    ----------
    name : str
        Key of `TOLERANCES`.
    quantity : str
        What was checked: "E", "A(600 K)" or "S".
    value : float or None
        The largest deviation; None when the calculator or the structures lack what it takes.
    bar : float
        The largest deviation allowed.
    unit : str
        Y is eV for E and A, k_B for S.
    passed : bool or None
        None when skipped.
    where : str
        The structure of the largest deviation.
    """

    name: str
    quantity: str
    value: float | None
    bar: float
    unit: str
    passed: bool | None
    where: str = ""

    def __str__(self) -> str:
        """Return one line of the table."""
        if self.value is None:
            return f"{self.name:20s} {self.quantity:10s} {'skipped':>10s}"
        verdict = "ok" if self.passed else "FAILED"
        return (
            f"{self.name:20s} {self.quantity:10s} {self.value:10.1e}  < {self.bar:.0e} "
            f"{self.unit:12s} {verdict:7s} {self.where}"
        )


def run_checks(
    calc: BaseCalculator,
    structures: Atoms | Sequence[Atoms] | None = None,
    temperature: float = 600.0,
    cutoff: float | None = None,
    nve: bool = False,
    seed: int = 0,
) -> list[Check]:
    """Check a calculator against the contract.

    Parameters
    ----------
    calc : ASE calculator
    structures : Atoms or sequence of Atoms, optional
        With all elements; those at rest are displaced, for the relative error of a force that
        vanishes is rounding. Ours get `check_structures.structures_of`.
    temperature : float
        K, of A(T); only for our calculator.
    cutoff : float, optional
        Å, where smoothness is checked; only for other calculators, ours know theirs.
    nve : bool
        Also measure the drift of the energy in molecular dynamics (slow).
    seed : int
        Of the rotation, the atoms chosen, the velocities.

    Returns
    -------
    list of Check

    Raises
    ------
    ValueError
        When there are no structures for a calculator that is not ours.
    """
    probes = _named(calc, structures, seed)
    own = isinstance(calc, ThiryCalculator)
    subjects = _subjects(_varying(calc.potential), temperature) if own else {"E": calc}
    checks = []
    for quantity, subject in subjects.items():
        errors: dict[str, dict[str, float]] = {name: {} for name in _GENERAL}
        for where, atoms in probes.items():
            for name, error in errors_of(subject, atoms, np.random.default_rng(seed)):
                errors[name][where] = error
        for where, atoms in _crossing(subject, probes, cutoff).items():
            for name, error in jumps_of(subject, atoms):
                errors[name][where] = error
        if nve and quantity == "E":
            atoms = perfect_crystal(calc.potential) if own else next(iter(probes.values()))
            errors["NVE drift"] = {str(atoms.symbols): nve_drift(subject, atoms, seed=seed)}
        checks += [_check(name, quantity, found) for name, found in errors.items()]
    return checks + (_own_checks(calc.potential, probes, temperature) if own else [])


def format_table(checks: Sequence[Check]) -> str:
    """Return the checks as lines for people, and a verdict."""
    failed = sum(c.passed is False for c in checks)
    skipped = sum(c.passed is None for c in checks)
    lines = [str(c) for c in checks]
    lines.append(f"{len(checks) - skipped} checks, {failed} failed, {skipped} skipped")
    return "\n".join(lines)


def _named(
    calc: BaseCalculator, structures: Atoms | Sequence[Atoms] | None, seed: int
) -> dict[str, Atoms]:
    if structures is None:
        if not isinstance(calc, ThiryCalculator):
            raise ValueError(
                f"no structures given for {type(calc).__name__}; pass Atoms that it can compute"
            )
        return structures_of(calc.potential, seed)
    frames = [structures] if isinstance(structures, Atoms) else list(structures)
    if not frames:
        raise ValueError("an empty list of structures was given; pass at least one")
    probes = {}
    for n, given in enumerate(frames):
        atoms, name = given.copy(), f"{given.get_chemical_formula()} ({n})"
        if np.max(np.abs(evaluate(calc, atoms).forces)) < _AT_REST:
            atoms.positions += RATTLE * np.random.default_rng(seed).uniform(-1, 1, (len(atoms), 3))
            name += ", displaced"
        probes[name] = atoms
    return probes


def _crossing(
    calc: BaseCalculator, probes: Mapping[str, Atoms], cutoff: float | None
) -> dict[str, Atoms]:
    """Trimers for every cutoff of the calculator that is known."""
    if isinstance(calc, ThiryCalculator):
        potential = calc.potential
        elements = potential.elements
        used = {p for target in potential.targets.values() for p in target.parts}
        cutoffs = {potential.descriptor.parts[p].cutoff for p in used} - {0.0}
    else:
        elements = tuple(dict.fromkeys(s for atoms in probes.values() for s in atoms.symbols))
        cutoffs = {cutoff} if cutoff else set()
    return {
        f"{atoms.symbols} {r_cut:g} Å": atoms
        for r_cut in sorted(cutoffs)
        for atoms in trimers(elements, r_cut)
    }


def _varying(potential: Potential) -> Potential:
    """Leave out the constant part of the energy: differences without it lose fewer digits."""
    targets = dict(potential.targets)
    if "energy" in targets:
        zero = np.zeros_like(targets["energy"].reference_values)
        targets["energy"] = replace(targets["energy"], reference_values=zero)
    return replace(potential, targets=targets)


def _subjects(potential: Potential, temperature: float) -> dict[str, ThiryCalculator]:
    """Make a calculator for each quantity: its `energy` is E, A(T), or S in k_B."""
    out, targets = {}, potential.targets
    if "energy" in targets:
        out["E"] = ThiryCalculator(potential, extrapolation_warning=False)
    if len(targets) == 2 and potential.crystal is not None:
        both = ThiryCalculator(potential, temperature, extrapolation_warning=False)
        out[f"A({temperature:g} K)"] = both.as_free_energy()
    if "entropy" in targets:
        entropy = replace(potential, targets={"energy": targets["entropy"]})
        out["S"] = ThiryCalculator(entropy, extrapolation_warning=False)
    return out


def _check(name: str, quantity: str, errors: Mapping[str, float]) -> Check:
    bar, unit = TOLERANCES[name]
    unit = unit.replace("Y", "k_B" if quantity == "S" else "eV")
    if not errors:
        return Check(name, quantity, None, bar, unit, None)
    # a NaN is the worst of all
    where = max(errors, key=lambda k: (np.isnan(errors[k]), errors[k]))
    value = float(errors[where])
    return Check(name, quantity, value, bar, unit, value < bar, where)


def _own_checks(
    potential: Potential, probes: Mapping[str, Atoms], temperature: float
) -> list[Check]:
    """Identities of our calculator."""
    out = {}
    label = f"A({temperature:g} K)"
    complete = len(potential.targets) == 2 and potential.crystal is not None
    if complete:
        zero = {w: _zero_temperature(potential, a) for w, a in probes.items()}
        slope = {w: _slope(potential, a, temperature) for w, a in probes.items()}
        out = {"A(0) = E": zero, "dA/dT = -S_vib": slope}
    checks = [_check(n, label, out.get(n, {})) for n in ("A(0) = E", "dA/dT = -S_vib")]
    with tempfile.TemporaryDirectory() as folder:
        potential.save(Path(folder) / "copy.thiry")
        read = Potential.load(Path(folder) / "copy.thiry")
    before, after = _subjects(potential, temperature), _subjects(read, temperature)
    for quantity, calc in before.items():
        errors = {
            w: deviation(evaluate(after[quantity], a), evaluate(calc, a)) for w, a in probes.items()
        }
        checks.append(_check("save and load", quantity, errors))
    return checks


def _zero_temperature(potential: Potential, atoms: Atoms) -> float:
    calcs = [ThiryCalculator(potential, t, extrapolation_warning=False) for t in (None, 0)]
    return deviation(evaluate(calcs[1], atoms), evaluate(calcs[0], atoms))


def _slope(potential: Potential, atoms: Atoms, temperature: float) -> float:
    calc = ThiryCalculator(_varying(potential), extrapolation_warning=False)

    def free_energy(x: float) -> float:
        calc.temperature = temperature + x
        return float(calc.get_property("free_energy", atoms))

    slope = float(richardson(free_energy, temperature / 4, levels=8))
    calc.temperature = temperature
    entropy = calc.get_property("vibrational_entropy", atoms)
    return abs(slope + entropy) / max(abs(entropy), len(atoms) * units.kB)
