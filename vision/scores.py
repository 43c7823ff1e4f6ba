"""What turns pooled codes into class scores, and each score into evidence of places.

`LinearScores` is affine in the codes of cells: convex heads, and trained low-rank heads once their
factors are multiplied out. `HiddenScores` has one hidden layer of rectified units, each of which
sees 3 x 3 cells: the scores are affine in these units, so evidence belongs to their places.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vision.patch_heads import Hidden, LowRank
from vision.pooling import Cells, Windows
from vision.stored import stored

__all__ = ["HiddenScores", "LinearScores"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LinearScores:
    """``F = Σ_cells Σ_j w(cell, j) ⟨code_j⟩_cell + b``.

    Attributes
    ----------
    weights : (g, g', ..., T) float32 array
        For codes (g, g', ...) of cells.
    intercept : (T,) array
    """

    weights: NDArray[np.float32]
    intercept: Array

    @classmethod
    def of(cls, head: LowRank, shape: tuple[int, ...]) -> "LinearScores":
        """Multiply the factors of a trained head out.

        Parameters
        ----------
        head : LowRank
        shape : (g, g, 2, N)
        """
        head = head.cpu().eval()
        zero = torch.zeros(1, *shape, requires_grad=True)
        scores = head(zero)[0]
        columns = [torch.autograd.grad(s, zero, retain_graph=True)[0][0] for s in scores]
        return cls(torch.stack(columns, -1).numpy(), scores.detach().double().numpy())

    def __call__(self, pooled: Tensor) -> Array:
        """Scores (B, T) of pooled codes (B, g, g', ...)."""
        flat = self.weights.reshape(-1, len(self.intercept)).astype(np.float64)
        return np.asarray(pooled.reshape(len(pooled), -1).double().numpy() @ flat + self.intercept)

    def evidence(self, codes: Tensor, cells: Cells | None, column: int) -> Array:
        """Evidence (h, w) of the places of one image with codes (h, w, ...).

        Parameters
        ----------
        codes : (h, w, ...) tensor
        cells : Cells or None
            Over which codes are averaged; None where each place is a cell.
        column : int
            Of the class.
        """
        weights = torch.from_numpy(np.ascontiguousarray(self.weights[..., column])).flatten(2)
        weights = weights if cells is None else cells.spread(weights)
        parts = (codes.flatten(2) * weights).sum(-1, dtype=torch.float64)
        return np.asarray(parts.numpy() + self.intercept[column] / parts.numel())

    def windows(self, patch: int, cells: Cells) -> Windows:
        """First pixels of the places of an evidence map, and those after the last, by axis."""
        starts = [np.arange(n) for n in cells.shape]
        return (starts[0], starts[0] + patch), (starts[1], starts[1] + patch)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything as arrays."""
        return {"weights": self.weights, "intercept": self.intercept}

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, NDArray[Any]], shape: tuple[int, ...], n_classes: int
    ) -> "LinearScores":
        """Rebuild what `to_arrays` took apart, for codes (g, g', ...) of a shape."""
        return cls(
            stored(arrays, "weights", (*shape, n_classes), np.float32),
            stored(arrays, "intercept", (n_classes,), np.float64),
        )


@dataclass(frozen=True, eq=False)
class HiddenScores:
    """Scores of a trained `Hidden` head."""

    head: Hidden

    def __call__(self, pooled: Tensor) -> Array:
        """Scores (B, T) of pooled codes (B, g, g, 2, N)."""
        with torch.no_grad():
            return np.asarray(self.head(pooled).double().numpy())

    def evidence(self, codes: Tensor, cells: Cells, column: int) -> Array:
        """Evidence (g−2, g−2) of the places of hidden units, of codes (h, w, 2, N)."""
        pooled = cells.average(codes[None].flatten(3))
        units = self.head.units(pooled).detach().requires_grad_(True)
        score = self.head.classify(units).mean((2, 3))[0, column]
        (slope,) = torch.autograd.grad(score, units)
        parts = (units * slope).detach()[0].double().sum(0)
        rest = float(score.detach()) - float(parts.sum())
        return np.asarray(parts.numpy() + rest / parts.numel())

    def windows(self, patch: int, cells: Cells) -> Windows:
        """First pixels of the places of an evidence map, and those after the last, by axis."""
        starts, stops = cells.starts[:, :-2], cells.stops[:, 2:] + patch - 1
        return (starts[0], stops[0]), (starts[1], stops[1])

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything as arrays."""
        return {f"head.{k}": v.cpu().numpy() for k, v in self.head.state_dict().items()}

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, NDArray[Any]], shape: tuple[int, ...], n_classes: int
    ) -> "HiddenScores":
        """Rebuild what `to_arrays` took apart, for codes (g, g, 2, N) of a shape."""
        state = {
            k.removeprefix("head."): torch.from_numpy(v)
            for k, v in arrays.items()
            if k.startswith("head.")
        }
        width = len(stored(arrays, "head.hidden.bias", (None,), np.float32))
        head = Hidden(shape[2] * shape[3], n_classes, shape[0], width)
        head.load_state_dict(state)
        return cls(head.eval())
