"""The `thiry` and `thiry-vision` commands: subcommands found through a group of entry points.

An entry point names a module whose docstring's first line is the help text and which has

    EXAMPLE: str                                  a command line, shown by ``--help``
    add_arguments(parser)                         declares the arguments
    run(args) -> int | None                       does the work; the exit status (None is 0)

Every command has ``--json``. Results go to stdout, progress and logs to stderr. Bad input
(`ValueError`, a missing file) ends with one sentence and exit status 2, a failed computation
(`RuntimeError`, `OSError`) with exit status 1; ``THIRY_DEBUG=1`` shows the traceback instead.
"""

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any

from thiry_calc import __version__


@dataclass(frozen=True)
class Program:
    """A command with subcommands.

    Attributes
    ----------
    name : str
    group : str
        Of the entry points of its subcommands.
    description : str
    """

    name: str
    group: str
    description: str


def _commands(program: Program) -> dict[str, EntryPoint]:
    found = entry_points(group=program.group)
    return {e.name: e for e in sorted(found, key=lambda e: e.name)}


def _summary(module: ModuleType) -> str:
    return (module.__doc__ or "").strip().splitlines()[0]


def build_parser(program: Program, argv: Sequence[str]) -> argparse.ArgumentParser:
    """Build the parser; only the module of the command named in `argv` is imported.

    Parameters
    ----------
    program : Program
    argv : sequence of str
        The command line without the program name.

    Returns
    -------
    argparse.ArgumentParser
    """
    parser = argparse.ArgumentParser(prog=program.name, description=program.description)
    parser.add_argument("--version", action="version", version=f"thiry_calc {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands = _commands(program)
    chosen = [a for a in argv if not a.startswith("-")][:1]
    for name, entry in commands.items():
        if chosen and chosen[0] in commands and name != chosen[0]:
            continue
        module = entry.load()
        sub = subparsers.add_parser(
            name,
            help=_summary(module),
            description=_summary(module),
            epilog=f"example:\n  {module.EXAMPLE}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(sub)
        sub.add_argument("--json", action="store_true", help="machine-readable output on stdout")
        sub.set_defaults(run=module.run)
    return parser


def run_program(program: Program, argv: Sequence[str] | None = None) -> int:
    """Run a command line.

    Parameters
    ----------
    program : Program
    argv : sequence of str, optional
        Arguments without the program name; ``sys.argv[1:]`` when absent.

    Returns
    -------
    int
        Exit status: 0 done, 1 failed, 2 bad usage or bad input.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    args = build_parser(program, argv).parse_args(argv)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = partial(_show_warning, program)
            status = args.run(args) or 0
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # the reader has gone (`thiry ... | head`); nothing more can be written, not even at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print(f"{program.name}: interrupted", file=sys.stderr)
        return 1
    except (ValueError, FileNotFoundError, IsADirectoryError) as error:
        return _report(program, error, status=2)
    except (RuntimeError, OSError, ImportError) as error:
        return _report(program, error, status=1)


def _show_warning(program: Program, message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"{program.name}: warning: {' '.join(str(message).split())}", file=sys.stderr)


def _report(program: Program, error: Exception, status: int) -> int:
    if os.environ.get("THIRY_DEBUG"):
        raise error
    if isinstance(error, FileNotFoundError) and error.filename:
        text = f"no such file: {error.filename!r}; check the path"
    elif isinstance(error, OSError) and error.filename:
        text = f"{error.filename!r}: {(error.strerror or 'unusable').lower()}; give another path"
    else:
        text = " ".join(str(error).split())
    print(f"{program.name}: error: {text}", file=sys.stderr)
    return status
