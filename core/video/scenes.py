"""From small pictures of a video to its profile: brief events, cuts, more and less motion; pure.

Each finding is measured against its own surroundings (median and median deviation of the minutes
around it), and must exceed what chance brings about there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.video.glances import AWAY, Floats, Glances, motion, standing_out, steps
from core.video.profile import Profile

# slots averaged -> deviations above the median that make an event: what lasts up to about 0.6 s,
# 2 s and 6 s. The longer it lasts the clearer it must be: an even spread misses it less often.
EVENTS = {1: 8.0, 3: 12.0, 9: 20.0}
LEAST_DEVIATION = 1 / 3  # what is less than this is taken for this
MOST_EVENTS_SHARE = 0.15  # of the time; what happens more often than that is no event
AROUND_SECONDS = 90.0  # the surroundings of a moment
CUT_LEAST = 10.0  # mean difference of 255 between two scenes
CUT = 6.0  # and so many times that of the surroundings
LIVELY = 2.0  # times the usual motion: from there on there is more activity
MOST_LIVELY = 8.0
LIVELY_SECONDS = 4.0  # activity goes by stretches of this length
EVENT_ACTIVITY = 6.0  # an event's activity, in multiples of that around it, at least
EVENT_SHARE = 0.01  # of the video that an event counts for, at least, however brief it is

Bools = NDArray[np.bool_]


def profile_from(glances: Glances, *, duration_seconds: float) -> Profile:
    """How much happens when, as the pictures show it."""
    slot = glances.slot_seconds
    cuts = _cuts(steps(glances), slot)
    happens = _events(glances, cuts)
    cuts &= ~_near(happens, 2)  # an event begins and ends with a change as well
    calm = glances.seen & ~_near(happens, 2 * AWAY)
    base = _liveliness(motion(glances), calm, slot)
    activity = base.copy()
    for first, last in _runs(happens):
        share = EVENT_SHARE * duration_seconds / ((last - first) * slot)
        activity[first:last] = base[first:last] * max(EVENT_ACTIVITY, share)
    heads = np.flatnonzero(np.diff(activity, prepend=np.nan) != 0)
    begins = heads * slot
    kept = begins < duration_seconds
    cut_seconds = np.flatnonzero(cuts) * slot
    return Profile(
        seconds=np.round(begins[kept], 4).tolist(),
        activity=activity[heads][kept].tolist(),
        cuts=np.round(
            cut_seconds[(cut_seconds > 0) & (cut_seconds < duration_seconds)], 4
        ).tolist(),
        duration_seconds=duration_seconds,
    )


def _events(glances: Glances, cuts: Bools) -> Bools:
    """Slots in which something happens that is gone again soon; the briefest is looked for first.

    What was found is left out when looking for what lasts longer. Beside a cut everything differs
    from one side, so that a drift to the other is enough: there it must come and go at a blow.
    """
    slots = len(glances.seen)
    found = np.zeros(slots, dtype=np.bool_)
    for slots_each, enough in EVENTS.items():
        left = glances.seen & ~_near(found, AWAY)
        rest = Glances(slot_seconds=glances.slot_seconds, pictures=glances.pictures, seen=left)
        scores = np.zeros(slots, dtype=np.float32)
        around = round(AROUND_SECONDS / glances.slot_seconds)
        differing, sudden = standing_out(rest, slots_each=slots_each)
        differing[:, _near(cuts, (AWAY + 2) * slots_each)] = 0
        for row in (*differing, *sudden):
            scores = np.maximum(scores, above_usual(row, left, around))
        least = max(enough, float(np.quantile(scores, 1 - MOST_EVENTS_SHARE)))
        new = (scores > least) & _peaks(scores, AWAY * slots_each)
        found |= new & ~_near(found, (AWAY + 2) * slots_each)  # whose surroundings were left out
    return found


def _peaks(scores: Floats, reach: int) -> Bools:
    """Where no far higher score is near.

    Just before and after an event its own surroundings stand out a little: one of the sides that
    they are compared with is the event itself.
    """
    beside = scores > 0.5 * _highest(scores, reach)
    return np.asarray(beside & (scores > 0.3 * _highest(scores, 2 * reach + 3)))


def _near(marked: Bools, reach: int) -> Bools:
    return np.asarray(_highest(marked.astype(np.float32), reach) > 0)


def above_usual(values: Floats, seen: Bools, around: int) -> Floats:
    """By how many deviations each value exceeds the median of the ``around`` values about it."""
    middle, spread = _local(values, seen, around)
    return np.asarray((values - middle) / np.maximum(1.48 * spread, LEAST_DEVIATION))


def _local(values: Floats, seen: Bools, around: int) -> tuple[Floats, Floats]:
    """Median and median deviation of the seen values about each, interpolated between blocks."""
    size = len(values)
    centres, middles, spreads = [], [], []
    for centre in range(min(around, size) // 2, size, max(1, around // 2)):
        part = slice(max(0, centre - around // 2), centre + around // 2 + 1)
        inside = values[part][seen[part]]
        if len(inside):
            middle = np.median(inside)
            centres.append(centre)
            middles.append(middle)
            spreads.append(np.median(np.abs(inside - middle)))
    if not centres:
        return np.zeros_like(values), np.zeros_like(values)
    places = np.arange(size)
    found = [np.interp(places, centres, each).astype(np.float32) for each in (middles, spreads)]
    return found[0], found[1]


def _highest(values: Floats, reach: int) -> Floats:
    """The highest of the values up to ``reach`` places away."""
    padded = np.pad(values, reach, mode="edge")
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).max(axis=1))


def _runs(marked: Bools) -> list[tuple[int, int]]:
    """First place of each run of True, and the place after its last."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], marked, [False])).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _cuts(found: Floats, slot: float) -> Bools:
    """Slots with which a new scene begins; after one none for a second."""
    seen = np.ones(len(found), dtype=np.bool_)
    usual, _ = _local(found, seen, round(AROUND_SECONDS / slot))
    reach = max(1, round(1.0 / slot))
    cut = (found > np.maximum(CUT_LEAST, CUT * usual)) & (found >= _highest(found, reach))
    places = np.flatnonzero(cut)
    marked = np.zeros(len(found), dtype=np.bool_)
    marked[places[np.diff(places, prepend=-reach - 1) > reach]] = True
    return marked


def _liveliness(moved: Floats, seen: Bools, slot: float) -> NDArray[np.float64]:
    """Activity without events: 1 for usual motion and less, more where far more moves."""
    each = max(1, round(LIVELY_SECONDS / slot))
    heads = np.arange(0, len(moved), each)
    usual = np.median(moved[seen]) if seen.any() else 0.0
    parts = [
        np.median(moved[head : head + each][seen[head : head + each]])
        if seen[head : head + each].any()
        else usual
        for head in heads
    ]
    times = (np.array(parts) + 1.0) / (usual + 1.0) / LIVELY
    steps_up = np.round(2 * np.log2(np.clip(times, 1.0, MOST_LIVELY))) / 2
    return np.repeat(2.0**steps_up, each)[: len(moved)]
