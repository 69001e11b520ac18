"""Which wanted frames are decoded in one go, and by how many threads; knows no decoder."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

# In frames decoded. A jump took 0.1 ms in .mp4, .mkv and .ts alike, a frame of 1280x720 0.5 to 0.7
# ms, one of 480x270 0.1 ms.
SEEK_COST = 1
# So long a task pays under 1% of its time for its jump, so that nothing is gained by a longer one,
# and frames that are read by several threads come out nearly in order.
LONG_TASK = 400

# A decoder holds its reference pictures, those that wait for their turn, and the newest one.
PICTURES_HELD = 10
PICTURE_BYTES = 150_000_000  # what all decoders together may hold in full-size pictures


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Frames that are decoded in one go.

    Attributes:
        start: the keyframe to begin at; 0 is the start of the file.
        indices: the wanted frames from there on, ascending.
    """

    start: int
    indices: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """How many decoders work at a time, and the threads that each of them has."""

    decoders: int
    threads_each: int


def tasks(keyframes: Sequence[int], indices: Sequence[int]) -> list[Task]:
    """Part the wanted frames (ascending, none twice) so that the least is decoded.

    Frames behind the same keyframe are one task. A task goes on over the next keyframe where the
    frames up to it cost no more than jumping there: a dense plan is read in long passes.
    keyframes [0, 50, 100], indices [3, 9, 48, 60] -> 0: 3, 9, 48, 60 (49 is cheaper than a jump)
    keyframes [0, 50, 100], indices [3, 9, 60, 199] -> 0: 3, 9 · 50: 60 · 100: 199
    """
    found: list[tuple[int, list[int]]] = []
    for index in indices:
        place = bisect.bisect_right(keyframes, index)
        keyframe = keyframes[place - 1] if place else 0
        if found and _goes_on(*found[-1], keyframe=keyframe):
            found[-1][1].append(index)
        else:
            found.append((keyframe, [index]))
    return [Task(start=start, indices=tuple(wanted)) for start, wanted in found]


def _goes_on(start: int, wanted: list[int], *, keyframe: int) -> bool:
    """Whether the task decodes on to a frame behind ``keyframe``."""
    if keyframe <= wanted[-1]:
        return True
    return keyframe - wanted[-1] - 1 <= SEEK_COST and wanted[-1] - start < LONG_TASK


def crew(tasks_count: int, *, threads: int, picture_bytes: int) -> Crew:
    """Share ``threads`` out: a decoder for each, more threads for each where tasks are few.

    Large pictures (8K: 50 MB each) leave room for fewer decoders.
    """
    room = max(1, PICTURE_BYTES // max(1, PICTURES_HELD * picture_bytes))
    decoders = max(1, min(threads, tasks_count, room))
    return Crew(decoders=decoders, threads_each=max(1, min(threads, room) // decoders))
