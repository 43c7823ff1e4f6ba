import numpy as np
import pytest
from ase.neighborlist import neighbor_list

from thiry_calc.clusters import CLOSEST, random_cluster
from thiry_calc.defects import (
    _BUNDLE,
    LARGER_CLUSTERS,
    STANDARD,
    STANDARD_FCC,
    bcc_supercell,
    build,
    insert,
    supercell,
    z16,
)

A0 = 2.855313
NET = {
    "vacancy": -1,
    "divacancy_1nn": -2,
    "divacancy_2nn": -2,
    "divacancy_3nn": -2,
    "trivacancy": -3,
    "tetravacancy": -4,
    "dumbbell_110": 1,
    "dumbbell_111": 1,
    "dumbbell_100": 1,
    "octahedral": 1,
    "cluster_110_2": 2,
    "cluster_110_3": 3,
    "cluster_110_4": 4,
    "cluster_111_2": 2,
    "cluster_111_3": 3,
    "cluster_111_4": 4,
    "c15_2": 2,
    "c15_3": 3,
    "c15_4": 4,
}


def closest(atoms):
    return neighbor_list("d", atoms, 3.0).min()


def test_the_standard_set_is_complete_and_ordered():
    assert list(NET) == list(STANDARD)


@pytest.mark.parametrize("name", STANDARD)
def test_standard_defects_have_the_right_number_of_atoms_far_enough_apart(name):
    atoms = build(name, A0, 5)
    assert len(atoms) == 250 + NET[name]
    assert atoms.info["name"] == name
    assert atoms.info["n_sites"] == 250
    assert closest(atoms) > 1.2


@pytest.mark.parametrize("name", LARGER_CLUSTERS)
def test_larger_clusters_have_as_many_interstitials_as_their_names_say(name):
    atoms = build(name, A0, 6)
    assert len(atoms) == 432 + int(name[-1])
    assert closest(atoms) > 1.2


def test_bundles_of_seven_are_a_row_and_its_neighbours():
    """Rows of the ⟨111⟩ bundle: six at √(2/3) a0 from the first."""
    rows = np.array(_BUNDLE["111"][:7], dtype=float)
    axis = np.ones(3) / np.sqrt(3)
    across = rows - np.outer(rows @ axis, axis)
    np.testing.assert_allclose(np.linalg.norm(across[1:], axis=1), np.sqrt(2 / 3))


@pytest.mark.parametrize("name", STANDARD_FCC)
def test_fcc_defects(name):
    atoms = build(name, 3.6, 4, element="Cu", lattice="fcc")
    assert len(atoms) == 256 + NET[name]
    assert closest(atoms) > 1.2
    assert set(atoms.symbols) == {"Cu"}


@pytest.mark.parametrize(
    ("lattice", "distances"),
    [("bcc", (0.75**0.5, 1.0, 2.0**0.5)), ("fcc", (0.5**0.5, 1.0, 1.5**0.5))],
)
def test_divacancies_are_at_the_distances_of_their_names(lattice, distances):
    perfect = supercell(4.0, 4, "Fe", lattice)
    for n, distance in enumerate(distances, 1):
        atoms = build(f"divacancy_{n}nn", 4.0, 4, lattice=lattice)
        kept = {tuple(np.round(p, 6)) for p in atoms.positions}
        first, second = (p for p in perfect.positions if tuple(np.round(p, 6)) not in kept)
        assert np.linalg.norm(first - second) == pytest.approx(4.0 * distance)


def test_z16_polyhedron_is_that_of_the_c15_structure():
    for sign in (1, -1):
        emptied, inserted = z16(sign)
        assert emptied.shape == (10, 3)
        assert inserted.shape == (12, 3)
        # B atoms: √11/4 a0 from the centre, 1/√2 a0 from each other, clear of the A neighbours
        np.testing.assert_allclose(np.linalg.norm(inserted, axis=1), np.sqrt(11) / 4)
        apart = np.linalg.norm(inserted[:, None] - inserted[None], axis=2)
        assert np.sort(apart, axis=1)[:, 1] == pytest.approx(np.sqrt(0.5))
        corners = 0.5 * np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
        neighbours = corners[corners.prod(axis=1) * sign > 0]
        gaps = np.linalg.norm(inserted[:, None] - neighbours[None], axis=2)
        assert gaps.min() == pytest.approx(np.sqrt(11) / 4)


def test_dumbbells_point_along_their_axes():
    for axis in ((1, 1, 0), (1, 1, 1), (1, 0, 0)):
        atoms = build("dumbbell_" + "".join(map(str, axis)), A0, 5)
        arm = atoms.positions[-1] - atoms.positions[-2]
        cosine = abs(arm @ axis) / np.linalg.norm(arm) / np.linalg.norm(axis)
        assert cosine == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("vacany", A0, 5), "unknown bcc defect 'vacany'"),
        (("vacancy", A0, 2), "too small"),
        (("vacancy", -1.0, 5), "positive number in Å"),
        (("vacancy", float("nan"), 5), "positive number in Å"),
        (("c15_2", 3.6, 5, "Cu", "fcc"), "unknown fcc defect"),
        (("vacancy", A0, 5, "Fe", "hcp"), "unknown"),
    ],
)
def test_bad_requests_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        build(*arguments)


def test_only_lattice_sites_can_be_emptied():
    with pytest.raises(ValueError, match="no lattice site"):
        insert(bcc_supercell(A0, 4), np.full(3, 0.6), np.zeros((1, 3)), np.zeros((0, 3)))


@pytest.mark.parametrize("numbers", [(1, 0), (4, 0), (0, 1), (0, 4), (2, 3)])
def test_random_clusters_count_and_keep_their_distance(numbers):
    perfect = bcc_supercell(A0, 5)
    rng = np.random.default_rng(3)
    for radius in (3.2, 6.0):
        for _ in range(5):
            atoms = random_cluster(perfect, *numbers, radius, rng, c15_share=0.5)
            assert len(atoms) == 250 - numbers[0] + numbers[1]
            assert closest(atoms) > CLOSEST
            assert atoms.info["n_sites"] == 250


def test_random_clusters_stay_inside_their_sphere():
    perfect = bcc_supercell(A0, 8)
    sites = {tuple(p) for p in np.round(perfect.positions, 6)}
    for seed in range(5):
        atoms = random_cluster(perfect, 4, 0, 3.2, np.random.default_rng(seed))
        left = {tuple(p) for p in np.round(atoms.positions, 6)}
        empty = np.array(sorted(sites - left))
        delta = empty[:, None] - empty[None]
        delta -= np.round(delta / (8 * A0)) * 8 * A0
        assert np.linalg.norm(delta, axis=2).max() <= 2 * 3.2


def test_random_clusters_follow_their_seed():
    perfect = bcc_supercell(A0, 5)
    first, again, other = (
        random_cluster(perfect, 1, 2, 5.0, np.random.default_rng(s)).positions for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1


def test_a_sphere_too_small_is_refused():
    with pytest.raises(ValueError, match="larger radius"):
        random_cluster(bcc_supercell(A0, 5), 4, 0, 1.0, np.random.default_rng(0))


def test_c15_units_fit_into_strained_cells():
    perfect = bcc_supercell(A0, 5)
    strain = np.eye(3) + 0.02 * np.array([[1, 0.5, 0], [0.5, -1, 0.3], [0, 0.3, 0.5]])
    perfect.set_cell(perfect.cell.array @ strain, scale_atoms=True)
    atoms = random_cluster(perfect, 0, 2, 5.0, np.random.default_rng(0), c15_share=1.0)
    assert len(atoms) == 252
    assert closest(atoms) > 1.7  # a dumbbell or a hole has a shorter distance
