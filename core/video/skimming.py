"""Small pictures of stretches of a file, decoded as cheaply as can be; knows no schedule.

Nothing is decoded that no other picture refers to, and no more pictures than are wanted are scaled
down, to a few pixels, while they are converted. The loop filter stays: without it errors add up
from picture to picture, and what they look like is mistaken for events.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Literal

import av.error
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from core.errors import VideoError
from core.video.glances import HEIGHT, VALUES, WIDTH, Bytes
from core.video.info import VideoInfo
from core.video.opening import decoded, opened, packets, video_stream
from core.video.stretches import Depth, Stretch, Task

SKIPPED: dict[Depth, Literal["NONKEY", "NONREF", "DEFAULT"]] = {
    "keys": "NONKEY",
    "references": "NONREF",
    "all": "DEFAULT",
}
WINDOW_SECONDS = 0.5  # of packets that are weighed together


class Skimmer:
    """A container of its own, in which one thread goes from stretch to stretch."""

    def __init__(self, info: VideoInfo, stack: ExitStack, *, decoders: int, every: float) -> None:
        """Decode with so many threads, and scale one picture down in ``every`` seconds."""
        if info.path is None:
            raise VideoError("This video is only described: there is no file to profile.")
        self._info, self._every = info, every
        self._container = stack.enter_context(opened(info.path))
        self._stream = video_stream(self._container, info.path)
        context = self._stream.codec_context
        context.thread_count = decoders
        context.thread_type = "AUTO" if decoders > 1 else "SLICE"
        self._scaler = VideoReformatter()

    def pictures(self, task: Task) -> Iterator[tuple[float, Bytes | None]]:
        """When each decoded picture of the stretch is shown, with what it shows where wanted.

        A picture that cannot be decoded or converted is passed over.
        """
        self._stream.codec_context.skip_frame = SKIPPED[task.depth]
        if task.stretch.first is not None and not self._sought(task.stretch):
            return
        stretch, due = task.stretch, -1.0
        for number, picture in enumerate(decoded(self._container, self._stream)):
            seconds = self._seconds_of(picture, number)
            if seconds >= stretch.end_seconds - 1e-6 and stretch.first is not None:
                return
            if seconds < stretch.begin_seconds - 1e-6:
                continue
            wanted = seconds >= due
            if wanted:
                due = max(due, seconds - self._every / 2) + self._every
            yield seconds, self._scaled(picture) if wanted else None

    def _sought(self, stretch: Stretch) -> bool:
        seconds = self._info.start_seconds + stretch.begin_seconds
        ticks = round(seconds / float(self._stream.time_base or 1))
        try:
            self._container.seek(ticks, stream=self._stream, backward=True)
        except av.error.FFmpegError:
            return stretch.begin_seconds == 0  # this file has no seeking
        return True

    def _seconds_of(self, picture: VideoFrame, number: int) -> float:
        if picture.pts is None or not self._info.keyframes:
            last = self._info.frame_count - 1
            return self._info.time_of(min(number, last))
        return picture.pts * float(self._stream.time_base or 0) - self._info.start_seconds

    def _scaled(self, picture: VideoFrame) -> Bytes | None:
        try:
            small = self._scaler.reformat(
                picture,
                width=WIDTH,
                height=HEIGHT,
                format="yuv420p",
                interpolation=Interpolation.AREA,
                threads=1,  # more of them cost more than this little work
            )
        except (av.error.FFmpegError, ValueError):
            return None
        return np.asarray(small.to_ndarray(), dtype=np.uint8).reshape(VALUES)


def suspicions(info: VideoInfo, parts: list[Stretch]) -> list[float]:
    """How far the packets of each stretch stand out in size from the others of it, keyframes aside.

    What appears, flashes or cuts has to be coded: half a second of it takes more bytes.
    """
    if info.path is None or not info.keyframes:
        return [0.0] * len(parts)
    sizes = np.zeros(int(info.duration_seconds / WINDOW_SECONDS) + 1)
    with opened(info.path) as container:
        stream = video_stream(container, info.path)
        tick = float(stream.time_base or 0)
        for packet in packets(container, stream):
            if packet.pts is not None and not packet.is_keyframe:
                window = int((packet.pts * tick - info.start_seconds) / WINDOW_SECONDS)
                sizes[min(max(window, 0), len(sizes) - 1)] += packet.size
    return [_standing_out(sizes, part) for part in parts]


def _standing_out(sizes: NDArray[np.float64], part: Stretch) -> float:
    first = int(part.begin_seconds / WINDOW_SECONDS)
    inside = sizes[first : int(part.end_seconds / WINDOW_SECONDS) + 1]
    middle = float(np.median(inside))
    usual = float(np.median(np.abs(inside - middle))) + 0.02 * middle + 1.0
    return (float(inside.max()) - middle) / usual
