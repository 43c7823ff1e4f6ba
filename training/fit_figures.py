"""Figures of a fitted potential: learning curve, leverages, dimers, equation of state, phonons."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from training.crystal_properties import CrystalProperties
from training.learning import Learning

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

_UNITS = {"energy": "meV/√atom", "forces": "meV/Å", "stress": "meV/√atom"}
_DEEPEST = 30.0  # eV: more repulsion than this is not drawn


def _axes(width: float, count: int = 1) -> tuple["Figure", list[Any]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, count, squeeze=False)[0]
    for panel in panels:
        panel.grid(lw=0.3)
    return figure, list(panels)


def learning_figure(learning: Learning) -> "Figure":
    """Errors of what was left out against the number of structures, both logarithmic."""
    figure, panels = _axes(4.2 * len(learning.rmse), len(learning.rmse))
    for panel, (kind, rmse) in zip(panels, learning.rmse.items(), strict=True):
        values = 1e3 * rmse
        panel.errorbar(
            learning.n_structures, values.mean(axis=1), values.std(axis=1), marker="o", capsize=2
        )
        panel.set(xscale="log", yscale="log", xlabel="structures fitted")
        panel.set(ylabel=f"RMSE ({_UNITS[kind]})", title=f"{kind}, left out")
    return figure


def leverage_figure(leverages: Mapping[str, Array], largest: float) -> "Figure":
    """Share of atoms above a leverage, by set, and the largest one of the training data."""
    figure, (panel,) = _axes(5.0)
    for name, values in leverages.items():
        ordered = np.sort(values)[::-1]
        panel.plot(ordered, np.arange(1, len(ordered) + 1) / len(ordered), label=name)
    if np.isfinite(largest):
        panel.axvline(largest, color="0.5", ls="--", lw=1, label="largest in training")
    panel.set(
        xscale="log", yscale="log", xlabel="leverage of an atom", ylabel="share of atoms above"
    )
    panel.legend(fontsize=8, frameon=False)
    return figure


def dimer_figure(curves: Mapping[str, tuple[Array, Array]]) -> "Figure":
    """Energy of two atoms against their distance, from infinity."""
    figure, (panel,) = _axes(5.0)
    lowest = min(float(energies.min()) for _, energies in curves.values())
    for name, (r, energies) in curves.items():
        panel.plot(r, energies, label=name)
    panel.set(xlabel="distance (Å)", ylabel="energy (eV)")
    panel.set_ylim(lowest - 1.0, min(_DEEPEST, 5.0 - 5 * lowest))
    panel.legend(fontsize=8, frameon=False)
    return figure


def crystal_figure(crystal: CrystalProperties) -> "Figure":
    """Equation of state and phonon dispersion."""
    bands = crystal.bands
    figure, panels = _axes(5.0 if bands is None else 9.0, 1 if bands is None else 2)
    panels[0].plot(crystal.volumes, crystal.energies, marker="o", ms=3)
    panels[0].set(xlabel="volume (Å³/atom)", ylabel="energy (eV/atom)")
    if bands is not None:
        panels[1].plot(bands.distances, bands.frequencies, color="C0", lw=1)
        panels[1].axhline(0, color="0.6", lw=0.8)
        panels[1].set_xticks(bands.ticks, [label.replace("G", "Γ") for label in bands.labels])
        panels[1].set(ylabel="frequency (THz)", xlim=(bands.distances[0], bands.distances[-1]))
    return figure
