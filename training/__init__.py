"""Data in, models out: reference potentials, relaxation, labels, databases, fits."""

from typing import Any

__all__ = ["fit"]


def __getattr__(name: str) -> Any:
    """Import `fit` on first use."""
    if name == "fit":
        from training.fitting import fit

        return fit
    raise AttributeError(f"module 'training' has no attribute {name!r}")
