# %% [markdown]
# # From the output of density functional theory to a potential in production
#
# A potential needs structures with energies, forces and (if you have them) stresses, in any file
# that ASE reads: `OUTCAR`, `vasprun.xml`, extended xyz, compressed or not. Here a stand-in, the
# embedded-atom potential AM04 of iron, "computes" two sets of them; with your own data, start at
# the fit and write `"runs/*/OUTCAR"` instead.

# %%
import json
import tempfile
from pathlib import Path

import numpy as np
from ase import units
from ase.io import read, write
from ase.md.verlet import VelocityVerlet

from thiry_calc import ThiryCalculator
from thiry_calc.defects import build, supercell
from training import fit
from training.references.am04 import AM04, LATTICE_CONSTANT

folder = Path(tempfile.mkdtemp())  # give a lasting path of your own


def distorted(kind, count, seed):
    """Strained and rattled cells, with or without a vacancy: not labelled yet."""
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(count):
        atoms = supercell(LATTICE_CONSTANT, 3)
        if kind == "vacancy":
            del atoms[0]
        strain = 0.02 * rng.normal(size=(3, 3))
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + (strain + strain.T) / 2), scale_atoms=True)
        atoms.positions += rng.uniform(0.02, 0.15) * rng.normal(size=(len(atoms), 3))
        atoms.info = {"config_type": kind}
        frames.append(atoms)
    return frames


def computed(frames):
    """Energies, forces and stresses by "density functional theory"."""
    for atoms in frames:
        atoms.calc = AM04()
        atoms.get_forces()
        atoms.get_stress()
    return frames


write(folder / "bulk.xyz", computed(distorted("bulk", 16, seed=0)))
write(folder / "vacancy.xyz", computed(distorted("vacancy", 16, seed=1)))

# %% [markdown]
# One line fits: copies are left out, the cutoff and the weights of energies, forces and stresses
# are chosen by cross-validation, and a tenth of each group is held out as a test.
# `preset="accurate"` is the default and takes minutes; `thiry fit CONFIG.toml` is the same from the
# command line.

# %%
result = fit([folder / "*.xyz"], folder / "Fe.thiry", preset="fast", r_cut=4.5)
print(result.potential)
for title, table in result.test.tables().items():
    print(title, table, sep="\n")

# %% [markdown]
# Not sure that the data suffice? Ask which of the structures that you could compute next would
# teach the model most (`thiry select` on the command line): labels are not needed for that.

# %%
from training.executors import make_executor
from training.selection import select

pool = [*distorted("bulk", 20, seed=2), *distorted("vacancy", 20, seed=3)]
with make_executor(0) as executor:
    chosen = select(pool, result.potential, 6, executor)
for k, gain in zip(chosen.indices, chosen.gains, strict=True):
    print(f"structure {k:2d} ({pool[k].info['config_type']}): {gain:.1f} nats")
write(folder / "more.xyz", computed([pool[k] for k in chosen.indices]))

# %% [markdown]
# Fit again with the new structures. The report is an HTML page with parity plots, learning curves,
# the coverage of the error bars and the crystal's elastic constants, phonons, vacancy and surfaces;
# its numbers are in a JSON file.

# %%
result = fit(
    [folder / "*.xyz"], folder / "Fe.thiry", preset="fast", r_cut=4.5, report=folder / "report"
)
numbers = json.loads((folder / "report" / "report.json").read_text())
crystal = numbers["crystal"]
print(f"errors within one std: {100 * numbers['coverage']['test']['forces'][0]:.0f} % of forces")
print(f"a0 {crystal['a0_A']:.4f} Å (exactly {LATTICE_CONSTANT:.4f})")
constants = ", ".join(f"{crystal[key]:.0f}" for key in ("C11_GPa", "C12_GPa", "C44_GPa"))
print(f"C11, C12, C44: {constants} GPa (exactly 243, 145, 116)")
print(f"vacancy {crystal['vacancy_energy_eV']:.2f} eV (exactly 1.72)")

# %% [markdown]
# In production it is an ASE calculator: relaxation, dynamics, phonons. Its error bars tell where it
# extrapolates.

# %%
atoms = build("vacancy", crystal["a0_A"], 4)
atoms.calc = ThiryCalculator(folder / "Fe.thiry")
spread = np.sqrt(atoms.get_masses() * units.kB * 600)[:, None]
atoms.set_momenta(spread * np.random.default_rng(0).normal(size=(len(atoms), 3)))
dynamics = VelocityVerlet(atoms, timestep=2 * units.fs)
start = atoms.get_total_energy()
dynamics.run(50)
drift = 1e3 * (atoms.get_total_energy() - start) / len(atoms)
print(f"100 fs at {atoms.get_temperature():.0f} K: the total energy drifts by {drift:.4f} meV/atom")
std = atoms.calc.get_property("energy_std", atoms)
print(f"energy {atoms.get_potential_energy():.3f} ± {std:.3f} eV")
print(f"{len(read(folder / 'more.xyz', index=':'))} structures were worth computing")
