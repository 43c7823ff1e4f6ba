"""Strict reading of TOML configuration files.

A schema is a dictionary from key to `Key`: a checker and a default. Unknown keys are errors that
name the nearest known one; values of the wrong type, out of range or in impossible units are errors
of one sentence that say where, what was given and what was expected.
"""

import math
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thiry_calc.linear.suggestion import suggestion

Checker = Callable[[Any, str], Any]

REQUIRED: Any = object()
"""Default of a key that must be given."""


@dataclass(frozen=True)
class Key:
    """A key of a table.

    Attributes
    ----------
    check : callable
        (value, where) → the value to use; raises ValueError.
    default : object
        When the key is absent; `REQUIRED` makes that an error.
    """

    check: Checker
    default: Any = REQUIRED


def read_toml(path: str | Path) -> dict[str, Any]:
    """Read a TOML file.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    dict

    Raises
    ------
    FileNotFoundError
        No such file.
    ValueError
        Not valid TOML; the message has the line.
    """
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{str(path)!r} is not valid TOML: {error}") from error


def check_table(table: Any, schema: Mapping[str, Key], where: str) -> dict[str, Any]:
    """Check a table against a schema and fill in the defaults.

    Parameters
    ----------
    table : dict
        As read.
    schema : mapping of str to Key
    where : str
        Name of the table in messages, for instance "[reference]".

    Returns
    -------
    dict
        All keys of the schema, in its order.

    Raises
    ------
    ValueError
        Not a table; an unknown, missing or wrong key.
    """
    if not isinstance(table, Mapping):
        raise ValueError(f"{where} is {table!r}; expected a table of keys")
    for key in table:
        if key not in schema:
            hint = suggestion(key, schema, "known keys are")
            raise ValueError(f"unknown key {key!r} in {where}; {hint}")
    result = {}
    for name, key in schema.items():
        if name in table:
            result[name] = key.check(table[name], f"{name!r} in {where}")
        elif key.default is REQUIRED:
            raise ValueError(f"{where} lacks the key {name!r}; add it")
        else:
            result[name] = key.default
    return result


def integer(minimum: int, maximum: float = math.inf) -> Checker:
    """Checker of an integer in a range."""

    def check(value: Any, where: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"{where} is {value!r}; expected an integer")
        return int(_ranged(value, where, minimum, maximum, ""))

    return check


def real(minimum: float, maximum: float = math.inf, unit: str = "") -> Checker:
    """Checker of a finite number in a range, in the given unit."""

    def check(value: Any, where: str) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{where} is {value!r}; expected a number{unit and ' in ' + unit}")
        return float(_ranged(value, where, minimum, maximum, unit))

    return check


def _ranged(value: float, where: str, minimum: float, maximum: float, unit: str) -> float:
    if not minimum <= value <= maximum or not math.isfinite(value):
        upper = f" to {maximum:g}" if math.isfinite(maximum) else " or more"
        raise ValueError(f"{where} is {value}; expected {minimum:g}{upper}{unit and ' ' + unit}")
    return value


def text(*choices: str) -> Checker:
    """Checker of a string, one of `choices` when there are any."""

    def check(value: Any, where: str) -> str:
        if not isinstance(value, str) or not value:
            raise ValueError(f"{where} is {value!r}; expected a string")
        if choices and value not in choices:
            raise ValueError(
                f"{where} is {value!r}; " + suggestion(value, choices, "known keys are")
            )
        return value

    return check


def listing(item: Checker, minimum: int = 1) -> Checker:
    """Checker of a list of at least `minimum` items."""

    def check(value: Any, where: str) -> tuple[Any, ...]:
        if not isinstance(value, list) or len(value) < minimum:
            raise ValueError(f"{where} is {value!r}; expected a list of at least {minimum}")
        return tuple(item(v, f"item {n + 1} of {where}") for n, v in enumerate(value))

    return check


def span(item: Checker) -> Checker:
    """Checker of a range [lowest, highest]."""

    def check(value: Any, where: str) -> tuple[Any, Any]:
        if not isinstance(value, list) or len(value) != 2:
            raise ValueError(f"{where} is {value!r}; expected [lowest, highest]")
        low, high = (item(v, where) for v in value)
        if low > high:
            raise ValueError(f"{where} is {value!r}; expected the lower number first")
        return low, high

    return check
