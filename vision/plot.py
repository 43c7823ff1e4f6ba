"""Figures; the only module here that imports matplotlib, and only when it draws."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thiry_calc.linear.files import check_folder, replacing
from vision.dimension import PatchDimension
from vision.evidence import Evidence

_FORMATS = (".png", ".pdf", ".svg", ".jpg")


def check_plot(path: str | Path) -> None:
    """Refuse a figure that could not be written, before anything is computed.

    Raises
    ------
    ValueError
        Unknown format, or no such folder.
    """
    if Path(path).suffix.lower() not in _FORMATS:
        raise ValueError(f"plot file {str(path)!r}: expected a name ending in .png, .pdf or .svg")
    check_folder(path)


def plot_evidence(
    image: NDArray[np.uint8], evidence: Sequence[Evidence], names: Sequence[str], path: str | Path
) -> None:
    """Draw an image, and over it the evidence for one or more classes.

    Parameters
    ----------
    image : (H, W, C) uint8 array
    evidence : sequence of Evidence
    names : sequence of str
        Of their classes.
    path : str or Path
    """
    figure, axes = _panels(1 + len(evidence))
    axes[0].imshow(_shown(image), cmap="gray", vmin=0, vmax=255)
    axes[0].set_title("image")
    faint = 255 - (255 - image.mean(-1)) * 0.5
    largest = max(float(np.abs(e.pixels).max()) for e in evidence) or 1.0
    for ax, e, name in zip(axes[1:], evidence, names, strict=True):
        ax.imshow(faint, cmap="gray", vmin=0, vmax=255)
        shown = ax.imshow(e.pixels, cmap="RdBu_r", vmin=-largest, vmax=largest, alpha=0.65)
        ax.set_title(f"{name}: {e.score:.3f}")
    for ax in axes:
        ax.set_axis_off()
    figure.colorbar(shown, ax=list(axes), shrink=0.8, label="evidence per pixel")
    _save(figure, path)


def plot_gallery(
    rows: Sequence[tuple[str, NDArray[np.uint8], NDArray[np.float64]]], path: str | Path
) -> None:
    """Draw the most telling dictionary patches of each class.

    Parameters
    ----------
    rows : sequence of (name, patches (n, P, P, C), weights (n,))
    path : str or Path
    """
    columns = max(len(patches) for _, patches, _ in rows)
    figure, axes = _grid(len(rows), columns)
    for line, (name, patches, weights) in zip(axes, rows, strict=True):
        for ax in line:
            ax.set_axis_off()
        for ax, patch, weight in zip(line, patches, weights, strict=False):
            ax.imshow(_shown(patch), cmap="gray", vmin=0, vmax=255)
            ax.set_title(f"{weight:+.3f}", fontsize=7, pad=2)
        line[0].text(
            -0.15, 0.5, name, transform=line[0].transAxes, ha="right", va="center", fontsize=9
        )
    _save(figure, path)


def plot_dimensions(
    dimensions: Sequence[PatchDimension],
    path: str | Path,
    published: dict[bool, dict[int, float]] | None = None,
) -> None:
    """Draw dimensions: against patch size, or of one size against the number of neighbours.

    Parameters
    ----------
    dimensions : sequence of PatchDimension
    path : str or Path
    published : dict, optional
        Whitened or not → patch size → dimension, drawn beside.
    """
    sizes = sorted({d.patch for d in dimensions})
    figure, (ax,) = _panels(1, width=5.5)
    for whitened, colour in ((False, "#0b5fa5"), (True, "#d1495b")):
        mine = sorted((d for d in dimensions if d.whitened is whitened), key=lambda d: d.patch)
        kind = "whitened" if whitened else "raw"
        if not mine:
            continue
        if len(sizes) > 1:
            x = [d.patch for d in mine]
            ax.plot(x, [d.levina_bickel for d in mine], "o-", c=colour, label=f"{kind}, neighbours")
            ax.plot(x, [d.covariance for d in mine], "s--", c=colour, label=f"{kind}, covariance")
            theirs = (published or {}).get(whitened, {})
            if theirs:
                ax.plot(
                    list(theirs), list(theirs.values()), "k.:", lw=1, label=f"{kind}, published"
                )
        else:
            ks = mine[0].by_neighbors
            ax.plot(list(ks), list(ks.values()), "o-", c=colour, label=f"{kind}, P = {sizes[0]}")
            ax.set_xscale("log")
    ax.set_xlabel("patch size P" if len(sizes) > 1 else "neighbours k")
    ax.set_ylabel("dimension")
    if len(sizes) > 1:
        ax.set_yscale("log")
    ax.legend(frameon=False, fontsize=8)
    _save(figure, path)


def _shown(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Drop the channel axis of grey images, as matplotlib wants it."""
    return image[..., 0] if image.shape[-1] == 1 else image


def _panels(count: int, width: float = 3.0) -> tuple[Any, Any]:
    figure, axes = _grid(1, count, width, 3.0 if count > 1 else 4.0)
    return figure, axes[0]


def _grid(rows: int, columns: int, width: float = 0.7, height: float = 0.75) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    size = (columns * width + 1.0, rows * height + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _save(figure: Any, path: str | Path) -> None:
    with replacing(path) as partial:
        figure.savefig(partial, dpi=150)
