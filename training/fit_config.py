"""The configuration of `thiry fit`: a checked TOML file.

[data]    train, test, train_select, test_select, keys
[model]   preset or [[model.descriptor]], targets, r_cut, n_functions, e0, zbl,
          crystal
[weights] energy, force, stress, entropy, [weights.group.NAME]
[output]  model, report
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thiry_calc.descriptors import Descriptor, make_descriptor
from thiry_calc.potential import TARGETS
from training.config import Checker, Key, check_table, integer, listing, read_toml, real, text
from training.dataset import LABEL_NAMES
from training.presets import PRESETS


def _mapping(item: Checker) -> Checker:
    """Checker of a table of any keys."""

    def check(value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise ValueError(f"{where} is {value!r}; expected a table")
        return {str(key): item(v, f"{key!r} of {where}") for key, v in value.items()}

    return check


def _files(value: Any, where: str) -> Any:
    """Check files or patterns, or a single one."""
    return listing(text())([value] if isinstance(value, str) else value, where)


def _value(value: Any, where: str) -> Any:
    """Check a value, or a list of values, that ``info`` may have."""
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(v, str | int | float | bool) for v in values):
        raise ValueError(f"{where} is {value!r}; expected a string or number, or a list of these")
    return value


def _e0(value: Any, where: str) -> Any:
    if isinstance(value, str):
        return text("fit", "isolated")(value, where)
    return _mapping(real(-1e7, 1e7, "eV"))(value, where)


def _zbl(value: Any, where: str) -> bool | tuple[float, float]:
    if isinstance(value, bool):
        return value
    value = list(value) if isinstance(value, tuple) else value
    radii = listing(real(0.0, 30.0, "Å"))(value, where)
    if len(radii) != 2 or not 0 < radii[0] < radii[1]:
        raise ValueError(f"{where} is {value!r}; expected true, false, or two radii in Å")
    return radii[0], radii[1]


def _crystal(value: Any, where: str) -> dict[str, Any]:
    schema = {"lattice": Key(text("bcc", "fcc")), "a0": Key(real(1.0, 10.0, "Å"))}
    return check_table(value, schema, where)


def _keys(value: Any, where: str) -> dict[str, str]:
    found = check_table(value, LABEL_NAMES, where)
    return {quantity: name for quantity, name in found.items() if name is not None}


def _descriptor(value: Any, where: str) -> Descriptor:
    if not isinstance(value, Mapping):
        raise ValueError(f"{where} is {value!r}; expected a table with a type")
    options = {k: tuple(v) if isinstance(v, list) else v for k, v in value.items()}
    try:
        return make_descriptor(options)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


_DATA = {
    "train": Key(_files),
    "test": Key(_files, ()),
    "train_select": Key(_mapping(_value), {}),
    "test_select": Key(_mapping(_value), {}),
    "keys": Key(_keys, {}),
}
_MODEL = {
    "preset": Key(text(*PRESETS), None),
    "descriptor": Key(listing(_descriptor), ()),
    "r_cut": Key(real(1.0, 30.0, "Å"), None),
    "n_functions": Key(integer(1, 10**6), None),
    "e0": Key(_e0, None),
    "zbl": Key(_zbl, False),
    "targets": Key(listing(text(*TARGETS)), ("energy",)),
    "crystal": Key(_crystal, None),
}
_FACTOR = real(0.0)
_GROUP = {name: Key(_FACTOR, 1.0) for name in ("energy", "force", "stress", "entropy")}


def _group(value: Any, where: str) -> dict[str, Any]:
    return check_table(value, _GROUP, f"[weights.group] {where}")


_FACTORS = {name: Key(_FACTOR, None) for name in _GROUP}
_WEIGHTS = {**_FACTORS, "group": Key(_mapping(_group), {})}
_OUTPUT = {"model": Key(text()), "report": Key(text(), None)}


@dataclass(frozen=True)
class FitConfig:
    """What to fit.

    Attributes
    ----------
    train, test : tuple of str
        Files or patterns, relative to `folder`.
    train_select, test_select : mapping
        Values of ``info`` that structures must have.
    keys : mapping of str to str
        Names of labels.
    preset : str or None
        None where descriptors are given.
    descriptors : tuple of Descriptor
    r_cut : float or None
        Å.
    n_functions : int or None
    e0 : mapping of str to float, "fit", "isolated" or None
    zbl : bool or (float, float)
    targets : tuple of str
        "energy", "entropy".
    crystal : mapping or None
        Its "lattice" and "a0" (Å).
    weights : mapping of str to float
        Of "energy", "force", "stress", "entropy"; those not named are chosen by validation.
    groups : mapping of str to mapping of str to float
        Factors of these weights, by group.
    model : Path
        Where to write, relative to the current directory.
    report : Path or None
        Folder, likewise.
    folder : Path
        Of the configuration.
    """

    train: tuple[str, ...]
    test: tuple[str, ...]
    train_select: Mapping[str, Any]
    test_select: Mapping[str, Any]
    keys: Mapping[str, str]
    preset: str | None
    descriptors: tuple[Descriptor, ...]
    r_cut: float | None
    n_functions: int | None
    e0: Any
    zbl: bool | tuple[float, float]
    targets: tuple[str, ...]
    crystal: Mapping[str, Any] | None
    weights: Mapping[str, float]
    groups: Mapping[str, Mapping[str, float]]
    model: Path
    report: Path | None
    folder: Path


def read_fit_config(path: str | Path) -> FitConfig:
    """Read and check a configuration.

    Parameters
    ----------
    path : str or Path
        TOML file.

    Returns
    -------
    FitConfig

    Raises
    ------
    FileNotFoundError
        No such file.
    ValueError
        Anything that is wrong with it, in one sentence.
    """

    def table(schema: dict[str, Key], name: str) -> Checker:
        return lambda value, _: check_table(value, schema, f"[{name}]")

    top = check_table(
        read_toml(path),
        {
            "data": Key(table(_DATA, "data")),
            "model": Key(table(_MODEL, "model"), check_table({}, _MODEL, "[model]")),
            "weights": Key(table(_WEIGHTS, "weights"), check_table({}, _WEIGHTS, "[weights]")),
            "output": Key(table(_OUTPUT, "output")),
        },
        str(path),
    )
    data, model, weights, output = (top[k] for k in ("data", "model", "weights", "output"))
    if model["preset"] and model["descriptor"]:
        raise ValueError("[model] has a preset and descriptors; give one or the other")
    given = model.pop("descriptor")
    preset = model.pop("preset") or (None if given else "accurate")
    groups = weights.pop("group")
    return FitConfig(
        **data,
        **model,
        preset=preset,
        descriptors=given,
        weights={name: value for name, value in weights.items() if value is not None},
        groups=groups,
        model=Path(output["model"]),
        report=None if output["report"] is None else Path(output["report"]),
        folder=Path(path).parent,
    )


def check_options(**options: Any) -> None:
    """Check what a program asks for as what a file does.

    Parameters
    ----------
    **options
        Some of `training.fitting.fit`; None where nothing is asked for.

    Raises
    ------
    ValueError
        As of `read_fit_config`.
    """
    schema = {
        **{name: _MODEL[name] for name in ("r_cut", "n_functions", "e0", "zbl", "crystal")},
        "weights": Key(lambda value, where: check_table(value, _FACTORS, where)),
        "groups": _WEIGHTS["group"],
        "keys": _DATA["keys"],
    }
    given = {name: value for name, value in options.items() if value is not None}
    check_table(given, {name: schema[name] for name in given}, "the options of a fit")
