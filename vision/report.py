"""How good a classifier is: accuracy, top five, by class."""

from typing import Any

import numpy as np

from vision.data import ImageSet
from vision.estimator import ImageClassifier

__all__ = ["label_name", "measure"]


def measure(
    model: ImageClassifier,
    data: ImageSet,
    names: tuple[str, ...] | list[str] = (),
    progress: bool = False,
) -> dict[str, Any]:
    """Measure accuracies.

    Parameters
    ----------
    model : ImageClassifier
    data : ImageSet
        With labels.
    names : sequence of str
        Of the classes that the model was fitted to; those of `data` by default.
    progress : bool
        Show a bar on stderr.

    Returns
    -------
    dict
        ``accuracy``, ``top5`` (share of images whose class is among the five best scores), ``n``,
        and ``per_class``: accuracy by name. Images of unknown classes count as errors.

    Raises
    ------
    ValueError
        Data without labels, or labels of which the model knows none.
    """
    if data.labels is None:
        raise ValueError("the images have no labels to compare with; `predict` needs none")
    known = np.isin(data.labels, model.classes_)
    if not known.any():
        raise ValueError(
            f"the model knows none of the labels {np.unique(data.labels)[:10].tolist()}; it was "
            f"fitted to {model.classes_[:10].tolist()}"
        )
    scores = model.decision_function(data.images, progress=progress)
    order = np.argsort(-scores, axis=1, kind="stable")
    ranked = model.classes_[order[:, :5]]
    hits = ranked == data.labels[:, None]
    names = tuple(names) or data.class_names
    return {
        "accuracy": float(hits[:, 0].mean()),
        "top5": float(hits.any(1).mean()),
        "n": len(data),
        "per_class": {
            label_name(c, names): float(hits[data.labels == c, 0].mean())
            for c in np.unique(data.labels)
        },
    }


def label_name(label: Any, names: tuple[str, ...] | list[str]) -> str:
    """Name of a class: from a list where the label is its number there."""
    number = label.item() if isinstance(label, np.generic) else label
    if isinstance(number, int) and 0 <= number < len(names):
        return names[number]
    return str(number)
