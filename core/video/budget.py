"""What a request may cost before it is stopped: seconds, bytes; generous, and in one place.

The numbers are no forecast. They part what is slow from what hangs, on a machine twenty times
slower than a desktop of 2020, which decodes some 1,000 megapixels a second.
"""

from __future__ import annotations

import bisect
import os
from collections.abc import Sequence
from pathlib import Path

from core.errors import VideoError
from core.video.info import VideoInfo

BASE_SECONDS = 20.0
PROBED_BYTES_PER_SECOND = 1e6  # a raw stream is decoded whole to learn its times
LONGEST_PROBE_SECONDS = 1800.0
DECODED_PIXELS_PER_SECOND = 10e6
SCALED_PIXELS_PER_SECOND = 10e6
# a container without a usable index is read from its start: possible, but at a usual pace
PASSED_PIXELS_PER_SECOND = 400e6

MIB = 2**20
MOST_THREADS = 8  # each holds the reference pictures of a decoder
BASE_BYTES = 1536 * MIB
PROBE_BYTES = 3072 * MIB  # the size of the picture is not known yet
THREAD_BYTES = 160 * MIB  # its stack, and the arena that malloc reserves for it
PIXEL_BYTES = 6  # three planes of 16 bits, the widest that is common
KEPT_PICTURES = 20  # a decoder keeps up to 16 references
# libraries that set aside more address space than they use
READER_BYTES = {"torchcodec": 8192 * MIB, "decord": 4096 * MIB}
SHARE_OF_FREE_MEMORY = 0.8


def usable_threads() -> int:
    """How many may decode at once: the cores this process may use, within MOST_THREADS."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(cores or 1, MOST_THREADS)


def probe_seconds(file_bytes: int) -> float:
    """How long probing a file of this size may take."""
    return float(
        min(LONGEST_PROBE_SECONDS, round(BASE_SECONDS + file_bytes / PROBED_BYTES_PER_SECOND))
    )


def read_seconds(info: VideoInfo, indices: Sequence[int], *, height: int, width: int) -> float:
    """How long reading the frames at ``indices`` (ascending, none twice) may take."""
    if not indices:
        return BASE_SECONDS
    pixels = info.width * info.height
    decoded = decoded_pictures(info.keyframes, indices) * pixels / DECODED_PIXELS_PER_SECOND
    scaled = len(indices) * height * width / SCALED_PIXELS_PER_SECOND
    passed = (indices[-1] + 1) * pixels / PASSED_PIXELS_PER_SECOND
    return float(round(BASE_SECONDS + decoded + scaled + passed))


def decoded_pictures(keyframes: Sequence[int], indices: Sequence[int]) -> int:
    """Pictures from each keyframe to the last wanted one behind it, over all keyframes.

    [0, 250], [3, 100, 260] -> 101 + 11
    """
    last: dict[int, int] = {}
    for index in indices:
        place = bisect.bisect_right(keyframes, index) - 1
        last[keyframes[place] if place >= 0 else 0] = index
    return sum(index - keyframe + 1 for keyframe, index in last.items())


def read_bytes(info: VideoInfo, *, threads: int, reader: str) -> int:
    """Address space a reader may take beyond its libraries and the frames it gives back."""
    pictures = KEPT_PICTURES + 4 * threads
    held = info.width * info.height * PIXEL_BYTES * pictures
    return BASE_BYTES + READER_BYTES.get(reader, 0) + threads * THREAD_BYTES + held


def check_room(count: int, *, height: int, width: int) -> int:
    """Bytes of ``count`` frames of this size, three a pixel.

    Raises:
        VideoError: the frames have no size, or this machine has not so much memory free.
    """
    if height < 1 or width < 1:
        raise VideoError(
            f"Frames of {width}x{height} pixels have nothing to see.",
            remedy="Give a height and a width of at least 1.",
        )
    needed, free = count * height * width * 3, free_bytes()
    if free is not None and needed > free * SHARE_OF_FREE_MEMORY:
        raise VideoError(
            f"{count:,} frames of {width}x{height} need {needed / 1e9:,.1f} GB of memory; "
            f"{free / 1e9:,.1f} GB are free.",
            remedy="Choose fewer or smaller frames, or close other programs.",
        )
    return needed


def free_bytes() -> int | None:
    """Memory that can still be had here, in a container too; None where nothing tells."""
    found = []
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        found += [int(line.split()[1]) * 1024 for line in lines if "MemAvailable" in line]
    except (OSError, ValueError):
        pass
    found += _left_in_container()
    return min(found, default=None)


def _left_in_container() -> list[int]:
    """By control group version 2; cached pages of files can be had too."""
    group = Path("/sys/fs/cgroup")
    try:
        most, used = (int((group / f"memory.{name}").read_text()) for name in ("max", "current"))
        statistics = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return [max(0, most - used + int(statistics["inactive_file"]))]
    except (OSError, ValueError, KeyError):  # none, or "max": no limit
        return []
