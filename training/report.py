"""Parity plots and tables of errors by family: what a reader of a model's card looks at first."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from thiry_calc.linear.files import replacing
from thiry_calc.linear.validate import ErrorTable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]


def parity_plot(
    path: Path, exact: Mapping[str, Array], predicted: Mapping[str, Array], quantity: str, unit: str
) -> None:
    """Write `parity_figure` to a PNG file; parameters as there."""
    with replacing(path) as partial:
        parity_figure(exact, predicted, quantity, unit).savefig(partial, dpi=150)


def parity_figure(
    exact: Mapping[str, Array], predicted: Mapping[str, Array], quantity: str, unit: str
) -> "Figure":
    """Predicted against exact values, and their differences, one colour per family.

    Parameters
    ----------
    exact, predicted : mapping of str to ndarray
        By family.
    quantity, unit : str
        Name the axes.

    Returns
    -------
    matplotlib.figure.Figure
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
    return figure


def extrapolation_plot(
    path: Path,
    exact: Mapping[str, Array],
    predictions: Mapping[str, Mapping[str, Array]],
    largest: float,
) -> None:
    """Predicted against exact entropies far above those that were fitted, one panel a model.

    Parameters
    ----------
    path : Path
        PNG file.
    exact : mapping of str to ndarray
        k_B, by kind of configuration.
    predictions : mapping of str to mapping
        By model, then by kind.
    largest : float
        Largest entropy fitted, k_B: shaded.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.0 * len(predictions), 4.0), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(predictions), squeeze=False, sharex=True, sharey=True)[0]
    top = 1.05 * max(float(values.max()) for values in exact.values())
    for panel, (model, found) in zip(panels, predictions.items(), strict=True):
        panel.axvspan(0, largest, color="0.9", lw=0)
        panel.plot([0, top], [0, top], color="0.6", lw=0.8)
        for kind, values in found.items():
            mae = float(np.abs(values - exact[kind]).mean())
            panel.scatter(
                exact[kind], values, s=10, alpha=0.7, lw=0, label=f"{kind}: MAE {mae:.2f} k_B"
            )
        panel.set(title=model, xlabel="exact S_f (k_B)", xlim=(0, top), ylim=(0, top))
        panel.legend(fontsize=8, frameon=False, loc="upper left")
    panels[0].set_ylabel("predicted S_f (k_B)")
    with replacing(path) as partial:
        figure.savefig(partial, dpi=150)


def learning_plot(path: Path, sizes: Array, errors: Mapping[str, Array], unit: str) -> None:
    """Errors against the number of configurations fitted, both logarithmic.

    Parameters
    ----------
    path : Path
        PNG file.
    sizes : ndarray, shape (n,)
    errors : mapping of str to ndarray, shape (n, repeats)
        By model.
    unit : str
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    ax = figure.subplots()
    for model, values in errors.items():
        mean = values.mean(axis=1)
        spread = values.std(axis=1)
        ax.errorbar(sizes, mean, spread, marker="o", ms=4, capsize=2, label=model)
    ax.set(xscale="log", yscale="log", xlabel="configurations fitted")
    ax.set_ylabel(f"mean absolute error of S_f ({unit})")
    ax.grid(which="both", lw=0.3)
    ax.legend(fontsize=8)
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
