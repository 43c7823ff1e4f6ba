"""Parity plots and tables of errors by family: what a reader of a model's card looks at first."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thiry_calc.files import replacing
from thiry_calc.linear.validate import ErrorTable

Array = NDArray[np.float64]


def parity_plot(
    path: Path, exact: Mapping[str, Array], predicted: Mapping[str, Array], quantity: str, unit: str
) -> None:
    """Predicted against exact values, and their differences, one colour per family.

    Parameters
    ----------
    path : Path
        PNG file.
    exact, predicted : mapping of str to ndarray
        By family.
    quantity, unit : str
        Name the axes.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    parity, difference = figure.subplots(1, 2)
    everything = np.concatenate(list(exact.values()))
    line = np.array([everything.min(), everything.max()])
    parity.plot(line, line, color="0.6", lw=0.8)
    difference.axhline(0, color="0.6", lw=0.8)
    for n, family in enumerate(exact):
        x, y = exact[family], predicted[family]
        mae = float(np.abs(y - x).mean())
        style: dict[str, Any] = {"s": 6, "alpha": 0.5, "lw": 0, "color": f"C{n % 10}"}
        parity.scatter(x, y, label=f"{family}: MAE {mae:.3g} {unit}", **style)
        difference.scatter(x, y - x, **style)
    parity.set(xlabel=f"exact {quantity} ({unit})", ylabel=f"predicted {quantity} ({unit})")
    difference.set(xlabel=f"exact {quantity} ({unit})", ylabel=f"predicted − exact ({unit})")
    parity.legend(fontsize=7, frameon=False)
    with replacing(path) as partial:
        figure.savefig(partial, dpi=150)


def markdown_table(table: ErrorTable, unit: str) -> str:
    """Write an error table as Markdown.

    Parameters
    ----------
    table : ErrorTable
    unit : str

    Returns
    -------
    str
    """
    lines = [f"| family | n | MAE ({unit}) | RMSE | max |", "|---|---|---|---|---|"]
    for group in table.groups:
        row = table[group]
        errors = f"{row['mae']:.4g} | {row['rmse']:.4g} | {row['max']:.4g}"
        lines.append(f"| {group} | {row['n']:.0f} | {errors} |")
    return "\n".join(lines)
