"""Iron by density functional theory: errors against the number of functions.

    python -m training.benchmarks.iron Fe_Dragoni_sample.xyz.xz --functions 50 200 700

A tenth of every group is held out at random. Published for linear cluster expansions fitted to
nine tenths of the whole database of Dragoni et al., Phys. Rev. Materials 2, 013808 (2018): 15.4,
6.2 and 5.1 meV/atom and 0.084, 0.047 and 0.041 eV/Å (RMSE) with 50, 200 and 700 functions. Ours are
the most useful ones of an expansion some times as large, with the weight of energies that
cross-validation chooses, or a given one: a smaller weight moves errors from forces to energies.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from thiry_calc.structures import read_structures
from training.executors import make_executor
from training.fitting import fit
from training.presets import cluster_expansion

PUBLISHED = {50: (15.4, 0.084), 200: (6.2, 0.047), 700: (5.1, 0.041)}
E0 = {"Fe": -3455.6995339}  # eV, of the databases of Dragoni and of GAP22
_GROUPS = ("config_type", "family", "group")


def main() -> None:
    """Fit and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--functions", type=int, nargs="+", default=list(PUBLISHED))
    parser.add_argument("--cutoffs", type=float, nargs="+", default=[4.6, 5.2])
    parser.add_argument(
        "--larger", type=float, default=2.5, help="times the functions, to choose from"
    )
    parser.add_argument(
        "--energy", type=float, help="weight of energies, in 1/eV beside 1/(eV/Å) of forces"
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    frames = [atoms for path in args.data for atoms in read_structures(path)]
    names = [next((str(a.info[k]) for k in _GROUPS if k in a.info), "all") for a in frames]
    rng = np.random.default_rng(args.seed)
    held = np.zeros(len(frames), dtype=bool)
    for name in sorted(set(names)):
        own = rng.permutation([k for k, other in enumerate(names) if other == name])
        held[own[: round(0.1 * len(own))]] = True
    train = [atoms for atoms, out in zip(frames, held, strict=True) if not out]
    test = [atoms for atoms, out in zip(frames, held, strict=True) if out]
    weights = None if args.energy is None else {"energy": args.energy}
    print(f"{len(train)} structures fitted, {len(test)} held out")
    print("functions  r_cut   RMSE E (meV/atom)  F (eV/Å)    published")
    for count in args.functions:
        start = time.perf_counter()
        many = [cluster_expansion(int(args.larger * count), r, ("Fe",)) for r in args.cutoffs]
        with make_executor(args.workers) as executor:
            result = fit(
                train,
                test=test,
                descriptors=many,
                e0=E0,
                n_functions=count,
                weights=weights,
                executor=executor,
            )
        errors = result.test.summary()
        energy, force = errors["energy_rmse_eV_per_atom"], errors["force_rmse_eV_per_A"]
        assert energy is not None
        print(
            f"{count:9d}{result.potential.cutoff:7.2f}{1e3 * energy:16.2f}{force:14.4f}"
            f"    {PUBLISHED.get(count, '')}   {time.perf_counter() - start:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
