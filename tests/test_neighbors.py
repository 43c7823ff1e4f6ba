"""Neighbour lists against brute force in awkward cells, and their reuse with a skin."""

import itertools

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from thiry_calc.neighbors import NeighborCache, closest_pair, neighbors_of

CUTOFF = 3.3


def _brute_force(atoms, cutoff):
    """Sorted rows (i, j, D) of every pair closer than the cutoff."""
    cell, pbc, positions = atoms.cell.array, atoms.pbc, atoms.positions
    spread = np.linalg.norm(positions[:, None] - positions, axis=-1).max()
    counts = [0, 0, 0]
    periodic = np.flatnonzero(pbc)
    if len(periodic):
        heights = 1 / np.linalg.norm(np.linalg.pinv(cell[periodic]), axis=0)
        for axis, height in zip(periodic, heights, strict=True):
            counts[axis] = int(np.ceil((cutoff + spread) / height))
    rows = []
    for shift in itertools.product(*(range(-c, c + 1) for c in counts)):
        vectors = positions[None] + np.array(shift) @ cell - positions[:, None]
        for i, j in zip(*np.where(np.linalg.norm(vectors, axis=-1) < cutoff), strict=True):
            if shift != (0, 0, 0) or i != j:
                rows.append((i, j, *vectors[i, j]))
    return _sorted(rows)


def _sorted(rows):
    rows = np.array(rows, dtype=float).reshape(-1, 5)
    return rows[np.lexsort(np.round(rows, 6).T[::-1])]


def _rows(nl, cutoff):
    inside = np.linalg.norm(nl.vectors, axis=1) < cutoff
    rows = np.column_stack([nl.center, nl.neighbor, nl.vectors])[inside]
    return _sorted(rows)


def _same(nl, atoms, cutoff=CUTOFF):
    np.testing.assert_allclose(_rows(nl, cutoff), _brute_force(atoms, cutoff), atol=1e-8)


def _atoms(**changes):
    atoms = bulk("Fe", "bcc", 2.87, cubic=True) * (2, 2, 1)
    atoms.rattle(0.2, seed=1)
    for key, value in changes.items():
        setattr(atoms, key, value)
    return atoms


def _slab_outside():
    atoms = _atoms(pbc=(True, True, False))
    atoms.positions[:, 2] -= 9
    return atoms


def _flat_cell():
    atoms = _atoms(pbc=(True, True, False))
    atoms.cell[2] = [5, 0, 1e-4]
    return atoms


def _singular_cluster():
    atoms = _atoms(pbc=False)
    atoms.cell = [[1, 0, 0], [1, 1e-9, 0], [0, 0, 1]]
    return atoms


def _unwrapped():
    atoms = _atoms()
    atoms.positions += np.random.default_rng(2).integers(-2, 3, (len(atoms), 3)) @ atoms.cell
    return atoms


def _left_handed():
    atoms = _atoms()
    atoms.cell = atoms.cell.array[[1, 0, 2]]
    return atoms


CASES = {
    "bulk": _atoms,
    "slab, atoms outside": _slab_outside,
    "slab, no third vector": lambda: _atoms(pbc=(1, 1, 0), cell=[5.74, 5.74, 0]),
    "slab, flat cell": _flat_cell,
    "wire": lambda: _atoms(pbc=(0, 0, 1), cell=[0, 0, 2.87]),
    "cluster, no cell": lambda: _atoms(pbc=False, cell=np.zeros((3, 3))),
    "cluster, tiny cell": lambda: _atoms(pbc=False, cell=1e-3 * np.eye(3)),
    "cluster, singular cell": _singular_cluster,
    "unwrapped": _unwrapped,
    "left-handed": _left_handed,
    "one atom, skewed": lambda: Atoms("Fe", cell=[[2.4, 0, 0], [2.1, 1.3, 0], [5, 2, 2]], pbc=True),
    "one atom, isolated": lambda: Atoms("Fe", positions=[[7, 8, 9]]),
    "one atom, periodic, far": lambda: Atoms("Fe", cell=[20, 20, 20], pbc=True),
    "lonely atoms first": lambda: Atoms(
        "Fe4", positions=[[90, 0, 0], [50, 0, 0], [0, 0, 0], [2, 0, 0]]
    ),
    "lonely atom last": lambda: Atoms("Fe3", positions=[[0, 0, 0], [2, 0, 0], [1e4, 1e4, 1e4]]),
}


@pytest.mark.parametrize("make", CASES.values(), ids=CASES.keys())
def test_against_brute_force(make):
    atoms = make()
    nl = neighbors_of(atoms, CUTOFF)
    assert len(nl) == len(atoms)
    assert nl.first[-1] == len(nl.neighbor)
    _same(nl, atoms)


def test_random_cells():
    rng = np.random.default_rng(0)
    tried = 0
    while tried < 15:
        pbc, cell = rng.random(3) < 0.5, 3 * rng.normal(size=(3, 3))
        atoms = Atoms(f"Fe{rng.integers(1, 9)}", cell=cell, pbc=pbc)
        atoms.positions = rng.normal(size=(len(atoms), 3)) * rng.choice([1, 4])
        if pbc.any() and np.linalg.svd(cell[pbc], compute_uv=False)[-1] < 1.2:
            continue
        tried += 1
        _same(neighbors_of(atoms, CUTOFF), atoms)


def test_wide_cluster_is_fast():
    """Bins of the search must not fill the empty space: 4e9 of them here."""
    rng = np.random.default_rng(1)
    atoms = Atoms("Fe200", positions=rng.uniform(-5e3, 5e3, (200, 3)))
    assert len(neighbors_of(atoms, CUTOFF).neighbor) < 10


def test_skin_reuses_the_list_and_stays_complete():
    atoms = _atoms()
    cache = NeighborCache(CUTOFF, skin=0.6)
    rng = np.random.default_rng(3)
    for _ in range(10):
        atoms.positions += 0.02 * rng.normal(size=atoms.positions.shape)
        _same(cache.get(atoms), atoms)
    assert 1 <= cache.n_builds < 5


def test_skin_under_strain_and_wrap():
    atoms = _atoms()
    cache = NeighborCache(CUTOFF, skin=0.6)
    cache.get(atoms)
    for factor in (0.99, 0.97, 0.95, 1.05):
        strained = atoms.copy()
        strained.set_cell(atoms.cell * factor, scale_atoms=True)
        _same(cache.get(strained), strained)
    assert cache.n_builds == 1
    # stretching the list of the compressed cell needs no new one
    for factor in (0.8, 1.0, 0.85):
        strained = atoms.copy()
        strained.set_cell(atoms.cell * factor, scale_atoms=True)
        _same(cache.get(strained), strained)
    assert cache.n_builds == 2
    strained.positions[0] += strained.cell[0]
    _same(cache.get(strained), strained)
    assert cache.n_builds == 3


def test_cell_without_its_atoms():
    atoms = _atoms()
    cache = NeighborCache(CUTOFF, skin=0.6)
    cache.get(atoms)
    atoms.set_cell(atoms.cell * 0.9, scale_atoms=False)
    _same(cache.get(atoms), atoms)


@pytest.mark.parametrize("change", ["pbc", "numbers", "length"])
def test_other_structures_rebuild(change):
    atoms = _atoms()
    cache = NeighborCache(CUTOFF, skin=0.6)
    cache.get(atoms)
    if change == "pbc":
        atoms.pbc = (True, False, True)
    elif change == "numbers":
        atoms.numbers[0] = 74
    else:
        del atoms[3]
    nl = cache.get(atoms)
    assert cache.n_builds == 2
    assert np.array_equal(nl.numbers, atoms.numbers)
    _same(nl, atoms)


def test_lists_do_not_follow_later_changes():
    atoms = _atoms()
    cache = NeighborCache(CUTOFF, skin=0.6)
    nl = cache.get(atoms)
    before = nl.vectors.copy()
    atoms.positions[0] += 0.1
    cache.get(atoms)
    assert np.array_equal(nl.vectors, before)


def test_closest_pair():
    assert closest_pair(np.array([[3.0, 0, 0], [0, 0.4, 0.3], [1, 1, 1]])) == (1, 0.5)
    assert closest_pair(np.zeros((0, 3)))[1] == np.inf


def test_bad_structures():
    atoms = _atoms()
    atoms.positions[3, 1] = np.nan
    with pytest.raises(ValueError, match="non-finite positions, first at atom 3"):
        neighbors_of(atoms, CUTOFF)
    with pytest.raises(ValueError, match="without a volume"):
        neighbors_of(_atoms(cell=[5.74, 5.74, 0]), CUTOFF)
