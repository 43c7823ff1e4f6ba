"""The scattering transform in two dimensions, batched over images, channels and angles.

With wavelets ψ_{j,θ} and a low-pass filter φ_J (`filters`), every output on a grid of 2^J pixels,

    S0 = x ⋆ φ_J
    S1(j, θ) = |x ⋆ ψ_{j,θ}| ⋆ φ_J
    S2(j1, θ1, j2, θ2) = ||x ⋆ ψ_{j1,θ1}| ⋆ ψ_{j2,θ2}| ⋆ φ_J,   j1 < j2

(Mallat, Commun. Pure Appl. Math. 65, 1331 (2012); Bruna and Mallat, IEEE TPAMI 35, 1872 (2013)).
φ_J is a product of two functions of one coordinate: low-pass filtering, subsampling and cropping
are two matrix products, without a Fourier transform. Coefficients, their order and their padding
are those of kymatio 0.3, to 1e-6 (see tests/vision/test_scattering.py).
"""

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vision.filters import gaussian, low_frequencies, morlet

__all__ = ["Scattering2D"]

_HELD = 2**22  # complex numbers of the second order at a time: the fastest of 2^18 to 2^23


class Scattering2D(nn.Module):
    """Scattering coefficients of images; differentiable, of the dtype and device of its input.

    Parameters
    ----------
    J : int
        Scale: averages over 2^J pixels.
    shape : (H, W)
        Size of the images, each at least 2^J.
    L : int
        Number of angles.
    max_order : int
        1 or 2.
    oversampling : int
        Grids are 2^oversampling times finer than by default: the output has a step of
        2^(J − oversampling) pixels.

    Raises
    ------
    ValueError
        A parameter out of range.
    """

    def __init__(
        self,
        J: int,
        shape: tuple[int, int],
        L: int = 8,
        max_order: int = 2,
        oversampling: int = 0,
    ) -> None:
        super().__init__()
        if J < 1 or L < 1 or max_order not in (1, 2) or not 0 <= oversampling <= J:
            raise ValueError(
                f"J={J}, L={L}, max_order={max_order}, oversampling={oversampling} given; expected "
                "J >= 1, L >= 1, max_order 1 or 2, oversampling 0..J"
            )
        if min(shape) < 2**J:
            raise ValueError(f"images of {shape} are smaller than 2^J = {2**J}; lower J")
        self.J, self.L, self.max_order, self.oversampling = J, L, max_order, oversampling
        self.shape = (int(shape[0]), int(shape[1]))
        padded = tuple(((n + 2**J) // 2**J + 1) * 2**J for n in self.shape)
        for axis, (n, m) in enumerate(zip(self.shape, padded, strict=True)):
            index = np.pad(np.arange(n), ((m - n) // 2, (m - n + 1) // 2), mode="reflect")
            self.register_buffer(f"reflect_{axis}", torch.from_numpy(index), persistent=False)
        for name, values in _constants(padded, J, L, max_order, oversampling).items():
            self.register_buffer(name, torch.from_numpy(values), persistent=False)

    @property
    def n_paths(self) -> int:
        """Channels of the output for each channel of the input."""
        J, L = self.J, self.L
        return 1 + J * L + (L * L * J * (J - 1) // 2 if self.max_order == 2 else 0)

    def grid(self) -> tuple[int, int]:
        """Height and width of the output."""
        return len(self._low("rows", 0)), len(self._low("columns", 0))

    def origin(self) -> tuple[int, int]:
        """Row and column of the pixel on which the first coefficient is centred."""
        rows, columns = (
            int((self.get_buffer(f"reflect_{axis}").numel() - n) // 2)
            for axis, n in enumerate(self.shape)
        )
        return 2**self.J - rows, 2**self.J - columns

    def _low(self, side: str, res: int) -> Tensor:
        return self.get_buffer(f"{side}_{res}")

    def forward(self, x: Tensor) -> Tensor:
        """Transform.

        Parameters
        ----------
        x : (..., H, W) float32 or float64 tensor

        Returns
        -------
        (..., n_paths, h, w) tensor
            In the order S0; S1 by j, θ; S2 by j1, θ1, j2, θ2.

        Raises
        ------
        ValueError
            Images of another size or type.
        """
        if x.shape[-2:] != self.shape or x.dtype not in (torch.float32, torch.float64):
            raise ValueError(
                f"images of shape {tuple(x.shape)} and type {x.dtype} given; expected "
                f"(..., {self.shape[0]}, {self.shape[1]}), float32 or float64"
            )
        flat = x.reshape(-1, *self.shape)
        count = max(1, _HELD // (self.L**2 * self.reflect_0.numel() * self.reflect_1.numel()))
        result = torch.cat([self._transform(block) for block in flat.split(count)])
        return result.reshape(*x.shape[:-2], *result.shape[1:])

    def _transform(self, flat: Tensor) -> Tensor:
        """Coefficients (B, n_paths, h, w) of images (B, H, W)."""
        padded = flat[:, self.get_buffer("reflect_0")][:, :, self.get_buffer("reflect_1")]
        outputs = [self._average(padded, 0)[:, None]]
        spectrum = torch.fft.fft2(padded)[:, None]
        first = [self._modulus(spectrum, 0, j) for j in range(self.J)]
        outputs += [self._average(u, self._res(j)) for j, u in enumerate(first)]
        if self.max_order == 2:
            outputs += [self._second(u, j) for j, u in enumerate(first[:-1])]
        return torch.cat(outputs, 1)

    def _res(self, j: int) -> int:
        """log2 of the step of the grid on which scale j is kept."""
        return max(j - self.oversampling, 0)

    def _second(self, u: Tensor, j1: int) -> Tensor:
        """S2 of all paths from j1: (B, L, m, n) to (B, paths, h, w)."""
        spectrum = torch.fft.fft2(u)[:, :, None]
        res = self._res(j1)
        later = [
            self._average(self._modulus(spectrum, res, j2), self._res(j2))
            for j2 in range(j1 + 1, self.J)
        ]
        return torch.cat(later, 2).flatten(1, 2)

    def _modulus(self, spectrum: Tensor, res: int, j: int) -> Tensor:
        """|u ⋆ ψ_{j,θ}| for all θ, from the grid of 2^res to that of scale j."""
        psi = self.get_buffer(f"psi_{j}_{res}").to(spectrum.real.dtype)
        step = 2 ** (self._res(j) - res)
        filtered = torch.fft.ifft2(_folded_product(spectrum, psi, step))
        real, imaginary = filtered.real, filtered.imag
        # thrice as fast as abs(); the tiny number keeps derivatives finite at zero
        tiny = torch.full((), 1e-30, dtype=real.dtype, device=real.device)
        return torch.addcmul(torch.addcmul(tiny, real, real), imaginary, imaginary).sqrt_()

    def _average(self, u: Tensor, res: int) -> Tensor:
        """U ⋆ φ_J on the output's grid."""
        rows, columns = self._low("rows", res).to(u.dtype), self._low("columns", res).to(u.dtype)
        return rows @ (u @ columns.T)


def _folded_product(spectrum: Tensor, psi: Tensor, step: int) -> Tensor:
    """Multiply in frequency and subsample in space, which is folding in frequency.

    Filters are real, so that pairs of real numbers are scaled by them.
    """
    m, n = psi.shape[-2] // step, 2 * psi.shape[-1] // step
    pairs = torch.view_as_real(spectrum).flatten(-2)
    weights = (psi / step**2).repeat_interleave(2, -1)
    # contiguous parts give long inner loops
    parts = [
        (pairs[part].contiguous(), weights[part].contiguous())
        for a in range(step)
        for b in range(step)
        for part in [(..., slice(a * m, (a + 1) * m), slice(b * n, (b + 1) * n))]
    ]
    total = parts[0][0] * parts[0][1]
    for values, weight in parts[1:]:
        total = torch.addcmul(total, values, weight)
    return torch.view_as_complex(total.unflatten(-1, (n // 2, 2)))


@lru_cache(maxsize=8)
def _constants(
    padded: tuple[int, ...], J: int, L: int, max_order: int, oversampling: int
) -> dict[str, NDArray[np.float64]]:
    """Compute filters ψ at the resolutions at which they are used, and low-pass operators."""
    constants: dict[str, NDArray[np.float64]] = {}
    steps = [max(j - oversampling, 0) for j in range(J)]
    angles = (int(L - L / 2 - 1) - np.arange(L)) * np.pi / L
    for j in range(J):
        psi = np.stack([morlet((padded[0], padded[1]), j, t, 4 / L) for t in angles])
        earlier = {steps[j1] for j1 in range(j)} if max_order == 2 else set()
        for res in {0} | earlier:
            constants[f"psi_{j}_{res}"] = low_frequencies(psi, 2**res)
    for side, size in zip(("rows", "columns"), padded, strict=True):
        for res in {0, *steps}:
            constants[f"{side}_{res}"] = _low_pass(size, J, res, oversampling)
    return constants


def _low_pass(size: int, J: int, res: int, oversampling: int) -> NDArray[np.float64]:
    """Matrix of filtering by φ, subsampling, and cropping the padding along one axis."""
    spectrum = low_frequencies(gaussian(size, J), 2**res, axes=(-1,))
    operator = np.fft.ifft(spectrum[:, None] * np.fft.fft(np.eye(len(spectrum)), axis=0), axis=0)
    margin = 2**oversampling
    return np.ascontiguousarray(operator.real[:: 2 ** (J - oversampling - res)][margin:-margin])
