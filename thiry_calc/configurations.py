"""One configuration of a scan: relaxed at fixed volume and compared to the perfect crystal.

    E_f = E − (N/N0) E_bulk,    S_f = S − (N/N0) S_bulk

with E and S of the model, for N atoms in a box of N0 sites, and the perfect crystal of the same box
(S_bulk vanishes at the model's own lattice constant). Nothing is perturbed before relaxation: what
is built on a saddle, by symmetry, stays on it, for the exact check to recognise. Only then is it
pushed, by 0.03 Å an atom: a saddle of the model falls to a lower state, which is the one to compare
(a learned entropy of a saddle means nothing).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from ase import Atoms, units

from thiry_calc.blocks import extrapolations
from thiry_calc.calculator import ThiryCalculator
from thiry_calc.engines import Engine
from thiry_calc.equilibrium import degeneracy
from thiry_calc.exact import Exact, ExactReference
from thiry_calc.starts import NO_SUPERCELL, Start

SAME_ENERGY, SAME_ENTROPY = 1e-3, 0.01  # eV, k_B: two configurations of a family are one
_PUSH = 0.03  # Å
_PUSHES = 3  # a state below a saddle may be a saddle too
_FMAX_PUSH = 3e-3  # eV/Å: enough to tell energies apart by 1e-4 eV
_FMAX = 1e-4  # eV/Å: 2e-4 k_B


@dataclass(frozen=True)
class Configuration:
    """One relaxed configuration.

    Attributes
    ----------
    name : str
    n_atoms, n_sites : int
        N and N0.
    formation_energy_eV, formation_entropy_kB : float
        Of the model; NaN when it could not be computed.
    energy_std_eV, entropy_std_kB : float or None
        Of the model, where it knows its covariance.
    multiplicity : int or None
        Orientations and positions per lattice site; None where the box is no supercell.
    exact : Exact or None
        What the reference potential says.
    same_as : str or None
        An earlier configuration to which this one relaxed.
    falls_to : str or None
        The lower one to which a small push leads: this one is no minimum of the model.
    notes : tuple of str
        What the user should know.
    atoms : Atoms
        Relaxed.
    """

    name: str
    n_atoms: int
    n_sites: int
    formation_energy_eV: float = float("nan")
    formation_entropy_kB: float = float("nan")
    energy_std_eV: float | None = None
    entropy_std_kB: float | None = None
    multiplicity: int | None = None
    exact: Exact | None = None
    same_as: str | None = None
    falls_to: str | None = None
    notes: tuple[str, ...] = ()
    atoms: Atoms = field(default_factory=Atoms, repr=False, compare=False)

    @property
    def net(self) -> int:
        """N − N0: interstitials minus vacancies."""
        return self.n_atoms - self.n_sites

    @property
    def is_saddle(self) -> bool:
        """Whether an exact check found modes that are negative, or too near zero to tell."""
        return self.exact is not None and not self.exact.is_minimum

    @property
    def competes(self) -> bool:
        """Whether it is a state of its own: computed, no saddle, no copy of another one."""
        excluded = self.is_saddle or self.same_as or self.falls_to
        return bool(np.isfinite(self.formation_energy_eV)) and not excluded

    def formation_free_energy_eV(self, temperature: float, exact: bool = False) -> float:
        """A_f(T), eV, of the model or of the reference potential; NaN when it is not known."""
        values = self.exact if exact else self
        if values is None:
            return float("nan")
        return values.formation_energy_eV - units.kB * temperature * values.formation_entropy_kB


def configuration_of(start: Start, engine: Engine) -> Configuration:
    """Relax and compute one configuration.

    Parameters
    ----------
    start : Start
    engine : Engine
        Of a model with energy and entropy.

    Returns
    -------
    Configuration
        What goes wrong is noted, not raised; energies are NaN when there is none.
    """
    atoms = start.atoms.copy()
    result = Configuration(start.name, len(atoms), start.box.n_sites, atoms=atoms)
    notes = list(start.notes)
    try:
        outcome = engine.relax(atoms, _FMAX)
    except (ValueError, RuntimeError) as error:
        return replace(result, notes=(*notes, f"failed: {error}"))
    if outcome.lost:
        return replace(result, notes=(*notes, f"failed: {outcome.reason}"))
    if not outcome.converged:
        notes.append(f"{outcome.reason}, largest force {outcome.fmax:.1g} eV/Å")
    site = Atoms([atoms.symbols[0]], cell=start.box.primitive, pbc=True)
    n, measured = len(atoms), engine.measure(atoms)
    std = {name: uncertainty.std for name, uncertainty in measured.uncertainties.items()}
    bulk = ThiryCalculator(engine.potential, extrapolation_warning=False)
    return replace(
        result,
        formation_energy_eV=measured.energy - n * float(bulk.get_property("energy", site)),
        formation_entropy_kB=measured.formation_entropy
        - n * float(bulk.get_property("formation_entropy", site)),
        energy_std_eV=std.get("energy"),
        entropy_std_kB=std.get("entropy"),
        multiplicity=degeneracy(atoms, start.box) if start.box.commensurate else None,
        notes=(*notes, *extrapolations(engine.potential, measured.uncertainties)),
    )


def lower_state(configuration: Configuration, start: Start, engine: Engine) -> Start | None:
    """Push a relaxed configuration, and find out whether it is a minimum of the model.

    Parameters
    ----------
    configuration : Configuration
    start : Start
        What it came from.
    engine : Engine

    Returns
    -------
    Start or None
        The lower state to which it falls, its name with an asterisk; None for a minimum.
    """
    if not np.isfinite(configuration.formation_energy_eV):
        return None
    lowest = configuration.atoms.copy()
    energy = top = engine.energy(lowest)
    for seed in range(_PUSHES):
        pushed = lowest.copy()
        pushed.rattle(_PUSH, seed=seed)
        if engine.relax(pushed, _FMAX_PUSH).lost:
            break
        new_energy = engine.energy(pushed)
        if new_energy > energy - SAME_ENERGY:
            break
        lowest, energy = pushed, new_energy
    if energy == top:
        return None
    lowest.calc = None
    notes = () if start.box.commensurate else (NO_SUPERCELL,)
    return Start(f"{start.name}*", lowest, start.box, notes=notes)


def with_exact(
    configuration: Configuration, start: Start, checker: ExactReference
) -> Configuration:
    """Add what the reference potential says; a failure is noted, not raised.

    Parameters
    ----------
    configuration : Configuration
    start : Start
        Built again at the reference potential's lattice constant where it has a name.
    checker : ExactReference

    Returns
    -------
    Configuration
    """
    atoms = start.atoms if start.rebuild is None else start.rebuild(checker.a0)
    try:
        exact = checker.values(atoms)
    except (ValueError, RuntimeError) as error:
        return replace(configuration, notes=(*configuration.notes, f"no exact value: {error}"))
    notes = list(configuration.notes)
    if exact.n_negative_modes:
        modes = "mode" if exact.n_negative_modes == 1 else "modes"
        notes.append(f"saddle: {exact.n_negative_modes} negative {modes}")
    elif exact.n_near_zero_modes:
        notes.append(f"no clear minimum: {exact.n_near_zero_modes} modes near zero")
    return replace(configuration, exact=exact, notes=tuple(notes))


def compared(new: Configuration, earlier: Sequence[Configuration]) -> Configuration:
    """Note when a configuration has relaxed to an earlier one of its family.

    Parameters
    ----------
    new : Configuration
    earlier : sequence of Configuration

    Returns
    -------
    Configuration
        With `same_as` set when energy and entropy agree to 1 meV and 0.01 k_B.
    """
    for old in earlier:
        if (
            old.n_sites == new.n_sites
            and old.net == new.net
            and abs(old.formation_energy_eV - new.formation_energy_eV) < SAME_ENERGY
            and abs(old.formation_entropy_kB - new.formation_entropy_kB) < SAME_ENTROPY
        ):
            same = old.same_as or old.name
            return replace(new, same_as=same, notes=(*new.notes, f"relaxed to {same}"))
    return new
