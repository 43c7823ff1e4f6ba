"""The patch k-nearest-neighbour code: which dictionary patches are among the k nearest.

With whitening W and mean μ of all patches (`patches`), a dictionary {d_j} of random patches and
``D_j = Wᵀ(d_j − μ)``, nearness of a patch x to d_j and to its negative is ranked by

    u_j(x) = x̃·W D_j − ½|D_j|²        and      −x̃·W D_j − ½|D_j|²

and the code of x is 1 for the k largest of each, 0 else; soft: ``sigmoid((u_j − τ_k)/T)``, τ_k the
k-th largest (Thiry, Arbel, Belilovsky and Oyallon, The unreasonable effectiveness of patches in
deep convolutional kernels methods, ICLR 2021, section 3). Metrics differ in x̃ and W:

    "mahalanobis"   x̃ = x − μ: exactly the order of the distances |Wᵀ(x − d_j)|
    "released"      x̃ = (x − m)/s with the mean m and deviation s of the channels' pixels, as in the
                    authors' program: whitening and dictionary are of unscaled pixels, so that
                    angles count for more, lengths for less
    "l2"            x̃ = x − μ and W = 1: the order of plain distances

`code="rectified"` keeps ``max(u_j, 0)`` instead: the features of convolution with random patches
and rectification, without a competition of neighbours.

Codes of a `PatchCode` are differentiable where the soft ones are. Where no derivative is needed,
`evaluate` and `pooled` use compiled kernels on a CPU, in blocks that fit the cache (`knn_kernels`);
on another device thresholds are found there, by `torch.kthvalue`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vision.knn_kernels import encode_all, pool_codes
from vision.patches import Whitening, draw_patches, unfold
from vision.pooling import Cells
from vision.stored import stored

__all__ = ["CODES", "METRICS", "PatchCode", "PatchDictionary"]

CODES = ("knn", "rectified")
METRICS = ("released", "mahalanobis", "l2")
_BATCH = 16  # images whose products (a few MB each) are held at a time


@dataclass(frozen=True, eq=False)
class PatchDictionary:
    """A dictionary and the linear map that ranks patches against it.

    Attributes
    ----------
    patches : (N, P, P, C) uint8 array
        d; where mirrored, the second half are the mirror images of the first.
    kernel : (D, N) float32 array
        W D_j, in the order row, column, channel.
    bias : (N,) float32 array
        ½|D_j|².
    offset, scale : (D,) float32 arrays
        ``x̃ = (x − offset)/scale`` of pixels in [0, 1].
    mirrored : bool
    """

    patches: NDArray[np.uint8]
    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]
    offset: NDArray[np.float32]
    scale: NDArray[np.float32]
    mirrored: bool

    @classmethod
    def fit(
        cls,
        images: NDArray[np.uint8],
        patch: int,
        count: int,
        rng: np.random.Generator,
        metric: str = "released",
        whiten: bool = True,
        regularization: float = 1e-3,
        mirror: bool = True,
    ) -> "PatchDictionary":
        """Draw a dictionary from images, and whiten by their patches.

        Parameters
        ----------
        images : (M, H, W, C) uint8 array
        patch : int
            P.
        count : int
            N; even where mirrored.
        rng : Generator
        metric : {"released", "mahalanobis", "l2"}
        whiten : bool
            False: W = 1.
        regularization : float
            ε.
        mirror : bool
            Draw N/2 patches and add their mirror images, left to right.

        Raises
        ------
        ValueError
            An unknown metric, an odd mirrored N, more patches than there are.
        """
        if metric not in METRICS:
            raise ValueError(f"metric {metric!r} given; expected one of {', '.join(METRICS)}")
        if count < 2 or (mirror and count % 2):
            raise ValueError(
                f"a dictionary of {count} patches asked for; expected 2 or more, and an even "
                "number where mirrored"
            )
        drawn, _ = draw_patches(images, patch, count // 2 if mirror else count, rng)
        if mirror:
            drawn = np.concatenate([drawn, drawn[:, :, ::-1]])
        basis = Whitening.fit(
            images, patch, regularization, whiten=whiten and metric != "l2", mirror=mirror
        )
        white = (drawn.reshape(count, -1) / 255 - basis.mean) @ basis.matrix
        offset, scale = basis.mean, np.ones_like(basis.mean)
        if metric == "released":
            offset, scale = (np.tile(v, patch * patch) for v in _channel_moments(images))
        return cls(
            drawn,
            (basis.matrix @ white.T).astype(np.float32),
            (0.5 * (white**2).sum(1)).astype(np.float32),
            offset.astype(np.float32),
            scale.astype(np.float32),
            mirror,
        )

    @property
    def size(self) -> int:
        """N."""
        return len(self.patches)

    @property
    def patch(self) -> int:
        """P."""
        return self.patches.shape[1]

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything as arrays."""
        return {
            "patches": self.patches,
            "kernel": self.kernel,
            "bias": self.bias,
            "offset": self.offset,
            "scale": self.scale,
            "mirrored": np.array(self.mirrored),
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> "PatchDictionary":
        """Rebuild what `to_arrays` took apart."""
        patches = stored(arrays, "patches", (None,) * 4, np.uint8)
        N, P, _, C = patches.shape
        D, mirrored = P * P * C, bool(stored(arrays, "mirrored", (), bool))
        scale = stored(arrays, "scale", (D,), np.float32)
        if patches.shape[2] != P or (mirrored and N % 2) or not (scale > 0).all():
            raise ValueError(f"patches of shape {patches.shape} and their scale are no dictionary")
        kernel = stored(arrays, "kernel", (D, N), np.float32)
        bias = stored(arrays, "bias", (N,), np.float32)
        offset = stored(arrays, "offset", (D,), np.float32)
        return cls(patches, kernel, bias, offset, scale, mirrored)


def _channel_moments(
    images: NDArray[np.uint8],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of the pixels of each channel, in [0, 1]."""
    levels = np.arange(256) / 255
    counts = [np.bincount(images[..., c].ravel(), minlength=256) for c in range(images.shape[-1])]
    mean = np.array([n @ levels / n.sum() for n in counts])
    square = np.array([n @ levels**2 / n.sum() for n in counts])
    deviation = np.sqrt(square - mean**2)
    if not (deviation > 0).all():
        raise ValueError("a channel has one value in all pixels; give other images")
    return mean, deviation


class PatchCode(nn.Module):
    """Codes of all patches of images, and their averages over cells.

    Parameters
    ----------
    dictionary : PatchDictionary
    k : int
        Neighbours, 1..N−1, of each sign.
    temperature : float
        T of the soft code; 0 for the hard one.
    code : {"knn", "rectified"}

    Raises
    ------
    ValueError
        A parameter out of range.
    """

    kernel: Tensor
    bias: Tensor

    def __init__(
        self, dictionary: PatchDictionary, k: int, temperature: float = 0.0, code: str = "knn"
    ) -> None:
        super().__init__()
        if code not in CODES:
            raise ValueError(f"code {code!r} given; expected one of {', '.join(CODES)}")
        if not 1 <= k < dictionary.size:
            raise ValueError(f"k = {k} given; expected 1..{dictionary.size - 1} neighbours")
        if not (np.isfinite(temperature) and temperature >= 0):
            raise ValueError(f"temperature {temperature} given; expected 0 (hard) or above")
        self.dictionary, self.k = dictionary, k
        self.temperature, self.code = float(temperature), code
        # (x − offset)/scale·kernel = (x − offset)·(kernel/scale)
        kernel = dictionary.kernel / dictionary.scale[:, None]
        self._shift = torch.from_numpy(dictionary.offset)
        self.register_buffer("kernel", torch.from_numpy(kernel), persistent=False)
        self.register_buffer("bias", torch.from_numpy(dictionary.bias), persistent=False)

    def products(self, images: Tensor, out: Tensor | None = None) -> Tensor:
        """x̃·W D_j of all patches.

        Parameters
        ----------
        images : (B, H, W, C) uint8 or float tensor
            Floats are in [0, 1].
        out : tensor, optional
            To write into.

        Returns
        -------
        (B, h, w, N) tensor
        """
        if images.dtype != torch.uint8 and not images.is_floating_point():
            raise ValueError(f"images of type {images.dtype} given; expected uint8, or floats to 1")
        pixels = images.to(self.kernel.dtype)
        pixels = pixels / 255 if images.dtype == torch.uint8 else pixels
        patches = unfold(pixels, self.dictionary.patch)
        shape = (*patches.shape[:3], self.dictionary.size)
        flat = patches.reshape(-1, patches.shape[-1]).sub_(self._shift.to(patches))
        target = None if out is None else out[: len(flat)]
        return torch.mm(flat, self.kernel, out=target).view(shape)

    def forward(self, images: Tensor) -> Tensor:
        """Codes of all patches.

        Parameters
        ----------
        images : (B, H, W, C) uint8 or float tensor

        Returns
        -------
        (B, h, w, 2, N) tensor
            Between 0 and 1, or rectified; second to last axis: near d, near −d.
        """
        products = self.products(images)
        scores = torch.stack([products - self.bias, -products - self.bias], -2)
        if self.code == "rectified":
            return torch.relu(scores)
        tau = scores.kthvalue(scores.shape[-1] - self.k + 1, dim=-1, keepdim=True).values
        if self.temperature:
            return torch.sigmoid((scores - tau) / self.temperature)
        return (scores >= tau).to(products.dtype)

    @torch.no_grad()
    def evaluate(self, images: Tensor) -> Tensor:
        """Code as `forward` does, without derivatives: several times faster on a CPU."""
        if self.kernel.device.type != "cpu":
            return self(images)
        products = self.products(images)
        flat = products.flatten(0, 2).numpy()
        codes = np.empty((len(flat), 2, flat.shape[1]), np.float32)
        encode_all(flat, *self._arguments(), codes)
        return torch.from_numpy(codes).view(*products.shape[:3], 2, -1)

    def _arguments(self) -> tuple[NDArray[np.float32], int, np.float32]:
        """Bias, k and rate, for the kernels."""
        rate = 1 / self.temperature if self.temperature else 0.0
        return self.bias.numpy(), self.k, np.float32(-1 if self.code == "rectified" else rate)

    @torch.no_grad()
    def pooled(self, images: Tensor, cells: Cells) -> Tensor:
        """Codes averaged over cells, without derivatives.

        Parameters
        ----------
        images : (B, H, W, C) uint8 or float tensor
        cells : Cells

        Returns
        -------
        (B, g, g, 2, N) tensor
        """
        if self.kernel.device.type != "cpu":
            codes = self(images)
            return cells.average(codes.flatten(3)).unflatten(-1, codes.shape[-2:])
        sums = np.zeros((len(images), cells.side, cells.side, 2, self.dictionary.size), np.float32)
        positions = cells.shape[0] * cells.shape[1]
        buffer = torch.empty(min(_BATCH, len(images)) * positions, self.dictionary.size)
        for start in range(0, len(images), _BATCH):
            block = slice(start, start + _BATCH)
            products = self.products(images[block], buffer).numpy()
            pool_codes(products, *self._arguments(), cells.starts, cells.stops, sums[block])
        sums /= cells.sizes[:, :, None, None]
        return torch.from_numpy(sums)
