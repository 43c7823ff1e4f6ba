"""Export of a model to LAMMPS: .yace files, proven by reading them back.

What is written is read again and evaluated by `thiry_calc.yace.evaluator` on a crystal, a skewed
cell, a slab and a cluster; unless energies, forces and virials are the calculator's to 1e-8 eV,
1e-7 eV/Å and 1e-6 eV, no file is kept. (Terms that cancel leave more to rounding: AFS with twenty
radial functions, whose coefficients are 1e5 eV, is the calculator's to 2e-8 eV for 16 atoms.)
"""

import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_masses, atomic_numbers, covalent_radii
from numpy.typing import NDArray

from thiry_calc import __version__
from thiry_calc.calculator import ThiryCalculator
from thiry_calc.descriptors import ZBL
from thiry_calc.linear.files import check_folder, replacing
from thiry_calc.neighbors import neighbors_of, pair_forces_to_forces
from thiry_calc.potential import Potential
from thiry_calc.yace.evaluator import Values, evaluate
from thiry_calc.yace.expansion import Core, expand
from thiry_calc.yace.one_file import merge
from thiry_calc.yace.text import read, write

Array = NDArray[np.float64]

LAMMPS_VERSION = "23Jun2022"
TOLERANCES = (1e-8, 1e-7, 1e-6)  # eV, eV/Å, eV
NO_ACTIVE_SET = (
    "no active set for pair_style pace/extrapolation: it grades by MaxVol over the uncoupled B "
    "functions of pacemaker's own .yaml basis, which a .yace no longer has; thiry_calc grades by "
    "the leverage of its own features (thiry predict)"
)


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes
    ----------
    files : tuple of Path
        One for each cutoff of the model, unless it was fitted into one.
    exact : bool
    radial_error : float
        Largest relative error of a fitted radial function; 0 where all are exact.
    energy_error, force_error, virial_error : float
        Largest differences from the calculator, eV, eV/Å, eV, over the structures of the check.
    spline_force_error : float
        That of forces when radial functions come from splines, as in LAMMPS, eV/Å.
    commands : str
        Lines of LAMMPS input.
    """

    files: tuple[Path, ...]
    exact: bool
    radial_error: float
    energy_error: float
    force_error: float
    virial_error: float
    spline_force_error: float
    commands: str


def export(
    model: str | Path | Potential,
    file: str | Path,
    temperature: float | None = None,
    *,
    one_file: int | None = None,
) -> Exported:
    """Write a model for ``pair_style pace``.

    Parameters
    ----------
    model : str, Path or Potential
    file : str or Path
        ``NAME.yace``. Further cutoffs go to ``NAME.2.yace``, …, which LAMMPS adds up.
    temperature : float, optional
        K: A(T) instead of E, for minimisation and paths, not for dynamics.
    one_file : int, optional
        Fit what has a smaller cutoff by so many functions of the largest, into one file: no
        longer exact, with errors reported instead of refused.

    Returns
    -------
    Exported

    Raises
    ------
    ValueError
        For a model that has no such form, or bad input.
    RuntimeError
        When the files do not reproduce the model; they are not kept.
    """
    potential = model if isinstance(model, Potential) else Potential.load(model)
    path = Path(file)
    if re.search(r"[\s#&$\"']", path.name):
        raise ValueError(f"LAMMPS cannot read the name {path.name!r}; use letters, digits and -_.")
    if path.suffix != ".yace":
        raise ValueError(f"{str(file)!r} should end with .yace, by which LAMMPS knows the format")
    if one_file is not None and not 40 <= one_file <= 1000:
        raise ValueError(f"cannot fit by {one_file} radial functions; give 40 to 1000")
    check_folder(path)
    expansions, core = expand(potential, temperature)
    exact, radial_error = True, 0.0
    if one_file is not None and len(expansions) > 1:
        merged, radial_error = merge(expansions, one_file)
        expansions, exact = [merged], False
    paths = [path, *(path.with_suffix(f".{n}.yace") for n in range(2, len(expansions) + 1))]
    commands = _commands(potential, paths, core, temperature)
    header = _header(potential, temperature, commands)
    with ExitStack() as stack:
        drafts = [stack.enter_context(replacing(p)) for p in paths]
        for draft, expansion in zip(drafts, expansions, strict=True):
            draft.write_text(write(expansion, header), encoding="utf-8")
        errors, in_lammps, noise = _errors(potential, temperature, [read(d) for d in drafts])
        allowed = [t * max(1.0, noise / TOLERANCES[0]) for t in TOLERANCES]
        if exact and not all(e <= a for e, a in zip(errors, allowed, strict=True)):
            raise RuntimeError(
                f"the file does not reproduce model {potential.name!r} (energy {errors[0]:.1e} eV, "
                f"forces {errors[1]:.1e} eV/Å, virial {errors[2]:.1e} eV apart) and was not kept"
            )
    return Exported(tuple(paths), exact, radial_error, *errors, in_lammps, commands)


def _header(potential: Potential, temperature: float | None, commands: str) -> list[str]:
    what = "energy E" if not temperature else f"free energy A(T) = E - T S at T = {temperature:g} K"
    return [
        f"{what} of model {potential.name}, written by thiry_calc {__version__}",
        "units metal: eV, Angstrom",
        f"needs LAMMPS {LAMMPS_VERSION} or later with the ML-PACE package",
        *(["for minimisation and minimum-energy paths, not for dynamics"] if temperature else []),
        *commands.splitlines(),
    ]


def _commands(
    potential: Potential, paths: Sequence[Path], core: Core | None, temperature: float | None
) -> str:
    """Lines of LAMMPS input."""
    elements = " ".join(potential.elements)
    lines = ["units metal", "atom_style atomic"]
    crystal = potential.crystal
    if crystal is None:
        lines.append("read_data structure.data")
    else:
        masses = [atomic_masses[atomic_numbers[e]] for e in potential.elements]
        lines += [
            f"lattice {crystal.lattice} {crystal.a0:.6f}",
            "region box block 0 10 0 10 0 10",
            f"create_box {len(masses)} box",
            "create_atoms 1 box",
            *(f"mass {k} {m:.4f}" for k, m in enumerate(masses, 1)),
        ]
    if len(paths) == 1 and core is None:
        lines += ["pair_style pace", f"pair_coeff * * {paths[0].name} {elements}"]
    else:
        styles = ["pace"] * len(paths)
        styles += [f"zbl {core.r_inner!r} {core.r_cut!r}"] if core else []
        lines.append(f"pair_style hybrid/overlay {' '.join(styles)}")
        for k, path in enumerate(paths, 1):
            which = f"pace {k}" if len(paths) > 1 else "pace"
            lines.append(f"pair_coeff * * {which} {path.name} {elements}")
        if core:
            z = [atomic_numbers[e] for e in potential.elements]
            lines += [
                f"pair_coeff {a + 1} {b + 1} zbl {z[a]} {z[b]}"
                for a in range(len(z))
                for b in range(a, len(z))
            ]
    run = "minimize 0 1.0e-4 1000 10000" if temperature else "run 0"
    return "\n".join([*lines, run])


def _errors(
    potential: Potential, temperature: float | None, trees: Sequence[dict[str, Any]]
) -> tuple[tuple[float, float, float], float, float]:
    """Largest differences from the calculator over the structures of the check.

    Returns
    -------
    errors : tuple of float
        Of energy (eV), forces (eV/Å) and virial (eV).
    in_lammps : float
        Of the forces when radial functions are splines.
    noise : float
        Energy that rounding may change, eV.
    """
    calc = ThiryCalculator(potential, temperature, extrapolation_warning=False)
    cores = [part for part in potential.descriptor.parts if isinstance(part, ZBL)]
    worst, in_lammps, noise = np.zeros(3), 0.0, 0.0
    for atoms in _structures(potential.elements):
        core = [_core_values(part, atoms) for part in cores]
        read_back = _summed([*(evaluate(tree, atoms) for tree in trees), *core])
        splined = _summed([*(evaluate(tree, atoms, splines=True) for tree in trees), *core])
        atoms.calc = calc
        forces = atoms.get_forces()
        own = np.zeros((3, 3))
        if atoms.cell.rank == 3:
            own = -atoms.get_stress(voigt=False) * atoms.get_volume()
        else:
            read_back = read_back._replace(virial=own)
        differences = [
            abs(read_back.energy - atoms.get_potential_energy(force_consistent=True)),
            np.abs(read_back.forces - forces).max(),
            np.abs(read_back.virial - own).max(),
        ]
        worst = np.maximum(worst, differences)
        in_lammps = max(in_lammps, float(np.abs(splined.forces - forces).max()))
        noise = max(noise, 4 * np.finfo(float).eps * read_back.magnitude)
    return (float(worst[0]), float(worst[1]), float(worst[2])), in_lammps, noise


def _summed(values: Sequence[Values]) -> Values:
    """Sum what the files give."""
    return Values(*(sum(x[1:], start=x[0]) for x in zip(*values, strict=True)))


def _core_values(part: ZBL, atoms: Atoms) -> Values:
    nl = neighbors_of(atoms, part.cutoff)
    sites, pair_forces = part.pull(nl, np.ones(1))
    forces = pair_forces_to_forces(nl.first, nl.neighbor, pair_forces)
    return Values(float(sites.sum()), forces, -nl.vectors.T @ pair_forces, 0.0)


def _structures(elements: Sequence[str]) -> list[Atoms]:
    """Disordered crystal, skewed cell, slab and cluster of all the elements, always the same."""
    rng = np.random.default_rng(0)
    radius = float(np.mean([covalent_radii[atomic_numbers[e]] for e in elements]))
    a0 = 2 * radius / 0.75**0.5  # nearest neighbours of bcc touch
    cubic = bulk("Fe", "bcc", a0, cubic=True)
    crystal = cubic * (2, 2, 2)
    skewed = bulk("Fe", "bcc", a0) * (2, 1, 1)
    skewed.set_cell(skewed.cell.array @ (np.eye(3) + rng.uniform(-0.1, 0.1, (3, 3))), True)
    slab = cubic * (1, 2, 3)
    slab.center(vacuum=a0, axis=2)
    slab.pbc = (True, True, False)
    cluster = cubic * (2, 2, 1)
    cluster.cell, cluster.pbc = np.zeros((3, 3)), False
    out = [crystal, skewed, slab, cluster]
    for atoms in out:
        atoms.symbols[:] = rng.choice(list(elements), len(atoms))
        atoms.positions += rng.normal(0, 0.04 * a0, atoms.positions.shape)
    return out
