"""How good a classifier is: accuracy, top five, by class."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

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
        Of the classes that the model was fitted to: where `data` has names too, labels are
        compared by name.
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
    names = tuple(names)
    labels = _as_fitted(data, model.classes_, names)
    known = np.isin(labels, model.classes_)
    if not known.any():
        raise ValueError(
            f"the model knows none of the labels {_some(data)}; it was "
            f"fitted to {model.classes_[:10].tolist()}"
        )
    scores = model.class_scores(data.images, progress=progress)
    order = np.argsort(-scores, axis=1, kind="stable")
    ranked = model.classes_[order[:, :5]]
    hits = ranked == labels[:, None]
    return {
        "accuracy": float(hits[:, 0].mean()),
        "top5": float(hits.any(1).mean()),
        "n": len(data),
        "per_class": {
            label_name(c, data.class_names or names): float(hits[data.labels == c, 0].mean())
            for c in np.unique(data.labels)
        },
    }


def _as_fitted(data: ImageSet, classes: NDArray[Any], names: tuple[str, ...]) -> NDArray[Any]:
    """Labels as the model knows them: by name where both have names, −1 for unknown ones."""
    assert data.labels is not None
    if classes.dtype.kind == "U":
        return np.array([data.name_of(c) for c in data.labels])
    if not (names and data.class_names) or names == data.class_names:
        return data.labels
    number = {name: i for i, name in enumerate(names)}
    table = np.array([number.get(name, -1) for name in data.class_names])
    inside = data.labels < len(table)
    return np.where(inside, table[np.where(inside, data.labels, 0)], -1)


def _some(data: ImageSet) -> list[str]:
    """Name a few of the labels of images."""
    return [data.name_of(c) for c in np.unique(np.asarray(data.labels))[:10]]


def label_name(label: Any, names: tuple[str, ...] | list[str]) -> str:
    """Name of a class: from a list where the label is its number there."""
    number = label.item() if isinstance(label, np.generic) else label
    if isinstance(number, int) and 0 <= number < len(names):
        return names[number]
    return str(number)
