"""Pooled codes of a set of images, kept in a file of bytes.

Codes between 0 and 1 are rounded to 1/255, a quarter of the memory of single precision, and kept
as one memory-mapped array: fits that share them (other penalties, other heads) encode once, and
encoding that was interrupted goes on where it stopped. Processes that encode the same images at
the same time write the same bytes to the same file.
"""

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from thiry_calc.linear.files import write_atomically
from vision.data import Images
from vision.knn import PatchCode
from vision.pooling import Cells

__all__ = ["cached_codes", "code_key"]

_BLOCK = 512  # images between two records of progress


def code_key(images: Images, code: PatchCode, cells: Cells) -> str:
    """Name everything that codes depend on.

    Parameters
    ----------
    images : (N, H, W, C) uint8 array
    code : PatchCode
    cells : Cells

    Returns
    -------
    str
        Hexadecimal digits.
    """
    words = code.dictionary
    digest = hashlib.sha256(repr((images.shape, code.k, code.temperature, code.code)).encode())
    arrays = (
        images, words.kernel, words.bias, words.offset, words.scale, cells.starts, cells.stops
    )  # fmt: skip
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:32]


def cached_codes(
    folder: str | Path,
    key: str,
    shape: tuple[int, ...],
    encode: Callable[[slice], NDArray[np.float32]],
    progress: bool = False,
) -> NDArray[np.uint8]:
    """Open the codes kept under a key, encoding what is missing.

    Parameters
    ----------
    folder : str or Path
        Made when there is none.
    key : str
    shape : (N, ...)
        Of all codes.
    encode : callable
        Gives the codes, 0 to 1, of a slice of the images.
    progress : bool
        Show a bar on stderr.

    Returns
    -------
    uint8 array of that shape
        Mapped from the file, read-only; 255 stands for 1.

    Raises
    ------
    ValueError
        A file of another size.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path, record = folder / f"{key}.codes", folder / f"{key}.done"
    if not path.exists():
        record.unlink(missing_ok=True)
        _create(path, shape)
    if path.stat().st_size != np.prod(shape):
        raise ValueError(
            f"{str(path)!r} has {path.stat().st_size} bytes instead of {np.prod(shape)}; delete it"
        )
    done = _recorded(record)
    if done < shape[0]:
        codes = np.memmap(path, np.uint8, "r+", shape=shape)
        with tqdm(total=shape[0], initial=done, unit="image", disable=not progress) as bar:
            for start in range(done, shape[0], _BLOCK):
                block = slice(start, min(start + _BLOCK, shape[0]))
                codes[block] = np.rint(255 * encode(block))
                codes.flush()
                write_atomically(record, str(block.stop))
                bar.update(block.stop - start)
    return np.memmap(path, np.uint8, "r", shape=shape)


def _create(path: Path, shape: tuple[int, ...]) -> None:
    """Make a file of zeros, unless another process does so first."""
    with NamedTemporaryFile(dir=path.parent, prefix=".") as partial:
        partial.truncate(int(np.prod(shape)))
        with suppress(FileExistsError):
            os.link(partial.name, path)


def _recorded(record: Path) -> int:
    """Images that are done; none where the record is missing or unreadable."""
    text = record.read_text() if record.exists() else ""
    return int(text) if text.isdecimal() else 0
