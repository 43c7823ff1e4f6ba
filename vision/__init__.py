"""vision: image classifiers that are sums over patches of linear functions of local codes.

``F(x) = Σ_patches w·φ(patch)``, over the same linear core as the interatomic potentials
(`thiry_calc.linear`). Needs the extra ``vision`` (torch, scikit-learn, pillow). Exports are lazy
(PEP 562).
"""

from importlib import import_module
from typing import Any

_EXPORTS = {
    "SimplePatch": "vision.simplepatch",
    "Scattering2D": "vision.scattering",
    "ScatteringLinear": "vision.scattering_linear",
    "ImageKNN": "vision.neighbor_votes",
    "PatchVoteKNN": "vision.neighbor_votes",
    "ImageSet": "vision.data",
    "load_images": "vision.data",
    "evidence_map": "vision.evidence",
    "load_model": "vision.model_files",
    "save_model": "vision.model_files",
    "patch_dimension": "vision.dimension",
}
__all__ = list(_EXPORTS)


def __getattr__(name: str) -> Any:
    """Import an exported name on first use."""
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module 'vision' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the exported names."""
    return sorted([*globals(), *_EXPORTS])
