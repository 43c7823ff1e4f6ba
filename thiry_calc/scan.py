"""Free-energy scans: which defect of a crystal is stable at which temperature.

    A_f(T) = E_f − k_B T S_f

of configurations relaxed at fixed volume (`thiry_calc.configurations`). Configurations with the
same net content N − N0 form a family; A_f is linear in T, so that the stable one of a family
changes exactly where two lines cross (`thiry_calc.stability`). Equilibrium concentrations follow
from A_f(T) (`thiry_calc.equilibrium`), rates of the vacancy from its saddle (`.migration`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from ase import Atoms
from tqdm import tqdm

from thiry_calc.calculator import ThiryCalculator
from thiry_calc.configurations import (
    Configuration,
    compared,
    configuration_of,
    lower_state,
    with_exact,
)
from thiry_calc.defects import supercell
from thiry_calc.engines import CalculatorEngine, Engine
from thiry_calc.equilibrium import concentration
from thiry_calc.exact import OWN, ExactReference
from thiry_calc.migration import Migration, vacancy_migration
from thiry_calc.potential import Crystal, Potential
from thiry_calc.references import list_references, load_reference
from thiry_calc.stability import Range, stable_ranges
from thiry_calc.starts import Start, standard_names, start_of

# Cubic cells for the migration; bcc: within 2 meV and 3 % of barrier and prefactor in 8 cells
MIGRATION_SIZE = {"bcc": 5, "fcc": 4}


@dataclass(frozen=True)
class Scan:
    """Result of `scan`.

    Attributes
    ----------
    model, element, lattice : str
    a0 : float
        Å.
    size : int
        Cubic cells per side of the named defects.
    temperatures : tuple of float
        K.
    configurations : tuple of Configuration
    reference : str or None
        Name of the reference potential of the exact values.
    migration, exact_migration : Migration or None
        Of the model, and of the reference potential.
    notes : tuple of str
        What concerns the whole scan.
    """

    model: str
    element: str
    lattice: str
    a0: float
    size: int
    temperatures: tuple[float, ...]
    configurations: tuple[Configuration, ...]
    reference: str | None = None
    migration: Migration | None = None
    exact_migration: Migration | None = None
    notes: tuple[str, ...] = ()

    @property
    def families(self) -> dict[int, tuple[Configuration, ...]]:
        """Configurations by net content, vacancies first, each in the order given."""
        nets = sorted({c.net for c in self.configurations}, key=lambda n: (n > 0, abs(n)))
        return {n: tuple(c for c in self.configurations if c.net == n) for n in nets}

    def stable(self, net: int) -> tuple[Range, ...]:
        """Return which configuration of a family is stable over which range of temperatures."""
        lines = [
            (c.name, c.formation_energy_eV, c.formation_entropy_kB)
            for c in self.families[net]
            if c.competes
        ]
        return stable_ranges(lines, min(self.temperatures), max(self.temperatures))

    def concentration(self, net: int, temperature: float, exact: bool = False) -> float:
        """Equilibrium concentration of a family, all its states together.

        Parameters
        ----------
        net : int
            N − N0.
        temperature : float
            K.
        exact : bool
            By the values of the reference potential instead of the model's.

        Returns
        -------
        float
            Per lattice site; NaN when no state of the family competes, or none was given.
        """
        states = [c for c in self.families.get(net, ()) if c.competes]
        if exact:
            states = [c for c in states if c.exact is not None]
        if not states:
            return float("nan")
        return sum(
            concentration(
                c.formation_free_energy_eV(temperature, exact), temperature, c.multiplicity or 1
            )
            for c in states
        )

    def __str__(self) -> str:
        """Tables for people."""
        from thiry_calc.scan_report import text

        return text(self)


def scan(
    structures: str | Atoms | Sequence[str | Atoms] = (),
    model: str | Path | Potential = "Fe-AM04",
    temperatures: Sequence[float] = tuple(range(0, 1201, 100)),
    *,
    size: int = 8,
    element: str | None = None,
    lattice: str | None = None,
    exact: bool = False,
    reference: str | None = None,
    potential_file: str | Path | None = None,
    migration: bool = False,
    progress: bool = False,
    engine: Engine | None = None,
) -> Scan:
    """Relax configurations, and compare their formation free energies.

    Parameters
    ----------
    structures : sequence of str or Atoms, or one of them
        Names of defects (see `thiry_calc.defects.STANDARD`), or structures, which are relaxed in
        their own cells; ``info["name"]`` names them. By default the standard set.
    model : str, Path or Potential
        With energy, entropy and crystal.
    temperatures : sequence of float
        K.
    size : int
        Cubic cells per side for the names.
    element, lattice : str, optional
        Of the crystal; by default what the model says.
    exact : bool
        Add the exact values of a reference potential.
    reference : str, optional
        Its name in the entry-point group ``thiry.references``, or "model": the Hessian of the
        model's own energy. By default the one that the model is named for ("Fe-AM04",
        "Fe-AM04-AFS": AM04), else "model".
    potential_file : str or Path, optional
        Table of the reference potential, where it needs one.
    migration : bool
        Add the jump of the vacancy.
    progress : bool
        Show progress on stderr.
    engine : Engine, optional
        What relaxes and measures, of the same model; the calculator by default.

    Returns
    -------
    Scan

    Raises
    ------
    ValueError, FileNotFoundError
        Bad input: unknown names, models, elements, temperatures.
    """
    potential = model if isinstance(model, Potential) else Potential.load(model)
    crystal = _crystal(potential, lattice)
    kelvins = _temperatures(temperatures)
    given = [structures] if isinstance(structures, str | Atoms) else list(structures)
    given = given or list(standard_names(crystal.lattice))
    element = _element(potential, element, given)
    starts = _distinct([start_of(item, n, crystal, size, element) for n, item in enumerate(given)])
    chosen = _reference(potential, element, reference) if exact else None
    checker = None
    if chosen is not None:
        checker = ExactReference.make(chosen, potential, crystal, potential_file)
    calc = ThiryCalculator(potential, extrapolation_warning=False)
    done = _configurations(starts, engine or CalculatorEngine(calc), checker, progress)
    result = Scan(potential.name, element, crystal.lattice, crystal.a0, size, kelvins, done, chosen)
    return _with_migration(result, calc, checker) if migration else result


def _configurations(
    starts: Sequence[Start], engine: Engine, checker: ExactReference | None, progress: bool
) -> tuple[Configuration, ...]:
    """Relax and compare all, and add the states to which some fall."""
    done: list[Configuration] = []
    lower: dict[str, Start] = {}
    for start in tqdm(starts, disable=not progress, desc="scan", unit="structure"):
        configuration = configuration_of(start, engine)
        below = lower_state(configuration, start, engine)
        if below is not None:
            lower[start.name] = below
        if checker is not None:
            configuration = with_exact(configuration, start, checker)
        done.append(compared(configuration, done))
    return tuple(_with_lower_states(done, lower, engine, checker))


def _distinct(starts: Sequence[Start]) -> list[Start]:
    """Give a number to each name that has come before: results are told apart by their names."""
    out: list[Start] = []
    taken: set[str] = set()
    for start in starts:
        name, number = start.name, 1
        while name in taken:
            number += 1
            name = f"{start.name} ({number})"
        taken.add(name)
        out.append(start._replace(name=name))
    return out


def _with_lower_states(
    done: list[Configuration],
    lower: dict[str, Start],
    engine: Engine,
    checker: ExactReference | None,
) -> list[Configuration]:
    """Add the states to which configurations fall, where they are not among them already."""
    names = {}
    for parent, start in lower.items():
        state = compared(configuration_of(start, engine), done)
        names[parent] = state.same_as or state.name
        if state.same_as is None:
            done = [*done, state if checker is None else with_exact(state, start, checker)]
    return [
        replace(
            c, falls_to=names[c.name], notes=(*c.notes, f"no minimum: falls to {names[c.name]}")
        )
        if c.name in names
        else c
        for c in done
    ]


def _crystal(potential: Potential, lattice: str | None) -> Crystal:
    for target in ("energy", "entropy"):
        potential.target(target)
    if potential.crystal is None:
        raise ValueError(
            f"model {potential.name!r} stores no reference crystal, which a scan needs for the "
            "lattice constant; choose a model with a crystal"
        )
    if lattice not in (None, potential.crystal.lattice):
        raise ValueError(
            f"lattice {lattice!r} given, but the crystal of model {potential.name!r} is "
            f"{potential.crystal.lattice}; leave the lattice out or choose another model"
        )
    return potential.crystal


def _element(potential: Potential, element: str | None, given: Sequence[str | Atoms]) -> str:
    """Return the one element of the scan."""
    found = {s for item in given if isinstance(item, Atoms) for s in item.get_chemical_symbols()}
    found |= {element} if element else set()
    found = found or set(potential.elements)
    if len(found) != 1:
        raise ValueError(
            f"a scan compares defects in a crystal of one element, and there are "
            f"{', '.join(sorted(found))}; name one element, and give structures of it alone"
        )
    (element,) = found
    if element not in potential.elements:
        raise ValueError(
            f"model {potential.name!r} does not know the element {element!r}, only "
            f"{', '.join(potential.elements)}; choose another model"
        )
    return element


def _temperatures(temperatures: Sequence[float]) -> tuple[float, ...]:
    kelvins = tuple(sorted({float(t) for t in np.atleast_1d(np.asarray(temperatures, float))}))
    if not kelvins or not all(np.isfinite(t) and t >= 0 for t in kelvins):
        raise ValueError(
            f"temperatures {', '.join(f'{t:g}' for t in kelvins) or 'empty'}: expected numbers "
            "of kelvins, 0 or more"
        )
    return kelvins


def _reference(potential: Potential, element: str, reference: str | None) -> str:
    """Return the reference potential that a model is named for, or its own energy."""
    if reference is not None:
        return reference
    parts = potential.name.split("-")  # element, reference potential, and what else there is
    named = [name for name in list_references() if element in parts and name in parts]
    return named[0] if named else OWN


def _with_migration(result: Scan, calc: ThiryCalculator, checker: ExactReference | None) -> Scan:
    """Add the jump of the vacancy; where a path fails, a note says so."""
    jumps: list[Migration | None] = []
    notes = []
    makers = [(lambda: ThiryCalculator(calc.potential, extrapolation_warning=False), result.a0)]
    if checker is not None and checker.name != OWN:
        makers.append((lambda: load_reference(checker.name, checker.file), checker.a0))
    size = MIGRATION_SIZE[result.lattice]
    for make, a0 in makers:
        perfect = supercell(a0, size, result.element, result.lattice)
        try:
            jumps.append(vacancy_migration(make, perfect, result.lattice, a0))
        except RuntimeError as error:
            jumps.append(None)
            notes.append(f"no vacancy migration: {error}")
    return replace(
        result, migration=jumps[0], exact_migration=(*jumps, None)[1], notes=tuple(notes)
    )
