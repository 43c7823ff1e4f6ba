# %% [markdown]
# # The path of least free energy: a vacancy jumps at 0 K and at 300 K
#
# A nudged elastic band on A(T) = E − T·S instead of E. The ends are relaxed on A(T) too, and what
# the band calls energy is A(T) (`as_free_energy`).
#
#     python 05_free_energy_path.py                        # 128 sites, a minute
#     python 05_free_energy_path.py --size 6 --temperatures 0 150 300
#
# The rate needs no such path: Vineyard's prefactor has the entropies of minimum and saddle, and ΔE
# belongs into its exponential (`thiry_calc.migration`). The harmonic entropy means something at
# stationary points; between them, and the more so the hotter, a path on A(T) shows where the
# entropy pulls.

# %%
import argparse

import matplotlib
import numpy as np

from thiry_calc import Potential, ThiryCalculator
from thiry_calc.defects import supercell
from thiry_calc.migration import elastic_band
from thiry_calc.relax import relax

matplotlib.use("Agg")
import matplotlib.pyplot as plt

parser = argparse.ArgumentParser()
parser.add_argument("--size", type=int, default=4, help="cubic cells per side")
parser.add_argument("--temperatures", type=float, nargs="+", default=[0, 300])
parser.add_argument("--plot", default="free_energy_path.png")
args, _ = parser.parse_known_args()  # a notebook has arguments of its own

# %% [markdown]
# Two vacancies, before and after an atom has jumped from the middle of the cell to its corner. The
# same atoms in the same order: atom 0 of the crystal is gone, the jumping one moves into its place.

# %%
model = Potential.load("Fe-AM04")
crystal = supercell(model.crystal.a0, args.size)
jumper = int(np.argmin(crystal.get_distances(0, range(1, len(crystal)), mic=True)))
before = crystal[1:]
after = before.copy()
after.positions[jumper] += crystal.get_distance(1 + jumper, 0, mic=True, vector=True)

# %%
figure, axes = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
for temperature in args.temperatures:

    def make_calculator(temperature: float = temperature) -> ThiryCalculator:
        """One for each image: a calculator keeps the neighbour list of its atoms."""
        return ThiryCalculator(model, temperature).as_free_energy()

    ends = before.copy(), after.copy()
    for end in ends:
        end.calc = make_calculator()
        assert relax(end, fmax=1e-3).converged
    images = elastic_band(make_calculator, *ends)
    free = np.array([image.get_potential_energy() for image in images])
    entropy = np.array([im.calc.get_property("formation_entropy", im) for im in images])
    way = np.linspace(0, 1, len(images))
    axes[0].plot(way, free - free[0], ".-", label=f"{temperature:g} K")
    axes[1].plot(way, entropy, ".-")
    print(
        f"{temperature:4g} K: barrier of A {free.max() - free[0]:.3f} eV, S_f from "
        f"{entropy[0]:.2f} to {entropy[np.argmax(free)]:.2f} k_B at the top"
    )
axes[0].set(xlabel="image along the path", ylabel="A(T) − A(T) of the vacancy, eV")
axes[1].set(xlabel="image along the path", ylabel="S_f, k_B")
axes[0].legend()
figure.savefig(args.plot, dpi=120)
print(f"drawn in {args.plot}")
