"""scikit-learn's interface to the linear core; the one module that imports scikit-learn.

``LinearRegressor(penalty="evidence")`` is a regressor like scikit-learn's `BayesianRidge` and
`RidgeCV`, fitted through `TSQR`, hence in any number of blocks (`partial_fit`). The intercept
is a column of ones without a penalty; the penalty acts on standardised features. Checked with
`sklearn.utils.estimator_checks.check_estimator`, and a given penalty against
``make_pipeline(StandardScaler(), Ridge(penalty))``.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from thiry_calc.linear.bayes import evidence
from thiry_calc.linear.solve import ridge
from thiry_calc.linear.statistics import TSQR, Statistics, merge
from thiry_calc.linear.systems import integrate_out, split
from thiry_calc.linear.validate import cross_validate

Array = NDArray[np.float64]
# penalties per row tried by penalty="cv": a third of a decade apart
_GRID = np.logspace(-12, 4, 49)


class LinearRegressor(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Linear regression with a ridge penalty, chosen by evidence, by validation or by hand.

    Parameters
    ----------
    penalty : {"evidence", "cv"} or float
        How the ridge penalty is found, or its value, which acts on features divided by their
        standard deviation (root mean square without an intercept).
    fit_intercept : bool
        Add a constant.
    n_folds : int
        Folds for ``penalty="cv"``: row i of all rows seen belongs to fold i modulo `n_folds`;
        with `groups`, the g-th group seen to fold g modulo `n_folds`.

    Attributes
    ----------
    coef_ : (n_features,) or (n_targets, n_features) array
    intercept_ : float or (n_targets,) array
    model_ : LinearModel
        The fit, with its covariance; the constant, if any, is its last feature.
    penalty_ : float
        The penalty used, in the units of `penalty`.
    statistics_ : list of TSQR
        What is kept of the rows: one per fold for ``penalty="cv"``, else one.
    """

    def __init__(
        self, penalty: str | float = "evidence", fit_intercept: bool = True, n_folds: int = 5
    ) -> None:
        self.penalty = penalty
        self.fit_intercept = fit_intercept
        self.n_folds = n_folds

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Fit to these rows only.

        Parameters
        ----------
        X : (n, n_features) array
        y : (n,) or (n, n_targets) array
        sample_weight : (n,) array, optional
            Weight of each squared residual: a row of weight 2 counts as two rows.
        groups : (n,) array, optional
            Rows of one group stay in one fold of ``penalty="cv"``.

        Returns
        -------
        Self
        """
        self.statistics_: list[TSQR] = []
        return self._add(X, y, sample_weight, groups, reset=True)

    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Fit to these rows and all given before; parameters as for `fit`."""
        first = not getattr(self, "statistics_", None)
        if first:
            self.statistics_ = []
        return self._add(X, y, sample_weight, groups, reset=first)

    def _add(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None,
        groups: ArrayLike | None,
        reset: bool,
    ) -> Self:
        by_folds = self.penalty == "cv"
        if isinstance(self.penalty, str) and self.penalty not in ("evidence", "cv"):
            raise ValueError(f"penalty {self.penalty!r} given; expected 'evidence', 'cv' or >= 0")
        rows, target = validate_data(
            self, X, y, reset=reset, dtype=np.float64, y_numeric=True, multi_output=True
        )
        weight = _check_sample_weight(
            sample_weight, rows, dtype=np.float64, ensure_non_negative=True
        )
        rows = self._with_constant(rows)
        if reset:
            self._flat_target = target.ndim == 1
            targets = 1 if target.ndim == 1 else target.shape[1]
            count = self.n_folds if by_folds else 1
            self.statistics_ = [TSQR(rows.shape[1], targets) for _ in range(count)]
            self._seen, self._weights, self._fold_of = 0, 0.0, dict[Any, int]()
        fold = self._folds(len(rows), groups) if by_folds else np.zeros(len(rows), dtype=int)
        for f, stats in enumerate(self.statistics_):
            mine = fold == f
            stats.update(rows[mine], target[mine], np.sqrt(weight[mine]))
        self._seen += len(rows)
        self._weights += float(weight.sum())
        return self._solve()

    def _with_constant(self, rows: Array) -> Array:
        return np.column_stack([rows, np.ones(len(rows))]) if self.fit_intercept else rows

    def _folds(self, count: int, groups: ArrayLike | None) -> NDArray[np.int64]:
        if groups is None:
            return np.arange(self._seen, self._seen + count) % self.n_folds
        names = np.asarray(groups).tolist()
        for group in names:
            self._fold_of.setdefault(group, len(self._fold_of) % self.n_folds)
        return np.array([self._fold_of[group] for group in names])

    def _solve(self) -> Self:
        total = merge(self.statistics_)
        flat = np.zeros(total.n_features, dtype=bool)
        flat[-1] = self.fit_intercept
        prior = _variances(total, flat)
        if self.penalty == "evidence":
            self.model_ = evidence(total, -flat.astype(int), prior, n_rows=self._weights)
            self.penalty_ = float(np.max(np.asarray(self.model_.penalty)[~flat] / prior[~flat]))
        else:
            self.penalty_ = self._validated(total, prior * ~flat)
            self.model_ = ridge(total, self.penalty_ * prior * ~flat, n_rows=self._weights)
        w = self.model_.coefficients.reshape(total.n_features, -1)
        w, constant = (w[:-1], w[-1]) if self.fit_intercept else (w, np.zeros(w.shape[1]))
        self.coef_ = w[:, 0] if self._flat_target else w.T
        self.intercept_ = float(constant[0]) if self._flat_target else constant
        return self

    def _validated(self, total: Statistics, prior: Array) -> float:
        if self.penalty != "cv":
            return float(self.penalty)
        blocks = [stats for stats in self.statistics_ if stats.n]
        if len(blocks) < 2:
            raise ValueError(
                f"n_samples={total.n} in {len(blocks)} fold given; "
                "penalty='cv' needs rows in two folds at least"
            )
        return float(cross_validate(blocks, _GRID * total.weight2, prior).best)

    def predict(self, X: ArrayLike, return_std: bool = False) -> Any:
        """Predict.

        Parameters
        ----------
        X : (n, n_features) array
        return_std : bool
            Also return the standard deviation of a new observation (noise included).

        Returns
        -------
        (n,) or (n, n_targets) array, or two of them
        """
        check_is_fitted(self)
        rows = validate_data(self, X, reset=False, dtype=np.float64)
        mean = rows @ self.coef_.T + self.intercept_
        if not return_std:
            return mean
        return mean, self.model_.std(self._with_constant(rows), noise=True).reshape(mean.shape)


def _variances(stats: Statistics, flat: NDArray[np.bool_]) -> Array:
    """(K,): mean square of each feature, less its projection on the flat ones; 1 where zero."""
    prior = np.ones(stats.n_features)
    if not flat.all() and stats.weight2 > 0:
        R = integrate_out(*split(stats), flat)[0]
        squares = np.einsum("ik,ik->k", R, R) / stats.weight2
        tiny = 1e-28 * stats.mean_square[~flat] * stats.n / stats.weight2
        prior[~flat] = np.where(squares > tiny, squares, 1.0)
    return prior
