"""Files of fitted classifiers: `thiry_calc.linear.store`, no pickle.

The header names the class and its parameters; the arrays are what `_arrays` of the class gives
and `_restore` takes back.
"""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thiry_calc.linear import store
from vision.estimator import ImageClassifier

__all__ = ["CLASSIFIERS", "load_model", "save_model"]

KIND = "image classifier"
# what parts raise that do not fit together
_MISFIT = (
    KeyError, TypeError, IndexError, AttributeError, RuntimeError, ArithmeticError, MemoryError
)  # fmt: skip
SHIPPED = Path(__file__).parent / "models"  # <name>/model.vision and card.md
CLASSIFIERS = {
    "SimplePatch": "vision.simplepatch",
    "ScatteringLinear": "vision.scattering_linear",
    "ImageKNN": "vision.neighbor_votes",
    "PatchVoteKNN": "vision.neighbor_votes",
}


def save_model(
    path: str | Path, model: ImageClassifier, info: Mapping[str, Any] | None = None
) -> None:
    """Write a fitted classifier, whole or not at all.

    Parameters
    ----------
    path : str or Path
    model : ImageClassifier
        Fitted.
    info : mapping, optional
        JSON content: ``class_names`` (a list, that of class 0 first), data, accuracy.

    Raises
    ------
    ValueError
        A model that is not fitted, or content that is not JSON.
    """
    if not hasattr(model, "classes_"):
        raise ValueError(f"this {type(model).__name__} is not fitted; fit it before saving")
    plain = _plain(dict(info or {}))
    _check_names(plain)
    header = {
        "type": type(model).__name__,
        "parameters": _plain(model.get_params(deep=False)),
        "image_shape": list(model.image_shape_),
        "info": plain,
    }
    arrays = {"classes": model.classes_, **model._arrays()}
    store.save(path, header, arrays, KIND, schema=1)


def load_model(path: str | Path) -> tuple[ImageClassifier, dict[str, Any]]:
    """Read a classifier.

    Parameters
    ----------
    path : str or Path
        Or the name of a shipped model (`SHIPPED`).

    Returns
    -------
    model : ImageClassifier
    info : dict
        What `save_model` was given, and under ``"_store"`` the checksum and provenance.

    Raises
    ------
    FileNotFoundError
        No such file.
    ValueError
        Not such a file, damaged, or of an unknown class.
    """
    shipped = SHIPPED / str(path) / "model.vision"
    if not Path(path).exists() and shipped.is_file():
        path = shipped
    header, arrays = store.load(path, KIND, schema=1)
    try:
        return _rebuild(str(path), header, arrays)
    except _MISFIT as error:
        raise ValueError(
            f"{str(path)!r} has parts that do not fit together ({error!r}); write it again"
        ) from error


def _rebuild(
    path: str, header: dict[str, Any], arrays: dict[str, NDArray[Any]]
) -> tuple[ImageClassifier, dict[str, Any]]:
    """Make the model that a header and arrays describe."""
    for key, array in arrays.items():
        if array.dtype.kind == "f" and key != "penalty" and not np.isfinite(array).all():
            raise ValueError(f"{path!r} holds numbers in {key!r} that are not finite")
    name = str(header["type"])
    if name not in CLASSIFIERS:
        raise ValueError(f"{path!r} holds a {name!r}, unknown here; upgrade thiry_calc")
    parameters = {
        k: tuple(v) if isinstance(v, list) else v for k, v in header["parameters"].items()
    }
    model: ImageClassifier = getattr(import_module(CLASSIFIERS[name]), name)(**parameters)
    classes, shape, info = arrays["classes"], header["image_shape"], dict(header["info"])
    if classes.ndim != 1 or len(classes) < 2 or not np.array_equal(np.unique(classes), classes):
        raise ValueError(f"{path!r} holds classes that are not two or more, sorted and different")
    if len(shape) != 3 or not all(type(n) is int and n > 0 for n in shape):
        raise ValueError(f"{path!r} is for images of shape {shape}; expected three lengths")
    _check_names(info)
    model.classes_, model.image_shape_ = classes, tuple(shape)
    model._restore(arrays)
    return model, {**info, "_store": header["_store"]}


def _check_names(info: Mapping[str, Any]) -> None:
    names = info.get("class_names", [])
    if not (isinstance(names, list) and all(isinstance(n, str) for n in names)):
        raise ValueError(f"class_names {names!r} given; expected a list of names")


def _plain(content: Mapping[str, Any]) -> dict[str, Any]:
    """Numpy's numbers as Python's, tuples as lists."""
    return {str(k): _plain_value(v) for k, v in content.items()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return _plain(value)
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain_value(v) for v in value]
    return value
