"""Averages over windows of positions: overlapping cells, as in convolutional networks.

`Cells` are the windows along the two axes of a map of codes. An integer g stands for g x g equal
cells, ``floor(a h/g) .. ceil((a+1) h/g)``, as `torch.nn.AdaptiveAvgPool2d`: symmetric under
mirrors. A pair (size, stride) stands for `torch.nn.AvgPool2d` with ``ceil_mode=True``.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Cells", "Windows"]

# first places of windows, and those after the last, along rows and along columns
Windows = tuple[tuple[NDArray[np.int64], NDArray[np.int64]], ...]


@dataclass(frozen=True, eq=False)
class Cells:
    """Windows of positions.

    Attributes
    ----------
    shape : (h, w)
        Of the map.
    starts, stops : (2, g) int64 arrays
        First row and column of each cell, and the ones after the last.
    """

    shape: tuple[int, int]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]

    @classmethod
    def build(cls, shape: tuple[int, int], pooling: int | tuple[int, int]) -> "Cells":
        """Lay windows out over a map.

        Parameters
        ----------
        shape : (h, w)
        pooling : int or (size, stride)

        Raises
        ------
        ValueError
            Windows that do not fit, or leave the two axes with different numbers of cells.
        """
        starts, stops = [], []
        for length in shape:
            first, last = _windows(int(length), pooling)
            starts.append(first)
            stops.append(last)
        if len(starts[0]) != len(starts[1]):
            raise ValueError(
                f"pooling {pooling} makes {len(starts[0])} x {len(starts[1])} cells of a map of "
                f"{shape[0]} x {shape[1]}; give one number, of cells along both axes"
            )
        return cls((int(shape[0]), int(shape[1])), np.stack(starts), np.stack(stops))

    @property
    def side(self) -> int:
        """g: cells along an axis."""
        return self.starts.shape[1]

    @property
    def sizes(self) -> NDArray[np.int64]:
        """(g, g): positions in each cell."""
        rows, columns = self.stops - self.starts
        return rows[:, None] * columns[None, :]

    @property
    def symmetric(self) -> bool:
        """Whether the mirror image of each cell, left to right, is a cell."""
        return bool(
            np.array_equal(self.starts[1] + self.stops[1][::-1], [self.shape[1]] * self.side)
        )

    def weights(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Matrices (g, h) and (g, w) of the averages along the two axes."""
        found = []
        for axis, length in enumerate(self.shape):
            at = np.arange(length)
            inside = (at >= self.starts[axis][:, None]) & (at < self.stops[axis][:, None])
            found.append((inside / inside.sum(1, keepdims=True)).astype(np.float32))
        return found[0], found[1]

    def average(self, maps: Tensor) -> Tensor:
        """Average (B, h, w, F) maps over the cells: (B, g, g, F)."""
        rows, columns = (torch.from_numpy(m).to(maps) for m in self.weights())
        return torch.einsum("ay,bx,nyxf->nabf", rows, columns, maps)

    def spread(self, weights: Tensor) -> Tensor:
        """Adjoint of `average`: (g, g, F) weights of cells to (h, w, F) weights of positions."""
        rows, columns = (torch.from_numpy(m).to(weights) for m in self.weights())
        return torch.einsum("ay,bx,abf->yxf", rows, columns, weights)


def _windows(
    length: int, pooling: int | tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    if isinstance(pooling, (int, np.integer)):
        if not 1 <= pooling <= length:
            raise ValueError(
                f"pooling into {pooling} x {pooling} cells asked of maps of {length} positions a "
                f"side; give a number from 1 to {length}"
            )
        a = np.arange(pooling)
        return a * length // pooling, -(-(a + 1) * length // pooling)
    try:
        size, stride = (int(v) for v in pooling)
    except (TypeError, ValueError):
        raise ValueError(
            f"pooling {pooling!r} given; expected a number or (size, stride)"
        ) from None
    if not (1 <= size <= length and 1 <= stride <= size):
        raise ValueError(
            f"pooling of size {size} and stride {stride} given for maps of {length} positions a "
            "side; expected 1 <= stride <= size <= that"
        )
    count = -(-(length - size) // stride) + 1
    starts = np.arange(count) * stride
    starts = starts[starts < length]
    return starts, np.minimum(starts + size, length)
