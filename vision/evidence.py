"""Evidence: each class score as a sum over the patches of an image.

For every model that looks at patches ``F_c(x) = Σ_p e_c(p)``: a map of e is an exact account of the
score, not an approximation to it (Brendel and Bethge, ICLR 2019, show the same for BagNets). e_c(p)
is a function of the patch at p alone; of scattering, whose filters have no sharp border, of the
square at p and, less and less, of what surrounds it. For pictures, each patch's evidence is shared
evenly among its pixels, which keeps the sum.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vision.estimator import ImageClassifier

__all__ = ["Evidence", "evidence_map", "explain"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Evidence:
    """Why an image has its score for a class.

    Attributes
    ----------
    label
        The class.
    score : float
        Its score.
    patches : (h, w) array
        Evidence of each patch; sums to the score.
    pixels : (H, W) array
        The same, shared among pixels.
    """

    label: Any
    score: float
    patches: Array
    pixels: Array


def evidence_map(model: ImageClassifier, image: ArrayLike, label: Any) -> Array:
    """Evidence of each patch of an image for a class.

    Parameters
    ----------
    model : ImageClassifier
    image : (H, W) or (H, W, C) uint8 array
    label : one of ``model.classes_``

    Returns
    -------
    (h, w) array
        Sums to the class score.

    Raises
    ------
    ValueError
        For a model that does not look at patches; an unknown label; another shape of image.
    """
    return model.evidence_map(image, label)


def explain(model: ImageClassifier, image: ArrayLike, label: Any = None) -> Evidence:
    """Account for a score.

    Parameters
    ----------
    model : ImageClassifier
    image : (H, W) or (H, W, C) uint8 array
    label : one of ``model.classes_``, optional
        The predicted class by default.

    Returns
    -------
    Evidence
    """
    pixels = np.asarray(image)
    scores = model.class_scores(pixels[None])[0]
    column = int(scores.argmax()) if label is None else model.column_of(label)
    label = model.classes_[column]
    patches = evidence_map(model, pixels, label)
    sides = [
        _shares(starts, stops, length)
        for (starts, stops), length in zip(model.windows(), pixels.shape, strict=False)
    ]
    shared = np.asarray(sides[0].T @ patches @ sides[1])
    return Evidence(label, float(scores[column]), patches, shared)


def _shares(starts: NDArray[np.int64], stops: NDArray[np.int64], length: int) -> Array:
    """(places, length): each row a window, cut at the border, that sums to one."""
    at = np.arange(length)
    inside = (at >= starts[:, None]) & (at < stops[:, None])
    return np.asarray(inside / inside.sum(1, keepdims=True))
