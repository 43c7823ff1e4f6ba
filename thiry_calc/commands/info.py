"""The card of a model: what it is for, its descriptors, its errors, where it comes from."""

import argparse
import json
from typing import Any

import numpy as np

from thiry_calc.potential import TARGETS, Potential
from thiry_calc.shipped import find_potential

EXAMPLE = "thiry info Fe-AM04"
_LONGEST = 12  # values of a list that are printed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", help="shipped model, or path of a model file")


def run(args: argparse.Namespace) -> int:
    """Print the card."""
    path = find_potential(args.model)
    card = describe(Potential.load(path))
    card["file"] = str(path)
    if args.json:
        print(json.dumps(card, indent=2, allow_nan=False))
    else:
        print("\n".join(_lines(card)))
    return 0


def describe(potential: Potential) -> dict[str, Any]:
    """Collect everything about a potential but its coefficients.

    Parameters
    ----------
    potential : Potential

    Returns
    -------
    dict
        JSON content.
    """
    crystal = potential.crystal
    info = {k: v for k, v in potential.info.items() if k != "provenance"}
    targets = {}
    for name, target in potential.targets.items():
        model = target.model
        parts = [potential.descriptor.parts[p] for p in target.parts]
        targets[name] = {
            "unit": TARGETS[name],
            "n_features": model.n_features,
            "descriptors": [part.to_dict() for part in parts],
            "reference_values": dict(
                zip(potential.elements, target.reference_values.tolist(), strict=True)
            ),
            "n_rows": model.n_rows,
            "noise": _finite(model.noise),
            "effective_parameters": _finite(model.effective_parameters),
            "max_leverage": _finite(target.max_leverage),
        }
    return {
        "name": potential.name,
        "elements": list(potential.elements),
        "cutoff_A": potential.cutoff,
        "targets": targets,
        "crystal": None
        if crystal is None
        else {
            "lattice": crystal.lattice,
            "a0_A": crystal.a0,
            "hbar_omega_eV": dict(crystal.hbar_omega),
        },
        "info": info,
        "provenance": potential.info.get("provenance"),
    }


def _finite(value: Any) -> float | None:
    return float(value) if np.ndim(value) == 0 and np.isfinite(value) else None


def _short(value: Any) -> Any:
    """Spare readers long lists of numbers."""
    long = isinstance(value, list) and len(value) > _LONGEST
    return f"<{len(value)} values>" if long else value


def _lines(tree: Any, indent: int = 0) -> list[str]:
    """Lay nested dicts out as indented lines."""
    out = []
    for key, value in tree.items():
        pad = " " * indent
        if isinstance(value, dict):
            out += [f"{pad}{key}:", *_lines(value, indent + 2)]
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            out.append(f"{pad}{key}:")
            for item in value:
                inside = ", ".join(f"{k}={_short(v)}" for k, v in item.items())
                out.append(f"{pad}  {inside}")
        else:
            text = ", ".join(map(str, value)) if isinstance(value, list) else value
            out.append(f"{pad}{key}: {text}")
    return out
