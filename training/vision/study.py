"""Studies of SimplePatch and the baselines on CIFAR-10, published numbers beside ours.

    python -m training.vision.study k --data cifar10.npz
    python -m training.vision.study heads --data cifar10.npz --device cuda

A study varies one thing. On a CPU its head is closed form, N = 512 by default, fitted to 40,000
training images and measured on the 10,000 held out; what is published is a trained head of
N = 2048 on the test set, so that differences within a study are what compares. Results are kept
in a JSON file, from which a study that was stopped goes on; the table is Markdown.
"""

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thiry_calc.linear.files import write_atomically
from training.vision import published
from vision.data import ImageSet, load_images, split
from vision.estimator import ImageClassifier
from vision.neighbor_votes import ImageKNN, PatchVoteKNN
from vision.presets import PRESETS
from vision.simplepatch import SimplePatch


@dataclass(frozen=True)
class Study:
    """Models to compare.

    Attributes
    ----------
    title : str
    models : dict of str to ImageClassifier
        By the value that is varied.
    published : dict of str to float
        Percent, where known.
    """

    title: str
    models: Mapping[str, ImageClassifier]
    published: Mapping[str, float]


def vary(name: str, values: Mapping[Any, float], base: Mapping[str, Any], title: str) -> Study:
    """Vary one parameter of a SimplePatch."""
    models = {str(v): SimplePatch(**{**base, name: v}) for v in values}
    return Study(title, models, {str(v): accuracy for v, accuracy in values.items()})


def studies(n_patches: int, device: str, seed: int) -> dict[str, Study]:
    """All studies by name.

    Parameters
    ----------
    n_patches : int
        N of the closed-form models.
    device : str
        Of trained heads.
    seed : int

    Returns
    -------
    dict of str to Study
    """
    base: dict[str, Any] = {
        "temperature": 0.0,
        "n_patches": n_patches,
        "random_state": seed,
        "verbose": True,
    }
    fractions = {k / 2048: accuracy for k, accuracy in published.NEIGHBORS.items()}
    small = {n: a for n, a in published.N_PATCHES.items() if n <= 4096}
    trained = {
        "low_rank, N = 2048": "gpu-2k",
        "low_rank, N = 16384": "gpu-16k",
        "hidden, N = 2048": "gpu-hidden",
    }
    presets = PRESETS["simplepatch"]
    heads = {
        label: SimplePatch(
            **{**presets[preset], "device": device, "random_state": seed, "verbose": True}
        )
        for label, preset in trained.items()
    }
    baselines = {
        "image k-NN": ImageKNN(),
        "image k-NN, raw pixels": ImageKNN(normalize=False),
        "patch votes": PatchVoteKNN(n_reference=200_000, index="ivf", random_state=seed),
        "rectified random patches": SimplePatch(**base, code="rectified"),
    }
    return {
        "N": vary("n_patches", small, base, "Size of the dictionary"),
        "k": vary("k", fractions, base, "Neighbours, as a fraction of the dictionary"),
        "epsilon": vary("regularization", published.REGULARIZATION, base, "Regularization"),
        "P": vary("patch_size", published.PATCH_SIZE, base, "Patch size"),
        "temperature": vary("temperature", published.TEMPERATURE, base, "Temperature"),
        "whitening": vary("whiten", published.WHITENING, base, "Whitening"),
        "metric": vary(
            "metric", dict.fromkeys(("released", "mahalanobis", "l2"), float("nan")), base, "Metric"
        ),
        "heads": Study("Trained heads", heads, published.HEADS),
        "baselines": Study("Baselines", baselines, published.BASELINES),
    }


def run(study: Study, train: ImageSet, held: ImageSet, results: Path) -> dict[str, dict[str, Any]]:
    """Fit and measure every model that the file of results lacks.

    Parameters
    ----------
    study : Study
    train, held : ImageSet
    results : Path
        JSON, read and written.

    Returns
    -------
    dict
        ``accuracy`` (percent), ``fit_seconds`` and ``parameters``, by value.
    """
    found: dict[str, dict[str, Any]] = json.loads(results.read_text()) if results.exists() else {}
    for value, model in study.models.items():
        parameters = json.loads(json.dumps(model.get_params(deep=False), default=str))
        asked = {"parameters": parameters, "data": train.sha256, "held_out": held.sha256}
        if {k: found.get(value, {}).get(k) for k in asked} == asked:
            continue
        start = time.perf_counter()
        model.fit(train.images, np.asarray(train.labels))
        seconds = time.perf_counter() - start
        accuracy = 100 * model.score(held.images, held.labels)
        found[value] = {"accuracy": accuracy, "fit_seconds": round(seconds, 1), **asked}
        write_atomically(results, json.dumps(found, indent=1))
        print(f"{study.title}, {value}: {accuracy:.2f} % in {seconds:.0f} s", flush=True)
    return {value: found[value] for value in study.models}


def table(study: Study, found: Mapping[str, Mapping[str, Any]]) -> str:
    """Lay results out beside the published ones, as Markdown."""
    lines = [f"| {study.title} | ours, % | published, % | fit, s |", "|---|---|---|---|"]
    for value, result in found.items():
        theirs = study.published.get(value, float("nan"))
        shown = "–" if theirs != theirs else f"{theirs:.1f}"
        lines.append(f"| {value} | {result['accuracy']:.1f} | {shown} | {result['fit_seconds']} |")
    return "\n".join(lines)


def main() -> None:
    """Run one study from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", choices=list(studies(512, "cpu", 0)))
    parser.add_argument("--data", required=True, help="labelled images of CIFAR-10")
    parser.add_argument("--n-patches", type=int, default=512, help="N of closed-form models")
    parser.add_argument("--images", type=int, help="fit to the first so many (all by default)")
    parser.add_argument("--held-out", type=int, default=10_000)
    parser.add_argument("--device", default="cuda", help="of trained heads")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, default=Path(), help="folder of results")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    train, held = split(load_images(args.data, labelled=True), args.held_out)
    train = train[: args.images]
    study = studies(args.n_patches, args.device, args.seed)[args.study]
    found = run(study, train, held, args.output / f"study_{args.study}.json")
    print(table(study, found))


if __name__ == "__main__":
    main()
