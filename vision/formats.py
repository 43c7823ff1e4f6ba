"""Readers of image files: npz, CIFAR-10's binary batches, idx, folders of pictures.

Each returns raw arrays (images, labels or None, class names); `vision.data` checks them.
Nothing is unpickled: CIFAR-10's Python batches are refused by name. Nothing is unpacked that
would take more than the machine's memory. The layouts:

    CIFAR-10   records of 1 label byte and 3072 pixels: red, green, blue planes of 32 x 32
               (Krizhevsky, Learning multiple layers of features from tiny images (2009))
    idx        big-endian magic 0, 0, type, number of axes; a 4-byte length per axis; data
               (LeCun, The MNIST database); type 0x08 is uint8
"""

import gzip
import math
import os
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Raw = tuple[Array, Array | None, tuple[str, ...]]

_RECORD = 1 + 3 * 32 * 32
_PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"}
# what zipfile, zlib and numpy raise on damaged bytes
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError, OSError, OverflowError,
    TypeError, AttributeError, MemoryError, RuntimeError,
)  # fmt: skip
_KNOWN = (
    "an .npz with arrays 'images' and 'labels', CIFAR-10's *.bin, an *-idx3-ubyte[.gz], a picture, "
    "or a folder with one folder of pictures per class"
)


def read(path: Path) -> Raw:
    """Read by what the path is.

    Parameters
    ----------
    path : Path
        Exists.

    Returns
    -------
    images, labels, class_names

    Raises
    ------
    ValueError
        Unknown layout or damaged content.
    """
    return _reader(path)(path)


def _reader(path: Path) -> Callable[[Path], Raw]:
    name = path.name.lower()
    if path.is_dir():
        return read_cifar if any(path.glob("*.bin")) else read_folder
    if name.endswith(".npz"):
        return read_npz
    if name.endswith(".bin"):
        return read_cifar
    if "idx3-ubyte" in name:
        return read_idx_pair
    if path.suffix.lower() in _PICTURES:
        return read_picture
    if name.endswith((".pkl", ".pickle")) or name.startswith(("data_batch", "test_batch")):
        raise ValueError(
            f"{str(path)!r} looks like a Python pickle, which could run any code and is never "
            "opened; fetch CIFAR-10's binary version"
        )
    raise ValueError(f"{str(path)!r} is of no known layout; give {_KNOWN}")


def read_npz(path: Path) -> Raw:
    """Read `images`, and where present `labels` and `class_names`."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = archive.files
            _must_fit(sum(member.file_size for member in archive.zip.infolist()))
            arrays = {k: archive[k] for k in ("images", "labels", "class_names") if k in names}
    except _DAMAGE as error:
        raise ValueError(
            f"{str(path)!r} is damaged, too large or holds Python objects ({error}); write it "
            "again with numpy.savez"
        ) from error
    if "images" not in arrays:
        raise ValueError(
            f"{str(path)!r} holds {', '.join(names) or 'nothing'}; expected arrays 'images' and "
            "'labels' (numpy.savez(file, images=..., labels=...))"
        )
    return (
        arrays["images"],
        arrays.get("labels"),
        tuple(str(n) for n in np.atleast_1d(arrays.get("class_names", ()))),
    )


def _must_fit(size: int) -> None:
    """Refuse what would fill the memory, where the system says how much there is."""
    known = hasattr(os, "sysconf")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if known else math.inf
    if size > memory:
        raise ValueError(
            f"it unpacks to {size / 2**30:.1f} GiB, more than the {memory / 2**30:.1f} GiB of "
            "this machine's memory"
        )


def read_cifar(path: Path) -> Raw:
    """Read one binary batch of CIFAR-10, or all training batches of a folder.

    A folder's `test_batch.bin` is left out: name it to read it.
    """
    folder = path if path.is_dir() else path.parent
    files = [path] if path.is_file() else _training_batches(path)
    images, labels = [], []
    for file in files:
        data = np.fromfile(file, np.uint8)
        if len(data) == 0 or len(data) % _RECORD:
            raise ValueError(
                f"{str(file)!r} has {len(data)} bytes, not a whole number of CIFAR-10's records "
                f"of {_RECORD}; fetch it again"
            )
        records = data.reshape(-1, _RECORD)
        if records[:, 0].max() > 9:
            raise ValueError(
                f"{str(file)!r} has a label {records[:, 0].max()} above 9: it is not a binary "
                "batch of CIFAR-10; CIFAR-100 must be converted to .npz"
            )
        labels.append(records[:, 0].astype(np.int64))
        images.append(records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    meta = folder / "batches.meta.txt"
    names = meta.read_text().split() if meta.is_file() else []
    return np.concatenate(images), np.concatenate(labels), tuple(names)


def _training_batches(folder: Path) -> list[Path]:
    batches = sorted(folder.glob("data_batch_*.bin"))
    if not batches:
        raise ValueError(f"{str(folder)!r} has no data_batch_*.bin of CIFAR-10; name a file of it")
    return batches


def read_idx(path: Path) -> Array:
    """Read one idx file of bytes, compressed or not."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            magic = stream.read(4)
            if len(magic) < 4 or magic[:3] != b"\0\0\x08":
                raise ValueError("its first bytes are not those of an idx file of bytes")
            shape = [int(n) for n in np.frombuffer(stream.read(4 * magic[3]), ">u4", magic[3])]
            size = math.prod(shape)
            _must_fit(size)
            return np.frombuffer(stream.read(size), np.uint8, size).reshape(shape).copy()
    except _DAMAGE as error:
        raise ValueError(
            f"{str(path)!r} is damaged or too large ({error}); fetch it again"
        ) from error


def read_idx_pair(path: Path) -> Raw:
    """Read images, and the labels whose file lies beside under MNIST's name."""
    labels = path.with_name(
        path.name.replace("images", "labels").replace("idx3-ubyte", "idx1-ubyte")
    )
    found = read_idx(labels) if labels != path and labels.is_file() else None
    return read_idx(path), found, ()


def read_picture(path: Path) -> Raw:
    """Read one picture, without a label."""
    return _pixels(path)[None], None, ()


def read_folder(path: Path) -> Raw:
    """Read a folder with one folder of pictures per class, or a flat folder without labels."""
    classes = sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
    groups = [_pictures(c) for c in classes] if classes else [_pictures(path)]
    files = [file for group in groups for file in group]
    if not files:
        raise ValueError(f"{str(path)!r} holds no pictures; give {_KNOWN}")
    empty = [c.name for c, group in zip(classes, groups, strict=False) if not group]
    if empty:
        raise ValueError(f"the class folder {empty[0]!r} of {str(path)!r} holds no pictures")
    first = _pixels(files[0])
    images = np.empty((len(files), *first.shape), np.uint8)
    for row, file in enumerate(files):
        pixels = _pixels(file)
        if pixels.shape != first.shape:
            raise ValueError(
                f"{str(file)!r} has shape {pixels.shape} and {files[0].name!r} {first.shape}; "
                "bring all pictures to one size and colour mode"
            )
        images[row] = pixels
    labels = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    return images, labels if classes else None, tuple(c.name for c in classes)


def _pictures(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in _PICTURES)


def _pixels(path: Path) -> Array:
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            if picture.mode.startswith(("I", "F")):
                raise ValueError(
                    f"{str(path)!r} has more than 8 bits a pixel (mode {picture.mode}); save it "
                    "with 8 bits"
                )
            mode = "L" if picture.mode in ("1", "L", "LA") else "RGB"
            return np.array(ImageOps.exif_transpose(picture).convert(mode))
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{str(path)!r} is no picture that pillow reads ({error})") from error
