"""Which H.264 pictures of an .mp4 are keyframes, by the first bytes of each; decodes nothing.

FFmpeg's own parser goes by the same: a picture is one where its slices are of the IDR kind, or a
recovery point is announced before them (Rec. ITU-T H.264, 7.4.1.2.3 and D.2.8).
"""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int64]
Bytes = NDArray[np.uint8]

SLICE, IDR_SLICE, MESSAGE, DELIMITER = 1, 5, 6, 9
BEFORE_SLICES = (MESSAGE, 7, 8, DELIMITER)  # messages, parameter sets, delimiters
RECOVERY_POINT = 6
LENGTH_BYTES = 4
MOST_UNITS = 16  # before the first slice of a picture
MOST_LOOKED_AT = 20_000  # units that are looked into one by one
WINDOW_BYTES = 16 * 2**20  # of the file that are mapped at a time: they count as memory


def keyframes(path: Path, places: Places, sizes: Places) -> NDArray[np.bool_] | None:
    """For each picture, given where it begins and its bytes; None where that is not certain."""
    found, looked_at = np.zeros(len(places), dtype=np.bool_), 0
    windows = places // WINDOW_BYTES
    order = np.argsort(windows, kind="stable")
    try:
        with path.open("rb") as file:
            for inside in np.split(order, np.flatnonzero(np.diff(windows[order])) + 1):
                begin = int(windows[inside[0]]) * WINDOW_BYTES
                starts, ends = places[inside] - begin, places[inside] + sizes[inside] - begin
                with mmap.mmap(
                    file.fileno(), int(ends.max()), access=mmap.ACCESS_READ, offset=begin
                ) as view:
                    seen = _Window(view).keyframes(starts, ends)
                if seen is None or (looked_at := looked_at + seen[1]) > MOST_LOOKED_AT:
                    return None
                found[inside] = seen[0]
    except (OSError, ValueError, OverflowError):
        return None
    return found


class _Window:
    """A part of the file."""

    def __init__(self, view: mmap.mmap) -> None:
        self._view = view

    def keyframes(self, places: Places, ends: Places) -> tuple[NDArray[np.bool_], int] | None:
        """Which of the pictures are keyframes, and how many units had to be looked into."""
        data = np.frombuffer(self._view, dtype=np.uint8)
        try:
            return self._walk(data, places.copy(), ends)
        finally:
            del data  # or the map could not be closed

    def _walk(
        self, data: Bytes, places: Places, ends: Places
    ) -> tuple[NDArray[np.bool_], int] | None:
        """From unit to unit, all pictures at once, to the first slice of each."""
        is_key = np.zeros(len(places), dtype=np.bool_)
        told = np.zeros(len(places), dtype=np.bool_)  # a message before the slices
        left, looked_at = np.arange(len(places)), 0
        for _ in range(MOST_UNITS):
            at = places[left]
            if (at + LENGTH_BYTES >= ends[left]).any():
                return None
            lengths = _numbers(data, at)
            kinds = data[at + LENGTH_BYTES] & 31
            after = at + LENGTH_BYTES + lengths
            slices = (kinds == SLICE) | (kinds == IDR_SLICE)
            if (lengths < 2).any() or (after > ends[left]).any():
                return None
            if not (slices | np.isin(kinds, BEFORE_SLICES)).all():
                return None
            is_key[left[kinds == IDR_SLICE]] = True
            if (told[left] & (kinds == SLICE)).any():
                return None
            odd = ~slices & ~((kinds == DELIMITER) & (lengths == 2))
            looked_at += int(odd.sum())
            if looked_at > MOST_LOOKED_AT:
                return None
            for place in np.flatnonzero(odd).tolist():
                unit = self._view[int(at[place]) + LENGTH_BYTES : int(after[place])]
                if b"\0\0\1" in unit or b"\0\0\0" in unit:
                    return None  # FFmpeg may see another unit in there
                told[left[place]] |= kinds[place] == MESSAGE and _may_recover(unit)
            places[left] = after
            left = left[~slices]
            if not len(left):
                return is_key, looked_at
        return None


def _numbers(data: Bytes, at: Places) -> Places:
    """Four bytes from each place on as a number, the highest first."""
    four = data[at[:, None] + np.arange(LENGTH_BYTES)].astype(np.int64)
    return np.asarray(four @ np.array([1 << 24, 1 << 16, 1 << 8, 1], dtype=np.int64))


def _may_recover(unit: bytes) -> bool:
    """Whether a unit of messages announces a recovery point, or might."""
    if b"\0\0\3" in unit:
        return True  # with bytes put in between; what is longer is not taken apart here
    place, end = 1, len(unit)
    while place + 2 < end:
        numbers = []
        for _ in ("type", "size"):
            number = 0
            while place < end and unit[place] == 255:
                number, place = number + 255, place + 1
            if place >= end:
                return True
            numbers.append(number + unit[place])
            place += 1
        if numbers[0] == RECOVERY_POINT:
            return True
        place += numbers[1]
    return False
