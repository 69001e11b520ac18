"""Which stretch of a video to look at next, so that the time given suffices; pure but for a clock.

First some stretches spread over the video, to learn how fast it goes. If the rest can be decoded in
what is left of the time, it is. If not, the keyframes of all of it are looked at, and then as many
stretches as there is time for, first those in which something seems to happen.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from core.video.info import VideoInfo

STRETCH_SECONDS = 10.0  # at least, in whole groups of pictures
TRIES = 4  # stretches after which the speed is known
KEYS_SHARE = 0.4  # of the time left, for keyframes
ENOUGH_PICTURES = 5.0  # a second; where skipping leaves fewer, nothing is skipped
UNSOUGHT = {"mpeg"}  # after a jump the times in it are wrong
Depth = Literal["keys", "references", "all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Whole groups of pictures.

    Attributes:
        first: index of the keyframe it begins with; None where the file cannot be sought in.
        begin_seconds, end_seconds: of what is shown.
        pictures: how many there are.
    """

    first: int | None
    begin_seconds: float
    end_seconds: float
    pictures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Decode this stretch: keyframes only, what others refer to, or all."""

    stretch: Stretch
    depth: Depth


def stretches(info: VideoInfo) -> list[Stretch]:
    """The whole video, cut at keyframes into stretches of STRETCH_SECONDS or a little more.

    One stretch, where the file cannot be sought in.
    """
    keyframes = () if info.container in UNSOUGHT else info.keyframes
    begins = [0]
    for keyframe in keyframes:
        if info.time_of(keyframe) - info.time_of(begins[-1]) >= STRETCH_SECONDS:
            begins.append(keyframe)
    ends = [*begins[1:], info.frame_count]
    times = [0.0, *(info.time_of(begin) for begin in begins[1:]), info.duration_seconds]
    return [
        Stretch(
            first=begin if keyframes else None,
            begin_seconds=times[place],
            end_seconds=times[place + 1],
            pictures=end - begin,
        )
        for place, (begin, end) in enumerate(zip(begins, ends, strict=True))
    ]


def evenly(count: int) -> list[int]:
    """0 to count - 1, so that each beginning of the list is spread over all: 0, 4, 2, 6, 1, ..."""
    bits = max(1, (count - 1).bit_length())
    turned = (int(f"{number:0{bits}b}"[::-1], 2) for number in range(2**bits))
    return [number for number in turned if number < count]


class Schedule:
    """Hands out tasks to several threads until all is done or the time is over."""

    def __init__(
        self,
        parts: Sequence[Stretch],
        *,
        budget_seconds: float,
        suspicions: Callable[[], Sequence[float]],
        clock: Callable[[], float],
    ) -> None:
        """Give ``suspicions`` a number for each stretch when asked: the highest come first."""
        self._parts, self._suspicions, self._clock = parts, suspicions, clock
        self._lock = threading.Lock()
        self._begun = clock()
        self._deadline = self._begun + budget_seconds
        self._waiting = evenly(len(parts))
        self._keys: list[int] = []
        self._keys_deadline = self._deadline
        self._depth: Depth = "references"
        self._short = False
        self._finished = 0
        self._seconds = 0.0
        self._total = parts[-1].end_seconds

    def __len__(self) -> int:
        return len(self._parts)

    @property
    def over(self) -> bool:
        """The time is over, or somebody said stop."""
        return self._clock() >= self._deadline

    def stop(self) -> None:
        """No more tasks."""
        self._deadline = self._begun

    def next(self) -> Task | None:
        """The next task; None when there are no more."""
        with self._lock:
            if self.over:
                return None
            if not self._short and self._too_slow():
                self._shorten()
            if self._keys and self._clock() < self._keys_deadline:
                return Task(stretch=self._parts[self._keys.pop(0)], depth="keys")
            if not self._waiting:
                return None
            return Task(stretch=self._parts[self._waiting.pop(0)], depth=self._depth)

    def finished(self, task: Task, *, pictures: int) -> None:
        """Say that ``task`` is done, and how many pictures were decoded for it."""
        if task.depth == "keys":
            return
        lasting = task.stretch.end_seconds - task.stretch.begin_seconds
        with self._lock:
            self._finished += 1
            self._seconds += lasting
            skipped = task.depth == "references" and pictures < task.stretch.pictures / 2
            if skipped and pictures < ENOUGH_PICTURES * lasting:
                self._depth = "all"

    def progress(self) -> float:
        """Seconds of the video that are done; or the same share of it as time is over."""
        share = (self._clock() - self._begun) / max(1e-9, self._deadline - self._begun)
        by_time = self._total * min(1.0, share) if self._short else 0.0
        return min(self._total, max(self._seconds, by_time))

    def _too_slow(self) -> bool:
        if self._finished < TRIES:
            return False
        speed = self._seconds / max(1e-9, self._clock() - self._begun)
        return (self._total - self._seconds) / speed > self._deadline - self._clock()

    def _shorten(self) -> None:
        self._short = True
        self._keys = list(self._waiting)
        self._keys_deadline = self._clock() + KEYS_SHARE * (self._deadline - self._clock())
        suspicion = self._suspicions()
        self._waiting.sort(key=lambda part: -suspicion[part])  # stable: else evenly spread
