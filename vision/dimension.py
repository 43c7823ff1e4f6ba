"""Intrinsic dimension of the patches of a set of images.

Two measures (Thiry, Arbel, Belilovsky and Oyallon, ICLR 2021, section 4.2):

- covariance: the smallest number of eigenvalues λ of the patches' covariance that hold
  1 − 10⁻³ of its trace;
- nearest neighbours (Levina and Bickel, NIPS 17 (2004), equation 9): with T_j the distance from
  a centre to its j-th nearest patch,

      m_k = [ 1/(k−1) Σ_{j<k} ln(T_k / T_j) ]^(-1),

  averaged over centres. It depends on how densely patches are sampled: of raw and whitened 12 x 12
  patches of CIFAR-10, k = 2000, it is 24.6 and 135 among those of 50,000 images, 22.2 and 150 among
  those of 12,500 (published: 23.1 and 152.6).

Raw patches, or whitened by ``W = V diag((λ + ε)^(-1/2))`` (`patches`). Checked: a sphere of known
dimension in `tests/vision/test_dimension.py`, published values in `training/vision/dimension.py`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from vision.data import as_images
from vision.nearest import nearest
from vision.patches import Whitening, draw_patches, patch_blocks

__all__ = ["PatchDimension", "covariance_dimension", "levina_bickel", "patch_dimension"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PatchDimension:
    """Dimensions of the patches of one size.

    Attributes
    ----------
    covariance : int
    levina_bickel : float
        Mean over centres, at the largest number of neighbours.
    patch : int
    whitened : bool
    n_reference_patches : int
        Patches among which neighbours were sought.
    by_neighbors : dict of int to float
        m_k of some k, the largest last.
    """

    covariance: int
    levina_bickel: float
    patch: int
    whitened: bool
    n_reference_patches: int
    by_neighbors: dict[int, float]

    def __str__(self) -> str:
        """One line."""
        kind = "whitened" if self.whitened else "raw"
        return (
            f"{self.patch} x {self.patch} patches, {kind}: covariance {self.covariance}, "
            f"Levina-Bickel {self.levina_bickel:.1f} ({self.n_reference_patches} patches)"
        )


def covariance_dimension(eigenvalues: Array, lost: float = 1e-3) -> int:
    """Smallest number of eigenvalues that hold 1 − `lost` of their sum.

    Parameters
    ----------
    eigenvalues : (D,) array
        Not negative.
    lost : float

    Returns
    -------
    int
    """
    held = np.cumsum(np.sort(eigenvalues)[::-1])
    if not held[-1] > 0:
        raise ValueError("all patches are equal, so they have no dimension; give other images")
    return int(np.searchsorted(held, (1 - lost) * held[-1])) + 1


def levina_bickel(squared: NDArray[np.floating], n_neighbors: int) -> Array:
    """Maximum-likelihood dimension at each centre.

    Parameters
    ----------
    squared : (n, K) array
        Squared distances to the nearest neighbours, increasing, all above 0.
    n_neighbors : int
        k, from 2 to K.

    Returns
    -------
    (n,) array
        m_k; twice the inverse of the mean logarithm of *squared* ratios.
    """
    logs = np.log(squared[:, :n_neighbors].astype(float))
    mean = (logs[:, -1:] - logs[:, :-1]).mean(1)
    return 2.0 / np.where(mean > 0, mean, np.nan)


def patch_dimension(
    images: NDArray[np.uint8],
    patch: int,
    whiten: bool = False,
    n_neighbors: int = 2000,
    n_centers: int = 1000,
    regularization: float = 1e-4,
    seed: int = 0,
    progress: bool = False,
) -> PatchDimension:
    """Measure both dimensions of all patches of images.

    Parameters
    ----------
    images : (N, H, W) or (N, H, W, C) uint8 array
    patch : int
        P.
    whiten : bool
    n_neighbors : int
        K, at least 3.
    n_centers : int
        Centres, drawn from the patches.
    regularization : float
        ε of the whitening.
    seed : int
    progress : bool
        Show a bar on stderr.

    Returns
    -------
    PatchDimension

    Raises
    ------
    ValueError
        Fewer patches than neighbours; other numbers out of range.
    """
    if n_neighbors < 3 or n_centers < 1:
        raise ValueError(
            f"{n_neighbors} neighbors and {n_centers} centers given; expected at least 3 and 1"
        )
    images = as_images(images)
    centers, _ = draw_patches(images, patch, n_centers, np.random.default_rng(seed))
    side = [size - patch + 1 for size in images.shape[1:3]]
    n_patches = len(images) * side[0] * side[1]
    if n_patches <= n_neighbors:
        raise ValueError(f"{n_patches} patches have no {n_neighbors} neighbors; give more images")
    basis = Whitening.fit(images, patch, regularization, whiten=whiten)
    queries = basis(torch.from_numpy(centers.reshape(n_centers, -1)).float() / 255)
    # a centre is among the patches, at distance zero, and so are its exact copies
    _, index = nearest(queries, _whitened(images, patch, basis, progress), n_neighbors + 1)
    squared = _exact(images, centers, index, basis)
    values = {k: _mean_dimension(squared[:, 1:], k) for k in _steps(n_neighbors)}
    shown = basis.eigenvalues
    if whiten:
        shown = shown / (shown + regularization)
    return PatchDimension(
        covariance_dimension(shown), values[n_neighbors], patch, whiten, n_patches, values
    )


def _steps(largest: int) -> list[int]:
    """Numbers of neighbours that are reported."""
    return sorted({k for k in (10, 20, 50, 100, 200, 500, 1000, 2000) if k < largest} | {largest})


def _mean_dimension(squared: NDArray[np.floating], k: int) -> float:
    """Mean of m_k over the centres without a copy at distance zero."""
    values = levina_bickel(squared[squared[:, 0] > 0], k)
    if np.isnan(values).all():
        raise ValueError("every patch has copies of itself only; give images with other content")
    return float(np.nanmean(values))


def _exact(
    images: NDArray[np.uint8],
    centers: NDArray[np.uint8],
    index: NDArray[np.int64],
    basis: Whitening,
) -> Array:
    """Squared distances (n, K) to patches of given numbers, increasing, free of cancellation.

    |a|² − 2 a·b + |b|² in single precision, which finds neighbours, does not vanish for copies.
    """
    patch = centers.shape[1]
    side = (len(images), images.shape[1] - patch + 1, images.shape[2] - patch + 1)
    windows = sliding_window_view(images, (patch, patch), axis=(1, 2)).transpose(0, 1, 2, 4, 5, 3)
    squared = np.empty(index.shape)
    for row, (center, mine) in enumerate(zip(centers, index, strict=True)):
        near = windows[np.unravel_index(mine, side)].reshape(len(mine), -1)
        steps = (near.astype(float) - center.ravel()) / 255 @ basis.matrix
        squared[row] = np.sort(np.einsum("kd,kd->k", steps, steps))
    return squared


def _whitened(
    images: NDArray[np.uint8], patch: int, basis: Whitening, progress: bool
) -> Iterator[Tensor]:
    with tqdm(total=len(images), unit="image", disable=not progress) as bar:
        each = int(np.prod([size - patch + 1 for size in images.shape[1:3]]))
        for block in patch_blocks(images, patch):
            for part in block.split(8192):  # distances of a block stay in the cache
                yield basis(part)
            bar.update(len(block) // each)
