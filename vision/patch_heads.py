"""What turns pooled patch codes into class scores, and each score into evidence of places.

`LinearScores` is affine in the pooled codes: closed-form heads, and trained low-rank heads once
their factors are multiplied out. `HiddenScores` has one hidden layer of rectified units, each of
which sees 3 x 3 cells: the scores are affine in these units, so evidence belongs to their places.

The modules are the published ones (Thiry et al., ICLR 2021, appendix; g cells along a side,
2 N codes of both signs):

    LowRank   batch norm, 1x1 convolution 2N → r, 6x6 convolution r → T, mean over positions
    Hidden    batch norm, 3x3 convolution 2N → width, ReLU, 7x7 convolution → T, mean
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vision.pooling import Cells

__all__ = ["Hidden", "HiddenScores", "LinearScores", "LowRank"]

Array = NDArray[np.float64]
Windows = tuple[tuple[NDArray[np.int64], NDArray[np.int64]], ...]


class LowRank(nn.Module):
    """Low-rank linear head; in evaluation an affine function of the pooled codes.

    Parameters
    ----------
    n_codes : int
        2 N.
    n_classes : int
    side : int
        g.
    rank : int
        r.
    """

    def __init__(self, n_codes: int, n_classes: int, side: int, rank: int = 128) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(n_codes)
        self.reduce = nn.Linear(n_codes, rank, bias=False)
        self.classify = nn.Conv2d(rank, n_classes, min(6, side))

    def forward(self, pooled: Tensor) -> Tensor:
        """Scores (B, T) of pooled codes (B, g, g, 2, N)."""
        B, g = pooled.shape[:2]
        flat = self.norm(pooled.reshape(B * g * g, -1))
        maps = self.reduce(flat).view(B, g, g, -1).permute(0, 3, 1, 2)
        return self.classify(maps).mean((2, 3))


class Hidden(nn.Module):
    """Head of one hidden layer; parameters as for `LowRank`, `width` its units.

    Raises
    ------
    ValueError
        Fewer than 3 cells along a side.
    """

    def __init__(self, n_codes: int, n_classes: int, side: int, width: int = 2048) -> None:
        super().__init__()
        if side < 3:
            raise ValueError(f"{side} x {side} cells given; a hidden layer needs 3 x 3 or more")
        self.norm = nn.BatchNorm1d(n_codes)
        self.hidden = nn.Conv2d(n_codes, width, 3)
        self.classify = nn.Conv2d(width, n_classes, min(7, side - 2))

    def units(self, pooled: Tensor) -> Tensor:
        """Rectified units (B, width, g−2, g−2)."""
        B, g = pooled.shape[:2]
        flat = self.norm(pooled.reshape(B * g * g, -1)).view(B, g, g, -1)
        return torch.relu(self.hidden(flat.permute(0, 3, 1, 2)))

    def forward(self, pooled: Tensor) -> Tensor:
        """Scores (B, T) of pooled codes (B, g, g, 2, N)."""
        return self.classify(self.units(pooled)).mean((2, 3))


@dataclass(frozen=True, eq=False)
class LinearScores:
    """``F = Σ_cells Σ_j w(cell, j) ⟨code_j⟩_cell + b``.

    Attributes
    ----------
    weights : (g, g, 2, N, T) float32 array
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
        """Scores (B, T) of pooled codes (B, g, g, 2, N)."""
        flat = self.weights.reshape(-1, len(self.intercept)).astype(np.float64)
        return np.asarray(pooled.reshape(len(pooled), -1).double().numpy() @ flat + self.intercept)

    def evidence(self, codes: Tensor, cells: Cells, column: int) -> Array:
        """Evidence (h, w) of the patches of one image with codes (h, w, 2, N)."""
        weights = torch.from_numpy(np.ascontiguousarray(self.weights[..., column])).flatten(2)
        parts = (codes.flatten(2) * cells.spread(weights)).sum(-1, dtype=torch.float64)
        return np.asarray(parts.numpy() + self.intercept[column] / parts.numel())

    def windows(self, patch: int, cells: Cells) -> Windows:
        """First pixels of the places of an evidence map, and those after the last, by axis."""
        starts = [np.arange(n) for n in cells.shape]
        return (starts[0], starts[0] + patch), (starts[1], starts[1] + patch)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything as arrays."""
        return {"weights": self.weights, "intercept": self.intercept}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]], side: int) -> "LinearScores":
        """Rebuild what `to_arrays` took apart."""
        weights, intercept = arrays["weights"], arrays["intercept"]
        expected = (side, side, 2, arrays["bias"].size, intercept.size)
        if weights.shape != expected:
            raise ValueError(f"weights have shape {weights.shape}; expected {expected}")
        return cls(weights, intercept)


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
    def from_arrays(cls, arrays: dict[str, NDArray[Any]], side: int) -> "HiddenScores":
        """Rebuild what `to_arrays` took apart."""
        state = {
            k.removeprefix("head."): torch.from_numpy(v)
            for k, v in arrays.items()
            if k.startswith("head.")
        }
        width, n_codes = state["hidden.weight"].shape[:2]
        head = Hidden(n_codes, len(state["classify.bias"]), side, width)
        head.load_state_dict(state)
        return cls(head.eval())
