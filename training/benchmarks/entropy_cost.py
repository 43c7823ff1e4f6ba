"""Cost of vibrational entropies: learned, exact by factorisation or diagonalisation, and labels.

    python -m training.benchmarks.entropy_cost [--threads 1]                      # totals
    python -m training.benchmarks.entropy_cost --methods multifrontal gradient sites sites_dense

One vacancy in bcc iron (AM04, 149 coupled atoms a row), each method in a process of its own.
"model" is the whole prediction of Fe-AM04, from structure to S with its neighbour list;
"multifrontal" (sparse Cholesky), "dense" (Cholesky) and "eigvalsh" go from the Hessian to
ln|det′H|; "gradient" from the structure to ∂S/∂R, "sites" and "sites_dense" from the Hessian to the
entropy of every site. Seconds, peak memory, exponents of the cost, and the speed-up over eigvalsh.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from ase import Atoms

from thiry_calc import ThiryCalculator
from thiry_calc.defects import supercell
from thiry_calc.factorize import factorize
from thiry_calc.harmonic import log_determinant
from thiry_calc.site_entropies import site_entropies, sparse_site_entropies
from training.label import entropy_gradient
from training.references.am04 import AM04, LATTICE_CONSTANT

SIDES = (5, 6, 8, 10, 12, 14, 17)  # cubic cells per side: 250 to 9826 sites
TOTALS = ("model", "multifrontal", "dense", "eigvalsh")


def _geometry(atoms: Atoms) -> dict[str, Any]:
    return {"positions": atoms.positions, "cell": atoms.cell.array, "pbc": atoms.pbc}


def _prepared(method: str, atoms: Atoms) -> Callable[[], float]:
    """Return what is to be timed; it gives a number that other methods can confirm."""
    if method == "model":
        calc = ThiryCalculator(extrapolation_warning=False)
        calc.get_property("formation_entropy", supercell(LATTICE_CONSTANT, 2))
        return lambda: float(calc.get_property("formation_entropy", atoms))
    hessian, place = AM04().get_hessian(atoms), _geometry(atoms)
    if method == "eigvalsh":
        return lambda: float(np.log(np.linalg.eigvalsh(hessian.toarray())[3:]).sum())
    if method == "gradient":
        return lambda: float(np.abs(entropy_gradient(atoms, AM04(), hessian)).max())
    if method == "sites":
        return lambda: -2 * sparse_site_entropies(hessian, 0.0, len(atoms) + 1, **place).sum()
    if method == "sites_dense":
        return lambda: -2 * site_entropies(hessian, 0.0, len(atoms) + 1).sum()
    return lambda: log_determinant(hessian, method=method, **place)


def measure(side: int, method: str) -> dict[str, Any]:
    """Time one method on one cell, in this process.

    Parameters
    ----------
    side : int
        Cubic cells per side.
    method : str

    Returns
    -------
    dict
        n_atoms, seconds, gigabytes (peak of the process), before (the same before the method),
        value.
    """
    atoms = supercell(LATTICE_CONSTANT, side)
    del atoms[0]
    factorize(np.eye(30), np.repeat(np.arange(10.0)[:, None], 3, axis=1), method="multifrontal")
    task = _prepared(method, atoms)
    before = _peak_gigabytes()
    start = time.perf_counter()
    value = task()
    return {
        "n_atoms": len(atoms),
        "seconds": time.perf_counter() - start,
        "gigabytes": _peak_gigabytes(),
        "before": before,
        "value": value,
    }


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


def _line(side: int, methods: tuple[str, ...], cells: dict[str, dict[str, Any]]) -> str:
    texts = [
        f"{c['seconds']:.2f} ({c['gigabytes']:.2f}, {c['before']:.2f})" if c else "-"
        for c in map(cells.get, methods)
    ]
    line = f"{2 * side**3 - 1:>6}" + "".join(f"{text:>24}" for text in texts)
    if {"eigvalsh", "multifrontal"} <= cells.keys():
        error = abs(cells["eigvalsh"]["value"] - cells["multifrontal"]["value"])
        line += f"   ln det differs by {error / (2 * side**3 - 1):.1e} per atom"
    if "model" in cells:
        ratios = [
            f"{cells[m]['seconds'] / cells['model']['seconds']:.0f}x over {m}"
            for m in cells
            if m != "model"
        ]
        line += f"   model: {', '.join(ratios)}"
    return line


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sides", type=int, nargs="+", default=SIDES)
    parser.add_argument("--methods", nargs="+", default=TOTALS)
    parser.add_argument(
        "--dense-up-to", type=int, default=3455, metavar="ATOMS", help="for O(N³) methods"
    )
    parser.add_argument("--case", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case:
        print(json.dumps(measure(int(args.case[0]), args.case[1])))
        return
    methods, dense = tuple(args.methods), ("dense", "eigvalsh", "sites_dense")
    print(f"{args.threads} thread(s); seconds (peak GB of the process, GB before)")
    print(f"{'atoms':>6}" + "".join(f"{method:>24}" for method in methods))
    table: dict[str, list[dict[str, Any]]] = {method: [] for method in methods}
    for side in args.sides:
        cells = {}
        for method in methods:
            if method not in dense or 2 * side**3 - 1 <= args.dense_up_to:
                cells[method] = _in_a_process(side, method, args.threads)
                table[method].append(cells[method])
        print(_line(side, methods, cells), flush=True)
    for method, rows in table.items():
        large = [row for row in rows if row["n_atoms"] > 1000]
        if len(large) > 1:
            print(
                f"{method}: seconds ~ N^{_exponent(rows):.2f} (N^{_exponent(large):.2f} above 1000)"
            )


if __name__ == "__main__":
    main()
