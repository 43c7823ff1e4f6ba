"""Trees of products against the products one by one, and blocks of atoms against single ones."""

from itertools import pairwise

import numpy as np
import pytest
from ase.build import bulk

from thiry_calc.descriptors import ACE
from thiry_calc.descriptors.ace_pull import blocks_of
from thiry_calc.descriptors.product_tree import LANES, contract, product_tree
from thiry_calc.neighbors import neighbors_of


def _random_products(n_factors, width, count, rng):
    products = np.sort(rng.integers(0, n_factors, (count, width)), axis=1)
    order = rng.integers(1, width + 1, count)
    return np.where(np.arange(width) < order[:, None], products, -1)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_weighted_products_and_their_derivatives(width):
    rng = np.random.default_rng(width)
    products = _random_products(9, width, 60, rng) * 2  # repeated rows, and numbers left out
    products[products < 0] = -1
    weights = rng.normal(size=len(products))
    tree = product_tree(products)
    a = rng.normal(size=(17, LANES))

    def total(a):
        return weights @ np.prod(np.concatenate([a, np.ones((1, LANES))])[products], axis=1)

    value, gradient = np.empty(LANES), np.zeros((len(tree.factors), LANES))
    scratch = np.empty((2, width, LANES))
    contract(
        a[tree.factors], *tree[2:], np.bincount(tree.leaf, weights), -2.5, value, gradient, *scratch
    )
    np.testing.assert_allclose(value, total(a), rtol=1e-12)
    for row, k in zip(gradient, tree.factors, strict=True):
        step = np.zeros((17, 1))
        step[k] = 1e-6
        slope = (total(a + step) - total(a - step)) / 2e-6
        np.testing.assert_allclose(row, -2.5 * slope, rtol=1e-6, atol=1e-8)


def test_products_share_their_first_factors():
    tree = product_tree(np.array([[0, 1, 2], [0, 1, 3], [0, 1, 4], [0, 1, -1], [0, -1, -1]]))
    np.testing.assert_array_equal(tree.depth, [0, 1, 2])  # the root, A0, A0 A1
    np.testing.assert_array_equal(np.diff(tree.first), [1, 1, 3])


def test_blocks_hold_one_element_and_no_more_than_the_lanes():
    species = np.random.default_rng(0).choice([0, 2], 3 * LANES)
    order, first = blocks_of(species)
    assert sorted(order) == list(range(len(species)))
    assert min(np.diff(first)) >= 1
    assert max(np.diff(first)) <= LANES
    for start, stop in pairwise(first):
        assert len(set(species[order[start:stop]])) == 1


def test_atoms_of_several_blocks_and_elements():
    descriptor = ACE(3.5, (4, 4, 3), elements=("Fe", "W"))
    rng = np.random.default_rng(1)
    small = bulk("Fe", a=2.9, cubic=True) * (2, 1, 1)
    small.symbols[1] = "W"
    small.rattle(0.1, seed=2)
    large = small * (5, 4, 2)
    weights = rng.normal(size=(2, descriptor.n_features))
    mix = np.array([1.0, -0.3])
    few, few_forces = descriptor.pull(neighbors_of(small, 3.5), weights, mix)
    many, many_forces = descriptor.pull(neighbors_of(large, 3.5), weights, mix)
    assert len(large) > 2 * LANES
    np.testing.assert_allclose(many, np.tile(few, (40, 1)), rtol=1e-11, atol=1e-11)
    assert np.abs(many_forces).sum() == pytest.approx(40 * np.abs(few_forces).sum(), rel=1e-11)
    np.testing.assert_allclose(
        many, descriptor.values(neighbors_of(large, 3.5)) @ weights.T, rtol=1e-9, atol=1e-11
    )
