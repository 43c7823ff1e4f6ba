"""Check a model against the contract: derivatives, invariances, smoothness, identities.

Exit status 1 when a check fails; every check has the name and the bar it has in
`thiry_calc.check.TOLERANCES`.
"""

import argparse
import dataclasses
import json

import numpy as np

from thiry_calc.calculator import ThiryCalculator
from thiry_calc.check import format_table, run_checks
from thiry_calc.structures import read_structures

EXAMPLE = "thiry check Fe-AM04 --nve"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", help="shipped model, or path of a model file")
    parser.add_argument(
        "--structures", metavar="FILE", help="check on these instead of made-up structures"
    )
    parser.add_argument(
        "--temperature", type=float, default=600.0, metavar="T", help="of A(T), K (default 600)"
    )
    parser.add_argument("--nve", action="store_true", help="molecular dynamics too (slow)")
    parser.add_argument("--seed", type=int, default=0, help="of random directions (default 0)")


def run(args: argparse.Namespace) -> int:
    """Check and print.

    Parameters
    ----------
    args : argparse.Namespace

    Returns
    -------
    int
        0 when no check fails, else 1.

    Raises
    ------
    ValueError, FileNotFoundError
        Bad input.
    """
    if not (np.isfinite(args.temperature) and args.temperature > 0):
        raise ValueError(f"--temperature {args.temperature:g} K: expected a positive temperature")
    structures = read_structures(args.structures) if args.structures else None
    calc = ThiryCalculator(args.model)
    checks = run_checks(calc, structures, args.temperature, nve=args.nve, seed=args.seed)
    passed = all(c.passed is not False for c in checks)
    if args.json:
        rows = [dataclasses.asdict(c) for c in checks]
        for row in rows:
            if row["value"] is not None and not np.isfinite(row["value"]):
                row["value"] = None
        print(json.dumps({"passed": passed, "checks": rows}, indent=2, allow_nan=False))
    else:
        print(format_table(checks))
    return 0 if passed else 1
