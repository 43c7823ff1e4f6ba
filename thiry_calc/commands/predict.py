"""Energy, entropy, free energy and their uncertainty for each structure of a file.

With a temperature the free energy is A(T) and the forces written by ``-o`` derive from it;
without one the free energy is the energy and the vibrational entropy is that at 300 K.
"""

import argparse
import json
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.singlepoint import SinglePointCalculator
from tqdm import tqdm

from thiry_calc.calculator import ThiryCalculator
from thiry_calc.linear.files import check_folder
from thiry_calc.structures import read_structures, write_structures

EXAMPLE = "thiry predict vacancies.xyz.xz --model Fe-AM04 --temperature 600 -o predicted.extxyz"
KEYS = {
    "energy_eV": "energy",
    "formation_entropy_kB": "formation_entropy",
    "vibrational_entropy_eV_per_K": "vibrational_entropy",
    "free_energy_eV": "free_energy",
    "energy_std_eV": "energy_std",
    "entropy_std_kB": "entropy_std",
}
FOR_ASE = ("energy", "free_energy", "forces", "stress", "energies")
PER_ATOM = ("site_entropies", "leverage")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("file", help="structures, in any format of ase.io, .xz/.gz/.bz2 too")
    parser.add_argument("--model", default="Fe-AM04", help="shipped model, or a model file")
    parser.add_argument("--temperature", type=float, metavar="T", help="of A(T), K")
    parser.add_argument(
        "-o", dest="output", metavar="FILE", help="write forces and per-atom values there, extxyz"
    )


def run(args: argparse.Namespace) -> int:
    """Predict and print."""
    calc = ThiryCalculator(args.model, temperature=args.temperature, progress=True)
    if args.output:
        check_folder(args.output)
    frames = read_structures(args.file)
    rows, written = [], []
    for number, atoms in enumerate(tqdm(frames, desc="predict", disable=None, leave=False)):
        try:
            results = _predict(calc, atoms)
        except ValueError as error:
            raise ValueError(f"{args.file}, frame {number}: {error}") from error
        rows.append(results)
        if args.output:
            written.append(_labelled(atoms, results, args.temperature))
    if args.output:
        write_structures(args.output, written)
    if args.json:
        at = {"temperature_K": args.temperature or 0.0}
        structures = [{key: r.get(name) for key, name in KEYS.items()} | at for r in rows]
        print(json.dumps({"structures": structures}, indent=2, allow_nan=False))
    else:
        _print_table(frames, rows, args.temperature)
    return 0


def _predict(calc: ThiryCalculator, atoms: Atoms) -> dict[str, Any]:
    """Whatever the model has of KEYS, FOR_ASE and PER_ATOM; the rest is left out."""
    targets = calc.potential.targets
    results = {}
    for name in dict.fromkeys((*KEYS.values(), *FOR_ASE, *PER_ATOM)):
        if "entrop" in name and "entropy" not in targets:
            continue
        if name == "stress" and atoms.cell.rank < 3:
            continue
        if name in ("energy_std", "entropy_std", "leverage") and not calc.has_uncertainty:
            continue
        try:
            value = calc.get_property(name, atoms)
        except PropertyNotImplementedError:
            continue
        if np.isfinite(value).all():
            results[name] = value
    return results


def _labelled(atoms: Atoms, results: dict[str, Any], temperature: float | None) -> Atoms:
    """Return the structure with its predictions, as extxyz stores them."""
    out = atoms.copy()
    out.info["temperature_K"] = temperature or 0.0  # of the free energy, forces and stress
    out.calc = SinglePointCalculator(out, **{k: results[k] for k in FOR_ASE if k in results})
    for key, name in KEYS.items():
        if name in results and name not in FOR_ASE:
            out.info[key] = results[name]
    for name in PER_ATOM:
        if name in results:
            out.arrays["site_entropies_kB" if name == "site_entropies" else name] = results[name]
    return out


def _print_table(
    frames: list[Atoms], rows: list[dict[str, Any]], temperature: float | None
) -> None:
    t = temperature or 0
    columns = (
        ("E (eV)", "energy", "14.6f"), ("+-", "energy_std", "9.1e"),
        ("S_f (k_B)", "formation_entropy", "11.4f"), ("+-", "entropy_std", "9.1e"),
        (f"S_vib({t or 300:g} K)", "vibrational_entropy", "14.6f"),
        (f"A({t:g} K) (eV)", "free_energy", "16.6f"),
        ("max leverage", "leverage", "12.2e"),
    )  # fmt: skip
    widths = [int(spec.split(".")[0]) for _, _, spec in columns]
    head = "  ".join(f"{title:>{w}s}" for (title, _, _), w in zip(columns, widths, strict=True))
    print(f"{'structure':24s}  {head}")
    for number, (atoms, results) in enumerate(zip(frames, rows, strict=True)):
        cells = []
        for (_, name, spec), width in zip(columns, widths, strict=True):
            value = results.get(name)
            cells.append(f"{'-':>{width}s}" if value is None else f"{np.max(value):{spec}}")
        label = f"{number} {atoms.get_chemical_formula()}"
        print(f"{label:24.24s}  {'  '.join(cells)}")
    print("S_vib in eV/K; +- is one Bayesian standard deviation; '-' is not in the model")
