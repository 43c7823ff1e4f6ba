"""Exact harmonic thermodynamics against dense eigenvalues and closed forms."""

import numpy as np
import pytest
import scipy.sparse as sp
from ase import Atoms, units
from ase.build import bulk, molecule
from ase.calculators.emt import EMT

from thiry_calc.harmonic import (
    HBAR_OMEGA,
    RAD_PER_S,
    HarmonicThermodynamics,
    formation_entropy,
    log_determinant,
    lowest_modes,
    mean_frequency,
    site_entropies,
    vineyard_rate,
)


def springs(positions, pairs, stiffness, tension=None):
    """Hessian of springs between pairs: rigid motions cost nothing, if unstretched."""
    n = len(positions)
    hessian = np.zeros((n, 3, n, 3))
    for (i, j), k in zip(pairs, np.broadcast_to(stiffness, len(pairs)), strict=True):
        d = positions[j] - positions[i]
        block = k * np.outer(d, d) / (d @ d)
        hessian[i, :, i] += block
        hessian[j, :, j] += block
        hessian[i, :, j] -= block
        hessian[j, :, i] -= block
    return hessian.reshape(3 * n, 3 * n)


def random_invariant(n, generators, seed, n_negative=0):
    """A random Hessian that vanishes on the generators, with given inertia; and its spectrum."""
    rng = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(np.hstack([generators, rng.normal(size=(3 * n, 3 * n))]))
    values = rng.uniform(0.5, 9.0, 3 * n - generators.shape[1])
    values[:n_negative] *= -1
    rest = basis[:, generators.shape[1] : 3 * n]
    return rest * values @ rest.T, values


def dense_log_det(hessian, masses, n_zero):
    root = np.repeat(np.sqrt(masses), 3)
    values = np.linalg.eigvalsh(hessian / np.outer(root, root))
    return np.sum(np.log(np.sort(np.abs(values))[n_zero:]))


def rigid(positions):
    axes = np.eye(3)
    turns = [np.cross(axis, positions).ravel() for axis in axes]
    return np.hstack([np.tile(axes, (len(positions), 1)), np.array(turns).T])


@pytest.mark.parametrize("n_negative", [0, 1, 3])
@pytest.mark.parametrize("case", ["crystal", "slab", "wire", "cluster", "linear"])
def test_every_zero_mode_case_against_dense_eigenvalues(case, n_negative):
    rng = np.random.default_rng(3)
    n = 12
    positions = rng.uniform(0, 8, (n, 3))
    pbc = {"crystal": (1, 1, 1), "slab": (1, 0, 1), "wire": (0, 1, 0)}.get(case, (0, 0, 0))
    cell = np.diag([9.0, 10.0, 11.0]) + rng.uniform(-1, 1, (3, 3))
    generators = rigid(positions)
    if case in ("crystal", "slab"):
        generators = generators[:, :3]
    if case == "wire":
        turn = np.cross(cell[1], positions).ravel()[:, None]
        generators = np.hstack([generators[:, :3], turn])
    if case == "linear":
        positions = np.outer(np.arange(n), [0.6, -0.3, 0.8]) + [1.0, 2.0, 3.0]
        generators = rigid(positions)
        u, s, _ = np.linalg.svd(generators, full_matrices=False)
        generators = u[:, s > 1e-8]
    hessian, _ = random_invariant(n, generators, seed=5, n_negative=n_negative)
    masses = rng.uniform(1, 100, n)
    geometry = {"positions": positions, "pbc": np.array(pbc, bool), "cell": cell}
    for zero_modes in (case, "auto", generators.shape[1]):
        found = HarmonicThermodynamics.from_hessian(
            hessian, masses=masses, zero_modes=zero_modes, modes=True, **geometry
        )
        expected = dense_log_det(hessian, masses, generators.shape[1])
        assert found.n_zero_modes == generators.shape[1]
        assert found.n_negative_modes == n_negative
        assert found.n_near_zero_modes == 0
        assert found.log_determinant == pytest.approx(expected, abs=1e-10 * n)
        assert np.log(np.abs(found.eigenvalues)).sum() == pytest.approx(expected, abs=1e-9)
        bare = dense_log_det(hessian, np.ones(n), generators.shape[1])
        assert found.log_determinant_hessian == pytest.approx(bare, abs=1e-10 * n)
