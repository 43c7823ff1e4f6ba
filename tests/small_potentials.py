"""Small potentials with seeded random coefficients, for the tests of the runtime.

Energies are a Morse-like pair part (so that crystals hold together) plus a random three-body
part; entropies are random. The coefficients are scaled to forces of about 1 eV/Å.
"""

import numpy as np
from ase.build import bulk

from thiry_calc.descriptors import ACE, AFS, Combined, LocalLogDet, OneBody, Pair, PowerSpectrum
from thiry_calc.descriptors.local_log_det import spline_basis
from thiry_calc.linear import LinearModel
from thiry_calc.potential import Crystal, Potential, Target

R_CUT = 4.6
A0 = {("Fe",): 2.87, ("W",): 3.16, ("Fe", "W"): 3.0}
HBAR_OMEGA = {"Fe": 0.026, "W": 0.019}


def _descriptors(kind, elements):
    """The descriptors of a test potential; the elements are None where there is one."""
    channels = elements if len(elements) > 1 else None
    afs = AFS(R_CUT, 4, 4, elements=channels)
    return {
        "afs": (OneBody(channels), Pair(R_CUT, 6, channels), afs),
        "afs_only": (afs,),
        "power": (
            OneBody(channels),
            Pair(R_CUT, 6, channels),
            PowerSpectrum(R_CUT, 3, 3, channels),
        ),
        "pair": (OneBody(channels), Pair(R_CUT, 6, channels)),
        "ace3": (OneBody(channels), ACE(R_CUT, (7, 6, 5), elements=channels)),
        "ace4": (OneBody(channels), ACE(R_CUT, (6, 5, 4, 3), elements=channels)),
    }[kind]


def _crystal_features(descriptor, elements):
    rows = []
    for symbol in elements:
        rows.append(descriptor.values(bulk(symbol, "bcc", A0[(symbol,)], cubic=True))[0])
    return np.array(rows)


def _morse(pair, a0):
    """Coefficients of a Morse-like function with its minimum at the bcc neighbour distance."""
    r = np.linspace(0.5 * a0, pair.r_cut, 200)
    r0, width = 0.9 * a0, 1.4
    morse = 0.3 * ((1 - np.exp(-width * (r - r0))) ** 2 - 1) * (1 - r / pair.r_cut) ** 2
    return np.linalg.lstsq(pair._radial.values(r).T, morse, rcond=None)[0]


def _log_det(a0):
    """The springs of a Morse-like function."""
    basis, r = spline_basis(0.5 * a0, R_CUT, 24), np.linspace(0.5 * a0, R_CUT, 300)
    morse = ((1 - np.exp(-1.4 * (r - 0.9 * a0))) ** 2 - 1) * (1 - r / R_CUT) ** 2
    coefficients = np.linalg.lstsq(basis(r), 3 * morse, rcond=None)[0]
    return LocalLogDet(R_CUT, 0.5 * a0, tuple(coefficients), ((3.0, 3.9), (3.2, 4.4)))


def _model(coefficients, rng):
    k = len(coefficients)
    factor = 1e-2 * rng.normal(size=(k, min(k, 8))) / (1 + np.abs(coefficients)[:, None])
    return LinearModel(coefficients, leverage_factor=factor, noise=0.3, n_rows=100)


def _coefficients(parts, descriptor, features, elements, strength, rng):
    """Morse for pairs, random elsewhere, such that a feature changes by its size or so."""
    weights = []
    for part in parts:
        if part.type == "one_body":
            weights.append(np.zeros(part.n_features))
        elif part.type == "pair" and strength["pair"] is None:
            base = _morse(part, A0[elements])
            scale = 1 + 0.1 * rng.normal(size=(part.n_features // len(base), 1))
            weights.append((scale * base).ravel())
        else:
            size = np.abs(part.values(rattled_crystal(elements, 0.3, 7))).max(axis=0) + 1e-3
            weights.append(strength["other"] * rng.normal(size=part.n_features) / size)
    return np.concatenate(weights)


def rattled_crystal(elements, amplitude, seed):
    atoms = bulk(elements[0], "bcc", A0[elements], cubic=True) * (2, 2, 2)
    rng = np.random.default_rng(seed)
    atoms.symbols = rng.choice(elements, size=len(atoms))
    atoms.positions += amplitude * rng.uniform(-1, 1, atoms.positions.shape)
    return atoms


def build_potential(kind="afs", elements=("Fe",), seed=1, split=False, targets=None):
    """A potential of a kind of descriptors; `split` gives the entropy an AFS of its own.

    With split="log_det" the entropy has the pairs and a local log-determinant.
    """
    rng = np.random.default_rng(seed)
    elements = tuple(elements)
    parts = _descriptors(kind, elements)
    shared = tuple(range(len(parts)))
    entropy_parts = shared
    if split == "log_det":
        parts = (*parts, _log_det(A0[elements]))
        entropy_parts = (parts.index(Pair(R_CUT, 6)), len(parts) - 1)
    elif split:
        parts = (*parts, AFS(4.0, 3, 3, elements=elements if len(elements) > 1 else None))
        entropy_parts = (len(parts) - 1,)
    descriptor = Combined(parts)
    reference = _crystal_features(descriptor, elements)
    columns = descriptor.columns

    def target(own, strength, value):
        k = np.concatenate([np.arange(columns[p].start, columns[p].stop) for p in own])
        w = _coefficients([parts[p] for p in own], descriptor, reference, elements, strength, rng)
        values = value * np.ones(len(elements)) - 0.1 * np.arange(len(elements)) * (value != 0)
        return Target(_model(w, rng), own, reference[:, k], values)

    both = {
        "energy": target(shared, {"pair": None, "other": 0.02}, -4.0),
        "entropy": target(entropy_parts, {"pair": 1.0, "other": 0.5}, 0.0),
    }
    crystal = Crystal("bcc", A0[elements], {e: HBAR_OMEGA[e] for e in elements})
    name = f"test-{kind}-{'-'.join(elements)}"
    kept = {k: v for k, v in both.items() if targets is None or k in targets}
    return Potential(name, elements, descriptor, kept, crystal, {"purpose": "tests"})
