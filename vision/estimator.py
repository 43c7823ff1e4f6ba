"""What the image classifiers share: checks of images and labels, batches, predictions.

An `ImageClassifier` has scikit-learn's interface with images in place of rows: X is (N, H, W[, C])
uint8. The score of a classifier that looks at patches is a sum over places, which `evidence_map`
gives and `windows` locates.
"""

from abc import abstractmethod
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted
from tqdm import tqdm

from vision.data import Images, as_images
from vision.pooling import Windows

__all__ = ["ImageClassifier"]

Array = NDArray[np.float64]
_BATCH = 256


class ImageClassifier(ClassifierMixin, BaseEstimator):
    """Classifier of images.

    Attributes
    ----------
    classes_ : (T,) array
        Labels, sorted.
    image_shape_ : (H, W, C)
    """

    def __sklearn_tags__(self) -> Any:
        """Images are no table of numbers."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        return tags

    @abstractmethod
    def _fit(self, images: Images, classes: NDArray[np.int64]) -> None:
        """Fit to images and classes 0..T-1."""

    @abstractmethod
    def _scores(self, images: Images) -> Array:
        """Scores (n, T) of a batch."""

    def _batch_size(self) -> int:
        """Images that are scored at a time."""
        return _BATCH

    def _evidence(self, images: Images, column: int) -> Array:
        """Evidence (h, w) of the places of one image (1, H, W, C)."""
        raise ValueError(
            f"{type(self).__name__} compares whole images, so it has no evidence of patches; "
            "use SimplePatch, ScatteringLinear or PatchVoteKNN"
        )

    def windows(self) -> Windows:
        """First pixels of the places of an evidence map, and those after the last, by axis."""
        raise ValueError(f"{type(self).__name__} compares whole images, not patches")

    @abstractmethod
    def _arrays(self) -> dict[str, NDArray[Any]]:
        """Return what was fitted, for a file of `model_files`."""

    @abstractmethod
    def _restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take back what `_arrays` gave; parameters, classes and the images' shape are set."""

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit to labelled images.

        Parameters
        ----------
        X : (N, H, W) or (N, H, W, C) uint8 array
        y : (N,) array
            Labels: numbers or strings.

        Returns
        -------
        Self

        Raises
        ------
        ValueError
            Images or labels of other shapes or types, fewer than two classes, fewer images than
            classes.
        """
        images = as_images(X)
        labels = np.asarray(y)
        if labels.shape != (len(images),):
            raise ValueError(
                f"y has shape {labels.shape}; expected ({len(images)},), a label for each image"
            )
        check_classification_targets(labels)
        labels = labels.astype(str) if labels.dtype == object else labels
        known, classes = np.unique(labels, return_inverse=True)
        if len(known) < 2:
            raise ValueError(
                f"all images are of one class, {known[0]}; a classifier needs two or more"
            )
        if len(images) <= len(known):
            raise ValueError(
                f"{len(images)} images of {len(known)} classes given; give more images than classes"
            )
        self.classes_, self.image_shape_ = known, tuple(int(n) for n in images.shape[1:])
        try:
            self._fit(images, classes.astype(np.int64))
        except BaseException:
            # half of a fit must not pass for one, nor mix with one before
            for name in [n for n in vars(self) if n.endswith("_") and not n.startswith("_")]:
                delattr(self, name)
            raise
        return self

    def check_images(self, X: ArrayLike) -> Images:
        """Check that images are like those fitted.

        Raises
        ------
        ValueError
            Another shape.
        """
        check_is_fitted(self)
        images = as_images(X)
        if images.shape[1:] != self.image_shape_:
            raise ValueError(
                f"images of shape {images.shape[1:]} given to a model of {self.image_shape_}; "
                "bring them to its size and colours"
            )
        return images

    def column_of(self, label: Any) -> int:
        """Column of the scores of a label.

        Raises
        ------
        ValueError
            Not one of `classes_`.
        """
        check_is_fitted(self)
        found = np.flatnonzero(self.classes_ == label)
        if len(found) != 1:
            known = ", ".join(str(c) for c in self.classes_[:20])
            raise ValueError(f"class {label!r} is not known; expected one of {known}")
        return int(found[0])

    def evidence_map(self, image: ArrayLike, label: Any) -> Array:
        """Evidence of each patch of an image for a class.

        Parameters
        ----------
        image : (H, W) or (H, W, C) uint8 array
        label : one of `classes_`

        Returns
        -------
        (h, w) array
            Sums to the class score: `windows` says where the places are, and all share the
            intercept.

        Raises
        ------
        ValueError
            A model that does not look at patches, an unknown label, another shape of image.
        """
        column = self.column_of(label)
        return self._evidence(self.check_images(np.asarray(image)[None]), column)

    def decision_function(self, X: ArrayLike) -> Array:
        """Class scores in scikit-learn's form.

        Parameters
        ----------
        X : (N, H, W) or (N, H, W, C) uint8 array

        Returns
        -------
        (N, T) array
            `class_scores`; of two classes (N,), the second's less the first's.
        """
        scores = self.class_scores(X)
        return scores if scores.shape[1] > 2 else scores[:, 1] - scores[:, 0]

    def class_scores(self, X: ArrayLike, progress: bool = False) -> Array:
        """Class scores, for two classes too.

        Parameters
        ----------
        X : (N, H, W) or (N, H, W, C) uint8 array
        progress : bool
            Show a bar on stderr.

        Returns
        -------
        (N, T) array
            In the order of `classes_`.
        """
        images = self.check_images(X)
        scores = np.empty((len(images), len(self.classes_)))
        with tqdm(total=len(images), unit="image", disable=not progress) as bar:
            size = self._batch_size()
            for start in range(0, len(images), size):
                block = slice(start, start + size)
                scores[block] = self._scores(images[block])
                bar.update(len(scores[block]))
        return scores

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Labels of the highest scores.

        Parameters
        ----------
        X : (N, H, W) or (N, H, W, C) uint8 array

        Returns
        -------
        (N,) array
        """
        best = self.class_scores(X).argmax(1)
        return np.asarray(self.classes_[best])
