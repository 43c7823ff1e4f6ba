"""Intrinsic dimension of the patches of images: covariance and Levina-Bickel."""

import argparse
import json

from vision.data import load_images
from vision.dimension import PatchDimension, patch_dimension
from vision.plot import check_plot, plot_dimensions

EXAMPLE = "thiry-vision dimension cifar10.npz --patch 6 --whiten --plot dimension.png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("data", help="images")
    parser.add_argument(
        "--patch", type=int, nargs="+", default=[6], metavar="P",
        help="patch size in pixels; several for a curve (default 6)",
    )  # fmt: skip
    parser.add_argument("--whiten", action="store_true", help="whiten the patches first")
    parser.add_argument("--neighbors", type=int, default=2000, help="K (default 2000)")
    parser.add_argument("--centers", type=int, default=1000, help="patches measured (default 1000)")
    parser.add_argument("--regularization", type=float, default=1e-4, help="of the whitening")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of centers")
    parser.add_argument("--plot", metavar="FILE", help="figure to write")


def run(args: argparse.Namespace) -> int:
    """Measure, print, draw."""
    if args.plot:
        check_plot(args.plot)
    images = load_images(args.data).images
    found = [
        patch_dimension(
            images, P, args.whiten, args.neighbors, args.centers, args.regularization, args.seed,
            progress=True,
        )
        for P in args.patch
    ]  # fmt: skip
    if args.plot:
        plot_dimensions(found, args.plot)
    if args.json:
        records = [_record(d) for d in found]
        print(json.dumps(records[0] if len(records) == 1 else {"patches": records}, indent=2))
    else:
        print("\n".join(str(d) for d in found))
    return 0


def _record(d: PatchDimension) -> dict[str, object]:
    return {
        "covariance": d.covariance,
        "levina_bickel": d.levina_bickel,
        "patch": d.patch,
        "whitened": d.whitened,
        "n_reference_patches": d.n_reference_patches,
        "by_neighbors": {str(k): v for k, v in d.by_neighbors.items()},
    }
