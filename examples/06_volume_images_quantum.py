# %% [markdown]
# # From one box at fixed volume to the free energy of a defect: what is added
#
# A scan gives A_f(T) = E_f − T·S_f in a box of fixed cell, with classical vibrations. Added here,
# for a ⟨110⟩ dumbbell: the elastic interaction with the periodic images, zero pressure instead of
# fixed volume, thermal expansion of the crystal, and the quantum correction without any mode.

# %%
import matplotlib
import numpy as np

from thiry_calc import ThiryCalculator
from thiry_calc.defects import build, supercell
from thiry_calc.elasticity import dipole_tensor, elastic_constants, image_energy
from thiry_calc.hessian import get_hessian
from thiry_calc.quantum import quantum_free_energy, site_moments
from thiry_calc.quasi_harmonic import image_entropy_kB, pressure_free, thermal_expansion
from thiry_calc.relax import relax

matplotlib.use("Agg")
import matplotlib.pyplot as plt

SIZE = 5  # cubic cells per side
calc = ThiryCalculator("Fe-AM04", extrapolation_warning=False)
a0 = calc.potential.crystal.a0
cell = supercell(a0, 1)
dumbbell, crystal = build("dumbbell_110", a0, SIZE), supercell(a0, SIZE)
for atoms in (dumbbell, crystal):
    atoms.calc = calc
assert relax(dumbbell).converged
per_atom = crystal.get_potential_energy() / len(crystal)
energy = dumbbell.get_potential_energy() - len(dumbbell) * per_atom
entropy = calc.get_property("formation_entropy", dumbbell)
print(f"{len(dumbbell)} atoms, fixed cell: E_f {energy:.3f} eV, S_f {entropy:.2f} k_B")

# %% [markdown]
# The images: the defect is an elastic dipole, whose energy in the periodic box exceeds that in the
# infinite crystal. The same with the constants of A(T) corrects the entropy.

# %%
dipole, constants = dipole_tensor(dumbbell, calc, cell), elastic_constants(cell, calc)
images = image_energy(dipole, constants, dumbbell.cell.array)
print(f"without images: E_f {energy - images:.3f} eV", end=", ")
print(f"S_f {entropy - image_entropy_kB(dumbbell, calc, cell):.2f} k_B")

# %% [markdown]
# Zero pressure: a defect that swells its box lowers the frequencies of all of it.

# %%
free = pressure_free(dumbbell, calc, cell)
print(
    f"at zero pressure: volume {free.relaxation_volume / (a0**3 / 2):+.2f} atoms, "
    f"E_f {free.energy_change_eV:+.3f} eV, S_f {free.entropy_change_kB:+.2f} k_B"
)

# %% [markdown]
# The crystal itself expands.

# %%
temperatures = np.linspace(0, 1000, 11)
expansion = thermal_expansion(cell, calc, temperatures)
print(
    f"Grüneisen parameter {expansion.gruneisen:.2f}, "
    f"α(300 K) {1e6 * np.interp(300, temperatures, expansion.expansion_per_K):.1f}e-6/K"
)

# %% [markdown]
# Quantum mechanics: tr D, tr D² and tr D³ of the defect against those of the crystal.

# %%
D_defect, D_crystal = (
    site_moments(get_hessian(atoms), atoms.get_masses(), n_terms=3) for atoms in (dumbbell, crystal)
)
moments = D_defect.sum(axis=1) - len(dumbbell) / len(crystal) * D_crystal.sum(axis=1)
hot = np.linspace(150, 1000, 60)
figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
axes[0].plot(temperatures, 100 * expansion.lattice_strain)
axes[0].set(xlabel="T (K)", ylabel="a(T)/a(0) − 1, %")
for n in (1, 2, 3):
    axes[1].plot(hot, [1e3 * quantum_free_energy(moments[:n], t) for t in hot], label=f"{n} terms")
axes[1].set(xlabel="T (K)", ylabel="quantum − classical A_f, meV", ylim=(0, 15))
axes[1].legend()
figure.savefig("volume_images_quantum.png", dpi=120)
print(f"quantum correction of A_f at 300 K: {1e3 * quantum_free_energy(moments, 300):.1f} meV")
