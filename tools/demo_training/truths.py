"""What the sampled frames of a scene show: who is seen, from which pair to which, moving where.

Only what frames show counts. Where two people could differ, the fact is marked vague and no
question is asked about it. Knows no words but the names of shapes, colours and directions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import colours, outlines
from .scenes import MOST_KNOWN, SMALLEST_READABLE, Scene, Thing, coverage


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A thing that at least one frame shows."""

    shape: str
    colour: str
    first_frame: int
    first_pair: int
    gone_pair: int | None  # None: stays until the end
    vague_start: bool
    vague_end: bool
    direction: str | None  # None: does not move
    vague_direction: bool
    tiny: bool
    brief: bool
    frames: np.ndarray  # (T,) bool, surely visible

    @property
    def from_start(self) -> bool:
        return self.first_frame == 0

    @property
    def known_shape(self) -> bool:
        return self.shape in outlines.KNOWN

    @property
    def known_colour(self) -> bool:
        return self.colour in colours.KNOWN

    @property
    def order(self) -> tuple:
        """Sorts by appearance; things of one frame by colour, then shape."""
        names = (*colours.KNOWN, *colours.UNKNOWN), (*outlines.KNOWN, *outlines.UNKNOWN)
        return (self.first_frame, names[0].index(self.colour), names[1].index(self.shape))


@dataclass(frozen=True, slots=True, kw_only=True)
class FlashSeen:
    pair: int
    colour: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """Everything questions can be about. `stamps` are the printed pair times, without unit."""

    stamps: tuple[str, ...]
    sightings: tuple[Sighting, ...]  # in order of appearance
    flashes: tuple[FlashSeen, ...]
    flashes_vague: bool
    crowd: bool  # more things than can be counted
    ground: str | None
    real: bool

    @property
    def settled(self) -> bool:
        """All things are of known shape and colour, and readable."""
        return all(s.known_shape and s.known_colour and not s.tiny for s in self.sightings)


def stamps_of(times: np.ndarray) -> tuple[str, ...]:
    """The times Qwen3-VL's processor prints for frame pairs: the mean of two, one decimal."""
    return tuple(f"{(a + b) / 2:.1f}" for a, b in zip(times[::2], times[1::2], strict=True))


def truth_of(scene: Scene) -> Truth:
    if scene.real:
        return Truth(
            stamps=stamps_of(scene.times),
            sightings=(),
            flashes=(),
            flashes_vague=False,
            crowd=False,
            ground=None,
            real=True,
        )
    seen = [s for s in (_sight(t, scene) for t in scene.things) if s is not None]
    flashes = [
        FlashSeen(pair=int(np.argmax(f.opacity > 0)) // 2, colour=f.colour) for f in scene.flashes
    ]
    brief = [FlashSeen(pair=s.first_pair, colour=s.colour) for s in seen if s.brief]
    return Truth(
        stamps=stamps_of(scene.times),
        sightings=tuple(sorted(seen, key=lambda s: s.order)),
        flashes=tuple(flashes),
        flashes_vague=bool(brief),
        crowd=len(seen) > MOST_KNOWN,
        ground=scene.ground.name,
        real=False,
    )


def _sight(thing: Thing, scene: Scene) -> Sighting | None:
    shown = coverage(thing, scene.width, scene.height)
    surely, maybe = shown > 0.33, shown > 0.05
    if not surely.any():
        return None
    first, last = _span(surely)
    early, late = _span(maybe)
    frames = len(shown)
    gone = None if last == frames - 1 else (last + 1) // 2
    gone_late = None if late == frames - 1 else (late + 1) // 2
    moved = float(np.hypot(*(thing.centre[last] - thing.centre[first])))
    enough = max(7.0, 0.06 * min(scene.width, scene.height))
    return Sighting(
        shape=thing.shape,
        colour=thing.colour,
        first_frame=first,
        first_pair=first // 2,
        gone_pair=gone,
        vague_start=first // 2 != early // 2 or first == 1 or early == 1,
        vague_end=gone != gone_late,
        direction=thing.direction,
        vague_direction=(thing.direction is not None and moved < enough) or last - first < 1,
        tiny=2 * thing.half < SMALLEST_READABLE * 0.8,
        brief=thing.brief,
        frames=surely,
    )


def _span(flags: np.ndarray) -> tuple[int, int]:
    places = np.nonzero(flags)[0]
    return int(places[0]), int(places[-1])
