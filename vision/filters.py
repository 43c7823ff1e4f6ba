"""Morlet wavelets and the Gaussian low-pass filter of a two-dimensional scattering transform.

With an elliptic Gaussian envelope g of width σ_j = 0.8·2^j, slant s = 4/L, and the frequency
ξ_j = (3π/4) 2^(-j) at the angle θ,

    ψ_{j,θ}(u) = g(u) (exp(i ξ·u) − β),   β such that Σ ψ = 0,      φ_J(u) = g of 0.8·2^(J−1), s = 1

each summed over 5 x 5 periodic images (Bruna and Mallat, IEEE TPAMI 35, 1872 (2013)). The
filters equal those of kymatio 0.3 (Andreux et al., JMLR 21 (2020)) to its single precision, its
normalisation by 2·3.1415 included, so that coefficients may be exchanged between the two.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_TWO_PI = 2 * 3.1415  # kymatio's: 3e-5 from 2π, in every coefficient
_IMAGES = range(-2, 3)


def morlet(shape: tuple[int, int], j: int, theta: float, slant: float) -> Array:
    """Fourier transform of ψ_{j,θ}, which is real.

    Parameters
    ----------
    shape : (M, N)
        Of the padded image.
    j : int
        Scale, 0 the finest.
    theta : float
        Angle, radians.
    slant : float
        Ratio of the envelope's axes.

    Returns
    -------
    (M, N) array
    """
    sigma, xi = 0.8 * 2**j, 0.75 * np.pi / 2**j
    wave = _gabor(shape, sigma, theta, xi, slant)
    envelope = _gabor(shape, sigma, theta, 0.0, slant)
    return np.fft.fft2(wave - wave.sum() / envelope.sum() * envelope).real


def _gabor(
    shape: tuple[int, int], sigma: float, theta: float, xi: float, slant: float
) -> NDArray[np.complex128]:
    c, s = np.cos(theta), np.sin(theta)
    rotation = np.array([[c, -s], [s, c]])
    curvature = rotation @ np.diag([1.0, slant**2]) @ rotation.T / (2 * sigma**2)
    total = np.zeros(shape, complex)
    for across in _IMAGES:
        for along in _IMAGES:
            x = np.arange(shape[0])[:, None] + across * shape[0]
            y = np.arange(shape[1])[None, :] + along * shape[1]
            form = curvature[0, 0] * x * x + 2 * curvature[0, 1] * x * y + curvature[1, 1] * y * y
            total += np.exp(-form + 1j * xi * (c * x + s * y))
    return total * (slant / (_TWO_PI * sigma**2) + 0j)


def gaussian(size: int, J: int) -> Array:
    """Fourier transform of one factor of ``φ_J(u) = g(u_1) g(u_2)``, which is real.

    Parameters
    ----------
    size : int
        M, of the padded image.
    J : int

    Returns
    -------
    (M,) array
    """
    sigma = 0.8 * 2 ** (J - 1)
    u = np.arange(size)[None, :] + size * np.array(_IMAGES)[:, None]
    line = np.exp(-(u**2) / (2 * sigma**2)).sum(0) / np.sqrt(_TWO_PI) / sigma
    return np.fft.fft(line).real


def low_frequencies(spectrum: Array, step: int, axes: tuple[int, ...] = (-2, -1)) -> Array:
    """Keep the frequencies that a grid of `step` times fewer points has.

    Parameters
    ----------
    spectrum : (..., M, N) array
    step : int
        Divides M and N.
    axes : tuple of int

    Returns
    -------
    (..., M/step, N/step) array
    """
    for axis in axes:
        size = spectrum.shape[axis]
        count = size // step
        kept = np.r_[0 : count // 2, size - (count - count // 2) : size]
        spectrum = np.take(spectrum, kept, axis=axis)
    return spectrum
