"""Who plays in a clip: shapes and colours of its things, now and then unknown ones."""

from __future__ import annotations

from random import Random

from . import colours, outlines
from .scenes import MOST_DRAWN, MOST_KNOWN


def draw_cast(rng: Random) -> list[tuple[str, str]]:
    """(shape, colour) of each thing, now and then one that the model shall not know."""
    if rng.random() < 0.08:  # one more than can be counted is the hard case
        crowds = range(MOST_KNOWN + 1, MOST_DRAWN + 1)
        count = rng.choices(crowds, weights=[5, 4, 3, 2, 1, 1, 1])[0]
    else:
        count = rng.choices(range(6), weights=[4, 21, 21, 20, 17, 17])[0]
    few_shapes, few_colours = _few(outlines.KNOWN, rng), _few(colours.KNOWN, rng)
    cast: list[tuple[str, str]] = []
    for _ in range(count):
        pair = (rng.choice(few_shapes), rng.choice(few_colours))
        for _ in range(3):
            if pair in cast and rng.random() < 0.85:
                pair = (rng.choice(few_shapes), rng.choice(few_colours))
        cast.append(pair)
    odd = rng.random()
    if cast and odd < 0.20:
        place = rng.randrange(len(cast))
        shape, colour = cast[place]
        if odd < 0.09:
            cast[place] = (shape, rng.choice(colours.UNKNOWN))
        elif odd < 0.18:
            cast[place] = (rng.choice(outlines.UNKNOWN), colour)
        else:
            cast[place] = (rng.choice(outlines.UNKNOWN), rng.choice(colours.UNKNOWN))
    return cast


def _few(names: tuple[str, ...], rng: Random) -> list[str]:
    """All of them, or for a clip whose things are hard to keep apart only one or two."""
    many = rng.choices((len(names), 2, 1), weights=[72, 16, 12])[0]
    return rng.sample(names, many)


def lesson_cast(lesson: int, rng: Random) -> list[tuple[str, str]]:
    """Many things for a lesson in seeing, of which two may be alike."""
    if lesson < 2:
        bright = ("white",) if lesson == 0 else ("white", "yellow", "orange", "green")
        return [(rng.choice(outlines.KNOWN), rng.choice(bright)) for _ in range(rng.randint(3, 5))]
    return [
        (
            rng.choice(outlines.KNOWN if rng.random() < 0.85 else outlines.UNKNOWN),
            rng.choice(colours.KNOWN if rng.random() < 0.85 else colours.UNKNOWN),
        )
        for _ in range(rng.randint(3, 9))
    ]
