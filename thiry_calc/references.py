"""Reference potentials by name: other packages register them in the group ``thiry.references``.

The runtime knows none of them itself, so that it never imports the packages that make models.
"""

from difflib import get_close_matches
from importlib.metadata import entry_points
from typing import Any

GROUP = "thiry.references"


def list_references() -> list[str]:
    """Names of the installed reference potentials.

    Returns
    -------
    list of str
    """
    return sorted(entry.name for entry in entry_points(group=GROUP))


def load_reference(name: str) -> Any:
    """Make the ASE calculator of a reference potential.

    Parameters
    ----------
    name : str
        Such as "AM04".

    Returns
    -------
    Calculator

    Raises
    ------
    ValueError
        Unknown name; the message suggests the nearest one. Also for a potential that needs a file.
    """
    known = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in known:
        near = get_close_matches(name, known, 1, 0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"installed: {', '.join(known) or 'none'}"
        raise ValueError(f"unknown reference potential {name!r}; {hint}")
    try:
        return known[name].load()()
    except TypeError as error:
        raise ValueError(
            f"reference potential {name!r} cannot be made without a file ({error}); "
            "choose one that needs none"
        ) from error
