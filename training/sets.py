"""Which structures are fitted, and which are held out to test with."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from training.copies import classes, invariants
from training.dataset import Structure, labelled, read_dataset

HELD_OUT = 0.1


def train_and_test(
    train: Any,
    test: Any,
    keys: Mapping[str, str] | None,
    train_select: Mapping[str, Any] | None,
    test_select: Mapping[str, Any] | None,
    folder: str | Path,
) -> tuple[Sequence[Structure], Sequence[Structure]]:
    """Structures to fit and to test with.

    Parameters
    ----------
    train, test : files, patterns or structures
        Of `training.fitting.fit`.
    keys, train_select, test_select : mapping, optional
    folder : str or Path

    Returns
    -------
    fitted, tested : sequence of Structure
    """

    def read(source: Any, select: Mapping[str, Any] | None) -> Sequence[Structure]:
        if isinstance(source, str | Path):
            source = [source]
        if source and all(isinstance(one, Atoms) for one in source):
            return labelled(source)
        return read_dataset(source, keys, select, folder).structures

    if isinstance(test, Path) or len(test):
        return read(train, train_select), read(test, test_select)
    if test_select:
        return read(train, train_select), read(train, test_select)
    everything = read(train, train_select)
    if len(everything) < 2:
        raise ValueError("one structure cannot be fitted and tested with; give more")
    held = _last_of_groups([one.group for one in everything])
    return (
        [one for one, out in zip(everything, held, strict=True) if not out],
        [one for one, out in zip(everything, held, strict=True) if out],
    )


def _last_of_groups(groups: Sequence[str]) -> NDArray[np.bool_]:
    """Mark the last tenth of every group, and one structure at least in all, shape (n,)."""
    held = np.zeros(len(groups), dtype=bool)
    for name in sorted(set(groups)):
        members = [k for k, group in enumerate(groups) if group == name]
        held[members[len(members) - round(HELD_OUT * len(members)) :]] = True
    if not held.any():
        held[-1] = True
    return held


def leaks(
    fitted: Sequence[Structure], tested: Sequence[Structure], elements: tuple[str, ...]
) -> NDArray[np.bool_]:
    """Tell which test structures are copies of fitted ones, shape (n,).

    Parameters
    ----------
    fitted, tested : sequence of Structure
    elements : tuple of str
        Of the fitted ones.
    """
    n = len(fitted)
    everything = [one.atoms for one in (*fitted, *tested)]
    found = {s for atoms in everything[n:] for s in atoms.symbols}
    number = classes(invariants(everything, tuple(sorted(found | set(elements)))))
    return np.isin(number[n:], number[:n])
