"""What a clip is made of: things on a ground, and flashes, at sampled times.

All lengths are pixels of the frames the model gets, all times seconds. Knows no words, draws no
pixels; `inventing.py` makes scenes, `truths.py` says what their frames show.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import colours

MOST_KNOWN = 5
MOST_DRAWN = 12
SMALLEST_READABLE = 8.5  # height in pixels from which a form can be told apart
DIRECTIONS = (
    "right",
    "down and to the right",
    "down",
    "down and to the left",
    "left",
    "up and to the left",
    "up",
    "up and to the right",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """One drawn object and where it is in each of T frames."""

    shape: str
    colour: str
    rgb: colours.Rgb
    variant: int  # row of the outline atlas
    half: float  # half of the larger extent
    stretch: tuple[float, float]  # of x and y, from rounding the frame size
    border: tuple[float, colours.Rgb] | None  # width in units of `half`, colour
    hollow: float  # width of the line when only the outline is drawn, else 0
    texture: tuple[int, float]  # picture of the atlas, how much of it shows
    direction: str | None  # None: does not move
    centre: np.ndarray  # (T, 2)
    opacity: np.ndarray  # (T,)
    turn: np.ndarray  # (T,) radians
    brief: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Flash:
    """The whole picture in one colour for a moment."""

    colour: str
    rgb: colours.Rgb
    opacity: np.ndarray  # (T,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What is behind the things: two colours blended along a line, and a picture over them."""

    name: str | None
    rgb: colours.Rgb
    rgb_far: colours.Rgb
    slope: tuple[float, float]
    picture: np.ndarray  # (T,) row of the picture atlas
    amount: float  # 0 plain, 1 nothing but the picture
    grey: bool
    view: np.ndarray  # (T, 4): zoom, turn, shift x, shift y of the picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One clip as the model's frames show it."""

    times: np.ndarray  # (T,) seconds
    height: int
    width: int
    things: tuple[Thing, ...]
    flashes: tuple[Flash, ...]
    ground: Ground
    real: bool  # looks like footage of the real world


def edges(opacity: np.ndarray) -> list[int]:
    """Frames at which a thing comes or has gone."""
    there = opacity > 0
    return [int(f) + 1 for f in np.nonzero(there[1:] != there[:-1])[0]]


def coverage(thing: Thing, width: int, height: int) -> np.ndarray:
    """How much of the thing each frame shows, 0..1: its part inside the frame times opacity."""
    inside = thing.opacity.copy()
    for axis, limit in ((0, width), (1, height)):
        half = thing.half * thing.stretch[axis]
        place = thing.centre[:, axis]
        part = np.minimum(place + half, limit) - np.maximum(place - half, 0.0)
        inside = inside * np.clip(part / (2 * half), 0.0, 1.0)
    return inside


@dataclass(frozen=True, slots=True)
class Stock:
    """What the atlases hold: rows of outlines by shape; pictures, textures before all others."""

    rows: dict[str, list[int]]
    textures: int
    pictures: int


def stock_of(variants: list[str], textures: int, pictures: int) -> Stock:
    """`variants` names the rows of the outline atlas."""
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(variants):
        rows.setdefault(name, []).append(row)
    return Stock(rows, textures, pictures)
