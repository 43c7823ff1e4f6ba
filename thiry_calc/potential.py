"""A fitted potential: descriptors, one linear model per target, and their references.

    Y(x) = Σ_i [ y_s(i) + w·(φ(N_i) − φ_s(i)) ]          Y = E (eV) or S_f (k_B)

Each element s has a reference environment with features φ_s and value y_s. With the perfect
crystal as the reference, S_f of the crystal is exactly 0 and its E exactly N·E_coh, and the
model spends its freedom on what differs from it; without one φ_s = 0 and y_s is the energy of
the free atom. S_f is extensive by construction.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from ase import units
from numpy.typing import NDArray

from thiry_calc.descriptors import Combined, make_descriptor
from thiry_calc.linear import LinearModel, store
from thiry_calc.neighbors import NeighborList
from thiry_calc.shipped import find_potential

Array = NDArray[np.float64]
KIND, SCHEMA = "potential", 1
TARGETS = {"energy": "eV", "entropy": "k_B"}


@dataclass(frozen=True, eq=False)
class Target:
    """One fitted property.

    Parameters
    ----------
    model : LinearModel
        Coefficients over the features of `parts`, with their uncertainty.
    parts : tuple of int
        Which descriptors of the potential the target uses.
    reference_features : ndarray, shape (n_elements, K of the parts)
        φ_s.
    reference_values : ndarray, shape (n_elements,)
        y_s.
    max_leverage : float
        Largest leverage of a single atom in the training data: above it the model extrapolates.
    force_std : ndarray, shape (2, B), optional
        Leverages of forces and the std that covers their errors, eV/Å, where it was calibrated on
        forces; otherwise as for energies.
    """

    model: LinearModel
    parts: tuple[int, ...]
    reference_features: Array
    reference_values: Array
    max_leverage: float = float("nan")
    force_std: Array | None = None


@dataclass(frozen=True)
class Crystal:
    """The perfect crystal to which defects are compared.

    Parameters
    ----------
    lattice : {"bcc", "fcc"}
    a0 : float
        Lattice parameter of the model, Å.
    hbar_omega : dict of str to float
        ħω̄ per element, eV, with ω̄ the geometric-mean frequency of the infinite crystal.
    """

    lattice: str
    a0: float
    hbar_omega: dict[str, float]


@dataclass(frozen=True, eq=False, repr=False)
class Potential:
    """Descriptors and linear models of one or two targets ("energy", "entropy").

    Parameters
    ----------
    name : str
    elements : tuple of str
    descriptor : Combined
    targets : dict of str to Target
    crystal : Crystal, optional
        Needed for vibrational entropies and scans.
    info : dict
        The card: purpose, data, errors, limits; JSON content.
    """

    name: str
    elements: tuple[str, ...]
    descriptor: Combined
    targets: Mapping[str, Target]
    crystal: Crystal | None = None
    info: dict[str, Any] = field(default_factory=dict)

    @property
    def cutoff(self) -> float:
        """Radius of the neighbourhood, Å."""
        return self.descriptor.cutoff

    def target(self, name: str) -> Target:
        """Return a target by name.

        Raises
        ------
        ValueError
            When the potential was not fitted to it.
        """
        if name not in self.targets:
            raise ValueError(
                f"model {self.name!r} has no {name} part (it has {', '.join(self.targets)}); "
                f"choose a model fitted to {name}"
            )
        return self.targets[name]

    def columns(self, name: str) -> NDArray[np.int64]:
        """Columns of the descriptor that a target uses."""
        slices = self.descriptor.columns
        pieces = [np.arange(slices[p].start, slices[p].stop) for p in self.target(name).parts]
        return np.concatenate(pieces)

    def weights(self, name: str) -> Array:
        """Coefficients of a target over all features of the descriptor, shape (K,)."""
        out = np.zeros(self.descriptor.n_features)
        out[self.columns(name)] = self.target(name).model.coefficients
        return out

    def constants(self, name: str) -> Array:
        """Per-element constant y_s − w·φ_s, shape (n_elements,)."""
        target = self.target(name)
        return target.reference_values - target.model.predict(target.reference_features)

    def log_occupation(self, temperature: float) -> Array:
        """ln(k_B T / ħω̄) of each element, shape (n_elements,).

        Parameters
        ----------
        temperature : float
            K, positive.

        Raises
        ------
        ValueError
            When the potential has no reference crystal.
        """
        if self.crystal is None:
            raise ValueError(
                f"model {self.name!r} stores no reference crystal, so it has formation "
                "entropies but no vibrational entropy or free energy"
            )
        hbar_omega = np.array([self.crystal.hbar_omega[e] for e in self.elements])
        return np.log(units.kB * temperature / hbar_omega)

    def free_energy(self, temperature: float | None = None) -> tuple[Array, Array]:
        """Return A(T) as one linear function: A = Σ_i [ c_s(i) + w·φ(N_i) ].

        Parameters
        ----------
        temperature : float, optional
            K; None or 0 is the energy.

        Returns
        -------
        weights : ndarray, shape (K,)
            w, eV.
        constants : ndarray, shape (n_elements,)
            c_s, eV.

        Raises
        ------
        ValueError
            For a negative temperature, or where the potential has no energy, no entropy or no
            crystal for A(T).
        """
        weights, constants = self.weights("energy"), self.constants("energy")
        if not temperature:
            return weights, constants
        if not (isinstance(temperature, int | float | np.number) and 0 < temperature < np.inf):
            raise ValueError(f"temperature must be 0 K or more, not {temperature!r}")
        kt = units.kB * temperature
        entropy = self.constants("entropy") + 3 * self.log_occupation(temperature)
        return weights - kt * self.weights("entropy"), constants - kt * entropy

    def centered(self, name: str, values: Array, species: NDArray[np.int64]) -> Array:
        """Features of each atom relative to its reference, φ_i − φ_s(i), shape (N, K of parts).

        Parameters
        ----------
        name : str
            Target.
        values : ndarray, shape (N, K)
            All features of the descriptor.
        species : ndarray, shape (N,)
            Index of each atom's element.
        """
        return values[:, self.columns(name)] - self.target(name).reference_features[species]

    def evaluate(
        self, nl: NeighborList, species: NDArray[np.int64], mix: Mapping[str, float]
    ) -> tuple[dict[str, Array], Array]:
        """Site values of targets, and the pair forces of one mixture of them.

        Parameters
        ----------
        nl : NeighborList
        species : ndarray, shape (N,)
            Index of each atom's element.
        mix : mapping of str to float
            The targets wanted and their factors in the mixture. Targets that share a
            descriptor share one pass over the neighbours.

        Returns
        -------
        sites : dict of str to ndarray, shape (N,)
        pair_forces : ndarray, shape (M, 3)
            ∂/∂D_ij of Σ_t mix_t Y_t.
        """
        weights = np.array([self.weights(name) for name in mix])
        sites, pair_forces = self.descriptor.pull(nl, weights, np.array(list(mix.values())))
        return {
            name: sites[:, t] + self.constants(name)[species] for t, name in enumerate(mix)
        }, pair_forces

    def force_std(self, nl: NeighborList) -> Array:
        """Std of the forces that derive from the energy.

        Parameters
        ----------
        nl : NeighborList
            Of N atoms.

        Returns
        -------
        ndarray, shape (N, 3)
            eV/Å.

        Raises
        ------
        ValueError
            When the energy was stored without its covariance.
        """
        target = self.target("energy")
        parts = Combined(tuple(self.descriptor.parts[p] for p in target.parts))
        _, rows, _ = parts.push(nl)
        leverage = target.model.leverage(rows)
        std: Array = target.model.noise * np.sqrt(leverage)
        if target.force_std is not None:
            known, covering = target.force_std
            at = np.log(np.maximum(leverage, known[0]))
            beyond = np.sqrt(np.maximum(leverage / known[-1], 1.0))
            std = np.exp(np.interp(at, np.log(known), np.log(covering))) * beyond
        return std.reshape(-1, 3)

    def committee(self, count: int, seed: int = 0) -> list["Potential"]:
        """Potentials whose energies are drawn from the posterior: their spread is its std.

        Parameters
        ----------
        count : int
        seed : int

        Returns
        -------
        list of Potential
            Without covariances.

        Raises
        ------
        ValueError
            When the energy was stored without its covariance.
        """
        energy = self.target("energy")
        return [
            replace(
                self,
                name=f"{self.name}-{n}",
                targets={**self.targets, "energy": replace(energy, model=LinearModel(w))},
            )
            for n, w in enumerate(energy.model.sample(count, seed))
        ]

    def save(self, path: str | Path) -> None:
        """Write the potential to one file, atomically.

        Parameters
        ----------
        path : str or Path
            Customarily ``NAME.thiry``.
        """
        header: dict[str, Any] = {
            "name": self.name,
            "elements": list(self.elements),
            "descriptor": self.descriptor.to_dict(),
            "targets": {},
            "crystal": None,
            "info": self.info,
        }
        if self.crystal is not None:
            c = self.crystal
            header["crystal"] = {"lattice": c.lattice, "a0": c.a0, "hbar_omega": c.hbar_omega}
        arrays: dict[str, NDArray[Any]] = {}
        for name, t in self.targets.items():
            leverage = None if np.isnan(t.max_leverage) else t.max_leverage
            header["targets"][name] = {"parts": list(t.parts), "max_leverage": leverage}
            arrays[f"{name}.reference_features"] = t.reference_features
            arrays[f"{name}.reference_values"] = t.reference_values
            if t.force_std is not None:
                arrays[f"{name}.force_std"] = t.force_std
            arrays |= {f"{name}.model.{k}": v for k, v in t.model.to_arrays().items()}
        store.save(path, header, arrays, kind=KIND, schema=SCHEMA)

    @classmethod
    def load(cls, name: str | Path) -> "Potential":
        """Load a shipped potential by name, or a file by path.

        Raises
        ------
        FileNotFoundError
            When it is neither.
        ValueError
            When the file is damaged or not a potential.
        """
        header, arrays = store.load(find_potential(name), kind=KIND, schema=SCHEMA)
        descriptor = make_descriptor(header["descriptor"])
        assert isinstance(descriptor, Combined)
        crystal = header["crystal"]
        return cls(
            name=header["name"],
            elements=tuple(header["elements"]),
            descriptor=descriptor,
            targets={
                key: _target(
                    spec,
                    {
                        k.removeprefix(f"{key}."): v
                        for k, v in arrays.items()
                        if k.startswith(f"{key}.")
                    },
                )
                for key, spec in header["targets"].items()
            },
            crystal=None if crystal is None else Crystal(**crystal),
            info={**header["info"], "provenance": header["_store"]},
        )

    def __repr__(self) -> str:
        """Summarise the potential in a few lines."""
        lines = [f"{self.name}: {', '.join(self.elements)}; cutoff {self.cutoff:g} Å"]
        for name, t in self.targets.items():
            parts = [self.descriptor.parts[p] for p in t.parts]
            described = " + ".join(f"{p.to_dict()['type']} ({p.n_features})" for p in parts)
            lines.append(f"  {name} ({TARGETS[name]}): {described}")
        if self.crystal is not None:
            lines.append(f"  crystal: {self.crystal.lattice}, a0 = {self.crystal.a0:.6f} Å")
        lines += [f"  {k}: {json.dumps(v)}" for k, v in self.info.items() if k != "provenance"]
        return "\n".join(lines)


def _target(spec: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Target:
    prefix = "model."
    model = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
    leverage = spec["max_leverage"]
    return Target(
        model=LinearModel.from_arrays(model),
        parts=tuple(spec["parts"]),
        reference_features=arrays["reference_features"],
        reference_values=arrays["reference_values"],
        max_leverage=float("nan") if leverage is None else leverage,
        force_std=arrays.get("force_std"),
    )
