"""From labelled structures to weighted rows of the linear problem.

    energy    x = Σ_i φ_i − N φ_0,     y = E − N y_0        σ = σ_E √N
    forces    x = −∂(Σ_i φ_i)/∂R,      y = F                σ² = σ_F² + (f |F_i|)²
    stress    x = ∂(Σ_i φ_i)/∂ε,       y = V · stress       σ = σ_V √N

with φ_0, y_0 of the perfect crystal, so that only differences from it are fitted. Rows go one
structure at a time into mergeable statistics: memory K², whatever the amount of data.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from tqdm import tqdm

from thiry_calc.descriptors import Descriptor
from thiry_calc.linear import TSQR
from thiry_calc.neighbors import neighbors_of

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sigma:
    """Expected errors of the labels of one family, which set the weights of its rows.

    Parameters
    ----------
    energy : float
        eV per square root of the number of atoms.
    force : float
        eV/Å.
    force_fraction : float
        Share of the force on the atom that is added in quadrature.
    virial : float
        eV per square root of the number of atoms.
    """

    energy: float = 0.004
    force: float = 0.03
    force_fraction: float = 0.05
    virial: float = 0.05


@dataclass(frozen=True)
class Reference:
    """The perfect crystal: features per atom, shape (K,), and energy per atom, eV."""

    features: Array
    energy: float


def energy_statistics(
    frames: Iterable[Atoms],
    descriptor: Descriptor,
    reference: Reference,
    sigma: Mapping[str, Sigma],
    description: str = "rows",
) -> TSQR:
    """Statistics of energies, forces and stresses.

    Parameters
    ----------
    frames : iterable of Atoms
        With a calculator that holds energies, and forces and stress where they count;
        ``info["family"]`` chooses the weights.
    descriptor : Descriptor
    reference : Reference
    sigma : mapping of str to Sigma
        By family.
    description : str
        Shown beside the progress bar.

    Returns
    -------
    TSQR
    """
    statistics = TSQR(descriptor.n_features)
    for atoms in tqdm(frames, desc=description, disable=None):
        s = sigma[atoms.info["family"]]
        root = np.sqrt(len(atoms))
        labels = atoms.calc.results
        nl = neighbors_of(atoms, descriptor.cutoff)
        if "forces" not in labels:
            total = descriptor.values(nl).sum(axis=0)
        else:
            total, force_rows, strain_rows = descriptor.push(nl)
            forces = labels["forces"]
            size = np.sqrt(s.force**2 + s.force_fraction**2 * np.sum(forces**2, axis=1))
            statistics.update(force_rows, forces.ravel(), np.repeat(1 / size, 3))
            if "stress" in labels:
                virial = labels["stress"] * atoms.get_volume()
                statistics.update(strain_rows, virial, np.full(6, 1 / (s.virial * root)))
        x = total - len(atoms) * reference.features
        y = labels["energy"] - len(atoms) * reference.energy
        statistics.update(x[None], [y], [1 / (s.energy * root)])
    return statistics


def feature_sums(
    frames: Iterable[Atoms], descriptor: Descriptor, description: str = "features"
) -> Array:
    """Σ_i φ_i of each structure.

    Parameters
    ----------
    frames : iterable of Atoms
    descriptor : Descriptor
    description : str
        Shown beside the progress bar.

    Returns
    -------
    ndarray, shape (number of frames, K)
    """
    rows = [
        descriptor.values(neighbors_of(atoms, descriptor.cutoff)).sum(axis=0)
        for atoms in tqdm(frames, desc=description, disable=None)
    ]
    return np.array(rows).reshape(len(rows), descriptor.n_features)
