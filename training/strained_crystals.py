"""Rows of the strained perfect crystal against that at rest: S = −3 ln(ω̄/ω̄_0) per atom."""

from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from tqdm import tqdm

from thiry_calc.crystals import crystal_of_box
from thiry_calc.defects import supercell
from thiry_calc.descriptors import Descriptor
from training.crystal import hbar_omega
from training.perturbations import strain

Array = NDArray[np.float64]

_N_K = 16  # k points


def strained_crystals(
    calc: Any,
    a0: float,
    descriptor: Descriptor,
    n_atoms: int,
    count: int,
    seed: int,
    cells: int = 7,
) -> tuple[Array, Array]:
    """Rows of the perfect bcc crystal under random strains of up to 2 %.

    Parameters
    ----------
    calc : Calculator
        The reference potential, with ``get_hessian``.
    a0 : float
        Å.
    descriptor : Descriptor
    n_atoms : int
        Atoms that a row stands for.
    count : int
        Number of strains.
    seed : int
    cells : int
        Cubic cells a side, wider than twice the range of the Hessian.

    Returns
    -------
    features : ndarray, shape (count, K)
    entropy : ndarray, shape (count,)
        −3 ln(ω̄ / ω̄_0) per atom times `n_atoms`, k_B.
    """
    rng = np.random.default_rng(seed)
    strained = []
    for _ in range(count):
        crystal = supercell(a0, cells)
        strain(crystal, 0.02, rng)
        strained.append(crystal)
    return _rows(strained, supercell(a0, cells), calc, a0, descriptor, n_atoms)


def expansion_row(
    calc: Any,
    a0: float,
    descriptor: Descriptor,
    n_atoms: int,
    size: float = 0.002,
    cells: int = 7,
) -> tuple[Array, Array]:
    """Row of the slope at rest: the crystal expanded less the crystal compressed.

    ΔS = 3γ per atom times the difference ΔV/Ω of their volumes, γ the Grüneisen parameter; strains
    without a change of volume have no slope, by symmetry.

    Parameters
    ----------
    calc, a0, descriptor, n_atoms
        As in `strained_crystals`.
    size : float
        Linear strain, one way.
    cells : int
        Likewise.

    Returns
    -------
    features : ndarray, shape (1, K)
    entropy : ndarray, shape (1,)
        k_B.
    """
    both = [supercell(a0 * (1 + s), cells) for s in (size, -size)]
    features, entropy = _rows(both, supercell(a0, cells), calc, a0, descriptor, n_atoms)
    return features[:1] - features[1:], entropy[:1] - entropy[1:]


def _rows(
    cells: list[Atoms], rest: Atoms, calc: Any, a0: float, descriptor: Descriptor, n_atoms: int
) -> tuple[Array, Array]:
    zero, phi_0 = _log_frequency(rest, calc, a0), descriptor.values(rest)[0]
    frequencies = [_log_frequency(c, calc, a0) for c in tqdm(cells, desc="strained crystals")]
    features = [n_atoms * (descriptor.values(cell)[0] - phi_0) for cell in cells]
    return np.array(features), -3 * n_atoms * (np.array(frequencies) - zero)


def _log_frequency(crystal: Atoms, calc: Any, a0: float) -> float:
    box = crystal_of_box(crystal, "bcc", a0, crystal.symbols[0])
    return float(np.log(hbar_omega(box, calc, _N_K)))
