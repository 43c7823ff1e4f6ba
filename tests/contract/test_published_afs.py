"""AFS against its published definition, written out in multiprecision with nothing of ours.

Bartók, Kondor & Csányi, Phys. Rev. B 87, 184115 (2013): φ_α(r) = (r_c − r)^(α+2)/N_α,
g_n = Σ_α W_nα φ_α, W = S^(−1/2), S_αβ = ∫ φ_α φ_β dr, and
AFS_nl = Σ_{j<k} g_n(r_ij) g_n(r_ik) cos(l θ_jik).
"""

import itertools

import mpmath
import numpy as np
import pytest
from ase import Atoms

from thiry_calc import AFS

R_CUT = 5.0
NEIGHBOURS = np.array(
    [[2.4, 0.1, 0.2], [-1.3, 2.0, 0.9], [0.3, -2.2, 2.9], [-0.4, 0.2, -4.7], [1.9, 1.8, -1.1]]
)


def _radial_functions(n_max):
    """g_n as functions of r; the integrals of N and S are done by mpmath's formula of powers."""
    r_c = mpmath.mpf(R_CUT)

    def integral(power):
        # ∫_0^rc (r_c − r)^p dr
        return r_c ** (power + 1) / (power + 1)

    norm = [mpmath.sqrt(integral(2 * (a + 2))) for a in range(1, n_max + 1)]
    s = mpmath.matrix(n_max, n_max)
    for a, b in itertools.product(range(n_max), repeat=2):
        s[a, b] = integral(a + b + 6) / (norm[a] * norm[b])
    eigenvalues, vectors = mpmath.eigsy(s)
    w = vectors * mpmath.diag([e ** mpmath.mpf(-0.5) for e in eigenvalues]) * vectors.T

    def functions(r):
        phi = [(r_c - r) ** (a + 3) / norm[a] for a in range(n_max)]
        return [mpmath.fsum(w[n, a] * phi[a] for a in range(n_max)) for n in range(n_max)]

    return functions


def _published(n_max, l_max):
    vectors = [mpmath.matrix([mpmath.mpf(float(x)) for x in v]) for v in NEIGHBOURS]
    r = [mpmath.norm(v) for v in vectors]
    functions = _radial_functions(n_max)
    g = [functions(x) for x in r]
    out = np.zeros((n_max, l_max + 1))
    for j, k in itertools.combinations(range(len(r)), 2):
        theta = mpmath.acos((vectors[j].T * vectors[k])[0] / (r[j] * r[k]))
        for n in range(n_max):
            for l in range(l_max + 1):  # noqa: E741
                out[n, l] += float(g[j][n] * g[k][n] * mpmath.cos(l * theta))
    return out


@pytest.mark.parametrize("n_max", [6, 20])
def test_published_definition(n_max):
    with mpmath.workdps(120):
        expected = _published(n_max, 10)
    atoms = Atoms("Fe6", positions=[[0, 0, 0], *NEIGHBOURS])
    descriptor = AFS(r_cut=R_CUT, n_max=n_max, l_max=10)
    found = descriptor.values(atoms)[0].reshape(n_max, 11)
    np.testing.assert_allclose(found, expected, atol=1e-12 * np.abs(expected).max())
    # n-major, then l
    assert descriptor.names[12].endswith("n=2, l=1")
