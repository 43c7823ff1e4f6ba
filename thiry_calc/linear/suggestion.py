"""What to write instead of a name that is not known, for messages of errors."""

from collections.abc import Iterable
from difflib import get_close_matches


def suggestion(word: str, known: Iterable[str], otherwise: str, cutoff: float = 0.5) -> str:
    """Suggest the nearest known name, or list all.

    Parameters
    ----------
    word : str
    known : iterable of str
    otherwise : str
        Before the list.
    cutoff : float
        How alike names must be, from 0 to 1.

    Returns
    -------
    str
        End of a message.
    """
    names = list(known)
    near = get_close_matches(word, names, 1, cutoff)
    return f"did you mean {near[0]!r}?" if near else f"{otherwise} {', '.join(names) or 'none'}"
