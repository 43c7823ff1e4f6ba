"""Attempt frequencies and rates of iron's simplest jumps: learned against exact.

    python -m training.recipes.rates

Paths of AM04 by a nudged elastic band, its saddle by Newton's method, Vineyard's prefactor from the
formation entropies of minimum and saddle. The model is asked twice: for the entropies of AM04's own
structures, and for everything, at its own minima and saddles. Γ is that of crossing one saddle:
where two of them flank a shallow minimum (the vacancy of AM04), half of the crossings return.
Writes ``rates.md``.
"""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms, units
from numpy.typing import NDArray

from thiry_calc import ThiryCalculator
from thiry_calc.defects import supercell
from thiry_calc.hessian import get_hessian
from thiry_calc.linear.files import write_atomically
from thiry_calc.migration import elastic_band
from thiry_calc.relax import relax
from thiry_calc.saddles import attempt_frequency, lowest_modes, to_saddle
from training.label import bulk_reference, label
from training.references.am04 import AM04, LATTICE_CONSTANT

Array = NDArray[np.float64]

FMAX = 1e-5  # eV/Å
TEMPERATURES = (300, 600, 900)  # K
SOFT = 1e-3  # eV/Å², what a zero mode may be off
HALF = 0.3  # a0, half a dumbbell before relaxation


class Jump(NamedTuple):
    """Two neighbouring minima, before relaxation, of the same atoms in the same order."""

    before: Atoms
    after: Atoms


class Rate(NamedTuple):
    """Of a jump to one neighbour.

    Attributes
    ----------
    entropy_minimum, entropy_saddle : float
        Of formation, k_B.
    barrier : float
        eV.
    attempt_frequency : float
        1/s.
    """

    entropy_minimum: float
    entropy_saddle: float
    barrier: float
    attempt_frequency: float

    def at(self, temperature: float) -> float:
        """Γ(T), 1/s."""
        return self.attempt_frequency * float(np.exp(-self.barrier / (units.kB * temperature)))


def jumps(size: int) -> dict[str, Jump]:
    """Vacancy, divacancy (first to second neighbours) and ⟨110⟩ dumbbell (to a first neighbour).

    Parameters
    ----------
    size : int
        Cubic cells a side.

    Returns
    -------
    dict of str to Jump
    """
    perfect = supercell(LATTICE_CONSTANT, size)
    center = perfect.positions[_at(perfect, perfect.cell.array.sum(axis=0) / 2)]
    first, second = (LATTICE_CONSTANT * np.array(v) for v in ((0.5, 0.5, 0.5), (1.0, 0.0, 0.0)))
    return {
        "vacancy": _vacancies(perfect, [center], center + first),
        "divacancy": _vacancies(perfect, [center + first, center], center + second),
        "dumbbell": _dumbbell(perfect, center, first),
    }


def _at(atoms: Atoms, point: Array) -> int:
    return int(np.argmin(np.linalg.norm(atoms.positions - point, axis=1)))


def _vacancies(perfect: Atoms, points: list[Array], jumper: Array) -> Jump:
    """Vacancies at some points, and an atom that jumps into the first of them."""
    target = perfect.positions[_at(perfect, points[0])]
    before, after = perfect.copy(), perfect.copy()
    after.positions[_at(perfect, jumper)] = target
    emptied = [_at(perfect, point) for point in points]
    del before[emptied], after[emptied]
    return Jump(before, after)


def _dumbbell(perfect: Atoms, center: Array, shift: Array) -> Jump:
    """Make a [110] dumbbell jump to a neighbour and turn (Johnson's mechanism).

    One of its atoms stays and takes the site; the other joins the atom at the neighbouring site,
    along [101].
    """
    half = HALF * LATTICE_CONSTANT / np.sqrt(2)
    stays, joined = _at(perfect, center), _at(perfect, center + shift)
    before = perfect.copy()
    before.append("Fe")
    after = before.copy()
    before.positions[[stays, -1]] = center + half * np.array([[-1, -1, 0], [1, 1, 0]])
    after.positions[[joined, -1]] = center + shift + half * np.array([[1, 0, 1], [-1, 0, -1]])
    return Jump(before, after)


def exact_rate(jump: Jump, size: int) -> tuple[Rate, Atoms, Atoms]:
    """Rate by AM04, its minimum and its saddle.

    Parameters
    ----------
    jump : Jump
    size : int

    Returns
    -------
    Rate, Atoms, Atoms

    Raises
    ------
    RuntimeError
        When minima or saddle do not converge.
    """
    for atoms in jump:
        atoms.calc = AM04()
        outcome = relax(atoms, FMAX)
        if not outcome.converged:
            raise RuntimeError(f"an end of the path: {outcome.reason}")
    images = elastic_band(AM04, *jump)
    saddle = max(images, key=lambda image: image.get_potential_energy())
    to_saddle(saddle, FMAX)
    bulk = bulk_reference(supercell(LATTICE_CONSTANT, size), AM04())
    low, high = label(jump.before, AM04(), bulk), label(saddle, AM04(), bulk, saddle=True)
    assert high.unstable_eigenvalue is not None
    rate = _rate(
        low.formation_entropy_kB,
        high.formation_entropy_kB,
        high.energy - low.energy,
        high.unstable_eigenvalue,
    )
    return rate, jump.before, saddle


def learned_rates(
    minimum: Atoms, saddle: Atoms, exact: Rate, calc: ThiryCalculator
) -> tuple[Rate, Rate]:
    """Rates by the model: its entropies of the exact structures, and everything of its own.

    Parameters
    ----------
    minimum, saddle : Atoms
        Of AM04.
    exact : Rate
        Of AM04, for barrier and unstable mode of the first.
    calc : ThiryCalculator

    Returns
    -------
    tuple of Rate

    Raises
    ------
    RuntimeError
        When its minimum does not relax or its saddle is none of first order.
    """
    unstable = float(lowest_modes(get_hessian(saddle, AM04()), 1)[0][0])
    given = _rate(_entropy(minimum, calc), _entropy(saddle, calc), exact.barrier, unstable)
    low, high = minimum.copy(), saddle.copy()
    low.calc = high.calc = calc
    outcome = relax(low, 1e-4)
    if not outcome.converged:
        raise RuntimeError(f"the minimum of the model: {outcome.reason}")
    energy = low.get_potential_energy()
    to_saddle(high)
    barrier = high.get_potential_energy() - energy
    unstable, second = (float(v) for v in lowest_modes(get_hessian(high), 2)[0])
    if second < -SOFT:
        raise RuntimeError(f"the model's saddle has a second negative mode, {second:g} eV/Å²")
    return given, _rate(_entropy(low, calc), _entropy(high, calc), barrier, unstable)


def _entropy(atoms: Atoms, calc: ThiryCalculator) -> float:
    return float(calc.get_property("formation_entropy", atoms))


def _rate(low: float, high: float, barrier: float, unstable: float) -> Rate:
    mass = Atoms("Fe").get_masses()[0]
    return Rate(low, high, float(barrier), attempt_frequency(low, high, unstable / mass))


def table(rates: dict[str, dict[str, Rate]]) -> str:
    """Markdown table of rates by jump and source."""
    heads = "".join(f" Γ({t} K), 1/s |" for t in TEMPERATURES)
    lines = [
        f"| jump | by | barrier, eV | S_f minimum | S_f saddle, k_B | ν, THz |{heads}",
        "|---|---|---|---|---|---|" + "---|" * len(TEMPERATURES),
    ]
    for name, by in rates.items():
        for source, rate in by.items():
            values = "".join(f" {rate.at(t):.3g} |" for t in TEMPERATURES)
            lines.append(
                f"| {name} | {source} | {rate.barrier:.3f} | {rate.entropy_minimum:.3f} "
                f"| {rate.entropy_saddle:.3f} | {1e-12 * rate.attempt_frequency:.1f} |{values}"
            )
    lines += ["", "Γ of crossing one saddle; of two about a shallow minimum, halve it.", ""]
    return "\n".join(lines)


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="Fe-AM04")
    parser.add_argument("--size", type=int, default=7, help="cubic cells a side")
    parser.add_argument("--output", type=Path, default=Path("potentials/Fe-AM04"))
    args = parser.parse_args()
    calc = ThiryCalculator(args.model)
    rates: dict[str, dict[str, Any]] = {}
    for name, jump in jumps(args.size).items():
        exact, minimum, saddle = exact_rate(jump, args.size)
        given, own = learned_rates(minimum, saddle, exact, calc)
        rates[name] = {
            "AM04": exact,
            f"entropies of {args.model}": given,
            f"all of {args.model}": own,
        }
        print(table({name: rates[name]}), flush=True)
    args.output.mkdir(parents=True, exist_ok=True)
    write_atomically(args.output / "rates.md", table(rates))


if __name__ == "__main__":
    main()
