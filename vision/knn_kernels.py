"""Compiled kernels of the patch k-nearest-neighbour code on a CPU.

For the scores u (N,) of one patch against a dictionary, larger being nearer, the code is
``u_j >= τ``, τ the k-th largest score. It is found by counting, not by sorting: each count is one
vectorised pass over scores that lie in the first-level cache, and regula falsi on the counts,
started where the patch before had it, needs some five passes: several times faster than
`numpy.partition` of the same rows (`training/benchmarks/patch_codes.py`). Counts are summed in
single precision (exact below 2²⁴), which vectorises where integers do not. The sigmoid is
``(1 + tanh(x/2))/2`` with the rational approximation of tanh that Eigen and others use.
"""

import math

import numpy as np
from numba import njit, prange

_FAR = np.float32(1e30)


@njit(fastmath=True, cache=True, inline="always")
def _count(u, t):
    """Scores of at least t."""
    total = np.float32(0)
    for j in range(u.size):
        total += np.float32(1) if u[j] >= t else np.float32(0)
    return int(total)


@njit(fastmath=True, cache=True, error_model="numpy")
def _scores(row, bias, sign, u):
    """Write the scores against {d} (sign 0) or {-d} (sign 1); their mean and deviation."""
    first, second = np.float32(0), np.float32(0)
    turn = np.float32(1 - 2 * sign)
    for j in range(u.size):
        value = turn * row[j] - bias[j]
        u[j] = value
        first += value
        second += value * value
    mean = first / np.float32(u.size)
    variance = second / np.float32(u.size) - mean * mean
    return mean, np.float32(math.sqrt(max(variance, np.float32(1e-20))))


@njit(fastmath=True, cache=True)
def threshold(u, k, start, spread):
    """Find t such that exactly the k largest scores, and those equal to them, are >= t.

    Parameters
    ----------
    u : (N,) float32 array
        Finite.
    k : int
        1..N-1.
    start, spread : float32
        First guess, and deviation of the scores: they change the time, not the scores found.
    """
    n = u.size
    low, high, above_low, above_high = -_FAR, _FAR, n, 0
    t = start
    for step in range(60):
        above = _count(u, t)
        if above == k:
            return t
        if above > k:
            low, above_low = t, above
        else:
            high, above_high = t, above
        if low <= -_FAR or high >= _FAR:  # one side only: a Newton step of a normal density
            t = np.float32(t + spread * np.float32(2.7 * (above - k) / n) * (1 + step))
        elif step % 4 == 3:
            t = np.float32(0.5) * (low + high)
        else:
            t = np.float32(low + (high - low) * (above_low - k) / (above_low - above_high))
        if low > -_FAR and high < _FAR and (t <= low or t >= high):
            t = np.float32(0.5) * (low + high)
            if t <= low or t >= high:  # neighbours in floating point: equal scores
                return low
    return np.sort(u)[n - k]


@njit(fastmath=True, cache=True)
def _kth(u, t):
    """Find the smallest score of at least t: minima of lanes first, which vectorises."""
    lanes = np.full(64, _FAR, np.float32)
    whole = u.size // 64 * 64
    for start in range(0, whole, 64):
        part = u[start : start + 64]
        for lane in range(64):
            v = part[lane]
            smaller = (v >= t) & (v < lanes[lane])
            lanes[lane] = v if smaller else lanes[lane]
    kth = _FAR
    for lane in range(64):
        kth = min(kth, lanes[lane])
    for j in range(whole, u.size):
        if u[j] >= t:
            kth = min(kth, u[j])
    return kth


@njit(fastmath=True, cache=True, error_model="numpy")
def _sigmoid(u, center, rate):
    """Replace u by 1/(1 + exp(-rate (u - center))), to 3e-7."""
    half = np.float32(0.5)
    for j in range(u.size):
        x = half * rate * (u[j] - center)
        x = min(np.float32(7.9), max(np.float32(-7.9), x))
        y = x * x
        p = y * (y * np.float32(-2.76076847742355e-16) + np.float32(2.00018790482477e-13))
        p = y * (y * (p + np.float32(-8.60467152213735e-11)) + np.float32(5.12229709037114e-08))
        p = y * (y * (p + np.float32(1.48572235717979e-05)) + np.float32(6.37261928875436e-04))
        p = x * (p + np.float32(4.89352455891786e-03))
        q = y * np.float32(1.19825839466702e-06) + np.float32(1.18534705686654e-04)
        q = y * (y * q + np.float32(2.26843463243900e-03)) + np.float32(4.89352518554385e-03)
        u[j] = half + half * p / q


@njit(fastmath=True, cache=True, error_model="numpy")
def encode(row, bias, sign, k, rate, guess, u):
    """Write the code of one patch and sign into u.

    Parameters
    ----------
    row : (N,) float32 array
        Inner products of the patch and the kernels.
    bias : (N,) float32 array
    sign : int
        0: near d; 1: near -d.
    k : int
        See `threshold`.
    rate : float32
        1/T; 0 for the hard code, -1 for rectified scores.
    guess : (2,) float32 array
        Where thresholds are expected, in deviations from the mean; updated for the next patch.
    u : (N,) float32 array
        Overwritten.
    """
    mean, spread = _scores(row, bias, sign, u)
    if rate < 0:
        for j in range(u.size):
            u[j] = u[j] if u[j] > 0 else np.float32(0)
        return
    t = threshold(u, k, np.float32(mean + guess[sign] * spread), spread)
    guess[sign] = min(max((t - mean) / spread, np.float32(-9)), np.float32(9))
    if rate > 0:
        _sigmoid(u, _kth(u, t), rate)
    else:
        for j in range(u.size):
            u[j] = np.float32(1) if u[j] >= t else np.float32(0)


@njit(parallel=True, fastmath=True, cache=True)
def encode_all(products, bias, k, rate, codes):
    """Codes of n patches; parameters as for `encode`.

    Parameters
    ----------
    products : (n, N) float32 array
    codes : (n, 2, N) float32 array
        Overwritten.
    """
    for i in prange(len(products)):
        guess = np.zeros(2, np.float32)
        for sign in range(2):
            encode(products[i], bias, sign, k, rate, guess, codes[i, sign])


@njit(parallel=True, fastmath=True, cache=True)
def pool_codes(products, bias, k, rate, starts, stops, sums):
    """Sum the codes of the patches of each cell; parameters as for `encode`.

    Parameters
    ----------
    products : (B, h, w, N) float32 array
    starts, stops : (2, g) int64 arrays
        Rows (first) and columns (second) of the cells.
    sums : (B, g, g, 2, N) float32 array
        Zeros, to which is added; second to last axis: sign.
    """
    B, height, width, N = products.shape
    g = starts.shape[1]
    for i in prange(B):
        u, guess = np.empty(N, np.float32), np.zeros(2, np.float32)
        for y in range(height):
            for x in range(width):
                for sign in range(2):
                    encode(products[i, y, x], bias, sign, k, rate, guess, u)
                    for a in range(g):
                        if starts[0, a] <= y < stops[0, a]:
                            for c in range(g):
                                if starts[1, c] <= x < stops[1, c]:
                                    cell = sums[i, a, c, sign]
                                    for j in range(N):
                                        cell[j] += u[j]
