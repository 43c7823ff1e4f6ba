"""Summary of a database: counts by family and fate, statistics and histogram of S_f.

The only module of the generator that imports matplotlib, lazily.
"""

import sys
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from thiry_calc.linear.files import write_atomically
from training.database import Outcome, group_of, kept
from training.label import Label
from training.recipe import Recipe


def summarize(recipe: Recipe, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Count by family and fate, with statistics of S_f by number of defects.

    Parameters
    ----------
    recipe : Recipe
    outcomes : sequence of Outcome

    Returns
    -------
    dict
        Entropies in k_B, energies in eV.
    """
    families = []
    for f, family in enumerate(recipe.families):
        fates = Counter(o.fate for o in outcomes if o.shard.family == f)
        counts = {"planned": family.count, "attempts": fates.total()}
        families.append({"kind": family.kind, **counts, **_fates(fates)})
    groups: dict[str, list[Label]] = {}
    for _, attempt, label in kept(outcomes):
        groups.setdefault(group_of(attempt), []).append(label)
    everything = [label for _, _, label in kept(outcomes)]
    return {
        "planned": sum(family.count for family in recipe.families),
        "attempts": len(outcomes),
        **_fates(Counter(o.fate for o in outcomes)),
        "families": families,
        "formation_entropy_kB": _statistics([x.formation_entropy_kB for x in everything]),
        "formation_energy_eV": _statistics([x.formation_energy for x in everything]),
        "groups": {
            name: _statistics([x.formation_entropy_kB for x in labels])
            for name, labels in sorted(groups.items())
        },
        "sha256": _checksum(outcomes),
    }


def _checksum(outcomes: Sequence[Outcome]) -> str:
    """Digest of the labels kept, to 1e-4 (machines differ by less), to compare databases."""
    lines = sorted(
        f"{shard.name} {attempt.index} {x.formation_energy:.4f} {x.formation_entropy_kB:.4f}"
        for shard, attempt, x in kept(outcomes)
    )
    return sha256("\n".join(lines).encode()).hexdigest()


def _fates(fates: Counter[str]) -> dict[str, Any]:
    good = ("kept", "duplicate", "standard scan")
    return {
        "kept": fates["kept"],
        "duplicates": fates["duplicate"],
        "in_standard_scan": fates["standard scan"],
        "failures": {k: v for k, v in sorted(fates.items()) if k not in good},
    }


def _statistics(values: list[float]) -> dict[str, float | int | None]:
    if not values:
        return {"n": 0, "mean": None, "std": None, "min": None, "max": None}
    return {
        "n": len(values),
        "mean": float(np.mean(values)),
        "std": float(np.std(values)),
        "min": min(values),
        "max": max(values),
    }


def histogram(outcomes: Sequence[Outcome], path: Path) -> None:
    """Draw S_f by net number of defects; a message on stderr where matplotlib is missing.

    Parameters
    ----------
    outcomes : sequence of Outcome
    path : Path
        PNG file.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("thiry: matplotlib is not installed; no histogram drawn", file=sys.stderr)
        return
    groups: dict[str, list[float]] = {}
    for _, attempt, label in kept(outcomes):
        groups.setdefault(group_of(attempt), []).append(label.formation_entropy_kB)
    if not groups:
        return
    names = sorted(groups)
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    axes.hist([groups[n] for n in names], bins=60, stacked=True, label=names)
    axes.set_xlabel("formation entropy (k_B)")
    axes.set_ylabel("configurations")
    axes.legend(fontsize="small")
    buffer = BytesIO()
    figure.savefig(buffer, dpi=150, format="png")
    write_atomically(path, buffer.getvalue())
