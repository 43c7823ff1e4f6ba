"""Errors of a model on labelled structures, by group."""

import argparse
import json
from typing import Any

from thiry_calc.potential import Potential
from training.dataset import read_dataset
from training.evaluate import evaluate

EXAMPLE = "thiry evaluate Mo.thiry 'data/*.xyz.xz' --select split=test --json"


def pair(text: str) -> tuple[str, str]:
    """Split ``key=value``."""
    key, separator, value = text.partition("=")
    if not (key and separator):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form key=value")
    return key, value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", help="shipped model, or a model file")
    parser.add_argument("data", nargs="+", help="files or patterns, in any format of ase.io")
    parser.add_argument(
        "--select",
        type=pair,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="only structures whose info says so; may be repeated",
    )
    parser.add_argument(
        "--key",
        type=pair,
        action="append",
        default=[],
        metavar="LABEL=NAME",
        help="name of a label in the files, such as energy=REF_energy; may be repeated",
    )


def run(args: argparse.Namespace) -> int:
    """Evaluate and print."""
    potential = Potential.load(args.model)
    data = read_dataset(args.data, keys=dict(args.key), select=_grouped(args.select))
    result = evaluate(potential, data.structures)
    if args.json:
        print(json.dumps(result.summary(), indent=1, allow_nan=False))
        return 0
    print(data, result, sep="\n\n")
    return 0


def _grouped(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """One key several times means any of its values."""
    return {key: [v for k, v in pairs if k == key] for key, _ in pairs}
