"""Multifrontal factorisation of a symmetric sparse matrix: ln|det| and inertia, no eigenvalues.

Eliminating the rows of a front [[F11, F21ᵀ], [F21, F22]] leaves the Schur complement
F22 − F21 F11⁻¹ F21ᵀ to its parent (Duff & Reid, ACM Trans. Math. Softw. 9, 302 (1983)), so that

    ln|det A| = Σ_fronts ln|det F11|        inertia(A) = Σ_fronts inertia(F11)   (Haynsworth)

Each F11 is factorised by Cholesky; only where that fails, by Bunch–Kaufman LDLᵀ (Math. Comp. 31,
163 (1977)), whose 1x1 and 2x2 pivots have the signs of the eigenvalues (Sylvester). A front with
a pivot too small to divide by is passed whole to its parent, up to the root, where what is left
is counted as near zero: never as negative, and never dropped. The dense method is the same code
with a single front. Everything is LAPACK through SciPy: no compiled dependency.

Checked against dense eigenvalues (random, indefinite and singular matrices, EAM Hessians) and
against CHOLMOD to 1e-14 per row; its cost is in `training.benchmarks.entropy_cost`.
"""

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import scipy.sparse as sp
from numba import njit
from numpy.typing import NDArray
from scipy.linalg import blas, lapack

from thiry_calc.dissection import (
    Front,
    block_graph,
    embed,
    expand,
    nested_dissection,
    spectral_embedding,
    work,
)

METHODS = ("auto", "multifrontal", "dense", "cholmod")
NEAR_ZERO = 1e-9  # |pivot| below this times the largest diagonal entry is a near-zero mode
_DELAY = 1e-6  # a front with such a pivot is left to its parent: error growth stays below 1e6 ulp
_SMALL = 600  # rows below which one dense block is faster than ordering; above, 2 x fewer
# multiplications pay for the bookkeeping

Array = NDArray[np.float64]
Matrix: TypeAlias = Array | sp.sparray | sp.spmatrix


@dataclass(frozen=True)
class Factorization:
    """Determinant and inertia of a symmetric matrix.

    Attributes
    ----------
    log_abs_det : float
        ln|det A|, near-zero pivots included.
    n_negative : int
        Number of negative eigenvalues, near-zero ones not counted.
    n_near_zero : int
        Pivots below 1e-9 of the largest diagonal entry, whose sign is not significant.
    method : str
        "multifrontal", "dense" or "cholmod": what was used.
    n_entries : int
        Entries of the factor (the memory is 8 bytes each, where it is kept).
    """

    log_abs_det: float
    n_negative: int
    n_near_zero: int
    method: str
    n_entries: int


def factorize(
    matrix: Matrix,
    positions: Array | None = None,
    cell: Array | None = None,
    pbc: NDArray[np.bool_] | None = None,
    method: str = "auto",
) -> Factorization:
    """Factorise a symmetric matrix.

    Parameters
    ----------
    matrix : (n, n) array or sparse array
        Symmetric; only the lower triangle's values are used.
    positions : (n, 3) or (n/3, 3) array, Å, optional
        Where each row (or each three rows) sits; they order the elimination. Without them the
        graph of the matrix is embedded, at some loss of speed.
    cell, pbc : (3, 3) array in Å and (3,) bool array, optional
        Periodic box of the positions.
    method : {"auto", "multifrontal", "dense", "cholmod"}
        "auto" takes the cheaper of multifrontal and dense; "cholmod" needs scikit-sparse and a
        positive definite matrix.

    Returns
    -------
    Factorization

    Raises
    ------
    ValueError
        Matrix not square or not finite, positions of another length, unknown method.
    RuntimeError
        ``method="cholmod"`` and the matrix is not positive definite.
    ImportError
        ``method="cholmod"`` without scikit-sparse.
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}; choose one of {', '.join(METHODS)}")
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"expected a square matrix, got shape {tuple(matrix.shape)}")
    n = int(matrix.shape[0])
    values = matrix.data if sp.issparse(matrix) else matrix
    if not np.isfinite(values).all():
        raise ValueError("the matrix has non-finite entries; check the calculator or the file")
    rows_at = row_positions(positions, n)
    if n == 0:
        return Factorization(0.0, 0, 0, "dense", 0)
    if method == "cholmod":
        return _cholmod(sp.csc_array(matrix))
    sparse = sp.csr_array(matrix)
    rows, fronts = ordered_fronts(sparse, rows_at, cell, pbc, method)
    if len(fronts) == 1:
        return _multifrontal(sparse, fronts, "dense")
    return _multifrontal(sparse[rows][:, rows], fronts, "multifrontal")


def ordered_fronts(
    sparse: sp.csr_array,
    rows_at: Array | None,
    cell: Array | None,
    pbc: NDArray[np.bool_] | None,
    method: str = "auto",
) -> tuple[NDArray[np.intp], list[Front]]:
    """Order of elimination and its fronts: a single one where a dense block is cheaper.

    Parameters
    ----------
    sparse : (n, n) sparse array
    rows_at : (n, 3) array, Å, or None
        From `row_positions`.
    cell, pbc, method
        As in `factorize`.

    Returns
    -------
    rows : (n,) int array
    fronts : list of Front
    """
    n = sparse.shape[0]
    whole = np.arange(n), [Front(0, n, ())]
    if method == "dense" or (method == "auto" and (n < _SMALL or sparse.nnz > 0.5 * n * n)):
        return whole
    graph, groups = block_graph(sparse, rows_at)
    if rows_at is not None:
        first = np.searchsorted(groups, np.arange(graph.shape[0]))
        axes = embed(rows_at[first], cell, pbc)
    else:
        axes = spectral_embedding(graph)
    order, fronts = nested_dissection(graph, axes)
    if method == "auto" and work(graph, order, fronts) * (n / graph.shape[0]) ** 3 > n**3 / 6:
        return whole
    return expand(order, fronts, groups)


def row_positions(positions: Array | None, n: int) -> Array | None:
    """Where each of n rows sits, from positions of rows or of atoms (three rows each).

    Raises
    ------
    ValueError
        For positions of another length.
    """
    if positions is None:
        return None
    positions = np.asarray(positions, float)
    if positions.shape == (n, 3):
        return positions
    if 3 * len(positions) == n and positions.shape[1:] == (3,):
        return np.repeat(positions, 3, axis=0)
    raise ValueError(
        f"positions have shape {positions.shape} for a matrix of {n} rows; "
        f"expected ({n}, 3), or one position for every three rows"
    )


def _multifrontal(matrix: sp.csr_array, fronts: list[Front], method: str) -> Factorization:
    """Eliminate the fronts in order; `matrix` is already in elimination order."""
    scale = float(np.abs(matrix.diagonal()).max(initial=0.0)) or 1.0
    log_abs_det, n_negative, n_near_zero, n_entries = 0.0, 0, 0, 0
    left: dict[int, tuple[NDArray[np.intp], Array]] = {}  # front -> rows and Schur complement
    for number, front in enumerate(fronts):
        smallest = 0.0 if number == len(fronts) - 1 else _DELAY * scale
        update = [left.pop(child) for child in front.children]
        # a failed step has overwritten the front: it is gathered again for the next
        own, rest, blocks = assemble(matrix, front, update)
        pivots = cholesky(blocks, smallest)
        if pivots is None:
            _, _, blocks = assemble(matrix, front, update)
            pivots = _ldlt(blocks, smallest)
        if pivots is None:
            _, _, blocks = assemble(matrix, front, update)
            left[number] = np.concatenate([own, rest]), _stack(blocks)
            continue
        left[number] = rest, blocks.f22
        small = np.abs(pivots) < NEAR_ZERO * scale
        n_near_zero += int(small.sum())
        n_negative += int((pivots[~small] < 0).sum())
        n_entries += len(own) * (len(own) + 1) // 2 + blocks.f21.size
        with np.errstate(divide="ignore"):  # an exact zero is a near-zero mode: ln is -inf
            log_abs_det += float(np.log(np.abs(pivots)).sum())
    return Factorization(log_abs_det, n_negative, n_near_zero, method, n_entries)


class Blocks(NamedTuple):
    """A front as Fortran arrays, of which the lower triangles count."""

    f11: Array  # (k, k)
    f21: Array  # (u, k)
    f22: Array  # (u, u)


def cholesky(blocks: Blocks, smallest: float) -> Array | None:
    """Eliminate a positive definite block in place; None when it is not, or has small pivots.

    Parameters
    ----------
    blocks : Blocks
        Overwritten: f11 by L11, f21 by L21, f22 by the Schur complement (lower triangles).
    smallest : float
        Pivots must exceed it.

    Returns
    -------
    ndarray, shape (k,), or None
        The pivots.
    """
    f11, f21, f22 = blocks
    factor, info = lapack.dpotrf(f11, lower=1, clean=0, overwrite_a=1)
    if info != 0:
        return None
    pivots = np.square(factor.diagonal())
    if pivots.min(initial=np.inf) <= smallest:
        return None
    if len(f21):
        blas.dtrsm(1.0, factor, f21, side=1, lower=1, trans_a=1, overwrite_b=1)
        blas.dsyrk(-1.0, f21, beta=1.0, c=f22, lower=1, overwrite_c=1)
    return pivots


def _ldlt(blocks: Blocks, smallest: float) -> Array | None:
    """Eliminate an indefinite block in place; None when a pivot is too small to divide by."""
    f11, f21, f22 = blocks
    work = int(lapack.dsytrf_lwork(len(f11), lower=1)[0])
    factor, swaps, _ = lapack.dsytrf(f11, lower=1, lwork=work, overwrite_a=1)
    pivots = factor.diagonal().copy()
    i = 0
    while i < len(pivots):
        if swaps[i] < 0:  # a 2x2 pivot
            beside = factor[i + 1, i]
            pair = [[pivots[i], beside], [beside, pivots[i + 1]]]
            pivots[i : i + 2] = np.linalg.eigvalsh(pair)
        i += 2 if swaps[i] < 0 else 1
    if np.abs(pivots).min(initial=np.inf) <= smallest and smallest > 0:
        return None
    if len(f21):
        solution, _ = lapack.dsytrs(factor, swaps, f21.T, lower=1)
        f22 -= f21 @ solution
    return pivots


def _stack(blocks: Blocks) -> Array:
    f11, f21, f22 = blocks
    k = len(f11)
    whole = np.zeros((k + len(f22),) * 2, order="F")
    whole[:k, :k], whole[k:, :k], whole[k:, k:] = f11, f21, f22
    return whole


def assemble(
    matrix: sp.csr_array, front: Front, update: list[tuple[NDArray[np.intp], Array]]
) -> tuple[NDArray[np.intp], NDArray[np.intp], Blocks]:
    """Gather a front's rows: its own of the matrix plus its children's Schur complements.

    Parameters
    ----------
    matrix : (n, n) sparse array
        In the order of elimination.
    front : Front
    update : list of (rows, lower triangle)
        Schur complements of its children.

    Returns
    -------
    own : (k,) int array
        Rows eliminated here: the front's, and those its children left over.
    rest : (u,) int array
        Later rows coupled to them.
    blocks : Blocks
    """
    block = matrix[front.begin : front.end]
    delayed = [rows[rows < front.begin] for rows, _ in update]
    own = np.concatenate([*delayed, np.arange(front.begin, front.end)])
    own.sort()
    coupled = np.unique(np.concatenate([block.indices, *(rows for rows, _ in update)]))
    rest = coupled[coupled >= front.end]
    k = len(own)
    f11 = np.zeros((k, k), order="F")
    f21 = np.zeros((len(rest), k), order="F")
    f22 = np.zeros((len(rest), len(rest)), order="F")
    row = np.repeat(np.arange(front.begin, front.end), np.diff(block.indptr))
    column, value = block.indices, block.data
    inside = (column >= front.begin) & (column < front.end)
    f11[np.searchsorted(own, column[inside]), np.searchsorted(own, row[inside])] = value[inside]
    later = column >= front.end
    f21[np.searchsorted(rest, column[later]), np.searchsorted(own, row[later])] = value[later]
    for rows, schur in update:
        split = int(np.searchsorted(rows, front.end))
        place = np.concatenate(
            [np.searchsorted(own, rows[:split]), np.searchsorted(rest, rows[split:])]
        )
        _extend_add(f11, f21, f22, schur, place, split)
    return own, rest, Blocks(f11, f21, f22)


@njit(cache=True)
def _extend_add(
    f11: Array, f21: Array, f22: Array, schur: Array, place: NDArray[np.intp], split: int
) -> None:
    """Add the lower triangle of a child's Schur complement; its first `split` rows end in f11."""
    n = len(place)
    for j in range(split):
        column = place[j]
        for i in range(j, split):
            f11[place[i], column] += schur[i, j]
        for i in range(split, n):
            f21[place[i], column] += schur[i, j]
    for j in range(split, n):
        column = place[j]
        for i in range(j, n):
            f22[place[i], column] += schur[i, j]


def _cholmod(matrix: sp.csc_array) -> Factorization:
    from sksparse.cholmod import (  # type: ignore[import-not-found]
        CholmodNotPositiveDefiniteError,
        cholesky,
    )

    try:
        factor = cholesky(sp.csc_matrix(matrix))
        log_det = float(factor.logdet())
    except CholmodNotPositiveDefiniteError as error:
        raise RuntimeError(
            "the matrix is not positive definite, which CHOLMOD cannot factorise; use method='auto'"
        ) from error
    return Factorization(log_det, 0, 0, "cholmod", int(factor.L().nnz))
