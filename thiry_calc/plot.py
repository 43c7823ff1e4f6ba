"""Figures; the only module that imports matplotlib, and only when it draws.

A scan is drawn as one panel per family with the lines A_f(T) = E_f − k_B T S_f, the stable
configuration thick and coloured, the crossings marked, saddles as crosses at their energy, exact
values as circles; below, equilibrium concentrations and, where known, diffusivities.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from thiry_calc.linear.files import check_folder, replacing
from thiry_calc.scan_report import family_name

if TYPE_CHECKING:
    from thiry_calc.configurations import Configuration
    from thiry_calc.migration import Migration
    from thiry_calc.scan import Scan

_COLOURS = ("#0b5fa5", "#d1495b", "#2e8b57", "#8e5ea2")  # successive stable configurations
_OTHER = "#9a9a9a"
_FORMATS = ("png", "pdf", "svg", "jpg")
_LEAST = 1e-30  # per site; less is not drawn
_LABEL = 0.062  # least distance of two labels, in heights of a panel
_COLUMNS = 4


def check_plot(path: str | Path, temperatures: Sequence[float]) -> None:
    """Refuse a plot that could not be drawn or written, before anything is computed.

    Parameters
    ----------
    path : str or Path
    temperatures : sequence of float
        K.

    Raises
    ------
    ValueError
        Unknown format, no such folder, or a single temperature.
    """
    path = Path(path)
    if len(temperatures) < 2:
        raise ValueError(
            f"a plot against temperature needs at least two of them, not {temperatures[0]:g} K "
            "alone; give a range such as 0:1200:100"
        )
    if path.suffix.lower().removeprefix(".") not in _FORMATS:
        raise ValueError(f"plot file {str(path)!r}: expected a name ending in .png, .pdf or .svg")
    check_folder(path)


def plot_scan(scan: "Scan", path: str | Path) -> None:
    """Draw a scan.

    Parameters
    ----------
    scan : Scan
    path : str or Path
        .png, .pdf, .svg or .jpg; replaced when it exists.

    Raises
    ------
    ValueError
        As `check_plot`.
    """
    from matplotlib.figure import Figure

    check_plot(path, scan.temperatures)
    nets = [net for net in scan.families if scan.stable(net)]
    rows = _rows(nets)
    columns = max([2, *(len(row) for row in rows)])
    figure = Figure(figsize=(4.3 * columns, 3.3 * (len(rows) + 1)), layout="constrained")
    grid = figure.add_gridspec(len(rows) + 1, columns)
    for r, row in enumerate(rows):
        for c, net in enumerate(row):
            _family(figure.add_subplot(grid[r, c]), scan, net)
    half = columns if scan.migration is None else columns // 2
    _concentrations(figure.add_subplot(grid[len(rows), :half]), scan, nets)
    if scan.migration is not None:
        _diffusivities(figure.add_subplot(grid[len(rows), half:]), scan, scan.migration)
    exact = f"  (circles: exact, {scan.reference})" if scan.reference else ""
    figure.suptitle(
        f"{scan.model}: formation free energies of defects in {scan.lattice} {scan.element}, "
        f"constant volume{exact}",
        fontsize=12,
    )
    with replacing(path) as partial:
        figure.savefig(partial, dpi=130)


def _rows(nets: list[int]) -> list[list[int]]:
    """Vacancies and interstitials in rows of their own, at most four panels wide."""
    if len(nets) <= _COLUMNS:
        return [nets]
    kinds = [[n for n in nets if n < 0], [n for n in nets if n >= 0]]
    return [kind[i : i + _COLUMNS] for kind in kinds for i in range(0, len(kind), _COLUMNS)]


def _family(axes: Any, scan: "Scan", net: int) -> None:
    """A_f(T) of the configurations of a family."""
    t_min, t_max = scan.temperatures[0], scan.temperatures[-1]
    ends = np.array([t_min, t_max])
    ranges = scan.stable(net)
    winners = {r.name: _COLOURS[n % len(_COLOURS)] for n, r in enumerate(ranges)}
    labels = []
    for c in scan.families[net]:
        if not np.isfinite(c.formation_energy_eV) or c.same_as:
            continue
        if not c.competes:
            _saddle(axes, c, ends[0])
            continue
        colour = winners.get(c.name, _OTHER)
        free_energies = [c.formation_free_energy_eV(t) for t in ends]
        axes.plot(ends, free_energies, color=colour, linewidth=1.1)
        labels.append((free_energies[1], c.name, colour))
        _exact_points(axes, scan, c, colour)
    by_name = {c.name: c for c in scan.families[net]}
    for r in ranges:
        part = np.array([r.start, r.end])
        energies = [by_name[r.name].formation_free_energy_eV(t) for t in part]
        axes.plot(part, energies, color=winners[r.name], linewidth=3.2, solid_capstyle="butt")
    for r in ranges[1:]:
        axes.axvline(r.start, color="#555555", linewidth=0.8, linestyle="--", zorder=0)
        axes.annotate(
            f" {r.start:.0f} K", (r.start, 0.97), xycoords=("data", "axes fraction"),
            fontsize=8, va="top", color="#555555",
        )  # fmt: skip
    _finish(axes, family_name(net), "A_f (eV)", (ends[0], ends[1]))
    _label_ends(axes, labels, bold=True)


def _saddle(axes: Any, c: "Configuration", start: float) -> None:
    """E_f of a saddle as a cross: it has no entropy, so no line."""
    axes.plot([start], [c.formation_energy_eV], "x", color=_OTHER, markersize=5, clip_on=False)
    axes.annotate(
        f"{c.name} (saddle)", (start, c.formation_energy_eV), xytext=(7, 0),
        textcoords="offset points", fontsize=7, va="center", color=_OTHER,
    )  # fmt: skip


def _exact_points(axes: Any, scan: "Scan", c: "Configuration", colour: str) -> None:
    """Exact A_f(T) as circles."""
    if c.exact is None:
        return
    t = np.array(scan.temperatures)
    t = t[:: max(1, len(t) // 6)]
    values = [c.formation_free_energy_eV(kelvin, exact=True) for kelvin in t]
    axes.plot(
        t, values, "o", markerfacecolor="white", markeredgecolor=colour, markersize=4.5,
        clip_on=False, zorder=5,
    )  # fmt: skip


def _label_ends(axes: Any, labels: list[tuple[float, str, Any]], bold: bool = False) -> None:
    """Names at the right ends of the lines, moved apart where they would overlap."""
    labels = sorted(labels, key=lambda label: label[0])
    to_panel = axes.transData + axes.transAxes.inverted()
    heights = [to_panel.transform((0.0, value))[1] for value, _, _ in labels]
    for n in range(1, len(heights)):
        heights[n] = max(heights[n], heights[n - 1] + _LABEL)
    excess = max([0.0, *(h - 1.0 for h in heights)])
    for height, (_, text, colour) in zip(heights, labels, strict=True):
        axes.annotate(
            text, (1.03, height - excess), xycoords="axes fraction", fontsize=8, va="center",
            color=colour, fontweight="bold" if bold and colour != _OTHER else "normal",
            annotation_clip=False,
        )  # fmt: skip


def _concentrations(axes: Any, scan: "Scan", nets: list[int]) -> None:
    """Equilibrium concentrations of all families against T."""
    kelvins = _fine(scan)
    labels = []
    drawn = [net for net in nets if net != 0]
    for net in drawn:
        values = np.array([scan.concentration(net, t) for t in kelvins])
        visible = values > _LEAST
        if not visible.any():
            continue
        shade = 0.75 * (abs(net) - 1) / max(abs(m) for m in drawn)
        base = np.array([11, 95, 165] if net < 0 else [209, 73, 91]) / 255
        colour = tuple(base + (1 - base) * shade)
        axes.semilogy(kelvins[visible], values[visible], color=colour, linewidth=1.8)
        labels.append((values[visible][-1], family_name(net), colour))
    _finish(axes, "equilibrium concentration", "per lattice site", (0, kelvins[-1]))
    _label_ends(axes, labels)


def _diffusivities(axes: Any, scan: "Scan", jump: "Migration") -> None:
    """Diffusivity of the vacancy and of a tracer against T."""
    kelvins = _fine(scan)
    curves: list[tuple[str, Callable[[float], float]]] = [("vacancy", jump.vacancy_diffusivity)]
    if -1 in scan.families:
        curves.append(("tracer", lambda t: jump.self_diffusivity(t, scan.concentration(-1, t))))
    labels = []
    for n, (name, diffusivity) in enumerate(curves):
        values = np.array([diffusivity(t) for t in kelvins])
        visible = values > _LEAST * 1e-10
        if not visible.any():
            continue
        axes.semilogy(kelvins[visible], values[visible], color=_COLOURS[n], linewidth=1.8)
        labels.append((values[visible][-1], name, _COLOURS[n]))
    title = f"diffusivity (barrier {jump.barrier_eV:.2f} eV)"
    _finish(axes, title, "m²/s", (0, kelvins[-1]))
    _label_ends(axes, labels)


def _fine(scan: "Scan") -> Any:
    """Temperatures of smooth curves, without 0 K."""
    top = scan.temperatures[-1]
    return np.linspace(max(scan.temperatures[0], top / 100), top, 200)


def _finish(axes: Any, title: str, ylabel: str, limits: tuple[float, float]) -> None:
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xlabel("T (K)", fontsize=9)
    axes.set_ylabel(ylabel, fontsize=9)
    axes.set_xlim(*limits)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)
