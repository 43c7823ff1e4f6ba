"""Image sets: uint8 images with labels, read from plain files whose content is checked.

`load_images` knows four layouts, told apart by what the path is, and never unpickles:

    FILE.npz                     arrays `images` (N, H, W[, C]) uint8 and `labels` (N,)
    FILE.bin, folder of *.bin    CIFAR-10's binary batches
    *-idx3-ubyte[.gz]            MNIST's idx files, labels beside them
    folder of folders, image     pictures that pillow reads, one folder per class

An `ImageSet` knows the SHA-256 of its pixels and labels, which models keep as provenance.
"""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thiry_calc.linear.files import replacing
from vision import formats

__all__ = ["ImageSet", "as_images", "load_images", "save_npz", "split"]

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images of one size and, where known, their classes.

    Attributes
    ----------
    images : (N, H, W, C) uint8 array
        C is 1 (grey) or 3 (red, green, blue).
    labels : (N,) int64 array or None
    class_names : tuple of str
        Name of label i at i; empty when unknown.
    """

    images: Images
    labels: Labels | None = None
    class_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        """N."""
        return len(self.images)

    def __getitem__(self, rows: Any) -> Self:
        """Take some of the images, in the order given."""
        labels = None if self.labels is None else self.labels[rows]
        return replace(self, images=self.images[rows], labels=labels)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 over shape, pixels and labels: equal sets, whatever file they came from."""
        digest = hashlib.sha256(repr(self.images.shape).encode())
        digest.update(np.ascontiguousarray(self.images).data)
        if self.labels is not None:
            digest.update(np.ascontiguousarray(self.labels, dtype="<i8").data)
        return digest.hexdigest()

    def name_of(self, label: int) -> str:
        """Name of a class, or its number."""
        return self.class_names[label] if label < len(self.class_names) else str(label)

    def __str__(self) -> str:
        """Say what this is."""
        n, height, width, channels = self.images.shape
        colour = "grey" if channels == 1 else "colour"
        classes = "no labels" if self.labels is None else f"{len(np.unique(self.labels))} classes"
        return f"{n} {colour} images of {height} x {width} pixels, {classes}"


def load_images(path: str | Path, sha256: str | None = None, labelled: bool = False) -> ImageSet:
    """Read images from any of the layouts above.

    Parameters
    ----------
    path : str or Path
    sha256 : str, optional
        What `ImageSet.sha256` must be.
    labelled : bool
        Refuse images without labels.

    Returns
    -------
    ImageSet

    Raises
    ------
    FileNotFoundError
        No such path.
    ValueError
        An unknown, incomplete or damaged file; images of different sizes; labels that do not
        fit; another checksum than `sha256`.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(2, "no such file", str(path))
    images, labels, names = formats.read(path)
    found = ImageSet(
        as_images(images, str(path)),
        None if labels is None else _as_labels(labels, len(images), str(path)),
        tuple(names),
    )
    if labelled and found.labels is None:
        raise ValueError(f"{str(path)!r} has no labels; add an array 'labels' or folders by class")
    if sha256 is not None and found.sha256 != sha256.lower():
        raise ValueError(
            f"{str(path)!r} has the SHA-256 {found.sha256} of pixels and labels, not {sha256}; "
            "fetch it again"
        )
    return found


def as_images(images: ArrayLike, source: str = "X") -> Images:
    """Check images and give them their channel axis.

    Parameters
    ----------
    images : (N, H, W) or (N, H, W, C) uint8 array
        C is 1 or 3.
    source : str
        What error messages call them.

    Returns
    -------
    (N, H, W, C) uint8 array

    Raises
    ------
    ValueError
        Another shape or type, or no image at all.
    """
    found = np.asarray(images)
    if found.dtype != np.uint8:
        raise ValueError(
            f"images of {source} are of type {found.dtype}; expected uint8, values 0 to 255"
        )
    if found.ndim == 3:
        found = found[..., None]
    if found.ndim != 4 or found.shape[-1] not in (1, 3):
        raise ValueError(
            f"images of {source} have shape {np.shape(images)}; expected (N, H, W), "
            "(N, H, W, 1) or (N, H, W, 3)"
        )
    if 0 in found.shape:
        raise ValueError(f"{source} holds no image (shape {np.shape(images)}); give at least one")
    return np.ascontiguousarray(found)


def _as_labels(labels: ArrayLike, count: int, source: str) -> Labels:
    found = np.asarray(labels)
    if found.shape != (count,):
        raise ValueError(
            f"labels of {source} have shape {found.shape}; expected ({count},), one per image"
        )
    if found.dtype.kind not in "iu" or (found.size and found.min() < 0):
        raise ValueError(f"labels of {source} must be whole numbers >= 0, not {found.dtype}")
    if found.size and found.max() > np.iinfo(np.int64).max:
        raise ValueError(f"label {found.max()} of {source} is above 2^63; number classes from 0")
    return found.astype(np.int64)


def split(data: ImageSet, held_out: int) -> tuple[ImageSet, ImageSet]:
    """Hold out the last images.

    Parameters
    ----------
    data : ImageSet
    held_out : int
        How many: at least 1, fewer than there are.

    Returns
    -------
    rest, held : ImageSet

    Raises
    ------
    ValueError
        A number out of range.
    """
    if not 0 < held_out < len(data):
        raise ValueError(f"cannot hold out {held_out} of {len(data)} images; give fewer, above 0")
    border = len(data) - held_out
    return data[:border], data[border:]


def save_npz(path: str | Path, data: ImageSet) -> None:
    """Write the plain layout (uncompressed, whole or not at all).

    Parameters
    ----------
    path : str or Path
    data : ImageSet
    """
    arrays: dict[str, Any] = {"images": data.images}
    if data.labels is not None:
        arrays["labels"] = data.labels
    if data.class_names:
        arrays["class_names"] = np.array(data.class_names)
    with replacing(path) as partial, partial.open("wb") as stream:
        np.savez(stream, **arrays)
