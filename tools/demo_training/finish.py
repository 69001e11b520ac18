"""Sizes and finish of things: height, outline, border, texture, attitude. Lengths in pixels."""

from __future__ import annotations

import math
from random import Random

import numpy as np

from . import colours, outlines
from .scenes import SMALLEST_READABLE


def height_range(
    side: float, *, crowd: bool, tiny: bool, lesson: int | None
) -> tuple[float, float]:
    """Smallest and largest height of a scene's things: mostly 5% to 34% of the shorter side."""
    if lesson in (0, 1):
        return 22.0, 60.0
    if tiny:
        return 3.0, 6.3
    if lesson == 2:
        return SMALLEST_READABLE, 0.5 * side
    largest = (0.16 if crowd else 0.34) * side
    return max(0.05 * side, SMALLEST_READABLE), max(largest, 1.5 * SMALLEST_READABLE)


def draw_height(shape: str, sizes: tuple[float, float], rng: Random) -> float:
    """Small things as often as large ones; unknown shapes are large enough to be told apart."""
    height = math.exp(rng.uniform(math.log(sizes[0]), math.log(sizes[1])))
    if shape in outlines.UNKNOWN and sizes[1] > SMALLEST_READABLE:
        height = max(height, 20.0 * rng.uniform(1.0, 1.5))
    return height


def draw_stretch(rng: Random) -> tuple[float, float]:
    """Frame sizes are rounded to multiples of 32, so pictures arrive up to 15% out of shape."""
    uneven = rng.uniform(-0.12, 0.12) if rng.random() < 0.7 else 0.0
    return (1 + uneven / 2, 1 - uneven / 2)


def draw_border(rgb: colours.Rgb, half: float, rng: Random) -> tuple[float, colours.Rgb] | None:
    """Width, in units of `half`, and colour of a line round a filled thing."""
    if rng.random() > 0.18 or half < 8:
        return None
    edge = rng.choice([(0.0, 0.0, 0.0), (1.0, 1.0, 1.0), tuple(0.6 * c for c in rgb)])
    return rng.uniform(0.03, 0.12), edge


def draw_hollow(shape: str, half: float, rng: Random) -> float:
    """Line width, in units of `half`, of a thing drawn as an outline only."""
    if shape in ("ring", "letter", "crescent", "arrow") or rng.random() > 0.09 or half < 10:
        return 0.0
    return max(rng.uniform(0.07, 0.14), 2.2 / half)


def draw_patina(rng: Random) -> float:
    """How much of a texture shows on a thing: mostly nothing."""
    return rng.uniform(0.02, 0.14) if rng.random() < 0.2 else 0.0


def draw_turns(frames: int, rng: Random) -> np.ndarray:
    """Things keep their attitude, and a few spin slowly."""
    if rng.random() > 0.06:
        return np.zeros(frames)
    return np.linspace(0.0, rng.uniform(-4.0, 4.0), frames)
