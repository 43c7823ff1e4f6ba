"""Databases of defects with exact formation entropies: shards, then one pass that sorts them out.

    attempts (parallel, in any order) → shards → final pass (in the order of the recipe) → database

The final pass drops the failures, everything that repeats an earlier configuration up to symmetry,
and everything that is a relaxed structure of the standard scan (`thiry_calc.defects.STANDARD`),
which a model may then be judged on. It writes an extended xyz file per shard that has any left, an
index, a summary and a histogram. The result does not depend on the number of workers, nor on how
often the run was interrupted.
"""

import json
import lzma
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from tqdm import tqdm

from thiry_calc.defects import STANDARD, build
from thiry_calc.symmetry import fingerprint, first_equals
from training.label import Label
from training.recipe import Recipe
from training.sampling import (
    Attempt,
    bulk_of,
    generator,
    lattice_constant,
    load_reference,
    settle,
)
from training.shards import (
    Shard,
    digest,
    make_shard,
    plan,
    read_shard,
    write_atomically,
    write_shard,
)

INDEX = "index.json"
SUMMARY = "summary.json"
_RAW = "attempts"  # sub-folder of the shards as the workers wrote them


@dataclass(frozen=True)
class Outcome:
    """What became of one attempt.

    Attributes
    ----------
    shard : Shard
    attempt : Attempt
    fate : str
        "kept", "duplicate", "standard scan", or the reason of a failure.
    """

    shard: Shard
    attempt: Attempt
    fate: str


def generate(recipe: Recipe, executor: Executor, folder: Path | None = None) -> dict[str, Any]:
    """Make a database, or complete one.

    Parameters
    ----------
    recipe : Recipe
    executor : concurrent.futures.Executor
        Does the shards.
    folder : Path, optional
        Instead of the recipe's.

    Returns
    -------
    dict
        The summary, as in ``summary.json``.

    Raises
    ------
    ValueError
        When the reference potential cannot be built from the recipe.
    RuntimeError
        When a shard is damaged, or an attempt fails in an unforeseen way.
    """
    folder = Path(recipe.folder).expanduser() if folder is None else folder
    raw = folder / _RAW
    bulk_of(recipe, recipe.sizes[0])  # fails here, in one sentence, rather than in every worker
    raw.mkdir(parents=True, exist_ok=True)
    shards = plan(recipe)
    _make_missing(recipe, executor, shards, raw)
    known = _standard_scan(recipe, executor, raw)
    outcomes = _sort_out(shards, raw, known)
    summary = _summary(recipe, outcomes)
    _write_frames(outcomes, folder)
    _write_json(folder / INDEX, _index(recipe, outcomes))
    _write_json(folder / SUMMARY, summary)
    _histogram(outcomes, folder / "histogram.png")
    return summary


def _make_missing(recipe: Recipe, executor: Executor, shards: list[Shard], raw: Path) -> None:
    paths = {s.name: raw / f"{s.name}.npz" for s in shards}
    missing = [s for s in shards if not paths[s.name].exists()]
    total = sum(s.stop - s.start for s in shards)
    done = total - sum(s.stop - s.start for s in missing)
    with tqdm(total=total, initial=done, unit="conf", file=sys.stderr) as progress:
        sizes = {s.name: s.stop - s.start for s in missing}
        futures = [executor.submit(make_shard, recipe, s, paths[s.name]) for s in missing]
        try:
            for future in as_completed(futures):
                progress.update(sizes[future.result()])
        except BaseException:
            for future in futures:
                future.cancel()
            raise


def _standard_scan(recipe: Recipe, executor: Executor, raw: Path) -> list[Attempt]:
    """Relaxed minima of the standard scan in every size; kept in a shard of their own."""
    path = raw / f"standard-{digest(recipe, None)}.npz"
    if not path.exists():
        tasks = [(size, name) for size in recipe.sizes for name in STANDARD]
        futures = [
            executor.submit(_standard, recipe, size, name, n)
            for n, (size, name) in enumerate(tasks)
        ]
        write_shard(path, [f.result() for f in futures])
    return [a for a in read_shard(path) if a.atoms is not None]


def _standard(recipe: Recipe, size: int, name: str, number: int) -> Attempt:
    """Relax a defect of the standard scan; where it is a saddle, to the minimum beside it."""
    calc = load_reference(recipe.potential, recipe.file)
    atoms = build(name, lattice_constant(recipe), size, recipe.element, recipe.lattice)
    bulk = bulk_of(recipe, size)
    atoms.calc = calc
    rng = generator(recipe.seed, "standard", name)
    labelled, failure = settle(atoms, calc, bulk, recipe.method, False, rng)
    if labelled is None:
        return Attempt(-1, number, failure)
    atoms.set_array("forces", atoms.get_forces())
    return Attempt(-1, number, "", atoms, labelled, fingerprint(atoms))


def _sort_out(shards: Sequence[Shard], raw: Path, known: list[Attempt]) -> list[Outcome]:
    """Decide the fate of every attempt, in the order of the recipe."""
    made = [(s, a) for s in shards for a in read_shard(raw / f"{s.name}.npz")]
    good = known + [a for _, a in made if a.label is not None]
    labels = [a.label for a in good if a.label is not None]
    first = first_equals(
        [a.fingerprint for a in good if a.fingerprint is not None],
        [x.energy for x in labels],
        [x.formation_entropy_kB for x in labels],
    )
    outcomes, n = [], len(known)
    for shard, one in made:
        fate = one.failure
        if one.label is not None:
            fate = "kept" if first[n] == n else "duplicate"
            fate = "standard scan" if first[n] < len(known) else fate
            n += 1
        outcomes.append(Outcome(shard, one, fate))
    return outcomes


def _kept(outcomes: Sequence[Outcome]) -> Iterator[tuple[Shard, Attempt, Label]]:
    for o in outcomes:
        if o.fate == "kept" and o.attempt.label is not None:
            yield o.shard, o.attempt, o.attempt.label


def frame(attempt: Attempt) -> Atoms:
    """Structure of a kept attempt with its labels.

    Parameters
    ----------
    attempt : Attempt
        With atoms and label.

    Returns
    -------
    Atoms
        ``info`` has ``formation_entropy_kB``, ``formation_energy``, ``family``, ``group`` (see
        `group_of`), ``name``, ``n_sites``; the calculator holds energy (eV) and forces (eV/Å).
    """
    if attempt.atoms is None or attempt.label is None:
        raise ValueError(f"attempt {attempt.index} of family {attempt.family} has no structure")
    atoms = attempt.atoms.copy()
    forces = atoms.arrays.pop("forces")
    atoms.info["group"] = group_of(attempt)
    atoms.info["formation_energy"] = attempt.label.formation_energy
    atoms.info["formation_entropy_kB"] = attempt.label.formation_entropy_kB
    atoms.calc = SinglePointCalculator(atoms, energy=attempt.label.energy, forces=forces)
    return atoms


def load_database(folder: str | Path) -> list[Atoms]:
    """Read the configurations that a finished run has kept.

    Parameters
    ----------
    folder : str or Path

    Returns
    -------
    list of Atoms
        As `frame` makes them, in the order of the recipe.

    Raises
    ------
    FileNotFoundError
        No finished database there.
    RuntimeError
        A shard is missing or damaged.
    """
    folder = Path(folder).expanduser()
    index = folder / INDEX
    if not index.is_file():
        raise FileNotFoundError(2, "no finished database (index.json)", str(index))
    atoms = []
    for entry in json.loads(index.read_text(encoding="utf-8"))["shards"]:
        path = folder / _RAW / f"{entry['name']}.npz"
        attempts = {a.index: a for a in read_shard(path)}
        atoms += [frame(attempts[n]) for n in entry["kept"]]
    return atoms


def _write_frames(outcomes: Sequence[Outcome], folder: Path) -> None:
    """One compressed extended xyz file per shard with anything left, and no others."""
    groups: dict[str, list[Atoms]] = {}
    for shard, attempt, _ in _kept(outcomes):
        groups.setdefault(shard.name, []).append(frame(attempt))
    for name, frames in groups.items():
        text = StringIO()
        write(text, frames, format="extxyz")
        contents = lzma.compress(text.getvalue().encode(), preset=1)
        path = folder / f"{name}.xyz.xz"
        if not path.exists() or path.read_bytes() != contents:
            write_atomically(path, contents)
    for path in folder.glob("*.xyz.xz"):
        if path.name.removesuffix(".xyz.xz") not in groups:
            path.unlink()  # of an earlier recipe in this folder


def _write_json(path: Path, document: dict[str, Any]) -> None:
    write_atomically(path, (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode())


def _index(recipe: Recipe, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    kept: dict[str, list[int]] = {}
    for shard, attempt, _ in _kept(outcomes):
        kept.setdefault(shard.name, []).append(attempt.index)
    return {
        "n_configurations": sum(map(len, kept.values())),
        "reference": {
            "potential": recipe.potential,
            "lattice": recipe.lattice,
            "a0_A": lattice_constant(recipe),
            "sizes": list(recipe.sizes),
            "hessian": recipe.method,
        },
        "shards": [{"name": name, "kept": indices} for name, indices in kept.items()],
    }


def _summary(recipe: Recipe, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Count by family and fate, with statistics of S_f by number of defects."""
    families = []
    for f, family in enumerate(recipe.families):
        fates = Counter(o.fate for o in outcomes if o.shard.family == f)
        families.append({"kind": family.kind, "attempts": family.count, **_fates(fates)})
    groups: dict[str, list[Label]] = {}
    for _, attempt, label in _kept(outcomes):
        groups.setdefault(group_of(attempt), []).append(label)
    everything = [label for _, _, label in _kept(outcomes)]
    return {
        "attempts": len(outcomes),
        **_fates(Counter(o.fate for o in outcomes)),
        "families": families,
        "formation_entropy_kB": _statistics([x.formation_entropy_kB for x in everything]),
        "formation_energy_eV": _statistics([x.formation_energy for x in everything]),
        "groups": {
            name: _statistics([x.formation_entropy_kB for x in labels])
            for name, labels in sorted(groups.items())
        },
    }


def _fates(fates: Counter[str]) -> dict[str, Any]:
    good = ("kept", "duplicate", "standard scan")
    return {
        "kept": fates["kept"],
        "duplicates": fates["duplicate"],
        "in_standard_scan": fates["standard scan"],
        "failures": {k: v for k, v in sorted(fates.items()) if k not in good},
    }


def group_of(attempt: Attempt) -> str:
    """Net number of defects: "V2" for two vacancies, "I3" for three interstitials, or "balanced".

    Parameters
    ----------
    attempt : Attempt
        With atoms.

    Returns
    -------
    str
    """
    if attempt.atoms is None:
        raise ValueError(f"attempt {attempt.index} of family {attempt.family} has no structure")
    net = len(attempt.atoms) - int(attempt.atoms.info["n_sites"])
    if net == 0:
        return "balanced"
    return f"{'I' if net > 0 else 'V'}{abs(net)}"


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


def _histogram(outcomes: Sequence[Outcome], path: Path) -> None:
    """Stacked histogram of S_f by net number of defects; left out where matplotlib is missing."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("thiry: matplotlib is not installed; no histogram drawn", file=sys.stderr)
        return
    groups: dict[str, list[float]] = {}
    for _, attempt, label in _kept(outcomes):
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
