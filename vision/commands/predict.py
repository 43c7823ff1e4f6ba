"""Classes of images, the most likely first, with their scores."""

import argparse
import json

import numpy as np

from vision.data import load_images
from vision.model_files import load_model
from vision.report import label_name

EXAMPLE = "thiry-vision predict cifar10.vision photos/ --top 3"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", help="model file")
    parser.add_argument("data", help="images, or one picture")
    parser.add_argument("--top", type=int, default=1, help="classes for each image (default 1)")


def run(args: argparse.Namespace) -> int:
    """Score and print."""
    if args.top < 1:
        raise ValueError(f"--top {args.top} given; expected 1 or more")
    model, info = load_model(args.model)
    data = load_images(args.data)
    scores = model.class_scores(data.images, progress=True)
    order = np.argsort(-scores, axis=1, kind="stable")[:, : args.top]
    names = [label_name(c, info.get("class_names", ())) for c in model.classes_]
    predictions = [
        [{"class": names[c], "score": float(row[c])} for c in best]
        for row, best in zip(scores, order, strict=True)
    ]
    if args.json:
        print(json.dumps({"predictions": predictions}, indent=2))
        return 0
    for number, best in enumerate(predictions):
        print(f"{number}  " + "  ".join(f"{p['class']} {p['score']:.3f}" for p in best))
    return 0
