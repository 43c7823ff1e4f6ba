"""Scattering and a linear classifier: ours against kymatio and scikit-learn, in one run.

    python -m training.benchmarks.scattering --data cifar10.npz --images 4000 --held-out 1000

Both sides take the same images to a fitted classifier and its accuracy on the images held out:
ours by `ScatteringLinear`, theirs by kymatio's torch frontend, `StandardScaler` and
`LogisticRegression` or, with ``--loss squares``, `RidgeClassifier`, with our penalty. Times are
wall times of transform, fit and prediction, after both have done the same with a hundred images,
so that neither pays for imports, filters and compilation.
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special
import torch
from numpy.typing import NDArray

from vision.data import ImageSet, load_images, split
from vision.scattering import Scattering2D
from vision.scattering_linear import ScatteringLinear

_BATCH = 64


def kymatio_transform(J: int, shape: tuple[int, int]) -> Callable[[torch.Tensor], torch.Tensor]:
    """Make kymatio's transform; its 0.3 asks scipy for a function since renamed."""
    if not hasattr(scipy.special, "sph_harm"):
        scipy.special.sph_harm = lambda m, n, theta, phi: scipy.special.sph_harm_y(n, m, phi, theta)
    from kymatio.torch import Scattering2D as Theirs

    transform: Callable[[torch.Tensor], torch.Tensor] = Theirs(J, shape=shape)
    return transform


def transform_all(
    transform: Callable[[torch.Tensor], torch.Tensor], images: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Coefficients of images, as rows."""
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        rows = [transform(block.contiguous()).flatten(1) for block in pixels.split(_BATCH)]
    return np.asarray(torch.cat(rows).numpy())


def theirs(train: ImageSet, held: ImageSet, J: int, loss: str, penalty: float) -> dict[str, Any]:
    """Time and accuracy of kymatio and scikit-learn."""
    from sklearn.linear_model import LogisticRegression, RidgeClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    begun = time.perf_counter()
    shape = (int(train.images.shape[1]), int(train.images.shape[2]))
    transform = kymatio_transform(J, shape)
    features = transform_all(transform, train.images)
    transformed = time.perf_counter()
    strength = penalty * len(train)
    model = make_pipeline(
        StandardScaler(),
        RidgeClassifier(strength)
        if loss == "squares"
        else LogisticRegression(C=1 / strength, max_iter=1000),
    )
    model.fit(features, train.labels)
    accuracy = model.score(transform_all(transform, held.images), held.labels)
    total = time.perf_counter() - begun
    return {"accuracy": accuracy, "seconds": total, "transform_seconds": transformed - begun}


def ours(train: ImageSet, held: ImageSet, J: int, loss: str, penalty: float) -> dict[str, Any]:
    """Time and accuracy of ScatteringLinear."""
    begun = time.perf_counter()
    model = ScatteringLinear(J, loss=loss, penalty=penalty).fit(
        train.images, np.asarray(train.labels)
    )
    accuracy = model.score(held.images, np.asarray(held.labels))
    total = time.perf_counter() - begun
    begun = time.perf_counter()
    shape = (int(train.images.shape[1]), int(train.images.shape[2]))
    transform_all(Scattering2D(J, shape).evaluate, train.images)
    alone = time.perf_counter() - begun
    return {"accuracy": accuracy, "seconds": total, "transform_seconds": alone}


def main() -> None:
    """Run both and print the ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="labelled images")
    parser.add_argument("--images", type=int, default=4000, help="to fit")
    parser.add_argument("--held-out", type=int, default=1000)
    parser.add_argument("-J", type=int, default=2)
    parser.add_argument("--loss", choices=("logistic", "squares"), default="logistic")
    parser.add_argument("--penalty", type=float, default=1e-2)
    args = parser.parse_args()
    train, held = split(load_images(args.data, labelled=True), args.held_out)
    train = train[: args.images]
    result: dict[str, Any] = {}
    for name, side in {"ours": ours, "kymatio_sklearn": theirs}.items():
        side(train[:100], held[:100], args.J, args.loss, args.penalty)
        result[name] = side(train, held, args.J, args.loss, args.penalty)
    for key in ("seconds", "transform_seconds"):
        result[f"ratio_{key}"] = result["kymatio_sklearn"][key] / result["ours"][key]
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
