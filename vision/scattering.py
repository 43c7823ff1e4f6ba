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

import math
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vision.filters import gaussian, low_frequencies, morlet
from vision.scattering_kernels import moduli, sums_of_products

__all__ = ["Scattering2D"]

Tables = Mapping[str, Tensor]  # filters and low-pass operators by name
_HELD = 2**22  # complex numbers of the second order at a time: the fastest of 2^18 to 2^23


class Scattering2D(nn.Module):
    """Scattering coefficients of images; differentiable, of the dtype and device of its input.

    Where no derivative is needed, `evaluate` is some 1.5 times faster on a CPU.

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
        return len(self.get_buffer("rows_0")), len(self.get_buffer("columns_0"))

    def origin(self) -> tuple[int, int]:
        """Row and column of the pixel on which the first coefficient is centred."""
        rows, columns = (
            int((self.get_buffer(f"reflect_{axis}").numel() - n) // 2)
            for axis, n in enumerate(self.shape)
        )
        return 2**self.J - rows, 2**self.J - columns

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
        return self._coefficients(x, compiled=False)

    @torch.no_grad()
    def evaluate(self, x: Tensor) -> Tensor:
        """Transform as `forward` does, without derivatives: faster on a CPU."""
        return self._coefficients(x, compiled=x.device.type == "cpu")

    def _coefficients(self, x: Tensor, compiled: bool) -> Tensor:
        if x.shape[-2:] != self.shape or x.dtype not in (torch.float32, torch.float64):
            raise ValueError(
                f"images of shape {tuple(x.shape)} and type {x.dtype} given; expected "
                f"(..., {self.shape[0]}, {self.shape[1]}), float32 or float64"
            )
        flat = x.reshape(-1, *self.shape)
        count = max(1, _HELD // (self.L**2 * self.reflect_0.numel() * self.reflect_1.numel()))
        tables = {k: v.to(x.dtype) for k, v in self.named_buffers() if v.is_floating_point()}
        blocks = [self._transform(block, tables, compiled) for block in flat.split(count)]
        result = torch.cat(blocks)
        return result.reshape(*x.shape[:-2], *result.shape[1:])

    def _transform(self, flat: Tensor, tables: Tables, compiled: bool) -> Tensor:
        """Coefficients (B, n_paths, h, w) of images (B, H, W)."""
        padded = flat[:, self.get_buffer("reflect_0")][:, :, self.get_buffer("reflect_1")]
        outputs = [_average(padded, tables, 0)[:, None]]
        spectrum = torch.fft.fft2(padded)
        first = [_filtered(spectrum, tables[f"psi_{j}_0"], compiled) for j in range(self.J)]
        outputs += [_average(u, tables, self._res(j)) for j, u in enumerate(first)]
        if self.max_order == 2:
            outputs += [self._second(u, tables, j, compiled) for j, u in enumerate(first[:-1])]
        return torch.cat(outputs, 1)

    def _res(self, j: int) -> int:
        """log2 of the step of the grid on which scale j is kept."""
        return max(j - self.oversampling, 0)

    def _second(self, u: Tensor, tables: Tables, j1: int, compiled: bool) -> Tensor:
        """S2 of all paths from j1: (B, L, m, n) to (B, paths, h, w)."""
        spectrum = torch.fft.fft2(u)
        later = []
        for j2 in range(j1 + 1, self.J):
            v = _filtered(spectrum, tables[f"psi_{j2}_{self._res(j1)}"], compiled)
            later.append(_average(v, tables, self._res(j2)))
        return torch.cat(later, 2).flatten(1, 2)


def _average(u: Tensor, tables: Tables, res: int) -> Tensor:
    """U ⋆ φ_J on the output's grid, from that of 2^res."""
    return tables[f"rows_{res}"] @ (u @ tables[f"columns_{res}"].T)


def _filtered(spectrum: Tensor, psi: Tensor, compiled: bool) -> Tensor:
    """|u ⋆ ψ_θ| for all θ, on a coarser grid.

    Filters are real in frequency, so that pairs of real numbers are scaled by them; subsampling in
    space is folding in frequency.

    Parameters
    ----------
    spectrum : (..., M, N) complex tensor
        Of u.
    psi : (L, s², 2MN/s²) tensor
        Of filters, by parts (`_parts`) for grids s times coarser, real and imaginary numbers.
    compiled : bool
        Use `scattering_kernels`, which know no derivatives.

    Returns
    -------
    (..., L, M/s, N/s) tensor
    """
    step = math.isqrt(psi.shape[1])
    m, n = (size // step for size in spectrum.shape[-2:])
    values = _parts(torch.view_as_real(spectrum).flatten(-2), step)
    if compiled:
        total = sums_of_products(values.flatten(0, -3), psi)
    else:
        total = values[..., None, 0, :] * psi[:, 0]
        for q in range(1, step**2):
            total.addcmul_(values[..., None, q, :], psi[:, q])
    folded = torch.view_as_complex(total.reshape(*spectrum.shape[:-2], len(psi), m, n, 2))
    filtered = torch.fft.ifft2(folded)
    return moduli(filtered) if compiled else _modulus(filtered)


def _parts(x: Tensor, step: int) -> Tensor:
    """Frequencies one on a coarser grid, by rows: (..., M, N) to (..., step², MN/step²)."""
    blocks = x.unflatten(-1, (step, -1)).unflatten(-3, (step, -1))
    return blocks.transpose(-3, -2).flatten(-2).flatten(-3, -2)


def _modulus(z: Tensor) -> Tensor:
    """Absolute values, with finite derivatives at zero; thrice as fast as abs()."""
    real, imaginary = z.real, z.imag
    tiny = torch.full((), 1e-30, dtype=real.dtype, device=real.device)
    return torch.addcmul(tiny, real, real).addcmul_(imaginary, imaginary).sqrt_()


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
            step = 2 ** (steps[j] - res)
            pairs = np.repeat(low_frequencies(psi, 2**res) / step**2, 2, axis=-1)
            constants[f"psi_{j}_{res}"] = _parts(torch.from_numpy(pairs), step).numpy()
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
