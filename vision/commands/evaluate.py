"""Accuracy of a model on labelled images: top one, top five, by class."""

import argparse
import json

from vision.data import load_images
from vision.model_files import load_model
from vision.report import measure

EXAMPLE = "thiry-vision evaluate cifar10.vision test_batch.bin --json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", help="model file")
    parser.add_argument("data", help="labelled images")
    parser.add_argument("--sha256", help="refuse data of another checksum")


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    model, info = load_model(args.model)
    data = load_images(args.data, args.sha256, labelled=True)
    result = measure(model, data, info.get("class_names", ()), progress=True)
    if args.json:
        print(json.dumps(result, indent=2))
        return 0
    print(f"{result['n']} images: accuracy {result['accuracy']:.4f}, top 5 {result['top5']:.4f}")
    width = max(map(len, result["per_class"]))
    for name, accuracy in result["per_class"].items():
        print(f"  {name:<{width}}  {accuracy:.4f}")
    return 0
