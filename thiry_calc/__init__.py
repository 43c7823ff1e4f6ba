"""thiry_calc: global properties as sums of linear functions of local neighbourhoods.

``F(x) = Σ_i w·φ(N_i)``: energies, forces, stress and vibrational entropies of atomistic
structures, served as an ASE calculator. Exports are lazy (PEP 562), so that
``import thiry_calc.linear`` loads neither ASE nor numba.
"""

from importlib import import_module
from typing import Any

_EXPORTS = {
    "ThiryCalculator": "thiry_calc.calculator",
    "Potential": "thiry_calc.potential",
    "list_potentials": "thiry_calc.shipped",
    "AFS": "thiry_calc.descriptors",
    "PowerSpectrum": "thiry_calc.descriptors",
    "Pair": "thiry_calc.descriptors",
    "HarmonicThermodynamics": "thiry_calc.harmonic",
    "log_determinant": "thiry_calc.harmonic",
}
__all__ = list(_EXPORTS)
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import an exported name on first use."""
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module 'thiry_calc' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the exported names."""
    return sorted([*globals(), *_EXPORTS])
