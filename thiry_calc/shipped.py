"""Where model files are: the potentials that come with the package, by name, or any path."""

from pathlib import Path


def _folder() -> Path:
    """Where the shipped potentials are: inside the wheel, or beside the package in a checkout."""
    here = Path(__file__).resolve().parent
    installed = here / "potentials"
    return installed if installed.is_dir() else here.parent / "potentials"


def list_potentials() -> list[str]:
    """Names of the shipped potentials.

    Returns
    -------
    list of str
    """
    return sorted(p.parent.name for p in _folder().glob("*/*.thiry"))


def find_potential(name: str | Path) -> Path:
    """Return the file of a shipped potential or of a path.

    Raises
    ------
    FileNotFoundError
        When there is no such file and no such shipped potential.
    """
    if Path(name).is_file():
        return Path(name)
    shipped = _folder() / str(name) / f"{name}.thiry"
    if str(name) in list_potentials() and shipped.is_file():
        return shipped
    raise FileNotFoundError(
        f"no model file {str(name)!r} and no shipped model of that name; "
        f"shipped: {', '.join(list_potentials()) or 'none'}"
    )
