"""Exact labels of a relaxed structure: energy, formation energy, formation entropy.

    S_f = −½ [ ln det′H − (N − 1)/(N0 − 1) ln det′H_bulk ]   (k_B)
    E_f = E − (N/N0) E_bulk

with H_bulk and E_bulk of the perfect crystal of the same box (N0 sites, same strain): ln det′
carries a term 2 ln N, so that a reference of another size is wrong by several k_B. Where H is not
positive definite the structure is a saddle: it has no label, unless saddles are asked for, where
ln|det′H| takes the place of ln det′H. H comes from the calculator's analytic
Hessian, from phonopy's displacements and force constants, or from central differences of forces.

Beyond the total there are the entropies of sites (`thiry_calc.site_entropies`), and the gradient

    ∂S/∂R = −½ tr(H⁻¹ ∂H/∂R)

from the selected inverse (`thiry_calc.selected_inverse`) and contracted third derivatives.

Checked with AM04 at 1024 sites: vacancy 1.7213 eV, 2.613 k_B; ⟨110⟩ dumbbell 3.534 eV, 1.725 k_B.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from ase import Atoms
from numpy.typing import NDArray

from thiry_calc.harmonic import HarmonicThermodynamics, formation_entropy, lowest_modes
from thiry_calc.hessian import finite_difference_hessian
from thiry_calc.selected_inverse import pinned_inverse
from thiry_calc.site_entropies import site_entropies, sparse_site_entropies

Array = NDArray[np.float64]

METHODS = ("analytic", "phonopy", "finite-differences")
EXTRAS = ("eigenvalues", "sites", "gradient")
"""Labels beyond the total, made when asked for."""
DENSE_ATOMS = 2000  # above, shifted selected inverses are faster than eigenvectors
DISTANCE = 0.002  # Å, displacement of phonopy and of the differences, unless told


class NotAMinimumError(RuntimeError):
    """The Hessian of a structure has other negative modes than expected, or near-zero ones.

    Parameters
    ----------
    n_negative, n_near_zero : int
        Their numbers, the three translations apart.
    wanted : int
        Negative modes of what it should have been: 0, or 1 for a saddle.
    """

    def __init__(self, n_negative: int, n_near_zero: int, wanted: int = 0) -> None:
        super().__init__(
            f"the structure is not {'a saddle of first order' if wanted else 'a minimum'}: "
            f"{n_negative} negative and {n_near_zero} near-zero modes; relax it further or start "
            "elsewhere"
        )


@dataclass(frozen=True)
class Bulk:
    """The perfect crystal of a box.

    Attributes
    ----------
    n_sites : int
    energy : float
        eV.
    log_det : float
        ln det′H, H in eV/Å².
    """

    n_sites: int
    energy: float
    log_det: float


@dataclass(frozen=True)
class Label:
    """What is known of a relaxed structure.

    Attributes
    ----------
    energy, formation_energy : float
        eV.
    formation_entropy_kB : float
        k_B.
    eigenvalues : ndarray, shape (3N,), or None
        Of the Hessian, eV/Å², ascending, when asked for.
    site_entropies : ndarray, shape (N,), or None
        k_B; they sum to the formation entropy.
    gradient : ndarray, shape (N, 3), or None
        ∂S/∂R, k_B/Å.
    unstable_eigenvalue : float or None
        Of the Hessian of a saddle, eV/Å².
    """

    energy: float
    formation_energy: float
    formation_entropy_kB: float
    eigenvalues: Array | None = None
    site_entropies: Array | None = None
    gradient: Array | None = None
    unstable_eigenvalue: float | None = None


def hessian(
    atoms: Atoms, calc: Any, method: str = "analytic", distance: float = DISTANCE
) -> sp.csr_matrix:
    """Hessian of a structure.

    Parameters
    ----------
    atoms : Atoms
        N atoms, relaxed.
    calc : Calculator
        ASE calculator; for "analytic" with ``get_hessian``.
    method : {"analytic", "phonopy", "finite-differences"}
    distance : float
        Displacement of the last two, Å: 0.002 for smooth forces without noise (0.01 errs by
        1e-3 eV/Å² where pieces of AM04 join), 0.01 to 0.03 for those of DFT.

    Returns
    -------
    scipy.sparse.csr_matrix
        Shape (3N, 3N), eV/Å², symmetric and translation invariant.

    Raises
    ------
    ValueError
        Unknown method, or the calculator has no analytic Hessian.
    """
    if method == "phonopy":
        from thiry_calc.phonopy_io import force_constants

        return sp.csr_matrix(force_constants(atoms, calc, distance=distance)[0])
    if method == "finite-differences":
        return sp.csr_matrix(finite_difference_hessian(atoms, calc, step=distance))
    if method != "analytic":
        raise ValueError(f"unknown Hessian method {method!r}; expected one of {', '.join(METHODS)}")
    if not hasattr(calc, "get_hessian"):
        raise ValueError(
            f"{type(calc).__name__} has no analytic Hessian; "
            'use method = "phonopy" or "finite-differences"'
        )
    return sp.csr_matrix(calc.get_hessian(atoms))


def log_det(matrix: sp.csr_matrix, atoms: Atoms, n_negative: int = 0) -> float:
    """Return ln|det′H| of a periodic minimum, or saddle.

    Parameters
    ----------
    matrix : csr_matrix, shape (3N, 3N)
        Translation invariant, eV/Å².
    atoms : Atoms
        Positions and cell order the elimination.
    n_negative : int
        Negative modes expected.

    Returns
    -------
    float
        The three translations apart.

    Raises
    ------
    NotAMinimumError
        When H has more or fewer negative modes, or further near-zero ones.
    """
    result = HarmonicThermodynamics.from_hessian(matrix, atoms, zero_modes="crystal")
    if result.n_negative_modes != n_negative or result.n_near_zero_modes:
        raise NotAMinimumError(result.n_negative_modes, result.n_near_zero_modes, n_negative)
    return result.log_determinant_hessian


def bulk_reference(
    perfect: Atoms, calc: Any, method: str = "analytic", distance: float = DISTANCE
) -> Bulk:
    """Energy and ln det′H of a perfect crystal.

    Parameters
    ----------
    perfect : Atoms
        The perfect crystal of the defect's box.
    calc : Calculator
    method, distance
        As in `hessian`.

    Returns
    -------
    Bulk

    Raises
    ------
    NotAMinimumError
        When the crystal is unstable in this box.
    """
    work = perfect.copy()
    work.calc = calc
    energy = float(work.get_potential_energy())
    return Bulk(len(work), energy, log_det(hessian(work, calc, method, distance), work))


def label(
    atoms: Atoms,
    calc: Any,
    bulk: Bulk,
    method: str = "analytic",
    distance: float = DISTANCE,
    extras: Collection[str] = (),
    saddle: bool = False,
) -> Label:
    """Label a relaxed structure.

    Parameters
    ----------
    atoms : Atoms
        Relaxed to about 1e-5 eV/Å.
    calc : Calculator
    bulk : Bulk
        The perfect crystal of the same box, by the same method.
    method, distance
        As in `hessian`.
    extras : collection of str
        Of `EXTRAS`: the eigenvalues (dense, O(N³)), the site entropies, the gradient.
    saddle : bool
        Whether it is a saddle of first order: S_f is then that of ln|det′H|, the unstable mode
        included, and the extras of minima are refused.

    Returns
    -------
    Label

    Raises
    ------
    NotAMinimumError
        When the structure is a saddle, or with `saddle` is none.
    ValueError
        When the gradient is asked of a calculator without third derivatives, or extras of a saddle.
    """
    if saddle and extras:
        raise ValueError(f"saddles have no labels beyond the total, such as {min(extras)!r}")
    work = atoms.copy()
    work.calc = calc
    energy = float(work.get_potential_energy())
    matrix = hessian(work, calc, method, distance)
    n = len(work)
    found = log_det(matrix, work, n_negative=int(saddle))
    entropy = formation_entropy(found, n, bulk.log_det, bulk.n_sites)
    return Label(
        energy,
        energy - n / bulk.n_sites * bulk.energy,
        entropy,
        np.linalg.eigvalsh(matrix.toarray()) if "eigenvalues" in extras else None,
        _site_entropies(matrix, work, bulk) if "sites" in extras else None,
        entropy_gradient(work, calc, matrix) if "gradient" in extras else None,
        float(lowest_modes(matrix, 1)[0][0]) if saddle else None,
    )


def _site_entropies(matrix: sp.csr_matrix, atoms: Atoms, bulk: Bulk) -> Array:
    if len(atoms) <= DENSE_ATOMS:
        return site_entropies(matrix, bulk.log_det, bulk.n_sites)
    where = atoms.positions, atoms.cell.array, atoms.pbc
    return sparse_site_entropies(matrix, bulk.log_det, bulk.n_sites, *where)


def entropy_gradient(atoms: Atoms, calc: Any, matrix: sp.csr_matrix) -> Array:
    """Return ∂S/∂R = −½ tr(H⁻¹ ∂H/∂R) of a minimum.

    Parameters
    ----------
    atoms : Atoms
        N atoms.
    calc : Calculator
        With ``get_trace_gradient``, as the embedded-atom references have.
    matrix : csr_matrix, shape (3N, 3N)
        Its Hessian, eV/Å².

    Returns
    -------
    ndarray, shape (N, 3)
        k_B/Å.

    Raises
    ------
    ValueError
        When the calculator has no third derivatives.
    """
    if not hasattr(calc, "get_trace_gradient"):
        raise ValueError(
            f"{type(calc).__name__} has no third derivatives, which the label 'gradient' needs; "
            "leave it out, or use an embedded-atom reference such as AM04"
        )
    inverse, _ = pinned_inverse(matrix, atoms.positions, atoms.cell.array, atoms.pbc)
    return np.asarray(-0.5 * calc.get_trace_gradient(atoms, inverse)[0])


def softest_mode(
    atoms: Atoms, calc: Any, method: str = "analytic", distance: float = DISTANCE
) -> Array:
    """Eigenvector of the lowest eigenvalue of the Hessian, translations apart.

    Parameters
    ----------
    atoms : Atoms
        N atoms.
    calc : Calculator
    method, distance
        As in `hessian`.

    Returns
    -------
    ndarray, shape (N, 3)
        Normalised; the largest component is positive.
    """
    matrix = hessian(atoms, calc, method, distance)
    _, vectors = lowest_modes(matrix, 4)  # at most three of them are translations
    blocks = vectors.reshape(-1, 3, 4)
    moving = (blocks - blocks.mean(axis=0)).reshape(-1, 4)
    basis, sizes, _ = np.linalg.svd(moving, full_matrices=False)
    basis = basis[:, sizes > 0.1]
    _, mixture = np.linalg.eigh(basis.T @ (matrix @ basis))
    mode = basis @ mixture[:, 0]
    return np.asarray(mode * np.sign(mode[np.argmax(np.abs(mode))])).reshape(-1, 3)
