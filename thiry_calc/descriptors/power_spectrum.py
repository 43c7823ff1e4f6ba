"""Power spectrum of the neighbour density: Bartók, Kondor & Csányi 2013, III.A.

    p_nn'l(i) = Σ_jk g_n(r_ij) g_n'(r_ik) P_l(cos θ_jik) = Σ_m A_nlm A_n'lm,    n ≤ n′,

j = k included, the features of linear SOAP on the radial basis g_n. Checked: against the
double sum, 1e-12 relative.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from thiry_calc.descriptors.base import Array, check_elements, check_sizes
from thiry_calc.descriptors.radial import RadialBasis, make_radial
from thiry_calc.descriptors.three_body import ThreeBodyDescriptor


@dataclass(frozen=True)
class PowerSpectrum(ThreeBodyDescriptor):
    """Power spectrum p_nn'l.

    Parameters
    ----------
    r_cut : float
        Cutoff radius, Å.
    n_max, l_max : int
        Number of radial functions, highest degree (l = 0 … l_max).
    elements : tuple of str, optional
        Chemical elements: q = (element, n) takes the place of n, and centres of each element
        have features of their own. None treats all atoms alike.
    radial : {"chebyshev", "bartok"}

    Raises
    ------
    ValueError
        For hyper-parameters outside their range.
    """

    r_cut: float
    n_max: int
    l_max: int
    elements: tuple[str, ...] | None = None
    radial: str = "chebyshev"

    type: ClassVar[str] = "power_spectrum"

    def __post_init__(self) -> None:
        """Check the hyper-parameters."""
        check_sizes(self.r_cut, self.n_max, self.l_max)
        object.__setattr__(self, "elements", check_elements(self.elements))
        make_radial(self.radial, self.r_cut, 1)

    @cached_property
    def _radial(self) -> RadialBasis:
        return make_radial(self.radial, self.r_cut, self.n_max)

    @cached_property
    def _products(self) -> NDArray[np.int64]:
        size = self._n_species * self.n_max
        pairs = [(q1, q2) for q1 in range(size) for q2 in range(q1, size)]
        return np.array(pairs, dtype=np.int64)

    @cached_property
    def _angular(self) -> Array:
        return np.eye(self.l_max + 1)

    @cached_property
    def _factors(self) -> tuple[Array, Array]:
        return np.ones(len(self._products)), np.zeros(len(self._products))
