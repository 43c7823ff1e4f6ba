"""The shipped models, with their elements and what they predict."""

import argparse
import json

from thiry_calc.potential import Potential
from thiry_calc.shipped import find_potential, list_potentials

EXAMPLE = "thiry list"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""


def run(args: argparse.Namespace) -> int:
    """Print the list."""
    models = []
    for name in list_potentials():
        potential = Potential.load(name)
        models.append(
            {
                "name": name,
                "elements": list(potential.elements),
                "targets": list(potential.targets),
                "file": str(find_potential(name)),
            }
        )
    if args.json:
        print(json.dumps({"models": models}, indent=2))
        return 0
    for model in models:
        elements, targets = ", ".join(model["elements"]), ", ".join(model["targets"])
        print(f"{model['name']:20s} {elements:12s} {targets}")
    if not models:
        print("no models are shipped with this installation")
    return 0
