"""Where several threads put the small pictures of a video, each in its slot of time; no files."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from core.video.glances import VALUES, Bytes, Glances

SLOT_SECONDS = 0.1
MOST_SLOTS = 24_000  # 83 MB; in what is longer than 40 minutes a slot lasts longer


class Album:
    """Pictures by slot; each slot holds the mean of what was shown during it."""

    def __init__(self, duration_seconds: float) -> None:
        self.slot_seconds = max(SLOT_SECONDS, duration_seconds / MOST_SLOTS)
        self.slots = max(1, math.ceil(duration_seconds / self.slot_seconds - 1e-6))
        self._pictures = np.zeros((self.slots, VALUES), dtype=np.uint8)
        self._filled = np.zeros(self.slots, dtype=np.bool_)
        self._seen = np.zeros(self.slots, dtype=np.bool_)

    def put(self, pictures: Iterable[tuple[float, Bytes]]) -> bool:
        """Take pictures with the seconds at which they are shown, ascending; False if none."""
        total, count, slot = np.zeros(VALUES, dtype=np.uint32), 0, -1
        for seconds, picture in pictures:
            here = self._slot(seconds)
            if here != slot and count:
                self._fill(slot, total, count)
                total[:], count = 0, 0
            slot, count = here, count + 1
            total += picture
        if count:
            self._fill(slot, total, count)
        return slot >= 0

    def mark_seen(self, first_seconds: float, last_seconds: float) -> None:
        """Between these all was looked at: a slot without a picture shows the one before."""
        self._seen[self._slot(first_seconds) : self._slot(last_seconds) + 1] = True

    def glances(self) -> Glances:
        """All of it; slots without a picture hold the one before (the first: the one after)."""
        held = np.maximum.accumulate(np.where(self._filled, np.arange(self.slots), -1))
        held[held < 0] = np.argmax(self._filled)
        for slot in np.flatnonzero(~self._filled):
            self._pictures[slot] = self._pictures[held[slot]]
        return Glances(
            slot_seconds=self.slot_seconds, pictures=self._pictures, seen=self._seen.copy()
        )

    def _fill(self, slot: int, total: NDArray[np.uint32], count: int) -> None:
        self._pictures[slot] = (total + count // 2) // count
        self._filled[slot] = True

    def _slot(self, seconds: float) -> int:
        return min(max(0, int(seconds / self.slot_seconds + 1e-6)), self.slots - 1)
