"""Fit a classifier to labelled images and write one model file."""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from thiry_calc.linear.files import check_folder
from vision.data import ImageSet, load_images, split
from vision.model_files import save_model
from vision.presets import MODELS, PRESETS, build
from vision.report import measure

EXAMPLE = "thiry-vision train cifar10.npz --model simplepatch --preset cpu -o cifar10.vision"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("data", help="labelled images: .npz, CIFAR-10's *.bin, idx, folders")
    parser.add_argument("--model", choices=MODELS, default="simplepatch")
    presets = sorted({p for known in PRESETS.values() for p in known})
    parser.add_argument("--preset", choices=presets, default="cpu")
    parser.add_argument("-o", "--output", required=True, metavar="MODEL", help="file to write")
    parser.add_argument("--seed", type=int, default=0, help="of every random choice (default 0)")
    parser.add_argument(
        "--held-out", type=int, default=0, metavar="N",
        help="keep the last N images out and measure on them (random ones, where grouped by class)",
    )  # fmt: skip
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE",
        help="another value for a parameter of the model, e.g. whiten=false; may be repeated",
    )  # fmt: skip
    parser.add_argument("--sha256", help="refuse data of another checksum (printed after training)")


def run(args: argparse.Namespace) -> int:
    """Fit, measure, write."""
    check_folder(args.output)
    if Path(args.output).exists() and Path(args.output).samefile(args.data):
        raise ValueError(f"{args.output!r} is the data; give another name for the model")
    model = build(args.model, args.preset, _changes(args.set), args.seed)
    if "verbose" in model.get_params(deep=False):
        model.set_params(verbose=True)
    data = load_images(args.data, args.sha256, labelled=True)
    print(f"{args.data}: {data}; SHA-256 {data.sha256}", file=sys.stderr)
    rest, held = _hold_out(data, args.held_out, args.seed)
    start = time.perf_counter()
    assert rest.labels is not None  # labelled=True
    model.fit(rest.images, rest.labels)
    seconds = time.perf_counter() - start
    info = _information(args, data, len(rest), seconds)
    if held is not None:
        info["held_out"] = measure(model, held)
    save_model(args.output, model, info)
    _show(args, info)
    return 0


def _hold_out(data: ImageSet, count: int, seed: int) -> tuple[ImageSet, ImageSet | None]:
    """Hold out the last images; of data grouped by class, images drawn at random."""
    if count == 0:
        return data, None
    assert data.labels is not None  # labelled=True
    if np.count_nonzero(np.diff(data.labels)) == len(np.unique(data.labels)) - 1:
        print("data are grouped by class: images held out are drawn at random", file=sys.stderr)
        data = data[np.random.default_rng(seed).permutation(len(data))]
    rest, held = split(data, count)
    if not set(np.unique(np.asarray(held.labels))) <= set(np.unique(np.asarray(rest.labels))):
        raise ValueError(f"the last {count} images have classes of their own; hold out fewer")
    return rest, held


def _changes(settings: list[str]) -> dict[str, Any]:
    """Parse NAME=VALUE, values being JSON or plain words."""
    changes = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not (name and equals):
            raise ValueError(f"--set {setting!r} given; expected NAME=VALUE, e.g. whiten=false")
        try:
            value = json.loads(text.lower() if text.lower() in ("true", "false", "null") else text)
        except json.JSONDecodeError:
            value = text
        changes[name] = tuple(value) if isinstance(value, list) else value
    return changes


def _information(
    args: argparse.Namespace, data: ImageSet, n_images: int, seconds: float
) -> dict[str, Any]:
    return {
        "model": args.model,
        "preset": args.preset,
        "class_names": list(data.class_names),
        "n_images": n_images,
        "data_sha256": data.sha256,
        "fit_seconds": round(seconds, 1),
    }


def _show(args: argparse.Namespace, info: dict[str, Any]) -> None:
    if args.json:
        print(json.dumps({"file": args.output, **info}, indent=2))
        return
    print(f"{args.output}: {info['n_images']} images in {info['fit_seconds']} s")
    if "held_out" in info:
        print(f"accuracy on {info['held_out']['n']} held out: {info['held_out']['accuracy']:.4f}")
