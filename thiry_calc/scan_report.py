"""What a scan prints: tables for people, JSON for programs, files of the relaxed structures."""

import math
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thiry_calc.structures import write_structures as write_frames

if TYPE_CHECKING:
    from thiry_calc.configurations import Configuration
    from thiry_calc.migration import Migration
    from thiry_calc.scan import Scan

_MAX_COLUMNS = 5  # temperatures in a table; JSON has them all


def family_name(net: int) -> str:
    """Name of the family of a net content N − N0.

    Parameters
    ----------
    net : int

    Returns
    -------
    str
        Such as "2 interstitials".
    """
    if net == 0:
        return "no net defect"
    kind = "vacancy" if net == -1 else "vacancies" if net < 0 else "interstitial"
    return f"{abs(net)} {kind}{'s' if net > 1 else ''}"


def text(scan: "Scan") -> str:
    """Tables of a scan.

    Parameters
    ----------
    scan : Scan

    Returns
    -------
    str
    """
    parts = [_header(scan), _configurations(scan), _stable(scan), _concentrations(scan)]
    for jump, name in ((scan.migration, scan.model), (scan.exact_migration, scan.reference)):
        if jump is not None:
            parts.append(_migration(scan, jump, str(name), jump is scan.exact_migration))
    parts += [f"note: {note}" for note in scan.notes]
    return "\n\n".join(part for part in parts if part)


def _header(scan: "Scan") -> str:
    exact = f"; exact: harmonic entropy of {scan.reference}" if scan.reference else ""
    return (
        f"{scan.model}: {scan.lattice} {scan.element}, a0 = {scan.a0:.5f} Å, relaxed at fixed "
        f"volume (named defects in {scan.size}×{scan.size}×{scan.size} cubic cells){exact}\n"
        "formation energy E_f and free energy A_f(T) = E_f − k_B T S_f in eV, entropy S_f in k_B; "
        "g: orientations per site"
    )


def _some(temperatures: Sequence[float]) -> list[float]:
    """At most five of the temperatures, evenly spread, the first and the last among them."""
    last = len(temperatures) - 1
    wanted = min(last + 1, _MAX_COLUMNS)
    return [temperatures[round(n * last / max(wanted - 1, 1))] for n in range(wanted)]


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as they need to be: names to the left, numbers to the right."""
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [c.rjust(w) for c, w in zip(row, widths, strict=True)]
        cells[0] = row[0].ljust(widths[0])
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def _configurations(scan: "Scan") -> str:
    temperatures = _some(scan.temperatures)
    exact_columns = ["exact E_f", "S_f", "neg."] if scan.reference else []
    free = [f"A_f({t:g} K)" for t in temperatures]
    rows = [["configuration", "atoms", "g", "E_f", "S_f", *exact_columns, *free]]
    notes = []
    for c in scan.configurations:
        g = "–" if c.multiplicity is None else str(c.multiplicity)
        row = [c.name, str(c.n_atoms), g]
        row += [_number(c.formation_energy_eV), _number(c.formation_entropy_kB, 2)]
        if scan.reference and c.exact:
            exact = c.exact
            row += [_number(exact.formation_energy_eV), _number(exact.formation_entropy_kB, 2)]
            row += [str(exact.n_negative_modes)]
        elif scan.reference:
            row += ["–", "–", "–"]
        row += [
            _number(None if (c.is_saddle or c.falls_to) else c.formation_free_energy_eV(t))
            for t in temperatures
        ]
        rows.append(row)
        notes.append("; ".join(c.notes))
    lines = _table(rows).splitlines()
    return "\n".join(
        f"{line}   {note}".rstrip() for line, note in zip(lines, ["", *notes], strict=True)
    )


def _stable(scan: "Scan") -> str:
    lines = ["stable configuration of each family"]
    width = max(len(family_name(net)) for net in scan.families)
    for net in scan.families:
        ranges = scan.stable(net)
        if not ranges:
            described = "none is a minimum"
        else:
            described = ranges[0].name
            for r in ranges[1:]:
                described += f"  —  {r.start:.0f} K  →  {r.name}"
        lines.append(f"  {family_name(net).ljust(width)}  {described}")
    if any(len(scan.stable(net)) > 1 for net in scan.families):
        lines.append("  (the temperatures are those where the stable configuration changes)")
    if any((c.falls_to or "").endswith("*") for c in scan.configurations):
        lines.append(
            "  (a name with an asterisk is the state to which that configuration falls when pushed)"
        )
    return "\n".join(lines)


def _concentrations(scan: "Scan") -> str:
    nets = [n for n in scan.families if n != 0 and scan.stable(n)]
    temperatures = [t for t in scan.temperatures if t > 0]
    if not nets or not temperatures:
        return ""
    rows = [["T (K)", *(family_name(n) for n in nets)]]
    for t in temperatures:
        rows.append([f"{t:g}", *(_small(scan.concentration(n, t)) for n in nets)])
    return "equilibrium concentrations per lattice site, Σ g exp(−A_f/k_BT)\n" + _table(rows)


def _small(value: float) -> str:
    return f"{value:.1e}" if value > 1e-99 else "< 1e-99"


def _migration(scan: "Scan", jump: "Migration", name: str, exact: bool) -> str:
    vacancies = not math.isnan(scan.concentration(-1, 300.0, exact))
    rows = [["T (K)", "Γ (1/s)", "D_v (m²/s)"] + (["D* (m²/s)"] if vacancies else [])]
    for t in scan.temperatures:
        if t > 0:
            row = [f"{t:g}", f"{jump.rate(t):.2e}", f"{jump.vacancy_diffusivity(t):.2e}"]
            if vacancies:
                row.append(f"{jump.self_diffusivity(t, scan.concentration(-1, t, exact)):.2e}")
            rows.append(row)
    legend = "Γ: rate to one neighbour; D_v: of the vacancy; D*: of a tracer, vacancies included"
    return f"{name}: {jump}\n{_table(rows)}\n{legend}"


def _finite(value: float | None) -> float | None:
    """JSON has no NaN."""
    return None if value is None or not math.isfinite(value) else value


def to_json(scan: "Scan") -> dict[str, Any]:
    """Everything that a scan found, as JSON content.

    Parameters
    ----------
    scan : Scan

    Returns
    -------
    dict
        ``configurations`` as the contract has it, and more.
    """
    kelvins = {f"{t:g}": t for t in scan.temperatures}
    stable = {net: scan.stable(net) for net in scan.families}
    return {
        "model": scan.model,
        "element": scan.element,
        "lattice": scan.lattice,
        "a0_A": scan.a0,
        "size": scan.size,
        "reference": scan.reference,
        "temperatures_K": list(scan.temperatures),
        "configurations": [_configuration(c, kelvins) for c in scan.configurations],
        "families": [
            {
                "family": family_name(net),
                "net": net,
                "stable": [asdict(r) for r in ranges],
                "crossings_K": [r.start for r in ranges[1:]],
                "concentration_per_site": {
                    k: _finite(scan.concentration(net, t)) for k, t in kelvins.items()
                },
            }
            for net, ranges in stable.items()
        ],
        "migration": _jump(scan, scan.migration, kelvins, exact=False),
        "exact_migration": _jump(scan, scan.exact_migration, kelvins, exact=True),
        "notes": list(scan.notes),
    }


def _configuration(c: "Configuration", kelvins: dict[str, float]) -> dict[str, Any]:
    entropy = None if c.is_saddle else _finite(c.formation_entropy_kB)
    return {
        "name": c.name,
        "family": family_name(c.net),
        "n_atoms": c.n_atoms,
        "n_sites": c.n_sites,
        "multiplicity": c.multiplicity,
        "formation_energy_eV": _finite(c.formation_energy_eV),
        "formation_entropy_kB": entropy,
        "energy_std_eV": c.energy_std_eV,
        "entropy_std_kB": c.entropy_std_kB,
        "n_negative_modes": None if c.exact is None else c.exact.n_negative_modes,
        "formation_free_energy_eV": {
            k: None if entropy is None else c.formation_free_energy_eV(t)
            for k, t in kelvins.items()
        },
        "exact": None if c.exact is None else {k: _finite(v) for k, v in asdict(c.exact).items()},
        "same_as": c.same_as,
        "falls_to": c.falls_to,
        "notes": list(c.notes),
    }


def _jump(
    scan: "Scan", jump: "Migration | None", kelvins: dict[str, float], exact: bool
) -> dict[str, Any] | None:
    if jump is None:
        return None
    return {
        "n_atoms": jump.n_atoms,
        "barrier_eV": jump.barrier_eV,
        "attempt_frequency_THz": jump.attempt_frequency_THz,
        "n_negative_modes": jump.n_negative_modes,
        "unstable_frequency_THz": jump.unstable_frequency_THz,
        "n_saddles": jump.n_saddles,
        "path_fraction": jump.path_fraction.tolist(),
        "path_eV": jump.path_eV.tolist(),
        "rate_per_s": {k: jump.rate(t) for k, t in kelvins.items()},
        "vacancy_diffusivity_m2_per_s": {
            k: jump.vacancy_diffusivity(t) for k, t in kelvins.items()
        },
        "self_diffusivity_m2_per_s": {
            k: _finite(jump.self_diffusivity(t, scan.concentration(-1, t, exact)))
            for k, t in kelvins.items()
        },
    }


def write_structures(scan: "Scan", folder: str | Path) -> list[Path]:
    """Write the relaxed structures, one extended xyz file each.

    Parameters
    ----------
    scan : Scan
    folder : str or Path
        Made when absent.

    Returns
    -------
    list of Path
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for c in scan.configurations:
        atoms = c.atoms.copy()
        atoms.info = {"name": c.name, "n_sites": c.n_sites}
        if math.isfinite(c.formation_energy_eV):
            atoms.info["formation_energy_eV"] = c.formation_energy_eV
            if not c.is_saddle:
                atoms.info["formation_entropy_kB"] = c.formation_entropy_kB
        stem = re.sub(r"[^A-Za-z0-9._-]", "_", c.name)
        path = folder / f"{stem}.xyz"
        if path in paths:  # names that differ in what file names cannot hold
            path = folder / f"{stem}_{len(paths)}.xyz"
        write_frames(path, [atoms])
        paths.append(path)
    return paths
