"""Fit a potential: from files of labelled structures to a model file.

    from training import fit
    fit("data/*.xyz.xz", "Mo.thiry")

Without a test set a tenth of the structures is held out: the last ones of every group, since
neighbours in a trajectory resemble each other.
"""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ase import Atoms
from threadpoolctl import threadpool_limits

from thiry_calc.descriptors import ZBL, Descriptor
from thiry_calc.linear.files import check_folder
from thiry_calc.potential import TARGETS, Potential
from training.dataset import Dataset, Structure
from training.energy_fit import Fit, fit_energy
from training.entropy_fit import EntropyFit, fit_entropy, with_entropies
from training.evaluate import Evaluation, evaluate, listed
from training.executors import make_executor
from training.fit_checks import check_cutoffs, check_test_elements
from training.fit_config import check_options
from training.fit_report import write_report
from training.free_atoms import E0
from training.ground_state import assembled, chosen_crystal
from training.presets import candidates, nearest_distance
from training.rows import GroupWeight
from training.sets import leaks, train_and_test
from training.weighing import ENERGY_FACTORS, STRESS_FACTORS

# Radii of the repulsion of nuclei, in median distances of nearest neighbours. Where it reaches the
# distances of the data it must be made up for: with (0.45, 0.9) forces of copper err ten times
# more.
CORE = (0.35, 0.7)


@dataclass(frozen=True, eq=False, repr=False)
class Fitted:
    """A fitted potential and its errors.

    Attributes
    ----------
    potential : Potential
    energy : Fit or None
        How its energy came about.
    entropy : EntropyFit or None
        Likewise.
    train, test : Evaluation
        Errors on the structures fitted, and on those not.
    leaked : int
        Structures of the test set that are copies of fitted ones, up to symmetry.
    without_leaks : Evaluation or None
        Errors on the others, where there are leaks.
    """

    potential: Potential
    energy: Fit | None
    entropy: EntropyFit | None
    train: Evaluation
    test: Evaluation
    leaked: int
    without_leaks: Evaluation | None

    def __repr__(self) -> str:
        """Show the potential, what was tried, and the errors of the test set."""
        tried = [str(one) for one in (self.energy, self.entropy) if one is not None]
        parts = ["\n".join([str(self.potential), *tried])]
        largest = [f"  {title}: {listed(errors)}" for title, errors in self.train.largest().items()]
        parts.append("\n".join(["largest errors of fitted structures:", *largest]))
        if self.test.compared:
            parts.append(f"test:\n{self.test}")
        if self.leaked:
            parts.append(f"{self.leaked} test structures are copies of fitted ones, up to symmetry")
        return "\n\n".join(parts)


def fit(
    train: str | Path | Sequence[str | Path] | Sequence[Atoms],
    model: str | Path | None = None,
    *,
    test: str | Path | Sequence[str | Path] | Sequence[Atoms] = (),
    targets: Sequence[str] = ("energy",),
    preset: str = "accurate",
    descriptors: Sequence[Descriptor] = (),
    r_cut: float | None = None,
    n_functions: int | None = None,
    e0: E0 = None,
    zbl: bool | tuple[float, float] = False,
    crystal: Mapping[str, Any] | None = None,
    weights: Mapping[str, float] | None = None,
    groups: Mapping[str, Mapping[str, float]] | None = None,
    keys: Mapping[str, str] | None = None,
    train_select: Mapping[str, Any] | None = None,
    test_select: Mapping[str, Any] | None = None,
    folder: str | Path = ".",
    report: str | Path | None = None,
    executor: Executor | None = None,
    seed: int = 0,
) -> Fitted:
    """Fit energies, forces and stresses, or formation entropies, or all of them.

    Parameters
    ----------
    train : str, Path, or sequence of these or of Atoms
        Files, patterns, or structures with labels.
    model : str or Path, optional
        File to write.
    test : likewise
        Structures to test with.
    targets : sequence of {"energy", "entropy"}
    preset : {"fast", "balanced", "accurate"}
        Unless descriptors are given.
    descriptors : sequence of Descriptor
        To choose from by cross-validation.
    r_cut : float, optional
        Cutoff of the preset, Å; chosen by cross-validation otherwise.
    n_functions : int, optional
        Only so many functions, the most useful of the energy (`training.sparse`): a faster model.
    e0 : mapping of str to float, "fit" or "isolated", optional
        Reference energies, eV, see `training.free_atoms.free_atom_energies`.
    zbl : bool or (float, float)
        Repulsion of nuclei beside the learned part, for collisions; radii in Å between which it
        goes to zero, 0.35 and 0.7 nearest distances otherwise.
    crystal : mapping, optional
        "lattice" ("bcc" or "fcc") and "a0" (Å), from which entropies are counted; of an energy that
        is fitted too, by default.
    weights : mapping of str to float, optional
        "energy" and "stress", beside forces of 1: chosen by cross-validation otherwise. That of
        "entropy" changes nothing: entropies have coefficients of their own.
    groups : mapping of str to mapping of str to float, optional
        Factors of "energy", "force", "stress" and "entropy" for groups of structures.
    keys : mapping of str to str, optional
        Names of labels in the files.
    train_select, test_select : mapping, optional
        Values of ``info`` that structures must have. Without test files, `test_select` chooses
        among the train files.
    folder : str or Path
        What relative patterns are relative to.
    report : str or Path, optional
        Folder for ``report.html`` and ``report.json`` (`training.fit_report`).
    executor : Executor, optional
        Makes the rows; this process otherwise.
    seed : int
        Of the folds.

    Returns
    -------
    Fitted

    Raises
    ------
    FileNotFoundError, ValueError
        Bad input, by file and frame.
    """
    targets = [targets] if isinstance(targets, str) else targets
    if not targets or set(targets) - set(TARGETS):
        raise ValueError(f"targets are {list(targets)}; expected some of {', '.join(TARGETS)}")
    check_options(r_cut=r_cut, n_functions=n_functions, e0=e0, zbl=zbl, crystal=crystal)
    check_options(weights=weights, groups=groups, keys=keys)
    energy_and_stress = _factors(weights or {})
    if model is not None:
        check_folder(model)
    if report is not None:
        _check_report(Path(report))
    fitted, tested = train_and_test(train, test, keys, train_select, test_select, folder)
    elements = Dataset(fitted, {}).elements
    check_test_elements(tested, elements)
    tried = list(descriptors) or candidates(preset, [one.atoms for one in fitted], elements, r_cut)
    check_cutoffs(tried, fitted)
    by_group = {
        name: GroupWeight(*(w.get(k, 1.0) for k in ("energy", "force", "stress", "entropy")))
        for name, w in (groups or {}).items()
    }
    _check_groups(by_group, fitted)
    if "entropy" in targets:
        with_entropies(fitted, by_group)
    name = "potential" if model is None else Path(model).name.split(".")[0]
    rows = _rows_folder(model)
    energy = entropy = None
    chosen = nullcontext(executor) if executor is not None else make_executor(0)
    with chosen as working, threadpool_limits(1):  # the same numbers whoever works
        if "energy" in targets:
            core = _core(zbl, [one.atoms for one in fitted])
            factors = *energy_and_stress, core, n_functions
            energy = fit_energy(fitted, tried, e0, by_group, working, rows, name, seed, *factors)
        learned = None if energy is None else energy.potential
        bulk, why_not = chosen_crystal(crystal, elements, learned)
        if "entropy" in targets:
            if bulk is None:
                raise ValueError(f"entropies count from a crystal, and there is none: {why_not}")
            entropy = fit_entropy(fitted, tried, bulk, by_group, working, rows, seed)
    potential, unstable = assembled(name, elements, learned, entropy, bulk)
    copied = leaks(fitted, tested, elements)
    kept = [one for one, copy in zip(tested, copied, strict=True) if not copy]
    result = Fitted(
        potential,
        energy,
        entropy,
        evaluate(potential, fitted),
        evaluate(potential, tested),
        int(copied.sum()),
        evaluate(potential, kept) if kept and copied.any() else None,
    )
    result = replace(result, potential=_with_card(result, why_not or unstable))
    if model is not None:
        result.potential.save(model)
    if report is not None:
        evaluations = {"training": result.train, "test": result.test}
        if result.without_leaks is not None:
            evaluations["test without copies"] = result.without_leaks
        sets = {"training": fitted, "test": tested}
        write_report(report, result.potential, evaluations, sets, result.energy)
    shutil.rmtree(rows, ignore_errors=True)
    return result


def _core(zbl: bool | tuple[float, float], structures: Sequence[Atoms]) -> ZBL | None:
    """Repulsion of nuclei, if it is wanted."""
    if zbl is False:
        return None
    if zbl is True:
        unit = nearest_distance(structures)
        return ZBL(round(CORE[0] * unit, 2), round(CORE[1] * unit, 2))
    return ZBL(*zbl)


def _rows_folder(model: str | Path | None) -> Path:
    """Where rows are kept until the model is written: beside it, so that a killed fit resumes."""
    if model is None:
        return Path(tempfile.mkdtemp(prefix="thiry_rows_"))
    return Path(model).with_name(f".{Path(model).name}.rows")


def _factors(weights: Mapping[str, float]) -> tuple[Sequence[float], Sequence[float]]:
    """Factors of energies to try, and of stresses in units of these."""
    force = weights.get("force", 1.0)
    for name in ("energy", "force"):
        if weights.get(name, 1.0) <= 0:
            raise ValueError(f"the weight of {name} is 0; give one above 0, however small")
    energies: Sequence[float] = ENERGY_FACTORS
    stresses: Sequence[float] = STRESS_FACTORS
    if "energy" in weights:
        energies = (weights["energy"] / force,)
    if "stress" in weights:
        if len(energies) > 1:
            raise ValueError("a weight of stress needs one of energy beside it; give both")
        stresses = (weights["stress"] / weights["energy"],)
    return energies, stresses


def _check_report(folder: Path) -> None:
    """Refuse a folder that could not be made or written in."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"cannot write the report in {str(folder)!r}: it is a file; name a folder")
    check_folder(folder / "report.html" if folder.is_dir() else folder)


def _check_groups(groups: Mapping[str, GroupWeight], structures: Sequence[Structure]) -> None:
    known = {one.group for one in structures}
    for name in groups:
        if name not in known:
            raise ValueError(
                f"weights are given for the group {name!r}, which has no structure; groups are "
                f"{', '.join(sorted(known))}"
            )


def _with_card(result: Fitted, no_crystal: str) -> Potential:
    """Potential with what a reader should know of it."""
    card: dict[str, Any] = {"test_structures_copied_from_training": result.leaked}
    if (energy := result.energy) is not None:
        card |= {
            "training_structures": energy.n_structures,
            "copies_left_out": energy.n_copies,
            "reference_energies": energy.reference,
            "weights": dict(energy.best.factors),
            "penalties": energy.best.strength,
            "effective_parameters": round(energy.effective_parameters, 1),
            "rank": energy.rank,
            "condition_number": float(f"{energy.condition:.3g}"),
        }
    if (entropy := result.entropy) is not None:
        card["entropy_training_structures"] = entropy.n_structures
    if no_crystal:
        card["crystal"] = no_crystal
    card |= {"train": result.train.summary(), "test": result.test.summary()}
    return replace(result.potential, info=card)
