"""Fit a potential to labelled structures; a killed fit resumes."""

import argparse
import json
import os

from training.energy_fit import Fit
from training.executors import connect, make_executor
from training.fit_config import read_fit_config
from training.fitting import Fitted, fit

EXAMPLE = "thiry fit Mo.toml --workers 4"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("config", help="what to fit, a TOML file")
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


def run(args: argparse.Namespace) -> int:
    """Fit, write the model and print its errors."""
    config = read_fit_config(args.config)
    elsewhere = args.scheduler is not None
    with connect(args.scheduler) if elsewhere else make_executor(args.workers) as executor:
        result = fit(
            config.train,
            config.model,
            test=config.test,
            preset=config.preset or "",
            descriptors=config.descriptors,
            r_cut=config.r_cut,
            e0=config.e0,
            weights=config.weights,
            groups=config.groups,
            keys=config.keys,
            train_select=config.train_select,
            test_select=config.test_select,
            folder=config.folder,
            executor=executor,
        )
    if args.json:
        print(json.dumps(result.potential.info, indent=1, allow_nan=False))
        return 0
    _print(result)
    print(f"\nwritten: {config.model}")
    return 0


def _print(result: Fitted) -> None:
    print(result.potential)
    print(_tried(result.energy))
    for title, table in result.test.tables().items():
        print(f"\ntest, {title}\n{table}")
    if result.leaked:
        print(f"\n{result.leaked} test structures are copies of fitted ones, up to symmetry")


def _tried(energy: Fit) -> str:
    lines = ["cutoff   weights E/S   left out: energy (eV/√atom)   forces (eV/Å)"]
    for descriptor, choice in energy.choices:
        f, e = choice.factors, choice.rmse
        mark = "  <- chosen" if choice is energy.best else ""
        lines.append(
            f"{descriptor.cutoff:6.2f} {f['energy']:7g}/{f['stress']:<6g}"
            f"{e.get('energy', float('nan')):24.4f}{e.get('forces', float('nan')):16.4f}{mark}"
        )
    return "\n".join(lines)
