"""The structures of a pool whose labels would teach a model most."""

import argparse
import json

from thiry_calc.linear.files import check_folder
from thiry_calc.neighbors import check_overlap, neighbors_of
from thiry_calc.potential import Potential
from thiry_calc.structures import R_OVERLAP, read_structures, write_structures
from training.commands.workers import add_worker_arguments, chosen_executor
from training.selection import select

EXAMPLE = "thiry select pool.xyz --model Mo.thiry -n 50 -o chosen.xyz"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("pool", nargs="+", help="files of structures; labels are not needed")
    parser.add_argument("--model", required=True, help="shipped model, or a model file")
    parser.add_argument("-n", type=int, required=True, help="how many structures to choose")
    parser.add_argument("-o", required=True, metavar="FILE", help="where to write them, extxyz")
    add_worker_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Choose, write and print."""
    potential = Potential.load(args.model)
    check_folder(args.o)
    pool, sources = [], []
    for path in args.pool:
        for n, atoms in enumerate(read_structures(path)):
            sources.append(f"{path}, frame {n}")
            check_overlap(neighbors_of(atoms, R_OVERLAP), f"{sources[-1]}: ")
            unknown = sorted(set(atoms.symbols) - set(potential.elements))
            if unknown:
                raise ValueError(
                    f"{sources[-1]} has {unknown[0]}, unknown to model {potential.name!r}; "
                    "leave it out"
                )
            pool.append(atoms)
    with chosen_executor(args) as executor:
        found = select(pool, potential, args.n, executor)
    chosen = [pool[k] for k in found.indices]
    for atoms, gain in zip(chosen, found.gains, strict=True):
        atoms.info["information_nats"] = float(gain)
    write_structures(args.o, chosen)
    rows = [
        {"source": sources[k], "information_nats": float(gain)}
        for k, gain in zip(found.indices, found.gains, strict=True)
    ]
    if args.json:
        print(json.dumps({"selected": rows}, indent=1))
        return 0
    print("information (nats)  structure")
    for row in rows:
        print(f"{row['information_nats']:18.2f}  {row['source']}")
    print(f"\nwritten: {args.o}")
    return 0
