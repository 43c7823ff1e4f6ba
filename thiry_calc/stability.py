"""Which of several configurations is stable at which temperature.

A_f(T) = E_f − k_B T S_f is a straight line in T, so that the lowest of several is their lower
envelope and the stable configuration changes exactly at

    T* = (E_2 − E_1) / [k_B (S_2 − S_1)],

towards the one of the larger entropy as T rises.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ase import units


@dataclass(frozen=True)
class Range:
    """A range of temperatures over which one configuration is the stable one.

    Attributes
    ----------
    name : str
    start, end : float
        K; neighbouring ranges meet at a crossing temperature.
    """

    name: str
    start: float
    end: float


def stable_ranges(
    lines: Sequence[tuple[str, float, float]], t_min: float, t_max: float
) -> tuple[Range, ...]:
    """Lower envelope of A_f(T) between two temperatures.

    Parameters
    ----------
    lines : sequence of (str, float, float)
        Name, E_f (eV) and S_f (k_B) of each configuration.
    t_min, t_max : float
        K.

    Returns
    -------
    tuple of Range
        From t_min upwards; empty without lines.
    """
    if not lines:
        return ()
    # At a tie the larger entropy wins: it is the stable one just above.
    current = min(lines, key=lambda c: (c[1] - units.kB * t_min * c[2], -c[2]))
    ranges, start = [], t_min
    while True:
        above = [c for c in lines if c[2] > current[2]]
        following = min(above, key=lambda c: (_crossing(current, c), -c[2]), default=current)
        end = t_max if following is current else min(_crossing(current, following), t_max)
        ranges.append(Range(current[0], start, end))
        if end >= t_max:
            return tuple(ranges)
        start, current = end, following


def _crossing(low: tuple[str, float, float], high: tuple[str, float, float]) -> float:
    """Temperature (K) above which `high`, of the larger entropy, is the stable one."""
    return (high[1] - low[1]) / (units.kB * (high[2] - low[2]))
