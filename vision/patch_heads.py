"""The published heads of patch codes, as modules that `sgd` trains.

With g cells along a side and 2 N codes of both signs (Thiry et al., ICLR 2021, appendix):

    LowRank   batch norm, 1x1 convolution 2N → r, 6x6 convolution r → T, mean over positions
    Hidden    batch norm, 3x3 convolution 2N → width, ReLU, 7x7 convolution → T, mean

What a fitted classifier keeps of them is in `scores`.
"""

import torch
from torch import Tensor, nn

__all__ = ["Hidden", "LowRank"]


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
