"""Compiled kernels of the scattering transform on a CPU, without derivatives.

Products with filters and moduli lie between Fourier transforms and are limited by memory: here
each reads its input once and writes its result once, which makes the transform as a whole about
1.5 times faster than with torch's operations (`training/benchmarks/scattering.py`).
"""

import math

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

_ROW = 4096  # moduli a thread takes at a time


def sums_of_products(values: Tensor, weights: Tensor) -> Tensor:
    """Σ_q values[n, q] weights[f, q].

    Parameters
    ----------
    values : (n, Q, K) tensor
    weights : (F, Q, K) tensor
        Of the same type.

    Returns
    -------
    (n, F, K) tensor
    """
    out = np.empty((len(values), len(weights), values.shape[2]), values.numpy().dtype)
    _sum_all(values.contiguous().numpy(), weights.contiguous().numpy(), out)
    return torch.from_numpy(out)


def moduli(z: Tensor) -> Tensor:
    """Absolute values of a complex tensor."""
    pairs = torch.view_as_real(z.contiguous()).flatten().numpy()
    out = np.empty(z.numel(), pairs.dtype)
    _modulus_all(pairs, out)
    return torch.from_numpy(out).view(z.shape)


@njit(fastmath={"contract"}, cache=True)
def _multiply(a, b, out):
    for c in range(out.size):
        out[c] = a[c] * b[c]


@njit(fastmath={"contract"}, cache=True)
def _add_product(a, b, out):
    for c in range(out.size):
        out[c] += a[c] * b[c]


@njit(parallel=True, cache=True)
def _sum_all(values, weights, out):
    for i in prange(len(values)):
        for f in range(len(weights)):
            _multiply(values[i, 0], weights[f, 0], out[i, f])
            for q in range(1, values.shape[1]):
                _add_product(values[i, q], weights[f, q], out[i, f])


@njit(fastmath={"contract"}, cache=True)
def _modulus(pairs, out):
    for c in range(out.size):
        real, imaginary = pairs[2 * c], pairs[2 * c + 1]
        out[c] = math.sqrt(real * real + imaginary * imaginary)


@njit(parallel=True, cache=True)
def _modulus_all(pairs, out):
    for i in prange((out.size + _ROW - 1) // _ROW):
        _modulus(pairs[2 * i * _ROW : 2 * (i + 1) * _ROW], out[i * _ROW : (i + 1) * _ROW])
