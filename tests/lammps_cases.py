"""What the bridge to LAMMPS is compared on; as a script, by several processes:

mpirun -np 2 python tests/lammps_cases.py RESULT.json
"""

import json
import sys
from pathlib import Path

import numpy as np
from ase import Atoms, units
from small_potentials import build_potential
from yace_cases import STRUCTURES, structure

from thiry_calc.calculator import ThiryCalculator
from thiry_calc.lammps import Box, attach, run_scan, start

PRESSURE = ("pxx", "pyy", "pzz", "pxy", "pxz", "pyz")
CASES = {
    "afs Fe": ("afs", ("Fe",), False, None),
    "afs Fe A(600 K)": ("afs", ("Fe",), False, 600.0),
    "power Fe-W A(600 K)": ("power", ("Fe", "W"), False, 600.0),
    "pair Fe-W, AFS for S": ("pair", ("Fe", "W"), True, 600.0),
    "ace3 Fe-W": ("ace3", ("Fe", "W"), False, None),
    "two hops": ("pair", ("Fe",), "log_det", 600.0),
}


def differences(case, name):
    """Largest differences from ASE: eV/atom, eV/Å, and relative, of the virial."""
    kind, elements, split, temperature = CASES[case]
    potential = build_potential(kind, elements, split=split)
    atoms = structure(name, elements)
    lmp = start()
    box = Box(lmp, atoms, elements)
    bridge = attach(lmp, potential, temperature, threads=1)
    lmp.commands_string(f"thermo_style custom step pe {' '.join(PRESSURE)}\nrun 0")
    atoms.calc = ThiryCalculator(potential, temperature, extrapolation_warning=False)
    found = {
        "energy": (lmp.get_thermo("pe") - atoms.get_potential_energy(force_consistent=True))
        / len(atoms),
        "forces": box.forces() - atoms.get_forces(),
        "total": bridge.total("energy") / len(atoms)
        - atoms.get_potential_energy(force_consistent=False) / len(atoms),
    }
    if atoms.pbc.all():
        xx, yy, zz, xy, xz, yz = (lmp.get_thermo(p) for p in PRESSURE)
        pressure = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
        stress = -box.prism.tensor2_to_ase(pressure) * units.bar
        own = atoms.get_stress(voigt=False)
        found["stress"] = (stress - own) / np.abs(own).max()
    lmp.close()
    return {key: float(np.abs(value).max()) for key, value in found.items()}


def moved():
    """Difference of the forces, eV/Å, after 150 steps of hot dynamics in a thin box."""
    potential = build_potential("afs")
    atoms = structure("bulk", ("Fe",)) * (1, 1, 2)
    lmp = start()
    box = Box(lmp, atoms, ("Fe",), sort=True)
    attach(lmp, potential, threads=1)
    lmp.commands_string(
        """neighbor 0.3 bin
        atom_modify sort 7 2.0
        velocity all create 3000 1
        fix 1 all nve
        run 150"""
    )
    there = Atoms(atoms.symbols, box.positions(), cell=atoms.cell, pbc=True)
    far = float(np.linalg.norm(there.positions - atoms.positions, axis=1).max())
    there.calc = ThiryCalculator(potential, extrapolation_warning=False)
    difference = float(np.abs(box.forces() - there.get_forces()).max())
    lmp.close()
    return {"farthest move": far, "forces": difference}


def half_empty():
    """Difference of forces where one of two processes has no atoms, eV/Å."""
    atoms = structure("cluster", ("Fe",))
    atoms.set_cell([60.0, 8.0, 8.0])
    atoms.pbc = True
    potential = build_potential("afs")
    lmp = start()
    box = Box(lmp, atoms, ("Fe",))
    attach(lmp, potential, threads=1)
    lmp.command("run 0")
    atoms.calc = ThiryCalculator(potential, extrapolation_warning=False)
    difference = float(np.abs(box.forces() - atoms.get_forces()).max())
    lmp.close()
    return difference


def scanned():
    """Formation energy and entropy of a vacancy in a small box, with their uncertainties."""
    (one,) = run_scan("vacancy", build_potential("afs"), (0, 600), size=4).configurations
    return {
        "E": one.formation_energy_eV,
        "S": one.formation_entropy_kB,
        "E_std": one.energy_std_eV,
        "S_std": one.entropy_std_kB,
    }


if __name__ == "__main__":
    lmp = start()
    first = lmp.extract_setting("world_rank") == 0
    size = lmp.extract_setting("world_size")
    lmp.close()
    result = {
        "processes": size,
        "cases": {c: {n: differences(c, n) for n in STRUCTURES} for c in CASES},
        "moved": moved(),
        "half empty": half_empty(),
        "scanned": scanned(),
    }
    if first:
        Path(sys.argv[1]).write_text(json.dumps(result))
