"""Files are written whole or not at all: under another name in their folder, then renamed."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary path, and rename it when the block ends well.

    Parameters
    ----------
    path : str or Path
        What shall be written; replaced when it exists.

    Yields
    ------
    Path
        In the same folder, with the same ending, by which writers know the format.
    """
    path = Path(path)
    unique = f"{os.getpid()}-{secrets.token_hex(4)}"  # on every node of a cluster
    partial = path.with_name(f".{unique}.partial.{path.name}")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def check_folder(path: str | Path) -> None:
    """Refuse a file that could not be written, before anything is computed.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    ValueError
        When its folder does not exist or cannot be written in, or it is a folder itself.
    """
    if Path(path).is_dir():
        raise ValueError(f"cannot write {str(path)!r}: it is a folder; give the name of a file")
    folder = Path(path).parent
    if not folder.is_dir():
        raise ValueError(f"cannot write {str(path)!r}: there is no folder {str(folder)!r}; make it")
    if not os.access(folder, os.W_OK):
        raise ValueError(
            f"cannot write {str(path)!r}: the folder {str(folder)!r} is not yours to write in; "
            "give another"
        )


def write_atomically(path: str | Path, contents: str | bytes) -> None:
    """Write a file whole or not at all.

    Parameters
    ----------
    path : str or Path
    contents : str or bytes
        Text is written in UTF-8.
    """
    with replacing(path) as partial:
        partial.write_bytes(contents.encode() if isinstance(contents, str) else contents)
