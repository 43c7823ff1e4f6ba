"""The fitted linear model: ``f(x) = x·w``, with its uncertainty.

For rows of unit weight with residual standard deviation σ, penalties Λ and weighted features
X, the posterior of w is Gaussian with covariance ``Σ = σ² (XᵀX + Λ)⁻¹ = σ² L Lᵀ``, so that

    std(x)² = σ² |xL|²  (+ σ² for a new observation),     leverage(x) = |xL|² = x (XᵀX+Λ)⁻¹ xᵀ

(Bishop, Pattern Recognition and Machine Learning (2006), equations 3.53 and 3.59).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LinearModel:
    """Coefficients and, optionally, their uncertainty.

    Attributes
    ----------
    coefficients : (K,) or (K, T) array
        w.
    leverage_factor : (K, r) array or None
        L with ``L Lᵀ = (XᵀX + Λ)⁻¹`` (exactly, or its dominant directions).
    noise : float, or (T,) array
        Standard deviation of the residual of a row of unit weight; NaN when unknown.
    penalty : (K,) array or None
        The diagonal of Λ that was used; ``Λ σ⁻²`` is the prior precision of w.
    n_rows : int
        Rows fitted.
    effective_parameters : float
        ``γ = tr[XᵀX (XᵀX + Λ)⁻¹]``, between 0 and K.
    log_evidence : float
        Natural logarithm of the marginal likelihood of the weighted targets; NaN when unknown.
    converged : bool
        False when an iterative solver stopped before its tolerance.
    """

    coefficients: Array
    leverage_factor: Array | None = None
    noise: float | Array = float("nan")
    penalty: Array | None = None
    n_rows: int = 0
    effective_parameters: float = float("nan")
    log_evidence: float = float("nan")
    converged: bool = True

    @property
    def n_features(self) -> int:
        """K."""
        return len(self.coefficients)

    @property
    def covariance_factor(self) -> Array | None:
        """(K, r): σL, with ``Σ = (σL)(σL)ᵀ``; None when unknown or for several targets."""
        if self.leverage_factor is None or np.ndim(self.noise):
            return None
        return self.noise * self.leverage_factor

    def predict(self, X: ArrayLike) -> Array:
        """Return ``X w``: (n,), or (n, T) for several targets; X is (n, K) or one row (K,)."""
        return self._rows(X) @ self.coefficients

    def leverage(self, X: ArrayLike) -> Array:
        """Return ``x (XᵀX + Λ)⁻¹ xᵀ`` of each row (n,): above ~1, x is far from the training data.

        Raises
        ------
        ValueError
            When the model carries no leverage factor.
        """
        if self.leverage_factor is None:
            raise ValueError(
                "this model has no covariance, so no leverage or std; fit it with covariance=True"
            )
        projected = self._rows(X) @ self.leverage_factor
        return np.einsum("...r,...r->...", projected, projected)

    def std(self, X: ArrayLike, noise: bool = False) -> Array:
        """Return the posterior standard deviation of ``X w``, in the units of the target.

        Parameters
        ----------
        X : (n, K) array, or one row (K,)
        noise : bool
            Add the residual noise of a row of unit weight: the spread of a new observation.

        Returns
        -------
        (n,) array, or (n, T) for several targets
        """
        root = np.sqrt(self.leverage(X) + (1.0 if noise else 0.0))
        return root[..., None] * self.noise if np.ndim(self.noise) else root * self.noise

    def sample(self, count: int, seed: int = 0) -> Array:
        """Draw coefficients from the posterior, ``w + σ L ξ`` with ξ ~ N(0, I).

        Parameters
        ----------
        count : int
        seed : int

        Returns
        -------
        (count, K) array

        Raises
        ------
        ValueError
            When the model carries no covariance of a single target.
        """
        factor = self.covariance_factor
        if factor is None:
            raise ValueError("this model has no covariance to sample; fit it with covariance=True")
        draws = np.random.default_rng(seed).standard_normal((count, factor.shape[1]))
        return self.coefficients + draws @ factor.T

    def low_rank(self, rank: int, scale: ArrayLike | None = None) -> Self:
        """Keep the `rank` dominant directions of the covariance; predictions do not change.

        Parameters
        ----------
        rank : int
            Directions to keep; at least 1.
        scale : (K,) array, optional
            Typical size of each feature (`sqrt(statistics.mean_square)`): dominance is then
            measured in the predicted variance instead of in the coefficients.

        Returns
        -------
        LinearModel
            Its std and leverage are never larger than before.
        """
        if rank < 1:
            raise ValueError(f"rank {rank} given; keep at least one direction")
        if self.leverage_factor is None or rank >= self.leverage_factor.shape[1]:
            return self
        size = np.ones(self.n_features) if scale is None else np.asarray(scale, dtype=float)
        if size.shape != (self.n_features,):
            raise ValueError(f"scale has shape {size.shape}; expected ({self.n_features},)")
        _, _, right = np.linalg.svd(size[:, None] * self.leverage_factor, full_matrices=False)
        return replace(self, leverage_factor=self.leverage_factor @ right[:rank].T)

    def _rows(self, X: ArrayLike) -> Array:
        X = np.asarray(X, dtype=np.float64)
        if X.ndim not in (1, 2) or X.shape[-1] != self.n_features:
            raise ValueError(f"X has shape {X.shape}; expected (n, {self.n_features})")
        return X

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything as arrays, for `from_arrays` and `linear.store`."""
        arrays: dict[str, NDArray[Any]] = {
            "coefficients": self.coefficients,
            "noise": np.asarray(self.noise, dtype=float),
            "summary": np.array([self.n_rows, self.effective_parameters, self.log_evidence]),
            "converged": np.array(self.converged),
        }
        if self.leverage_factor is not None:
            arrays["leverage_factor"] = self.leverage_factor
        if self.penalty is not None:
            arrays["penalty"] = self.penalty
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild what `to_arrays` took apart."""
        noise = arrays["noise"]
        n_rows, effective, log_evidence = (float(x) for x in arrays["summary"])
        return cls(
            coefficients=arrays["coefficients"],
            leverage_factor=arrays.get("leverage_factor"),
            noise=noise if noise.ndim else float(noise),
            penalty=arrays.get("penalty"),
            n_rows=int(n_rows),
            effective_parameters=effective,
            log_evidence=log_evidence,
            converged=bool(arrays["converged"]),
        )

    def __str__(self) -> str:
        """Summarise the fit in a few lines."""
        targets = "" if self.coefficients.ndim == 1 else f", {self.coefficients.shape[1]} targets"
        factor = self.leverage_factor
        noise = ", ".join(f"{s:.4g}" for s in np.atleast_1d(self.noise))
        lines = [
            f"LinearModel: {self.n_features} features{targets}, fitted to {self.n_rows} rows",
            f"  noise std              {noise}",
            f"  effective parameters   {self.effective_parameters:.1f}",
            f"  log evidence           {self.log_evidence:.6g}",
            f"  covariance             {'none' if factor is None else f'rank {factor.shape[1]}'}",
        ]
        return "\n".join(lines if self.converged else [*lines, "  NOT CONVERGED"])
