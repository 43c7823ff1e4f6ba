"""Local descriptors φ(N_i), each with analytic derivatives; `make_descriptor` builds by type."""

from inspect import signature
from typing import Any

from thiry_calc.descriptors.ace import ACE
from thiry_calc.descriptors.afs import AFS
from thiry_calc.descriptors.base import Descriptor
from thiry_calc.descriptors.combined import Combined
from thiry_calc.descriptors.local_log_det import LocalLogDet
from thiry_calc.descriptors.one_body import OneBody
from thiry_calc.descriptors.pair import Pair
from thiry_calc.descriptors.power_spectrum import PowerSpectrum
from thiry_calc.descriptors.zbl import ZBL
from thiry_calc.linear.suggestion import suggestion

__all__ = [
    "ACE",
    "AFS",
    "ZBL",
    "Combined",
    "Descriptor",
    "LocalLogDet",
    "OneBody",
    "Pair",
    "PowerSpectrum",
    "make_descriptor",
]

REGISTRY = {cls.type: cls for cls in (ACE, AFS, LocalLogDet, PowerSpectrum, Pair, OneBody, ZBL)}


def make_descriptor(spec: dict[str, Any]) -> Descriptor:
    """Build a descriptor from its hyper-parameters.

    Parameters
    ----------
    spec : dict
        {"type": ..., ...} as `Descriptor.to_dict` gives it.

    Returns
    -------
    Descriptor

    Raises
    ------
    ValueError
        For an unknown type or hyper-parameter.
    """
    options = dict(spec)
    kind = options.pop("type", None)
    if kind == Combined.type:
        return Combined(tuple(make_descriptor(part) for part in options["parts"]))
    if kind not in REGISTRY:
        types = ", ".join([*REGISTRY, Combined.type])
        raise ValueError(f"unknown descriptor type {kind!r}; known types: {types}")
    if options.get("elements") is not None:
        options["elements"] = tuple(options["elements"])
    known = list(signature(REGISTRY[kind]).parameters)
    for name in options:
        if name not in known:
            hint = suggestion(name, known, "known keys are")
            raise ValueError(f"descriptor {kind!r} has no key {name!r}; {hint}")
    try:
        return REGISTRY[kind](**options)
    except TypeError as error:
        raise ValueError(f"descriptor {kind!r}: {error}") from error
