"""Reference potentials by name: other packages register them in the group ``thiry.references``.

The runtime knows none of them itself, so that it never imports the packages that make models.
"""

from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from thiry_calc.linear.suggestion import suggestion

GROUP = "thiry.references"


def list_references() -> list[str]:
    """Names of the installed reference potentials.

    Returns
    -------
    list of str
    """
    return sorted(entry.name for entry in entry_points(group=GROUP))


def load_reference(name: str, file: str | Path | None = None) -> Any:
    """Make the ASE calculator of a reference potential.

    Parameters
    ----------
    name : str
        Such as "AM04".
    file : str or Path, optional
        Its table, for potentials that need one.

    Returns
    -------
    Calculator

    Raises
    ------
    ValueError
        Unknown name; the message suggests the nearest one. A file missing, or not expected.
    """
    try:
        return _maker(name)(*([] if file is None else [file]))
    except TypeError as error:
        need = (
            "needs the file of its table (--potential-file, or 'file' in [reference])"
            if file is None
            else "takes no file"
        )
        raise ValueError(f"the reference potential {name} {need}") from error


def reference_files(name: str, file: str | Path) -> tuple[Path, ...]:
    """List the files that decide what a reference potential is.

    Parameters
    ----------
    name : str
    file : str or Path
        The one it is made from.

    Returns
    -------
    tuple of Path
        That one, and those that it names, which a potential tells by its ``files_of``.

    Raises
    ------
    ValueError
        Unknown name.
    """
    named = getattr(_maker(name), "files_of", None)
    return (Path(file), *(named(file) if named else ()))


def _maker(name: str) -> Any:
    known = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in known:
        hint = suggestion(name, known, "installed:", 0.4)
        raise ValueError(f"unknown reference potential {name!r}; {hint}")
    return known[name].load()
