"""Small pictures of a whole video at even times, and what stands out of them for a moment.

Something stands out that differs from what was there shortly before and from what is there shortly
after, in the same direction. What stays, as after a cut, differs from one side only; what drifts,
as in a pan, lies between the two. How much a place usually differs is measured place by place, so
that grain, shake and the edges of moving things do not count. Knows no files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

WIDTH, HEIGHT = 64, 36
VALUES = WIDTH * HEIGHT * 3 // 2  # light, and two colours of half the width and height
REACH = 1  # slots on both sides that are averaged with each
AWAY = 7  # slots from each to what it is compared with, before and after
_BLOCK = 512  # slots worked on at a time: 7 MB
_LAGS = (3, 5, 7)  # slots from lit to unlit; each also finds one more and one less
_USUAL_SLOTS = 100  # are enough to know a median by
_LEAST = 1.2  # of 255: differences of this size come from rounding and coding alone
_LEAST_STEP = 0.9  # the same, from one slot to the next but one


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Glances:
    """A video in small pictures, one for each slot of time.

    Attributes:
        slot_seconds: how long each slot lasts; the first begins at 0.
        pictures: uint8, slots x VALUES: light, then both colours. Slots that were not looked at
            hold what the last one before them does.
        seen: whether each slot was looked at.
    """

    slot_seconds: float
    pictures: Bytes
    seen: Bools


def standing_out(glances: Glances, *, slots_each: int = 1) -> Floats:
    """How far each slot stands out, in multiples of what is usual there; 1 and less is nothing.

    Args:
        glances: at least one slot.
        slots_each: average so many slots first, to find what lasts longer.

    Returns:
        2 x 4 x slots: what differs from before and after, and what appears and is gone at a blow;
        in fine, coarse and coarsest detail, and in the mean of the picture.
    """
    coarse, seen = _averaged(glances, slots_each)
    parts = [
        [
            [measure(detail, keep, seen[block]) for detail in _details(picture)]
            for measure in (_most, _blink)
        ]
        for block, keep, picture in _blocks(coarse)
    ]
    found = np.concatenate([np.array(part) for part in parts], axis=2)
    found[..., ~seen] = 0
    return np.repeat(found, slots_each, axis=2)[..., : len(glances.seen)]


def motion(glances: Glances) -> Floats:
    """How much the picture differs from the one a little before, each slot: mean of 255."""
    parts = []
    for _, keep, picture in _blocks(glances.pictures):
        smooth = _smooth(picture[:, : WIDTH * HEIGHT])
        parts.append(np.abs(smooth[keep] - _shifted(smooth, keep, -AWAY)).mean(axis=1))
    return np.concatenate(parts)


def steps(glances: Glances) -> Floats:
    """How far the picture is another from each slot on than it was before, mean of 255.

    The least of three comparisons, so that what comes and goes again within a second does not
    count: just before with just after, just before with later, and earlier with just after.
    """
    parts = []
    for _, keep, picture in _blocks(glances.pictures):
        smooth = _smooth(picture)
        before, after = _shifted(smooth, keep, -2), _shifted(smooth, keep, 1)
        earlier, later = _shifted(smooth, keep, -2 * AWAY), _shifted(smooth, keep, 2 * AWAY)
        pairs = ((before, after), (before, later), (earlier, after))
        parts.append(np.min([np.abs(a - b).mean(axis=1) for a, b in pairs], axis=0))
    return np.concatenate(parts)


def _averaged(glances: Glances, slots_each: int) -> tuple[Bytes, Bools]:
    """So many slots in one: the mean of those that were seen, or else what was seen before."""
    if slots_each == 1:
        return glances.pictures, glances.seen
    heads = np.arange(0, len(glances.seen), slots_each)
    found = np.zeros((len(heads), VALUES), dtype=np.uint8)
    for place, head in enumerate(heads):
        part = slice(head, head + slots_each)
        seen = glances.seen[part]
        if seen.any():
            found[place] = np.rint(glances.pictures[part][seen].mean(axis=0))
        else:
            found[place] = found[place - 1] if place else glances.pictures[0]
    return found, np.logical_or.reduceat(glances.seen, heads)


def _blocks(pictures: Bytes) -> Iterator[tuple[slice, slice, Floats]]:
    """Blocks of slots, with as many beside them as they are compared with.

    Yields: the slots of the block, where they are in what follows, and the pictures.
    """
    margin = 2 * AWAY + 2 * REACH + 2
    for first in range(0, len(pictures), _BLOCK):
        last = min(first + _BLOCK, len(pictures))
        low, high = max(0, first - margin), min(last + margin, len(pictures))
        keep = slice(first - low, last - low)
        yield slice(first, last), keep, pictures[low:high].astype(np.float32)


def _details(picture: Floats) -> Iterator[Floats]:
    """Fine, coarse and coarsest detail without the picture's mean, and that mean alone."""
    slots, area = len(picture), WIDTH * HEIGHT
    light = picture[:, :area].reshape(slots, 1, HEIGHT, WIDTH)
    colours = picture[:, area:].reshape(slots, 2, HEIGHT // 2, WIDTH // 2)
    coarse = np.concatenate([_halved(light), colours], axis=1)
    means = coarse.mean(axis=(2, 3), keepdims=True)
    yield (light - means[:, :1]).reshape(slots, -1)
    yield (coarse - means).reshape(slots, -1)
    yield (_halved(coarse) - means).reshape(slots, -1)
    yield means.reshape(slots, -1)


def _halved(planes: Floats) -> Floats:
    rows = planes[..., ::2, :] + planes[..., 1::2, :]
    return np.asarray((rows[..., ::2] + rows[..., 1::2]) / np.float32(4))


def _most(values: Floats, keep: slice, seen: Bools) -> Floats:
    """For each slot of ``keep``, that of its places which stands out most from before and after."""
    smooth = _smooth(values)
    now = smooth[keep]
    before = now - _shifted(smooth, keep, -AWAY)
    after = now - _shifted(smooth, keep, AWAY)
    scale = 1 / (_usual(before, after, seen) + np.float32(_LEAST))
    # the lesser of the two where both have the same sign, 0 where they have not
    above, below = np.minimum(before, after), np.maximum(before, after, out=before)
    np.maximum(above, np.negative(below, out=below), out=above)
    return np.asarray(np.maximum(np.multiply(above, scale, out=above).max(axis=1), 0.0))


def _blink(values: Floats, keep: slice, seen: Bools) -> Floats:
    """For each slot of ``keep``, that of its places which was most suddenly lit and unlit about it.

    Where the whole picture moves, a place differs from what it was a while ago anyway, but little
    from what it was just before.
    """
    lit = values[2:] - values[:-2]  # [0] is about slot 1
    some = _some(seen) + keep.start - 1
    some = some[(some >= 0) & (some < len(lit))]
    if len(some):
        lit /= np.median(np.abs(lit[some]), axis=0) * np.float32(1.48) + np.float32(_LEAST_STEP)
    unlit, found = -lit, np.zeros(len(values), dtype=np.float32)
    for lag in _LAGS:
        if len(lit) > lag:
            on = np.minimum(lit[:-lag], unlit[lag:]).max(axis=1)
            off = np.minimum(unlit[:-lag], lit[lag:]).max(axis=1)
            for slot in range(2, lag + 1):  # those in between
                here = found[slot : slot + len(on)]
                np.maximum(here, np.maximum(on, off), out=here)
    return found[keep]


def _some(seen: Bools) -> NDArray[np.intp]:
    places = np.flatnonzero(seen)
    return places[:: max(1, len(places) // _USUAL_SLOTS)]


def _usual(before: Floats, after: Floats, seen: Bools) -> Floats:
    """For each place 1.48 times the median distance from half-way between before and after."""
    some = _some(seen)
    if not len(some):
        return np.zeros(before.shape[1], dtype=np.float32)
    twice = np.abs(before[some] + after[some])
    return np.asarray(np.median(twice, axis=0) * np.float32(1.48 / 2))


def _smooth(values: Floats) -> Floats:
    """Each slot averaged with its neighbours; the ends go on for ever."""
    found = values.copy()
    found[1:] += values[:-1]
    found[0] += values[0]
    found[:-1] += values[1:]
    found[-1] += values[-1]
    found /= np.float32(2 * REACH + 1)
    return found


def _shifted(values: Floats, keep: slice, slots: int) -> Floats:
    """What is so many slots after those of ``keep`` (before if negative)."""
    first, last = keep.start + slots, keep.stop + slots
    if first >= 0 and last <= len(values):
        return np.asarray(values[first:last])
    return np.asarray(values[np.clip(np.arange(first, last), 0, len(values) - 1)])
