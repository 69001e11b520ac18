"""How many frames a second, and whether they keep to it; knows only times."""

from __future__ import annotations

import statistics
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MICRO = 1e6
# Below this number times a million is exact enough that its halves are told from the rest.
PLAIN_SECONDS = 1e6
NEAR_HALF = 1e-3


def frame_rate(header: Fraction | None, times: Floats) -> Fraction:
    """The header's average rate, unless the frames themselves say otherwise."""
    first, last = float(times[0]), float(times[-1])
    if last <= first:
        return header or Fraction(25)
    counted = (len(times) - 1) / (last - first)
    if header and abs(float(header) / counted - 1) < 0.02:
        return header
    typical = statistics.median(np.diff(times).tolist())
    if header and abs(float(header) * typical - 1) < 0.02 and len(times) < 8:
        return header  # too few frames to tell a gap from a rate
    if counted < 1:  # a frame each hour is 1/3600 a second, not 0
        return 1 / Fraction(1 / counted).limit_denominator(1001)
    return Fraction(counted).limit_denominator(1001)


def strays(times: Floats, per_second: float) -> bool:
    """Whether a frame is over half a frame away from where a constant rate would have it."""
    steady = np.arange(len(times)) / per_second
    return bool((np.abs(times - steady) > 0.5 / per_second).any())


def to_microseconds(seconds: Floats) -> Floats:
    """``round(each, 6)``, a tenth of the work: that function takes the digits one by one.

    A whole number divided by a million is the float nearest to that decimal fraction. Only near a
    half is it uncertain which whole number that is.
    """
    scaled = seconds * MICRO
    rounded = np.rint(scaled) / MICRO
    uncertain = np.abs(np.abs(scaled - np.floor(scaled)) - 0.5) < NEAR_HALF
    uncertain |= ~(np.abs(seconds) < PLAIN_SECONDS)
    for place in np.flatnonzero(uncertain):
        rounded[place] = round(float(seconds[place]), 6)
    return rounded
