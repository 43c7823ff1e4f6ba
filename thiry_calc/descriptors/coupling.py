"""Invariant couplings of real spherical harmonics: which products of A_lm are scalars.

    B = Σ_{m1…mν} C_{m1…mν} A_{l1 m1} … A_{lν mν},        l1 + … + lν even

    ν = 2    C = δ_{l1 l2} δ_{m1 m2}                                  the power spectrum
    ν = 3    C = ∫ Y_{l1 m1} Y_{l2 m2} Y_{l3 m3} dΩ                   the bispectrum, up to a factor
    ν = 4    C = Σ_M G_{l1 m1, l2 m2, LM} G_{l3 m3, l4 m4, LM}        one for each L, and the same
             of the other two pairings

(Drautz, Phys. Rev. B 99, 014104 (2019); Dusson et al., J. Comput. Phys. 454, 110946 (2022)). The
integrals G are those of the harmonics of `angular`, exact by Gauss quadrature, so that no phase
convention enters. Where factors are of one channel only the symmetric part of C counts; a singular
value decomposition then removes what has become dependent. Intermediate L of odd l1 + l2 + L are
left out: nothing is lost for l ≤ 3 but one of the seven functions of l = (3, 3, 3, 3). Checked:
invariance under rotations, 1e-12; the number of functions of order 4 against the character formula.
"""

from functools import lru_cache
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from thiry_calc.descriptors.angular import harmonic_recursion

Array = NDArray[np.float64]


def real_harmonics(directions: Array, l_max: int) -> Array:
    """Y_lm of unit vectors, in the order and normalisation of `angular`.

    Parameters
    ----------
    directions : ndarray, shape (n, 3)
    l_max : int

    Returns
    -------
    ndarray, shape ((l_max + 1)², n)
    """
    a, b, _ = harmonic_recursion(l_max)
    x, y, z = directions.T
    power = (x + 1j * y) ** np.arange(l_max + 1)[:, None]
    out = np.empty(((l_max + 1) ** 2, len(directions)))
    for m in range(l_max + 1):
        last, before = np.zeros_like(z), np.zeros_like(z)
        for l in range(m, l_max + 1):  # noqa: E741
            new = np.full_like(z, a[m, m]) if l == m else a[l, m] * z * last - b[l, m] * before
            before, last = last, new
            if m == 0:
                out[l * l] = new
            else:
                out[l * l + 2 * m - 1], out[l * l + 2 * m] = (
                    new * power[m].real,
                    new * power[m].imag,
                )
    return out


@lru_cache(maxsize=4)
def _harmonics_on_grid(degree: int) -> tuple[Array, Array]:
    """Y_lm on a grid exact for products of total degree 3 `degree`, and its weights."""
    n = 3 * degree // 2 + 2
    z, weight = np.polynomial.legendre.leggauss(n)
    angle = 2 * np.pi * np.arange(2 * n) / (2 * n)
    zz, aa = np.meshgrid(z, angle, indexing="ij")
    ring = np.sqrt(1 - zz**2)
    points = np.stack([ring * np.cos(aa), ring * np.sin(aa), zz], axis=-1).reshape(-1, 3)
    return real_harmonics(points, degree), np.repeat(weight / (4 * n), 2 * n)


@lru_cache(maxsize=4096)
def triple(l1: int, l2: int, l3: int) -> Array:
    """Mean of Y_l1 Y_l2 Y_l3 over the sphere, shape (2 l1 + 1, 2 l2 + 1, 2 l3 + 1).

    Zero where l1 + l2 + l3 is odd, or the triangle inequality fails.
    """
    y, weights = _harmonics_on_grid(max(8, l1, l2, l3))
    part = [y[l * l : (l + 1) ** 2] for l in (l1, l2, l3)]  # noqa: E741
    out = np.einsum("ag,bg,cg,g->abc", *part, weights, optimize=True)
    out[np.abs(out) < 1e-14] = 0.0
    return np.asarray(out)


def couplings(degrees: tuple[int, ...], channels: tuple[int, ...]) -> list[Array]:
    """Independent invariant couplings of a product of density projections.

    Parameters
    ----------
    degrees : tuple of int
        l1 … lν, ν from 1 to 4.
    channels : tuple of int
        Labels: factors with equal labels (and equal l) are the same functions.

    Returns
    -------
    list of ndarray, each of shape (2 l1 + 1, …, 2 lν + 1)
        Normalised; symmetric under exchanges of equal factors.
    """
    order = len(degrees)
    if order == 1:
        return [np.ones(1)] if degrees == (0,) else []
    if order == 2:
        return [np.eye(2 * degrees[0] + 1)] if degrees[0] == degrees[1] else []
    if order == 3:
        c = triple(*degrees)
        return [c / np.linalg.norm(c)] if c.any() else []
    if order != 4:
        raise ValueError(f"couplings of 1 to 4 harmonics are known, not of {order}")
    equal = [
        p for p in permutations(range(4))
        if all(channels[p[k]] == channels[k] and degrees[p[k]] == degrees[k] for k in range(4))
    ]  # fmt: skip
    return _quadruple(degrees, tuple(equal))


@lru_cache(maxsize=4096)
def _quadruple(degrees: tuple[int, ...], equal: tuple[tuple[int, ...], ...]) -> list[Array]:
    candidates = []
    for first, second in (((0, 1), (2, 3)), ((0, 2), (1, 3)), ((0, 3), (1, 2))):
        a, b = (tuple(degrees[k] for k in pair) for pair in (first, second))
        for top in range(max(abs(a[0] - a[1]), abs(b[0] - b[1])), min(sum(a), sum(b)) + 1):
            if (sum(a) + top) % 2 or (sum(b) + top) % 2:
                continue
            c = np.tensordot(triple(*a, top), triple(*b, top), axes=(2, 2))
            c = c.transpose(np.argsort(first + second))
            candidates.append(np.sum([c.transpose(p) for p in equal], axis=0))
    if not candidates:
        return []
    flat = np.array([c.ravel() for c in candidates])
    _, s, vh = np.linalg.svd(flat, full_matrices=False)
    shape = tuple(2 * l + 1 for l in degrees)  # noqa: E741
    out = []
    for vector in vh[s > 1e-10 * max(s[0], 1e-300)]:
        vector = np.where(np.abs(vector) < 1e-13, 0.0, vector)
        out.append((vector * np.sign(vector[np.argmax(np.abs(vector))])).reshape(shape))
    return out if s[0] > 1e-12 else []
