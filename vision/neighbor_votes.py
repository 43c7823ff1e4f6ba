"""The naive baselines: votes of nearest images, and of nearest patches.

`ImageKNN` ranks whole images by Euclidean distance; the k nearest vote. `PatchVoteKNN` lets each
patch of an image vote for the labels of the k nearest of the training images' patches, after
whitening; the score of a class is its share of all votes, a sum over patches. Searches are exact
(`nearest`); where patches are too many for that, ``index="ivf"`` asks faiss for approximate
neighbours (Johnson, Douze and Jégou, IEEE Trans. Big Data 7, 535 (2021)).
"""

from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vision.data import Images
from vision.estimator import Array, ImageClassifier
from vision.nearest import nearest
from vision.patches import Whitening, draw_patches, unfold
from vision.pooling import Windows
from vision.stored import stored

__all__ = ["ImageKNN", "PatchVoteKNN"]

_BLOCK = 4096  # reference vectors whose distances are computed at a time


class ImageKNN(ImageClassifier):
    """k nearest images.

    Parameters
    ----------
    n_neighbors : int
    normalize : bool
        Subtract the mean and divide by the deviation of each image's pixels first.

    Attributes
    ----------
    images_ : (N, H, W, C) uint8 array
    labels_ : (N,) int64 array
        Positions in `classes_`.
    """

    def __init__(self, n_neighbors: int = 10, normalize: bool = True) -> None:
        self.n_neighbors = n_neighbors
        self.normalize = normalize

    def _fit(self, images: Images, classes: NDArray[np.int64]) -> None:
        _check_neighbors(self.n_neighbors, len(images), "images")
        self.images_, self.labels_ = images.copy(), classes

    def _vectors(self, images: Images) -> Tensor:
        flat = torch.from_numpy(images).flatten(1).float() / 255
        if not self.normalize:
            return flat
        centred = flat - flat.mean(1, keepdim=True)
        return centred / centred.std(1, keepdim=True, unbiased=False).clamp(min=1e-3)

    def _scores(self, images: Images) -> Array:
        """Shares of votes; the nearest decides between equal ones."""
        blocks = (
            self._vectors(self.images_[i : i + _BLOCK]) for i in range(0, len(self.images_), _BLOCK)
        )
        _, index = nearest(self._vectors(images), blocks, self.n_neighbors)
        return _votes(self.labels_[index], len(self.classes_))

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return {"images": self.images_, "labels": self.labels_}

    def _restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        self.images_ = stored(arrays, "images", (None, *self.image_shape_), np.uint8)
        self.labels_ = _labels(arrays, len(self.images_), len(self.classes_))
        _check_neighbors(self.n_neighbors, len(self.images_), "images")


class PatchVoteKNN(ImageClassifier):
    """Votes of the nearest training patches of each patch.

    Parameters
    ----------
    patch_size : int
        P.
    n_neighbors : int
        Votes of each patch.
    n_reference : int
        Training patches that are kept, drawn uniformly; all where there are fewer.
    stride : int
        Between the patches of an image that vote.
    whiten : bool
    regularization : float
        ε of the whitening.
    index : {"exact", "ivf"}
        "ivf": approximate neighbours by faiss, several times faster with 10^5 and more.
    random_state : int

    Attributes
    ----------
    reference_ : (R, D) float32 array
        Whitened training patches.
    labels_ : (R,) int64 array
        Positions in `classes_`.
    """

    def __init__(
        self,
        patch_size: int = 6,
        n_neighbors: int = 1,
        n_reference: int = 100_000,
        stride: int = 2,
        whiten: bool = True,
        regularization: float = 1e-2,
        index: str = "exact",
        random_state: int = 0,
    ) -> None:
        self.patch_size = patch_size
        self.n_neighbors = n_neighbors
        self.n_reference = n_reference
        self.stride = stride
        self.whiten = whiten
        self.regularization = regularization
        self.index = index
        self.random_state = random_state

    def _check(self) -> None:
        if self.index not in ("exact", "ivf"):
            raise ValueError(f"index {self.index!r} given; expected 'exact' or 'ivf'")
        if self.stride < 1:
            raise ValueError(f"stride {self.stride} given; expected 1 or more")

    def _fit(self, images: Images, classes: NDArray[np.int64]) -> None:
        self._check()
        rng = np.random.default_rng(self.random_state)
        self.whitening_ = Whitening.fit(
            images, self.patch_size, self.regularization, whiten=self.whiten
        )
        P = self.patch_size
        total = len(images) * (images.shape[1] - P + 1) * (images.shape[2] - P + 1)
        count = min(self.n_reference, total)
        _check_neighbors(self.n_neighbors, count, "reference patches")
        patches, source = draw_patches(images, P, count, rng)
        flat = torch.from_numpy(patches.reshape(count, -1)).float() / 255
        self.reference_ = self.whitening_(flat).numpy()
        self.labels_ = classes[source]
        self._build()

    def _build(self) -> None:
        """Make the index of approximate neighbours."""
        self._ivf = None
        if self.index == "ivf":
            self._ivf = _inverted_file(self.reference_, self.random_state)

    def _patch_votes(self, images: Images) -> Array:
        """Shares of votes of each patch: (B, h, w, T)."""
        pixels = torch.from_numpy(images).float() / 255
        patches = self.whitening_(unfold(pixels, self.patch_size, self.stride))
        flat = patches.reshape(-1, patches.shape[-1])
        if self._ivf is None:
            index = self._nearest(flat)
        else:
            index = self._ivf.search(flat.numpy(), self.n_neighbors)[1]
            few = (index < 0).any(1)  # the lists searched hold too few
            if few.any():
                index[few] = self._nearest(flat[torch.from_numpy(few)])
        votes = _votes(self.labels_[index], len(self.classes_), tie=0.0)
        return votes.reshape(*patches.shape[:3], -1)

    def _nearest(self, flat: Tensor) -> NDArray[np.int64]:
        blocks = torch.from_numpy(self.reference_).split(_BLOCK)
        return nearest(flat, blocks, self.n_neighbors)[1]

    def _scores(self, images: Images) -> Array:
        parts = [
            self._patch_votes(images[i : i + 8]).mean((1, 2)) for i in range(0, len(images), 8)
        ]
        return np.concatenate(parts)

    def windows(self) -> Windows:
        """First pixels of patches, and those after the last, by axis."""
        height, width, _ = self.image_shape_
        starts = [np.arange(0, n - self.patch_size + 1, self.stride) for n in (height, width)]
        return tuple((start, start + self.patch_size) for start in starts)

    def _evidence(self, images: Images, column: int) -> Array:
        votes = self._patch_votes(images)[0, :, :, column]
        return np.asarray(votes / votes.size)

    def _arrays(self) -> dict[str, NDArray[Any]]:
        basis = self.whitening_
        return {
            "reference": self.reference_,
            "labels": self.labels_,
            "mean": basis.mean,
            "eigenvalues": basis.eigenvalues,
            "matrix": basis.matrix,
        }

    def _restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        self._check()
        D = self.patch_size**2 * self.image_shape_[2]
        self.reference_ = stored(arrays, "reference", (None, D), np.float32)
        self.labels_ = _labels(arrays, len(self.reference_), len(self.classes_))
        _check_neighbors(self.n_neighbors, len(self.reference_), "reference patches")
        self.whitening_ = Whitening(
            stored(arrays, "mean", (D,), np.float64),
            stored(arrays, "eigenvalues", (D,), np.float64),
            stored(arrays, "matrix", (D, D), np.float64),
        )
        self._build()


def _check_neighbors(n_neighbors: int, available: int, what: str) -> None:
    if not 1 <= n_neighbors <= available:
        raise ValueError(
            f"{n_neighbors} neighbors asked of {available} {what}; give a number from 1 to that"
        )


def _labels(arrays: dict[str, NDArray[Any]], count: int, n_classes: int) -> NDArray[np.int64]:
    """Take labels from a file, one class number for each reference."""
    labels = stored(arrays, "labels", (count,), np.int64)
    if not ((labels >= 0) & (labels < n_classes)).all():
        raise ValueError(f"labels do not fit {n_classes} classes")
    return labels


def _votes(labels: NDArray[np.int64], n_classes: int, tie: float = 1e-6) -> Array:
    """Shares (n, T) of the votes (n, k), the nearest first, which a small extra vote favours."""
    n, k = labels.shape
    votes = np.zeros((n, n_classes))
    for j in range(k):
        np.add.at(votes, (np.arange(n), labels[:, j]), 1.0 / k)
    votes[np.arange(n), labels[:, 0]] += tie
    return votes


def _inverted_file(reference: NDArray[np.float32], seed: int) -> Any:
    """Faiss' inverted lists around k-means centres, of which one in 64 is searched, or 8.

    Of 200,000 whitened 6 x 6 patches of CIFAR-10 that finds 96 % of the nearest neighbours.
    """
    if find_spec("faiss") is None:
        raise ImportError("index='ivf' needs faiss; pip install faiss-cpu")
    import faiss

    lists = max(1, min(4096, len(reference) // 64))
    quantizer = faiss.IndexFlatL2(reference.shape[1])
    index = faiss.IndexIVFFlat(quantizer, reference.shape[1], lists)
    index.cp.seed = seed
    index.train(reference)
    index.add(reference)
    index.nprobe = max(8, lists // 64)
    return index
