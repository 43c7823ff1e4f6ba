"""The shared linear core: statistics of rows, fits, uncertainty, validation, storage.

numpy and scipy only; it knows no atoms and no images. `LinearRegressor`, which needs
scikit-learn, is imported on first use.
"""

from typing import TYPE_CHECKING, Any

from thiry_calc.linear.bayes import evidence
from thiry_calc.linear.model import LinearModel
from thiry_calc.linear.solve import reduced_rank, ridge, ridge_path
from thiry_calc.linear.statistics import TSQR, Gram, Statistics, merge
from thiry_calc.linear.store import load, save
from thiry_calc.linear.validate import cross_validate, error_table, learning_curve

if TYPE_CHECKING:
    from thiry_calc.linear.estimator import LinearRegressor

__all__ = [
    "TSQR",
    "Gram",
    "LinearModel",
    "LinearRegressor",
    "Statistics",
    "cross_validate",
    "error_table",
    "evidence",
    "learning_curve",
    "load",
    "merge",
    "reduced_rank",
    "ridge",
    "ridge_path",
    "save",
]


def __getattr__(name: str) -> Any:
    """Import the scikit-learn wrapper on first use."""
    if name == "LinearRegressor":
        from thiry_calc.linear.estimator import LinearRegressor

        return LinearRegressor
    raise AttributeError(f"module 'thiry_calc.linear' has no attribute {name!r}")
