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
    vineyard_rate,
)
from thiry_calc.site_entropies import TOLERANCE, site_entropies, sparse_site_entropies


def springs(positions, pairs, stiffness):
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
        positions = np.outer(np.arange(n), [0.6, -0.3, 0.8]) + np.array([1.0, 2.0, 3.0])
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


def test_a_real_molecule_and_its_rotations():
    """Water by harmonic springs: six zero modes, and three if it were taken for a crystal."""
    atoms = molecule("H2O")
    hessian = springs(atoms.positions, [(0, 1), (0, 2), (1, 2)], [30.0, 30.0, 9.0])
    found = HarmonicThermodynamics.from_hessian(hessian, atoms, modes=True)
    assert (found.n_zero_modes, found.n_modes) == (6, 3)
    expected = dense_log_det(hessian, atoms.get_masses(), 6)
    assert found.log_determinant == pytest.approx(expected, abs=1e-11)
    with pytest.warns(UserWarning, match="3 near-zero modes beyond its 3 rigid motions"):
        log_determinant(hessian, zero_modes="crystal")
    crystal = HarmonicThermodynamics.from_hessian(hessian, atoms, zero_modes="crystal")
    assert crystal.n_near_zero_modes == 3
    assert crystal.n_negative_modes == 0


def test_diatomic_closed_form():
    """One mode, ω² = k/μ; "auto" finds that the molecule is linear."""
    atoms = Atoms("HF", [[0.1, 0.2, 0.3], [0.6, 1.0, 0.2]])
    k = 35.0
    hessian = springs(atoms.positions, [(0, 1)], k)
    m1, m2 = atoms.get_masses()
    found = HarmonicThermodynamics.from_hessian(hessian, atoms, modes=True)
    assert (found.n_zero_modes, found.n_modes) == (5, 1)
    assert found.log_determinant == pytest.approx(np.log(k * (m1 + m2) / (m1 * m2)))
    assert found.log_determinant_hessian == pytest.approx(np.log(2 * k))
    omega = np.sqrt(k * (m1 + m2) / (m1 * m2)) * np.sqrt(units._e / units._amu) * 1e10
    assert mean_frequency(found.log_determinant, 1) == pytest.approx(omega, rel=1e-12)
    assert found.frequencies_THz() == pytest.approx([omega / (2e12 * np.pi)])


def test_single_atom_has_no_vibration():
    found = HarmonicThermodynamics.from_hessian(np.zeros((3, 3)), Atoms("Ar"), modes=True)
    assert (found.n_zero_modes, found.n_modes, found.log_determinant_hessian) == (3, 0, 0.0)
    assert found.entropy(300.0) == 0.0


def test_ring_of_springs():
    """Periodic chain, k along and q across: det′ = (N² k^(N−1)) (N² q^(N−1))²."""
    n, k, q = 9, 4.0, 0.7
    hessian = np.zeros((n, 3, n, 3))
    for i in range(n):
        j = (i + 1) % n
        block = np.diag([k, q, q])
        hessian[i, :, i] += block
        hessian[j, :, j] += block
        hessian[i, :, j] -= block
        hessian[j, :, i] -= block
    found = log_determinant(hessian.reshape(3 * n, 3 * n))
    closed = 6 * np.log(n) + (n - 1) * np.log(k * q * q)
    assert found == pytest.approx(closed, abs=1e-11)
    masses = np.full(n, 3.0)
    weighted = log_determinant(hessian.reshape(3 * n, 3 * n), masses)
    assert weighted == pytest.approx(closed - (3 * n - 3) * np.log(3.0), abs=1e-11)


def test_oscillator_quantum_closed_form_and_classical_limit():
    value = 0.16  # eV/Å²/amu
    energy = HBAR_OMEGA * 0.4
    atom = HarmonicThermodynamics.from_eigenvalues([value] * 3)
    kt = units.kB * 150.0
    x = energy / kt
    partition = np.exp(-x / 2) / (1 - np.exp(-x))
    assert atom.free_energy(150.0, quantum=True) == pytest.approx(-3 * kt * np.log(partition))
    assert atom.free_energy(0.0, quantum=True) == pytest.approx(1.5 * energy)
    assert atom.entropy(0.0, quantum=True) == 0.0
    assert atom.heat_capacity(0.0, quantum=True) == 0.0
    assert atom.free_energy(0.0) == 0.0
    einstein = 3 * units.kB * x**2 * np.exp(x) / np.expm1(x) ** 2
    assert atom.heat_capacity(150.0, quantum=True) == pytest.approx(einstein)
    hot = 2e5
    assert atom.entropy_kB(hot, quantum=True) == pytest.approx(atom.entropy_kB(hot), abs=1e-6)
    assert atom.free_energy(hot, True) == pytest.approx(atom.free_energy(hot), rel=1e-6)
    assert atom.heat_capacity(hot, True) == pytest.approx(3 * units.kB, rel=1e-6)
    assert atom.entropy_kB(300.0) == pytest.approx(3 * (np.log(units.kB * 300 / energy) + 1))
    hbar = HBAR_OMEGA / RAD_PER_S * units._e
    assert hbar == pytest.approx(units._hbar)


@pytest.mark.parametrize("quantum", [False, True])
def test_entropy_is_minus_the_slope_of_the_free_energy(quantum):
    found = HarmonicThermodynamics.from_eigenvalues(np.linspace(0.05, 2.0, 9))
    t, h = 217.0, 0.05
    slope = (found.free_energy(t + h, quantum) - found.free_energy(t - h, quantum)) / (2 * h)
    assert -slope == pytest.approx(found.entropy(t, quantum), rel=1e-6)
    rise = (found.entropy(t + h, quantum) - found.entropy(t - h, quantum)) / (2 * h)
    assert t * rise == pytest.approx(found.heat_capacity(t, quantum), rel=1e-6)


@pytest.fixture(scope="module")
def copper():
    """Perfect and vacancy cells of EMT copper with their Hessians, 32 sites."""
    from ase.optimize import FIRE

    from thiry_calc.hessian import finite_difference_hessian

    perfect = bulk("Cu", cubic=True, a=3.6) * (2, 2, 2)
    vacancy = perfect.copy()
    del vacancy[0]
    vacancy.calc = EMT()
    FIRE(vacancy, logfile=None).run(fmax=1e-6)
    kwargs = {"order": 2, "step": 0.005}
    return (
        (perfect, finite_difference_hessian(perfect, EMT(), **kwargs)),
        (vacancy, finite_difference_hessian(vacancy, **kwargs)),
    )


def test_crystal_with_a_vacancy_against_dense_eigenvalues(copper):
    (_, bulk_hessian), (vacancy, hessian) = copper
    dense = dense_log_det(hessian.toarray(), vacancy.get_masses(), 3)
    geometry = {
        "positions": vacancy.positions,
        "cell": vacancy.cell.array,
        "pbc": vacancy.pbc,
    }
    for method in ("auto", "dense", "multifrontal"):
        found = log_determinant(hessian, vacancy.get_masses(), method=method, **geometry)
        assert found == pytest.approx(dense, abs=1e-9 * len(vacancy))
    assert log_determinant(hessian, vacancy.get_masses()) == pytest.approx(dense, abs=1e-7)
    formation = formation_entropy(
        log_determinant(hessian, **geometry), 31, log_determinant(bulk_hessian), 32
    )
    plain = [
        dense_log_det(h.toarray(), np.ones(h.shape[0] // 3), 3) for h in (hessian, bulk_hessian)
    ]
    assert formation == pytest.approx(-0.5 * (plain[0] - 30 / 31 * plain[1]), abs=1e-7)
    assert 0.5 < formation < 4.0


def test_site_entropies_sum_to_the_formation_entropy(copper):
    (_, bulk_hessian), (_, hessian) = copper
    log_det_bulk = log_determinant(bulk_hessian)
    total = formation_entropy(log_determinant(hessian), 31, log_det_bulk, 32)
    for shift in (1.0, 25.0):
        sites = site_entropies(hessian, log_det_bulk, 32, shift)
        assert sites.shape == (31,)
        assert sites.sum() == pytest.approx(total, abs=1e-7)
    perfect = site_entropies(bulk_hessian, log_det_bulk, 32)
    assert perfect == pytest.approx(np.zeros(32), abs=1e-7)
    with pytest.raises(ValueError, match="need a minimum"):
        site_entropies(-hessian, log_det_bulk, 32)


def test_site_entropies_without_eigenvectors(copper):
    (_, bulk_hessian), (vacancy, hessian) = copper
    log_det_bulk = log_determinant(bulk_hessian)
    dense = site_entropies(hessian, log_det_bulk, 32)
    where = vacancy.positions, vacancy.cell.array, vacancy.pbc
    sparse = sparse_site_entropies(hessian, log_det_bulk, 32, *where)
    np.testing.assert_allclose(sparse, dense, atol=1.5 * TOLERANCE)
    with pytest.raises(ValueError, match="not positive definite"):
        sparse_site_entropies(-hessian, log_det_bulk, 32, *where)


def test_free_of_the_pinned_atom(copper):
    """Any order of the atoms gives the same number: the pinned coordinates do not matter."""
    _, (vacancy, hessian) = copper
    expected = log_determinant(hessian, vacancy.get_masses(), vacancy.positions)
    order = np.random.default_rng(2).permutation(31)
    rows = (3 * order[:, None] + np.arange(3)).ravel()
    found = log_determinant(
        hessian[rows][:, rows], vacancy.get_masses()[order], vacancy.positions[order]
    )
    assert found == pytest.approx(expected, abs=1e-8)


def test_lowest_modes_dense_and_sparse_find_the_unstable_ones(copper, monkeypatch):
    _, (vacancy, hessian) = copper
    bumpy = hessian.tolil()
    stiffness = 30.0
    d = vacancy.positions[10] - vacancy.positions[11]
    block = stiffness * np.outer(d, d) / (d @ d)
    for i, j, sign in ((10, 10, -1), (11, 11, -1), (10, 11, 1), (11, 10, 1)):
        bumpy[3 * i : 3 * i + 3, 3 * j : 3 * j + 3] += sign * block
    saddle = sp.csr_array(bumpy.tocsr())
    masses = vacancy.get_masses()
    expected = np.linalg.eigvalsh(saddle.toarray() / masses[0])[:4]
    assert expected[0] < -1e-3
    values, vectors = lowest_modes(saddle, 4, masses)
    assert values == pytest.approx(expected, abs=1e-10)
    monkeypatch.setattr("thiry_calc.saddles._DENSE", 10)
    sparse_values, sparse_vectors = lowest_modes(saddle, 4, masses)
    assert sparse_values == pytest.approx(expected, abs=1e-9)
    assert abs(vectors[:, 0] @ sparse_vectors[:, 0]) == pytest.approx(1, abs=1e-8)
    found = HarmonicThermodynamics.from_hessian(saddle, vacancy)
    assert found.n_negative_modes == int((expected < -1e-6).sum())
    with pytest.warns(UserWarning, match="1 negative and 0 near-zero"):
        log_determinant(saddle)


def test_vineyard_rate_of_separable_wells():
    """Frequencies 1, 2, 3 at the minimum and 2, 4 and an unstable one at the saddle, in THz."""
    to_value = (2e12 * np.pi / RAD_PER_S) ** 2
    minimum = np.log(np.array([1.0, 4.0, 9.0]) * to_value).sum()
    saddle = np.log(np.array([4.0, 16.0, 2.25]) * to_value).sum()
    unstable = -2.25 * to_value
    prefactor = vineyard_rate(minimum, saddle, unstable, 0.0, np.inf)
    assert prefactor == pytest.approx(1e12 * 6 / 8)
    rate = vineyard_rate(minimum, saddle, unstable, 0.5, 700.0)
    assert rate == pytest.approx(0.75e12 * np.exp(-0.5 / (8.617330337217213e-05 * 700)), rel=1e-6)
    with pytest.raises(ValueError, match="saddle with one negative mode"):
        vineyard_rate(minimum, saddle, -unstable, 0.5, 700.0)
    with pytest.raises(ValueError, match="saddle with one negative mode"):
        vineyard_rate(minimum, saddle, unstable, 0.5, 700.0, n_negative_saddle=2)


def test_saddle_is_counted_and_not_dropped():
    positions = np.random.default_rng(8).uniform(0, 9, (14, 3))
    hessian, values = random_invariant(14, rigid(positions)[:, :3], 4, n_negative=2)
    found = HarmonicThermodynamics.from_hessian(hessian, masses=np.ones(14), modes=True)
    assert found.n_negative_modes == 2
    assert found.eigenvalues == pytest.approx(np.sort(values), abs=1e-10)
    assert (found.frequencies_THz() < 0).sum() == 2
    assert np.isfinite(found.entropy(300.0))
    with pytest.raises(ValueError, match="2 negative"):
        found.entropy(300.0, quantum=True)
    again = HarmonicThermodynamics.from_eigenvalues(found.eigenvalues, n_zero_modes=3)
    assert again.n_negative_modes == 2
    assert again.log_determinant == pytest.approx(found.log_determinant)
    assert "2 negative" in str(found)


def test_hessian_that_is_not_invariant_is_refused_with_the_remedy():
    positions = np.random.default_rng(8).uniform(0, 9, (14, 3))
    hessian, _ = random_invariant(14, rigid(positions)[:, :3], 4)
    with pytest.raises(ValueError, match=r"rotations.*forces below 1e-6"):
        log_determinant(hessian, positions=positions, zero_modes="cluster")
    with pytest.raises(ValueError, match=r"translations.*sum rule"):
        log_determinant(hessian + np.eye(42))
    with pytest.warns(UserWarning, match=r"translations.*sum rule"):
        log_determinant(hessian + 1e-4 * np.eye(42))
    assert log_determinant(hessian + np.eye(42), zero_modes=0) == pytest.approx(
        np.linalg.slogdet(hessian + np.eye(42))[1]
    )


@pytest.mark.parametrize(
    ("hessian", "options", "message"),
    [
        (np.eye(4), {}, r"shape \(3N, 3N\)"),
        (np.full((3, 3), np.inf), {}, "non-finite"),
        (np.triu(np.ones((6, 6))), {}, "not symmetric"),
        (np.eye(6), {"masses": np.array([1.0, -1.0])}, "2 positive masses"),
        (np.eye(6), {"zero_modes": "sphere"}, "unknown zero_modes"),
        (np.eye(6), {"zero_modes": "cluster"}, "give positions"),
        (np.eye(6), {"zero_modes": "wire", "positions": np.eye(2, 3)}, "one periodic direction"),
        (np.eye(6), {"zero_modes": 6, "positions": np.eye(2, 3)}, "5 rigid motions, not 6"),
    ],
)
def test_bad_input(hessian, options, message):
    with pytest.raises(ValueError, match=message):
        log_determinant(hessian, **options)


def test_bad_thermodynamic_input():
    found = HarmonicThermodynamics.from_hessian(np.eye(6), masses=np.ones(2), zero_modes=0)
    for temperature in (-1.0, 0.0, np.nan):
        with pytest.raises(ValueError, match="temperature"):
            found.entropy(temperature)
    with pytest.raises(ValueError, match="modes=True"):
        found.free_energy(300.0, quantum=True)
    with pytest.raises(ValueError, match="modes=True"):
        found.frequencies_THz()
    with pytest.raises(ValueError, match="need masses"):
        HarmonicThermodynamics.from_hessian(np.eye(6))
    with pytest.raises(ValueError, match="3N finite eigenvalues"):
        HarmonicThermodynamics.from_eigenvalues([1.0, 2.0])
    with pytest.raises(ValueError, match="at least two atoms"):
        formation_entropy(1.0, 1, 1.0, 2)
    with pytest.raises(ValueError, match="at least one mode"):
        mean_frequency(1.0, 0)
