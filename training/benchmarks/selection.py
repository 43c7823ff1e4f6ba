"""Learning curves of structures chosen by `training.selection` and at random.

    python -m training.benchmarks.selection mlearn_Cu.xyz.xz mlearn_Mo.xyz.xz --output out.json

Data with ``info["split"]`` (Zuo et al., J. Phys. Chem. A 124, 731 (2020)): the training split is
the pool, errors are those of forces on the test split. For each seed a potential is fitted to a few
random structures; others join them by its D-optimal choice, made once, or at random. Prints the
medians over seeds, and how many chosen structures err no more than so many random ones.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from thiry_calc.linear.files import write_atomically
from thiry_calc.structures import read_structures
from training.executors import make_executor
from training.fitting import Fitted, fit
from training.presets import candidates
from training.selection import select

Array = NDArray[np.float64]

SIZES = (20, 25, 30, 40, 50, 65, 80, 100, 130)


def rmse_of_forces(result: Fitted) -> float:
    """Of the test set, eV/Å."""
    error = result.test.summary()["force_rmse_eV_per_A"]
    assert error is not None
    return error


def curves(
    pool: Sequence[Atoms],
    test: Sequence[Atoms],
    preset: str,
    sizes: Sequence[int],
    seed: int,
    workers: int,
) -> dict[str, list[float]]:
    """RMSE of forces for the first structures at random, and for chosen ones.

    Parameters
    ----------
    pool, test : sequence of Atoms
    preset : str
        Its first cutoff is taken.
    sizes : sequence of int
        Growing; the first is the number of random structures to start from.
    seed : int
    workers : int

    Returns
    -------
    dict of str to list of float
        ``random`` and ``chosen``, eV/Å, for each size.
    """
    order = np.random.default_rng(seed).permutation(len(pool))
    elements = tuple(sorted({s for atoms in pool for s in atoms.symbols}))
    descriptors = candidates(preset, pool, elements, None)[:1]
    with make_executor(workers) as executor:

        def fitted(which: NDArray[np.int64]) -> Fitted:
            own = [pool[k] for k in which]
            return fit(own, test=test, descriptors=descriptors, executor=executor)

        start, rest = order[: sizes[0]], order[sizes[0] :]
        first = fitted(start)
        found = select([pool[k] for k in rest], first.potential, sizes[-1] - sizes[0], executor)
        chosen = np.concatenate([start, rest[found.indices]])
        out = {"random": [rmse_of_forces(first)], "chosen": [rmse_of_forces(first)]}
        for size in sizes[1:]:
            out["random"].append(rmse_of_forces(fitted(order[:size])))
            out["chosen"].append(rmse_of_forces(fitted(chosen[:size])))
    return out


def needed(sizes: Sequence[int], random: Array, chosen: Array) -> list[int | None]:
    """Fewest chosen structures that err no more than each number of random ones."""
    good = [np.flatnonzero(chosen <= error) for error in random]
    return [sizes[int(own[0])] if len(own) else None for own in good]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--output", type=Path, help="JSON; seeds in it are not repeated")
    args = parser.parse_args()
    known = args.output is not None and args.output.exists()
    results: dict[str, dict[str, list[float]]] = (
        json.loads(args.output.read_text()) if known else {}
    )
    for path in args.data:
        frames = list(read_structures(path))
        pool, test = ([a for a in frames if a.info["split"] == s] for s in ("train", "test"))
        sizes = [size for size in args.sizes if size <= len(pool)]
        for seed in range(args.seeds):
            key = f"{path.name} {args.preset} {sizes} {seed}"
            if key not in results:
                results[key] = curves(pool, test, args.preset, sizes, seed, args.workers)
                if args.output is not None:
                    write_atomically(args.output, json.dumps(results, indent=1))
        own = [results[f"{path.name} {args.preset} {sizes} {seed}"] for seed in range(args.seeds)]
        random, chosen = (np.median([r[k] for r in own], axis=0) for k in ("random", "chosen"))
        print(f"{path.name}, {len(pool)} structures, medians of {args.seeds} seeds, eV/Å")
        print("size    random    chosen   chosen ones that err no more")
        for row in zip(sizes, random, chosen, needed(sizes, random, chosen), strict=True):
            print("{:4d}{:10.4f}{:10.4f}   {}".format(*row), flush=True)


if __name__ == "__main__":
    main()
