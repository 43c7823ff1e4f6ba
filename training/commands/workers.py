"""Arguments of commands that work in processes or on a cluster."""

import argparse
import os
from concurrent.futures import Executor
from contextlib import AbstractContextManager

from training.executors import connect, make_executor


def add_worker_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``--workers`` and ``--scheduler``."""
    parser.add_argument(
        "--workers",
        type=int,
        default=os.cpu_count() or 1,
        help="processes of one thread each; 0 works in this process (default: all cores)",
    )
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="send the work to a dask cluster instead, such as tcp://node1:8786",
    )


def chosen_executor(args: argparse.Namespace) -> AbstractContextManager[Executor]:
    """Executor that these arguments ask for."""
    return make_executor(args.workers) if args.scheduler is None else connect(args.scheduler)
