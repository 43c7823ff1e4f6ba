"""The ``thiry`` command: its subcommands are the entry points of the group ``thiry.commands``.

What a subcommand is, and how errors end, says `thiry_calc.linear.command_line`.
"""

from collections.abc import Sequence

from thiry_calc.linear.command_line import Program, run_program

PROGRAM = Program(
    "thiry", "thiry.commands", "Learned energies, vibrational entropies and free energies."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the ``thiry`` command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program name; ``sys.argv[1:]`` when absent.

    Returns
    -------
    int
        Exit status: 0 done, 1 failed, 2 bad usage or bad input.
    """
    return run_program(PROGRAM, argv)
