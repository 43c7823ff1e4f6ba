"""Potentials of LAMMPS, any ``pair_style``, as references: energy, forces, stress, Hessian.

The Hessian is that of the command ``dynamical_matrix``, which displaces atom after atom within
LAMMPS and writes the exact bytes of

    D_iα,jβ(h) = −[F_jβ(R_iα + h) − F_jβ(R_iα − h)] / 2h√(m_i m_j).

Of two steps, H = √(m_i m_j) (4 D(h) − D(2h)) / 3 errs by h⁴ only: the formula of
`thiry_calc.hessian.finite_difference_hessian`, which serves where LAMMPS was built without the
command. Checked against a Morse solid in closed form: 5e-9 eV/Å² at h = 0.002 Å, where D(h) alone
errs by 2e-5. On one core, 127 atoms of an embedded-atom potential take 0.4 s (the differences from
here: 2.7 s), 1023 take 25 s (35 s), 53 of SNAP 6.5 s (10.8 s).

What remains is the potential's. Tables have second derivatives as good as their digits and splines:
the formation entropy of a vacancy in 128 and 250 sites is within 0.004 k_B of the analytic one with
the table of M07, and within 0.013 and 0.04 k_B with that of AM04. Smaller steps see more noise of a
table, larger ones reach across what is not smooth.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import scipy.sparse as sp
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from numpy.typing import NDArray

from thiry_calc.hessian import enforce_sum_rule, finite_difference_hessian
from thiry_calc.lammps.box import Box, start
from thiry_calc.lammps.kept import KeptBox
from thiry_calc.neighbors import VOIGT, NeighborCache, check_overlap
from thiry_calc.structures import R_OVERLAP, check_structure
from training.ground_state import lattice_constants, relaxed_unit, usual_lattice
from training.references.lammps_commands import Commands, read_commands

Array = NDArray[np.float64]

_STEP = 0.002  # Å
_DROP = 1e-8  # eV/Å², entries below it are left out
_OUTPUT = """neigh_modify every 1 delay 0 check yes once no
    compute virial all pressure NULL virial
    thermo_style custom step pe c_virial[1]
    thermo 1"""
_REMEDIES = {
    "not enabled in this LAMMPS": "use a LAMMPS that was built with this package",
    "Unrecognized pair style": "check its name, or use a LAMMPS that has it",
    "annot open": "paths are relative to the folder of the commands",
    "requires atom attribute q": "add 'atom_style charge' and 'set type 1 charge 1.0'",
}


class Lammps(Calculator):  # type: ignore[misc]
    """ASE calculator of a potential that LAMMPS commands define.

    An instance of LAMMPS is kept while only positions change (`thiry_calc.lammps.kept`).

    Parameters
    ----------
    file : str or Path
        Text file of ``pair_style``, ``pair_coeff``, ..., with a comment such as
        ``# elements: Fe W`` that names the element of each atom type; see
        `training.references.lammps_commands`.
    elements : sequence of str, optional
        Instead of that comment.

    Raises
    ------
    FileNotFoundError
        No such file.
    ValueError
        What the file has is not a potential, and nothing else.
    """

    implemented_properties = ("energy", "free_energy", "forces", "stress")

    def __init__(self, file: str | Path, elements: Sequence[str] | None = None) -> None:
        super().__init__()
        self.commands = read_commands(file, elements)
        self._name = repr(str(file))
        self._overlap = NeighborCache(R_OVERLAP, skin=R_OVERLAP)
        self._kept = KeptBox(self._make)

    def __getstate__(self) -> dict[str, Any]:
        """State without the instance of LAMMPS: a copy, also in another process, starts its own."""
        return {k: v for k, v in self.__dict__.items() if k != "_kept"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the state of another calculator."""
        self.__dict__.update(state)
        self._kept = KeptBox(self._make)

    @staticmethod
    def files_of(file: str | Path) -> tuple[Path, ...]:
        """Files, beyond the commands, that decide what this potential is."""
        return read_commands(file).files

    @property
    def lattice_constant(self) -> float:
        """Of the element's usual crystal at zero pressure, Å; bcc or fcc elements have one."""
        elements = self.commands.elements
        if len(elements) > 1 or usual_lattice(elements[0]) not in ("bcc", "fcc"):
            raise AttributeError(
                f"{self._name} is not of one element that is bcc or fcc; give the lattice constant"
            )
        return _lattice_constant(self.commands)

    def close(self) -> None:
        """End the instance of LAMMPS; the next calculation starts another."""
        self._kept.close()

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Compute energy (eV), forces (N, 3; eV/Å) and, in a cell, stress (6,; eV/Å³)."""
        super().calculate(atoms, properties, system_changes)
        self._checked(self.atoms)
        with self._refusals(f"{self._name} for this structure"):
            box = self._kept.evaluate(self.atoms)
        energy, forces = float(box.lmp.get_thermo("pe")), box.forces()
        if not (np.isfinite(energy) and np.isfinite(forces).all()):
            self.close()
            raise ValueError(
                f"LAMMPS finds an energy of {energy} eV, or such forces; check the distances of "
                "the atoms, and the potential"
            )
        self.results: dict[str, Any] = {"energy": energy, "free_energy": energy, "forces": forces}
        if self.atoms.cell.rank == 3:
            self.results["stress"] = _stress(box) / self.atoms.get_volume()

    def get_hessian(self, atoms: Atoms, step: float = _STEP) -> sp.csr_array:
        """Second derivatives of the energy, by differences of forces within LAMMPS.

        They pass through temporary files of 144 N² bytes: 150 MB for 1023 atoms.

        Parameters
        ----------
        atoms : Atoms
            N atoms; any boundary conditions.
        step : float
            Displacement h, Å.

        Returns
        -------
        (3N, 3N) sparse array, eV/Å²
            Symmetric and translation invariant.

        Raises
        ------
        ValueError
            When LAMMPS refuses the structure or the potential.
        """
        self._checked(atoms)
        box = self._kept.place(atoms)
        if not _has_dynamical_matrix(box.lmp):
            return finite_difference_hessian(atoms, self, step)
        self._kept.begin_anew()  # the command is no run, after which a next one could go on
        with self._refusals(f"{self._name} for this structure"):
            return _hessian(box, step)

    def _checked(self, atoms: Atoms) -> None:
        check_structure(atoms)
        check_overlap(self._overlap.get(atoms))

    def _make(self, atoms: Atoms) -> Box:
        lmp = start()
        try:
            lmp.command(f"atom_style {self.commands.atom_style}")
            with self._refusals(f"{self._name} for this structure"):
                box = Box(lmp, atoms, self.commands.elements)
            for line in self.commands.lines:
                with self._refusals(f"{line!r} of {self._name}"):
                    lmp.command(line)
            lmp.commands_string(_OUTPUT)
        except BaseException:
            lmp.close()
            raise
        return box

    @contextmanager
    def _refusals(self, what: str) -> Iterator[None]:
        """Turn errors of LAMMPS into one sentence, and end the instance."""
        try:
            yield
        except ValueError:
            self.close()
            raise
        except Exception as error:  # LAMMPS has no narrower class
            self.close()
            raise ValueError(f"LAMMPS refuses {what}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Message of an error of LAMMPS on one line, and what to do."""
    text = re.sub(r"^ERROR[^:]*: |\nLast input line:.*| \(src/\S+\)", "", str(error).strip("'"))
    text = " ".join(text.split())
    for sign, remedy in _REMEDIES.items():
        if sign in text:
            return f"{text}; {remedy}"
    return f"{text}; compare the manual of the pair style"


def _rotation(box: Box) -> Array:
    """Rotation of vectors from the frame of LAMMPS to that of the structure, (3, 3)."""
    return np.asarray(box.prism.vector_to_ase(np.eye(3))).T


def _stress(box: Box) -> Array:
    """Stress times the volume of the cell, in the structure's frame: (6,), Voigt order, eV."""
    xx, yy, zz, xy, xz, yz = np.array(box.lmp.extract_compute("virial", 0, 1)[:6])
    pressure = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])  # bar
    q, unit = _rotation(box), box.lmp.extract_global("nktv2p")
    turned = -q @ pressure @ q.T * box.lmp.get_thermo("vol") / unit
    return np.array([turned[pair] for pair in VOIGT])


def _hessian(box: Box, step: float) -> sp.csr_array:
    """Hessian (3N, 3N), eV/Å², of two runs of ``dynamical_matrix``."""
    lmp, q = box.lmp, _rotation(box)
    n = lmp.get_natoms()
    types = np.array(lmp.gather_atoms("type", 0, 1)[:n])
    root = np.sqrt(lmp.numpy.extract_atom("mass").ravel()[types])
    with TemporaryDirectory() as folder:
        near, far = (_dynamical_matrix(lmp, h, Path(folder, f"{h}"), n) for h in (step, 2 * step))
        rows = []
        for i in range(n):
            block = (4 * near[i] - far[i]) / 3 * (root[i] * root)[:, None]  # (3, N, 3)
            row = np.einsum("ab,bjc,dc->ajd", q, block, q).reshape(3, 3 * n)
            row[np.abs(row) < _DROP] = 0.0
            rows.append(sp.csr_array(row))
    hessian = sp.csr_array(sp.vstack(rows))
    return enforce_sum_rule(sp.csr_array((hessian + hessian.T) / 2))


def _dynamical_matrix(lmp: Any, step: float, file: Path, n: int) -> Array:
    """D, shape (N, 3, N, 3), eV/Å²/amu, in the frame of LAMMPS; on disk."""
    lmp.command(f'dynamical_matrix all regular {step!r} binary yes file "{file}"')
    return np.memmap(file, float, "r", shape=(n, 3, n, 3))


def _has_dynamical_matrix(lmp: Any) -> bool:
    """Whether LAMMPS has the command; of several processes, one alone could read its output."""
    return bool(
        lmp.has_style("command", "dynamical_matrix") and lmp.extract_setting("world_size") == 1
    )


@lru_cache(maxsize=8)
def _lattice_constant(commands: Commands) -> float:
    """At zero pressure, Å, of the usual crystal of a single element."""
    (element,) = commands.elements
    calc = Lammps(commands.path, commands.elements)
    unit = relaxed_unit(element, calc)
    calc.close()
    return lattice_constants(unit, str(usual_lattice(element)))[0]
