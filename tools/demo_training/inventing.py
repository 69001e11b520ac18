"""Invents clips: things on a ground that come, move and go, and flashes, at sampled times.

Puts together what `casting`, `motion`, `finish`, `backdrops` and `footage` draw by lot. Knows no
words; `truths.py` says what a scene's frames show.
"""

from __future__ import annotations

import math
from random import Random

import numpy as np

from . import colours
from .backdrops import draw_flashes, draw_ground, night
from .casting import draw_cast, lesson_cast
from .finish import (
    draw_border,
    draw_height,
    draw_hollow,
    draw_patina,
    draw_stretch,
    draw_turns,
    height_range,
)
from .footage import draw_footage
from .motion import brief_life, draw_path, draw_times, life, opacity_of, walk
from .scenes import (
    DIRECTIONS,
    MOST_KNOWN,
    SMALLEST_READABLE,
    Ground,
    Scene,
    Stock,
    Thing,
    edges,
)


class SceneMaker:
    """Invents scenes out of what the atlases hold."""

    def __init__(self, stock: Stock) -> None:
        self._stock = stock

    def draw(
        self, *, frames: int, height: int, width: int, rng: Random, lesson: int | None = None
    ) -> Scene:
        """One scene of `frames` (even) frames.

        A `lesson` is for the tower alone: many things, 0 white on black, 1 bright on black, 2 of
        any kind on any ground.
        """
        times = draw_times(frames, rng)
        if rng.random() < (0.11 if lesson is None else 0.02 * lesson):
            return draw_footage(times, height, width, self._stock, rng)
        ground = draw_ground(times, self._stock.textures, rng)
        if lesson in (0, 1):
            ground = night(ground, rng)
        cast = draw_cast(rng) if lesson is None else lesson_cast(lesson, rng)
        things = self._things(cast, times, (width, height), ground, rng, lesson=lesson)
        flashes = draw_flashes(times, ground, things, rng) if lesson is None else []
        return Scene(
            times=times,
            height=height,
            width=width,
            things=tuple(things),
            flashes=tuple(flashes),
            ground=ground,
            real=False,
        )

    def _things(
        self,
        cast: list[tuple[str, str]],
        times: np.ndarray,
        size: tuple[int, int],
        ground: Ground,
        rng: Random,
        *,
        lesson: int | None,
    ) -> list[Thing]:
        crowd = len(cast) > MOST_KNOWN
        tiny = rng.random() < 0.045 and 0 < len(cast) <= 2
        moving = rng.choice([0.0, 0.5, 0.5, 1.0])
        sizes = height_range(min(size), crowd=crowd, tiny=tiny, lesson=lesson)
        plain = lesson in (0, 1)
        things: list[Thing] = []
        for shape, colour in cast:
            for _ in range(8):
                thing = self._thing(
                    shape,
                    colour,
                    times,
                    size,
                    ground,
                    things,
                    rng,
                    crowd=crowd,
                    sizes=sizes,
                    plain=plain,
                    moving=moving,
                )
                if thing is not None and _fits(thing, things, rng):
                    things.append(thing)
                    break
        return things

    def _thing(
        self,
        shape: str,
        colour: str,
        times: np.ndarray,
        size: tuple[int, int],
        ground: Ground,
        others: list[Thing],
        rng: Random,
        *,
        crowd: bool,
        sizes: tuple[float, float],
        plain: bool,
        moving: float,
    ) -> Thing | None:
        rgb = colours.draw_colour(colour, rng)
        clear = 0.30 + ground.amount * 1.2
        if colour == ground.name:
            return None
        if min(colours.distance(rgb, ground.rgb), colours.distance(rgb, ground.rgb_far)) < clear:
            return None
        height = draw_height(shape, sizes, rng)
        if height > 0.5 * min(size) + 1:
            return None
        twin = any(o.shape == shape and o.colour == colour for o in others)
        brief = not crowd and not twin and len(times) >= 8 and rng.random() < 0.03
        birth, death = (
            (-math.inf, math.inf)
            if twin or (crowd and rng.random() < 0.7)
            else (brief_life(times, rng) if brief else life(times, rng))
        )
        still = brief or sizes[1] < SMALLEST_READABLE or twin or rng.random() >= moving
        half = height / 2
        path = draw_path(half, size, still, rng)
        return Thing(
            shape=shape,
            colour=colour,
            rgb=rgb,
            variant=rng.choice(self._stock.rows[shape]),
            half=half,
            stretch=draw_stretch(rng),
            border=None if plain else draw_border(rgb, half, rng),
            hollow=0.0 if plain else draw_hollow(shape, half, rng),
            texture=(rng.randrange(self._stock.textures), 0.0 if plain else draw_patina(rng)),
            direction=None if path.heading is None else DIRECTIONS[path.heading],
            centre=walk(path, times, birth, death),
            opacity=opacity_of(times, birth, death, rng),
            turn=draw_turns(len(times), rng),
            brief=brief,
        )


def _fits(thing: Thing, others: list[Thing], rng: Random) -> bool:
    """Whether the thing keeps clear of the others; movers may cross one for a moment."""
    for other in others:
        both = (thing.opacity > 0) & (other.opacity > 0)
        gap = np.hypot(*(thing.centre - other.centre).T) - 0.95 * (thing.half + other.half)
        overlap = both & (gap < 0)
        if not overlap.any():
            continue
        moving = thing.direction is not None or other.direction is not None
        brief_crossing = overlap.mean() < 0.2 and not overlap[:3].any() and not overlap[-2:].any()
        starts = [*edges(thing.opacity), *edges(other.opacity)]
        if not (moving and brief_crossing and rng.random() < 0.4):
            return False
        if any(overlap[max(0, s - 2) : s + 2].any() for s in starts):
            return False
    return True
