"""Nested dissection of a symmetric sparse matrix: the order in which to eliminate its rows.

A set of rows S is split into A and B along one coordinate; the rows of A that couple to B are the
separator, which is eliminated after A and B, so that neither fills the other (George, SIAM J.
Numer. Anal. 10, 345 (1973)). The coordinates are the atomic positions (a periodic direction
enters as the point exp(2πi s) on a circle, so that a cut of a torus is a pair of planes) or,
without positions, the lowest eigenvectors of the graph Laplacian. The cut minimises

    |separator| / (|A| |B|)

over directions and places. On the Hessian of a 12 x 12 x 12 bcc cell (3455 atoms, 149 coupled
atoms each) this gives the fill of METIS, see `training.benchmarks.entropy_cost`.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import eigsh

_PLACES = (0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8)  # fractions of S put into A


@dataclass(frozen=True)
class Front:
    """A node of the elimination tree: rows eliminated together, as one dense block.

    Attributes
    ----------
    begin, end : int
        The rows, in elimination order: ``order[begin:end]``.
    children : tuple of int
        Fronts (by index, all smaller than this one's) whose separators end here.
    """

    begin: int
    end: int
    children: tuple[int, ...]


def block_graph(
    matrix: sp.csr_array, rows_at: NDArray[np.float64] | None
) -> tuple[sp.csr_array, NDArray[np.intp]]:
    """Pattern between groups of consecutive rows at one position (or coupled alike).

    Parameters
    ----------
    matrix : (n, n) sparse array
        Its indices are sorted in place.
    rows_at : (n, 3) array, Å, or None
        Where each row sits.

    Returns
    -------
    graph : (m, m) sparse array of ones
    groups : (n,) int array, ascending
        The group of each row.
    """
    n = matrix.shape[0]
    matrix.sort_indices()
    if rows_at is not None:
        new = (np.diff(rows_at, axis=0) != 0).any(axis=1)
    else:
        width = np.diff(matrix.indptr)
        new = np.array(
            [
                width[i] != width[i - 1]
                or not np.array_equal(
                    matrix.indices[matrix.indptr[i] : matrix.indptr[i + 1]],
                    matrix.indices[matrix.indptr[i - 1] : matrix.indptr[i]],
                )
                for i in range(1, n)
            ]
        )
    groups = np.concatenate([[0], np.cumsum(new)]).astype(np.intp)
    column = groups[matrix.indices]
    row = np.repeat(np.arange(n), np.diff(matrix.indptr))
    # sorted indices: the columns of one group are neighbours, so this keeps one entry of each
    keep = np.ones(len(column), bool)
    keep[1:] = (column[1:] != column[:-1]) | (row[1:] != row[:-1])
    m = int(groups[-1]) + 1
    entries = (np.ones(int(keep.sum())), (groups[row[keep]], column[keep]))
    return sp.csr_array(entries, shape=(m, m)), groups


def embed(
    positions: NDArray[np.float64],
    cell: NDArray[np.float64] | None,
    pbc: NDArray[np.bool_] | None,
) -> list[NDArray[np.float64]]:
    """Coordinates to cut along, one array per lattice direction.

    Parameters
    ----------
    positions : (n, 3) array, Å
    cell : (3, 3) array, Å, or None
    pbc : (3,) bool array or None

    Returns
    -------
    list of three arrays (n, 1) or (n, 2), Å
        (n, 2) circles for periodic directions, (n, 1) heights otherwise.
    """
    periodic = np.zeros(3, bool) if pbc is None or cell is None else np.broadcast_to(pbc, 3)
    if not periodic.any():
        return [positions[:, [k]] for k in range(3)]
    frame = _complete(np.asarray(cell, float), periodic)
    fractional = np.linalg.solve(frame.T, positions.T).T
    axes = []
    for k in range(3):
        height = 1.0 / np.linalg.norm(np.linalg.inv(frame)[:, k])
        angle = 2 * np.pi * fractional[:, k]
        circle = np.stack([np.cos(angle), np.sin(angle)], axis=1) * height / (2 * np.pi)
        axes.append(circle if periodic[k] else fractional[:, [k]] * height)
    return axes


def _complete(cell: NDArray[np.float64], periodic: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Replace the non-periodic lattice vectors by unit vectors normal to the periodic ones."""
    frame = np.where(periodic[:, None], cell, 0.0)
    _, _, vh = np.linalg.svd(frame)
    frame[~periodic] = vh[int(periodic.sum()) :]
    return frame


def spectral_embedding(graph: sp.csr_array, dimension: int = 6) -> list[NDArray[np.float64]]:
    """Coordinates from the lowest eigenvectors of the graph Laplacian, for want of positions.

    Parameters
    ----------
    graph : (n, n) sparse array
        Symmetric pattern.
    dimension : int
        Number of eigenvectors; six span the three circles of a torus.

    Returns
    -------
    list with one (n, dimension) array
    """
    n = graph.shape[0]
    if n <= 4 * dimension:
        return [np.arange(n, dtype=float)[:, None]]
    pattern = graph.copy()
    pattern.data = np.ones(len(pattern.data))
    degree = np.asarray(pattern.sum(axis=1)).ravel()
    scale = 1.0 / np.sqrt(degree)
    walk = sp.diags_array(scale) @ pattern @ sp.diags_array(scale)
    start = np.cos(np.arange(n, dtype=float))
    # the largest eigenvectors of the normalised adjacency are the smallest of the Laplacian;
    # a loose tolerance is enough to place a cut
    _, vectors = eigsh(walk, k=dimension + 1, which="LA", v0=start, tol=1e-2)
    return [vectors[:, :-1] * scale[:, None]]


def _components(axes: list[NDArray[np.float64]], rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """Longest extent of the rows along every axis (principal component), largest first."""
    candidates = []
    for axis in axes:
        points = axis[rows] - axis[rows].mean(axis=0)
        _, s, vh = np.linalg.svd(points.T @ points)
        keep = 1 if len(axes) > 1 else min(3, len(s))
        candidates += [(s[k], points @ vh[k]) for k in range(keep)]
    candidates.sort(key=lambda pair: -pair[0])
    return np.array([height for _, height in candidates])


def _cut(
    graph: sp.csr_array, axes: list[NDArray[np.float64]], rows: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]] | None:
    """Best (A without separator, B, separator) of the rows; None when nothing decouples."""
    sub = graph[rows][:, rows]
    n = len(rows)
    best, cost = None, np.inf
    for height in _components(axes, rows):
        ranked = np.argsort(height, kind="stable")
        for place in _PLACES:
            in_a = np.zeros(n, bool)
            in_a[ranked[: int(place * n)]] = True
            touches_b = sub @ (~in_a).astype(np.float64) > 0
            separator = in_a & touches_b
            size_a, size_b = int((in_a & ~separator).sum()), int((~in_a).sum())
            if size_a == 0 or size_b == 0:
                continue
            trial = int(separator.sum()) / (size_a * size_b)
            if trial < cost:
                best, cost = (rows[in_a & ~separator], rows[~in_a], rows[separator]), trial
    return best


def nested_dissection(
    graph: sp.csr_array, axes: list[NDArray[np.float64]], leaf: int = 24
) -> tuple[NDArray[np.intp], list[Front]]:
    """Order the rows of a symmetric pattern by nested dissection.

    Parameters
    ----------
    graph : (n, n) sparse array
        Symmetric pattern with non-negative values; an explicit zero is no coupling.
    axes : list of (n, d) arrays
        Coordinates from `embed` or `spectral_embedding`.
    leaf : int
        Sets up to this size are not cut further.

    Returns
    -------
    order : (n,) int array
        Row eliminated at each step.
    fronts : list of Front
        In elimination order, children before parents; the last one is the root.
    """
    order: list[NDArray[np.intp]] = []
    fronts: list[Front] = []

    def eliminate(rows: NDArray[np.intp], children: tuple[int, ...]) -> int:
        begin = fronts[-1].end if fronts else 0
        order.append(rows)
        fronts.append(Front(begin, begin + len(rows), children))
        return len(fronts) - 1

    def dissect(rows: NDArray[np.intp]) -> int:
        parts = _cut(graph, axes, rows) if len(rows) > leaf else None
        if parts is None:
            return eliminate(rows, ())
        first, second, separator = parts
        return eliminate(separator, (dissect(first), dissect(second)))

    dissect(np.arange(graph.shape[0]))
    return np.concatenate(order), fronts


def work(graph: sp.csr_array, order: NDArray[np.intp], fronts: list[Front]) -> float:
    """Count the multiplications of an elimination, with n³/3 for one dense block.

    Parameters
    ----------
    graph : (n, n) sparse array
    order, fronts
        From `nested_dissection`.

    Returns
    -------
    float
    """
    graph = graph[order][:, order]
    rest: list[NDArray[np.intp]] = []
    total = 0.0
    for front in fronts:
        own = graph.indices[graph.indptr[front.begin] : graph.indptr[front.end]]
        coupled = np.unique(np.concatenate([own, *(rest[child] for child in front.children)]))
        rest.append(coupled[coupled >= front.end])
        k, u = front.end - front.begin, len(rest[-1])
        total += k**3 / 3 + k * k * u + k * u * u
    return total


def expand(
    order: NDArray[np.intp], fronts: list[Front], groups: NDArray[np.intp]
) -> tuple[NDArray[np.intp], list[Front]]:
    """Turn an order of groups of rows into one of rows.

    Parameters
    ----------
    order : (m,) int array
    fronts : list of Front
    groups : (n,) int array
        The group of each row, ascending.

    Returns
    -------
    order : (n,) int array
    fronts : list of Front
    """
    size = np.bincount(groups)
    rank = np.empty(len(order), np.intp)
    rank[order] = np.arange(len(order))
    rows = np.argsort(rank[groups], kind="stable")
    offset = np.concatenate([[0], np.cumsum(size[order])])
    return rows, [Front(int(offset[f.begin]), int(offset[f.end]), f.children) for f in fronts]
