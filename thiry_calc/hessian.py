"""Hessians of any ASE calculator: analytic where it has one, else by differences of its forces.

    H[iα, jβ] = ∂²E/∂R_iα ∂R_jβ ≈ −[F_jβ(R_iα + h) − F_jβ(R_iα − h)] / 2h               order 2
    ≈ −[8 (F(+h) − F(−h)) − (F(+2h) − F(−2h))] / 12h                                   order 4

(Fornberg, Math. Comp. 51, 699 (1988)), symmetrised; the acoustic sum rule Σ_j H_ij = 0 then fixes
the diagonal blocks, which the differences know least well. Checked against the second derivatives
of a Morse bond to 1e-7 eV/Å² (order 4), with the convergence of both orders.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from ase import Atoms
from numpy.typing import NDArray
from scipy.sparse import csgraph
from scipy.sparse.linalg import cg
from tqdm import tqdm

from thiry_calc.differences import STENCILS

_PAIRS = ((0, 1), (0, 2), (1, 2))  # components of an antisymmetric 3 x 3 matrix


def max_force(atoms: Atoms, calc: Any = None) -> float:
    """Return the largest force on an atom.

    Parameters
    ----------
    atoms : Atoms
    calc : ASE calculator, optional
        ``atoms.calc`` when absent.

    Returns
    -------
    float
        eV/Å; constraints are ignored.
    """
    return largest_norm(with_calculator(atoms, calc).get_forces(apply_constraint=False))


def largest_norm(vectors: NDArray[np.float64]) -> float:
    """Return the norm of the longest of some vectors, zero of none.

    Parameters
    ----------
    vectors : ndarray, shape (N, 3)

    Returns
    -------
    float
    """
    return float(np.sqrt((vectors**2).sum(axis=1).max(initial=0.0)))


def get_hessian(atoms: Atoms, calc: Any = None) -> sp.csr_array:
    """Return the Hessian: the calculator's own where it has `get_hessian`, else by differences.

    Parameters
    ----------
    atoms : Atoms
    calc : ASE calculator, optional
        ``atoms.calc`` when absent.

    Returns
    -------
    (3N, 3N) sparse array, eV/Å²

    Raises
    ------
    ValueError
        Without a calculator, or when the calculator returns another shape.
    """
    atoms = with_calculator(atoms, calc)
    if not hasattr(atoms.calc, "get_hessian"):
        return finite_difference_hessian(atoms)
    hessian = atoms.calc.get_hessian(atoms)
    n = 3 * len(atoms)
    if not sp.issparse(hessian):
        hessian = np.asarray(hessian, float)
        if hessian.size == n * n:  # some calculators return (3N, N, 3) or (N, 3, N, 3)
            hessian = hessian.reshape(n, n)
    if hessian.shape != (n, n):
        raise ValueError(
            f"{type(atoms.calc).__name__}.get_hessian returned shape {hessian.shape}; "
            f"expected ({n}, {n})"
        )
    return sp.csr_array(hessian)


def finite_difference_hessian(
    atoms: Atoms,
    calc: Any = None,
    step: float = 0.002,
    order: int = 4,
    indices: Sequence[int] | None = None,
    sum_rule: bool = True,
    drop: float = 1e-8,
    progress: bool = False,
) -> sp.csr_array:
    """Hessian from central differences of the forces.

    Parameters
    ----------
    atoms : Atoms
    calc : ASE calculator, optional
        ``atoms.calc`` when absent.
    step : float
        Displacement h, Å. The error is about h² (order 2) or h⁴ (order 4) times a higher
        derivative, plus the noise of the forces divided by h: take 0.01 to 0.02 for forces of
        single precision or of DFT. Where a potential's pieces join, differences must not reach
        across: with 0.01 Å, AM04's Hessian errs by 1e-3 eV/Å².
    order : {2, 4}
        2 takes 6 force calls an atom, 4 takes 12.
    indices : sequence of int, optional
        Only these atoms move: the Hessian of them with the others held (3n, 3n). Then there is
        no sum rule, and no zero mode.
    sum_rule : bool
        Set the diagonal blocks to minus the sum of the others.
    drop : float
        Entries below this modulus are left out, eV/Å².
    progress : bool
        Show a progress bar on stderr.

    Returns
    -------
    (3N, 3N) sparse array, eV/Å²

    Raises
    ------
    ValueError
        Without a calculator; another order; a step that is not positive; indices out of range.
    """
    atoms = with_calculator(atoms, calc)
    if order not in STENCILS:
        raise ValueError(f"order {order!r} of the differences: expected 2 or 4")
    if not step > 0:
        raise ValueError(f"step {step!r} Å of the differences: expected a positive length")
    moved = np.arange(len(atoms)) if indices is None else np.asarray(indices, int)
    if len(moved) and not (moved.min() >= 0 and moved.max() < len(atoms)):
        raise ValueError(f"indices must lie between 0 and {len(atoms) - 1}, got {indices}")
    columns = (3 * moved[:, None] + np.arange(3)).ravel()
    rows = []
    for i in tqdm(moved, desc="Hessian", unit="atom", disable=not progress):
        for k in range(3):
            row = _row(atoms, int(i), k, step, order).ravel()[columns]
            row[np.abs(row) < drop] = 0.0
            rows.append(sp.csr_array(row[None]))
    size = len(columns)
    hessian = sp.csr_array(sp.vstack(rows)) if rows else sp.csr_array((size, size))
    hessian = sp.csr_array((hessian + hessian.T) / 2)
    return enforce_sum_rule(hessian) if sum_rule and indices is None else hessian


def _row(atoms: Atoms, i: int, k: int, step: float, order: int) -> NDArray[np.float64]:
    """Return −∂F/∂R_ik, (N, 3), by the stencil."""
    home = atoms.positions[i, k]
    row = np.zeros((len(atoms), 3))
    for displacement, weight in STENCILS[order]:
        for sign in (1, -1):
            atoms.positions[i, k] = home + sign * displacement * step
            row -= sign * weight / step * atoms.get_forces(apply_constraint=False)
    atoms.positions[i, k] = home
    return row


def enforce_sum_rule(hessian: sp.csr_array) -> sp.csr_array:
    """Make a symmetric Hessian invariant under translations, and keep it symmetric and sparse.

    The diagonal blocks take the symmetric part of S_i = Σ_j H_ij. What is left of S_i is
    antisymmetric and sums to zero over the atoms: a source of a flow C_ij = −C_ji between coupled
    atoms, which takes it away with the least change (a Laplace equation on their graph).

    Parameters
    ----------
    hessian : (3N, 3N) sparse array, eV/Å²

    Returns
    -------
    (3N, 3N) sparse array, eV/Å²
        Σ_j H_ij = 0 to rounding.
    """
    n_atoms = hessian.shape[0] // 3
    if n_atoms == 0:
        return hessian
    sums = (hessian @ np.tile(np.eye(3), (n_atoms, 1))).reshape(n_atoms, 3, 3)
    diagonal = sp.block_diag(list((sums + sums.transpose(0, 2, 1)) / 2), format="csr")
    source = np.stack([(sums[:, i, j] - sums[:, j, i]) / 2 for i, j in _PAIRS], axis=1)
    coupled = hessian.tocoo()
    different = coupled.row // 3 != coupled.col // 3
    pairs = np.unique(np.stack([coupled.row, coupled.col])[:, different] // 3, axis=1)
    if not source.any() or pairs.size == 0:
        return sp.csr_array(hessian - diagonal)
    first, second = pairs
    graph = sp.csr_array((np.ones(len(first)), (first, second)), shape=(n_atoms, n_atoms))
    # what a connected part has in sum is rounding: no flow takes it away, and the solver blows up
    count, part = csgraph.connected_components(graph, directed=False)
    member = sp.csr_array((np.ones(n_atoms), (part, np.arange(n_atoms))), shape=(count, n_atoms))
    source -= ((member @ source) / member.sum(axis=1)[:, None])[part]
    laplacian = csgraph.laplacian(graph).tocsr()
    height = np.stack([cg(laplacian, column, rtol=1e-13)[0] for column in source.T], axis=1)
    flow = height[second] - height[first]
    rows = np.concatenate([3 * first + k for pair in _PAIRS for k in pair])
    columns = np.concatenate([3 * second + k for pair in _PAIRS for k in pair[::-1]])
    values = np.concatenate([sign * flow[:, m] for m in range(3) for sign in (1, -1)])
    correction = sp.csr_array((values, (rows, columns)), shape=hessian.shape)
    return sp.csr_array(hessian - diagonal + correction)


def with_calculator(atoms: Atoms, calc: Any) -> Atoms:
    """Copy a structure with a calculator, so that the caller's positions stay as they are.

    Parameters
    ----------
    atoms : Atoms
    calc : ASE calculator or None
        ``atoms.calc`` when None.

    Returns
    -------
    Atoms

    Raises
    ------
    ValueError
        Without a calculator.
    """
    calc = atoms.calc if calc is None else calc
    if calc is None:
        raise ValueError("the structure has no calculator: set atoms.calc, or give calc")
    copy = atoms.copy()
    copy.calc = calc
    return copy
