"""Named settings of the classifiers, for ``thiry-vision train --preset``."""

import math
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from thiry_calc.linear.suggestion import suggestion
from vision.estimator import ImageClassifier
from vision.model_files import CLASSIFIERS

__all__ = ["MODELS", "PRESETS", "build"]

MODELS = {"simplepatch": "SimplePatch", "scattering": "ScatteringLinear", "knn": "ImageKNN"}
_PUBLISHED = {
    "head": "low_rank", "pooling": (5, 3), "mirror": False, "temperature": 2.0, "device": "cuda"
}  # fmt: skip
_EPOCHS_80 = {"epochs": 80, "milestones": (50, 75), "mixed_precision": True}
_EPOCHS_175 = {"epochs": 175, "milestones": (100, 150), "mixed_precision": True}
PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "simplepatch": {
        "cpu": {},
        "gpu-2k": {**_PUBLISHED, "n_patches": 2048, "schedule": _EPOCHS_80},
        "gpu-16k": {**_PUBLISHED, "n_patches": 16384, "schedule": _EPOCHS_175},
        "gpu-hidden": {
            **_PUBLISHED,
            "n_patches": 2048,
            "head": "hidden",
            "pooling": (3, 2),
            "schedule": _EPOCHS_175,
        },
    },
    "scattering": {"cpu": {}},
    "knn": {"cpu": {}},
}


_SEVERAL = ("penalty", "pooling")  # a number, or numbers
_KINDS: dict[type, str] = {
    bool: "true or false", int: "a whole number", float: "a finite number", str: "a word"
}  # fmt: skip
_OPTIONAL: dict[str, type] = {
    "rank": int, "J": int, "oversampling": int, "max_seconds": float, "checkpoint": str,
    "cache": str,
}  # fmt: skip


def _check_type(name: str, value: Any, default: Any) -> None:
    """Refuse a value whose type is not that of the default.

    Raises
    ------
    ValueError
        With the type that is expected.
    """
    kind = _OPTIONAL.get(name, type(default))
    if name in _OPTIONAL and value is None:
        return
    if isinstance(value, tuple) and name in _SEVERAL:
        fits = all(_finite(v) for v in value)
    elif kind is float:
        fits = _finite(value)
    elif name == "schedule":
        fits = value is None or isinstance(value, Mapping)
    else:
        fits = kind not in _KINDS or type(value) is kind
    if not fits:
        raise ValueError(f"{name}={value!r} given; expected {_KINDS.get(kind, 'another type')}")


def _finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and type(value) is not bool and math.isfinite(value)


def build(model: str, preset: str, changes: Mapping[str, Any], seed: int = 0) -> ImageClassifier:
    """Make a classifier.

    Parameters
    ----------
    model : str
        Key of `MODELS`.
    preset : str
        Key of ``PRESETS[model]``.
    changes : mapping
        Parameters in place of the preset's.
    seed : int
        Of every random choice, where the classifier makes any.

    Returns
    -------
    ImageClassifier

    Raises
    ------
    ValueError
        An unknown preset or parameter.
    """
    known = PRESETS[model]
    if preset not in known:
        raise ValueError(f"{model} has no preset {preset!r}; {suggestion(preset, known, 'it has')}")
    kind: type[ImageClassifier] = getattr(import_module(CLASSIFIERS[MODELS[model]]), MODELS[model])
    names = kind().get_params(deep=False)
    for name in changes:
        if name not in names:
            raise ValueError(
                f"{MODELS[model]} has no parameter {name!r}; {suggestion(name, names, 'it has')}"
            )
    for name, value in changes.items():
        _check_type(name, value, names[name])
    chosen = {"random_state": seed} if "random_state" in names else {}
    return kind(**{**chosen, **known[preset], **changes})
