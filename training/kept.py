"""Arrays that are made once and kept in a file."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thiry_calc.linear.files import write_atomically


def keep_arrays(path: Path, make: Callable[[], Mapping[str, NDArray[Any]]]) -> None:
    """Make arrays and write them to a file, unless it is there.

    Parameters
    ----------
    path : Path
        Of an .npz file; its name tells all that the arrays depend on. Its folder is made.
    make : callable
    """
    if path.exists():
        return
    buffer = io.BytesIO()
    np.savez(buffer, **dict(make()))  # type: ignore[arg-type]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, buffer.getvalue())


def loaded_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Arrays of such a file."""
    with np.load(path, allow_pickle=False) as data:
        return {key: data[key] for key in data.files}


def kept_arrays(
    path: Path, make: Callable[[], Mapping[str, NDArray[Any]]]
) -> dict[str, NDArray[Any]]:
    """Arrays of a file, made if it is not there."""
    keep_arrays(path, make)
    return loaded_arrays(path)
