"""Scenes that look like the real world: moved pictures, cuts, textured bodies."""

from __future__ import annotations

import math
from random import Random

import numpy as np

from .backdrops import still_view
from .finish import draw_turns
from .motion import draw_path, walk
from .scenes import Ground, Scene, Stock, Thing


def draw_footage(times: np.ndarray, height: int, width: int, stock: Stock, rng: Random) -> Scene:
    """A picture that a camera moves over, with cuts and with things that no rule made."""
    frames = len(times)
    rows = range(stock.textures, stock.pictures)
    picture = np.full(frames, rng.choice(rows))
    view = still_view(frames, rng)
    view[:, 1] = rng.gauss(0, 0.08)
    view[:, 0] = rng.uniform(0.35, 1.2)
    for _ in range(rng.choice([0, 0, 0, 1, 3])):  # cuts
        cut = rng.randrange(frames)
        picture[cut:] = rng.choice(rows)
        view[cut:, 2:] += rng.uniform(0, 200)
    if rng.random() < 0.75:
        ramp = np.linspace(0, 1, frames)
        view[:, 0] *= np.exp(ramp * rng.gauss(0, 0.3))
        view[:, 2] += ramp * rng.gauss(0, 60)
        view[:, 3] += ramp * rng.gauss(0, 30)
    if rng.random() < 0.4:
        view[:, 2:] += np.array([[rng.gauss(0, 2), rng.gauss(0, 2)] for _ in range(frames)])
    ground = Ground(
        name=None,
        rgb=(0.5, 0.5, 0.5),
        rgb_far=(0.5, 0.5, 0.5),
        slope=(0.0, 0.0),
        picture=picture,
        amount=1.0,
        grey=rng.random() < 0.06,
        view=view,
    )
    things = [_prop(times, (width, height), stock, rng) for _ in range(rng.choice([0, 0, 1, 2, 4]))]
    return Scene(
        times=times,
        height=height,
        width=width,
        things=tuple(things),
        flashes=(),
        ground=ground,
        real=True,
    )


def _prop(times: np.ndarray, size: tuple[int, int], stock: Stock, rng: Random) -> Thing:
    """A textured body of any form that moves through footage."""
    shape = rng.choice(("ellipse", "circle", "rectangle", "crescent", "heart", "triangle"))
    half = rng.uniform(0.05, 0.4) * min(size) * 0.9
    path = draw_path(half, size, rng.random() < 0.4, rng)
    return Thing(
        shape=shape,
        colour="grey",
        rgb=tuple(rng.uniform(0.1, 0.9) for _ in range(3)),
        variant=rng.choice(stock.rows[shape]),
        half=half,
        stretch=(rng.uniform(0.5, 1.2), rng.uniform(0.5, 1.2)),
        border=None,
        hollow=0.0,
        texture=(rng.randrange(stock.pictures), rng.uniform(0.5, 1.0)),
        direction=None,
        centre=walk(path, times, -math.inf, math.inf),
        opacity=np.ones(len(times)),
        turn=draw_turns(len(times), rng),
    )
