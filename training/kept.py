"""Arrays that are made once and kept in a file."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thiry_calc.files import write_atomically


def kept_arrays(
    path: Path, make: Callable[[], Mapping[str, NDArray[Any]]]
) -> dict[str, NDArray[Any]]:
    """Read arrays from a file, or make them and write it.

    Parameters
    ----------
    path : Path
        Of an .npz file; its name tells all that the arrays depend on. Its folder is made.
    make : callable

    Returns
    -------
    dict of str to ndarray
    """
    if path.exists():
        with np.load(path, allow_pickle=False) as data:
            return {key: data[key] for key in data.files}
    arrays = dict(make())
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, buffer.getvalue())
    return arrays
