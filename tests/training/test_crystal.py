import numpy as np
import pytest
from ase import units

from thiry_calc.defects import supercell
from thiry_calc.harmonic import log_determinant, mean_frequency
from training.crystal import hbar_omega, relaxed_lattice_constant
from training.references.am04 import AM04, LATTICE_CONSTANT


def test_lattice_constant_of_am04():
    assert relaxed_lattice_constant(AM04(), 2.86, "Fe", "bcc") == pytest.approx(
        LATTICE_CONSTANT, abs=2e-6
    )


def test_mean_frequency_is_the_limit_of_supercells():
    crystal = supercell(LATTICE_CONSTANT, 6)
    infinite = hbar_omega(crystal, AM04(), 24)
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

    assert hbar_omega(crystal, Stiffer(), 8) == pytest.approx(2 * hbar_omega(crystal, AM04(), 8))


def test_unstable_crystal_is_refused():
    class Unstable(AM04):
        def get_hessian(self, atoms):
            return -super().get_hessian(atoms)

    with pytest.raises(ValueError, match="unstable"):
        hbar_omega(supercell(LATTICE_CONSTANT, 6), Unstable(), 8)
    assert np.isfinite(hbar_omega(supercell(LATTICE_CONSTANT, 6), AM04(), 8))
