"""Large structures block by block: bounded memory, linear time, and progress.

A block is a few ten thousand atoms that are close together, with the part of the neighbour list
that their site values need. Sums over blocks are those over the whole structure; pair forces go
back to the pairs of the whole list.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from tqdm import tqdm

from thiry_calc.neighbors import NeighborList, sublist
from thiry_calc.potential import Potential

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
BLOCK = 20_000  # atoms: some 100 MB of features


class Block(NamedTuple):
    """Some atoms of a structure.

    Attributes
    ----------
    centers : ndarray, shape (n,)
        The atoms.
    pairs : ndarray, shape (m,)
        Pairs of the whole list that the block's own list holds, in its order.
    nl : NeighborList
        Its sites are the centers.
    """

    centers: Indices
    pairs: Indices
    nl: NeighborList


def blocks(
    nl: NeighborList, atoms: Atoms, hops: int, progress: str | None = None, size: int = BLOCK
) -> Iterator[Block]:
    """Cut a structure into slices along its longest side.

    Parameters
    ----------
    nl : NeighborList
    atoms : Atoms
        Of which `nl` is the list.
    hops : int
        Of the descriptor (`thiry_calc.descriptors.base.Descriptor`).
    progress : str, optional
        Title of a progress bar; without one there is none.
    size : int
        Atoms of a block.

    Yields
    ------
    Block
        Every site is a center once.
    """
    n = nl.n_sites
    if n <= size:
        yield Block(np.arange(n), np.arange(len(nl.neighbor)), nl)
        return
    positions = atoms.positions[:n]
    order = np.argsort(positions[:, np.argmax(np.ptp(positions, axis=0))], kind="stable")
    with tqdm(total=n, desc=progress, unit="atom", disable=progress is None) as bar:
        for start in range(0, n, size):
            centers = order[start : start + size]
            yield Block(centers, *sublist(nl, centers, hops)[1:])
            bar.update(len(centers))


def evaluate(
    potential: Potential,
    nl: NeighborList,
    atoms: Atoms,
    species: Indices,
    mix: Mapping[str, float],
    progress: bool = False,
) -> tuple[dict[str, Array], Array]:
    """`Potential.evaluate`, block by block.

    Parameters
    ----------
    potential : Potential
    nl : NeighborList
    atoms : Atoms
    species : ndarray, shape (N,)
    mix : mapping of str to float
    progress : bool

    Returns
    -------
    sites : dict of str to ndarray, shape (N,)
    pair_forces : ndarray, shape (M, 3)
    """
    sites = {name: np.empty(len(nl)) for name in mix}
    pair_forces = np.zeros((len(nl.neighbor), 3))
    title = "energy and forces" if progress else None
    for block in blocks(nl, atoms, potential.descriptor.hops, title):
        values, slopes = potential.evaluate(block.nl, species[block.centers], mix)
        pair_forces[block.pairs] += slopes
        for name, value in values.items():
            sites[name][block.centers] = value
    return sites, pair_forces


class Uncertainty(NamedTuple):
    """Of one target.

    Attributes
    ----------
    std : float
        Of the total, in the target's unit.
    leverage : ndarray, shape (N,)
        Of the sites.
    """

    std: float
    leverage: Array


def uncertainties(
    potential: Potential,
    nl: NeighborList,
    atoms: Atoms,
    species: Indices,
    progress: bool = False,
    add_up: Callable[[Array], Array] = np.asarray,
) -> dict[str, Uncertainty]:
    """Std and leverages of every target that was stored with its covariance.

    Parameters
    ----------
    potential : Potential
    nl : NeighborList
    atoms : Atoms
    species : ndarray, shape (N,)
    progress : bool
    add_up : callable
        Of features, over all parts of the structure, where `nl` has but one of them.

    Returns
    -------
    dict of str to Uncertainty
    """
    targets = {k: t for k, t in potential.targets.items() if t.model.leverage_factor is not None}
    if not targets:
        return {}
    totals = {name: np.zeros(len(target.model.coefficients)) for name, target in targets.items()}
    leverages = {name: np.empty(nl.n_sites) for name in targets}
    title = "uncertainty" if progress else None
    for block in blocks(nl, atoms, potential.descriptor.hops, title):
        values = potential.descriptor.values(block.nl)
        for name, target in targets.items():
            x = potential.centered(name, values, species[block.centers])
            totals[name] += x.sum(axis=0)
            leverages[name][block.centers] = target.model.leverage(x)
    return {
        name: Uncertainty(float(target.model.std(add_up(totals[name]))), leverages[name])
        for name, target in targets.items()
    }


def extrapolations(potential: Potential, found: Mapping[str, Uncertainty]) -> list[str]:
    """Say for each target whether an atom is outside its training data.

    Parameters
    ----------
    potential : Potential
    found : mapping of str to Uncertainty
        From `uncertainties`.

    Returns
    -------
    list of str
        One sentence for each target whose largest leverage in training is exceeded.
    """
    out = []
    for name, (_, leverage) in found.items():
        limit = potential.targets[name].max_leverage
        worst = int(np.argmax(leverage))
        if leverage[worst] > limit:  # never where the limit is nan, not known
            out.append(
                f"atom {worst} is outside the {name} training data of {potential.name!r} "
                f"(leverage {leverage[worst]:.2g}, in training at most {limit:.2g})"
            )
    return out
