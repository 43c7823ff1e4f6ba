"""Sparse symmetric factorisation: determinant and inertia against dense eigenvalues."""

import numpy as np
import pytest
import scipy.sparse as sp

from thiry_calc.dissection import embed, nested_dissection
from thiry_calc.factorize import factorize


def lattice(n, seed=0, shift=0.0, reach=1.1):
    """A random spring network on an n³ periodic cubic lattice (3n³ rows), and its positions."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    delta = grid[:, None] - grid[None]
    delta = delta - n * np.round(delta / n)
    pairs = np.argwhere(np.triu(np.linalg.norm(delta, axis=-1) < reach, 1))
    blocks = []
    for i, j in pairs:
        half = rng.normal(size=(3, 3)) + 2 * np.eye(3)
        column = np.zeros((6, 6))
        column[:3, :3] = column[3:, 3:] = half @ half.T
        column[:3, 3:] = column[3:, :3] = -half @ half.T
        rows = np.r_[3 * i : 3 * i + 3, 3 * j : 3 * j + 3]
        blocks.append((np.repeat(rows, 6), np.tile(rows, 6), column.ravel()))
    rows, columns, values = (np.concatenate(part) for part in zip(*blocks, strict=True))
    size = 3 * n**3
    matrix = sp.csr_array((values, (rows, columns)), shape=(size, size))
    return sp.csr_array(matrix + shift * sp.eye_array(size)), grid.astype(float), n * np.eye(3)


def spectrum(matrix):
    return np.linalg.eigvalsh(matrix.toarray())


@pytest.mark.parametrize("with_positions", [True, False])
@pytest.mark.parametrize("shift", [0.5, -3.0, -12.0, -40.0])
def test_multifrontal_agrees_with_eigenvalues(shift, with_positions):
    matrix, positions, cell = lattice(6, shift=shift)
    values = spectrum(matrix)
    geometry = (positions, cell, np.ones(3, bool)) if with_positions else ()
    found = factorize(matrix, *geometry, method="multifrontal")
    assert found.method == "multifrontal"
    assert found.n_negative == int((values < 0).sum())
    assert found.n_near_zero == 0
    assert found.log_abs_det == pytest.approx(np.log(np.abs(values)).sum(), abs=1e-9)
    assert found.n_entries < 0.8 * len(values) * (len(values) + 1) / 2


def test_dense_and_multifrontal_are_the_same_number():
    matrix, positions, cell = lattice(6, shift=0.2)
    dense = factorize(matrix, method="dense")
    sparse = factorize(matrix, positions, cell, np.array([True] * 3), method="multifrontal")
    assert dense.method == "dense"
    assert sparse.log_abs_det == pytest.approx(dense.log_abs_det, abs=1e-9)
    assert factorize(matrix.toarray()).log_abs_det == pytest.approx(dense.log_abs_det, abs=1e-9)


def test_zero_modes_are_counted_apart_and_not_as_negative():
    matrix, positions, cell = lattice(6)  # three translations are zero
    for method in ("dense", "multifrontal"):
        found = factorize(matrix, positions, cell, np.ones(3, bool), method=method)
        assert (found.n_near_zero, found.n_negative) == (3, 0), method


def test_zero_pivots_inside_a_leaf_are_delayed_to_the_root():
    """Blocks [[0, 1], [1, 0]] and decoupled atoms: Cholesky and a leaf's own LDLᵀ both fail."""
    matrix, positions, cell = lattice(6, shift=0.3)
    matrix = matrix.tolil()
    for atom in (0, 50, 120):  # decoupled: three near-zero modes each
        rows = slice(3 * atom, 3 * atom + 3)
        matrix[rows, :] = 0.0
        matrix[:, rows] = 0.0
    for i, j in ((30, 400), (250, 601)):  # a saddle: no diagonal, only a coupling far away
        for row in (i, j):
            matrix[row, :] = 0.0
            matrix[:, row] = 0.0
        matrix[i, j] = matrix[j, i] = 2.5
    matrix = sp.csr_array(matrix.tocsr())
    values = spectrum(matrix)
    found = factorize(matrix, positions, cell, np.ones(3, bool), method="multifrontal")
    assert found.n_near_zero == 9 == int((np.abs(values) < 1e-12).sum())
    assert found.n_negative == 2 == int((values < -1e-12).sum())


def test_small_pivots_in_leaves_do_not_cost_accuracy():
    matrix, positions, cell = lattice(6, shift=0.3)
    diagonal = matrix.diagonal()
    shifted = np.zeros(len(diagonal))
    shifted[::7] = 1e-13 - diagonal[::7]  # nearly zero diagonal entries
    matrix = sp.csr_array(matrix + sp.diags_array(shifted))
    values = spectrum(matrix)
    found = factorize(matrix, positions, cell, np.ones(3, bool), method="multifrontal")
    assert found.n_negative == int((values < 0).sum()) > 10
    assert found.log_abs_det == pytest.approx(np.log(np.abs(values)).sum(), abs=1e-8)


def test_dissection_separates():
    """No row of one subtree couples to a row of another: what the fill depends on."""
    matrix, positions, cell = lattice(7)
    graph = sp.csr_array(abs(matrix[::3][:, ::3]))
    axes = embed(positions, cell, np.array([True, True, False]))
    order, fronts = nested_dissection(graph, axes, leaf=8)
    assert np.array_equal(np.sort(order), np.arange(len(positions)))
    permuted = graph[order][:, order].toarray()
    first = {}  # front -> first row of its subtree
    for number, front in enumerate(fronts):
        first[number] = min([front.begin, *(first[child] for child in front.children)])
        if front.children:
            left, right = front.children
            a = slice(first[left], fronts[left].end)
            b = slice(first[right], fronts[right].end)
            assert not permuted[a, b].any()
    assert len(fronts) > 10


def test_auto_is_dense_for_small_and_full_matrices():
    assert factorize(np.diag([2.0, 3.0, -4.0])).method == "dense"
    found = factorize(np.diag([2.0, 3.0, -4.0]))
    assert found.log_abs_det == pytest.approx(np.log(24.0))
    assert found.n_negative == 1
    assert factorize(np.zeros((0, 0))).log_abs_det == 0.0
    matrix, positions, cell = lattice(8, shift=0.1)
    assert factorize(matrix, positions, cell, np.ones(3, bool)).method == "multifrontal"


def test_cholmod_when_present():
    pytest.importorskip("sksparse.cholmod")
    matrix, *_ = lattice(5, shift=0.2)
    expected = np.log(spectrum(matrix)).sum()
    assert factorize(matrix, method="cholmod").log_abs_det == pytest.approx(expected, abs=1e-9)
    with pytest.raises(RuntimeError, match="not positive definite"):
        factorize(matrix - 5 * sp.eye_array(matrix.shape[0]), method="cholmod")


@pytest.mark.parametrize(
    ("matrix", "options", "message"),
    [
        (np.ones((3, 2)), {}, "square"),
        (np.full((3, 3), np.nan), {}, "non-finite"),
        (np.eye(6), {"positions": np.zeros((4, 3))}, "positions have shape"),
        (np.eye(6), {"method": "magic"}, "unknown method"),
    ],
)
def test_bad_input(matrix, options, message):
    with pytest.raises(ValueError, match=message):
        factorize(matrix, **options)
