"""Exact harmonic vibrational entropy from a Hessian, without learning.

The Hessian is that of a model, of a reference potential, or of a file; one sparse factorisation
gives ln det′ (`thiry_calc.harmonic`). Formation entropies need the perfect crystal of the same box.
"""

import argparse
import json
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from ase import Atoms

from thiry_calc.crystals import repeats_itself
from thiry_calc.harmonic import HarmonicThermodynamics, formation_entropy
from thiry_calc.hessian import get_hessian, max_force
from thiry_calc.hessian_files import read_hessian
from thiry_calc.references import load_reference
from thiry_calc.relax import relax
from thiry_calc.structures import read_structures
from thiry_calc.zero_modes import CASES

EXAMPLE = "thiry entropy vacancy.xyz --reference-potential AM04 --reference bulk.xyz --json"
FORCE_LIMIT = 1e-3  # eV/Å: the entropy of a 1024-atom cell then errs by about 0.005 k_B


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("file", help="relaxed structures, in any format of ase.io")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--model", help="shipped model, or path of a model file")
    source.add_argument("--reference-potential", metavar="NAME", help="such as AM04")
    parser.add_argument(
        "--potential-file", metavar="FILE", help="table of the reference potential, if it needs one"
    )
    source.add_argument("--hessian", metavar="FILE", help=".npy, .npz, text; eV/Å²")
    source.add_argument(
        "--phonopy", metavar="FILE", help="FORCE_CONSTANTS, force_constants.hdf5, phonopy*.yaml"
    )
    parser.add_argument(
        "--reference",
        metavar="BULK",
        help="perfect crystal of the same box: a structure; with --hessian or --phonopy, "
        "the file of its Hessian or force constants",
    )
    parser.add_argument(
        "--temperature", type=float, default=300.0, metavar="T", help="K (default 300)"
    )
    parser.add_argument("--quantum", action="store_true", help="Bose statistics; implies --modes")
    parser.add_argument(
        "--modes", action="store_true", help="diagonalise too, and list the lowest frequencies"
    )
    parser.add_argument("--zero-modes", choices=CASES, default="auto", help="rigid motions")
    parser.add_argument("--relax", action="store_true", help="relax first, at fixed cell")


def run(args: argparse.Namespace) -> int:
    """Compute and print.

    Parameters
    ----------
    args : argparse.Namespace

    Returns
    -------
    int
        0.

    Raises
    ------
    ValueError
        Bad input.
    RuntimeError
        A structure with forces (and no ``--relax``), or a relaxation that does not converge.
    """
    lowest_allowed = args.temperature >= 0 if args.quantum else args.temperature > 0
    if not (np.isfinite(args.temperature) and lowest_allowed):
        raise ValueError(f"--temperature {args.temperature:g} K: expected a positive temperature")
    frames = read_structures(args.file)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        structures = _entropies(args, frames)
    for text in dict.fromkeys(str(warning.message) for warning in caught):
        print(f"thiry: warning: {text}", file=sys.stderr)
    _report_unstable(args.file, structures)
    if args.json:
        print(json.dumps({"structures": structures}, indent=2, allow_nan=False))
    else:
        _print_table(args, structures)
    return 0


@dataclass(frozen=True)
class _Bulk:
    """The perfect crystal that formation entropies refer to."""

    log_det: float
    n_atoms: int
    cell: np.ndarray[Any, Any] | None


def _entropies(args: argparse.Namespace, frames: list[Atoms]) -> list[dict[str, Any]]:
    calc = _calculator(args)
    if calc is None:
        _single(args.file, frames)
    bulk = _bulk(args, calc)
    results = []
    for number, atoms in enumerate(frames):
        where = f"{args.file}, frame {number}"
        if calc is None:
            atoms, hessian = _from_file(args, atoms)
        else:
            hessian = _from_calculator(atoms, calc, args.relax, where)
        thermo = HarmonicThermodynamics.from_hessian(
            hessian, atoms, zero_modes=args.zero_modes, modes=args.modes or args.quantum
        )
        results.append(_describe(thermo, atoms, bulk, args, where))
    return results


def _single(path: str, frames: list[Atoms]) -> Atoms:
    if len(frames) != 1:
        raise ValueError(f"{path!r} holds {len(frames)} structures; give the one that belongs here")
    return frames[0]


def _calculator(args: argparse.Namespace) -> Any:
    if args.model:
        from thiry_calc import ThiryCalculator

        return ThiryCalculator(args.model)
    if not args.reference_potential:
        return None
    return load_reference(args.reference_potential, args.potential_file)


def _from_file(args: argparse.Namespace, atoms: Atoms) -> tuple[Atoms, sp.csr_array]:
    if args.hessian:
        return atoms, read_hessian(args.hessian, atoms)
    from thiry_calc.phonopy_io import read_phonopy

    hessian, supercell = read_phonopy(args.phonopy, atoms)
    return supercell, hessian


def _from_calculator(atoms: Atoms, calc: Any, relaxed: bool, where: str) -> sp.csr_array:
    atoms.calc = calc
    if relaxed:
        outcome = relax(atoms, fmax=1e-5, max_steps=2000)
        if not outcome.converged:
            raise RuntimeError(f"{where}: {outcome.reason}; relax it by other means")
    force = max_force(atoms)
    if force > FORCE_LIMIT:
        raise RuntimeError(
            f"{where} is not at a minimum: its largest force is {force:.2g} eV/Å, and "
            f"{FORCE_LIMIT:g} or less was expected; relax it, or give --relax"
        )
    return get_hessian(atoms)


def _bulk(args: argparse.Namespace, calc: Any) -> _Bulk | None:
    if not args.reference:
        return None
    atoms = None
    if calc is not None:
        atoms = _single(args.reference, read_structures(args.reference))
        hessian = _from_calculator(atoms, calc, False, f"the reference {args.reference}")
    elif Path(args.reference).suffix in (".yaml", ".yml"):
        from thiry_calc.phonopy_io import read_phonopy

        hessian, atoms = read_phonopy(args.reference)
    else:
        hessian = read_hessian(args.reference)
    if atoms is not None and atoms.pbc.all() and not repeats_itself(atoms):
        raise ValueError(
            f"the reference {args.reference} is no perfect crystal: no translation maps it onto "
            "itself; give the supercell without the defect"
        )
    geometry = {} if atoms is None else {"positions": atoms.positions, "cell": atoms.cell.array}
    n_atoms = hessian.shape[0] // 3
    thermo = HarmonicThermodynamics.from_hessian(
        hessian, masses=np.ones(n_atoms), pbc=True, zero_modes="crystal", **geometry
    )
    if thermo.n_negative_modes or thermo.n_near_zero_modes:
        raise RuntimeError(
            f"the reference {args.reference} is no stable crystal: {thermo.n_negative_modes} "
            f"negative and {thermo.n_near_zero_modes} near-zero modes"
        )
    cell = None if atoms is None else atoms.cell.array
    return _Bulk(thermo.log_determinant_hessian, n_atoms, cell)


def _describe(
    thermo: HarmonicThermodynamics,
    atoms: Atoms,
    bulk: _Bulk | None,
    args: argparse.Namespace,
    where: str,
) -> dict[str, Any]:
    """One structure as the JSON has it; what a structure that is no minimum lacks is null."""
    stable = thermo.n_negative_modes == 0 and thermo.n_near_zero_modes == 0
    vibrational = formation = free_energy = None
    if stable:
        vibrational = thermo.entropy_kB(args.temperature, args.quantum)
        free_energy = thermo.free_energy(args.temperature, args.quantum)
    if bulk is not None:
        _check_box(atoms, bulk, where)
        if stable:
            log_det = thermo.log_determinant_hessian
            formation = formation_entropy(log_det, len(atoms), bulk.log_det, bulk.n_atoms)
    result = {
        "vibrational_entropy_kB": vibrational,
        "formation_entropy_kB": formation,
        "n_atoms": thermo.n_atoms,
        "n_zero_modes": thermo.n_zero_modes,
        "n_negative_modes": thermo.n_negative_modes,
        "n_near_zero_modes": thermo.n_near_zero_modes,
        "temperature_K": args.temperature,
        "vibrational_free_energy_eV": free_energy,
    }
    if thermo.eigenvalues is not None:
        result["lowest_frequencies_THz"] = thermo.frequencies_THz()[:6].tolist()
    return result


def _check_box(atoms: Atoms, bulk: _Bulk, where: str) -> None:
    same_count = abs(len(atoms) - bulk.n_atoms) <= 0.2 * bulk.n_atoms
    same_cell = bulk.cell is None or np.allclose(atoms.cell.array, bulk.cell, rtol=0, atol=1e-3)
    if not (same_count and same_cell):
        raise ValueError(
            f"{where} ({len(atoms)} atoms) and the reference ({bulk.n_atoms} atoms) have different "
            "boxes; give the perfect crystal in the box of the structure"
        )


def _report_unstable(file: str, structures: list[dict[str, Any]]) -> None:
    for number, s in enumerate(structures):
        negative, near_zero = s["n_negative_modes"], s["n_near_zero_modes"]
        if negative or near_zero:
            print(
                f"thiry: {file}, frame {number} is not a minimum: {negative} negative and "
                f"{near_zero} near-zero modes; it has no entropy",
                file=sys.stderr,
            )


def _print_table(args: argparse.Namespace, structures: list[dict[str, Any]]) -> None:
    statistics = "quantum" if args.quantum else "classical"
    print(f"Harmonic vibrations at {args.temperature:g} K, {statistics}")
    print(f"{'frame':>5} {'atoms':>6} {'zero':>4} {'negative':>8} {'S/k_B':>14} {'S_f/k_B':>10}")
    for number, s in enumerate(structures):
        total = _number(s["vibrational_entropy_kB"], 6)
        formation = _number(s["formation_entropy_kB"], 4)
        counts = f"{s['n_atoms']:>6} {s['n_zero_modes']:>4} {s['n_negative_modes']:>8}"
        print(f"{number:>5} {counts} {total:>14} {formation:>10}")
        if "lowest_frequencies_THz" in s:
            listed = " ".join(f"{f:.4f}" for f in s["lowest_frequencies_THz"])
            print(f"      lowest frequencies (THz; negative: unstable): {listed}")


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
