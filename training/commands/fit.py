"""Fit a potential to labelled structures; a killed fit resumes."""

import argparse
import json

from training.commands.workers import add_worker_arguments, chosen_executor
from training.energy_fit import Fit
from training.entropy_fit import EntropyFit
from training.fit_config import read_fit_config
from training.fitting import Fitted, fit

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
    _print(result)
    print(f"\nwritten: {config.model}")
    if config.report is not None:
        print(f"report:  {config.report / 'report.html'}")
    return 0


def _print(result: Fitted) -> None:
    print(result.potential)
    if result.energy is not None:
        print(_tried(result.energy))
    if result.entropy is not None:
        print(_tried_entropies(result.entropy))
    for title, table in result.test.tables().items():
        print(f"\ntest, {title}\n{table}")
    if result.leaked:
        print(f"\n{result.leaked} test structures are copies of fitted ones, up to symmetry")


def _tried(energy: Fit) -> str:
    lines = ["cutoff   weights E/S   penalties   left out: energy (eV/√atom)   forces (eV/Å)"]
    for descriptor, choice in energy.choices:
        f, e = choice.factors, choice.rmse
        mark = "  <- chosen" if choice is energy.best else ""
        lines.append(
            f"{descriptor.cutoff:6.2f} {f['energy']:7g}/{f['stress']:<6g}{choice.strength:8g}"
            f"{e.get('energy', float('nan')):25.4f}{e.get('forces', float('nan')):16.4f}{mark}"
        )
    return "\n".join(lines)


def _tried_entropies(entropy: EntropyFit) -> str:
    lines = ["cutoff   left out: formation entropy (k_B)"]
    for descriptor, rmse in entropy.choices:
        mark = "  <- chosen" if descriptor == entropy.descriptor else ""
        lines.append(f"{descriptor.cutoff:6.2f}{rmse:34.4f}{mark}")
    return "\n".join(lines)
