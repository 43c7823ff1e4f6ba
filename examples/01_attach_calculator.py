# %% [markdown]
# # Attach the calculator to any Atoms
#
# A vacancy in bcc iron: energy, forces, vibrational entropy and free energy of one structure,
# and how far the model can be trusted there.

# %%
import numpy as np
from ase.build import bulk
from ase.optimize import FIRE

from thiry_calc import ThiryCalculator

calc = ThiryCalculator("Fe-AM04")
a0 = calc.potential.crystal.a0
crystal = bulk("Fe", "bcc", a=a0, cubic=True) * (5, 5, 5)
crystal.calc = calc
energy_per_atom = crystal.get_potential_energy() / len(crystal)
print(f"bcc iron: a0 = {a0:.4f} Å, E = {energy_per_atom:.4f} eV/atom")

# %% [markdown]
# Remove an atom and relax: the usual ASE calls.

# %%
vacancy = crystal.copy()
del vacancy[0]
vacancy.calc = calc
FIRE(vacancy, logfile=None).run(fmax=1e-3, steps=500)
formation_energy = vacancy.get_potential_energy() - len(vacancy) * energy_per_atom
formation_entropy = calc.get_property("formation_entropy", vacancy)
print(f"vacancy: E_f = {formation_energy:.3f} eV, S_f = {formation_entropy:.2f} k_B")
print(f"largest force: {np.abs(vacancy.get_forces()).max():.1e} eV/Å")

# %% [markdown]
# Which atoms carry the entropy? Site entropies sum to the total.

# %%
sites = calc.get_property("site_entropies", vacancy)
order = np.argsort(-np.abs(sites))[:4]
print("atoms that contribute most:", ", ".join(f"{i}: {sites[i]:+.2f} k_B" for i in order))

# %% [markdown]
# How sure is the model? One Bayesian standard deviation of each total.

# %%
for name, unit in (("energy_std", "eV"), ("entropy_std", "k_B")):
    print(f"{name}: {calc.get_property(name, vacancy):.3g} {unit}")

# %% [markdown]
# With a temperature, forces and stress derive from the free energy A(T) = E - T S.

# %%
calc.set(temperature=600)
free_energy = vacancy.get_potential_energy(force_consistent=True)
print(f"A(600 K) = {free_energy:.3f} eV, E = {vacancy.get_potential_energy():.3f} eV")
print(f"S_vib(600 K) = {calc.get_property('vibrational_entropy', vacancy):.4f} eV/K")
