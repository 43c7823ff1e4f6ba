"""Fit a potential to labelled structures; a killed fit resumes."""

import argparse
import json

from training.commands.workers import add_worker_arguments, chosen_executor
from training.fit_config import read_fit_config
from training.fitting import fit

EXAMPLE = "thiry fit Mo.toml --workers 4"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("config", help="what to fit, a TOML file")
    add_worker_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Fit, write the model and print its errors."""
    config = read_fit_config(args.config)
    with chosen_executor(args) as executor:
        result = fit(
            config.train,
            config.model,
            test=config.test,
            targets=config.targets,
            preset=config.preset or "",
            descriptors=config.descriptors,
            r_cut=config.r_cut,
            n_functions=config.n_functions,
            e0=config.e0,
            zbl=config.zbl,
            crystal=config.crystal,
            weights=config.weights,
            groups=config.groups,
            keys=config.keys,
            train_select=config.train_select,
            test_select=config.test_select,
            folder=config.folder,
            report=config.report,
            executor=executor,
        )
    if args.json:
        print(json.dumps(result.potential.info, indent=1, allow_nan=False))
        return 0
    print(result)
    print(f"\nwritten: {config.model}")
    if config.report is not None:
        print(f"report:  {config.report / 'report.html'}")
    return 0
