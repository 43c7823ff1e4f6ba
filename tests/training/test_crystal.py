import numpy as np
import pytest
from ase import units

from thiry_calc.crystals import crystal_of_box
from thiry_calc.defects import supercell
from thiry_calc.harmonic import log_determinant, mean_frequency
from training.crystal import hbar_omega
from training.references.am04 import AM04, LATTICE_CONSTANT


def box_of(crystal, lattice="bcc", a0=LATTICE_CONSTANT):
    return crystal_of_box(crystal, lattice, a0, "Fe")


def strained(strain):
    crystal = supercell(LATTICE_CONSTANT, 7)
    crystal.set_cell(crystal.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    return crystal


def test_a_strain_may_point_along_any_cubic_axis():
    along = [hbar_omega(box_of(strained(np.diag(row))), AM04(), 8) for row in 0.01 * np.eye(3)]
    assert along == pytest.approx([along[0]] * 3, rel=1e-10)


def test_the_strained_crystal_is_the_limit_of_strained_supercells():
    strain = np.array([[0.01, 0.004, -0.006], [0.004, -0.012, 0.002], [-0.006, 0.002, 0.015]])
    exact, log_dets = [], []
    for cell in (supercell(LATTICE_CONSTANT, 7), strained(strain)):
        exact.append(np.log(hbar_omega(box_of(cell), AM04(), 16)))
        log_dets.append(
            log_determinant(AM04().get_hessian(cell), None, cell.positions, cell=cell.cell)
        )
    # the finite-size terms of both cells cancel but for the zero modes' share, 1/N
    change = 0.5 * (log_dets[1] - log_dets[0]) / (3 * len(cell) - 3)
    assert exact[1] - exact[0] == pytest.approx(change, rel=4e-3)


def test_fcc_has_its_own_zone():
    """Springs between nearest neighbours of fcc: det D by direct summation over a finer grid."""

    class Springs:
        def get_hessian(self, atoms):
            import scipy.sparse as sp
            from matscipy.neighbours import neighbour_list

            i, j, d = neighbour_list("ijD", atoms, 2.8)
            unit = d / np.linalg.norm(d, axis=1)[:, None]
            hessian = np.zeros((len(atoms), 3, len(atoms), 3))
            for a, b, u in zip(i, j, unit, strict=True):
                hessian[a, :, a] += np.outer(u, u)
                hessian[a, :, b] -= np.outer(u, u)
            return sp.csr_array(hessian.reshape(3 * len(atoms), -1))

    a0 = 3.6
    crystal = supercell(a0, 3, "Fe", "fcc")
    hbar = hbar_omega(box_of(crystal, "fcc", a0), Springs(), 12)
    vectors = a0 / 2 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
    grid = (np.arange(20) + 0.5) / 20
    k = 2 * np.pi * np.stack(np.meshgrid(grid, grid, grid), -1).reshape(-1, 3)
    k = k @ np.linalg.inv(vectors).T
    near = np.array([s for s in np.ndindex(3, 3, 3)]) - 1
    near = near @ vectors
    near = near[np.isclose(np.linalg.norm(near, axis=1), a0 / np.sqrt(2))]
    extra = np.array([[1, -1, 0], [-1, 1, 0], [1, 0, -1], [-1, 0, 1], [0, 1, -1], [0, -1, 1]])
    near = np.unique(np.round(np.concatenate([near, a0 / 2 * extra]), 9), axis=0)
    assert len(near) == 12
    units_of = near / np.linalg.norm(near, axis=1)[:, None]
    d = np.einsum("kj,ja,jb->kab", 1 - np.cos(k @ near.T), units_of, units_of)
    log_omega = 0.5 * np.log(np.linalg.eigvalsh(d) / crystal.get_masses()[0]).mean()
    assert np.log(hbar / (units._hbar * units.J * units.s)) == pytest.approx(log_omega, abs=2e-3)


def test_mean_frequency_is_the_limit_of_supercells():
    crystal = supercell(LATTICE_CONSTANT, 6)
    infinite = hbar_omega(box_of(crystal), AM04(), 24)
    distances = []
    for size in (6, 8):
        box = supercell(LATTICE_CONSTANT, size)
        log_det = log_determinant(
            AM04().get_hessian(box), box.get_masses(), box.positions, cell=box.cell, pbc=box.pbc
        )
        omega = mean_frequency(log_det, 3 * len(box) - 3)
        distances.append(omega * units._hbar * units.J / infinite - 1)
    # ln det′ of N atoms carries 2 ln N: ln ω̄ is above its limit by (2 ln N + const)/(6 N)
    assert 0 < distances[1] < distances[0] < 0.006
    assert distances[0] / distances[1] == pytest.approx(2.1, abs=0.2)


def test_force_constants_scale_the_frequency_as_their_root():
    crystal = supercell(LATTICE_CONSTANT, 6)

    class Stiffer(AM04):
        def get_hessian(self, atoms):
            return 4.0 * super().get_hessian(atoms)

    assert hbar_omega(box_of(crystal), Stiffer(), 8) == pytest.approx(
        2 * hbar_omega(box_of(crystal), AM04(), 8)
    )


def test_unstable_crystal_is_refused():
    class Unstable(AM04):
        def get_hessian(self, atoms):
            return -super().get_hessian(atoms)

    with pytest.raises(ValueError, match="unstable"):
        hbar_omega(box_of(supercell(LATTICE_CONSTANT, 6)), Unstable(), 8)
    assert np.isfinite(hbar_omega(box_of(supercell(LATTICE_CONSTANT, 6)), AM04(), 8))
