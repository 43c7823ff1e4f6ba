"""Exact harmonic thermodynamics of any Hessian, without diagonalising it.

In the classical limit the entropy needs the modes' frequencies only as a product,

    S(T) = k_B Σ_j [ln(k_B T/ħω_j) + 1] = k_B { n [ln(k_B T/ħ) + 1] − ½ ln|det′D| }

with D = M^(-1/2) H M^(-1/2) and det′ its determinant without the z zero modes (n = 3N − z); the
pseudo-determinant comes from one sparse factorisation (`thiry_calc.determinant`). Quantum
statistics need the modes: A = Σ ħω/2 + k_B T ln(1 − e^(−ħω/k_BT)). Negative eigenvalues are counted
from the inertia and never dropped: ln|det′| holds their modulus.

Checked against dense eigenvalues to 1e-12 k_B per atom, and against the closed forms of the
oscillator, the diatomic and the ring of springs (det′ = N² k^(N−1) for each direction).
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy.linalg as sl
import scipy.sparse as sp
from ase import Atoms, units
from numpy.typing import NDArray

from thiry_calc.determinant import formation_entropy, log_determinant, mean_frequency
from thiry_calc.factorize import NEAR_ZERO
from thiry_calc.saddles import HBAR_OMEGA, RAD_PER_S, lowest_modes, vineyard_rate
from thiry_calc.zero_modes import Matrix, checked_hessian, pinned_determinant, rigid_motions

__all__ = [
    "HBAR_OMEGA",
    "RAD_PER_S",
    "HarmonicThermodynamics",
    "formation_entropy",
    "log_determinant",
    "lowest_modes",
    "mean_frequency",
    "vineyard_rate",
]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class HarmonicThermodynamics:
    """Vibrational thermodynamics of one harmonic basin.

    At a saddle the classical functions take the modulus of the unstable eigenvalues
    (S is defined from −½ ln|det′|) and `n_negative_modes` says how many there are.

    Attributes
    ----------
    n_atoms : int
    n_zero_modes : int
        Rigid motions taken out.
    n_negative_modes, n_near_zero_modes : int
        Of the remaining 3N − n_zero_modes modes.
    log_determinant : float
        ln|det′D|, D in eV/Å²/amu.
    log_determinant_hessian : float
        ln|det′H|, H in eV/Å²: the one that `formation_entropy` takes. NaN where only
        frequencies are known.
    eigenvalues : (3N − n_zero_modes,) array, eV/Å²/amu, or None
        Of D, ascending, when modes were asked for.
    """

    n_atoms: int
    n_zero_modes: int
    n_negative_modes: int
    n_near_zero_modes: int
    log_determinant: float
    log_determinant_hessian: float = np.nan
    eigenvalues: Array | None = None

    @classmethod
    def from_hessian(
        cls,
        hessian: Matrix,
        atoms: Atoms | None = None,
        *,
        masses: Array | None = None,
        positions: Array | None = None,
        cell: Array | None = None,
        pbc: NDArray[np.bool_] | bool | None = None,
        zero_modes: str | int = "auto",
        modes: bool = False,
        method: str = "auto",
    ) -> Self:
        """Build from a Hessian.

        Parameters
        ----------
        hessian : (3N, 3N) array or sparse array, eV/Å²
        atoms : Atoms, optional
            Gives masses, positions, cell and pbc, where those are not given.
        masses : (N,) array, amu
            Required, here or in `atoms`.
        positions, cell, pbc, zero_modes, method
            See `log_determinant`.
        modes : bool
            Also diagonalise (dense, O(N³)), for quantum statistics.

        Returns
        -------
        HarmonicThermodynamics

        Raises
        ------
        ValueError
            As `log_determinant`; also without masses.
        """
        if atoms is not None:
            masses = atoms.get_masses() if masses is None else masses
            positions = atoms.get_positions() if positions is None else positions
            cell = atoms.cell.array if cell is None else cell
            pbc = atoms.pbc if pbc is None else pbc
        if masses is None:
            raise ValueError("vibrations need masses: give atoms, or masses in amu")
        matrix, mass, n_atoms = checked_hessian(hessian, masses)
        motions = rigid_motions(n_atoms, zero_modes, positions, cell, pbc)
        log_h, log_d, result = pinned_determinant(
            matrix, motions, mass, positions, cell, pbc, method
        )
        return cls(
            n_atoms,
            motions.shape[1],
            result.n_negative,
            result.n_near_zero,
            log_d,
            log_h,
            _eigenvalues(matrix, motions, mass) if modes else None,
        )

    @classmethod
    def from_eigenvalues(cls, eigenvalues: Array, n_zero_modes: int = 0) -> Self:
        """Build from the eigenvalues of D without the zero modes.

        Parameters
        ----------
        eigenvalues : (3N − n_zero_modes,) array, eV/Å²/amu
            Squared frequencies; negative ones are unstable modes.
        n_zero_modes : int
            How many were left out.

        Returns
        -------
        HarmonicThermodynamics

        Raises
        ------
        ValueError
            When the two numbers do not make 3N, or a value is not finite.
        """
        values = np.sort(np.asarray(eigenvalues, float).ravel())
        if (len(values) + n_zero_modes) % 3 or not np.isfinite(values).all():
            raise ValueError(
                f"expected 3N finite eigenvalues, got {len(values)} and {n_zero_modes} zero modes"
            )
        small = np.abs(values) < NEAR_ZERO * np.abs(values).max(initial=0.0)
        with np.errstate(divide="ignore"):
            log_d = float(np.log(np.abs(values)).sum())
        n_atoms = (len(values) + n_zero_modes) // 3
        negative = int((values[~small] < 0).sum())
        return cls(n_atoms, n_zero_modes, negative, int(small.sum()), log_d, eigenvalues=values)

    @property
    def n_modes(self) -> int:
        """Number of vibrations, 3N − n_zero_modes."""
        return 3 * self.n_atoms - self.n_zero_modes

    def frequencies_THz(self) -> Array:
        """Return the frequencies ν = ω/2π, ascending; unstable ones negative, as phonopy has it.

        Returns
        -------
        (3N − n_zero_modes,) array, THz

        Raises
        ------
        ValueError
            Without modes.
        """
        if self.eigenvalues is None:
            raise ValueError("frequencies need the modes: build with modes=True")
        values = np.asarray(self.eigenvalues)
        return np.sign(values) * np.sqrt(np.abs(values)) * RAD_PER_S / (2e12 * np.pi)

    def entropy_kB(self, temperature: float, quantum: bool = False) -> float:
        """Vibrational entropy in k_B.

        Parameters
        ----------
        temperature : float, K
        quantum : bool
            Bose statistics; needs the modes of a minimum.

        Returns
        -------
        float

        Raises
        ------
        ValueError
            Negative temperature (or zero, classically); quantum without modes or at a saddle.
        """
        kt = _thermal_energy(temperature, quantum)
        if not quantum:
            return self.n_modes * (np.log(kt / HBAR_OMEGA) + 1) - 0.5 * self.log_determinant
        energies = self._mode_energies()
        if kt == 0:
            return 0.0
        x = energies / kt
        return float(np.sum(x / np.expm1(x) - np.log1p(-np.exp(-x))))

    def entropy(self, temperature: float, quantum: bool = False) -> float:
        """Vibrational entropy in eV/K; see `entropy_kB`."""
        return units.kB * self.entropy_kB(temperature, quantum)

    def free_energy(self, temperature: float, quantum: bool = False) -> float:
        """Vibrational free energy in eV, without the energy of the minimum; see `entropy_kB`.

        Classical: −k_B T Σ ln(k_B T/ħω), zero at T = 0. Quantum: zero-point energy included.
        """
        kt = _thermal_energy(temperature, quantum=True)
        if not quantum:
            if kt == 0:
                return 0.0
            return -kt * (self.n_modes * np.log(kt / HBAR_OMEGA) - 0.5 * self.log_determinant)
        energies = self._mode_energies()
        zero_point = 0.5 * float(energies.sum())
        if kt == 0:
            return zero_point
        return zero_point + kt * float(np.log1p(-np.exp(-energies / kt)).sum())

    def heat_capacity(self, temperature: float, quantum: bool = False) -> float:
        """Heat capacity at fixed positions and volume in eV/K; see `entropy_kB`."""
        kt = _thermal_energy(temperature, quantum)
        if not quantum:
            return units.kB * self.n_modes
        if kt == 0:
            return 0.0
        x = self._mode_energies() / (2 * kt)
        # x/sinh(x) written without overflow
        return units.kB * float(np.sum((2 * x * np.exp(-x) / -np.expm1(-2 * x)) ** 2))

    def _mode_energies(self) -> Array:
        if self.eigenvalues is None:
            raise ValueError("quantum statistics need the modes: build with modes=True")
        if self.n_negative_modes or self.n_near_zero_modes:
            raise ValueError(
                f"quantum statistics need a minimum, and this structure has "
                f"{self.n_negative_modes} negative and {self.n_near_zero_modes} near-zero modes; "
                "relax it"
            )
        return HBAR_OMEGA * np.sqrt(self.eigenvalues)

    def __str__(self) -> str:
        """One line for people."""
        return (
            f"{self.n_atoms} atoms, {self.n_modes} modes ({self.n_zero_modes} zero, "
            f"{self.n_negative_modes} negative, {self.n_near_zero_modes} near zero), "
            f"ln|det'D| = {self.log_determinant:.6f}"
        )


def _thermal_energy(temperature: float, quantum: bool) -> float:
    if not np.isfinite(temperature) or temperature < 0 or (temperature == 0 and not quantum):
        least = "0 K or more" if quantum else "a positive one (or quantum=True for 0 K)"
        raise ValueError(f"temperature {temperature} K: expected {least}")
    return units.kB * temperature


def _eigenvalues(hessian: sp.csr_array, motions: Array, masses: Array) -> Array:
    """Eigenvalues of D without the rigid motions, which are shifted above the spectrum first."""
    root = np.repeat(np.sqrt(masses), 3)
    dynamical = hessian.toarray() / np.outer(root, root)
    basis, _ = np.linalg.qr(motions * root[:, None])
    top = float(np.abs(dynamical).sum(axis=1).max(initial=0.0))  # Gershgorin
    dynamical += (2 * top + 1) * basis @ basis.T
    values = sl.eigvalsh(dynamical, overwrite_a=True, check_finite=False)
    return values[: len(values) - motions.shape[1]]
