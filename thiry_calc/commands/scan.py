"""Relax defects, and tell which is stable at which temperature.

Names are built at the model's lattice constant. Structures from files are relaxed in their own
cells and compared to the perfect crystal of the same box (a supercell along the cubic axes,
strained or not); in any other box, to the crystal at the model's a0, and a note says so.
"""

import argparse
import json
import os
import sys
from pathlib import Path

import numpy as np
from ase import Atoms

from thiry_calc.plot import check_plot, plot_scan
from thiry_calc.potential import Potential
from thiry_calc.scan import Scan, scan
from thiry_calc.scan_report import text, to_json, write_structures
from thiry_calc.structures import read_structures

EXAMPLE = "thiry scan vacancy divacancy_1nn --temperatures 0:1200:100 --plot scan.png"
_MOST = 10_000  # temperatures


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "structures",
        nargs="*",
        metavar="NAME|FILE",
        help="names of defects, or files of ase.io; default: the standard set",
    )
    parser.add_argument("--model", default="Fe-AM04", help="shipped model, or a model file")
    parser.add_argument(
        "--temperatures",
        default="0:1200:100",
        metavar="T",
        help="K: start:end:step with the end, a list 300,600,900, or one (default 0:1200:100)",
    )
    parser.add_argument(
        "--size", type=int, default=8, metavar="N", help="cubic cells per side (default 8)"
    )
    parser.add_argument("--element", help="of the crystal; default: the model's")
    parser.add_argument("--lattice", choices=("bcc", "fcc"), help="default: the model's")
    parser.add_argument("--plot", metavar="FILE", help="draw A_f(T), concentrations (.png, .pdf)")
    parser.add_argument(
        "--exact", action="store_true", help="add the exact entropy of the reference potential"
    )
    parser.add_argument(
        "--reference",
        metavar="NAME",
        help="reference potential of --exact, or 'model' for the Hessian of the model's energy "
        "(default: the one the model is named for, else 'model')",
    )
    parser.add_argument(
        "--potential-file", metavar="FILE", help="table of the reference potential, if it needs one"
    )
    parser.add_argument(
        "--migration",
        action=argparse.BooleanOptionalAction,
        help="vacancy migration: barrier, rates, diffusivities (default: with the standard set)",
    )
    parser.add_argument("-o", metavar="FOLDER", help="write the relaxed structures there, extxyz")


def run(args: argparse.Namespace) -> int:
    """Scan and print; the exit status is 1 when a structure could not be computed."""
    if (args.reference or args.potential_file) and not args.exact:
        raise ValueError("--reference and --potential-file belong to --exact; give both")
    potential = Potential.load(args.model)
    temperatures = parse_temperatures(args.temperatures)
    files = [Path(item).name for item in args.structures if Path(item).is_file()]
    alike = len(set(files)) < len(files)  # then the whole paths tell them apart
    given = [s for item in args.structures for s in _structures(item, alike)]
    if args.plot:
        check_plot(args.plot, temperatures)
    if args.o and Path(args.o).exists() and not Path(args.o).is_dir():
        raise ValueError(f"-o {args.o!r} is a file; give a folder for the relaxed structures")
    result = scan(
        given,
        potential,
        temperatures,
        size=args.size,
        element=args.element,
        lattice=args.lattice,
        exact=args.exact,
        reference=args.reference,
        potential_file=args.potential_file,
        migration=not given if args.migration is None else args.migration,
        progress=True,
    )
    _deliver(result, args)
    return int(any(np.isnan(c.formation_energy_eV) for c in result.configurations))


def _deliver(result: Scan, args: argparse.Namespace) -> None:
    if args.json:  # the tables have a column of notes
        for note in (
            *(f"{c.name}: {n}" for c in result.configurations for n in c.notes),
            *result.notes,
        ):
            print(f"thiry: {note}", file=sys.stderr)
        print(json.dumps(to_json(result), indent=2, allow_nan=False))
    else:
        print(text(result))
    if args.o:
        write_structures(result, args.o)
    if args.plot:
        plot_scan(result, args.plot)
        print(f"thiry: wrote {args.plot}", file=sys.stderr)


def _structures(item: str, whole_path: bool) -> list[str | Atoms]:
    """Return the name itself, or the structures of a file, each with a name."""
    path = Path(item)
    if not path.is_file():
        if path.suffix or os.sep in item:
            raise FileNotFoundError(2, "no such file", item)
        return [item]
    frames = read_structures(path)
    for number, atoms in enumerate(frames):
        name = item if whole_path else path.name
        atoms.info["name"] = name if len(frames) == 1 else f"{name}:{number}"
    return list(frames)


def parse_temperatures(spec: str) -> list[float]:
    """Temperatures of a command line.

    Parameters
    ----------
    spec : str
        "start:end:step" with the end, "300,600,900", or "300"; K.

    Returns
    -------
    list of float
        Ascending, without repetition.

    Raises
    ------
    ValueError
        For anything else.
    """
    values = _range(spec) if ":" in spec else _numbers(spec, ",")
    if not values or not (np.isfinite(values).all() and min(values) >= 0):
        raise ValueError(
            f"temperatures {spec!r}: expected start:end:step such as 0:1200:100 (end included), "
            "a list such as 300,600, or one number, in K, 0 or more"
        )
    return sorted({round(t, 9) for t in values})


def _range(spec: str) -> list[float]:
    """Temperatures of start:end:step, empty when it is not one."""
    numbers = _numbers(spec, ":")
    if len(numbers) != 3 or not np.isfinite(numbers).all():
        return []
    start, end, step = numbers
    if end < start or step <= 0:
        return []
    if (end - start) / step > _MOST:
        raise ValueError(f"temperatures {spec!r} are more than {_MOST}; give a larger step")
    return [*np.arange(start, end, step).tolist(), end]


def _numbers(spec: str, separator: str) -> list[float]:
    """Return the numbers of a list, empty when one of them is none."""
    try:
        return [float(t) for t in spec.split(separator)]
    except ValueError:
        return []
