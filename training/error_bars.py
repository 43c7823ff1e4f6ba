"""Error bars that cover errors: those of each structure by a fit of all others.

Labels of density functional theory have little noise: errors are those of the descriptor, of which
the posterior knows nothing. Without the rows Z of a structure, with residuals r of the fit to all,
their errors and leverages are, without another fit,

    (1 − H)⁻¹ r   and   diag (1 − H)⁻¹ − 1,   H = Z (XᵀX + Λ)⁻¹ Zᵀ

(Cook and Weisberg, Residuals and Influence in Regression (1982), sec. 2.2). The std is scaled to
cover the errors of energies. Those of forces, of which there are many, give a std for each range of
leverages: they grow more slowly than its root, and do not vanish with it where symmetry makes
forces vanish, but labels have noise.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from thiry_calc.linear import LinearModel
from training.dataset import Structure
from training.regression import covering_scale, rescaled
from training.rows import RowMaker

Array = NDArray[np.float64]

_STRUCTURES = 300  # whose errors are looked at
_BINS, _LEAST = 12, 50  # ranges of leverages, and errors in each
_VANISHING = 1e-10  # of the largest leverage: none, but for rounding
_ALONE = 1 - 1e-9  # leverage at most: what one structure alone tells would be infinite without it


def with_error_bars(
    model: LinearModel,
    structures: Sequence[Structure],
    maker: RowMaker,
    factors: Mapping[str, float],
) -> tuple[LinearModel, Array | None]:
    """Scale the noise to the errors of structures left out one at a time.

    Parameters
    ----------
    model : LinearModel
        Fitted to the structures, K features.
    structures : sequence of n Structure
    maker : RowMaker
    factors : mapping of str to float
        Of the rows of each kind.

    Returns
    -------
    model : LinearModel
        Scaled to the errors of energies.
    by_leverage : ndarray, shape (2, B) or None
        Leverages and std of forces, eV/Å; None without forces.
    """
    found: dict[str, list[tuple[Array, Array]]] = {"energy": [], "forces": []}
    some = structures[:: -(-len(structures) // _STRUCTURES)]
    for one in tqdm(some, desc="error bars", disable=None):
        for kind, errors, leverages in _left_out(model, one, maker, factors):
            if kind in found:
                found[kind].append((errors, leverages))
    forces = found["forces"]
    std = std_by_leverage(*map(np.concatenate, zip(*forces, strict=True))) if forces else None
    if not found["energy"]:
        return model, std
    errors, leverages = map(np.concatenate, zip(*found["energy"], strict=True))
    uncertain = leverages > _VANISHING * leverages.max()
    if not uncertain.any():
        return model, std
    std_of_energies = model.noise * np.sqrt(leverages[uncertain])
    return rescaled(model, errors[uncertain] / std_of_energies), std


def _left_out(
    model: LinearModel, one: Structure, maker: RowMaker, factors: Mapping[str, float]
) -> list[tuple[str, Array, Array]]:
    """Kind, |errors| and leverages of a structure's rows by a fit without it."""
    assert model.leverage_factor is not None
    rows = [
        rows._replace(weights=rows.weights * factors.get(rows.kind, 1.0))
        for rows in maker.rows(one)
        if factors.get(rows.kind, 1.0) > 0
    ]
    if not rows:
        return []
    weights = np.concatenate([each.weights for each in rows])
    x = np.concatenate([each.x for each in rows])
    residuals = weights * (np.concatenate([each.y for each in rows]) - model.predict(x))
    z = weights[:, None] * (x @ model.leverage_factor)
    values, vectors = np.linalg.eigh(z @ z.T)
    inverse = (vectors / (1 - np.minimum(values, _ALONE))) @ vectors.T
    errors = np.abs(inverse @ residuals) / weights
    leverages = np.maximum(np.diag(inverse) - 1.0, 0.0) / weights**2
    ends = np.cumsum([len(each.y) for each in rows])[:-1]
    kinds = [each.kind for each in rows]
    return list(zip(kinds, np.split(errors, ends), np.split(leverages, ends), strict=True))


def std_by_leverage(errors: Array, leverages: Array) -> Array | None:
    """Std that covers the errors of each range of leverages.

    Parameters
    ----------
    errors, leverages : ndarray, shape (n,)
        Absolute errors.

    Returns
    -------
    ndarray, shape (2, B) or None
        Leverages, growing, and their std, which does not fall; None without errors.
    """
    if len(errors) == 0:
        return None
    least = _VANISHING * leverages.max()
    null = np.flatnonzero(leverages <= least)
    rest = np.flatnonzero(leverages > least)
    rest = rest[np.argsort(leverages[rest])]
    bins = [null, *np.array_split(rest, max(1, min(_BINS, len(rest) // _LEAST)))]
    bins = [own for own in bins if len(own)]
    middle = np.array([max(np.median(leverages[own]), least) for own in bins])
    std = np.array([covering_scale(errors[own]) for own in bins])
    return np.array([middle, np.maximum.accumulate(std)])
