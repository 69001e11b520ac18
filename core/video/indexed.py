"""The frames of an H.264 .mp4 from its index alone, a film of gigabytes in moments.

FFmpeg has read the index by the time it has opened the file. What it says there of every sample is
taken as it is; what it says only with the packet (the time of showing, the mark of a keyframe) is
found as FFmpeg finds it, and compared with packets that are really read, at the beginning, at the
end and between. Where a file is not plain, or anything differs, the answer is None.
"""

from __future__ import annotations

import itertools
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
        self._last_duration = 0

    def compared(self, container: InputContainer, stream: VideoStream) -> Shown | None:
        """The same, where real packets do not differ."""
        container.seek(int(self._entries.decoded[0]), stream=stream, backward=True)
        beginning = list(itertools.islice(self._packets(container, stream), COMPARED))
        if not beginning or beginning[0].pts is None:
            return None
        self._shown = self._shown + (beginning[0].pts - self._shown[0])
        keys = np.flatnonzero(self._is_key)
        if len(np.unique(self._shown)) < len(self._shown) or not len(keys) or keys[0] != 0:
            return None
        if not self._alike(beginning, at=0):
            return None
        between = keys[np.linspace(0, len(keys) - 1, PROBES + 2).astype(int)[1:-1]]
        for key in np.unique(between).tolist():
            there = itertools.islice(self._sought(container, stream, key), COMPARED_THERE)
            if not self._alike(list(there), at=key):
                return None
        ending = list(self._sought(container, stream, int(keys[-1])))
        last = int(self._shown.argmax()) - int(keys[-1])
        whole = len(ending) == len(self._shown) - keys[-1]
        if not whole or last < 0 or not self._alike(ending, at=int(keys[-1])):
            return None
        duration = ending[last].duration or 0
        if duration <= 0:
            return None
        return Shown(shown=self._shown, is_key=self._is_key, last_duration=duration)

    def _sought(
        self, container: InputContainer, stream: VideoStream, key: int
    ) -> itertools.chain[Packet[VideoStream]]:
        container.seek(int(self._shown[key]), stream=stream, backward=True)
        return itertools.chain(self._packets(container, stream))

    def _packets(
        self, container: InputContainer, stream: VideoStream
    ) -> filter[Packet[VideoStream]]:
        return filter(lambda packet: packet.size, packets(container, stream))

    def _alike(self, read: list[Packet[VideoStream]], *, at: int) -> bool:
        """Whether these packets are what was found of the samples from ``at`` on."""
        end = at + len(read)
        if not read or end > len(self._shown):
            return False
        entries = self._entries
        said = zip(
            entries.places[at:end].tolist(),
            entries.sizes[at:end].tolist(),
            self._shown[at:end].tolist(),
            self._is_key[at:end].tolist(),
            entries.decoded[at:end].tolist(),
            strict=True,
        )
        return all(
            (each.pos, each.size, each.pts, each.is_keyframe) == expected[:4]
            and each.dts in (None, expected[4])  # FFmpeg leaves out what it takes for unsure
            and not each.is_discard
            for each, expected in zip(read, said, strict=True)
        )
