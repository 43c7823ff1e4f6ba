"""Models as .yace files, for ``pair_style pace`` of LAMMPS."""

from thiry_calc.yace.export import Exported, export

__all__ = ["Exported", "export"]
