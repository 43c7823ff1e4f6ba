"""Arrays of model files, which may come from strangers: as expected, or refused."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


def stored(
    arrays: Mapping[str, NDArray[Any]], name: str, shape: tuple[int | None, ...], dtype: DTypeLike
) -> NDArray[Any]:
    """Take one array.

    Parameters
    ----------
    arrays : mapping
    name : str
    shape : tuple of int or None
        None: any length.
    dtype : dtype

    Raises
    ------
    ValueError
        Another shape or type.
    KeyError
        No such array.
    """
    array = arrays[name]
    fits = array.ndim == len(shape) and all(
        b is None or a == b for a, b in zip(array.shape, shape, strict=True)
    )
    if not fits or array.dtype != np.dtype(dtype):
        expected = tuple("any" if n is None else n for n in shape)
        raise ValueError(
            f"{name!r} has shape {array.shape} and type {array.dtype}; expected {expected} and "
            f"{np.dtype(dtype)}"
        )
    return array
