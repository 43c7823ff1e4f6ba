"""The ``thiry-vision`` command: its subcommands are the entry points of ``thiry_vision.commands``.

What a subcommand is, and how errors end, says `thiry_calc.linear.command_line`.
"""

import sys
from collections.abc import Sequence
from importlib.util import find_spec

from thiry_calc.linear.command_line import Program, run_program

PROGRAM = Program(
    "thiry-vision",
    "thiry_vision.commands",
    "Image classifiers that are sums over patches: train, evaluate, explain.",
)
_NEEDED = ("torch", "sklearn", "PIL")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the ``thiry-vision`` command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program name; ``sys.argv[1:]`` when absent.

    Returns
    -------
    int
        Exit status: 0 done, 1 failed, 2 bad usage or bad input.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        print(
            f"thiry-vision: error: {', '.join(missing)} not installed; "
            "pip install 'thiry_calc[vision]'",
            file=sys.stderr,
        )
        return 1
    return run_program(PROGRAM, argv)
