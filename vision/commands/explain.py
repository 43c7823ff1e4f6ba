"""Draw the evidence of each patch of a picture, or each class's most telling dictionary patches."""

import argparse
import json
from typing import Any

import numpy as np

from thiry_calc.linear.suggestion import suggestion
from vision.data import load_images
from vision.evidence import explain
from vision.model_files import load_model
from vision.plot import check_plot, plot_evidence, plot_gallery
from vision.report import label_name
from vision.simplepatch import SimplePatch

EXAMPLE = "thiry-vision explain cifar10.vision cat.png -o heat.png --class cat"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", help="model file")
    parser.add_argument(
        "image", nargs="?", help="picture; without it, the gallery of telling patches is drawn"
    )
    parser.add_argument("-o", "--output", required=True, metavar="PLOT", help="figure to write")
    parser.add_argument(
        "--class", dest="label", action="append", metavar="C",
        help="class, by name or number; may be repeated (default: the predicted one, or all)",
    )  # fmt: skip
    parser.add_argument("--index", type=int, default=0, help="which image, of a file of many")
    parser.add_argument("--count", type=int, default=12, help="patches of a class in the gallery")


def run(args: argparse.Namespace) -> int:
    """Draw, and print the scores."""
    check_plot(args.output)
    model, info = load_model(args.model)
    names = [label_name(c, info.get("class_names", ())) for c in model.classes_]
    chosen = [_label(text, names, model.classes_) for text in args.label or []]
    result = _gallery if args.image is None else _evidence
    content = result(args, model, names, chosen)
    if args.json:
        print(json.dumps(content, indent=2))
    else:
        for entry in content["classes"]:
            shown = entry.get("score", entry.get("weights", [0.0]))
            print(f"{entry['class']}: {np.round(shown, 4)}")
        print(f"drawn in {args.output}")
    return 0


def _label(text: str, names: list[str], classes: Any) -> Any:
    for known in (names, [str(c) for c in classes]):
        if text in known:
            return classes[known.index(text)]
    raise ValueError(f"the model has no class {text!r}; {suggestion(text, names, 'it has')}")


def _evidence(
    args: argparse.Namespace, model: Any, names: list[str], chosen: list[Any]
) -> dict[str, Any]:
    data = load_images(args.image)
    if not 0 <= args.index < len(data):
        raise ValueError(f"--index {args.index} given; {args.image!r} has {len(data)} images")
    image = data.images[args.index]
    found = [explain(model, image, label) for label in chosen or [None]]
    titles = [names[model.column_of(e.label)] for e in found]
    plot_evidence(image, found, titles, args.output)
    return {
        "classes": [
            {"class": title, "score": e.score, "sum": float(e.patches.sum())}
            for title, e in zip(titles, found, strict=True)
        ]
    }


def _gallery(
    args: argparse.Namespace, model: Any, names: list[str], chosen: list[Any]
) -> dict[str, Any]:
    if not isinstance(model, SimplePatch):
        raise ValueError(f"{type(model).__name__} has no dictionary of patches; give an image")
    labels = chosen or list(model.classes_)
    rows = [(names[model.column_of(c)], *model.telling_patches(c, args.count)) for c in labels]
    plot_gallery(rows, args.output)
    return {"classes": [{"class": name, "weights": w.tolist()} for name, _, w in rows]}
