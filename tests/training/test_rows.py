"""Statistics of rows against rows written out."""

import numpy as np
import pytest
from ase import Atoms

from thiry_calc.descriptors import Combined, OneBody, Pair
from thiry_calc.neighbors import neighbors_of
from training.dataset import Structure
from training.executors import make_executor
from training.rows import KINDS, Baseline, GroupWeight, RowMaker, fold_statistics

ELEMENTS = ("Fe", "W")
DESCRIPTOR = Combined((OneBody(ELEMENTS), Pair(4.0, 3, ELEMENTS)))
K = DESCRIPTOR.n_features
BASELINE = Baseline(ELEMENTS, np.array([-8.0, -12.0]), np.linspace(0, 1, 2 * K).reshape(2, K))


def _structures(n, atoms=5):
    rng = np.random.default_rng(3)
    out = []
    for k in range(n):
        cell = np.diag(rng.uniform(4, 5, 3)) + 0.1 * rng.normal(size=(3, 3))
        symbols = rng.choice(ELEMENTS, atoms)
        a = Atoms(symbols, rng.uniform(0, 4, (atoms, 3)), cell=cell, pbc=True)
        labels = [rng.normal(), rng.normal(size=(atoms, 3)), rng.normal(size=6)]
        if k % 3 == 1:
            labels[1] = labels[2] = None
        if k % 4 == 2:
            labels[0] = None
        out.append(Structure(a, *labels, f"group{k % 2}", f"frame {k}"))
    return out


def _by_hand(structures, w):
    """Residual sums of squares of coefficients w, by kind."""
    rss = dict.fromkeys(KINDS, 0.0)
    for s in structures:
        factor = 2.0 if s.group == "group1" else 1.0
        total, force_rows, strain_rows = DESCRIPTOR.push(neighbors_of(s.atoms, DESCRIPTOR.cutoff))
        symbols = s.atoms.get_chemical_symbols()
        counts = [symbols.count(e) for e in ELEMENTS]
        n = len(s.atoms)
        if s.energy is not None:
            miss = (total - counts @ BASELINE.features) @ w - s.energy + counts @ BASELINE.energies
            rss["energy"] += (factor * miss) ** 2 / n
        if s.forces is not None:
            miss = (force_rows @ w).reshape(n, 3) - s.forces
            scale = 1 / (1 + np.sum(s.forces**2, axis=1) / 4.0)
            rss["forces"] += np.sum(scale[:, None] * miss**2)
            if s.group == "group0":
                rss["stress"] += (
                    np.sum((strain_rows @ w - s.stress * s.atoms.get_volume()) ** 2) / n
                )
    return rss


@pytest.fixture
def maker():
    weights = {"group1": GroupWeight(energy=2.0, stress=0.0)}
    return RowMaker(DESCRIPTOR, BASELINE, force_scale=2.0, weights=weights)


def test_statistics_are_those_of_the_rows(maker):
    structures = _structures(12)
    statistics = maker.statistics(structures)
    w = np.random.default_rng(0).normal(size=K)
    for kind, rss in _by_hand(structures, w).items():
        np.testing.assert_allclose(statistics[kind].rss(w), rss, rtol=1e-10)


def test_folds_add_up_and_files_are_found_again(maker, tmp_path, monkeypatch):
    monkeypatch.setattr("training.rows._SHARD_ATOMS", 12)
    structures, folds = _structures(13), np.arange(13) % 3
    with make_executor(0) as executor:
        parts = fold_statistics(structures, folds, maker, executor, tmp_path / "rows")
        assert len(parts) == 3
        whole = maker.statistics(structures)
        w = np.random.default_rng(0).normal(size=K)
        for kind in KINDS:
            assert sum(part[kind].n for part in parts) == whole[kind].n
            total = sum(part[kind].rss(w) for part in parts)
            np.testing.assert_allclose(total, whole[kind].rss(w), rtol=1e-10)
        assert len(list((tmp_path / "rows").glob("*.npz"))) > 3
        monkeypatch.setattr(RowMaker, "statistics", None)  # must not be called
        again = fold_statistics(structures, folds, maker, executor, tmp_path / "rows")
    for one, other in zip(parts, again, strict=True):
        for kind in KINDS:
            np.testing.assert_array_equal(one[kind].factor(), other[kind].factor())


@pytest.mark.parametrize("change", ["positions", "energy", "weights", "descriptor", "energies"])
def test_a_shard_is_known_by_all_it_depends_on(maker, change):
    structures = _structures(3)
    before = maker.key(structures)
    assert before == maker.key(_structures(3))
    parts = dict(vars(maker))
    if change == "positions":
        structures[1].atoms.positions[0, 0] += 1e-9
    elif change == "energy":
        structures[0] = Structure(**{**vars(structures[0]), "energy": 7.0})
    elif change == "weights":
        parts["weights"] = {"group1": GroupWeight(forces=0.5)}
    elif change == "descriptor":
        parts["descriptor"] = Combined((OneBody(ELEMENTS), Pair(4.1, 3, ELEMENTS)))
    else:
        parts["baseline"] = Baseline(ELEMENTS, BASELINE.energies + 1e-9, BASELINE.features)
    assert RowMaker(**parts).key(structures) != before
