"""Fixtures of the tests of the runtime; `small_potentials` makes their potentials."""

import numba
import pytest
from small_potentials import build_potential, rattled_crystal


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Threads that wait for one another make small systems slow on a busy machine."""
    numba.set_num_threads(1)


@pytest.fixture(scope="session")
def make_potential():
    """`build_potential`, with the potentials of a session kept."""
    made = {}

    def make(kind="afs", elements=("Fe",), seed=1, split=False, targets=None):
        key = (kind, tuple(elements), seed, split, targets and tuple(targets))
        if key not in made:
            made[key] = build_potential(kind, elements, seed, split, targets)
        return made[key]

    return make


@pytest.fixture(scope="session")
def iron(make_potential):
    """One element; energy and entropy share an AFS."""
    return make_potential()


@pytest.fixture(scope="session")
def alloy(make_potential):
    """Two elements; energy and entropy share a power spectrum."""
    return make_potential("power", ("Fe", "W"))


@pytest.fixture(scope="session")
def split(make_potential):
    """Two elements; the entropy has a descriptor, and a cutoff, of its own."""
    return make_potential("pair", ("Fe", "W"), split=True)


@pytest.fixture
def rattled():
    """16 atoms of bcc iron off their sites."""
    return rattled_crystal(("Fe",), 0.15, 3)
