"""Cost of an exact vibrational entropy: sparse factorisation, dense Cholesky, diagonalisation.

    python -m training.benchmarks.entropy_cost [--threads 1] [--eigvalsh-up-to 3455]

One vacancy in bcc iron (AM04, 149 coupled atoms a row), 250 to 9826 sites, each in a process of
its own: seconds from the Hessian to ln|det′H|, peak memory of that process, exponent of the cost.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from typing import Any

import numpy as np

SIDES = (5, 6, 8, 10, 12, 14, 17)  # cubic cells per side: 250 to 9826 sites
METHODS = ("multifrontal", "dense", "eigvalsh")


def measure(side: int, method: str) -> dict[str, Any]:
    """Time one method on one cell, in this process.

    Parameters
    ----------
    side : int
        Cubic cells per side.
    method : str
        One of `METHODS`.

    Returns
    -------
    dict
        n_atoms, seconds, gigabytes (peak of the process), before (the same before the method),
        log_det.
    """
    from ase.build import bulk

    from thiry_calc.harmonic import log_determinant
    from training.references.am04 import AM04

    atoms = bulk("Fe", "bcc", a=2.855313, cubic=True) * (side, side, side)
    del atoms[0]
    hessian = AM04().get_hessian(atoms)
    geometry = {"positions": atoms.positions, "cell": atoms.cell.array, "pbc": atoms.pbc}
    _warm_up()
    before = _peak_gigabytes()
    start = time.perf_counter()
    if method == "eigvalsh":
        values = np.linalg.eigvalsh(hessian.toarray())
        log_det = float(np.log(values[3:]).sum())
    else:
        log_det = log_determinant(hessian, method=method, **geometry)
    return {
        "n_atoms": len(atoms),
        "seconds": time.perf_counter() - start,
        "gigabytes": _peak_gigabytes(),
        "before": before,
        "log_det": log_det,
    }


def _warm_up() -> None:
    """Load the compiled kernel and the linear algebra."""
    from thiry_calc.factorize import factorize

    factorize(np.eye(30), np.repeat(np.arange(10.0)[:, None], 3, axis=1), method="multifrontal")


def _peak_gigabytes() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1e-9 if sys.platform == "darwin" else 1024e-9)


def _in_a_process(side: int, method: str, threads: int) -> dict[str, Any]:
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    environment = os.environ | dict.fromkeys(names, str(threads))
    command = [sys.executable, "-m", "training.benchmarks.entropy_cost"]
    command += ["--case", str(side), method]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["killed: not enough memory?"]
        raise RuntimeError(f"{method} at {2 * side**3 - 1} atoms failed: {lines[-1]}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _exponent(rows: list[dict[str, Any]]) -> float:
    sizes = np.log([row["n_atoms"] for row in rows])
    return float(np.polyfit(sizes, np.log([row["seconds"] for row in rows]), 1)[0])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sides", type=int, nargs="+", default=SIDES)
    parser.add_argument("--dense-up-to", type=int, default=3455, metavar="ATOMS")
    parser.add_argument("--eigvalsh-up-to", type=int, default=3455, metavar="ATOMS")
    parser.add_argument("--case", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case:
        print(json.dumps(measure(int(args.case[0]), args.case[1])))
        return
    limits = {"dense": args.dense_up_to, "eigvalsh": args.eigvalsh_up_to}
    print(f"{args.threads} thread(s); seconds (peak GB of the process, GB before)")
    print(f"{'atoms':>6}" + "".join(f"{method:>24}" for method in METHODS) + f"{'speed-up':>10}")
    table: dict[str, list[dict[str, Any]]] = {method: [] for method in METHODS}
    for side in args.sides:
        n_atoms, cells = 2 * side**3 - 1, {}
        for method in METHODS:
            if n_atoms <= limits.get(method, n_atoms):
                cells[method] = _in_a_process(side, method, args.threads)
                table[method].append(cells[method])
        texts = [
            f"{c['seconds']:.2f} ({c['gigabytes']:.2f}, {c['before']:.2f})" if c else "-"
            for c in map(cells.get, METHODS)
        ]
        line = f"{n_atoms:>6}" + "".join(f"{text:>24}" for text in texts)
        if "eigvalsh" in cells:
            ratio = cells["eigvalsh"]["seconds"] / cells["multifrontal"]["seconds"]
            line += f"{ratio:>9.1f}x"
            error = cells["eigvalsh"]["log_det"] - cells["multifrontal"]["log_det"]
            line += f"   ln det differs by {abs(error) / n_atoms:.1e} per atom"
        print(line, flush=True)
    for method, rows in table.items():
        large = [row for row in rows if row["n_atoms"] > 1000]
        if len(large) > 1:
            print(
                f"{method}: seconds ~ N^{_exponent(rows):.2f} (N^{_exponent(large):.2f} above 1000)"
            )


if __name__ == "__main__":
    main()
