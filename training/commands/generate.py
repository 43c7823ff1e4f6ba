"""Generate a database of defects with exact formation entropies; resumes where it stopped."""

import argparse
import json

from training.commands.workers import add_worker_arguments, chosen_executor
from training.generate import generate
from training.recipe import read_recipe

EXAMPLE = "thiry generate iron.toml --workers 4 --json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("config", help="recipe, a TOML file")
    add_worker_arguments(parser)
    parser.add_argument(
        "--as-it-stands",
        action="store_true",
        help="make no more attempts: write the database of those made so far",
    )
    parser.add_argument(
        "--attempts",
        type=int,
        metavar="N",
        help="stop after the first N attempts, a fair sample of all families",
    )


def run(args: argparse.Namespace) -> int:
    """Generate and print the summary."""
    recipe = read_recipe(args.config)
    if args.attempts is not None and args.attempts < 1:
        raise ValueError(f"--attempts is {args.attempts}; give a positive number")
    with chosen_executor(args) as executor:
        summary = generate(recipe, executor, as_it_stands=args.as_it_stands, attempts=args.attempts)
    if args.json:
        print(json.dumps(summary, indent=1, ensure_ascii=False))
        return 0
    print(
        f"{recipe.folder}: {summary['kept']} configurations of {summary['attempts']} attempts "
        f"({summary['planned']} planned)"
    )
    print(
        f"left out: {summary['duplicates']} duplicates, "
        f"{summary['in_standard_scan']} of the standard scan, "
        f"{sum(summary['failures'].values())} failures"
    )
    for reason, number in summary["failures"].items():
        print(f"  {number:6d}  {reason}")
    print("formation entropy (k_B)      n    mean     std     min     max")
    for name, row in summary["groups"].items():
        values = "".join(f"{row[k]:8.2f}" for k in ("mean", "std", "min", "max"))
        print(f"  {name:20s} {row['n']:8d}{values}")
    return 0
