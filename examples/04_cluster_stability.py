# %% [markdown]
# # Which shape do clusters of self-interstitials take, and does temperature change it?
#
# Bundles of parallel ⟨111⟩ or ⟨110⟩ dumbbells compete with compact C15 clusters. Energies alone
# do not decide: a C15 cluster is stiff, a bundle is soft, and at 1000 K a difference of 10 k_B is
# worth 0.9 eV. Sparse factorisations give the exact harmonic entropy of each in a second where
# diagonalisation took minutes, so that all clusters of 2 to 8 interstitials fit into one script.
#
#     python 04_cluster_stability.py                      # AM04, 250 sites, up to 4: a minute
#     python 04_cluster_stability.py --size 8 --largest 8 # 1024 sites: several minutes
#     python 04_cluster_stability.py --size 8 --largest 8 --table Fe_M07.eam.fs     # M07
#
# What the last two draw stands beside this script: cluster_stability_AM04.png and _M07.png. With
# M07, C15 is the most stable cluster from three interstitials on, at all temperatures.
#
# M07 is the potential of the C15 papers (Marinica, Willaime and Crocombette, Phys. Rev. Lett. 108,
# 025501 (2012)); its table comes from OpenKIM, MO_466808877130.

# %%
import argparse

import matplotlib
import numpy as np

from thiry_calc import Potential
from thiry_calc.defects import build
from thiry_calc.exact import Exact, ExactReference
from thiry_calc.relax import separate
from thiry_calc.scan import scan

matplotlib.use("Agg")
import matplotlib.pyplot as plt

parser = argparse.ArgumentParser()
parser.add_argument("--size", type=int, default=5, help="cubic cells per side")
parser.add_argument("--table", help="table of M07; AM04 without")
parser.add_argument("--largest", type=int, default=4, choices=range(2, 9))
parser.add_argument("--plot", default="cluster_stability.png")
args, _ = parser.parse_known_args()  # a notebook has arguments of its own

# %% [markdown]
# The exact values of one cluster: relaxed as built, and where that leaves it on a saddle pushed by
# 0.05 Å an atom and relaxed again. Some bundles then turn into something else; what counts here is
# the free energy of what each start ends in.

# %%
model = Potential.load("Fe-AM04")
reference = ExactReference.make("M07" if args.table else "AM04", model, model.crystal, args.table)
KINDS = {"cluster_110": "⟨110⟩ bundle", "cluster_111": "⟨111⟩ bundle", "c15": "C15"}
COUNTS = range(2, args.largest + 1)


def exact_values(name: str) -> Exact:
    """Energy and entropy of the minimum to which a named cluster relaxes."""
    start = build(name, reference.a0, args.size)
    separate(start, 0.81 * np.sqrt(0.75) * reference.a0)
    found = reference.values(start)
    for seed in range(3):
        if found.is_minimum:
            break
        pushed = start.copy()
        pushed.rattle(0.05, seed=seed)
        found = reference.values(pushed)
    return found


# %%
clusters = {}
print(f"{reference.name}, {2 * args.size**3} sites\n{'':16s}{'E_f (eV)':>10s}{'S_f (k_B)':>11s}")
for n in COUNTS:
    for kind in KINDS:
        found = clusters[kind, n] = exact_values(f"{kind}_{n}")
        print(
            f"{kind + '_' + str(n):16s}{found.formation_energy_eV:10.3f}"
            f"{found.formation_entropy_kB:11.2f}",
            flush=True,
        )

# %% [markdown]
# A_f(T) = E_f − k_B T S_f of each kind at fixed volume, and where the lowest one changes.

# %%
K_B = 8.617333e-5
temperatures = np.linspace(0, 1200, 241)
free = {
    key: found.formation_energy_eV - K_B * temperatures * found.formation_entropy_kB
    for key, found in clusters.items()
}
for n in COUNTS:
    lowest = [min(KINDS, key=lambda kind: free[kind, n][0])]
    for k in range(1, len(temperatures)):
        best = min(KINDS, key=lambda kind: free[kind, n][k])
        same = free[lowest[-1], n][k] < free[best, n][k] + 1e-3  # eV: starts that met in one state
        lowest.append(lowest[-1] if same else best)
    changes = [k for k in range(1, len(lowest)) if lowest[k] != lowest[k - 1]]
    story = [
        KINDS[lowest[0]],
        *(f"{KINDS[lowest[k]]} above {temperatures[k]:.0f} K" for k in changes),
    ]
    print(f"{n} interstitials: {', '.join(story)}")

# %%
figure, axes = plt.subplots(1, len(COUNTS), figsize=(2.3 * len(COUNTS), 3.4), layout="constrained")
for n, ax in zip(COUNTS, np.atleast_1d(axes), strict=True):
    zero = free["c15", n]
    for colour, (kind, label) in enumerate(KINDS.items()):
        ax.plot(temperatures, (free[kind, n] - zero) / n, color=f"C{colour}", label=label)
    ax.set(title=f"{n} interstitials", xlabel="T (K)", xlim=(0, 1200))
np.atleast_1d(axes)[0].set_ylabel("A_f − A_f(C15), eV per interstitial")
np.atleast_1d(axes)[0].legend(fontsize=7)
figure.suptitle(f"{reference.name}, {2 * args.size**3} sites")
figure.savefig(args.plot, dpi=120)
print(f"drawn in {args.plot}")

# %% [markdown]
# Does the learned entropy of `Fe-AM04`, which was fitted to at most four interstitials, know this?

# %%
if not args.table:
    names = [f"{kind}_{n}" for n in COUNTS for kind in KINDS]
    learned = scan(names, model, [0, 600, 1200], size=args.size)
    named = {configuration.name: configuration for configuration in learned.configurations}
    errors = []
    for (kind, n), found in clusters.items():
        configuration = named[f"{kind}_{n}"]
        while configuration.falls_to in named:  # follow a saddle of the model to its minimum
            configuration = named[configuration.falls_to]
        errors.append(configuration.formation_entropy_kB - found.formation_entropy_kB)
        print(
            f"{kind}_{n}: S_f learned {configuration.formation_entropy_kB:.2f} ± "
            f"{configuration.entropy_std_kB or np.nan:.2f}, exact {found.formation_entropy_kB:.2f}"
        )
    print(f"mean absolute error {np.nanmean(np.abs(errors)):.2f} k_B")
