"""Exact vibrational entropy of your own Hessian: no learning, no diagonalisation.

S needs only the sum of ln ω over the modes, hence one log-determinant; the three translations of a
periodic crystal are taken out exactly by pinning an atom. Any ASE calculator will do: here
aluminium with ASE's effective-medium potential, and a vacancy in it.
"""

# %%
import numpy as np
from ase import units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.optimize import BFGS

from thiry_calc.harmonic import HarmonicThermodynamics, formation_entropy, log_determinant
from thiry_calc.hessian import get_hessian

# %% A perfect crystal and a vacancy in the same box, relaxed until forces are below 1e-5 eV/Å
crystal = bulk("Al", a=3.994, cubic=True) * (2, 2, 2)
crystal.calc = EMT()
vacancy = crystal.copy()
del vacancy[0]
vacancy.calc = EMT()
BFGS(vacancy, logfile=None).run(fmax=1e-5)

# %% Hessians: analytic where the calculator has one, else central differences of its forces
hessian = get_hessian(vacancy, vacancy.calc)
hessian_bulk = get_hessian(crystal, crystal.calc)

# %% The entropy of the vibrating crystal, with masses
thermo = HarmonicThermodynamics.from_hessian(hessian, vacancy, modes=True)
print(thermo)
for temperature in (100, 300, 600):
    classical = thermo.entropy(temperature) / units.kB
    quantum = thermo.entropy(temperature, quantum=True) / units.kB
    print(f"S({temperature} K) = {classical:7.2f} k_B classical, {quantum:7.2f} k_B quantum")

# %% The formation entropy, against the perfect crystal of the same box; no masses, no temperature
s_f = formation_entropy(
    log_determinant(hessian, pbc=vacancy.pbc),
    len(vacancy),
    log_determinant(hessian_bulk, pbc=crystal.pbc),
    len(crystal),
)
print(f"vacancy formation entropy {s_f:.3f} k_B")

# %% The same from the eigenvalues, for those who doubt
eigenvalues = np.linalg.eigvalsh(hessian.toarray())[3:]
assert abs(np.log(eigenvalues).sum() - log_determinant(hessian, pbc=vacancy.pbc)) < 1e-6
