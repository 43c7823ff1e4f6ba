"""A fit within a limit of memory that its design matrix exceeds ten times."""

import subprocess
import sys
import textwrap

import pytest

LIMIT = 550 * 2**20  # of private memory, bytes; the structures and imports alone take 260 MB

FIT = textwrap.dedent(
    """
    import resource
    import sys

    resource.setrlimit(resource.RLIMIT_DATA, ({limit}, {limit}))

    import numpy as np
    from ase.calculators.singlepoint import SinglePointCalculator
    from thiry_calc.defects import supercell
    from thiry_calc.descriptors import ACE
    from training import fit
    from training.references.am04 import AM04, LATTICE_CONSTANT

    rng, am04 = np.random.default_rng(0), AM04()
    descriptor = ACE(4.2, (10, 10, 9))
    frames, size = [], 0
    while size < 10 * {limit}:
        atoms = supercell(LATTICE_CONSTANT, 6)
        atoms.rattle(0.1, rng=rng)
        atoms.calc = am04
        labels = dict(energy=atoms.get_potential_energy(), forces=atoms.get_forces())
        atoms.calc = SinglePointCalculator(atoms, **labels)
        frames.append(atoms)
        size += 8 * descriptor.n_features * (3 * len(atoms) + 1)
    try:
        np.empty(2 * {limit}, np.uint8)
    except MemoryError:
        pass
    else:
        sys.exit("the limit does not hold")
    fit(frames, sys.argv[1], descriptors=[descriptor])
    """
)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of private memory")
def test_a_design_matrix_ten_times_the_memory(tmp_path):
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    run = subprocess.run(
        [sys.executable, "-c", FIT.format(limit=LIMIT), tmp_path / "Fe.thiry"],
        capture_output=True,
        text=True,
        check=False,
        env=threads,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert (tmp_path / "Fe.thiry").exists()
