"""Presets on the data of Zuo et al., J. Phys. Chem. A 124, 731 (2020), official test sets.

    python -m training.benchmarks.mlearn FOLDER --preset accurate --workers 2

FOLDER has ``mlearn_Ni.xyz.xz`` and so on, with ``info["split"]``. Prints mean absolute errors
beside the published ones (GAP and MTP: J. Chem. Phys. 159, 164101 (2023)), without copies of
training structures where there are any, the coverage of error bars, and the time of a fit.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from thiry_calc.linear.files import write_atomically
from training.dataset import read_dataset
from training.executors import make_executor
from training.fit_report import error_bars
from training.fitting import fit

# meV/atom and eV/Å
PUBLISHED = {
    "Ni": {"GAP": (0.42, 0.02), "MTP": (0.48, 0.01)},
    "Cu": {"GAP": (0.46, 0.01), "MTP": (0.41, 0.01)},
    "Li": {"GAP": (0.49, 0.01), "MTP": (0.49, 0.01)},
    "Mo": {"GAP": (2.24, 0.09), "MTP": (2.83, 0.09)},
    "Si": {"GAP": (2.91, 0.07), "MTP": (2.21, 0.06)},
}


def measure(path: Path, preset: str, workers: int) -> dict[str, Any]:
    """Fit one element and test it.

    Parameters
    ----------
    path : Path
    preset : str
    workers : int

    Returns
    -------
    dict
        JSON-compatible.
    """
    start = time.perf_counter()
    splits = {"train_select": {"split": "train"}, "test_select": {"split": "test"}}
    with make_executor(workers) as executor:
        result = fit(path, preset=preset, executor=executor, **splits)  # type: ignore[arg-type]
    seconds = time.perf_counter() - start
    tested = read_dataset([path], select={"split": "test"}).structures
    assert result.energy is not None
    clean = result.test if result.without_leaks is None else result.without_leaks
    return {
        "cutoff_A": result.potential.cutoff,
        "functions": result.potential.descriptor.n_features,
        "weights": dict(result.energy.best.factors),
        "test": result.test.summary(),
        "test_without_copies": clean.summary(),
        "copies": result.leaked,
        "coverage": error_bars(result.potential, tested).coverage,
        "seconds": round(seconds, 1),
    }


def line(element: str, found: dict[str, Any]) -> str:
    """One row of the table."""
    errors = [found[key] for key in ("test", "test_without_copies")]
    energy, clean = (1e3 * e["energy_mae_eV_per_atom"] for e in errors)
    force, clean_force = (e["force_mae_eV_per_A"] for e in errors)
    peers = "  ".join(f"{n} {e:.2f} {f:.2f}" for n, (e, f) in PUBLISHED.get(element, {}).items())
    within = "  ".join(
        f"{k} {100 * a:.0f}/{100 * b:.0f} %" for k, (a, b) in found["coverage"].items()
    )
    return (
        f"{element:<3}{found['functions']:6d}{found['cutoff_A']:7.2f}{energy:8.2f}{force:9.4f}"
        f"   ({clean:.2f} {clean_force:.4f} without {found['copies']} copies)   {peers}   {within}"
        f"   {found['seconds']:.0f} s"
    )


def main() -> None:
    """Measure all elements of a folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--preset", default="accurate")
    parser.add_argument("--elements", nargs="+", default=list(PUBLISHED))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--output", type=Path, help="JSON file; elements in it are not repeated")
    args = parser.parse_args()
    known = args.output is not None and args.output.exists()
    results = json.loads(args.output.read_text()) if known else {}
    print("    functions  r_cut   E (meV/atom)  F (eV/Å)")
    for element in args.elements:
        if element not in results:
            path = args.folder / f"mlearn_{element}.xyz.xz"
            results[element] = measure(path, args.preset, args.workers)
            if args.output is not None:
                write_atomically(args.output, json.dumps(results, indent=1))
        print(line(element, results[element]), flush=True)


if __name__ == "__main__":
    main()
