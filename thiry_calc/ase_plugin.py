"""What ASE's plugin system (entry-point group ``ase.plugins``) finds of this package.

ASE loads every registered module when its plugins are looked up, and its interface is still
experimental: where it is absent or has moved, no plugin is offered and nothing else breaks.
"""

from typing import Any

try:
    from ase._4.plugins.plugin import CalculatorPlugin
except ImportError:
    __ase_plugins__: set[Any] = set()
else:
    __ase_plugins__ = {
        CalculatorPlugin(
            name="thiry",
            citation="Phys. Rev. Materials 4, 063802 (2020), doi:10.1103/PhysRevMaterials.4.063802",
            implementation="thiry_calc.calculator.ThiryCalculator",
        )
    }
