# %% [markdown]
# # Which defect of iron is stable at which temperature?
#
# A scan relaxes defects at fixed volume with a learned energy and compares their formation free
# energies A_f(T) = E_f − k_B T S_f, with the vibrational entropy S_f learned too: no Hessian is
# computed. On the command line it is `thiry scan`; here is the same in Python, in a small box of
# 5×5×5 cubic cells to be quick (the default is 8).

# %%
import tempfile
from pathlib import Path

from thiry_calc.defects import build
from thiry_calc.plot import plot_scan
from thiry_calc.scan import scan

names = ["vacancy", "divacancy_1nn", "divacancy_2nn", "dumbbell_110", "c15_2", "cluster_110_2"]
result = scan(names, "Fe-AM04", temperatures=range(0, 1201, 200), size=5)
print(result)

# %% [markdown]
# The stable configuration of each family, that is of each net number of vacancies (negative) or
# interstitials, with the exact temperatures at which it changes:

# %%
for net in result.families:
    for part in result.stable(net):
        print(f"net {net:+d}: {part.name} from {part.start:.0f} to {part.end:.0f} K")

# %% [markdown]
# Structures of your own are relaxed in their own cells, and compared to the perfect crystal of the
# same box. `exact=True` adds the harmonic entropy of the reference potential, and recognises
# saddles: the ⟨111⟩ dumbbell, relaxed as built, is one.

# %%
mine = build("dumbbell_111", result.a0, 5)
mine.info["name"] = "my ⟨111⟩ dumbbell"
checked = scan([mine, "dumbbell_110"], "Fe-AM04", [0, 600, 1200], size=5, exact=True)
print(checked)
for configuration in checked.configurations:
    print(configuration.name, "is a saddle" if configuration.is_saddle else "is a minimum")

# %% [markdown]
# Equilibrium concentrations follow from A_f(T), and a plot shows it all.

# %%
print(f"vacancies at 1200 K: {result.concentration(-1, 1200):.1e} per site")
with tempfile.TemporaryDirectory() as folder:  # give a lasting path of your own
    picture = Path(folder) / "scan.png"
    plot_scan(result, picture)
    print(f"{picture.name}: {picture.stat().st_size} bytes")
