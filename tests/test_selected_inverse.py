"""Selected inverses against dense ones."""

import numpy as np
import pytest
import scipy.sparse as sp

from thiry_calc.defects import supercell
from thiry_calc.factorize import factorize
from thiry_calc.selected_inverse import pinned_inverse, selected_inverse
from training.references.am04 import AM04, LATTICE_CONSTANT


def _random(n, density, seed):
    rng = np.random.default_rng(seed)
    a = sp.random_array((n, n), density=density, rng=rng).toarray()
    matrix = a + a.T
    return sp.csr_array(matrix + np.diag(np.abs(matrix).sum(axis=1) + 1.0))


def _compare(found, matrix):
    dense = np.linalg.inv(matrix.toarray())
    rows, columns = matrix.nonzero()
    np.testing.assert_allclose(found.toarray()[rows, columns], dense[rows, columns], atol=1e-13)
    assert (found != 0).nnz <= matrix.nnz


@pytest.mark.parametrize(("n", "density"), [(7, 0.5), (60, 0.1), (900, 0.004)])
def test_random_matrices(n, density):
    matrix = _random(n, density, n)
    inverse, log_det = selected_inverse(matrix)
    _compare(inverse, matrix)
    assert log_det == pytest.approx(factorize(matrix).log_abs_det, rel=1e-13)


@pytest.mark.parametrize("size", [3, 8])
def test_pinned_hessian(size):
    """54 atoms go as one dense block, 1023 over many fronts."""
    atoms = supercell(LATTICE_CONSTANT, size)
    del atoms[0]
    hessian = AM04().get_hessian(atoms)
    inverse, log_det = pinned_inverse(hessian, atoms.positions, atoms.cell.array, atoms.pbc)
    kept = 3 * len(atoms) - 3
    assert inverse.shape == hessian.shape
    assert not inverse[kept:].toarray().any()
    _compare(inverse[:kept, :kept], sp.csr_array(hessian)[:kept, :kept])
    sign, dense = np.linalg.slogdet(hessian[:kept, :kept].toarray())
    assert sign == 1
    assert log_det == pytest.approx(dense + 3 * np.log(len(atoms)), rel=1e-12)


def test_not_a_minimum():
    with pytest.raises(ValueError, match="not positive definite"):
        selected_inverse(sp.csr_array(np.diag([1.0, -1.0, 2.0])))
