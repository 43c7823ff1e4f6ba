"""What exported files are compared on: models, and structures of every kind."""

import numpy as np
from ase import Atoms
from ase.build import bcc110, bulk, make_supercell

KINDS = ("afs", "power", "ace3", "ace4")
MODELS = [(kind, elements) for kind in KINDS for elements in (("Fe",), ("Fe", "W"))]
NAMES = [f"{kind} {'-'.join(elements)}" for kind, elements in MODELS]
STRUCTURES = ("bulk", "surface", "cluster", "skewed")


def structure(name, elements):
    """A disordered structure of the elements."""
    rng = np.random.default_rng(STRUCTURES.index(name))
    atoms = {
        "bulk": lambda: bulk("Fe", "bcc", 2.9, cubic=True) * (2, 2, 2),
        "surface": lambda: bcc110("Fe", (2, 2, 4), 2.9, vacuum=6.0, periodic=False),
        "cluster": lambda: Atoms("Fe7", 2.4 * np.array(list(np.ndindex(2, 2, 2)))[:7]),
        "skewed": lambda: make_supercell(
            bulk("Fe", "bcc", 2.9), [[1, 0, 0], [1, 2, 0], [0, -1, 1]]
        ),
    }[name]()
    atoms.symbols[:] = rng.choice(elements, len(atoms))
    atoms.positions += rng.uniform(-0.15, 0.15, atoms.positions.shape)
    if name == "skewed":
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.uniform(-0.1, 0.1, (3, 3))), True)
    return atoms
