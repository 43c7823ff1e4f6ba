"""Sums over blocks of atoms are those over the whole structure."""

import numpy as np
import pytest
from ase import Atoms

from thiry_calc.blocks import blocks, evaluate, extrapolations, uncertainties
from thiry_calc.descriptors import LocalLogDet, PowerSpectrum
from thiry_calc.descriptors.base import Descriptor
from thiry_calc.neighbors import neighbors_of, pair_forces_to_forces, sublist


@pytest.mark.parametrize(
    "descriptor",
    [
        PowerSpectrum(r_cut=4.0, n_max=3, l_max=2),
        LocalLogDet(4.0, 1.5, tuple(np.linspace(1, 0, 12) ** 3), ((0.1, 0.2), (2.6, 3.4))),
    ],
    ids=lambda d: d.type,
)
@pytest.mark.parametrize("size", [7, 40, 1000])
def test_blocks_sum_to_the_whole(descriptor: Descriptor, size: int, rattled: Atoms) -> None:
    nl = neighbors_of(rattled, descriptor.cutoff)
    weights = np.linspace(1, 2, descriptor.n_features)
    sites, slopes = descriptor.pull(nl, weights)
    values = descriptor.values(nl)
    own_sites, own_slopes = np.full(len(nl), np.nan), np.zeros_like(slopes)
    seen = 0
    for block in blocks(nl, rattled, descriptor.hops, size=size):
        part_sites, part_slopes = descriptor.pull(block.nl, weights)
        np.testing.assert_allclose(descriptor.values(block.nl), values[block.centers], atol=1e-12)
        own_sites[block.centers] = part_sites
        own_slopes[block.pairs] += part_slopes
        seen += len(block.centers)
    assert seen == len(nl)
    np.testing.assert_allclose(own_sites, sites, atol=1e-12)
    np.testing.assert_allclose(
        pair_forces_to_forces(nl.first, nl.neighbor, own_slopes),
        pair_forces_to_forces(nl.first, nl.neighbor, slopes),
        atol=1e-11,
    )


def test_a_part_holds_the_pairs_of_its_sites(rattled: Atoms) -> None:
    nl = neighbors_of(rattled, 4.0)
    sites = np.array([5, 2, 11])
    atoms, pairs, part = sublist(nl, sites, hops=2)
    assert part.n_sites == 3
    assert list(atoms[:3]) == [5, 2, 11]
    np.testing.assert_array_equal(atoms[part.center], nl.center[pairs])
    np.testing.assert_array_equal(atoms[part.neighbor], nl.neighbor[pairs])
    np.testing.assert_array_equal(part.vectors, nl.vectors[pairs])
    listed = set(atoms[: len(part.first) - 1])
    for i in sites:
        assert set(nl.neighbor[nl.first[i] : nl.first[i + 1]]) <= listed


def test_a_calculation_in_blocks(iron, rattled, monkeypatch, capsys) -> None:
    nl = neighbors_of(rattled, iron.cutoff)
    species = np.zeros(len(nl), dtype=np.int64)
    mix = {"energy": 1.0, "entropy": -0.05}
    whole, found = (
        evaluate(iron, nl, rattled, species, mix),
        uncertainties(iron, nl, rattled, species),
    )
    monkeypatch.setattr("thiry_calc.blocks.blocks.__defaults__", (None, 10))
    parts = evaluate(iron, nl, rattled, species, mix, progress=True)
    again = uncertainties(iron, nl, rattled, species, progress=True)
    np.testing.assert_allclose(parts[1], whole[1], atol=1e-11)
    for name in mix:
        np.testing.assert_allclose(parts[0][name], whole[0][name], atol=1e-11)
        np.testing.assert_allclose(again[name].std, found[name].std, rtol=1e-9)
        np.testing.assert_allclose(again[name].leverage, found[name].leverage, rtol=1e-9)
    shown = capsys.readouterr().err
    assert "energy and forces" in shown
    assert "uncertainty" in shown
    assert extrapolations(iron, again) == extrapolations(iron, found)
