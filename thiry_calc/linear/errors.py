"""Error tables: mean absolute, root mean square and largest error, per group and in all."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class ErrorTable:
    """Errors of predictions, per group and in all (the last row, named ``all``).

    Attributes
    ----------
    groups : tuple of str
    n : tuple of int
    mae, rmse, max : tuple of float
        Mean absolute, root mean square and largest absolute error, in the units of the data.
    unit : str
        Printed in the heading.
    """

    groups: tuple[str, ...]
    n: tuple[int, ...]
    mae: tuple[float, ...]
    rmse: tuple[float, ...]
    max: tuple[float, ...]
    unit: str = ""

    def __getitem__(self, group: str) -> dict[str, float]:
        """Return n, mae, rmse and max of one group."""
        i = self.groups.index(group)
        return {"n": self.n[i], "mae": self.mae[i], "rmse": self.rmse[i], "max": self.max[i]}

    def __str__(self) -> str:
        """Print a table."""
        width = max(5, *(len(g) for g in self.groups))
        unit = f"   ({self.unit})" if self.unit else ""
        lines = [f"{'group':<{width}} {'n':>8} {'MAE':>12} {'RMSE':>12} {'max':>12}{unit}"]
        for row in zip(self.groups, self.n, self.mae, self.rmse, self.max, strict=True):
            lines.append(
                f"{row[0]:<{width}} {row[1]:8d} {row[2]:12.5g} {row[3]:12.5g} {row[4]:12.5g}"
            )
        return "\n".join(lines)


def error_table(
    predicted: ArrayLike,
    actual: ArrayLike,
    groups: Sequence[Hashable] | NDArray[np.generic] | None = None,
    unit: str = "",
) -> ErrorTable:
    """Compare predictions with labels.

    Parameters
    ----------
    predicted, actual : (n, ...) arrays
        Of the same shape; further axes (components) count as further values.
    groups : (n,) sequence, optional
        Name of the group of each; sorted by name in the table.
    unit : str
        Printed in the heading.

    Raises
    ------
    ValueError
        Different shapes, no values, or values that are not finite.
    """
    predicted, actual = np.asarray(predicted, dtype=float), np.asarray(actual, dtype=float)
    if predicted.shape != actual.shape or predicted.ndim == 0 or len(predicted) == 0:
        raise ValueError(
            f"predictions of shape {predicted.shape} and labels of shape {actual.shape} given; "
            "expected equal shapes (n, ...) with n >= 1"
        )
    error = np.abs(predicted - actual)
    if not np.isfinite(error).all():
        raise ValueError("predictions or labels are not finite; drop rows without a label first")
    names = np.array([str(g) for g in groups] if groups is not None else [], dtype=str)
    if groups is not None and len(names) != len(error):
        raise ValueError(f"{len(names)} group names given for {len(error)} values")
    parts = [(str(g), error[names == g]) for g in np.unique(names)] + [("all", error)]
    return ErrorTable(
        groups=tuple(name for name, _ in parts),
        n=tuple(e.size for _, e in parts),
        mae=tuple(float(e.mean()) for _, e in parts),
        rmse=tuple(float(np.sqrt((e**2).mean())) for _, e in parts),
        max=tuple(float(e.max()) for _, e in parts),
        unit=unit,
    )
