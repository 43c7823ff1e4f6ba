"""A model as a file for LAMMPS: its energy, or its free energy A(T), for ``pair_style pace``.

The file is read back and compared with the calculator before it is kept. The lines of input that
it needs are printed.
"""

import argparse
import json

from thiry_calc.yace.export import LAMMPS_VERSION, NO_ACTIVE_SET, export

EXAMPLE = "thiry export Fe-AM04-AFS --to yace -o Fe.yace --temperature 600"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", help="shipped model, or path of a model file")
    parser.add_argument("--to", choices=["yace"], default="yace", help="format")
    parser.add_argument("-o", dest="output", metavar="FILE", required=True, help="NAME.yace")
    parser.add_argument(
        "--temperature", type=float, metavar="T", help="export A(T), K, instead of the energy"
    )
    parser.add_argument(
        "--one-file",
        type=int,
        metavar="N",
        help="one file for a model of several cutoffs, fitted by N radial functions: not exact",
    )


def run(args: argparse.Namespace) -> int:
    """Export and print."""
    done = export(args.model, args.output, args.temperature, one_file=args.one_file)
    errors = {
        "energy_error_eV": done.energy_error,
        "force_error_eV_per_A": done.force_error,
        "virial_error_eV": done.virial_error,
        "spline_force_error_eV_per_A": done.spline_force_error,
    }
    if args.json:
        result = {
            "files": [str(f) for f in done.files],
            "temperature_K": args.temperature or 0.0,
            "exact": done.exact,
            "radial_error": done.radial_error,
            **errors,
            "lammps_version": LAMMPS_VERSION,
            "commands": done.commands,
            "active_set": None,
            "active_set_note": NO_ACTIVE_SET,
        }
        print(json.dumps(result, indent=2, allow_nan=False))
        return 0
    print(f"wrote {', '.join(str(f) for f in done.files)}")
    fitted = "" if done.exact else f"; radial functions were fitted, to {done.radial_error:.1e}"
    print(
        f"read back: energies within {done.energy_error:.1e} eV, forces {done.force_error:.1e} "
        f"eV/Å, virials {done.virial_error:.1e} eV of the calculator{fitted}\n"
        f"with the radial splines of LAMMPS: forces within {done.spline_force_error:.1e} eV/Å"
    )
    print(NO_ACTIVE_SET)
    print(f"LAMMPS {LAMMPS_VERSION} or later with ML-PACE; input:\n\n{done.commands}")
    return 0
