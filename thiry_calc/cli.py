"""The ``thiry`` command: finds its subcommands through the entry-point group ``thiry.commands``.

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
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any

GROUP = "thiry.commands"


def _commands() -> dict[str, EntryPoint]:
    return {e.name: e for e in sorted(entry_points(group=GROUP), key=lambda e: e.name)}


def _summary(module: ModuleType) -> str:
    return (module.__doc__ or "").strip().splitlines()[0]


def build_parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """Build the parser; only the module of the command named in `argv` is imported.

    Parameters
    ----------
    argv : sequence of str
        The command line without the program name.

    Returns
    -------
    argparse.ArgumentParser
    """
    from thiry_calc import __version__

    parser = argparse.ArgumentParser(
        prog="thiry", description="Learned energies, vibrational entropies and free energies."
    )
    parser.add_argument("--version", action="version", version=f"thiry_calc {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands = _commands()
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
    argv = sys.argv[1:] if argv is None else list(argv)
    args = build_parser(argv).parse_args(argv)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            status = args.run(args) or 0
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # the reader has gone (`thiry ... | head`); nothing more can be written, not even at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("thiry: interrupted", file=sys.stderr)
        return 1
    except (ValueError, FileNotFoundError, IsADirectoryError) as error:
        return _report(error, status=2)
    except (RuntimeError, OSError, ImportError) as error:
        return _report(error, status=1)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"thiry: warning: {' '.join(str(message).split())}", file=sys.stderr)


def _report(error: Exception, status: int) -> int:
    if os.environ.get("THIRY_DEBUG"):
        raise error
    if isinstance(error, FileNotFoundError) and error.filename:
        text = f"no such file: {error.filename!r}; check the path"
    elif isinstance(error, OSError) and error.filename:
        text = f"{error.filename!r}: {(error.strerror or 'unusable').lower()}; give another path"
    else:
        text = " ".join(str(error).split())
    print(f"thiry: error: {text}", file=sys.stderr)
    return status
