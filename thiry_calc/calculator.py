"""The ASE calculator: learned energy E, formation entropy S_f and free energy A(T).

    vibrational entropy  S_vib = k_B { S_f + Σ_i 3 [ ln(k_B T / ħω̄_i) + 1 ] }
    free energy          A(T)  = E − k_B T S_f − Σ_i 3 k_B T ln(k_B T / ħω̄_i),     A(0) = E

(classical harmonic; S_f in units of k_B). With a temperature, forces and stress derive from
A(T), which is the free energy of a basin: use it to relax, to compare basins and along
minimum-energy paths, not for molecular dynamics, which would count vibrations twice.
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
from ase import Atoms, units
from ase.calculators.calculator import Calculator, all_changes
from ase.outputs import Properties, all_outputs
from numpy.typing import NDArray

from thiry_calc.blocks import evaluate, extrapolations, uncertainties
from thiry_calc.descriptors.base import MARGIN, species_of
from thiry_calc.neighbors import (
    NeighborCache,
    NeighborList,
    check_overlap,
    pair_forces_to_forces,
    strain_derivative,
)
from thiry_calc.potential import Potential
from thiry_calc.structures import check_structure

Array = NDArray[np.float64]
_UNCERTAIN = ("energy_std", "entropy_std", "leverage")
_ENTROPIC = ("formation_entropy", "vibrational_entropy", "site_entropies")


class ExtrapolationWarning(UserWarning):
    """A structure lies outside the training data of the model."""


class ThiryCalculator(Calculator):
    """Energies, forces, stress, vibrational entropy and free energy of a fitted model.

    Parameters
    ----------
    model : str, Path or Potential
        A shipped name (`list_potentials`), the path of a model file, or a potential.
    temperature : float, optional
        K. Forces and stress then derive from A(T); None or 0 means E.
    skin : float
        Extra radius of the neighbour list, Å.
    extrapolation_warning : bool
        Warn when an atom's leverage exceeds the largest of the training data; checked whenever
        the neighbour list is rebuilt.
    progress : bool
        Show progress bars on stderr for structures of more than 20,000 atoms.

    Raises
    ------
    FileNotFoundError, ValueError
        When the model cannot be loaded, or the temperature is negative, or there is a
        temperature but no entropy in the model.

    Notes
    -----
    Besides ASE's properties, `get_property` gives "formation_entropy" and "site_entropies"
    (k_B), "vibrational_entropy" (eV/K, at `temperature` or 300 K), "energy_std" (eV),
    "entropy_std" (k_B), "leverage" (per atom) and "force_std" (of the energy's forces, eV/Å; for
    small cells: its memory is that of all rows of the fit).

    The kernels run on numba's threads, which a fork does not survive: in a pool of processes,
    use ``multiprocessing.get_context("spawn")``. `numba.set_num_threads` bounds them.
    """

    implemented_properties = [  # noqa: RUF012 - ASE's class attribute
        "energy", "energies", "free_energy", "forces", "stress",
        *_ENTROPIC, *_UNCERTAIN, "force_std",
    ]  # fmt: skip
    default_parameters: dict[str, Any] = {"temperature": None}  # noqa: RUF012

    def __init__(
        self,
        model: str | Path | Potential = "Fe-AM04",
        temperature: float | None = None,
        skin: float = 0.5,
        extrapolation_warning: bool = True,
        progress: bool = False,
    ) -> None:
        self.potential = model if isinstance(model, Potential) else Potential.load(model)
        self.extrapolation_warning = extrapolation_warning
        self.progress = progress
        self._neighbors = NeighborCache(self.potential.cutoff, skin)
        self._energy_is_free_energy = False
        self._warned_dynamics = False
        super().__init__(temperature=temperature)

    def set(self, **parameters: Any) -> dict[str, Any]:
        """Set `temperature` (K); results are recomputed when it changes.

        Raises
        ------
        ValueError
            For a negative or non-finite temperature, a model without entropy, or another
            parameter.
        """
        if unknown := parameters.keys() - self.default_parameters:
            raise ValueError(f"unknown parameter {min(unknown)!r}; only temperature can be set")
        temperature = parameters.get("temperature")
        if temperature is not None:
            if not (isinstance(temperature, int | float | np.number) and 0 <= temperature < np.inf):
                raise ValueError(f"temperature must be 0 K or more, not {temperature!r}")
            if temperature > 0:
                self._needs_entropy()
        changed = super().set(**parameters)
        if changed:
            self.reset()
        return changed

    @property
    def temperature(self) -> float | None:
        """Temperature of A(T), K; None means E."""
        return self.parameters["temperature"]

    @temperature.setter
    def temperature(self, value: float | None) -> None:
        self.set(temperature=value)

    def as_free_energy(self) -> "ThiryCalculator":
        """Return a calculator whose `energy` is A(T): for NEB, which reads the energy.

        Returns
        -------
        ThiryCalculator
        """
        view = ThiryCalculator(
            self.potential,
            self.temperature,
            self._neighbors.skin,
            self.extrapolation_warning,
            self.progress,
        )
        view._energy_is_free_energy = True
        return view

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | tuple[str, ...] = ("energy",),
        system_changes: list[str] = all_changes,
    ) -> None:
        """Compute what is asked for and not known yet (called by ASE)."""
        super().calculate(atoms, properties, system_changes)
        if system_changes:
            self.results: dict[str, Any] = {}
        check_structure(self.atoms)
        if set(properties) & set(_ENTROPIC) | set(properties) & {"entropy_std"}:
            self._needs_entropy()
        if "stress" in properties and self.atoms.cell.rank < 3:
            raise ValueError("stress needs a cell with a volume; set atoms.cell")
        builds = self._neighbors.n_builds
        nl = self._neighbors.get(self.atoms)
        check_overlap(nl)
        species = species_of(nl, self.potential.elements)
        if mix := self._missing(properties):
            self._base(nl, species, mix)
        new_list = self._neighbors.n_builds > builds
        warn = new_list and self.extrapolation_warning and self._can_extrapolate
        if warn or set(properties) & set(_UNCERTAIN) - self.results.keys():
            self._uncertainty(nl, species, warn)
        if "force_std" in properties and "force_std" not in self.results:
            self.results["force_std"] = self.potential.force_std(nl)

    def _missing(self, properties: list[str] | tuple[str, ...]) -> dict[str, float]:
        """Targets to evaluate, with their factors in A(T): no entropy where none is wanted."""
        t, targets = self.temperature or 0.0, self.potential.targets
        mix = {}
        if "energy" in targets and "energy" not in self.results:
            mix["energy"] = 1.0
        wanted = t > 0 or "energy" not in targets or set(properties) & set(_ENTROPIC)
        if "entropy" in targets and wanted and "formation_entropy" not in self.results:
            mix["entropy"] = -units.kB * t
        return mix

    def _base(self, nl: NeighborList, species: NDArray[np.int64], mix: dict[str, float]) -> None:
        t = self.temperature or 0.0
        if t > 0 and not self._warned_dynamics and np.any(self.atoms.get_momenta()):
            self._warned_dynamics = True
            warnings.warn(
                "dynamics on the free energy A(T) counts vibrations twice; "
                "run molecular dynamics with temperature=None",
                stacklevel=2,
            )
        sites, pair_forces = evaluate(self.potential, nl, self.atoms, species, mix, self.progress)
        if "entropy" in sites:
            s_f = float(sites["entropy"].sum())
            self.results.update(formation_entropy=s_f, site_entropies=sites["entropy"])
            if self.potential.crystal is not None:
                logs = self.potential.log_occupation(t or 300.0)[species]
                s_vib = units.kB * (s_f + 3 * float(np.sum(logs + 1)))
                self.results["vibrational_entropy"] = s_vib
        if "energy" not in sites:
            return
        energy = free_energy = float(sites["energy"].sum())
        energies = sites["energy"]
        if t > 0:
            logs = self.potential.log_occupation(t)[species]
            free_energy = energy - units.kB * t * (s_f + 3 * float(logs.sum()))
            if self._energy_is_free_energy:
                energy = free_energy
                energies = energies - units.kB * t * (sites["entropy"] + 3 * logs)
        self.results.update(
            energy=energy,
            energies=energies,
            free_energy=free_energy,
            forces=pair_forces_to_forces(nl.first, nl.neighbor, pair_forces),
        )
        if self.atoms.cell.rank == 3:
            strain = strain_derivative(nl.vectors, pair_forces)
            self.results["stress"] = strain / self.atoms.get_volume()

    @property
    def has_uncertainty(self) -> bool:
        """Whether the model was stored with a covariance: std and leverage need it."""
        return any(
            target.model.leverage_factor is not None for target in self.potential.targets.values()
        )

    def _needs_entropy(self) -> None:
        self.potential.target("entropy")

    @property
    def _can_extrapolate(self) -> bool:
        """Whether some target knows the largest leverage of its training data."""
        return self.has_uncertainty and any(
            np.isfinite(target.max_leverage) for target in self.potential.targets.values()
        )

    def _uncertainty(self, nl: NeighborList, species: NDArray[np.int64], warn: bool) -> None:
        found = uncertainties(self.potential, nl, self.atoms, species, self.progress)
        if not found:
            raise ValueError(
                f"model {self.potential.name!r} was stored without its covariance, so it gives "
                "no std or leverage"
            )
        self.results.update({f"{name}_std": u.std for name, u in found.items()})
        # the energy's leverage when there is one: it is what relaxation and dynamics follow
        self.results["leverage"] = next(iter(found.values())).leverage
        for text in extrapolations(self.potential, found) if warn else ():
            warnings.warn(
                f"{text}; check energy_std and entropy_std, or pass extrapolation_warning=False",
                ExtrapolationWarning,
                stacklevel=2,
            )

    def get_hessian(self, atoms: Atoms) -> scipy.sparse.csr_array:
        """Hessian of the function that forces derive from: E, or A(T) with a temperature.

        Parameters
        ----------
        atoms : Atoms

        Returns
        -------
        scipy.sparse.csr_array, shape (3N, 3N)
            eV/Å², symmetric; analytic, but for descriptors of two hops (`LocalLogDet`).
        """
        check_structure(atoms)
        nl = NeighborCache(self.potential.cutoff, skin=MARGIN).get(atoms)
        check_overlap(nl)
        species_of(nl, self.potential.elements)  # refuses elements that the model does not know
        weights, _ = self.potential.free_energy(self.temperature)
        descriptor, active = self.potential.descriptor.active(weights)
        return descriptor.curve(nl, active)

    def export_properties(self) -> Properties:
        """Results under ASE's names only: ASE refuses properties it does not know."""
        return Properties({k: v for k, v in self.results.items() if k in all_outputs})
