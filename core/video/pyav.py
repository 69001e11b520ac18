"""The reader on PyAV: exact frames, decoded in parallel, scaled at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import av.error
import numpy as np
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import Interpolation, VideoReformatter

from core.errors import VideoError
from core.video.info import VideoInfo
from core.video.reading import Frame
from core.video.running import Runs
from core.video.schedule import Task, crew, tasks
from core.video.spread import spread
from core.video.walking import Walk

if TYPE_CHECKING:
    from numpy.typing import NDArray

BYTES_PER_PIXEL = 1.5  # 8 bit, 4:2:0


def read(
    info: VideoInfo, indices: Sequence[int], *, height: int, width: int, threads: int
) -> Iterator[Frame]:
    """Yield the frames at ``indices``; see core.video.reading.Reader."""
    todo = tasks(info.keyframes, indices)
    picture_bytes = round(info.width * info.height * BYTES_PER_PIXEL)
    hands = crew(len(todo), threads=threads, picture_bytes=picture_bytes)

    @contextmanager
    def begin(stop: threading.Event) -> Iterator[Callable[[Task], Iterator[Frame]]]:
        with _Hand(info, (height, width), threads=hands.threads_each, stop=stop) as hand:
            yield hand.frames

    return spread(todo, workers=hands.decoders, begin=begin)


class _Hand:
    """What one thread has open: the quick way, and the careful one where that finds nothing."""

    def __init__(
        self, info: VideoInfo, size: tuple[int, int], *, threads: int, stop: threading.Event
    ) -> None:
        self._info, self._size, self._threads, self._stop = info, size, threads, stop
        self._stack = ExitStack()
        self._converter, self._scaler = VideoReformatter(), VideoReformatter()
        self._runs: Runs | None = None
        self._walk: Walk | None = None

    def __enter__(self) -> _Hand:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def frames(self, task: Task) -> Iterator[Frame]:
        """The frames of the task, as they come."""
        left = dict.fromkeys(task.indices)
        if self._info.keyframes:  # without them the times of packets say nothing
            for index, picture in self._quick().pictures(task):
                del left[index]
                yield self._frame(index, self._info.time_of(index), picture)
        for index in left:
            if self._stop.is_set():
                return
            walk = self._careful()
            picture = walk.to(index)
            yield self._frame(index, walk.seconds, picture)

    def _quick(self) -> Runs:
        if self._runs is None:
            stack = self._stack.enter_context(ExitStack())
            self._runs = Runs(self._info, threads=self._threads, stack=stack, stop=self._stop)
        return self._runs

    def _careful(self) -> Walk:
        if self._walk is None:
            stack = self._stack.enter_context(ExitStack())
            self._walk = Walk(self._info, threads=self._threads, stack=stack, stop=self._stop)
        return self._walk

    def _frame(self, index: int, seconds: float, picture: VideoFrame) -> Frame:
        try:
            pixels = self._rgb(picture)
        except av.error.FFmpegError as error:
            raise VideoError(
                f"A frame of {picture.width}x{picture.height} in {picture.format.name} cannot be "
                f"converted: {error.strerror}.",
                remedy="Convert the video first, for example to H.264 in an .mp4 file.",
            ) from error
        return Frame(index=index, seconds=seconds, pixels=pixels)

    def _rgb(self, picture: VideoFrame) -> NDArray[np.uint8]:
        """Convert, scale each colour (bicubic), then turn: height x width x 3.

        Scaling chroma apart from luma would be 2 to 8 of 255 away from scaling the picture as it
        is seen, which is what image processors do. Colour by colour that takes 1.1 ms at 1280x720;
        all three at once go through chroma again inside swscale, and take 2.8.
        """
        height, width = self._size
        if self._info.rotation in (90, 270):
            height, width = width, height
        pixels = np.empty((height, width, 3), dtype=np.uint8)
        for colour, values in enumerate(self._colours(picture)):
            alone = VideoFrame.from_numpy_buffer(values, format="gray")
            scaled = self._scaler.reformat(
                alone,
                width=width,
                height=height,
                interpolation=Interpolation.BICUBIC,
                threads=self._threads,
            )
            pixels[:, :, colour] = _rows(scaled.planes[0])[:, :width]
        if self._info.rotation:
            pixels = np.rot90(pixels, k=-self._info.rotation // 90)
        return np.ascontiguousarray(pixels)

    def _colours(self, picture: VideoFrame) -> Iterator[NDArray[np.uint8]]:
        """Red, green and blue of a picture as it is seen: height x width each."""
        if picture.format.components[0].bits == 8:
            seen = self._converter.reformat(picture, format="gbrp", threads=self._threads)
            for place in (2, 0, 1):
                yield _rows(seen.planes[place])[:, : seen.width]
            return
        # swscale's way from more bits to planes dithers, up to 3 of 255 away
        seen = self._converter.reformat(picture, format="rgb24", threads=self._threads)
        packed = _rows(seen.planes[0])[:, : 3 * seen.width].reshape(seen.height, -1, 3)
        for place in range(3):
            yield np.ascontiguousarray(packed[:, :, place])


def _rows(plane: VideoPlane) -> NDArray[np.uint8]:
    """The lines of a plane of bytes, with what lies between them; a view."""
    lines: memoryview = memoryview(plane)
    return np.frombuffer(lines, dtype=np.uint8).reshape(-1, plane.line_size)
