"""Labels of a structure, whatever its file calls them: energy, forces, stress, entropy.

    stress = (1/V) ∂E/∂ε, eV/Å³ (ASE's sign),    virial = −V · stress, eV

Names like ``REF_energy`` and ``dft_forces`` go before plain ones, which may be another program's;
among these the energy that forces derive from (ASE's ``free_energy``) goes before ``energy``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

Array = NDArray[np.float64]

QUANTITIES = ("energy", "forces", "stress", "virial", "entropy")
_PREFIXES = ("REF_", "ref_", "DFT_", "dft_", "")
_NAMES = {
    "energy": ("free_energy", "energy"),
    "forces": ("forces", "force"),
    "stress": ("stress",),
    "virial": ("virial", "virials"),
    "entropy": ("formation_entropy_kB",),
}
_SYMMETRY = 1e-3  # relative asymmetry of a stress tensor that printed digits may cause


@dataclass(frozen=True, eq=False)
class Labels:
    """What is known of one structure; None where nothing is.

    Attributes
    ----------
    energy : float or None
        eV.
    forces : ndarray or None, shape (N, 3)
        eV/Å.
    stress : ndarray or None, shape (6,)
        Voigt order of ASE, eV/Å³.
    entropy : float or None
        Of formation, k_B.
    names : mapping of str to str
        The name under which each of `QUANTITIES` was found.
    """

    energy: float | None
    forces: Array | None
    stress: Array | None
    entropy: float | None
    names: Mapping[str, str]


def labels_of(atoms: Atoms, keys: Mapping[str, str], where: str) -> Labels:
    """Find and check the labels of a structure.

    Parameters
    ----------
    atoms : Atoms
        As `ase.io.read` gives it: labels among the results of its calculator, in ``info`` or in
        ``arrays``.
    keys : mapping of str to str
        Names to use for some of `QUANTITIES`, instead of the usual ones.
    where : str
        File and frame, for messages.

    Returns
    -------
    Labels

    Raises
    ------
    ValueError
        Labels that are not finite, of the wrong shape, or a stress without a volume.
    """
    found: dict[str, tuple[str, Any]] = {}
    stored = _stored(atoms)
    for quantity in QUANTITIES:
        names = [keys[quantity]] if quantity in keys else _usual(quantity)
        name = next((n for n in names if n in stored), None)
        if name is not None:
            found[quantity] = (name, stored[name])
    if "stress" in found and "virial" not in keys:
        found.pop("virial", None)  # the same again; asked for by name, it goes first
    numbers = {
        quantity: float(_finite(*found[quantity], (), where))
        for quantity in ("energy", "entropy")
        if quantity in found
    }
    forces = stress = None
    if "forces" in found:
        forces = _finite(*found["forces"], (len(atoms), 3), where)
    for quantity in ("stress", "virial"):
        if quantity in found:
            stress = _voigt(*found[quantity], where)
            volume = _volume(atoms, found[quantity][0], where)
            stress = stress if quantity == "stress" else -stress / volume
    called = {quantity: name for quantity, (name, _) in found.items()}
    return Labels(numbers.get("energy"), forces, stress, numbers.get("entropy"), called)


def _stored(atoms: Atoms) -> dict[str, Any]:
    results = {} if atoms.calc is None else dict(atoms.calc.results)
    return {**atoms.arrays, **atoms.info, **{k: v for k, v in results.items() if v is not None}}


def _usual(quantity: str) -> list[str]:
    """Names by which files call a quantity, the surest first."""
    return [prefix + name for prefix in _PREFIXES for name in _NAMES[quantity]]


def _finite(name: str, value: Any, shape: tuple[int, ...], where: str) -> Array:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{where}: {name!r} is {value!r}; expected numbers") from None
    if array.shape != shape:
        raise ValueError(f"{where}: {name!r} has shape {array.shape}; expected {shape}")
    if not np.isfinite(array).all():
        at = f" at atom {int(np.argwhere(~np.isfinite(array))[0][0])}" if shape else ""
        raise ValueError(f"{where}: {name!r} is not finite{at}; repair or leave out this structure")
    return array


def _voigt(name: str, value: Any, where: str) -> Array:
    """Six components xx, yy, zz, yz, xz, xy of a symmetric tensor given as 6, 9 or 3×3 numbers."""
    array = np.asarray(value)
    if array.shape == (6,):
        return _finite(name, value, (6,), where)
    if array.shape == (9,):
        array = array.reshape(3, 3)
    tensor = _finite(name, array, (3, 3), where)
    if np.abs(tensor - tensor.T).max() > _SYMMETRY * np.abs(tensor).max() + 1e-6:
        raise ValueError(
            f"{where}: {name!r} is not symmetric; expected xx xy xz yx yy yz zx zy zz, or six "
            "numbers xx yy zz yz xz xy"
        )
    tensor = (tensor + tensor.T) / 2
    return tensor[(0, 1, 2, 1, 0, 0), (0, 1, 2, 2, 2, 1)]


def _volume(atoms: Atoms, name: str, where: str) -> float:
    if atoms.cell.rank < 3:
        raise ValueError(
            f"{where}: {name!r} is given, but the cell has no volume; add the cell, or rename the "
            "label so that it is not found"
        )
    return float(atoms.get_volume())
