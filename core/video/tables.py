"""When each frame of a file is shown, by its index, its packets or, at the worst, its pictures."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from core.video.indexed import Entries, indexed
from core.video.info import MAX_FRAMES, check_count
from core.video.opening import decoded, opened, packets, video_stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """When each shown frame is shown (the container's seconds, ascending), and the keyframes."""

    seconds: NDArray[np.float64]
    keyframes: list[int]
    last_duration: float


def by_index(container: InputContainer, path: Path, entries: Entries) -> Table | None:
    """From the file's index, where that is as good as its packets; see core.video.indexed."""
    stream = video_stream(container, path)
    found = indexed(container, stream, path, entries)
    if found is None:
        return None
    order = np.argsort(found.shown)
    return Table(
        seconds=_seconds(found.shown[order], stream),
        keyframes=np.flatnonzero(found.is_key[order]).tolist(),
        last_duration=found.last_duration * _tick(stream),
    )


def by_packets(container: InputContainer, stream: VideoStream) -> Table | None:
    """From the packets alone; None where they do not say when each frame is shown."""
    shown: list[int] = []
    keys: list[int] = []
    last, last_duration = None, 0
    for packet in packets(container, stream):
        if packet.size == 0 or packet.is_discard:
            continue
        pts = packet.pts
        if pts is None:
            return None
        shown.append(pts)
        if packet.is_keyframe:
            keys.append(pts)
        if last is None or pts > last:
            last, last_duration = pts, packet.duration or 0
        if len(shown) > MAX_FRAMES:
            check_count(len(shown))
    # AVI numbers its packets as they are decoded: where that is not as they are shown, only a
    # count of the pictures from the start tells which is which, and there is nowhere to jump to.
    counted = container.format.name == "avi" and stream.codec_context.has_b_frames
    sorted_shown = np.unique(np.array(shown, dtype=np.int64))
    if not shown or len(sorted_shown) < len(shown):
        return None
    places = np.searchsorted(sorted_shown, np.array(sorted(keys), dtype=np.int64))
    return Table(
        seconds=_seconds(sorted_shown, stream),
        keyframes=[] if counted else places.tolist(),
        last_duration=last_duration * _tick(stream),
    )


def by_pictures(path: Path) -> Table | None:
    """By decoding everything: the slow way for streams whose packets carry no usable times.

    Without keyframes in the table the reader does not seek either, but counts from the start.
    """
    with opened(path) as container:
        stream = video_stream(container, path)
        stream.thread_type = "AUTO"
        step, count = 1 / float(stream.average_rate or stream.guessed_rate or 25), 0
        for _ in decoded(container, stream):
            count += 1
            if count > MAX_FRAMES:
                check_count(count)
    if not count:
        return None
    return Table(
        seconds=np.arange(count, dtype=np.float64) * step, keyframes=[], last_duration=step
    )


def _tick(stream: VideoStream) -> float:
    return float(stream.time_base or Fraction(1, 1000))


def _seconds(ticks: NDArray[np.int64], stream: VideoStream) -> NDArray[np.float64]:
    return ticks.astype(np.float64) * _tick(stream)
