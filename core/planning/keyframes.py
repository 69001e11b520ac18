"""Frames that exist, as near as can be to those wanted: at given times, or keyframes only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.errors import SettingsError
from core.video.info import VideoInfo

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def keyframes(candidates: Sequence[int], *, first: int, last: int, budget: int) -> tuple[int, ...]:
    """Which of the container's keyframes to take from ``first`` to ``last``.

    All of them where they are no more than ``budget``; otherwise those nearest to ``budget``
    frames spread evenly from first to last, and where two of those would be the same keyframe, its
    neighbours.

    Args:
        candidates: indices of the video's keyframes, ascending.
        first, last: the range, both included.
        budget: the most frames, 1 or more.

    Raises:
        SettingsError: there is no keyframe in the range.
    """
    inside = np.asarray(candidates, dtype=np.int64)
    inside = inside[(inside >= first) & (inside <= last)]
    if not len(inside):
        raise SettingsError(
            f"None of the video's {len(candidates):,} keyframes is among the frames {first:,} to "
            f"{last:,}.",
            remedy="Choose the strategy fps or uniform, or a longer range.",
        )
    if len(inside) <= budget:
        return tuple(inside.tolist())
    wanted = np.interp(np.linspace(first, last, budget), inside, np.arange(len(inside)))
    steps = np.arange(budget)
    taken = apart(wanted, lowest=steps, highest=steps + len(inside) - budget)
    return tuple(inside[taken].tolist())


def indices_at(
    times: Sequence[float], info: VideoInfo, *, first: int, last: int
) -> tuple[int, ...]:
    """The frame nearest to each time, none of them twice.

    Args:
        times: seconds, ascending.
        info: the video; its frames' own times are used where it has them, else its rate.
        first, last: the range to stay in, both included.

    Returns:
        ``min(len(times), last - first + 1)`` indices, ascending. Where two times have the same
        nearest frame, its neighbours are taken.
    """
    available = last - first + 1
    if len(times) >= available:
        return tuple(range(first, last + 1))
    steps = np.arange(len(times))
    found = apart(
        positions(np.asarray(times, dtype=np.float64), info),
        lowest=first + steps,
        highest=first + steps + available - len(times),
    )
    return tuple(found.tolist())


def positions(times: Floats, info: VideoInfo) -> Floats:
    """Where between the frames each time lies: 2.25 is a quarter of the way from frame 2 to 3."""
    if info.frame_times is None:
        return times * float(info.frame_rate)
    return np.interp(times, info.frame_times, np.arange(len(info.frame_times)))


def apart(wanted: Floats, *, lowest: Integers, highest: Integers) -> Integers:
    """The whole numbers nearest to ``wanted``, strictly ascending: 4.1, 4.2, 4.3 -> 3, 4, 5.

    Numbers that fall together move apart to both sides: half-way between where they end when all
    move up and where they end when all move down.

    Args:
        wanted: ascending.
        lowest, highest: bounds on each; both ascend by 1 or more from number to number.
    """
    steps = np.arange(len(wanted))
    free = np.clip(np.rint(wanted).astype(np.int64), lowest, highest) - steps
    upwards = np.maximum.accumulate(free)
    downwards = np.minimum.accumulate(free[::-1])[::-1]
    spaced: Integers = (upwards + downwards) // 2 + steps
    return spaced
