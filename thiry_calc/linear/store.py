"""One-file store: a zip of ``header.json`` and ``.npy`` members; never pickle.

Members are stored in sorted order with a fixed date, so that equal content is equal bytes. The
header holds `kind`, `schema`, `provenance`, the caller's own `header` and `checksum`: the
SHA-256 over the name, length and bytes of every other member and over the rest of the header.
"""

import hashlib
import io
import json
import os
import platform
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thiry_calc import __version__

_HEADER = "header.json"
_DATE = (1980, 1, 1, 0, 0, 0)
_FORMAT = "thiry-store"
# what zipfile, zlib and struct raise on damaged bytes
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, EOFError, OSError, KeyError, IndexError, ValueError,
    RuntimeError, OverflowError, struct.error, MemoryError, TypeError,
    AttributeError,
)  # fmt: skip


def save(
    path: str | Path,
    header: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
    kind: str,
    schema: int,
) -> None:
    """Write one file, atomically.

    Parameters
    ----------
    path : str or Path
    header : mapping
        JSON content of the caller's own; a date, if wanted, goes here.
    arrays : mapping of str to array
        Numeric, boolean or string arrays.
    kind : str
        What this is (``"potential"``, ``"statistics"``, ...); `load` asks for it.
    schema : int
        Version of the caller's layout, 1 or more.

    Raises
    ------
    ValueError
        Object arrays, or a header that is not JSON (NaN included).
    OSError
        When the folder cannot be written.
    """
    members = {f"{name}.npy": _to_bytes(name, array) for name, array in arrays.items()}
    content: dict[str, Any] = {
        "format": _FORMAT,
        "kind": kind,
        "schema": int(schema),
        "provenance": _provenance(),
        "header": {k: v for k, v in header.items() if k != "_store"},
    }
    try:
        json.dumps(content, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"the header is not JSON ({error}); use plain types only") from error
    content["checksum"] = _checksum(content, members)
    members[_HEADER] = json.dumps(content, indent=1, sort_keys=True).encode()
    _write(Path(path), members)


def load(
    path: str | Path, kind: str, schema: int = 1
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Read and verify a file of `save`.

    Parameters
    ----------
    path : str or Path
    kind : str
        What it must be.
    schema : int
        Newest layout that the caller understands.

    Returns
    -------
    header : dict
        The caller's header, and under ``"_store"`` the kind, schema, checksum and provenance
        (which `save` ignores when it is given such a header again).
    arrays : dict of str to array

    Raises
    ------
    FileNotFoundError
        No such file.
    ValueError
        Not such a file, truncated, altered, of another kind, or of a newer schema.
    """
    path = Path(path)
    data = path.read_bytes()
    try:
        members = _read(data)
        content = json.loads(members.pop(_HEADER))
        found = content.pop("checksum")
        intact = content["format"] == _FORMAT and found == _checksum(content, members)
        header = dict(content.pop("header"))
        its_kind, its_schema = str(content["kind"]), int(content["schema"])
    except _DAMAGE as error:
        raise ValueError(
            f"{str(path)!r} is not a complete {kind} file of thiry_calc; fetch or write it again"
        ) from error
    if not intact:
        raise ValueError(f"{str(path)!r} is damaged (its checksum differs); fetch it again")
    if its_kind != kind:
        raise ValueError(f"{str(path)!r} holds a {its_kind!r}; expected a {kind!r}")
    if its_schema > schema:
        raise ValueError(
            f"{str(path)!r} has schema {its_schema} and this version reads up to {schema}; "
            "upgrade thiry_calc"
        )
    arrays = {n.removesuffix(".npy"): _from_bytes(path, n, data) for n, data in members.items()}
    return {**header, "_store": {**content, "checksum": found}}, arrays


def _provenance() -> dict[str, str]:
    return {
        "thiry_calc": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def _to_bytes(name: str, array: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    try:
        np.lib.format.write_array(stream, np.asanyarray(array), allow_pickle=False)
    except ValueError as error:
        raise ValueError(
            f"array {name!r} holds Python objects; store numbers, booleans or strings"
        ) from error
    return stream.getvalue()


def _from_bytes(path: Path, name: str, data: bytes) -> NDArray[Any]:
    try:
        return np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    except ValueError as error:
        raise ValueError(
            f"member {name!r} of {str(path)!r} is not a plain array; "
            "files with Python objects are never read"
        ) from error


def _checksum(content: Mapping[str, Any], members: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    for name in sorted(members):
        digest.update(f"\0{name}\0{len(members[name])}\0".encode())
        digest.update(members[name])
    return digest.hexdigest()


def _write(path: Path, members: Mapping[str, bytes]) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as stream:
            with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
                for name in sorted(members):
                    archive.writestr(_entry(name), members[name])
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _DATE)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.create_system = 3  # the same bytes on every platform
    entry.external_attr = 0o644 << 16
    return entry


def _read(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        if len(set(names)) != len(names):
            raise ValueError("a member occurs twice")
        return {name: archive.read(name) for name in names}
