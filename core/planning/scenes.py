"""Adaptive sampling: more frames where more happens, and none of the scenes forgotten.

The range is cut into pieces: scenes, and within them bursts, in which far more happens than around
them. Frames are dealt out one at a time: first one to each scene (in its strongest burst, if it has
one), then one to each other burst, then always to the piece that has the most weight for each of
its frames. Weight is activity, plus a floor so that nothing is passed over for long. In a piece its
frames stand at equal shares of its weight.

A larger budget only ever adds to what each piece has, so it never loses a scene or a burst. Where
activity is even and there is no cut, there is one piece, and equal shares of it are the even spread
from the first to the last frame that ``uniform`` takes.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import SettingsError
from core.planning.keyframes import Floats, Integers, apart, positions
from core.planning.spreading import spread
from core.video.info import VideoInfo
from core.video.profile import Profile

FLOOR = 0.1  # weight of a moment in which nothing happens; that of an average moment is 1 + FLOOR
BURST = 4.0  # a burst has over so many times the weight of its surroundings, second for second
STRETCHES = 16  # a moment's surroundings are its scene, and its stretch of so many of the range
_HALVINGS = 32
_FRAME_TOLERANCE = 1e-6  # of a frame: a cut at 251/25 s is at frame 251, whatever floats say


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Pieces:
    """The range cut into pieces; a piece begins at a knot and ends where the next one begins.

    Attributes:
        knots: seconds at which slices begin, and the end of the range.
        passed: weight of all that lies before each knot.
        begins: number of the knot at which each piece begins, and of the last knot.
        scene: number of the scene that each piece belongs to, from 0.
        burst: whether each piece is a burst.
        even: True where there is one piece, and all of it has the same activity.
    """

    knots: Floats
    passed: Floats
    begins: Integers
    scene: Integers
    burst: NDArray[np.bool_]
    even: bool


def scenes(profile: Profile, *, start: float, end: float, budget: int) -> tuple[float, ...]:
    """Times from ``start`` to ``end`` (seconds, both included) at which to take frames.

    Returns:
        ``budget`` times, sorted and distinct; one where start is end.

    Raises:
        SettingsError: start is after end, or budget is below 1.
    """
    if not (0 <= start <= end < math.inf and budget >= 1):
        raise SettingsError(
            f"{budget:,} frames cannot be taken from {start:g} s to {end:g} s.",
            remedy="Set start to an earlier time than end, and max_frames to 1 or more.",
        )
    if start == end:
        return (start,)
    pieces = _cut(profile, start, end)
    room = np.full(len(pieces.scene), budget)
    return tuple(np.unique(_times(pieces, _deal(pieces, budget, room))).tolist())


def scenes_indices(
    info: VideoInfo, profile: Profile, *, first: int, last: int, budget: int
) -> tuple[int, ...]:
    """Frames from ``first`` to ``last`` (both included), chosen as ``scenes`` chooses times.

    No piece is given more frames than it has; a scene shorter than a frame has none.

    Returns:
        ``min(budget, last - first + 1)`` indices, ascending; ``spread(first, last, budget)`` where
        activity is even and there is no cut.
    """
    end = math.nextafter(info.time_of(last), math.inf)  # a cut at the last frame is inside
    pieces = _cut(profile, info.time_of(first), end)
    if pieces.even or budget > last - first:
        return spread(first, last, min(budget, last - first + 1))
    edges = positions(pieces.knots[pieces.begins[1:-1]], info)
    lows = np.ceil(edges - _FRAME_TOLERANCE).astype(np.int64).clip(first, last)
    lows = np.concatenate(([first], lows))
    room = np.diff(lows, append=last + 1)
    counts = _deal(pieces, budget, room)
    steps = _number_within(counts)
    lowest = np.repeat(lows, counts) + steps
    highest = lowest + np.repeat(room - counts, counts)
    wanted = positions(_times(pieces, counts), info)
    return tuple(apart(wanted, lowest=lowest, highest=highest).tolist())


def _cut(profile: Profile, start: float, end: float) -> _Pieces:
    """The pieces from start to end: O(n log n) for n slices."""
    seconds = np.asarray(profile.seconds, dtype=np.float64)
    cuts = _between(profile.cuts, start, end)
    knots = np.unique(np.concatenate(([start, end], _between(seconds, start, end), cuts)))
    begins, lasting = knots[:-1], np.diff(knots)
    slices = np.searchsorted(seconds, begins, side="right") - 1
    density = _density(np.asarray(profile.activity, dtype=np.float64)[slices], lasting)
    scene = np.searchsorted(cuts, begins, side="right")
    stretches = np.union1d(cuts, np.linspace(start, end, STRETCHES + 1))
    stretch = np.searchsorted(stretches, begins, side="right")
    usual = np.minimum(_median(density, lasting, scene), _median(density, lasting, stretch))
    burst = density > BURST * usual
    heads = np.flatnonzero(_changes(scene) | _changes(burst))
    return _Pieces(
        knots=knots,
        passed=np.concatenate(([0.0], np.cumsum(density * lasting))),
        begins=np.append(heads, len(begins)),
        scene=scene[heads],
        burst=burst[heads],
        even=len(heads) == 1 and np.allclose(density, density[0]),
    )


def _between(seconds: Sequence[float] | Floats, start: float, end: float) -> Floats:
    inside = np.asarray(seconds, dtype=np.float64)
    return inside[(inside > start) & (inside < end)]


def _density(activity: Floats, lasting: Floats) -> Floats:
    """Weight for each second: activity over its mean, plus the floor."""
    peak = activity.max()
    if peak == 0:
        return np.ones(len(activity))
    scaled = activity / peak  # so that no sum overflows
    density: Floats = scaled / np.average(scaled, weights=lasting) + FLOOR
    return density


def _median(density: Floats, lasting: Floats, group: Integers) -> Floats:
    """For each slice, what half the time of its group is at or below; groups ascend."""
    order = np.lexsort((density, group))
    passed = np.cumsum(lasting[order])
    heads = np.flatnonzero(_changes(group))
    ends = np.append(heads[1:], len(group))
    middle = (passed[ends - 1] + passed[heads] - lasting[order][heads]) / 2
    middles = np.clip(np.searchsorted(passed, middle), heads, ends - 1)
    return np.repeat(density[order][middles], ends - heads)


def _changes(values: NDArray[np.generic]) -> NDArray[np.bool_]:
    """True for the first value, and for each that differs from the one before it."""
    return np.concatenate(([True], values[1:] != values[:-1]))


def _deal(pieces: _Pieces, budget: int, room: Integers) -> Integers:
    """Frames for each piece, dealt out one at a time; never more than its ``room``."""
    weight = np.diff(pieces.passed[pieces.begins]).tolist()
    turn, level = _first_turns(pieces, room)
    left = room.tolist()
    queue = [
        (turn[piece], level[piece], -weight[piece], piece)
        for piece in range(len(weight))
        if left[piece]
    ]
    heapq.heapify(queue)
    counts = [0] * len(weight)
    for _ in range(min(budget, sum(left))):
        piece = queue[0][-1]
        counts[piece] += 1
        if counts[piece] < left[piece]:
            share = weight[piece] / (2 * counts[piece] + 1)  # Webster's method
            heapq.heapreplace(queue, (2, 0, -share, piece))
        else:
            heapq.heappop(queue)
    return np.array(counts)


def _first_turns(pieces: _Pieces, room: Integers) -> tuple[list[int], list[int]]:
    """When each piece is given its first frame: its turn, and its level within that turn.

    Turn 0 is for one piece of each scene, 1 for the other bursts, 2 for what remains.
    """
    weight, burst, scene = np.diff(pieces.passed[pieces.begins]), pieces.burst, pieces.scene
    turn, level = np.where(burst, 1, 2), np.zeros(len(weight), dtype=np.int64)
    level[burst] = _levels(weight[burst])
    order = np.lexsort((-weight, ~burst, scene))
    order = order[room[order] > 0]
    seen, strongest = np.unique(scene[order], return_index=True)
    of_scenes = np.add.reduceat(weight, np.flatnonzero(_changes(scene)))
    turn[order[strongest]], level[order[strongest]] = 0, _levels(of_scenes)[seen]
    return turn.tolist(), level.tolist()


def _levels(weights: Floats) -> Integers:
    """How often the sum must be halved for a point of division to fall into each weight.

    So that a budget that is not enough for all is spread over all: the ends are level 0, what
    holds the middle is level 1, what holds a quarter is level 2, and so on.
    """
    passed = np.concatenate(([0.0], np.cumsum(weights)))
    shares = np.round(passed / (passed[-1] or 1.0), 12)  # so that a half is a half
    begins, ends = shares[:-1], shares[1:]
    ends[-1:] = 2.0  # the end itself is in the last one
    level = np.full(len(weights), _HALVINGS)
    for halvings in reversed(range(_HALVINGS)):
        level[np.ceil(begins * 2.0**halvings) < ends * 2.0**halvings] = halvings
    return level


def _times(pieces: _Pieces, counts: Integers) -> Floats:
    """Seconds of the frames: at equal shares of each piece's weight.

    Half a share is left free before the first and after the last frame of a piece, except at the
    two ends of the range, which are taken as they are.
    """
    before, after = np.full(len(counts), 0.5), np.full(len(counts), 0.5)
    before[0] = after[-1] = 0.0
    parts = np.maximum(counts - 1 + before + after, 0.5)
    share = (_number_within(counts) + np.repeat(before, counts)) / np.repeat(parts, counts)
    passed, edges = pieces.passed[pieces.begins], pieces.knots[pieces.begins]
    weight = np.repeat(passed[:-1], counts) * (1 - share) + np.repeat(passed[1:], counts) * share
    inside = np.append(np.nextafter(edges[1:-1], 0), edges[-1])  # an edge belongs to the next piece
    times: Floats = np.interp(weight, pieces.passed, pieces.knots)
    return times.clip(np.repeat(edges[:-1], counts), np.repeat(inside, counts))


def _number_within(counts: Integers) -> Integers:
    """Each frame's number in its own piece: 2, 0, 3 -> 0, 1, 0, 1, 2."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
