"""Databases of defects with exact formation entropies: shards, then one pass that sorts them out.

    attempts (parallel, in any order) → shards → final pass (in the order of the recipe) → database

The final pass drops the failures, everything that repeats an earlier configuration up to symmetry,
and everything that is a relaxed structure of the standard scan (`thiry_calc.defects.STANDARD`),
which a model may then be judged on. It writes an extended xyz file per shard that has any left, an
index, a summary and a histogram. The result does not depend on the number of workers, nor on how
often the run was interrupted.
"""

import sys
from collections.abc import Sequence
from concurrent.futures import Executor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from thiry_calc.defects import STANDARD, build
from thiry_calc.references import load_reference
from thiry_calc.symmetry import fingerprint, first_equals
from training.database import INDEX, RAW, Outcome, index, load_database, write_frames, write_json
from training.recipe import Recipe
from training.sampling import Attempt, bulk_of, generator, lattice_constant, settle
from training.shards import Shard, digest, make_shard, plan, read_shard, write_shard
from training.summary import histogram, summarize

__all__ = ["generate", "load_database"]


def generate(
    recipe: Recipe,
    executor: Executor,
    folder: Path | None = None,
    as_it_stands: bool = False,
    attempts: int | None = None,
) -> dict[str, Any]:
    """Make a database, or complete one.

    Parameters
    ----------
    recipe : Recipe
    executor : concurrent.futures.Executor
        Does the shards.
    folder : Path, optional
        Instead of the recipe's.
    as_it_stands : bool
        Make no more attempts: sort out the shards that are there. A later run goes on.
    attempts : int, optional
        Stop after the shards that hold the first so many, a fair sample of all families: the same
        database whenever it is made.

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
    folder = Path(recipe.folder) if folder is None else folder
    folder = folder.expanduser().resolve()  # for workers whose working directory is another
    raw = folder / RAW
    bulk_of(recipe, recipe.sizes[0])  # fails here, in one sentence, rather than in every worker
    raw.mkdir(parents=True, exist_ok=True)
    shards = plan(recipe)
    if attempts is not None:
        shards = _first(shards, recipe, attempts)
    if as_it_stands:
        shards = [s for s in shards if (raw / f"{s.name}.npz").exists()]
    _make_missing(recipe, executor, shards, raw)
    known = _standard_scan(recipe, executor, raw)
    outcomes = _sort_out(shards, raw, known)
    summary = summarize(recipe, outcomes)
    write_frames(outcomes, folder)
    write_json(folder / "summary.json", summary)
    histogram(outcomes, folder / "histogram.png")
    write_json(folder / INDEX, index(recipe, outcomes))  # last: it says that all is there
    return summary


def _make_missing(recipe: Recipe, executor: Executor, shards: list[Shard], raw: Path) -> None:
    paths = {s.name: raw / f"{s.name}.npz" for s in shards}
    missing = [s for s in shards if not paths[s.name].exists()]
    missing = _in_order(missing, recipe)
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


def _in_order(shards: list[Shard], recipe: Recipe) -> list[Shard]:
    """All families advance alike, so that a run that is cut short leaves a fair sample."""
    return sorted(shards, key=lambda s: s.stop / recipe.families[s.family].count)


def _first(shards: list[Shard], recipe: Recipe, attempts: int) -> list[Shard]:
    """Shards of the first so many attempts, in the order of the recipe."""
    ordered = _in_order(shards, recipe)
    made = np.cumsum([s.stop - s.start for s in ordered])
    names = {s.name for s in ordered[: int(np.searchsorted(made, attempts)) + 1]}
    return [s for s in shards if s.name in names]


def _standard_scan(recipe: Recipe, executor: Executor, raw: Path) -> list[Attempt]:
    """Relaxed minima of the standard scan in every size; kept in a shard of their own."""
    path = raw / f"standard-{digest(recipe, None)}.npz"
    if not path.exists():
        tasks = [(size, name) for size in dict.fromkeys(recipe.sizes) for name in STANDARD]
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
    labelled, failure = settle(atoms, calc, bulk, recipe.hessian, (), rng)
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
