"""What site entropies teach beside totals: errors against the number of labelled configurations.

    thiry generate training/recipes/iron_sites.toml --workers 2
    python -m training.recipes.site_labels

Fits each model of `training.recipes.extrapolation` to the first n configurations of a database with
site entropies: to their totals alone, and to the rows

    w·(φ(N_i) − φ_0) = s_i   for every site,   weighted by a factor chosen on a fifth of the totals,

too, and tests on the unstrained configurations of another database.
"""

import argparse
from functools import reduce
from operator import add

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from thiry_calc.defects import supercell
from thiry_calc.linear import TSQR, LinearModel
from training.database import load_database
from training.defect_rows import defect_rows, relative_features
from training.executors import make_executor
from training.fit import fit, penalty_groups
from training.recipes.extrapolation import MODELS
from training.recipes.fe_am04 import ALL, columns_of, entropy_rows_model
from training.references.am04 import LATTICE_CONSTANT

Array = NDArray[np.float64]

WEIGHTS = (0.03, 0.1, 0.3, 1.0, 3.0)  # of a site's row beside a total's
SIZES = (10, 20, 40, 80, 160)


def site_statistics(frames: list[Atoms]) -> list[TSQR]:
    """Statistics of the rows of all sites, one object per configuration."""
    phi_0 = ALL.values(supercell(LATTICE_CONSTANT, 3))[0]
    out = []
    for atoms in tqdm(frames, desc="sites"):
        statistics = TSQR(ALL.n_features)
        statistics.update(ALL.values(atoms) - phi_0, atoms.arrays["site_entropies_kB"])
        out.append(statistics)
    return out


def fitted(
    totals: tuple[Array, Array], sites: TSQR, weight: float, parts: tuple[int, ...]
) -> LinearModel:
    """Model of totals and of sites.

    Parameters
    ----------
    totals : tuple of ndarray, shapes (n, K of `ALL`) and (n,)
        Features and entropies, k_B.
    sites : TSQR
        Rows of the sites, features of `ALL`.
    weight : float
        Of those.
    parts : tuple of int

    Returns
    -------
    LinearModel
    """
    columns = columns_of(parts)
    statistics = TSQR(len(columns))
    statistics.update(totals[0][:, columns], totals[1])
    triangle = sites.factor()  # stands for the rows of all sites
    statistics.update(triangle[:, columns], triangle[:, -1], np.full(len(triangle), weight))
    return fit(statistics, penalty_groups(ALL, parts))


def with_and_without(
    features: Array, entropy: Array, sites: list[TSQR], parts: tuple[int, ...]
) -> tuple[LinearModel, LinearModel]:
    """Models of totals alone, and with sites at the weight that is best on a fifth of the totals.

    Parameters
    ----------
    features, entropy : ndarray, shapes (n, K of `ALL`) and (n,)
    sites : list of TSQR
        Rows of the sites of each configuration.
    parts : tuple of int

    Returns
    -------
    tuple of LinearModel
    """
    n = len(entropy)
    kept = np.arange(n) % 5 != 0
    some = reduce(add, (sites[k] for k in np.flatnonzero(kept)))
    columns = columns_of(parts)

    def error(weight: float) -> float:
        model = fitted((features[kept], entropy[kept]), some, weight, parts)
        return float(np.abs(model.predict(features[~kept][:, columns]) - entropy[~kept]).mean())

    weight = min(WEIGHTS, key=error)
    with_sites = fitted((features, entropy), reduce(add, sites), weight, parts)
    return entropy_rows_model(features[:, columns], entropy, parts), with_sites


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--database", default="~/.cache/thiry_calc/iron_sites")
    parser.add_argument("--test", default="~/.cache/thiry_calc/iron_entropy_3k")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    frames = load_database(args.database)
    order = np.random.default_rng(args.seed).permutation(len(frames))
    frames = [frames[k] for k in order]
    with threadpool_limits(1), make_executor(0) as executor:
        test = defect_rows(args.test, ALL, LATTICE_CONSTANT, executor, seed=0)
        use = ~test.strained
        features = relative_features(frames, ALL, LATTICE_CONSTANT)
        entropy = np.array([atoms.info["formation_entropy_kB"] for atoms in frames])
        sites = site_statistics(frames)
        print(f"{'model':24s}{'n':>5s}{'totals':>10s}{'with sites':>12s}   MAE, k_B")
        for title, parts in MODELS.items():
            X, y = test.features[use][:, columns_of(parts)], test.formation_entropy[use]
            for n in (size for size in SIZES if size <= len(frames)):
                models = with_and_without(features[:n], entropy[:n], sites[:n], parts)
                errors = [np.abs(model.predict(X) - y).mean() for model in models]
                print(f"{title:24s}{n:5d}{errors[0]:10.3f}{errors[1]:12.3f}", flush=True)


if __name__ == "__main__":
    main()
