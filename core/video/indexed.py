"""The frames of an H.264 .mp4 from its index alone, a film of gigabytes in moments.

FFmpeg has read the index by the time it has opened the file. What it says there of every sample is
taken as it is; what it says only with the packet (the time of showing, the mark of a keyframe) is
found as FFmpeg finds it, and compared with packets that are really read, at the beginning, at the
end and between. Where a file is not plain, or anything differs, the answer is None.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av.error
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

from core.video import moov, units
from core.video.opening import packets

DISCARDED = 2  # AVINDEX_DISCARD_FRAME
COMPARED = 300  # packets at the beginning; a group of pictures has 250 by default
PROBES = 6  # places between
COMPARED_THERE = 8
LONG_ENOUGH = 500  # frames; fewer packets are sooner read than their index is looked into


@dataclass(frozen=True, slots=True, kw_only=True)
class Entries:
    """FFmpeg's index of a stream, in the order of decoding: a value for each sample."""

    places: NDArray[np.int64]
    sizes: NDArray[np.int64]
    decoded: NDArray[np.int64]
    flags: NDArray[np.int64]

    @property
    def ends(self) -> NDArray[np.int64]:
        """Where each sample ends in the file."""
        return self.places + self.sizes


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """When each frame is shown, in ticks and in the order of decoding."""

    shown: NDArray[np.int64]
    is_key: NDArray[np.bool_]
    last_duration: int


def entries_of(stream: VideoStream) -> Entries:
    """What FFmpeg has listed of the stream by now."""
    rows = [(each.pos, each.size, each.timestamp, each.flags) for each in stream.index_entries]
    columns = np.array(rows, dtype=np.int64).reshape(-1, 4).T
    return Entries(places=columns[0], sizes=columns[1], decoded=columns[2], flags=columns[3])


def indexed(
    container: InputContainer, stream: VideoStream, path: Path, entries: Entries
) -> Shown | None:
    """What reading every packet would say, the container at its beginning; None where unsure."""
    count = len(entries.places)
    if count < LONG_ENOUGH or not _is_plain(container, stream, entries, path.stat().st_size):
        return None
    track = moov.track(path, stream.id)
    if track is None or (track.format, track.count) != (b"avc1", count):
        return None
    is_key = units.keyframes(path, entries.places, entries.sizes)
    if is_key is None:
        return None
    found = _Found(entries, entries.decoded + track.shifts, is_key)
    try:
        return found.compared(container, stream)
    except av.error.FFmpegError:
        return None


def _is_plain(container: InputContainer, stream: VideoStream, entries: Entries, size: int) -> bool:
    """Whether packets are samples, none is left out, and all of them can be read."""
    record = stream.codec_context.extradata or b""
    if not container.format.name.startswith("mov,") or stream.codec_context.name != "h264":
        return False
    if len(record) < 7 or record[0] != 1 or (record[4] & 3) + 1 != units.LENGTH_BYTES:
        return False
    if (entries.flags & DISCARDED).any() or entries.sizes.min() < 6 or entries.places.min() < 0:
        return False
    others = [each for each in container.streams if each.index != stream.index]
    ends = (entry.pos + entry.size for each in others for entry in each.index_entries)
    return int(entries.ends.max()) <= size and max(ends, default=0) <= size


class _Found:
    """What was found, until it is compared."""

    def __init__(
        self, entries: Entries, shown: NDArray[np.int64], is_key: NDArray[np.bool_]
    ) -> None:
        self._entries, self._shown, self._is_key = entries, shown, is_key
        self._count = len(shown)

    def compared(self, container: InputContainer, stream: VideoStream) -> Shown | None:
        """The same, where real packets do not differ."""
        keys = np.flatnonzero(self._is_key).tolist()
        if not keys or keys[0] != 0 or self._count - keys[-1] > self._count // 2:
            return None  # no keyframe near the end to jump to: nothing would be saved
        container.seek(int(self._entries.decoded[0]), stream=stream, backward=True)
        first = next(_filled(container, stream), None)
        if first is None or first.pts is None:
            return None
        self._shown = self._shown + (first.pts - self._shown[0])
        if len(np.unique(self._shown)) < self._count:
            return None
        between = np.linspace(0, len(keys) - 1, PROBES + 2).astype(int)[1:-1]
        lengths = {keys[place]: COMPARED_THERE for place in between.tolist()} | {0: COMPARED}
        for key, length in lengths.items():
            if self._agreed(container, stream, key, min(length, self._count - key)) is None:
                return None
        duration = self._agreed(container, stream, keys[-1], None)
        if not duration:
            return None
        return Shown(shown=self._shown, is_key=self._is_key, last_duration=duration)

    def _agreed(
        self, container: InputContainer, stream: VideoStream, key: int, length: int | None
    ) -> int | None:
        """Compare so many packets from a keyframe on, or all that come.

        Gives the duration of the one shown last, 0 where it is not among them; None where one is
        not as it was found to be. Packets are let go at once: together they may be gigabytes.
        """
        container.seek(int(self._shown[key]), stream=stream, backward=True)
        place, last, duration = key, int(self._shown.argmax()), 0
        for packet in itertools.islice(_filled(container, stream), length):
            if place == self._count or not self._is_alike(packet, place):
                return None
            if place == last:
                duration = packet.duration or 0
            place += 1
        return duration if place == (self._count if length is None else key + length) else None

    def _is_alike(self, packet: Packet[VideoStream], place: int) -> bool:
        entries = self._entries
        return bool(
            packet.pos == entries.places[place]
            and packet.size == entries.sizes[place]
            and packet.pts == self._shown[place]
            and packet.dts in (None, entries.decoded[place])  # None where FFmpeg is not sure
            and packet.is_keyframe == self._is_key[place]
            and not packet.is_discard
        )


def _filled(container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    return (packet for packet in packets(container, stream) if packet.size)
