"""An instance of LAMMPS that is kept while only positions change: 2 ms a step instead of 30.

(1000 atoms of an embedded-atom potential.)
"""

from collections.abc import Callable

import numpy as np
from ase import Atoms

from thiry_calc.lammps.box import Box

_FIRST, _NEXT = "run 0 post no", "run 1 pre no post no"  # nothing integrates: no atom moves


class KeptBox:
    """The box of the structure at hand.

    Parameters
    ----------
    make : callable
        Starts an instance with its potential, and puts a structure in.
    far : float
        Å; an instance is made anew for atoms that go farther than this from where they began:
        between domains of several processes they may be lost.
    """

    def __init__(self, make: Callable[[Atoms], Box], far: float = np.inf) -> None:
        self._make, self._far = make, far
        self._box: Box | None = None
        self._made_for = Atoms()
        self._run = _FIRST

    def place(self, atoms: Atoms) -> Box:
        """Return the box with a structure in it; another one, where more than positions changed."""
        if self._box is not None and self._is_same(atoms):
            self._box.set_positions(atoms.get_positions())
            return self._box
        self.close()
        self._box = self._make(atoms)
        self._made_for, self._run = atoms.copy(), _FIRST
        return self._box

    def _is_same(self, atoms: Atoms) -> bool:
        old = self._made_for
        return bool(
            np.array_equal(old.numbers, atoms.numbers)
            and np.array_equal(old.cell.array, atoms.cell.array)
            and np.array_equal(old.pbc, atoms.pbc)
            and np.abs(old.positions - atoms.positions).max() <= self._far
        )

    def evaluate(self, atoms: Atoms) -> Box:
        """Let LAMMPS compute energy and forces of a structure."""
        box = self.place(atoms)
        command, self._run = self._run, _FIRST  # after a failure, and other commands, all anew
        box.lmp.command(command)
        self._run = _NEXT
        return box

    def begin_anew(self) -> None:
        """Tell that a command was given after which the next run cannot go on."""
        self._run = _FIRST

    def close(self) -> None:
        """End the instance."""
        if self._box is not None:
            self._box.lmp.close()
        self._box = None
