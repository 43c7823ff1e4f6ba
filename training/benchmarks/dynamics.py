"""Long molecular dynamics of a potential: whether its crystal and its melt hold together.

    python -m training.benchmarks.dynamics Fe-DFT --temperature 1500 --picoseconds 100
    python -m training.benchmarks.dynamics Fe-DFT --temperature 2500 --picoseconds 20 --liquid

Langevin dynamics at constant volume, that of the crystal at rest times (1 + `--expansion`)³; a
liquid is melted at twice the temperature for 2 ps. Prints, every 5 ps, the mean temperature and
potential energy, the shortest distance, the largest displacement from the sites, and the largest
leverage of an atom in units of the training data's. Fails when a distance falls below half the
nearest neighbours' or energies are not finite.
"""

import argparse
import sys

import numpy as np
from ase import Atoms, units
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution

from thiry_calc import Potential, ThiryCalculator
from thiry_calc.defects import supercell
from thiry_calc.neighbors import neighbors_of

_EVERY = 0.05  # ps, between samples
_MELTING = 2.0  # ps


def crystal_of(potential: Potential, size: int, expansion: float) -> Atoms:
    """Crystal of a potential, expanded, with its calculator."""
    crystal = potential.crystal
    assert crystal is not None
    atoms = supercell(crystal.a0 * (1 + expansion), size, potential.elements[0], crystal.lattice)
    atoms.calc = ThiryCalculator(potential, extrapolation_warning=False)
    return atoms


def shortest(atoms: Atoms, r_cut: float) -> float:
    """Shortest distance, Å."""
    return float(np.linalg.norm(neighbors_of(atoms, r_cut).vectors, axis=1).min(initial=r_cut))


def run(atoms: Atoms, temperature: float, picoseconds: float, step: float, seed: int) -> None:
    """Run, print, and stop at the first sign of collapse."""
    r_cut = atoms.calc.potential.cutoff
    limit = atoms.calc.potential.target("energy").max_leverage
    least, sites, n = shortest(atoms, r_cut) / 2, atoms.positions.copy(), len(atoms)
    dynamics = Langevin(
        atoms,
        step * units.fs,
        temperature_K=temperature,
        friction=0.01 / units.fs,
        rng=np.random.default_rng(seed),
    )
    every = round(1e3 * _EVERY / step)
    samples: list[tuple[float, float, float, float]] = []
    for count in range(1, round(picoseconds / _EVERY) + 1):
        dynamics.run(every)
        energy = atoms.get_potential_energy() / n
        distance = shortest(atoms, r_cut)
        if not np.isfinite(energy) or distance < least:
            sys.exit(f"{count * _EVERY:.2f} ps: {energy} eV/atom, shortest distance {distance} Å")
        leverage = float(np.max(atoms.calc.get_property("leverage", atoms))) / limit
        samples.append((atoms.get_temperature(), energy, distance, leverage))
        if count % 100 == 0 or count == round(picoseconds / _EVERY):
            kelvin, mean, _, _ = np.mean(samples, axis=0)
            away = float(np.linalg.norm(atoms.positions - sites, axis=1).max())
            print(
                f"{count * _EVERY:6.1f} ps {kelvin:6.0f} K {mean:10.4f} eV/atom, shortest "
                f"{min(s[2] for s in samples):.3f} Å, farthest {away:.2f} Å, leverage "
                f"{max(s[3] for s in samples):.2f}",
                flush=True,
            )
            samples.clear()


def main() -> None:
    """Melt if asked, and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--temperature", type=float, default=1500.0, help="K")
    parser.add_argument("--picoseconds", type=float, default=100.0)
    parser.add_argument("--step", type=float, default=2.0, help="fs")
    parser.add_argument("--size", type=int, default=5, help="cubic cells per side")
    parser.add_argument("--expansion", type=float, default=0.02, help="of lengths")
    parser.add_argument("--liquid", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    atoms = crystal_of(Potential.load(args.model), args.size, args.expansion)
    rng = np.random.default_rng(args.seed)
    MaxwellBoltzmannDistribution(atoms, temperature_K=2 * args.temperature, rng=rng)
    if args.liquid:
        run(atoms, 2 * args.temperature, _MELTING, args.step, args.seed)
    run(atoms, args.temperature, args.picoseconds, args.step, args.seed)


if __name__ == "__main__":
    main()
