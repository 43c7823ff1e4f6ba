"""SimplePatch: linear class scores of patch k-nearest-neighbour codes.

    F_c(x) = Σ_cells Σ_j w_c(cell, j) ⟨code_j⟩_cell + b_c

with the codes of `knn` averaged over cells of the image (Thiry, Arbel, Belilovsky and Oyallon,
ICLR 2021). Heads:

    "ridge", "reduced_rank"   closed form, in minutes on a CPU (`linear_head`)
    "logistic"                logistic loss of the same features, convex too
    "low_rank", "hidden"      the published ones, by stochastic gradient descent (`sgd`), on a GPU

A dictionary closed under left-right mirrors makes the code of a mirrored image a permutation of
the image's own code. Closed-form heads are fitted to the sum of both, which is what fitting to
each image and its mirror image gives, at half the features instead of twice the images.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from vision.code_cache import cached_codes, code_key
from vision.data import Images
from vision.estimator import Array, ImageClassifier
from vision.knn import PatchCode, PatchDictionary
from vision.linear_head import fit_head
from vision.patch_heads import Hidden, LowRank
from vision.pooling import Cells, Windows
from vision.scores import HiddenScores, LinearScores
from vision.sgd import Schedule, train

__all__ = ["SimplePatch"]

HEADS = ("ridge", "reduced_rank", "logistic", "low_rank", "hidden")
_BLOCK_BYTES = 2**28  # of the features of a block


class SimplePatch(ImageClassifier):
    """Patch k-nearest-neighbour classifier of images.

    The defaults are the preset "cpu": fitted in minutes on two cores.

    Parameters
    ----------
    n_patches : int
        N, size of the dictionary.
    patch_size : int
        P.
    k : float
        Neighbours as a fraction of N, between 0 and 1.
    temperature : float
        T of the soft code; 0 for the hard one.
    code : {"knn", "rectified"}
        "rectified": scores of random patches without neighbours, a baseline.
    metric : {"released", "mahalanobis", "l2"}
        See `knn`.
    whiten : bool
    regularization : float
        ε of the whitening, for pixels in [0, 1].
    mirror : bool
        Close the dictionary under left-right mirrors, and treat both alike.
    pooling : int, or (size, stride)
        Cells: see `pooling`.
    head : {"ridge", "reduced_rank", "logistic", "low_rank", "hidden"}
    penalty : float, or sequence of float
        p of the convex heads (`linear_head`); of several the best on a tenth of the images.
    rank : int, optional
        Of "reduced_rank" (by default one less than the classes) and "low_rank" (128).
    width : int
        Units of "hidden".
    schedule : mapping, optional
        Attributes of `sgd.Schedule`, for the trained heads.
    device : str
        Of torch, on which heads are trained.
    checkpoint : path, optional
        File from which training of a head resumes.
    max_seconds : float, optional
        Wall time after which training stops at a checkpoint (`sgd.TrainingStopped`).
    cache : path, optional
        Folder in which pooled codes are kept, rounded to bytes (`code_cache`), for convex heads.
    random_state : int
        Seed of every random choice.
    verbose : bool
        Show progress on stderr.

    Attributes
    ----------
    dictionary_ : PatchDictionary
    cells_ : Cells
    scores_ : LinearScores or HiddenScores
        What maps pooled codes to scores.
    penalty_ : float
        The penalty given, or chosen; NaN for trained heads.
    """

    def __init__(
        self,
        n_patches: int = 1536,
        patch_size: int = 6,
        k: float = 0.4,
        temperature: float = 4.0,
        code: str = "knn",
        metric: str = "released",
        whiten: bool = True,
        regularization: float = 1e-3,
        mirror: bool = True,
        pooling: int | tuple[int, int] = 3,
        head: str = "ridge",
        penalty: float | Sequence[float] = 0.03,
        rank: int | None = None,
        width: int = 2048,
        schedule: Mapping[str, Any] | None = None,
        device: str = "cpu",
        checkpoint: str | Path | None = None,
        max_seconds: float | None = None,
        cache: str | Path | None = None,
        random_state: int = 0,
        verbose: bool = False,
    ) -> None:
        self.n_patches = n_patches
        self.patch_size = patch_size
        self.k = k
        self.temperature = temperature
        self.code = code
        self.metric = metric
        self.whiten = whiten
        self.regularization = regularization
        self.mirror = mirror
        self.pooling = pooling
        self.head = head
        self.penalty = penalty
        self.rank = rank
        self.width = width
        self.schedule = schedule
        self.device = device
        self.checkpoint = checkpoint
        self.max_seconds = max_seconds
        self.cache = cache
        self.random_state = random_state
        self.verbose = verbose

    def _fit(self, images: Images, classes: NDArray[np.int64]) -> None:
        if self.head not in HEADS:
            raise ValueError(f"head {self.head!r} given; expected one of {', '.join(HEADS)}")
        schedule = Schedule.of(self.schedule)
        self.dictionary_ = PatchDictionary.fit(
            images,
            self.patch_size,
            self.n_patches,
            np.random.default_rng(self.random_state),
            self.metric,
            self.whiten,
            self.regularization,
            self.mirror,
        )
        self._prepare()
        self.penalty_, self.validation_ = float("nan"), dict[float, float]()
        if self.head in ("ridge", "reduced_rank", "logistic"):
            self._fit_closed(images, classes)
        else:
            self._train(images, classes, schedule)

    def _fit_closed(self, images: Images, classes: NDArray[np.int64]) -> None:
        if self.mirror and not self.cells_.symmetric:
            raise ValueError(
                f"pooling {self.pooling} is not symmetric under mirrors; give a number of "
                "cells, or mirror=False"
            )
        n_classes = len(self.classes_)
        rank = None
        if self.head == "reduced_rank":
            rank = n_classes - 1 if self.rank is None else self.rank
        head = fit_head(
            lambda rows: self._features(images, rows),
            classes,
            n_classes,
            self.penalty,
            rank,
            self.random_state,
            loss="logistic" if self.head == "logistic" else "squares",
        )
        self.scores_: LinearScores | HiddenScores = LinearScores(
            self._unfold(head.weights), head.intercept
        )
        self.penalty_, self.validation_ = head.penalty, head.validation

    def _train(self, images: Images, classes: NDArray[np.int64], schedule: Schedule) -> None:
        N, T, g = self.dictionary_.size, len(self.classes_), self.cells_.side
        rank = 128 if self.rank is None else self.rank
        if rank < 1 or self.width < 1:
            raise ValueError(f"rank {rank} and width {self.width} given; expected 1 or more")
        with torch.random.fork_rng(devices=()):  # the caller's generator stays as it is
            torch.manual_seed(self.random_state)
            head: LowRank | Hidden
            if self.head == "hidden":
                head = Hidden(2 * N, T, g, self.width)
            else:
                head = LowRank(2 * N, T, g, rank)
        train(
            self.code_, self.cells_, head, images, classes, schedule, self.device,
            self.random_state, self.checkpoint, self.max_seconds, self.verbose,
        )  # fmt: skip
        self.code_.cpu()
        if isinstance(head, Hidden):
            self.scores_ = HiddenScores(head.cpu().eval())
        else:
            self.scores_ = LinearScores.of(head, (g, g, 2, N))

    def _prepare(self) -> None:
        """Build what follows from the dictionary and the parameters."""
        if not 0 < self.k < 1:
            raise ValueError(f"k = {self.k} given; expected a fraction of the dictionary, 0 to 1")
        height, width, _ = self.image_shape_
        P = self.dictionary_.patch
        k = min(max(round(self.k * self.dictionary_.size), 1), self.dictionary_.size - 1)
        self.code_ = PatchCode(self.dictionary_, k, self.temperature, self.code)
        self.cells_ = Cells.build((height - P + 1, width - P + 1), self.pooling)

    def _features(self, images: Images, rows: NDArray[np.intp]) -> Iterator[NDArray[np.float32]]:
        """Pooled codes of images, folded where mirrored, in blocks."""
        g, N = self.cells_.side, self.dictionary_.size
        step = self._step()
        kept = None if self.cache is None else self._kept(images, (len(images), g, g, 2, N))
        with tqdm(total=len(rows), unit="image", disable=not self.verbose, desc="encode") as bar:
            for start in range(0, len(rows), step):
                mine = rows[start : start + step]
                if kept is None:
                    pooled = self._pooled(images[mine])
                else:
                    pooled = kept[mine].astype(np.float32) / np.float32(255)
                yield self._fold(pooled).reshape(len(mine), -1)
                bar.update(len(mine))

    def _step(self) -> int:
        """Images whose pooled codes fit in a block."""
        return max(16, int(_BLOCK_BYTES // (self.cells_.side**2 * 2 * self.dictionary_.size * 4)))

    def _pooled(self, images: Images) -> NDArray[np.float32]:
        return self.code_.pooled(torch.from_numpy(images), self.cells_).numpy()

    def _kept(self, images: Images, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        if self.cache is None or self.code != "knn":
            raise ValueError("only codes between 0 and 1 are cached; give cache=None")
        key = code_key(images, self.code_, self.cells_)
        return cached_codes(
            self.cache, key, shape, lambda block: self._pooled(images[block]), self.verbose
        )

    def _fold(self, pooled: NDArray[np.float32]) -> NDArray[np.float32]:
        """Add to each code that of its mirror image: (n, g, g, 2, N) to (n, g, g, 2, N/2)."""
        if not self.dictionary_.mirrored:
            return pooled
        half = self.dictionary_.size // 2
        folded: NDArray[np.float32] = pooled[..., :half] + pooled[:, :, ::-1, :, half:]
        return folded

    def _unfold(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Weights of folded features as weights of all: (g, g, 2, N, T)."""
        g, n_classes = self.cells_.side, weights.shape[1]
        if not self.dictionary_.mirrored:
            return weights.reshape(g, g, 2, -1, n_classes)
        half = weights.reshape(g, g, 2, -1, n_classes)
        return np.ascontiguousarray(np.concatenate([half, half[:, ::-1]], axis=3))

    def _scores(self, images: Images) -> Array:
        return self.scores_(self.code_.pooled(torch.from_numpy(images), self.cells_))

    def windows(self) -> Windows:
        """First pixels of the places of an evidence map, and those after the last, by axis."""
        return self.scores_.windows(self.dictionary_.patch, self.cells_)

    def _batch_size(self) -> int:
        return min(super()._batch_size(), self._step())

    def _evidence(self, images: Images, column: int) -> Array:
        codes = self.code_.evaluate(torch.from_numpy(images))[0]
        return self.scores_.evidence(codes, self.cells_, column)

    def telling_patches(self, label: Any, count: int = 10) -> tuple[NDArray[np.uint8], Array]:
        """Find the dictionary patches whose presence speaks most for a class.

        Parameters
        ----------
        label : one of `classes_`
        count : int

        Returns
        -------
        patches : (count, P, P, C) uint8 array
        weights : (count,) array
            Change of the score when all patches of an image have it among their k nearest,
            decreasing.

        Raises
        ------
        ValueError
            An unknown label, or a hidden layer, in which patches have no weights of their own.
        """
        column = self.column_of(label)
        if count < 1:
            raise ValueError(f"{count} patches asked for; give 1 or more")
        if not isinstance(self.scores_, LinearScores):
            raise ValueError(
                "patches have no weights of their own in a hidden layer; use `explain`"
            )
        near = self.scores_.weights[:, :, 0, :, column].sum((0, 1), dtype=np.float64)
        order = np.argsort(-near, kind="stable")[:count]
        return self.dictionary_.patches[order], near[order]

    def _arrays(self) -> dict[str, NDArray[Any]]:
        fitted = {"penalty": np.array(self.penalty_)}
        return {**self.dictionary_.to_arrays(), **self.scores_.to_arrays(), **fitted}

    def _restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        self.dictionary_ = PatchDictionary.from_arrays(arrays)
        self._prepare()
        kind = HiddenScores if self.head == "hidden" else LinearScores
        g = self.cells_.side
        shape = (g, g, 2, self.dictionary_.size)
        self.scores_ = kind.from_arrays(arrays, shape, len(self.classes_))
        self.penalty_ = float(arrays["penalty"])
