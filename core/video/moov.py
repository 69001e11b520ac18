"""What the index of an .mp4 says that FFmpeg does not pass on; None where it is not a plain one.

FFmpeg reads the same boxes (ISO/IEC 14496-12) and gives positions, sizes and decoding times of all
samples, but not how much later each is shown. Knows no decoder.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MOST_BYTES = 256 * 2**20  # of the index; ten million frames take 200 MB
MOST_BOXES = 1000  # at the top of a file
# what makes a file no plain one: fragments, an index that is compressed, encrypted samples
NOT_PLAIN = (b"mvex", b"cmov", b"sinf")
LARGEST_SHIFT = 2**28  # FFmpeg takes larger ones for damage


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """The samples of a track.

    Attributes:
        format: of all of them, for example b"avc1".
        count: how many there are.
        shifts: how much later each is shown than decoded, in ticks; up to a common constant.
    """

    format: bytes
    count: int
    shifts: NDArray[np.int64]


def track(path: Path, track_id: int) -> Track | None:
    """The track of this number; None where the file is anything but a plain one."""
    try:
        index = _index(path)
        return None if index is None else _track(index, track_id)
    except (OSError, ValueError, struct.error):
        return None


def _index(path: Path) -> bytes | None:
    """The content of the only moov box, where nothing in the file extends it."""
    found: list[tuple[int, int]] = []
    end = path.stat().st_size
    with path.open("rb") as file:
        place = 0
        for _ in range(MOST_BOXES):
            if place == end:
                break
            file.seek(place)
            size, kind = struct.unpack(">I4s", file.read(8))
            head = 8
            if size == 1:
                (size,) = struct.unpack(">Q", file.read(8))
                head = 16
            if size < head or place + size > end or kind in (b"moof", b"sidx"):
                return None
            if kind == b"moov":
                found.append((place + head, size - head))
            place += size
        if place != end or len(found) != 1 or found[0][1] > MOST_BYTES:
            return None
        file.seek(found[0][0])
        index = file.read(found[0][1])
    return None if any(word in index for word in NOT_PLAIN) else index


def _track(index: bytes, track_id: int) -> Track | None:
    alike = [trak for kind, trak in _boxes(index) if kind == b"trak" and _number(trak) == track_id]
    if len(alike) != 1 or not _is_plainly_edited(alike[0]):
        return None
    table = _only(_only(_only(alike[0], b"mdia"), b"minf"), b"stbl")
    descriptions, sizes = _only(table, b"stsd"), _only(table, b"stsz")
    entries, _, kind = struct.unpack_from(">II4s", descriptions, 4)
    _, count = struct.unpack_from(">II", sizes, 4)
    shifts = [box for name, box in _boxes(table) if name == b"ctts"]
    if entries != 1 or len(shifts) > 1:
        return None
    found = _shifts(shifts[0], count) if shifts else np.zeros(count, dtype=np.int64)
    return None if found is None else Track(format=kind, count=count, shifts=found)


def _number(trak: bytes) -> int:
    head = _only(trak, b"tkhd")
    (number,) = struct.unpack_from(">I", head, 20 if head[:1] == b"\1" else 12)
    return int(number)


def _is_plainly_edited(trak: bytes) -> bool:
    """Whether the track is shown in one piece, be it after a pause."""
    edits = [box for kind, box in _boxes(trak) if kind == b"edts"]
    lists = [box for edit in edits for kind, box in _boxes(edit) if kind == b"elst"]
    if not lists:
        return True
    if len(lists) > 1:
        return False
    form, (count,) = lists[0][:1], struct.unpack_from(">I", lists[0], 4)
    entry = struct.Struct(">QqI" if form == b"\1" else ">IiI")
    if count > 2 or len(lists[0]) < 8 + count * entry.size:
        return False
    begins = [entry.unpack_from(lists[0], 8 + place * entry.size)[1] for place in range(count)]
    return begins == [-1, *begins[-1:]] if count == 2 else all(begin >= 0 for begin in begins)


def _shifts(box: bytes, count: int) -> NDArray[np.int64] | None:
    """Runs of equal shifts, spread out to one for each sample."""
    (entries,) = struct.unpack_from(">I", box, 4)
    if len(box) != 8 + 8 * entries or count > MOST_BYTES:
        return None
    runs = np.frombuffer(box, dtype=">i4", offset=8).reshape(entries, 2).astype(np.int64)
    lengths, shifts = runs[:, 0], runs[:, 1]
    if entries == 0 or lengths.min() < 1 or lengths.sum() != count:
        return None
    return None if np.abs(shifts).max() >= LARGEST_SHIFT else np.repeat(shifts, lengths)


def _only(data: bytes, kind: bytes) -> bytes:
    """The content of the only box of this kind; ValueError where there is none, or another."""
    found = [box for name, box in _boxes(data) if name == kind]
    if len(found) != 1:
        raise ValueError(f"{len(found)} boxes {kind!r}")
    return found[0]


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Each box in ``data`` and its content; ValueError where they do not fill it."""
    place = 0
    while place < len(data):
        size, kind = struct.unpack_from(">I4s", data, place)
        if size < 8 or place + size > len(data):
            raise ValueError(f"a box {kind!r} of {size} bytes")
        yield kind, data[place + 8 : place + size]
        place += size
