"""Patches of images: extraction, streamed mean and covariance, whitening, random dictionaries.

A patch is a vector of D = P·P·C pixels in [0, 1], in the order row, column, channel. With the
mean μ and covariance ``Σ = V diag(λ) Vᵀ`` of all patches, whitening is

    W = V diag((λ + ε)^(-1/2)),        x → Wᵀ (x − μ)

so that Euclidean distances between whitened patches are Mahalanobis distances of Σ + ε
(Coates and Ng, AISTATS 2011; Thiry, Arbel, Belilovsky and Oyallon, ICLR 2021, section 3).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Whitening", "draw_patches", "patch_moments", "unfold"]

Array = NDArray[np.float64]
_BLOCK = 2**24  # values held at a time


def unfold(images: Tensor, patch: int, stride: int = 1) -> Tensor:
    """All patches of images, without padding.

    Parameters
    ----------
    images : (B, H, W, C) tensor
    patch : int
        P.
    stride : int

    Returns
    -------
    (B, h, w, P·P·C) tensor
        A copy; h = (H − P)/stride + 1, rounded down.

    Raises
    ------
    ValueError
        Images smaller than a patch.
    """
    B, H, W, C = images.shape
    check_patch(patch, H, W)
    images = images.contiguous()
    b, y, x, c = images.stride()
    h, w = (H - patch) // stride + 1, (W - patch) // stride + 1
    windows = images.as_strided(
        (B, h, w, patch, patch * C), (b, y * stride, x * stride, y, c), images.storage_offset()
    )
    found = windows.reshape(B, h, w, patch * patch * C)
    return found.clone() if found.data_ptr() == images.data_ptr() else found


def check_patch(patch: int, height: int, width: int) -> None:
    """Refuse patches that do not fit.

    Raises
    ------
    ValueError
        A size below 1 or above the images'.
    """
    if not 1 <= patch <= min(height, width):
        raise ValueError(
            f"patches of {patch} x {patch} pixels do not fit in images of {height} x {width}; "
            f"give a size from 1 to {min(height, width)}"
        )


def patch_blocks(images: NDArray[np.uint8], patch: int) -> Iterator[Tensor]:
    """Yield all patches in [0, 1], image by image, in blocks.

    Parameters
    ----------
    images : (N, H, W, C) uint8 array
    patch : int

    Yields
    ------
    (n, P·P·C) float32 tensor
    """
    _, height, width, channels = images.shape
    check_patch(patch, height, width)
    size = patch * patch * channels
    each = (height - patch + 1) * (width - patch + 1)
    step = max(1, _BLOCK // (each * size))
    for start in range(0, len(images), step):
        block = torch.from_numpy(np.ascontiguousarray(images[start : start + step]))
        yield unfold(block.float() / 255, patch).reshape(-1, size)


def patch_moments(images: NDArray[np.uint8], patch: int) -> tuple[Array, Array, int]:
    """Mean and covariance of all patches, in one pass and bounded memory.

    Parameters
    ----------
    images : (N, H, W, C) uint8 array
    patch : int

    Returns
    -------
    mean : (D,) array
    covariance : (D, D) array
        Of pixels in [0, 1].
    n : int
        Patches seen.
    """
    size = patch * patch * images.shape[-1]
    sums, products, n = np.zeros(size), np.zeros((size, size)), 0
    for block in patch_blocks(images, patch):
        centred = block - 0.5  # keeps single precision good for products
        sums += centred.sum(0, dtype=torch.float64).numpy()
        products += (centred.T @ centred).double().numpy()
        n += len(block)
    mean = sums / n
    covariance = products / n - np.outer(mean, mean)
    return mean + 0.5, (covariance + covariance.T) / 2, n


@dataclass(frozen=True, eq=False)
class Whitening:
    """The affine map x → Wᵀ(x − μ).

    Attributes
    ----------
    mean : (D,) array
        μ.
    eigenvalues : (D,) array
        λ, increasing.
    matrix : (D, D) array
        W; the identity where patches are only centred.
    """

    mean: Array
    eigenvalues: Array
    matrix: Array

    @classmethod
    def fit(
        cls,
        images: NDArray[np.uint8],
        patch: int,
        regularization: float = 1e-3,
        whiten: bool = True,
        mirror: bool = False,
    ) -> "Whitening":
        """Learn from all patches of images.

        Parameters
        ----------
        images : (N, H, W, C) uint8 array
        patch : int
        regularization : float
            ε ≥ 0, of the covariance of pixels in [0, 1].
        whiten : bool
            False: centre only.
        mirror : bool
            Count each patch with its mirror image, left to right.

        Returns
        -------
        Whitening

        Raises
        ------
        ValueError
            A negative ε, or none where a direction has no variance.
        """
        if not (np.isfinite(regularization) and regularization >= 0):
            raise ValueError(f"regularization {regularization} given; expected a number >= 0")
        mean, covariance, _ = patch_moments(images, patch)
        if mirror:
            turned = np.arange(len(mean)).reshape(patch, patch, -1)[:, ::-1].ravel()
            mean = (mean + mean[turned]) / 2
            covariance = (covariance + covariance[np.ix_(turned, turned)]) / 2
        values, vectors = np.linalg.eigh(covariance)
        if not whiten:
            return cls(mean, values, np.eye(len(mean)))
        if values[0] + regularization <= 1e-12:
            raise ValueError(
                "patches have no variance in some direction, so that whitening without "
                "regularization divides by zero; give regularization=1e-3"
            )
        values = np.maximum(values, 0.0)  # rounding
        return cls(mean, values, vectors / np.sqrt(values + regularization))

    def __call__(self, patches: Tensor) -> Tensor:
        """Whiten (..., D) patches."""
        matrix = torch.as_tensor(self.matrix, dtype=patches.dtype, device=patches.device)
        return (patches - torch.as_tensor(self.mean).to(patches)) @ matrix


def draw_patches(
    images: NDArray[np.uint8], patch: int, count: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
    """Draw patches uniformly among all, no two of one place.

    Parameters
    ----------
    images : (N, H, W, C) uint8 array
    patch, count : int
    rng : Generator

    Returns
    -------
    patches : (count, P, P, C) uint8 array
    source : (count,) int array
        The images they are from.

    Raises
    ------
    ValueError
        More than there are.
    """
    n, height, width, _ = images.shape
    check_patch(patch, height, width)
    h, w = height - patch + 1, width - patch + 1
    if not 1 <= count <= n * h * w:
        raise ValueError(f"{count} patches asked of {n * h * w}; give a number from 1 to that")
    place = np.unravel_index(_distinct(n * h * w, count, rng), (n, h, w))
    corners = zip(*place, strict=True)
    drawn = np.stack([images[i, y : y + patch, x : x + patch] for i, y, x in corners])
    return drawn, place[0]


def _distinct(population: int, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Distinct numbers below `population`, without a list of them all where few are drawn."""
    if count > population // 4:
        return rng.permutation(population)[:count]
    found = np.zeros(0, dtype=np.int64)
    while len(found) < count:
        drawn = np.concatenate([found, rng.integers(population, size=count)])
        found = drawn[np.sort(np.unique(drawn, return_index=True)[1])][:count]
    return found
