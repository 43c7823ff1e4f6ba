"""A linear model as an atomic cluster expansion in the form of ML-PACE (C-tilde).

    E_i = E0_s + Σ_k c_k Σ_j g_k(r_ij) + Σ_μnl,m c̃ Re Π_t A_{μ_t n_t l_t m_t}(i)
    A_μnlm(i) = Σ_{j of element μ} R_n(r_ij) Y_lm(r̂_ij),      R_n(r) = Σ_k C_nk g_k(r)

(Lysogorskiy et al., npj Comput. Mater. 7, 97 (2021)), with complex harmonics such that Y_00 = 1 and
g_k = (1 − T_k(1 − 2u))/2, u = 1 − r/r_c, which span the polynomials that vanish at r_c. Our radial
functions u³ Σ_k C_nk T_k(t), t = 2u − 1, are some of them: Σ_k a_k T_k(t) = −2 Σ_k (−1)^k a_k g_k.
Real harmonics are combinations of complex ones of ±m,

    Y^R_l0 = Y_l0/√(2l+1),  Y^R_lm,c = ((−1)^m Y_lm + Y_l−m)/√(2(2l+1)),
    Y^R_lm,s = ((−1)^m Y_lm − Y_l−m)/(i√(2(2l+1))),

and the self-interactions that `AFS` leaves out, g_n g_n′, are polynomials again: pairs.

Descriptors of different cutoffs become expansions of their own, which LAMMPS adds up.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from thiry_calc.descriptors import ACE, ZBL, Descriptor, OneBody, Pair
from thiry_calc.descriptors.radial import RadialBasis
from thiry_calc.descriptors.three_body import ThreeBodyDescriptor
from thiry_calc.potential import Potential

Array = NDArray[np.float64]
Channel = tuple[int, int, int]  # (element of the neighbours, radial function, l), all from 0
U_CUBED = np.array([1.25, 1.875, 0.75, 0.125]) / 4  # ((1 + t)/2)³ in Chebyshev polynomials of t


@dataclass
class Expansion:
    """Products of one cutoff.

    Attributes
    ----------
    elements : tuple of str
    r_cut : float
        Å.
    e0 : ndarray, shape (n_elements,)
        eV.
    radial : list of ndarray
        Coefficients C_nk, k = 1, 2, …, of each radial function.
    pairs : ndarray, shape (n_elements, n_elements, K)
        c_k, eV, of each centre and neighbour element.
    products : list of dict
        Of each centre element: channels → {(m, …): c̃, eV}.
    """

    elements: tuple[str, ...]
    r_cut: float
    e0: Array
    radial: list[Array] = field(default_factory=list)
    pairs: Array = field(default_factory=lambda: np.zeros((0, 0, 0)))
    products: list[dict[tuple[Channel, ...], dict[tuple[int, ...], float]]] = field(
        default_factory=list
    )

    @property
    def highest_l(self) -> int:
        """Largest l of a product."""
        channels = (c for own in self.products for key in own for c in key)
        return max((channel[2] for channel in channels), default=0)


@dataclass(frozen=True)
class Core:
    """Repulsion of nuclei, which LAMMPS has as ``pair_style zbl``; Å."""

    r_inner: float
    r_cut: float


def expand(
    potential: Potential, temperature: float | None = None
) -> tuple[list[Expansion], Core | None]:
    """Write E or A(T) of a potential as cluster expansions.

    Parameters
    ----------
    potential : Potential
    temperature : float, optional
        K.

    Returns
    -------
    expansions : list of Expansion
        One for each cutoff, the largest first; the first has the constants.
    core : Core or None

    Raises
    ------
    ValueError
        For descriptors that are no expansion of this kind.
    """
    weights, constants = potential.free_energy(temperature)
    slices = potential.descriptor.columns
    used = [
        (part, weights[columns])
        for part, columns in zip(potential.descriptor.parts, slices, strict=True)
        if weights[columns].any()
    ]
    core = None
    by_cutoff: dict[float, list[tuple[Descriptor, Array]]] = defaultdict(list)
    for part, own in used:
        if isinstance(part, OneBody):
            constants = constants + own[_own_elements(part.elements, potential.elements)]
        elif isinstance(part, ZBL):
            core = _core(part, own, core)
        elif isinstance(part, Pair | ACE | ThreeBodyDescriptor):
            by_cutoff[part.cutoff].append((part, own))
        else:
            raise ValueError(
                f"{part.to_dict()['type']} of model {potential.name!r} is no sum of products over "
                "neighbours, so it has no .yace form; "
                + (
                    "export the energy, without a temperature, or use thiry_calc.lammps.attach"
                    if temperature
                    else "use thiry_calc.lammps.attach"
                )
            )
    elements = potential.elements
    expansions: list[Expansion] = []
    for r_cut in sorted(by_cutoff, reverse=True) or [potential.cutoff or 1.0]:
        e0 = constants if not expansions else np.zeros(len(elements))
        expansions.append(_expansion(elements, r_cut, e0, by_cutoff.get(r_cut, [])))
    return expansions, core


def _core(part: ZBL, weights: Array, core: Core | None) -> Core:
    if core is not None or weights[0] != 1.0:
        raise ValueError(
            f"the model's zbl part has the factor {weights[0]:g}; LAMMPS has it with 1, once"
        )
    return Core(part.r_inner, part.r_cut)


def _own_elements(known: tuple[str, ...] | None, elements: tuple[str, ...]) -> list[int]:
    """Index in a descriptor, by the elements that it knows, of each element of the potential."""
    return [0] * len(elements) if known is None else [known.index(e) for e in elements]


def _expansion(
    elements: tuple[str, ...], r_cut: float, e0: Array, parts: list[tuple[Descriptor, Array]]
) -> Expansion:
    n = len(elements)
    pairs: list[list[list[Array]]] = [[[] for _ in range(n)] for _ in range(n)]
    radial: dict[bytes, int] = {}
    rows: list[Array] = []
    collected: list[dict[tuple[Channel, ...], Array]] = [{} for _ in range(n)]
    for part, weights in parts:
        assert isinstance(part, Pair | ACE | ThreeBodyDescriptor)
        own = _own_elements(part.elements, elements)
        series = _cubed(part._radial)
        if isinstance(part, Pair):
            _add_pairs(pairs, weights.reshape(part._n_species, part._n_species, -1), own, series)
            continue
        number = []
        for row in series:
            number.append(radial.setdefault(row.tobytes(), len(rows)))
            if number[-1] == len(rows):
                rows.append(row)
        if isinstance(part, ACE):
            terms = _ace_terms(part, weights)
        else:
            terms = _density_terms(part, weights)
        for center, channels, tensor in terms:
            if len(channels) == 1:  # alone, functions of the basis are g_k themselves
                channel = channels[0][0]
                of_one = np.zeros((part._n_species, part._n_species, len(series)))
                of_one[center, channel // len(series), channel % len(series)] = tensor[0]
                _add_pairs(pairs, of_one, own, series)
            else:
                _distribute(collected, own, center, channels, tensor, number)
        if isinstance(part, ThreeBodyDescriptor):
            _add_self_interactions(pairs, part, weights, own, series)
    longest = max((len(s) for row in pairs for cell in row for s in cell), default=1)
    table = np.zeros((n, n, longest))
    for a in range(n):
        for b in range(n):
            for s in pairs[a][b]:
                table[a, b, : len(s)] += s
    return Expansion(
        elements,
        r_cut,
        np.asarray(e0, dtype=float),
        [of_chebyshev(row) for row in rows],
        of_chebyshev(table),
        [{key: _complex(key, tensor) for key, tensor in own.items()} for own in collected],
    )


def _cubed(radial: RadialBasis) -> list[Array]:
    """Radial functions u³ Σ_k C_nk T_k(t) as Chebyshev series in t."""
    n = len(U_CUBED) + radial.coefficients.shape[1] - 1
    products = [chebyshev.chebmul(U_CUBED, row) for row in radial.coefficients]
    return [np.pad(p, (0, n - len(p))) for p in products]


def of_chebyshev(series: Array) -> Array:
    """Coefficients of g_1, g_2, … of Chebyshev series in t, shape (..., K + 1), zero at t = −1."""
    signs = -2.0 * (-1.0) ** np.arange(1, series.shape[-1])
    return np.asarray(series[..., 1:] * signs)


def to_chebyshev(of_g: Array) -> Array:
    """Return the inverse of `of_chebyshev`."""
    signs = -0.5 * (-1.0) ** np.arange(1, of_g.shape[-1] + 1)
    return np.concatenate([of_g.sum(axis=-1, keepdims=True) / 2, of_g * signs], axis=-1)


def _add_pairs(
    pairs: list[list[list[Array]]], weights: Array, own: list[int], series: list[Array]
) -> None:
    """Add Σ_n w_abn Σ_j g_n; weights of shape (n_species, n_species, n_max), of the descriptor."""
    summed = weights @ np.array(series)
    for a, own_a in enumerate(own):
        for b, own_b in enumerate(own):
            pairs[a][b].append(summed[own_a, own_b])


def _density_terms(
    part: ThreeBodyDescriptor, weights: Array
) -> Iterator[tuple[int, tuple[tuple[int, int], ...], Array]]:
    """Couplings Σ_m A_q1,lm A_q2,lm with their weights: (centre, channels, tensor)."""
    legendre, _ = part.contract(weights)
    for center in range(legendre.shape[0]):
        for p, (q1, q2) in enumerate(part._products):
            for l in range(legendre.shape[2]):  # noqa: E741
                if weight := legendre[center, p, l]:
                    channels = ((int(q1), l), (int(q2), l))
                    yield center, channels, weight * np.eye(2 * l + 1)


def _ace_terms(
    part: ACE, weights: Array
) -> Iterator[tuple[int, tuple[tuple[int, int], ...], Array]]:
    """Couplings of the functions of an `ACE`, with their weights."""
    of_center = weights.reshape(part._n_species, -1)
    for center, own in enumerate(of_center):
        for k in np.flatnonzero(own):
            channels, coupling = part._functions[k]
            yield center, channels, own[k] * coupling


def _add_self_interactions(
    pairs: list[list[list[Array]]],
    part: ThreeBodyDescriptor,
    weights: Array,
    own: list[int],
    series: list[Array],
) -> None:
    """Add the pairs Σ_p v_p Σ_j g_n1 g_n2."""
    _, on_self = part.contract(weights)
    for p, (q1, q2) in enumerate(part._products):
        channel, n1, n2 = q1 // part.n_max, q1 % part.n_max, q2 % part.n_max
        if not on_self[:, p].any():
            continue
        product = np.asarray(chebyshev.chebmul(series[n1], series[n2]))
        for a, own_a in enumerate(own):
            for b, own_b in enumerate(own):
                if own_b == channel or part.elements is None:
                    pairs[a][b].append(on_self[own_a, p] * product)


def _distribute(
    collected: list[dict[tuple[Channel, ...], Array]],
    own: list[int],
    center: int,
    channels: tuple[tuple[int, int], ...],
    tensor: Array,
    number: list[int],
) -> None:
    """Add a coupling to every centre and for every choice of neighbour elements it stands for."""
    n_max = len(number)
    choices: list[list[Channel]] = [[]]
    for q, l in channels:  # noqa: E741
        mine = [a for a, own_a in enumerate(own) if own_a == q // n_max]
        choices = [[*c, (a, number[q % n_max], l)] for c in choices for a in mine]
    for choice in choices:
        order = sorted(range(len(choice)), key=choice.__getitem__)
        key = tuple(choice[k] for k in order)
        turned = np.transpose(tensor, order)
        for a, own_a in enumerate(own):
            if own_a == center:
                known = collected[a].get(key)
                collected[a][key] = turned if known is None else known + turned


def _complex(channels: tuple[Channel, ...], tensor: Array) -> dict[tuple[int, ...], float]:
    """Coefficients c̃ of products of complex harmonics, equal and conjugate ones merged.

    Re Π A_m = Re Π A_−m where Σ m = 0; products with another sum cancel in an invariant.
    """
    turned = tensor.astype(complex)
    for axis, (_, _, l) in enumerate(channels):  # noqa: E741
        turned = np.moveaxis(np.tensordot(_to_complex(l), turned, axes=(0, axis)), 0, axis)
    out: dict[tuple[int, ...], float] = defaultdict(float)
    largest = np.abs(turned).max(initial=0.0)
    for at in np.argwhere(np.abs(turned) > 1e-14 * largest):
        ms = tuple(int(k) - channel[2] for k, channel in zip(at, channels, strict=True))
        if sum(ms) == 0:
            out[_standard(channels, ms)] += float(turned[tuple(at)].real)
    return {ms: c for ms, c in out.items() if c != 0.0}


def _to_complex(l: int) -> NDArray[np.complex128]:  # noqa: E741
    """Y^R_index = Σ_m U[index, m + l] Y_lm, shape (2l + 1, 2l + 1)."""
    u = np.zeros((2 * l + 1, 2 * l + 1), dtype=complex)
    u[0, l] = 1.0
    for m in range(1, l + 1):
        sign = (-1.0) ** m
        u[2 * m - 1, l + m], u[2 * m - 1, l - m] = sign / np.sqrt(2), 1 / np.sqrt(2)
        u[2 * m, l + m], u[2 * m, l - m] = -1j * sign / np.sqrt(2), 1j / np.sqrt(2)
    return u / np.sqrt(2 * l + 1)


def _standard(channels: tuple[Channel, ...], ms: tuple[int, ...]) -> tuple[int, ...]:
    """Of the products equal to this one, by exchange of channels or conjugation, the first."""
    candidates = []
    for signed in (ms, tuple(-m for m in ms)):
        ordered = sorted(zip(channels, signed, strict=True), key=lambda c: (c[0], -c[1]))
        candidates.append(tuple(m for _, m in ordered))
    return max(candidates)
