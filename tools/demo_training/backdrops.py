"""Grounds and flashes: all of a clip that fills the whole picture. Knows no things' forms."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

import numpy as np

from . import colours
from .scenes import Flash, Ground, Thing, edges


def draw_ground(times: np.ndarray, textures: int, rng: Random) -> Ground:
    """Plain, graded, lightly textured; `textures` rows of the picture atlas are fine ones."""
    rgb, name = colours.draw_background(rng)
    far, slope, amount = rgb, (0.0, 0.0), 0.0
    kind = rng.random()
    if kind < 0.22:  # graded
        reach = rng.uniform(0.05, 0.30) * rng.choice([-1, 1])
        far = tuple(min(1.0, max(0.0, c + reach + rng.uniform(-0.04, 0.04))) for c in rgb)
        angle = rng.uniform(0, 2 * math.pi)
        slope = (math.cos(angle), math.sin(angle))
        name = None
    if rng.random() < 0.35:
        amount = rng.uniform(0.03, 0.16)
    view = still_view(len(times), rng)
    row = rng.randrange(textures)
    return Ground(
        name=name,
        rgb=rgb,
        rgb_far=far,
        slope=slope,
        amount=amount,
        view=view,
        picture=np.full(len(times), row),
        grey=rng.random() < 0.7,
    )


def still_view(frames: int, rng: Random) -> np.ndarray:
    """(T, 4): the same zoom, turn and shift of a picture in every frame."""
    view = [
        rng.uniform(0.4, 1.4),
        rng.uniform(0, 6.28),
        rng.uniform(0, 256),
        rng.uniform(0, 256),
    ]
    return np.tile(np.array(view), (frames, 1))


def night(ground: Ground, rng: Random) -> Ground:
    """The ground, but plain and nearly black."""
    rgb = (rng.uniform(0.0, 0.06),) * 3
    return replace(ground, name="black", rgb=rgb, rgb_far=rgb, amount=0.0)


def draw_flashes(
    times: np.ndarray, ground: Ground, things: list[Thing], rng: Random
) -> list[Flash]:
    """0 to 5 flashes, apart from one another and from things' comings and goings."""
    count = rng.choices(range(6), weights=[56, 24, 10, 5, 3, 2])[0]
    taken = {f // 2 for thing in things for f in edges(thing.opacity)}
    flashes: list[Flash] = []
    for _ in range(count * 3):
        if len(flashes) == count:
            break
        flash = _flash(times, ground, rng)
        pairs = {int(f) // 2 for f in np.nonzero(flash.opacity)[0]}
        near = {p + d for p in pairs for d in (-1, 0, 1)}
        if pairs and not pairs & taken:
            taken |= near
            flashes.append(flash)
    return sorted(flashes, key=lambda f: int(np.argmax(f.opacity > 0)))


def _flash(times: np.ndarray, ground: Ground, rng: Random) -> Flash:
    """A bright colour that stands out from the ground, for 0.12 to 0.85 seconds."""
    colour = (
        "white"
        if rng.random() < 0.6
        else rng.choice(colours.KNOWN if rng.random() < 0.9 else ("pink", "magenta", "cyan"))
    )
    rgb = (1.0, 1.0, 1.0) if colour == "white" else colours.draw_colour(colour, rng)
    while colours.distance(rgb, ground.rgb) < 0.45 or max(rgb) < 0.75:
        colour = rng.choice(colours.KNOWN)
        rgb = colours.draw_colour(colour, rng)
    length = rng.uniform(0.12, 0.85)
    start = float(rng.choice(times)) - rng.uniform(0.02, 0.98) * length
    inside = (times >= start) & (times <= start + length)
    strength = rng.choice([1.0, 1.0, rng.uniform(0.7, 1.0)])
    opacity = np.where(inside, strength, 0.0)
    if rng.random() < 0.25:  # fades out
        fall = np.clip(1 - (times - start) / (1.5 * length), 0.5, 1.0)
        opacity = opacity * fall
    return Flash(colour=colour, rgb=rgb, opacity=opacity)
