"""The published curve of patch dimensions beside ours: table and plot.

    python -m training.vision.dimension --data cifar10.npz --patch 6 12

Every patch of the images is a reference, 1,000 are centres, K = 2000, ε = 1e-4. Each size takes
some minutes on two cores; results are kept in a JSON file and not measured again.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from thiry_calc.linear.files import write_atomically
from training.vision.published import DIMENSION
from vision.data import load_images
from vision.dimension import PatchDimension, patch_dimension
from vision.plot import plot_dimensions


def main() -> None:
    """Measure, print the table, draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="images of CIFAR-10")
    parser.add_argument("--patch", type=int, nargs="+", default=[6, 12])
    parser.add_argument("--images", type=int, help="the first so many (all by default)")
    parser.add_argument("-o", "--output", type=Path, default=Path(), help="folder of results")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    data = load_images(args.data)[: args.images]
    kept = args.output / "dimension.json"
    found = json.loads(kept.read_text()) if kept.exists() else {}
    print("| P | patches | ours | published | covariance |\n|---|---|---|---|---|")
    for patch in args.patch:
        for whiten in (False, True):
            key = f"{data.sha256[:16]} {patch} {whiten}"
            if key not in found:
                found[key] = asdict(patch_dimension(data.images, patch, whiten, progress=True))
                write_atomically(kept, json.dumps(found, indent=1))
            one = found[key]
            kind = "whitened" if whiten else "raw"
            theirs = DIMENSION[whiten].get(patch, float("nan"))
            ours, held = f"{one['levina_bickel']:.1f}", one["covariance"]
            print(f"| {patch} | {kind} | {ours} | {theirs} | {held} |", flush=True)
    every = [
        PatchDimension(**{**d, "by_neighbors": {int(k): v for k, v in d["by_neighbors"].items()}})
        for key, d in found.items()
        if key.startswith(data.sha256[:16])
    ]
    plot_dimensions(every, args.output / "dimension.png", DIMENSION)


if __name__ == "__main__":
    main()
