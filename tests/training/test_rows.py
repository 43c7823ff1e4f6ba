"""Statistics of rows against rows written out."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms

from thiry_calc.descriptors import ZBL, Combined, OneBody, Pair
from thiry_calc.neighbors import neighbors_of
from training.collisions import collisions
from training.dataset import Structure
from training.executors import make_executor
from training.rows import KINDS, Baseline, GroupWeight, RowMaker, Scales, fold_statistics

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
    return RowMaker(DESCRIPTOR, BASELINE, Scales(force=2.0), weights=weights)


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


def test_a_core_takes_its_part_off_every_label():
    core, structures = ZBL(1.0, 3.0), _structures(6)
    less = []
    for one in structures:
        total, forces, strain = core.push(neighbors_of(one.atoms, 3.0))
        less.append(
            replace(
                one,
                energy=None if one.energy is None else one.energy - total[0],
                forces=None if one.forces is None else one.forces - forces.reshape(-1, 3),
                stress=None
                if one.stress is None
                else one.stress - strain[:, 0] / one.atoms.get_volume(),
            )
        )
    with_core = RowMaker(DESCRIPTOR, replace(BASELINE, core=core))
    found = with_core.statistics(structures)
    expected = RowMaker(DESCRIPTOR, BASELINE).statistics(less)
    w = np.random.default_rng(0).normal(size=K)
    for kind in ("energy", "forces", "stress"):
        assert found[kind].rss(w) == pytest.approx(expected[kind].rss(w), rel=1e-10)
    assert expected["core"].n == 0
    assert with_core.key(structures) != RowMaker(DESCRIPTOR, BASELINE).key(structures)


def test_collisions_leave_the_learned_part_alone():
    core = ZBL(1.0, 2.0)
    atoms = Atoms("FeW2", [[1, 1, 1], [3, 1, 1], [1, 4, 1]], cell=[9, 9, 9], pbc=True)
    atoms.positions[2] += 3.0
    alone, moved, added = collisions(atoms, core)
    changed = np.any(moved.atoms.positions != atoms.positions, axis=1)
    assert changed.sum() == 1
    distance = np.linalg.norm(alone.atoms.positions[1])
    assert 0.4 <= distance < 1.0
    closest = moved.atoms.get_all_distances(mic=True)[np.triu_indices(3, 1)].min()
    assert closest == pytest.approx(distance)
    np.testing.assert_array_equal(added.atoms.positions[:3], atoms.positions)
    assert 0.8 <= added.atoms.get_distances(3, [0, 1, 2], mic=True).min() < 2.0
    wide = ZBL(2.0, 3.0)
    repulsion = wide.values(added.atoms).sum() - wide.values(atoms).sum()
    core_energy = core.values(added.atoms).sum() - core.values(atoms).sum()
    maker = RowMaker(DESCRIPTOR, replace(BASELINE, core=core))
    one = Structure(atoms, -30.0, None, None, "all", "frame 0")
    found, w = maker.statistics([one])["core"], np.random.default_rng(0).normal(size=K)
    learned = -30.0 - (-8.0 - 24.0) - core.values(atoms).sum()
    rss = 0.0
    for structure, y, error in (
        (moved.atoms, learned, 1 + core.values(moved.atoms).sum()),
        (alone.atoms, 0.0, 1 + core.values(alone.atoms).sum()),
        (added.atoms, 4 / 3 * learned + repulsion - core_energy, 1 + repulsion),
    ):
        symbols = structure.get_chemical_symbols()
        counts = [symbols.count(e) for e in ELEMENTS]
        x = DESCRIPTOR.values(structure).sum(axis=0) - counts @ BASELINE.features
        rss += ((x @ w - y) / error) ** 2
    assert found.n == 3
    assert found.rss(w) == pytest.approx(rss, rel=1e-10)


def test_room_is_made_for_an_atom_more():
    """A wire of one atom: 2.5 Å long, repeated to 6 Å and more."""
    atoms = Atoms("Fe", cell=[0, 0, 2.5], pbc=[False, False, True])
    *_, added = collisions(atoms, ZBL(1.0, 2.0))
    assert len(added.atoms) == 4
    assert added.times == 4
    assert added.atoms.cell.lengths()[2] == pytest.approx(7.5)


@pytest.mark.parametrize(("cell", "rows"), [(20.0, 0), (2.5, 2)])
def test_a_lone_atom_meets_its_image_or_an_atom_more(cell, rows):
    one = Structure(Atoms("Fe", cell=[cell] * 3, pbc=True), -8.0, None, None, "all", "frame 0")
    maker = RowMaker(DESCRIPTOR, replace(BASELINE, core=ZBL(1.0, 2.0)))
    assert maker.statistics([one])["core"].n == rows


def test_what_is_large_is_wanted_to_a_fraction():
    usual = np.array([-8.5, -12.5])
    structures = _structures(6)
    maker = RowMaker(
        DESCRIPTOR, replace(BASELINE, usual=usual), Scales(energy=0.5, force=2.0, virial=3.0)
    )
    found, plain = maker.statistics(structures), RowMaker(DESCRIPTOR, BASELINE)
    w = np.random.default_rng(0).normal(size=K)
    rss = dict.fromkeys(("energy", "stress"), 0.0)
    for one in structures:
        n, symbols = len(one.atoms), one.atoms.get_chemical_symbols()
        own = plain.statistics([one])
        if one.energy is not None:
            above = (one.energy + 8.5 * symbols.count("Fe") + 12.5 * symbols.count("W")) / n
            assert above > 1  # eV: all are far above the usual energy
            rss["energy"] += own["energy"].rss(w) / (1 + (above / 0.5) ** 2)
        if one.stress is not None:
            virial = np.abs(one.stress).max() * one.atoms.get_volume() / n
            rss["stress"] += own["stress"].rss(w) / (1 + (virial / 3.0) ** 2)
    for kind, expected in rss.items():
        assert found[kind].rss(w) == pytest.approx(expected, rel=1e-10)
